package ops

import (
	"context"

	"onnxgate/internal/tensor"
)

// variadicOps makes one tensor of any number of tensors, element by element.
var variadicOps = []Operator{
	{"", "Max", 1, several, one, folding(larger)},
	{"", "Mean", 1, several, one, folding(average)},
	{"", "Min", 1, several, one, folding(lesser)},
	{"", "Sum", 1, several, one, folding(add)},
}

// several is one input or more.
var several = span{1, variadic}

// average is add, divided by the number of inputs in the end.
const average = div

// folding returns the parse function of Max and Min (ai.onnx 1, 6, 8, 12, 13),
// Sum and Mean (1, 6, 8, 13). Before version 8 all inputs have one shape.
func folding(op calculation) func(*Node) Kernel {
	return func(n *Node) Kernel {
		m := fit{axis: -1}
		if n.Version < 8 {
			m.mode = alike
		}
		if n.Version < 6 {
			n.Ignore("consumed_inputs")
		}
		allowed := floatElem
		if n.Version >= 12 && (op == lesser || op == larger) {
			allowed = numericElem
		}
		d := sameElem(n, allowed)
		if n.err != nil {
			return nil
		}
		n.SetOut(0, m.outType(n, d))
		return foldKernel(n, m, d, op)
	}
}

func foldKernel(n *Node, m fit, d tensor.DType, op calculation) Kernel {
	switch d {
	case tensor.Float32:
		return floatFold[float32](n, m, op)
	case tensor.Float64:
		return floatFold[float64](n, m, op)
	case tensor.Half:
		if op == average {
			return foldInputs(n, m, halfRow(add), func(x tensor.Float16, n int) tensor.Float16 { return toHalf(fromHalf(x) / float32(n)) })
		}
		return foldInputs(n, m, halfRow(op), nil)
	case tensor.Int8:
		return foldInputs(n, m, intRow[int8](op), nil)
	case tensor.Int16:
		return foldInputs(n, m, intRow[int16](op), nil)
	case tensor.Int32:
		return foldInputs(n, m, intRow[int32](op), nil)
	case tensor.Int64:
		return foldInputs(n, m, intRow[int64](op), nil)
	case tensor.Uint8:
		return foldInputs(n, m, intRow[uint8](op), nil)
	case tensor.Uint16:
		return foldInputs(n, m, intRow[uint16](op), nil)
	case tensor.Uint32:
		return foldInputs(n, m, intRow[uint32](op), nil)
	case tensor.Uint64:
		return foldInputs(n, m, intRow[uint64](op), nil)
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

func floatFold[T float32 | float64](n *Node, m fit, op calculation) Kernel {
	if op == average {
		return foldInputs(n, m, addRow[T], func(x T, n int) T { return x / T(n) })
	}
	return foldInputs(n, m, floatRow[T](op), nil)
}

// foldInputs applies op to the first two inputs, to its result and the third, and so
// on; share, if there is one, to the last result and the number of inputs.
func foldInputs[T tensor.Element](n *Node, m fit, op row[T, T, T], share func(T, int) T) Kernel {
	scratch := n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		shape, err := m.shape(f)
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		for i := range f.Inputs() {
			var v stretch[T]
			if err := v.open(f, scratch, Input[T](f, i), f.In(i).Shape(), f.out[0].Shape(), 0); err != nil {
				return err
			}
			err := inBlocks(ctx, len(dst), func(at, end int) error {
				if i == 0 {
					copy(dst[at:end], v.next(end-at))
				} else {
					op(dst[at:end], dst[at:end], v.next(end-at))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if share == nil {
			return nil
		}
		return inBlocks(ctx, len(dst), func(at, end int) error {
			for i, v := range dst[at:end] {
				dst[at+i] = share(v, f.Inputs())
			}
			return nil
		})
	}
}
