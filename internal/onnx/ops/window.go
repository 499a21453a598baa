package ops

import (
	"context"
	"math"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// windowOps makes the windows of signal processing.
var windowOps = []Operator{
	{"", "BlackmanWindow", 17, one, one, parseWindow(0.42, 0.5, 0.08)},
	{"", "HannWindow", 17, one, one, parseWindow(0.5, 0.5, 0)},
	{"", "HammingWindow", 17, one, one, parseWindow(25.0/46, 21.0/46, 0)},
}

// parseWindow returns the parse function of a window (ai.onnx 17) of a0 -
// a1·cos(2πn/N) + a2·cos(4πn/N).
func parseWindow(a0, a1, a2 float64) func(*Node) Kernel {
	return func(n *Node) Kernel {
		w := window{a: [3]float64{a0, a1, a2}, periodic: n.Int("periodic", 1) != 0}
		n.Elem(0, tensor.Int32, tensor.Int64)
		if t := &n.In[0].Type; t.Ranked && len(t.Dims) != 0 {
			n.Failf("an input of shape %s is no size; it must be a scalar", onnx.FormatDims(t.Dims))
		}
		d := n.Int("output_datatype", int64(tensor.Float32))
		if n.err != nil {
			return nil
		}
		k := w.kernel(d)
		if k == nil {
			n.Failf("attribute \"output_datatype\" is %d; it must be a type of numbers", d)
			return nil
		}
		n.SetOut(0, onnx.TensorOf(tensor.DType(d), free)) //nolint:gosec // kernel checked it
		return k
	}
}

type window struct {
	a        [3]float64
	periodic bool
}

func (w window) kernel(d int64) Kernel {
	if d < 0 || d > int64(tensor.Uint64) {
		return nil
	}
	switch tensor.DType(d) {
	case tensor.Float32:
		return windowOf(w, func(x float64) float32 { return float32(x) })
	case tensor.Float64:
		return windowOf(w, identity)
	case tensor.Half:
		return windowOf(w, func(x float64) tensor.Float16 { return toHalf(float32(x)) })
	case tensor.Int8:
		return windowOf(w, fromReal[int8])
	case tensor.Int16:
		return windowOf(w, fromReal[int16])
	case tensor.Int32:
		return windowOf(w, fromReal[int32])
	case tensor.Int64:
		return windowOf(w, fromReal[int64])
	case tensor.Uint8:
		return windowOf(w, fromReal[uint8])
	case tensor.Uint16:
		return windowOf(w, fromReal[uint16])
	case tensor.Uint32:
		return windowOf(w, fromReal[uint32])
	case tensor.Uint64:
		return windowOf(w, fromReal[uint64])
	case tensor.Bool, tensor.String, tensor.Undefined: // not numbers
	}
	return nil
}

func windowOf[T tensor.Element](w window, round func(float64) T) Kernel {
	return func(ctx context.Context, f *Frame) error {
		x := f.In(0)
		if x.Len() != 1 {
			return shapeFault("the size of a window is a scalar", x.Shape())
		}
		var size int64
		if x.DType() == tensor.Int32 {
			size = int64(Input[int32](f, 0)[0])
		} else {
			size = Input[int64](f, 0)[0]
		}
		if size < 0 || size > tensor.MaxElements {
			return fault.Newf(fault.Content, "a window cannot have %d elements", size)
		}
		f.dims = append(f.dims[:0], int(size))
		dst, err := Output[T](f, 0, f.dims...)
		if err != nil {
			return err
		}
		period := float64(size)
		if !w.periodic {
			period = max(1, period-1) // of one element, the first
		}
		for i := range dst {
			if err := poll(ctx, i); err != nil {
				return err
			}
			angle := 2 * math.Pi * float64(i) / period
			dst[i] = round(w.a[0] - w.a[1]*math.Cos(angle) + w.a[2]*math.Cos(2*angle))
		}
		return nil
	}
}
