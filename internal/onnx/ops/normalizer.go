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
	var norm func(row []float32) float32
	switch name := n.String("norm", "MAX"); name {
	case "MAX":
		norm = greatest
	case "L1":
		norm = magnitude
	case "L2":
		norm = length
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
			normalize(dst[row*width:(row+1)*width], src[row*width:(row+1)*width], norm)
		}
		return nil
	}
}

func normalize(dst, src []float32, norm func([]float32) float32) {
	by := norm(src)
	if by == 0 {
		copy(dst, src)
		return
	}
	for i, v := range src {
		dst[i] = v / by
	}
}

// greatest is the largest value that is not NaN.
func greatest(row []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range row {
		if v > m {
			m = v
		}
	}
	return m
}

func magnitude(row []float32) float32 {
	sum := 0.0
	for _, v := range row {
		sum += math.Abs(float64(v))
	}
	return float32(sum)
}

func length(row []float32) float32 {
	sum := 0.0
	for _, v := range row {
		sum += float64(v) * float64(v)
	}
	return float32(math.Sqrt(sum))
}
