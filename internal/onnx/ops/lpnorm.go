package ops

import (
	"context"
	"math"

	"onnxgate/internal/tensor"
)

// parseLpNormalization reads LpNormalization (ai.onnx 1, 22): each lane along
// axis divided by its L1 or L2 norm; one of length 0 becomes 0.
func parseLpNormalization(n *Node) Kernel {
	p := n.Int("p", 2)
	if p != 1 && p != 2 {
		n.Failf("attribute \"p\" is %d; it must be 1 or 2", p)
	}
	axes := []int64{n.Int("axis", -1)}
	d := statisticType(n, axes)
	if n.err != nil {
		return nil
	}
	if d == tensor.Float64 {
		return lpKernel[float64](n, axes, p)
	}
	return lpKernel[float32](n, axes, p)
}

// statisticType checks the input and the axes of an operator whose result has
// the shape of its input.
func statisticType(n *Node, axes []int64) tensor.DType {
	d := n.Elem(0, floatElem...)
	if t := &n.In[0].Type; t.Ranked {
		for _, a := range axes {
			if axisIn(a, len(t.Dims)) < 0 {
				n.Failf("axis %d is out of range for %d axes", a, len(t.Dims))
			}
		}
	}
	n.SetOut(0, n.In[0].Type)
	return d
}

func lpKernel[C floating](n *Node, axes []int64, p int64) Kernel {
	norm := fold[C, float64]{1, startAt(0.0), magnitudeLanes[C, float64], magnitudeRow[C, float64], stored[C]}
	if p == 2 {
		norm.lanes, norm.row, norm.done = squareLanes[C, float64], squareRow[C, float64], rounded[C](math.Sqrt)
	}
	s := newStatistic[C](n, axes)
	return func(ctx context.Context, f *Frame) error {
		dst, err := s.open(ctx, f)
		if err != nil || len(dst) == 0 {
			return err
		}
		if err := s.apply(ctx, f, dst, norm, divideOrZero[C]); err != nil {
			return err
		}
		return s.out.close(ctx, f, dst)
	}
}

// parseMeanVarianceNormalization reads MeanVarianceNormalization (ai.onnx 9,
// 13): mean 0 and variance 1 over the axes, with 1e-9 added to the deviation as
// the operator's function body does.
func parseMeanVarianceNormalization(n *Node) Kernel {
	axes := []int64{0, 2, 3}
	if n.Given("axes") {
		axes = n.Ints("axes")
	}
	d := statisticType(n, axes)
	if n.err != nil {
		return nil
	}
	if d == tensor.Float64 {
		return meanVarianceKernel[float64](n, axes)
	}
	return meanVarianceKernel[float32](n, axes)
}

func meanVarianceKernel[C floating](n *Node, axes []int64) Kernel {
	mean := fold[C, float64]{1, startAt(0.0), sumLanes[C, float64], sumRow[C, float64], meanOf[C, float64]}
	deviation := fold[C, float64]{
		1, startAt(0.0), squareLanes[C, float64], squareRow[C, float64],
		func(dst []C, acc []float64, count int) {
			for i, v := range acc {
				dst[i] = C(math.Sqrt(v/float64(count)) + 1e-9)
			}
		},
	}
	s := newStatistic[C](n, axes)
	return func(ctx context.Context, f *Frame) error {
		dst, err := s.open(ctx, f)
		if err != nil || len(dst) == 0 {
			return err
		}
		if err := s.apply(ctx, f, dst, mean, subRow[C]); err != nil {
			return err
		}
		if err := s.apply(ctx, f, dst, deviation, divideOrZero[C]); err != nil {
			return err
		}
		return s.out.close(ctx, f, dst)
	}
}

// statistic is a reduction whose results change what they were taken of.
type statistic[C floating] struct {
	*reducer
	out              result[C]
	values, repeated int // scratch tensors
}

func newStatistic[C floating](n *Node, axes []int64) *statistic[C] {
	r := &reducer{axes: axes, known: true, keep: true, wide: n.NeedScratch(), acc: n.NeedScratch()}
	return &statistic[C]{
		reducer: r, values: n.NeedScratch(), repeated: n.NeedScratch(),
		out: result[C]{output: 0, scratch: n.NeedScratch(), elem: n.Out[0].Type.Elem},
	}
}

// open returns the result's elements, which are those of the input.
func (s *statistic[C]) open(ctx context.Context, f *Frame) ([]C, error) {
	src, err := widened[C](ctx, f, 0, s.wide)
	if err != nil {
		return nil, err
	}
	dst, err := s.out.open(f, f.In(0).Shape())
	if err != nil {
		return nil, err
	}
	return dst, pieces(ctx, len(dst), func(at, size int) { copy(dst[at:at+size], src[at:at+size]) })
}

// apply takes the statistic of x and changes x by it.
func (s *statistic[C]) apply(ctx context.Context, f *Frame, x []C, fd fold[C, float64], op row[C, C, C]) error {
	mask, own, err := s.shape(f)
	if err != nil {
		return err
	}
	values, err := Scratch[C](f, s.values, product(own))
	if err != nil {
		return err
	}
	if err := reduceInto(ctx, f, s.reducer, fd, values, x, mask); err != nil {
		return err
	}
	return changeBy(ctx, f, s.repeated, x, f.In(0).Shape(), values, own, op)
}

// divideOrZero divides, and by 0 gives 0. a may be dst.
func divideOrZero[C floating](dst, a, b []C) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		if b[i] == 0 {
			dst[i] = 0
		} else {
			dst[i] = a[i] / b[i]
		}
	}
	return true
}
