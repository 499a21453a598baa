package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// searchOps finds elements by their value.
var searchOps = []Operator{
	{"", "NonZero", 9, one, one, parseNonZero},
	{"", "Unique", 11, one, span{1, 4}, parseUnique},
}

// parseNonZero reads NonZero (ai.onnx 9, 13): the indices of the elements that
// are not zero, [rank, K].
func parseNonZero(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	if n.err != nil {
		return nil
	}
	rank := free
	if t := &n.In[0].Type; t.Ranked {
		rank.Size = len(t.Dims)
	}
	n.SetOut(0, onnx.TensorOf(tensor.Int64, rank, free))
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		x := f.In(0)
		shape, count := x.Shape(), 0
		if err := pieces(ctx, x.Len(), func(at, size int) { count += m.nonzero(x, at, at+size, nil) }); err != nil {
			return err
		}
		dst, err := Output[int64](f, 0, len(shape), count)
		if err != nil || len(dst) == 0 {
			return err
		}
		places := dst[len(dst)-count:] // the last row holds them until it is written
		found := 0
		if err := pieces(ctx, x.Len(), func(at, size int) { found += m.nonzero(x, at, at+size, places[found:]) }); err != nil {
			return err
		}
		for i, p := range places {
			if err := poll(ctx, i); err != nil {
				return err
			}
			left := uint32(p) //nolint:gosec // no tensor has more elements, and a short division is the faster one
			for k, extent := range slices.Backward(shape) {
				dst[k*count+i] = int64(left % uint32(extent)) //nolint:gosec // no extent is larger than all
				left /= uint32(extent)                        //nolint:gosec // no extent is larger than all
			}
		}
		return nil
	}
}

// unique finds the elements that differ, or the slices along an axis.
type unique struct {
	mover

	axis          int64
	whole, sorted bool
	order, spare  int // scratch
}

// parseUnique reads Unique (ai.onnx 11): the values, where each is first, which
// each element has, and how many have it.
func parseUnique(n *Node) Kernel {
	u := unique{axis: n.Int("axis", 0), whole: !n.Given("axis"), sorted: n.Int("sorted", 1) != 0}
	d := n.Elem(0, anyElem...)
	t := &n.In[0].Type
	k := 0
	if !u.whole {
		k = n.axisOf(u.axis, t)
	}
	if n.err != nil {
		return nil
	}
	movedAlong(n, k, u.whole)
	for i := 1; i < 4; i++ {
		n.SetOut(i, onnx.TensorOf(tensor.Int64, free))
	}
	u.mover, u.order, u.spare = movers[d], n.NeedScratch(), n.NeedScratch()
	return u.run
}

