package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// shapeOps changes shapes and puts tensors together.
var shapeOps = []Operator{
	{"", "Concat", 1, span{1, variadic}, one, parseConcat},
	{"", "Reshape", 1, one, one, parseReshapeAttribute},
	{"", "Reshape", 5, two, one, parseReshape},
	{"", "Flatten", 1, one, one, parseFlatten},
	{"", "Squeeze", 1, one, one, parseSqueeze},
	{"", "Squeeze", 13, span{1, 2}, one, parseSqueeze},
	{"", "Unsqueeze", 1, one, one, parseUnsqueeze},
	{"", "Unsqueeze", 13, two, one, parseUnsqueeze},
}

// axisIn returns the axis that a, negative from the end, means in a tensor of
// the given rank, or -1 when it is out of range.
func axisIn(a int64, rank int) int {
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return -1
	}
	return int(a)
}

// product returns the number of elements over the given axes.
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// shapeFault is the error of extents that only a run can know to be wrong.
func shapeFault(what string, shape tensor.Shape) error {
	return fault.Newf(fault.Content, "an input of shape %s does not fit: %s", onnx.FormatShape(shape), what)
}

// sizes returns dims as extents when all are fixed.
func sizes(t *onnx.Type) ([]int, bool) {
	if !t.Ranked {
		return nil, false
	}
	out := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		if d.Size < 0 {
			return nil, false
		}
		out[i] = d.Size
	}
	return out, true
}

// free is an extent of which nothing is known.
var free = tensor.Dim{Size: -1}

func freeDims(rank int) []tensor.Dim {
	return slices.Repeat([]tensor.Dim{free}, rank)
}

// parseConcat reads Concat (ai.onnx 1, 4, 11, 13).
func parseConcat(n *Node) Kernel {
	if n.Version >= 4 {
		n.Need("axis")
	}
	axis := n.Int("axis", 1)
	d := n.Elem(0, anyElem...)
	out := n.In[0].Type
	out.Dims = slices.Clone(out.Dims)
	for i := 1; i < len(n.In); i++ {
		if e := n.Elem(i, anyElem...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
		joinTypes(n, &out, &n.In[i].Type, axis, i)
	}
	if out.Ranked && axisIn(axis, len(out.Dims)) < 0 {
		n.Failf("axis %d is out of range for %d axes", axis, len(out.Dims))
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, out)
	if out.Ranked && n.setExtents(joinedExtents(n), len(out.Dims)) {
		return nil
	}
	return concat(movers[d], axis)
}

// joinedExtents returns what is known of vectors of extents behind each other.
func joinedExtents(n *Node) []Extent {
	var all []Extent
	for i := range n.In {
		e := n.extents(i)
		if e == nil || len(all)+len(e) > maxRank {
			return nil
		}
		all = append(all, e...)
	}
	return all
}

// joinTypes adds input i's extent along axis to out, and learns from it what
// out does not know of the others.
func joinTypes(n *Node, out, in *onnx.Type, axis int64, i int) {
	switch {
	case !out.Ranked || !in.Ranked:
		*out = onnx.UnrankedTensor(out.Elem)
		return
	case len(out.Dims) != len(in.Dims):
		n.Failf("input %d has %d axes, input 0 has %d; they must agree", i, len(in.Dims), len(out.Dims))
		return
	}
	along := axisIn(axis, len(out.Dims))
	for k := range out.Dims {
		a, b := &out.Dims[k], in.Dims[k]
		switch {
		case k == along && (a.Size < 0 || b.Size < 0):
			*a = free
		case k == along:
			*a = tensor.Dim{Size: a.Size + b.Size}
		case a.Size < 0 && b.Size >= 0:
			*a = b
		case a.Size >= 0 && b.Size >= 0 && a.Size != b.Size:
			n.Failf("input %d has extent %d on axis %d, input 0 has %d; they must agree", i, b.Size, k, a.Size)
		}
	}
}

func concat(m mover, axis int64) Kernel {
	return func(ctx context.Context, f *Frame) error {
		first := f.In(0).Shape()
		along := axisIn(axis, len(first))
		if along < 0 {
			return shapeFault("it has no such axis to concatenate on", first)
		}
		shape := append(f.dims[:0], first...)
		for i := 1; i < f.Inputs(); i++ {
			s := f.In(i).Shape()
			if len(s) != len(first) {
				return shapeFault("inputs to concatenate differ in rank", s)
			}
			for k, v := range s {
				if k == along {
					shape[k] += v
				} else if v != shape[k] {
					return shapeFault("inputs to concatenate differ in another axis", s)
				}
			}
		}
		f.dims = shape
		if err := m.output(f, 0, shape); err != nil {
			return err
		}
		return interleave(ctx, f, m, along)
	}
}

// interleave copies the inputs' blocks behind each other, outer index by outer
// index.
func interleave(ctx context.Context, f *Frame, m mover, along int) error {
	if f.out[0].Len() == 0 {
		return nil // there may be any number of empty blocks
	}
	outer, stride, at := product(f.dims[:along]), product(f.dims[along:]), 0
	for i := range f.Inputs() {
		in := f.In(i)
		block := product(in.Shape()[along:])
		if outer == 1 {
			if err := m.move(ctx, f.out[0], at, in, 0, block); err != nil {
				return err
			}
			at += block
			continue
		}
		v := f.view()
		v.to = at
		v.add(outer, stride, block)
		v.add(block, 1, 1)
		if err := m.walk(ctx, f.out[0], in, v); err != nil {
			return err
		}
		at += block
	}
	return nil
}

// parseReshape reads Reshape (ai.onnx 5, 14), whose shape is an input.
func parseReshape(n *Node) Kernel {
	allowZero := n.Version >= 14 && n.Int("allowzero", 0) != 0
	d := n.Elem(0, anyElem...)
	want, known := n.Ints64(1)
	if n.err != nil {
		return nil
	}
	if known {
		return reshapeTo(n, d, want, allowZero)
	}
	out := onnx.UnrankedTensor(d)
	if s := n.In[1].Type; s.Ranked && len(s.Dims) == 1 && s.Dims[0].Size >= 0 && s.Dims[0].Size <= maxRank {
		out = onnx.TensorOf(d, freeDims(s.Dims[0].Size)...)
	}
	if e := n.extents(1); e != nil && len(out.Dims) == len(e) {
		for i, x := range e {
			if out.Dims[i] = x.dim(); x.Value == 0 && !allowZero { // taken over from the input
				out.Dims[i] = free
			}
		}
	}
	n.SetOut(0, out)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		return reshape(ctx, f, m, Input[int64](f, 1), allowZero)
	}
}

