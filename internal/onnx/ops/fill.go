package ops

import (
	"context"
	"math"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// fillOps makes tensors by a rule.
var fillOps = []Operator{
	{"", "ConstantOfShape", 9, one, one, parseConstantOfShape},
	{"", "Range", 11, span{3, 3}, one, parseRange},
	{"", "EyeLike", 9, one, one, parseEyeLike},
	{"", "OneHot", 9, span{3, 3}, one, parseOneHot},
	{"", "Trilu", 14, span{1, 2}, one, parseTrilu},
}

// constantScalar returns a scalar of type d, which is no string.
func constantScalar(d tensor.DType, v float64) *tensor.Tensor {
	from, to := &tensor.Tensor{}, &tensor.Tensor{}
	tensor.Reset[float64](from)[0] = v
	if d == tensor.Float64 {
		return from
	}
	budget := Budget{Left: 1 << 10}
	f := NewFrame([]*tensor.Tensor{from}, []*tensor.Tensor{to}, 0, &budget)
	if k := castKernel(tensor.Float64, d); k == nil || k(context.Background(), &f) != nil {
		return nil
	}
	return to
}

// parseConstantOfShape reads ConstantOfShape (ai.onnx 9, 20): the shape is
// input 0, [rank].
func parseConstantOfShape(n *Node) Kernel {
	value := n.Tensor("value")
	if value == nil {
		value = constantScalar(tensor.Float32, 0)
	}
	if value.Len() != 1 || !value.DType().Valid() || value.DType() == tensor.String {
		n.Failf("attribute \"value\" must hold one number")
	}
	n.Elem(0, int64Elem...)
	want := integersOf(n, 0, int64Elem)
	if n.err != nil {
		return nil
	}
	d := value.DType()
	n.SetOut(0, onnx.UnrankedTensor(d))
	if count := want.count(n); count >= 0 && count <= maxRank {
		n.SetOut(0, onnx.TensorOf(d, freeDims(count)...))
	}
	if e := n.extents(0); e != nil && len(e) == len(n.Out[0].Type.Dims) {
		for i, x := range e {
			n.Out[0].Type.Dims[i] = x.dim()
		}
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape, err := want.of(f)
		if err != nil {
			return err
		}
		if err := checkExtents(shape); err != nil {
			return err
		}
		f.dims = f.dims[:0]
		for _, v := range shape {
			f.dims = append(f.dims, int(v))
		}
		if err := m.output(f, 0, f.dims); err != nil {
			return err
		}
		return m.fill(ctx, f, value)
	}
}

// parseRange reads Range (ai.onnx 11, 27): start, start + delta and so on,
// before limit.
func parseRange(n *Node) Kernel {
	allowed := []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int16, tensor.Int32, tensor.Int64}
	wide := false
	if n.Version >= 27 {
		allowed = append(allowed, tensor.Half)
		stash := n.Int("stash_type", int64(tensor.Float32))
		wide = stash == int64(tensor.Float64)
		if stash != int64(tensor.Float32) && !wide {
			n.Failf("stash_type %d is neither float32 nor float64", stash)
		}
	}
	d := n.Elem(0, allowed...)
	for i := 1; i < 3; i++ {
		n.Elem(i, d)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.TensorOf(d, free))
	switch {
	case d == tensor.Float32:
		return realRange(unchanged[float32], unchanged[float32])
	case d == tensor.Float64:
		return realRange(unchanged[float64], unchanged[float64])
	case d == tensor.Int16:
		return wholeRange[int16]
	case d == tensor.Int32:
		return wholeRange[int32]
	case d == tensor.Int64:
		return wholeRange[int64]
	case wide:
		return realRange(
			func(h tensor.Float16) float64 { return float64(fromHalf(h)) }, func(x float64) tensor.Float16 { return toHalf(float32(x)) })
	}
	return realRange(fromHalf, toHalf)
}

func unchanged[T any](v T) T { return v }

// soleElement returns the element of an input that must have one.
func soleElement[T tensor.Element](f *Frame, i int) (T, error) {
	v := Input[T](f, i)
	if len(v) != 1 {
		var zero T
		return zero, shapeFault("a scalar is needed", f.In(i).Shape())
	}
	return v[0], nil
}

