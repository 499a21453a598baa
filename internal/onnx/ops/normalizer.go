package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// parseNormalizer reads Normalizer (ai.onnx.ml 1): each row divided by its
// maximum, the sum of its magnitudes or its length. A row whose divisor is 0
// stays as it is.
func parseNormalizer(n *Node) Kernel {
	var norm rowNorm
	switch name := n.String("norm", "MAX"); name {
	case "MAX":
		norm = rowNorm{start: math.Inf(-1), fold: greatest, finish: asIs}
	case "L1":
		norm = rowNorm{fold: magnitudes, finish: asIs}
	case "L2":
		norm = rowNorm{fold: squares, finish: math.Sqrt}
	default:
		n.Failf("attribute \"norm\" is %s; it must be MAX, L1 or L2", onnx.Quote(name))
	}
	read := floats[float32](n, 0)
	if n.err != nil {
		return nil
	}
	n.matrixType()
	out := n.In[0].Type
	out.Elem = tensor.Float32
	n.SetOut(0, out)
	n.SetClasses(0, n.In[0].Keys)
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) != 1 && len(shape) != 2 {
			return matrixFault(shape)
		}
		src, err := read(f)
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		_, width := matrix(shape)
		for row := 0; row*width < len(src); row++ {
			if err := poll(ctx, row); err != nil {
				return err
			}
			if err := norm.apply(ctx, dst[row*width:(row+1)*width], src[row*width:(row+1)*width]); err != nil {
				return err
			}
		}
		return nil
	}
}

// rowNorm makes one number of a row, by which the row is divided.
type rowNorm struct {
	start  float64
	fold   func(acc float64, part []float32) float64
	finish func(acc float64) float64
}

func asIs(acc float64) float64 { return acc }

func (n *rowNorm) apply(ctx context.Context, dst, src []float32) error {
	if len(src) <= chunk { // the usual case, and a fast one
		divide(dst, src, float32(n.finish(n.fold(n.start, src))))
		return nil
	}
	acc := n.start
	if err := pieces(ctx, len(src), func(at, size int) { acc = n.fold(acc, src[at:at+size]) }); err != nil {
		return err
	}
	by := float32(n.finish(acc))
	return pieces(ctx, len(src), func(at, size int) { divide(dst[at:at+size], src[at:at+size], by) })
}

// divide leaves a row whose divisor is 0 as it is.
func divide(dst, src []float32, by float32) {
	if by == 0 {
		copy(dst, src)
		return
	}
	for i, v := range src {
		dst[i] = v / by
	}
}

// greatest is the largest value that is not NaN.
func greatest(acc float64, part []float32) float64 {
	m := float32(acc)
	for _, v := range part {
		if v > m {
			m = v
		}
	}
	return float64(m)
}

func magnitudes(acc float64, part []float32) float64 {
	for _, v := range part {
		acc += math.Abs(float64(v))
	}
	return acc
}

func squares(acc float64, part []float32) float64 {
	for _, v := range part {
		acc += float64(v) * float64(v)
	}
	return acc
}
