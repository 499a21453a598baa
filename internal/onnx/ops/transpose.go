package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// transposeOps gives elements another order.
var transposeOps = []Operator{
	{"", "Transpose", 1, one, one, parseTranspose},
	{"", "DepthToSpace", 1, one, one, parseDepthToSpace},
	{"", "SpaceToDepth", 1, one, one, parseSpaceToDepth},
	{"", "ReverseSequence", 10, two, one, parseReverseSequence},
}

// parseTranspose reads Transpose (ai.onnx 1, 13): axis k of the result is axis
// perm[k] of the input, and without perm the axes are reversed.
func parseTranspose(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	perm, given := n.Ints("perm"), n.Given("perm")
	if given && !permutes(perm) {
		n.Failf("perm %s does not name each axis once", onnx.FormatShape(perm))
	}
	t := &n.In[0].Type
	if given && t.Ranked && len(t.Dims) != len(perm) {
		n.Failf("perm has %d entries for %d axes", len(perm), len(t.Dims))
	}
	if n.err != nil {
		return nil
	}
	switch {
	case t.Ranked && !given:
		dims := slices.Clone(t.Dims)
		slices.Reverse(dims)
		moved(n, dims, true)
	case given:
		dims := freeDims(len(perm))
		for k, p := range perm {
			if t.Ranked {
				dims[k] = t.Dims[p]
			}
		}
		moved(n, dims, true)
	default:
		moved(n, nil, false)
	}
	if given && slices.IsSorted(perm) || t.Ranked && len(t.Dims) < 2 {
		n.SetAlias()
		return nil
	}
	return transpose(movers[d], perm, given)
}

// permutes reports whether perm has each number below its length once.
func permutes(perm []int64) bool {
	if len(perm) > maxRank {
		return false
	}
	var seen [maxRank]bool
	for _, p := range perm {
		if p < 0 || p >= int64(len(perm)) || seen[p] {
			return false
		}
		seen[p] = true
	}
	return true
}

func transpose(m mover, perm []int64, given bool) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if given && len(shape) != len(perm) {
			return shapeFault("perm is for another number of axes", shape)
		}
		source := func(k int) int {
			if given {
				return int(perm[k])
			}
			return len(shape) - 1 - k
		}
		f.dims = f.dims[:0]
		for k := range shape {
			f.dims = append(f.dims, shape[source(k)])
		}
		if err := m.output(f, 0, f.dims); err != nil {
			return err
		}
		v := f.view()
		v.over(f.dims)
		for k := range shape {
			v.axes[k].from = strideAt(shape, source(k))
		}
		return m.walk(ctx, f.out[0], f.In(0), v)
	}
}

// spaceBlocks is how DepthToSpace and SpaceToDepth exchange channels for space.
type spaceBlocks struct {
	size int
	// columnFirst is the mode CRD: a channel's block lies next to it.
	columnFirst bool
	toSpace     bool
}

// parseDepthToSpace reads DepthToSpace (ai.onnx 1, 11, 13), [N,C,H,W] to
// [N,C/b²,H·b,W·b].
func parseDepthToSpace(n *Node) Kernel { return parseBlocks(n, true, n.Version >= 11) }

// parseSpaceToDepth reads SpaceToDepth (ai.onnx 1, 13, 28), [N,C,H,W] to
// [N,C·b²,H/b,W/b].
func parseSpaceToDepth(n *Node) Kernel { return parseBlocks(n, false, n.Version >= 28) }

func parseBlocks(n *Node, toSpace, modes bool) Kernel {
	n.Need("blocksize")
	size := n.Int("blocksize", 1)
	b := spaceBlocks{toSpace: toSpace}
	if modes {
		mode := n.String("mode", "DCR")
		b.columnFirst = mode == "CRD"
		if mode != "DCR" && mode != "CRD" {
			n.Failf("mode must be DCR or CRD")
		}
	}
	if size < 1 || size > 1<<15 {
		n.Failf("blocksize %d is out of range", size)
	}
	d := n.Elem(0, anyElem...)
	if n.err != nil {
		return nil
	}
	b.size = int(size)
	dims := freeDims(4)
	if t := &n.In[0].Type; t.Ranked {
		if len(t.Dims) != 4 {
			n.Failf("input 0 has %d axes; it takes 4", len(t.Dims))
			return nil
		}
		dims[0] = t.Dims[0]
		if from, ok := sizes(t); ok {
			shape, err := b.shape(nil, from)
			if err != nil {
				n.Failf("%v", err)
				return nil
			}
			for k, v := range shape {
				dims[k].Size = v
			}
		}
	}
	moved(n, dims, true)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		var err error
		if f.dims, err = b.shape(f.dims[:0], f.In(0).Shape()); err != nil {
			return err
		}
		if err := m.output(f, 0, f.dims); err != nil {
			return err
		}
		v := f.view()
		b.view(v, f.In(0).Shape(), f.dims)
		return m.walk(ctx, f.out[0], f.In(0), v)
	}
}