func (u *unique) run(ctx context.Context, f *Frame) error {
	x := f.In(0)
	lanes, k := slabs{n: x.Len(), outer: 1, inner: 1}, 0
	if !u.whole {
		shape := x.Shape()
		if k = axisIn(u.axis, len(shape)); k < 0 {
			return axisFault(u.axis, len(shape))
		}
		lanes = slabs{n: shape[k]}
		if x.Len() > 0 {
			lanes.outer, lanes.inner = product(shape[:k]), strideAt(shape, k)
		}
	}
	order, err := Scratch[int64](f, u.order, lanes.n)
	if err != nil {
		return err
	}
	spare, err := Scratch[int64](f, u.spare, lanes.n)
	if err != nil {
		return err
	}
	inverse, err := Output[int64](f, 2, lanes.n)
	if err != nil {
		return err
	}
	compare := func(a, b int64) int { return u.compareSlabs(ctx, x, lanes, a, b) }
	cost := max(1, lanes.outer*lanes.inner)
	if u.whole {
		err = u.sort(ctx, x, order, spare)
	} else {
		err = sortPlaces(ctx, order, spare, cost, compare)
	}
	if err != nil {
		return err
	}
	groups, work := 0, 0
	for i, p := range order {
		if work += cost; work >= chunk {
			if work = 0; ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if i == 0 || compare(order[i-1], p) != 0 {
			spare[groups] = p
			groups++
		}
		inverse[p] = int64(groups - 1)
	}
	if err := u.describe(ctx, f, inverse, spare[:groups], order); err != nil {
		return err
	}
	return u.values(ctx, f, k)
}

// describe writes outputs 1 and 3 from the group of each slab and the first
// slab of each group, and numbers the groups as they come up unless they are
// to be sorted. number is memory for that.
func (u *unique) describe(ctx context.Context, f *Frame, inverse, first, number []int64) error {
	indices, err := Output[int64](f, 1, len(first))
	if err != nil {
		return err
	}
	counts, err := Output[int64](f, 3, len(first))
	if err != nil {
		return err
	}
	clear(counts)
	next := int64(0)
	for i, g := range inverse {
		if err := poll(ctx, i); err != nil {
			return err
		}
		if first[g] == int64(i) {
			if number[g] = g; !u.sorted {
				number[g] = next
			}
			indices[number[g]] = int64(i)
			next++
		}
		inverse[i] = number[g]
		counts[number[g]]++
	}
	return nil
}

// values writes output 0: what is at the indices of output 1.
func (u *unique) values(ctx context.Context, f *Frame, k int) error {
	places := tensor.Of[int64](f.out[1])
	if !u.whole {
		f.dims = append(f.dims[:0], f.In(0).Shape()...)
		f.dims[k] = len(places)
		return gather(ctx, f, u.mover, k, places)
	}
	if err := u.output(f, 0, append(f.dims[:0], len(places))); err != nil {
		return err
	}
	return u.take(ctx, f.out[0], 0, f.In(0), 0, places, 1)
}

// slabs are the parts of a tensor that have one index along an axis.
type slabs struct{ n, outer, inner int }

// compareSlabs orders two slabs by their elements, one after the other. It
// gives up when ctx ends, which the caller then sees.
func (m *mover) compareSlabs(ctx context.Context, x *tensor.Tensor, s slabs, a, b int64) int {
	work := 0
	for o := range s.outer {
		base := o * s.n
		for q := range s.inner {
			if c := m.compare(x, (base+int(a))*s.inner+q, (base+int(b))*s.inner+q); c != 0 {
				return c
			}
			if work++; work%chunk == 0 && ctx.Err() != nil {
				return 0
			}
		}
	}
	return 0
}

// sortedRun is how many places are sorted by insertion.
const sortedRun = 8

// sortPlaces fills places with 0, 1, 2 … in the order that compare says; those
// that are equal stay in order. cost is how many elements one comparison looks
// at, and spare is memory for as many places.
func sortPlaces(ctx context.Context, places, spare []int64, cost int, compare func(a, b int64) int) error {
	for i := range places {
		if err := poll(ctx, i); err != nil {
			return err
		}
		places[i] = int64(i)
	}
	work := 0
	spend := func(n int) error {
		if work += n * cost; work < chunk {
			return nil
		}
		work = 0
		return ctx.Err()
	}
	for at := 0; at < len(places); at += sortedRun {
		part := places[at:min(at+sortedRun, len(places))]
		for i := 1; i < len(part); i++ {
			p, k := part[i], i
			for ; k > 0 && compare(part[k-1], p) > 0; k-- {
				part[k] = part[k-1]
			}
			part[k] = p
			if err := spend(i - k + 1); err != nil {
				return err
			}
		}
	}
	from, to := places, spare[:len(places)]
	for width := sortedRun; width < len(places); width *= 2 {
		for at := 0; at < len(places); at += 2 * width {
			middle, end := min(at+width, len(places)), min(at+2*width, len(places))
			if err := mergePlaces(to[at:end], from[at:middle], from[middle:end], compare, spend); err != nil {
				return err
			}
		}
		from, to = to, from
	}
	if len(places) > 0 && &from[0] != &places[0] {
		copy(places, from)
	}
	return nil
}

func mergePlaces(dst, a, b []int64, compare func(a, b int64) int, spend func(n int) error) error {
	for k := range dst {
		switch {
		case len(b) == 0:
			copy(dst[k:], a)
			return nil
		case len(a) == 0:
			copy(dst[k:], b)
			return nil
		case compare(a[0], b[0]) <= 0:
			dst[k], a = a[0], a[1:]
		default:
			dst[k], b = b[0], b[1:]
		}
		if err := spend(1); err != nil {
			return err
		}
	}
	return nil
}
