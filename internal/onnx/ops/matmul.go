package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// matrixOps multiplies matrices, and takes determinants.
var matrixOps = []Operator{
	{"", "MatMul", 1, two, one, parseMatMul},
	{"", "Gemm", 1, span{3, 3}, one, parseGemm},
	{"", "Gemm", 11, span{2, 3}, one, parseGemm},
	{"", "Det", 11, one, one, parseDet},
}

// matrixElem returns the types that MatMul and Gemm take.
func matrixElem(version int64) []tensor.DType {
	if version < 9 {
		return floatElem
	}
	return wideElem
}

// parseMatMul reads MatMul (ai.onnx 1, 9, 13): the product over the last two
// axes, with the axes before them broadcast, as NumPy's matmul has it.
func parseMatMul(n *Node) Kernel {
	d := n.Elem(0, matrixElem(n.Version)...)
	if e := n.Elem(1, matrixElem(n.Version)...); e != d {
		n.Failf("input 1 is of %v, input 0 of %v; they must agree", e, d)
	}
	if n.err == nil {
		n.SetOut(0, matMulType(n, d))
	}
	if n.err != nil {
		return nil
	}
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32, tensor.Half:
		return newMatMul[float32](n, d).run
	case tensor.Float64:
		return newMatMul[float64](n, d).run
	case tensor.Int32:
		return newMatMul[int32](n, d).run
	case tensor.Int64:
		return newMatMul[int64](n, d).run
	case tensor.Uint32:
		return newMatMul[uint32](n, d).run
	}
	return newMatMul[uint64](n, d).run
}

func matMulType(n *Node, d tensor.DType) onnx.Type {
	a, b := &n.In[0].Type, &n.In[1].Type
	if !a.Ranked || !b.Ranked {
		return onnx.UnrankedTensor(d)
	}
	if len(a.Dims) == 0 || len(b.Dims) == 0 {
		n.Failf("a scalar cannot be multiplied as a matrix")
		return onnx.UnrankedTensor(d)
	}
	ka, kb := dimFromEnd(a.Dims, 1), b.Dims[max(0, len(b.Dims)-2)]
	if ka.Size >= 0 && kb.Size >= 0 && ka.Size != kb.Size {
		n.Failf("shapes %s and %s cannot be multiplied: %d columns meet %d rows",
			onnx.FormatDims(a.Dims), onnx.FormatDims(b.Dims), ka.Size, kb.Size)
		return onnx.UnrankedTensor(d)
	}
	before := Node{In: []Value{
		{Type: onnx.TensorOf(d, a.Dims[:max(0, len(a.Dims)-2)]...)},
		{Type: onnx.TensorOf(d, b.Dims[:max(0, len(b.Dims)-2)]...)},
	}}
	batch := broadcastTypes(&before, d).Dims
	if before.err != nil {
		n.Failf("%w", before.err)
	}
	if len(a.Dims) > 1 {
		batch = append(batch, dimFromEnd(a.Dims, 2))
	}
	if len(b.Dims) > 1 {
		batch = append(batch, dimFromEnd(b.Dims, 1))
	}
	return onnx.TensorOf(d, batch...)
}

// packed is a constant right operand in the order in which it is read: by
// panels, or a single column as it is.
type packed[T number] struct {
	panels linalg.Panels[T]
	column bool
}

// packConstant packs the constant matrix b, as long as the model's budget for
// that lasts: many nodes may share one constant.
func packConstant[T number](n *Node, b linalg.Matrix[T]) packed[T] {
	if b.Cols == 1 {
		return packed[T]{column: true}
	}
	size := linalg.PanelLen(b.Rows, b.Cols)
	bytes := size * tensor.DTypeOf[T]().Size()
	if n.Packing == nil || n.Packing.Left < bytes || size == 0 {
		return packed[T]{}
	}
	n.Packing.Left -= bytes
	return packed[T]{panels: linalg.Pack(make([]T, size), b)}
}

// multiply sets dst to the product of a and b, which is the packed matrix when
// there is one.
func (p *packed[T]) multiply(ctx context.Context, f *Frame, scratch int, dst []T, a, b linalg.Matrix[T]) error {
	if p.panels.Len() > 0 {
		return linalg.GemmPacked(ctx, dst, a, p.panels)
	}
	pack, err := Scratch[T](f, scratch, linalg.PackLen(a, b))
	if err != nil {
		return err
	}
	if p.column {
		return linalg.GemmColumn(ctx, dst, a, b, pack)
	}
	return linalg.Gemm(ctx, dst, a, b, pack)
}

type matMul[T number] struct {
	out        result[T]
	a, b, pack int // scratch tensors
	right      packed[T]
}

