package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// fit says how the inputs of an operator are brought to one shape. The zero
// value is ONNX's multidirectional broadcasting.
type fit struct {
	mode fitMode
	// axis of the first input is where the other one's axes begin; -1 when
	// both end together.
	axis int64
}

type fitMode uint8

const (
	// bothWays repeats either input, as NumPy does.
	bothWays fitMode = iota
	// toFirst repeats the others only: the result has the shape of input 0.
	toFirst
	// alike demands inputs of one shape.
	alike
)

// parseFit reads how the inputs fit. Before version 7 of the operator set that
// was an attribute, and another one said at which axis.
func parseFit(n *Node) fit {
	if n.Version >= 7 {
		return fit{axis: -1}
	}
	n.Ignore("consumed_inputs")
	axis := n.Int("axis", -1)
	if n.Int("broadcast", 0) == 0 {
		return fit{mode: alike, axis: -1}
	}
	return fit{mode: toFirst, axis: axis}
}

// behind returns how many axes of the first input, whose rank is given, stand
// behind the last one of another.
func (m fit) behind(rank int, other *tensor.Tensor) int {
	if m.axis < 0 || other.Len() == 1 {
		return 0
	}
	return rank - int(min(m.axis, 1<<16)) - len(other.Shape())
}

// shape returns the shape of the result, in the memory of the frame or of its
// inputs: it is good until the next call of Scratch, and not to be changed. It begins the work of a kernel: what stretches
// the frame held is forgotten.
func (m fit) shape(f *Frame) (tensor.Shape, error) {
	f.stretched = f.stretched[:0]
	first := f.In(0).Shape()
	if m.axis < 0 && f.Inputs() == 2 && endsLike(first, f.In(1).Shape(), m.mode == alike) {
		return first, nil // the usual case, and a fast one
	}
	shape := append(f.dims[:0], first...)
	for i := 1; i < f.Inputs(); i++ {
		s := f.In(i).Shape()
		var ok bool
		if shape, ok = extend(shape, s, m.behind(len(first), f.In(i))); !ok || m.mode == alike && !slices.Equal(s, first) {
			return nil, shapeFault("it cannot be broadcast to the other input's shape", s)
		}
	}
	f.dims = shape
	if m.mode != bothWays && !slices.Equal(shape, first) {
		return nil, shapeFault("the other inputs cannot be broadcast to its shape", first)
	}
	return shape, nil
}

// endsLike reports whether a tensor of shape s is one of the first shape when it is
// repeated along axes where it has one element or none; exactly asks that nothing be
// repeated.
func endsLike(first, s tensor.Shape, exactly bool) bool {
	before := len(first) - len(s)
	if before < 0 || exactly && before > 0 {
		return false
	}
	for k, v := range s {
		if v != first[before+k] && (exactly || v != 1) {
			return false
		}
	}
	return true
}

// outType returns the type of the result as far as it is known, with elements
// of type d.
func (m fit) outType(n *Node, d tensor.DType) onnx.Type {
	if m.mode == bothWays {
		return broadcastTypes(n, d)
	}
	out := n.In[0].Type
	out.Elem = d
	return out
}

// keepsFirst reports whether the result has the shape of input 0, whatever rows that has.
func (m fit) keepsFirst(n *Node) bool {
	first := &n.In[0].Type
	for i := range n.In[1:] {
		t := &n.In[i+1].Type
		if m.mode != bothWays || !first.Ranked || !t.Ranked || len(t.Dims) > len(first.Dims) {
			return false
		}
		for k := 1; k <= len(t.Dims); k++ {
			if d := dimFromEnd(t.Dims, k).Size; d != 1 && (d < 0 || d != dimFromEnd(first.Dims, k).Size) {
				return false
			}
		}
	}
	return true
}

// broadcastTypes returns the type of the result of all inputs by ONNX's
// multidirectional broadcasting, as far as it is known.
func broadcastTypes(n *Node, d tensor.DType) onnx.Type {
	out := n.In[0].Type
	for i := range n.In[1:] {
		out = broadcastType(n, &out, &n.In[i+1].Type)
	}
	out.Elem = d
	return out
}

