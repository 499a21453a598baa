package ops

import (
	"context"
	"math"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// parseDet reads Det (ai.onnx 11, 22): the determinants of the matrices in the
// last two axes.
func parseDet(n *Node) Kernel {
	d := n.Elem(0, floatElem...)
	out := onnx.UnrankedTensor(d)
	if t := &n.In[0].Type; t.Ranked {
		rank := len(t.Dims)
		if rank < 2 || t.Dims[rank-1].Size >= 0 && t.Dims[rank-2].Size >= 0 && t.Dims[rank-1].Size != t.Dims[rank-2].Size {
			n.Failf("an input of shape %s has no square matrices", onnx.FormatDims(t.Dims))
			return nil
		}
		out = onnx.TensorOf(d, slices.Clone(t.Dims[:rank-2])...)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, out)
	if d == tensor.Float64 {
		return detKernel[float64](n, d)
	}
	return detKernel[float32](n, d)
}

func detKernel[T floating](n *Node, d tensor.DType) Kernel {
	wide, scratch := n.NeedScratch(), n.NeedScratch()
	out := result[T]{output: 0, scratch: n.NeedScratch(), elem: d}
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) < 2 || fromEnd(shape, 1) != fromEnd(shape, 2) {
			return shapeFault("it has no square matrices", shape)
		}
		size := fromEnd(shape, 1)
		x, err := widened[T](ctx, f, 0, wide)
		if err != nil {
			return err
		}
		dst, err := out.open(f, shape[:len(shape)-2])
		if err != nil || len(dst) == 0 {
			return err
		}
		m, err := Scratch[float64](f, scratch, size*size)
		if err != nil {
			return err
		}
		for i := range dst {
			if err := poll(ctx, i); err != nil {
				return err
			}
			for k, v := range x[i*size*size : (i+1)*size*size] {
				m[k] = float64(v)
			}
			det, err := determinant(ctx, m, size)
			if err != nil {
				return err
			}
			dst[i] = T(det)
		}
		return out.close(ctx, f, dst)
	}
}

// determinant eliminates m, of n rows, with the greatest pivots, and returns
// its determinant.
func determinant(ctx context.Context, m []float64, n int) (float64, error) {
	det, work := 1.0, 0
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[p*n+k]) {
				p = i
			}
		}
		pivot := m[p*n+k]
		if p != k {
			det = -det
			for j := k; j < n; j++ {
				m[p*n+j], m[k*n+j] = m[k*n+j], m[p*n+j]
			}
		}
		det *= pivot
		if pivot == 0 {
			return 0, nil
		}
		top := m[k*n : (k+1)*n]
		for i := k + 1; i < n; i++ {
			row := m[i*n : (i+1)*n]
			by := row[k] / pivot
			for j := k + 1; j < n; j++ {
				row[j] -= by * top[j]
			}
			if err := watch(ctx, &work, n-k); err != nil {
				return 0, err
			}
		}
	}
	return det, nil
}