// rangeEnds returns start, limit and delta.
func rangeEnds[T tensor.Element](f *Frame) (b [3]T, err error) {
	for i := range b {
		if b[i], err = soleElement[T](f, i); err != nil {
			return b, err
		}
	}
	return b, nil
}

var errRange = fault.New(fault.Content, "start, limit and delta must be finite numbers, and delta must not be 0")

// realRange is Range over floats of T, computed in C.
func realRange[T tensor.Element, C floating](widen func(T) C, narrow func(C) T) Kernel {
	return func(ctx context.Context, f *Frame) error {
		b, err := rangeEnds[T](f)
		if err != nil {
			return err
		}
		start, limit, delta := widen(b[0]), widen(b[1]), widen(b[2])
		count := math.Ceil(float64(limit-start) / float64(delta))
		if delta == 0 || math.IsNaN(count) || math.IsInf(count, 1) {
			return errRange
		}
		dst, err := Output[T](f, 0, int(min(max(count, 0), tensor.MaxElements+1)))
		if err != nil {
			return err
		}
		for i := range dst {
			if err := poll(ctx, i); err != nil {
				return err
			}
			dst[i] = narrow(start + C(i)*delta)
		}
		return nil
	}
}

func wholeRange[T int16 | int32 | int64](ctx context.Context, f *Frame) error {
	b, err := rangeEnds[T](f)
	if err != nil {
		return err
	}
	start, limit, delta := int64(b[0]), int64(b[1]), int64(b[2])
	if delta == 0 {
		return errRange
	}
	count := 0
	if delta > 0 && limit > start || delta < 0 && limit < start {
		way, step := distance(start, limit), distance(0, delta)
		count = int(min((way-1)/step+1, tensor.MaxElements+1))
	}
	dst, err := Output[T](f, 0, count)
	if err != nil {
		return err
	}
	for i := range dst {
		if err := poll(ctx, i); err != nil {
			return err
		}
		dst[i] = T(start + int64(i)*delta)
	}
	return nil
}

// distance returns how far apart two numbers are, which may exceed an int64.
func distance(a, b int64) uint64 {
	return uint64(max(a, b)) - uint64(min(a, b)) //nolint:gosec // modulo 2^64 the difference is right
}

// parseEyeLike reads EyeLike (ai.onnx 9): ones on diagonal k of a matrix like
// input 0.
func parseEyeLike(n *Node) Kernel {
	k := n.Int("k", 0)
	d := n.Elem(0, append([]tensor.DType{tensor.Bool}, numericElem...)...)
	if n.Given("dtype") {
		d = tensor.Undefined
		if v := n.Int("dtype", 0); v > 0 && v < 255 {
			d = tensor.DType(v)
		}
		if !d.Valid() || d == tensor.String {
			n.Failf("attribute \"dtype\" asks for an element type that is not supported")
		}
	}
	if t := &n.In[0].Type; t.Ranked && len(t.Dims) != 2 {
		n.Failf("input 0 has %d axes; it takes 2", len(t.Dims))
	}
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = d
	n.SetOut(0, out)
	m, unit := movers[d], constantScalar(d, 1)
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) != 2 {
			return shapeFault("a matrix is needed", shape)
		}
		if err := m.output(f, 0, shape); err != nil {
			return err
		}
		if err := m.zero(ctx, f.out[0], 0, f.out[0].Len()); err != nil {
			return err
		}
		rows, columns := shape[0], shape[1]
		first := int(min(max(k, -int64(rows)), int64(columns))) // the column of row 0
		v := f.view()
		v.to = max(first, 0) + max(-first, 0)*columns
		v.add(min(rows-max(-first, 0), columns-max(first, 0)), columns+1, 0)
		return m.walk(ctx, f.out[0], unit, v)
	}
}

// oneHotFill is an axis of depth elements, of which one has another value.
type oneHotFill struct {
	axis           int64
	indices, depth integers
	wraps          bool // negative indices count from the end
	places         int  // scratch
}