// shape appends the shape of the result.
func (b spaceBlocks) shape(dst []int, from tensor.Shape) ([]int, error) {
	if len(from) != 4 {
		return dst, shapeFault("it must have the axes [N, C, H, W]", from)
	}
	s := b.size
	if b.toSpace {
		if from[1]%(s*s) != 0 {
			return dst, shapeFault("its channels do not make whole blocks", from)
		}
		return append(dst, from[0], from[1]/(s*s), from[2]*s, from[3]*s), nil
	}
	if from[2]%s != 0 || from[3]%s != 0 {
		return dst, shapeFault("its height and width do not make whole blocks", from)
	}
	return append(dst, from[0], from[1]*s*s, from[2]/s, from[3]/s), nil
}

// view walks over images, channels, rows and columns of the side that has the
// fewer channels, with a block's rows and columns as two axes more.
func (b spaceBlocks) view(v *view, from, to []int) {
	flat, deep := to, from
	if !b.toSpace {
		flat, deep = from, to
	}
	row := strideAt(deep, 1) // from one channel of the deep side to the next
	channel, step := row, row*flat[1]
	if b.columnFirst {
		channel, step = row*b.size*b.size, row
	}
	add := func(n, inFlat, inDeep int) {
		if b.toSpace {
			v.add(n, inFlat, inDeep)
		} else {
			v.add(n, inDeep, inFlat)
		}
	}
	add(flat[0], strideAt(flat, 0), strideAt(deep, 0))
	add(flat[1], strideAt(flat, 1), channel)
	add(deep[2], flat[3]*b.size, deep[3])
	add(b.size, flat[3], step*b.size)
	add(deep[3], b.size, 1)
	add(b.size, 1, step)
}

// parseReverseSequence reads ReverseSequence (ai.onnx 10): of each entry of the
// batch the first steps are reversed, as many as sequence_lens says.
func parseReverseSequence(n *Node) Kernel {
	batch, steps := n.Int("batch_axis", 1), n.Int("time_axis", 0)
	if batch+steps != 1 || batch < 0 || steps < 0 {
		n.Failf("batch_axis and time_axis must be 0 and 1, or 1 and 0")
	}
	d := n.Elem(0, anyElem...)
	lengths := integersOf(n, 1, int64Elem)
	n.Elem(1, int64Elem...)
	t := &n.In[0].Type
	if t.Ranked && len(t.Dims) < 2 {
		n.Failf("input 0 has %d axes; it needs 2 or more", len(t.Dims))
	}
	if n.err != nil {
		return nil
	}
	moved(n, t.Dims, t.Ranked)
	return reverseSequence(movers[d], lengths, int(batch), int(steps))
}

func reverseSequence(m mover, lengths integers, batch, steps int) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) < 2 {
			return shapeFault("it needs an axis of the batch and one of time", shape)
		}
		lens, err := lengths.of(f)
		if err != nil {
			return err
		}
		if len(lens) != shape[batch] {
			return fault.Newf(fault.Content, "there are %d lengths of sequences for a batch of %d", len(lens), shape[batch])
		}
		if err := m.output(f, 0, shape); err != nil || f.out[0].Len() == 0 {
			return err
		}
		for b, n := range lens {
			if n < 0 || n > int64(shape[steps]) {
				return fault.Newf(fault.Content, "sequence %d is to have %d steps of %d", b, n, shape[steps])
			}
			if err := poll(ctx, b); err != nil {
				return err
			}
			if err := reverseFirst(ctx, f, m, b*strideAt(shape, batch), int(n), steps); err != nil {
				return err
			}
		}
		return nil
	}
}

// reverseFirst copies one entry of the batch, which begins at the element at:
// n steps backwards and the others as they are.
func reverseFirst(ctx context.Context, f *Frame, m mover, at, n, steps int) error {
	shape := f.In(0).Shape()
	inner, stride, total := product(shape[2:]), strideAt(shape, steps), shape[steps]
	v := f.view()
	v.to, v.from = at, at+(n-1)*stride
	v.add(n, stride, -stride)
	v.add(inner, 1, 1)
	if err := m.walk(ctx, f.out[0], f.In(0), v); err != nil {
		return err
	}
	v = f.view()
	v.to, v.from = at+n*stride, at+n*stride
	v.add(total-n, stride, stride)
	v.add(inner, 1, 1)
	return m.walk(ctx, f.out[0], f.In(0), v)
}
