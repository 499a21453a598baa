package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// parseGemm reads Gemm (ai.onnx 1, 6, 7, 9, 11, 13): alpha·A'·B' + beta·C,
// where A' and B' may be transposed and C is broadcast.
func parseGemm(n *Node) Kernel {
	d := n.Elem(0, matrixElem(n.Version)...)
	for i := 1; i < len(n.In); i++ {
		if i == 2 && n.Version >= 11 && !n.Has(2) {
			continue
		}
		if e := n.Elem(i, matrixElem(n.Version)...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
	}
	g := gemm{
		transA: n.Int("transA", 0) != 0, transB: n.Int("transB", 0) != 0,
		alpha: n.Float("alpha", 1), beta: n.Float("beta", 1),
	}
	if n.Version < 7 {
		n.Int("broadcast", 0) // C that fits needs no leave to be broadcast
	}
	if n.err == nil {
		n.SetOut(0, g.outType(n, d))
	}
	if n.err != nil {
		return nil
	}
	g.repeated = n.NeedScratch()
	g.a, g.b, g.c, g.pack, g.wide = n.NeedScratch(), n.NeedScratch(), n.NeedScratch(), n.NeedScratch(), n.NeedScratch()
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32, tensor.Half:
		return gemmKernel[float32](n, g, d)
	case tensor.Float64:
		return gemmKernel[float64](n, g, d)
	case tensor.Int32:
		return gemmKernel[int32](n, g, d)
	case tensor.Int64:
		return gemmKernel[int64](n, g, d)
	case tensor.Uint32:
		return gemmKernel[uint32](n, g, d)
	}
	return gemmKernel[uint64](n, g, d)
}

type gemm struct {
	transA, transB                bool
	alpha, beta                   float32
	a, b, c, repeated, pack, wide int // scratch tensors
}

func (g *gemm) outType(n *Node, d tensor.DType) onnx.Type {
	a, b := &n.In[0].Type, &n.In[1].Type
	rows, depthA := g.dims(n, a, g.transA)
	depthB, cols := g.dims(n, b, g.transB)
	if depthA.Size >= 0 && depthB.Size >= 0 && depthA.Size != depthB.Size {
		n.Failf("shapes %s and %s cannot be multiplied: %d columns meet %d rows",
			onnx.FormatDims(a.Dims), onnx.FormatDims(b.Dims), depthA.Size, depthB.Size)
	}
	if n.Has(2) && n.In[2].Type.Ranked {
		c := n.In[2].Type.Dims
		fits := len(c) <= 2
		for k, have := range []tensor.Dim{cols, rows} {
			want := dimFromEnd(c, k+1)
			fits = fits && (want.Size <= 1 && want.Size != 0 || have.Size < 0 || have.Size == want.Size)
		}
		if !fits {
			n.Failf("input 2 of shape %s cannot be broadcast to the product", onnx.FormatDims(c))
		}
	}
	return onnx.TensorOf(d, rows, cols)
}

// dims returns the extents of a matrix.
func (*gemm) dims(n *Node, t *onnx.Type, transposed bool) (rows, cols tensor.Dim) {
	switch {
	case !t.Ranked:
		return free, free
	case len(t.Dims) != 2:
		n.Failf("an input of shape %s is no matrix", onnx.FormatDims(t.Dims))
		return free, free
	case transposed:
		return t.Dims[1], t.Dims[0]
	}
	return t.Dims[0], t.Dims[1]
}

// gemmMatrix returns an input as a matrix.
func gemmMatrix[T number](data []T, shape tensor.Shape, transposed bool) linalg.Matrix[T] {
	m := linalg.RowMajor(data, shape[0], shape[1])
	if transposed {
		return m.T()
	}
	return m
}

func gemmKernel[T number](n *Node, g gemm, d tensor.DType) Kernel {
	out := result[T]{output: 0, scratch: g.wide, elem: d}
	var right packed[T]
	if c := n.In[1].Const; c != nil && c.DType() == tensor.DTypeOf[T]() && n.In[0].Const == nil {
		right = packConstant(n, gemmMatrix(tensor.Of[T](c), c.Shape(), g.transB))
	}
	alpha, beta := scalarOf[T](g.alpha), scalarOf[T](g.beta)
	return func(ctx context.Context, f *Frame) error {
		sa, sb := f.In(0).Shape(), f.In(1).Shape()
		if len(sa) != 2 || len(sb) != 2 {
			return shapeFault("Gemm multiplies matrices of two axes", sa)
		}
		x, err := widened[T](ctx, f, 0, g.a)
		if err != nil {
			return err
		}
		y, err := widened[T](ctx, f, 1, g.b)
		if err != nil {
			return err
		}
		a, b := gemmMatrix(x, sa, g.transA), gemmMatrix(y, sb, g.transB)
		if a.Cols != b.Rows {
			return shapeFault("its columns are not as many as the rows of the matrix that it is multiplied by", sa)
		}
		f.dims = append(f.dims[:0], a.Rows, b.Cols)
		dst, err := out.open(f, f.dims)
		if err != nil {
			return err
		}
		if err := right.multiply(ctx, f, g.pack, dst, a, b); err != nil {
			return err
		}
		if err := scaleAll(ctx, dst, alpha); err != nil {
			return err
		}
		if err := addC(ctx, f, &g, dst, b.Cols, beta); err != nil {
			return err
		}
		return out.close(ctx, f, dst)
	}
}

// scalarOf returns alpha or beta in T; what is no integer is cut off.
func scalarOf[T number](x float32) T {
	if half := 0.5; T(half) != 0 {
		return T(x)
	}
	return T(fromReal[int64](float64(x)))
}

func scaleAll[T number](ctx context.Context, dst []T, alpha T) error {
	if alpha == 1 {
		return nil
	}
	return inBlocks(ctx, len(dst), func(at, end int) error {
		for i := range dst[at:end] {
			dst[at+i] *= alpha
		}
		return nil
	})
}

// addC adds beta times the third input, broadcast, when there is one.
func addC[T number](ctx context.Context, f *Frame, g *gemm, dst []T, cols int, beta T) error {
	c := f.In(2)
	if c == nil || beta == 0 || len(dst) == 0 {
		return nil
	}
	shape, rows := c.Shape(), len(dst)/cols
	high, wide := fromEnd(shape, 2), fromEnd(shape, 1)
	if len(shape) > 2 || high != 1 && high != rows || wide != 1 && wide != cols {
		return shapeFault("it cannot be broadcast to the product that it is added to", shape)
	}
	data, err := widened[T](ctx, f, 2, g.c)
	if err != nil {
		return err
	}
	f.dims = append(f.dims[:0], rows, cols)
	return changeBy(ctx, f, g.repeated, dst, f.dims, data, shape, func(dst, a, b []T) bool {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] + beta*b[i]
		}
		return true
	})
}