// parseOneHot reads OneHot (ai.onnx 9, 11): values are [off, on].
func parseOneHot(n *Node) Kernel {
	for i := range 2 {
		n.Elem(i, numericElem...)
	}
	h := oneHotFill{
		axis: n.Int("axis", -1), indices: integersOf(n, 0, numericElem), depth: integersOf(n, 1, numericElem),
		wraps: n.Version >= 11, places: n.NeedScratch(),
	}
	d := n.Elem(2, anyElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.UnrankedTensor(d))
	if t := &n.In[0].Type; t.Ranked {
		k := axisIn(h.axis, len(t.Dims)+1)
		if k < 0 {
			n.Failf("axis %d is out of range for %d axes", h.axis, len(t.Dims)+1)
			return nil
		}
		dims := append(append(freeDims(0), t.Dims[:k]...), free)
		if depth, ok := h.depth.oneKnown(); ok && depth > 0 && depth <= tensor.MaxElements {
			dims[k].Size = int(depth)
		}
		n.SetOut(0, onnx.TensorOf(d, append(dims, t.Dims[k:]...)...))
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error { return h.run(ctx, f, m) }
}

func (h *oneHotFill) run(ctx context.Context, f *Frame, m mover) error {
	shape, values := f.In(0).Shape(), f.In(2)
	k := axisIn(h.axis, len(shape)+1)
	if k < 0 {
		return axisFault(h.axis, len(shape)+1)
	}
	if err := rankFault(len(shape) + 1); err != nil {
		return err
	}
	depth, err := h.depth.one(f, "the depth")
	if err != nil {
		return err
	}
	if depth <= 0 || depth > tensor.MaxElements {
		return fault.Newf(fault.Content, "a depth of %d is out of range; it must be 1 or more", depth)
	}
	if values.Len() != 2 {
		return shapeFault("values must be the two of off and on", values.Shape())
	}
	f.dims = append(append(append(f.dims[:0], shape[:k]...), int(depth)), shape[k:]...)
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	if err := m.fill(ctx, f, values); err != nil {
		return err
	}
	index, err := h.indices.of(f)
	if err != nil {
		return err
	}
	places, err := Scratch[int64](f, h.places, len(index))
	if err != nil {
		return err
	}
	inner, found := product(shape[k:]), 0
	for i, p := range index {
		if err := poll(ctx, i); err != nil {
			return err
		}
		if h.wraps && p < 0 {
			p += depth
		}
		if p >= 0 && p < depth {
			places[found] = (int64(i/inner)*depth+p)*int64(inner) + int64(i%inner)
			found++
		}
	}
	for at := 0; at < found; at += chunk {
		if at > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		m.put(f.out[0], places[at:min(at+chunk, found)], values, 1, 0, 1)
	}
	return nil
}

// parseTrilu reads Trilu (ai.onnx 14): of each matrix the part above or below
// diagonal k, and zero elsewhere.
func parseTrilu(n *Node) Kernel {
	upper := n.Int("upper", 1) != 0
	d := n.Elem(0, anyElem...)
	diagonal := integersOf(n, 1, int64Elem)
	t := &n.In[0].Type
	if t.Ranked && len(t.Dims) < 2 {
		n.Failf("input 0 has %d axes; 2 or more are needed", len(t.Dims))
	}
	if n.err != nil {
		return nil
	}
	moved(n, t.Dims, t.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		k, err := diagonal.one(f, "k")
		if err != nil {
			return err
		}
		shape := f.In(0).Shape()
		if len(shape) < 2 {
			return shapeFault("matrices are needed", shape)
		}
		if err := m.output(f, 0, shape); err != nil || f.out[0].Len() == 0 {
			return err
		}
		rows, columns := shape[len(shape)-2], shape[len(shape)-1]
		first := int(min(max(k, -int64(rows)), int64(columns)))
		for row := range f.out[0].Len() / columns {
			if err := poll(ctx, row); err != nil {
				return err
			}
			from, to := min(max(row%rows+first, 0), columns), columns
			if !upper {
				from, to = 0, min(max(row%rows+first+1, 0), columns)
			}
			if err := keep(ctx, f, m, row*columns, from, to, columns); err != nil {
				return err
			}
		}
		return nil
	}
}

// keep copies the columns from up to to of the row that begins at the element
// at, and clears the others.
func keep(ctx context.Context, f *Frame, m mover, at, from, to, columns int) error {
	if err := m.zero(ctx, f.out[0], at, from); err != nil {
		return err
	}
	if err := m.move(ctx, f.out[0], at+from, f.In(0), at+from, to-from); err != nil {
		return err
	}
	return m.zero(ctx, f.out[0], at+to, columns-to)
}
