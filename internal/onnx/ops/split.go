package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// splitToSequence is a parsed SplitToSequence.
type splitToSequence struct {
	mover
	axis int64
	// drop says that the axis, of extent 1, goes.
	drop bool
}

// parseSplitToSequence reads SplitToSequence (ai.onnx 11, 24).
func parseSplitToSequence(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	s := splitToSequence{axis: n.Int("axis", 0)}
	keep := n.Int("keepdims", 1) != 0
	s.drop = !n.Has(1) && !keep
	if n.err != nil {
		return nil
	}
	s.mover = movers[d]
	n.SetOut(0, onnx.SequenceOf(s.elem(n)))
	sizes := -1
	if n.Has(1) {
		if n.Elem(1, tensor.Int32, tensor.Int64) == tensor.Int32 {
			sizes = n.NeedScratch()
		}
	}
	return func(ctx context.Context, f *Frame) error {
		parts, scalar, err := splitSizes(f, sizes)
		if err != nil {
			return err
		}
		return s.run(ctx, f, parts, scalar)
	}
}

// elem returns the type of a part.
func (s *splitToSequence) elem(n *Node) onnx.Type {
	t := n.In[0].Type
	if !t.Ranked {
		return t
	}
	axis := axisIn(s.axis, len(t.Dims))
	if axis < 0 {
		n.Failf("axis %d is out of range for %d axes", s.axis, len(t.Dims))
		return t
	}
	t.Dims = slices.Clone(t.Dims)
	switch {
	case s.drop:
		t.Dims = slices.Delete(t.Dims, axis, axis+1)
	case !n.Has(1):
		t.Dims[axis] = tensor.Dim{Size: 1}
	default:
		t.Dims[axis] = free
	}
	return t
}

// splitSizes returns what input 1 says: the extents of all parts, or that of
// each when it is a scalar.
func splitSizes(f *Frame, scratch int) (sizes []int64, scalar bool, err error) {
	x := f.In(1)
	if x == nil {
		return nil, false, nil
	}
	if scratch < 0 {
		sizes = Input[int64](f, 1)
	} else {
		if sizes, err = Scratch[int64](f, scratch, x.Len()); err != nil {
			return nil, false, err
		}
		for i, v := range Input[int32](f, 1) {
			sizes[i] = int64(v)
		}
	}
	if len(x.Shape()) > 1 {
		return nil, false, shapeFault("split must be a scalar or have one axis", x.Shape())
	}
	return sizes, len(x.Shape()) == 0, nil
}

func (s *splitToSequence) run(ctx context.Context, f *Frame, sizes []int64, scalar bool) error {
	x := f.In(0)
	shape := x.Shape()
	axis := axisIn(s.axis, len(shape))
	if axis < 0 {
		return shapeFault("it has no such axis to split", shape)
	}
	extent := shape[axis]
	each, parts := 1, extent
	switch {
	case scalar:
		if sizes[0] < 1 {
			return fault.Newf(fault.Content, "split is %d; it must be 1 or more", sizes[0])
		}
		each = int(min(sizes[0], int64(max(1, extent))))
		parts = (extent + each - 1) / each
	case sizes != nil:
		parts = len(sizes)
		if err := fillParts(sizes, extent); err != nil {
			return err
		}
	}
	items, err := f.OutputList(0, tensor.KindSequence, parts)
	if err != nil {
		return err
	}
	from := 0
	for i := range items {
		if err := poll(ctx, i); err != nil {
			return err
		}
		length := min(each, extent-from)
		if sizes != nil && !scalar {
			length = int(sizes[i])
		}
		if items[i], err = s.part(ctx, f, x, axis, from, length); err != nil {
			return err
		}
		from += length
	}
	return nil
}

// fillParts proves that parts of sizes make up an extent.
func fillParts(sizes []int64, extent int) error {
	left := int64(extent)
	for _, v := range sizes {
		if v < 0 || v > left {
			return fault.Newf(fault.Content, "split does not make up the extent %d", extent)
		}
		left -= v
	}
	if left != 0 {
		return fault.Newf(fault.Content, "split does not make up the extent %d", extent)
	}
	return nil
}

// part returns the slices of x from from on, along an axis, as an element.
func (s *splitToSequence) part(ctx context.Context, f *Frame, x *tensor.Tensor, axis, from, length int) (*tensor.Tensor, error) {
	shape := x.Shape()
	f.dims = append(f.dims[:0], shape...)
	f.dims[axis] = length
	if s.drop {
		f.dims = slices.Delete(f.dims, axis, axis+1)
	}
	t, err := f.blank()
	if err == nil {
		err = f.budget.holding(func() error { return s.reset(f, t, f.dims) })
	}
	if err != nil {
		return nil, err
	}
	outer, inner := product(shape[:axis]), product(shape[axis+1:])
	v := f.view()
	v.from = from * inner
	v.add(outer, length*inner, shape[axis]*inner)
	v.add(length*inner, 1, 1)
	return t, s.walk(ctx, t, x, v)
}

// parseConcatFromSequence reads ConcatFromSequence (ai.onnx 11).
func parseConcatFromSequence(n *Node) Kernel {
	elem := n.Sequence(0)
	n.Need("axis")
	axis, fresh := n.Int("axis", 0), n.Int("new_axis", 0)
	if elem.Of != onnx.TensorType || fresh != 0 && fresh != 1 {
		n.Failf("it takes a sequence of tensors, and new_axis is 0 or 1")
	}
	if n.err != nil {
		return nil
	}
	out := onnx.UnrankedTensor(elem.Elem)
	if elem.Ranked {
		rank := len(elem.Dims) + int(fresh)
		if axisIn(axis, rank) < 0 {
			n.Failf("axis %d is out of range for %d axes", axis, rank)
			return nil
		}
		out = onnx.TensorOf(elem.Elem, freeDims(rank)...)
	}
	n.SetOut(0, out)
	m := movers[elem.Elem]
	return func(ctx context.Context, f *Frame) error { return concatItems(ctx, f, m, axis, int(fresh)) }
}

// concatItems puts the elements of a sequence together along an axis: one of
// theirs, or a new one.
func concatItems(ctx context.Context, f *Frame, m mover, axis int64, fresh int) error {
	items := f.Items(0)
	if len(items) == 0 {
		return fault.New(fault.Content, "an empty sequence cannot be concatenated")
	}
	first := items[0].Shape()
	along := axisIn(axis, len(first)+fresh)
	if along < 0 {
		return shapeFault("it has no such axis to concatenate on", first)
	}
	total := 0
	for i, t := range items {
		if err := poll(ctx, i); err != nil {
			return err
		}
		s := t.Shape()
		if len(s) != len(first) || !slices.Equal(s[:along], first[:along]) || !slices.Equal(s[along+1-fresh:], first[along+1-fresh:]) {
			return shapeFault("elements to concatenate differ", s)
		}
		if fresh == 1 {
			total++
		} else {
			total += s[along]
		}
	}
	f.dims = append(append(append(f.dims[:0], first[:along]...), total), first[along+1-fresh:]...)
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	outer, stride, at := product(f.dims[:along]), product(f.dims[along:]), 0
	for i, t := range items {
		block := t.Len() / outer
		for o := range outer {
			if err := poll(ctx, i+o); err != nil {
				return err
			}
			m.copy(f.out[0], o*stride+at, t, o*block, block)
		}
		at += block
	}
	return nil
}