func broadcastType(n *Node, a, b *onnx.Type) onnx.Type {
	if !a.Ranked || !b.Ranked {
		return onnx.UnrankedTensor(a.Elem)
	}
	rank := max(len(a.Dims), len(b.Dims))
	dims := make([]tensor.Dim, rank)
	for k := range rank {
		x, y := dimFromEnd(a.Dims, rank-k), dimFromEnd(b.Dims, rank-k)
		switch {
		case x.Size == 1:
			dims[k] = y
		case y.Size == 1 || x == y:
			dims[k] = x
		case x.Size >= 0 && y.Size >= 0:
			n.Failf("shapes %s and %s cannot be broadcast to each other", onnx.FormatDims(a.Dims), onnx.FormatDims(b.Dims))
		case x.Size > 1:
			dims[k] = x
		case y.Size > 1:
			dims[k] = y
		default:
			dims[k] = free
		}
	}
	return onnx.TensorOf(a.Elem, dims...)
}

// dimFromEnd returns the k-th extent from the end, 1 where there is none.
func dimFromEnd(dims []tensor.Dim, k int) tensor.Dim {
	if k > len(dims) {
		return tensor.Dim{Size: 1}
	}
	return dims[len(dims)-k]
}

// fromEnd returns the k-th extent from the end, 1 where there is none.
func fromEnd(shape tensor.Shape, k int) int {
	if k < 1 || k > len(shape) {
		return 1
	}
	return shape[len(shape)-k]
}

// broadcast returns the shape of the result of two inputs, in dst's memory, and
// reports whether there is one.
func broadcast(dst []int, a, b tensor.Shape) ([]int, bool) {
	return extend(append(dst[:0], a...), b, 0)
}

// extend changes shape to what it has in common with s, whose axes end as many
// before shape's as behind says. It reports whether there is such a shape.
func extend(shape []int, s tensor.Shape, behind int) ([]int, bool) {
	if behind < 0 {
		return shape, false
	}
	for len(shape) < len(s)+behind {
		shape = slices.Insert(shape, 0, 1)
	}
	for k, v := range s {
		at := &shape[len(shape)-len(s)-behind+k]
		switch {
		case *at == 1:
			*at = v
		case v != 1 && v != *at:
			return shape, false
		}
	}
	return shape, true
}

// blockSize is how many elements are computed at a time: few enough that
// repeated inputs stay in the processor's nearest memory, and that a look at
// ctx in between comes soon whatever one element costs.
const blockSize = 1024

// chunk is how many elements are computed between two looks at ctx where each
// costs little.
const chunk = 1 << 16

// stretch gives the elements of an input in the order of a result to whose shape
// it is broadcast. It is opened once, and then asked for the next few until all
// are given.
type stretch[T tensor.Element] struct {
	src   []T
	whole bool // nothing is repeated
	block []T  // where what is repeated is put
	// period is after how many elements the block begins again; 0 when it is
	// filled for each piece.
	period int
	at     int
	// axes are those of the result from the innermost on, without extents of 1;
	// neighbours that are both repeated, or both not, are one.
	axes []stretchAxis
}

// stretchAxis is one axis of a stretch: step is how far apart its elements are in src, 0
// when one is repeated.
type stretchAxis struct{ extent, step, index int }

// open begins a stretch of src, of shape own, as a result of the given shape, with
// behind as in extend. Its memory is the scratch tensor, when it needs any.
func (v *stretch[T]) open(f *Frame, scratch int, src []T, own, shape tensor.Shape, behind int) error {
	total := product(shape)
	if v.src = src; len(src) == total {
		v.whole = true
		return nil
	}
	v.lay(f, own, shape, behind)
	room := min(total, blockSize)
	switch {
	case len(v.axes) == 1: // one element for all
		v.period = 1
	case len(v.axes) == 2 && v.axes[0].step != 0 && v.axes[0].extent <= blockSize: // one row for all
		v.period = v.axes[0].extent
	}
	var err error
	if v.block, err = Scratch[T](f, scratch, room+v.period); err == nil && v.period > 0 {
		v.fill(v.block)
		v.at = 0
	}
	return err
}

