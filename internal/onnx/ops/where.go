package ops

import (
	"context"

	"onnxgate/internal/tensor"
)

// parseWhere reads Where (ai.onnx 9, 16): the condition and both choices are
// broadcast to each other.
func parseWhere(n *Node) Kernel {
	n.Elem(0, tensor.Bool)
	d := n.Elem(1, anyElem...)
	if e := n.Elem(2, anyElem...); e != d {
		n.Failf("input 2 is of %v, input 1 of %v; they must agree", e, d)
	}
	if n.err != nil {
		return nil
	}
	m := fit{axis: -1}
	n.SetOut(0, m.outType(n, d))
	switch d {
	case tensor.Float32:
		return whereOf[float32](n, m)
	case tensor.Float64:
		return whereOf[float64](n, m)
	case tensor.Half:
		return whereOf[tensor.Float16](n, m)
	case tensor.Int8:
		return whereOf[int8](n, m)
	case tensor.Int16:
		return whereOf[int16](n, m)
	case tensor.Int32:
		return whereOf[int32](n, m)
	case tensor.Int64:
		return whereOf[int64](n, m)
	case tensor.Uint8:
		return whereOf[uint8](n, m)
	case tensor.Uint16:
		return whereOf[uint16](n, m)
	case tensor.Uint32:
		return whereOf[uint32](n, m)
	case tensor.Uint64:
		return whereOf[uint64](n, m)
	case tensor.Bool:
		return whereOf[bool](n, m)
	case tensor.String:
		return whereOf[string](n, m)
	case tensor.Undefined: // not allowed above
	}
	return nil
}

func whereOf[T tensor.Element](n *Node, m fit) Kernel {
	sc, sx, sy := n.NeedScratch(), n.NeedScratch(), n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		shape, err := m.shape(f)
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		shape = f.out[0].Shape()
		var c stretch[bool]
		if err := c.open(f, sc, Input[bool](f, 0), f.In(0).Shape(), shape, 0); err != nil {
			return err
		}
		var x, y stretch[T]
		if err := x.open(f, sx, Input[T](f, 1), f.In(1).Shape(), shape, 0); err != nil {
			return err
		}
		if err := y.open(f, sy, Input[T](f, 2), f.In(2).Shape(), shape, 0); err != nil {
			return err
		}
		return inBlocks(ctx, len(dst), func(at, end int) error {
			choose(dst[at:end], c.next(end-at), x.next(end-at), y.next(end-at))
			return nil
		})
	}
}

func choose[T any](dst []T, c []bool, x, y []T) {
	c, x, y = c[:len(dst)], x[:len(dst)], y[:len(dst)]
	for i := range dst {
		if c[i] {
			dst[i] = x[i]
		} else {
			dst[i] = y[i]
		}
	}
}