func newMatMul[T number](n *Node, d tensor.DType) *matMul[T] {
	m := &matMul[T]{a: n.NeedScratch(), b: n.NeedScratch(), pack: n.NeedScratch()}
	m.out = result[T]{output: 0, scratch: n.NeedScratch(), elem: d}
	if c := n.In[1].Const; c != nil && c.DType() == tensor.DTypeOf[T]() && len(c.Shape()) == 2 && n.In[0].Const == nil {
		m.right = packConstant(n, linalg.RowMajor(tensor.Of[T](c), c.Shape()[0], c.Shape()[1]))
	}
	return m
}

// extents are those of a product of matrices, with vectors made matrices.
type extents struct{ rows, depth, cols int }

// matMulShape returns the extents of one product, and the shape of the result
// in the frame's memory; batch is the number of axes before the matrices.
func matMulShape(f *Frame) (e extents, batch int, err error) {
	a, b := f.In(0).Shape(), f.In(1).Shape()
	if len(a) == 0 || len(b) == 0 {
		return e, 0, shapeFault("a scalar cannot be multiplied as a matrix", tensor.Shape{})
	}
	e = extents{fromEnd(a, 2), fromEnd(a, 1), 1}
	if len(b) > 1 {
		e.cols = fromEnd(b, 1)
	}
	if b[max(0, len(b)-2)] != e.depth {
		return e, 0, shapeFault("its columns are not as many as the rows of the matrix that it is multiplied by", a)
	}
	shape, ok := broadcast(f.dims[:0], a[:max(0, len(a)-2)], b[:max(0, len(b)-2)])
	if !ok {
		return e, 0, shapeFault("the axes before its matrices cannot be broadcast to those of the other input", a)
	}
	batch = len(shape)
	if len(a) > 1 {
		shape = append(shape, e.rows)
	}
	if len(b) > 1 {
		shape = append(shape, e.cols)
	}
	f.dims = shape
	return e, batch, nil
}

func (m *matMul[T]) run(ctx context.Context, f *Frame) error {
	e, batch, err := matMulShape(f)
	if err != nil {
		return err
	}
	dst, err := m.out.open(f, f.dims)
	if err != nil || len(dst) == 0 {
		return err
	}
	a, err := widened[T](ctx, f, 0, m.a)
	if err != nil {
		return err
	}
	b, err := widened[T](ctx, f, 1, m.b)
	if err != nil {
		return err
	}
	switch {
	case len(f.In(1).Shape()) == 1:
		err = m.vector(ctx, f, dst, linalg.RowMajor(a, len(dst), e.depth), b)
	case len(b) == e.depth*e.cols: // one matrix for all
		rows := len(dst) / e.cols
		err = m.right.multiply(ctx, f, m.pack, dst, linalg.RowMajor(a, rows, e.depth), linalg.RowMajor(b, e.depth, e.cols))
	default:
		err = m.batches(ctx, f, e, f.dims[:batch], dst, a, b)
	}
	if err != nil {
		return err
	}
	return m.out.close(ctx, f, dst)
}

// vector multiplies by a tensor of one axis.
func (m *matMul[T]) vector(ctx context.Context, f *Frame, dst []T, a linalg.Matrix[T], b []T) error {
	pack, err := Scratch[T](f, m.pack, linalg.PackLen(a, linalg.RowMajor(b, len(b), 1)))
	if err != nil {
		return err
	}
	return linalg.Vector(ctx, dst, a, b, pack)
}

// batches multiplies matrix by matrix.
func (m *matMul[T]) batches(ctx context.Context, f *Frame, e extents, batch []int, dst, a, b []T) error {
	sa, sb := f.In(0).Shape(), f.In(1).Shape()
	sa, sb = sa[:max(0, len(sa)-2)], sb[:max(0, len(sb)-2)]
	for i := range len(dst) / (e.rows * e.cols) {
		if err := poll(ctx, i); err != nil {
			return err
		}
		x := a[broadcastIndex(i, batch, sa)*e.rows*e.depth:][:e.rows*e.depth]
		y := b[broadcastIndex(i, batch, sb)*e.depth*e.cols:][:e.depth*e.cols]
		err := m.right.multiply(ctx, f, m.pack, dst[i*e.rows*e.cols:][:e.rows*e.cols],
			linalg.RowMajor(x, e.rows, e.depth), linalg.RowMajor(y, e.depth, e.cols))
		if err != nil {
			return err
		}
	}
	return nil
}

// broadcastIndex returns the place in a tensor of shape own that serves place i
// of the shape that it is broadcast to.
func broadcastIndex(i int, shape, own []int) int {
	at, stride := 0, 1
	for k := 1; k <= len(own); k++ {
		extent, n := shape[len(shape)-k], own[len(own)-k]
		if n > 1 {
			at += i % extent * stride
			stride *= n
		}
		i /= extent
	}
	return at
}