// lay finds the axes, which are in the frame's memory.
func (v *stretch[T]) lay(f *Frame, own, shape tensor.Shape, behind int) {
	from, step := len(f.stretched), 1
	for k := 1; k <= len(shape); k++ {
		extent, mine := fromEnd(shape, k), fromEnd(own, k-behind)
		if extent == 1 {
			continue
		}
		a := stretchAxis{extent: extent}
		if mine != 1 {
			a.step = step
			step *= mine
		}
		if n := len(f.stretched); n > from && (f.stretched[n-1].step == 0) == (a.step == 0) {
			f.stretched[n-1].extent *= extent
			continue
		}
		f.stretched = append(f.stretched, a)
	}
	v.axes = f.stretched[from:]
}

// next returns the next n elements, at most blockSize. They are good until the
// next call, and not to be changed.
func (v *stretch[T]) next(n int) []T {
	switch {
	case v.whole:
		piece := v.src[v.at : v.at+n]
		v.at += n
		return piece
	case v.period > 0:
		piece := v.block[v.at : v.at+n]
		v.at = (v.at + n) % v.period
		return piece
	}
	v.fill(v.block[:n])
	return v.block[:n]
}

func (v *stretch[T]) fill(dst []T) {
	inner := &v.axes[0]
	for len(dst) > 0 {
		n := min(inner.extent-inner.index, len(dst))
		if inner.step == 0 {
			fillWith(dst[:n], v.src[v.at])
		} else {
			copy(dst[:n], v.src[v.at+inner.index:])
		}
		dst = dst[n:]
		if inner.index += n; inner.index == inner.extent {
			inner.index = 0
			v.carry()
		}
	}
}

// carry goes to the next row.
func (v *stretch[T]) carry() {
	for k := 1; k < len(v.axes); k++ {
		a := &v.axes[k]
		v.at += a.step
		if a.index++; a.index < a.extent {
			return
		}
		v.at -= a.extent * a.step
		a.index = 0
	}
}

func fillWith[T any](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}

// row computes a few elements of a result from as many of each input. It
// reports false for a division of integers by zero.
type row[A, B, D any] func(dst []D, a []A, b []B) bool

// binary returns the kernel of an operator that computes with two tensors,
// element by element.
func binary[A, B, D tensor.Element](n *Node, m fit, op row[A, B, D]) Kernel {
	second := func(_ context.Context, f *Frame) ([]B, error) { return Input[B](f, 1), nil }
	return binaryWith(n, m, second, op)
}

// binaryWith is binary with another way to come by the elements of input 1.
func binaryWith[A, B, D tensor.Element](n *Node, m fit, second func(context.Context, *Frame) ([]B, error), op row[A, B, D]) Kernel {
	sa, sb := n.NeedScratch(), n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		shape, err := m.shape(f)
		if err != nil {
			return err
		}
		dst, err := Output[D](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		x := Input[A](f, 0)
		y, err := second(ctx, f)
		if err != nil {
			return err
		}
		if len(x) == len(dst) && len(y) == len(dst) && len(dst) <= blockSize { // nothing is repeated
			if !op(dst, x, y) {
				return errZero
			}
			return nil
		}
		shape = f.out[0].Shape()
		var a stretch[A]
		if err := a.open(f, sa, x, f.In(0).Shape(), shape, 0); err != nil {
			return err
		}
		var b stretch[B]
		if err := b.open(f, sb, y, f.In(1).Shape(), shape, m.behind(len(shape), f.In(1))); err != nil {
			return err
		}
		return inBlocks(ctx, len(dst), func(at, end int) error {
			if !op(dst[at:end], a.next(end-at), b.next(end-at)) {
				return errZero
			}
			return nil
		})
	}
}

// inBlocks computes n elements a few at a time, and looks at ctx in between.
func inBlocks(ctx context.Context, n int, compute func(at, end int) error) error {
	for at := 0; at < n; at += blockSize {
		end := min(at+blockSize, n)
		if err := compute(at, end); err != nil {
			return err
		}
		if end < n && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