// maxRank bounds the axes that a shape made from values may have.
const maxRank = 32

// parseReshapeAttribute reads Reshape (ai.onnx 1), whose shape is an attribute.
func parseReshapeAttribute(n *Node) Kernel {
	n.Ignore("consumed_inputs")
	d := n.Elem(0, anyElem...)
	want := n.Ints("shape")
	if n.err != nil {
		return nil
	}
	return reshapeTo(n, d, want, false)
}

// reshapeTo is the kernel for a shape known at compile time: none when the
// input has it already.
func reshapeTo(n *Node, d tensor.DType, want []int64, allowZero bool) Kernel {
	if !validShape(want) {
		n.Failf("the shape %s is not valid: extents are 0 or more, one may be -1, and there are at most %d", onnx.FormatShape(want), maxRank)
		return nil
	}
	in := &n.In[0].Type
	dims := make([]tensor.Dim, len(want))
	for i, v := range want {
		dims[i].Size = int(v)
		if v == 0 && !allowZero {
			dims[i] = free
			if in.Ranked && i < len(in.Dims) {
				dims[i] = in.Dims[i]
			}
		}
	}
	if from, ok := sizes(in); ok {
		shape, err := resolveShape(nil, want, from, allowZero)
		if err != nil {
			n.Failf("%v", err)
			return nil
		}
		for i, v := range shape {
			dims[i] = tensor.Dim{Size: v}
		}
		if slices.Equal(shape, from) {
			n.SetAlias()
			return nil
		}
	}
	n.SetOut(0, onnx.TensorOf(d, dims...))
	m := movers[d]
	return func(ctx context.Context, f *Frame) error { return reshape(ctx, f, m, want, allowZero) }
}

func validShape(want []int64) bool {
	open := 0
	for _, v := range want {
		if v < -1 || v > tensor.MaxElements {
			return false
		}
		if v == -1 {
			open++
		}
	}
	return open <= 1 && len(want) <= maxRank
}

// resolveShape appends the extents that want means for an input of the given
// shape: 0 takes the input's own (unless allowZero), and -1 what is left. An
// open extent is what the axes that are not taken over leave, so that no rows
// have columns all the same.
func resolveShape(dst []int, want []int64, from tensor.Shape, allowZero bool) ([]int, error) {
	if !validShape(want) {
		return nil, shapeFault("it cannot be reshaped to extents that are not valid", from)
	}
	open, fixed, left := -1, 1, 1
	for i, v := range want {
		switch {
		case v == -1:
			open, v = i, 1
		case v == 0 && !allowZero:
			if i >= len(from) {
				return nil, shapeFault("it has no axis to take an extent from", from)
			}
			v = int64(from[i])
		default:
			fixed *= int(v)
		}
		dst = append(dst, int(v))
	}
	if open >= 0 {
		for i, n := range from {
			if i >= len(want) || want[i] != 0 || allowZero {
				left *= n
			}
		}
		if fixed == 0 || left%fixed != 0 {
			return nil, shapeFault("its elements do not fill the shape that it is to have", from)
		}
		dst[open] = left / fixed
	}
	total, err := from.Elements()
	if err != nil {
		return nil, err
	}
	if have, err := tensor.Shape(dst).Elements(); err != nil || have != total {
		return nil, shapeFault("its elements do not fill the shape that it is to have", from)
	}
	return dst, nil
}

func reshape(ctx context.Context, f *Frame, m mover, want []int64, allowZero bool) error {
	x := f.In(0)
	shape, err := resolveShape(f.dims[:0], want, x.Shape(), allowZero)
	if err != nil {
		return err
	}
	f.dims = shape
	return copyAs(ctx, f, m, shape)
}

// copyAs copies input 0 to output 0 with another shape of as many elements.
func copyAs(ctx context.Context, f *Frame, m mover, shape []int) error {
	if err := m.output(f, 0, shape); err != nil {
		return err
	}
	return m.move(ctx, f.out[0], 0, f.In(0), 0, f.In(0).Len())
}
