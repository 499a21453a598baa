package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// reduceOps makes one element of many.
var reduceOps = []Operator{
	{"", "ArgMax", 1, one, one, parseArgMax},
}

// parseArgMax reads ArgMax (ai.onnx 1, 11, 12).
func parseArgMax(n *Node) Kernel {
	r := argMax{axis: n.Int("axis", 0), keep: n.Int("keepdims", 1) != 0}
	if n.Version >= 12 {
		r.last = n.Int("select_last_index", 0) != 0
	}
	d := n.Elem(0, numericElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, r.outType(n))
	switch d {
	case tensor.Float32:
		return argMaxOf(r, lessNumber[float32])
	case tensor.Float64:
		return argMaxOf(r, lessNumber[float64])
	case tensor.Half:
		return argMaxOf(r, func(a, b tensor.Float16) bool { return fromHalf(a) < fromHalf(b) })
	case tensor.Int8:
		return argMaxOf(r, lessNumber[int8])
	case tensor.Int16:
		return argMaxOf(r, lessNumber[int16])
	case tensor.Int32:
		return argMaxOf(r, lessNumber[int32])
	case tensor.Int64:
		return argMaxOf(r, lessNumber[int64])
	case tensor.Uint8:
		return argMaxOf(r, lessNumber[uint8])
	case tensor.Uint16:
		return argMaxOf(r, lessNumber[uint16])
	case tensor.Uint32:
		return argMaxOf(r, lessNumber[uint32])
	case tensor.Uint64:
		return argMaxOf(r, lessNumber[uint64])
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

func lessNumber[T number](a, b T) bool { return a < b }

type argMax struct {
	axis       int64
	keep, last bool
}

func (r argMax) outType(n *Node) onnx.Type {
	t := &n.In[0].Type
	if !t.Ranked {
		return onnx.UnrankedTensor(tensor.Int64)
	}
	k := axisIn(r.axis, len(t.Dims))
	if k < 0 {
		n.Failf("axis %d is out of range for %d axes", r.axis, len(t.Dims))
		return onnx.UnrankedTensor(tensor.Int64)
	}
	dims := slices.Clone(t.Dims)
	if r.keep {
		dims[k] = tensor.Dim{Size: 1}
	} else {
		dims = slices.Delete(dims, k, k+1)
	}
	return onnx.TensorOf(tensor.Int64, dims...)
}

func argMaxOf[T tensor.Element](r argMax, less func(a, b T) bool) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		k := axisIn(r.axis, len(shape))
		if k < 0 || shape[k] == 0 {
			return shapeFault("it has no element on the axis to reduce", shape)
		}
		f.dims = append(f.dims[:0], shape...)
		if r.keep {
			f.dims[k] = 1
		} else {
			f.dims = slices.Delete(f.dims, k, k+1)
		}
		dst, err := Output[int64](f, 0, f.dims...)
		if err != nil {
			return err
		}
		x, n, inner := Input[T](f, 0), shape[k], product(shape[k+1:])
		for o := range dst {
			if err := poll(ctx, o); err != nil {
				return err
			}
			lane := x[o/inner*n*inner+o%inner:]
			best := 0
			for i := 1; i < n; i++ {
				v, top := lane[i*inner], lane[best*inner]
				if less(top, v) || r.last && !less(v, top) {
					best = i
				}
			}
			dst[o] = int64(best)
		}
		return nil
	}
}
