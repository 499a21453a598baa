package ops

import (
	"context"

	"onnxgate/internal/tensor"
)

// cumulativeOps reduce everything up to an element.
var cumulativeOps = []Operator{
	{"", "CumSum", 11, two, one, parseCumSum},
	{"", "CumProd", 26, two, one, parseCumProd},
}

// parseCumSum reads CumSum (ai.onnx 11, 14).
func parseCumSum(n *Node) Kernel { return parseCumulative(n, false) }

// parseCumProd reads CumProd (ai.onnx 26).
func parseCumProd(n *Node) Kernel { return parseCumulative(n, true) }

// cumulative is along which axis and in which direction elements are reduced,
// and whether each counts for itself.
type cumulative struct {
	axis               integers
	exclusive, reverse bool
}

func parseCumulative(n *Node, product bool) Kernel {
	n.Elem(1, indexElem...)
	c := cumulative{
		axis: integersOf(n, 1, indexElem), exclusive: n.Int("exclusive", 0) != 0, reverse: n.Int("reverse", 0) != 0,
	}
	d := n.Elem(0, wideElem...)
	if a, known := c.axis.oneKnown(); known {
		n.axisOf(a, &n.In[0].Type)
	}
	if n.err != nil {
		return nil
	}
	moved(n, n.In[0].Type.Dims, n.In[0].Type.Ranked)
	n.Out[0].Decision = false
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return cumulateNumbers[float32](c, product)
	case tensor.Float64:
		return cumulateNumbers[float64](c, product)
	case tensor.Half:
		if product {
			return cumulate(c, toHalf(1), halfOp(func(a, b float32) float32 { return a * b }))
		}
		return cumulate(c, toHalf(0), halfOp(func(a, b float32) float32 { return a + b }))
	case tensor.Int32:
		return cumulateNumbers[int32](c, product)
	case tensor.Int64:
		return cumulateNumbers[int64](c, product)
	case tensor.Uint32:
		return cumulateNumbers[uint32](c, product)
	}
	return cumulateNumbers[uint64](c, product)
}

func cumulateNumbers[T interface {
	number
	tensor.Element
}](c cumulative, product bool) Kernel {
	if product {
		return cumulate(c, 1, func(a, b T) T { return a * b })
	}
	return cumulate(c, 0, func(a, b T) T { return a + b })
}

// halfOp computes in float32 and rounds each result.
func halfOp(op func(a, b float32) float32) func(a, b tensor.Float16) tensor.Float16 {
	return func(a, b tensor.Float16) tensor.Float16 { return toHalf(op(fromHalf(a), fromHalf(b))) }
}

// cumulate is the kernel that reduces with op from unit on.
func cumulate[T tensor.Element](c cumulative, unit T, op func(a, b T) T) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		a, err := c.axis.one(f, "axis")
		if err != nil {
			return err
		}
		along := axisIn(a, len(shape))
		if along < 0 {
			return axisFault(a, len(shape))
		}
		dst, err := Output[T](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		return scanLanes(ctx, c, dst, Input[T](f, 0), shape[along], strideAt(shape, along), unit, op)
	}
}

// scanLanes reduces lanes of n elements, which are inner apart.
func scanLanes[T any](ctx context.Context, c cumulative, dst, src []T, n, inner int, unit T, op func(a, b T) T) error {
	step, first, work := inner, 0, 0
	if c.reverse {
		step, first = -inner, (n-1)*inner
	}
	for outer := range len(src) / (n * inner) {
		for lane := range inner {
			at, sum := outer*n*inner+lane+first, unit
			for range n {
				if work++; work%chunk == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				next := op(sum, src[at])
				if dst[at] = next; c.exclusive {
					dst[at] = sum
				}
				sum, at = next, at+step
			}
		}
	}
	return nil
}
