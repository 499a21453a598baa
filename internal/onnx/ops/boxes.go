package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// suppression keeps the best of boxes that overlap.
type suppression struct {
	centers            bool // boxes are a centre and extents, not two corners
	most               integers
	hasOverlap, hasMin bool
	picked, order, aid int // scratch
}

// parseNonMaxSuppression reads NonMaxSuppression (ai.onnx 10, 11): boxes
// [B,S,4] and scores [B,C,S] give [K,3], the batch entry, class and box of each
// that is kept.
func parseNonMaxSuppression(n *Node) Kernel {
	s := suppression{
		centers: n.Int("center_point_box", 0) != 0, most: integersOf(n, 2, int64Elem),
		hasOverlap: n.Has(3), hasMin: n.Has(4),
		picked: n.NeedScratch(), order: n.NeedScratch(), aid: n.NeedScratch(),
	}
	for i := range n.In {
		if i != 2 && (i < 2 || n.Has(i)) {
			n.Elem(i, tensor.Float32)
		}
	}
	n.SetOut(0, onnx.TensorOf(tensor.Int64, free, tensor.Dim{Size: 3}))
	if n.err != nil {
		return nil
	}
	return s.run
}

// limits are what a run says about which boxes are kept.
type limits struct {
	most    int
	overlap float32
	least   float32
}

func (s *suppression) limits(f *Frame, boxes int) (l limits, err error) {
	most, err := s.most.one(f, "the number of boxes to keep")
	if err != nil {
		return l, err
	}
	l.most = int(min(max(most, 0), int64(boxes)))
	if s.hasOverlap {
		if l.overlap, err = soleElement[float32](f, 3); err != nil {
			return l, err
		}
	}
	if !(l.overlap >= 0 && l.overlap <= 1) {
		return l, fault.New(fault.Content, "the threshold of overlap must be from 0 to 1")
	}
	if s.hasMin {
		l.least, err = soleElement[float32](f, 4)
	}
	return l, err
}

func (s *suppression) run(ctx context.Context, f *Frame) error {
	boxes, scores := f.In(0).Shape(), f.In(1).Shape()
	if len(boxes) != 3 || boxes[2] != 4 {
		return shapeFault("boxes must be [B, S, 4]", boxes)
	}
	if len(scores) != 3 || scores[0] != boxes[0] || scores[2] != boxes[1] {
		return shapeFault("scores must be [B, C, S] for boxes [B, S, 4]", scores)
	}
	l, err := s.limits(f, boxes[1])
	if err != nil {
		return err
	}
	groups := 0 // of scores that compete
	if f.In(1).Len() > 0 && l.most > 0 {
		groups = scores[0] * scores[1]
	}
	picked, err := Scratch[int64](f, s.picked, groups*l.most)
	if err != nil {
		return err
	}
	counts, err := Scratch[int64](f, s.aid, groups+boxes[1])
	if err != nil {
		return err
	}
	order, err := Scratch[int64](f, s.order, boxes[1])
	if err != nil {
		return err
	}
	counts, spare := counts[:groups], counts[groups:]
	total := 0
	for g := range counts {
		if err := poll(ctx, g); err != nil {
			return err
		}
		n, err := s.choose(ctx, f, g, l, picked[g*l.most:][:0:l.most], order, spare)
		if err != nil {
			return err
		}
		counts[g] = int64(n)
		total += n
	}
	dst, err := Output[int64](f, 0, total, 3)
	if err != nil {
		return err
	}
	for g, n := range counts {
		if err := poll(ctx, g); err != nil {
			return err
		}
		for _, box := range picked[g*l.most:][:n] {
			dst[0], dst[1], dst[2] = int64(g/scores[1]), int64(g%scores[1]), box
			dst = dst[3:]
		}
	}
	return nil
}

// choose appends the boxes that are kept of one class of one batch entry, the
// best first.
func (s *suppression) choose(ctx context.Context, f *Frame, group int, l limits, kept, order, spare []int64) (int, error) {
	size, classes := f.In(0).Shape()[1], f.In(1).Shape()[1]
	scores := Input[float32](f, 1)[group*size:][:size]
	boxes := Input[float32](f, 0)[group/classes*size*4:][:size*4]
	err := sortPlaces(ctx, order, spare, 1, func(a, b int64) int { return nanLast(-scores[a], -scores[b]) })
	if err != nil {
		return 0, err
	}
	work := 0
	for _, p := range order {
		if len(kept) == l.most || s.hasMin && !(scores[p] > l.least) {
			break
		}
		if work += 1 + len(kept); work >= chunk {
			if work = 0; ctx.Err() != nil {
				return 0, ctx.Err()
			}
		}
		if !s.covered(boxes, p, kept, l.overlap) {
			kept = append(kept, p)
		}
	}
	return len(kept), nil
}

// covered reports whether a box overlaps one that is kept by more than allowed.
func (s *suppression) covered(boxes []float32, p int64, kept []int64, allowed float32) bool {
	a := s.box(boxes[4*p:])
	for _, q := range kept {
		if a.overlap(s.box(boxes[4*q:])) > allowed {
			return true
		}
	}
	return false
}

// box is a rectangle by its least and greatest coordinates.
type box struct{ y1, x1, y2, x2 float32 }

func (s *suppression) box(v []float32) box {
	if s.centers { // x, y, width, height
		w, h := v[2]/2, v[3]/2
		return box{v[1] - h, v[0] - w, v[1] + h, v[0] + w}
	}
	return box{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
}

// overlap is the area that two boxes share, of the area that they cover
// together; 0 when either has none.
func (a box) overlap(b box) float32 {
	h, w := min(a.y2, b.y2)-max(a.y1, b.y1), min(a.x2, b.x2)-max(a.x1, b.x1)
	areaA, areaB := (a.y2-a.y1)*(a.x2-a.x1), (b.y2-b.y1)*(b.x2-b.x1)
	if !(h > 0 && w > 0 && areaA > 0 && areaB > 0) {
		return 0
	}
	return h * w / (areaA + areaB - h*w)
}
