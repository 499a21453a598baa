package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// softmaxOps compares the elements of a lane with each other.
var softmaxOps = []Operator{
	{"", "Softmax", 1, one, one, lanewise(softmaxLane, softmaxSingle)},
	{"", "LogSoftmax", 1, one, one, lanewise(logSoftmaxLane, nil)},
	{"", "Hardmax", 1, one, one, lanewise(hardmaxLane, nil)},
}

// lanewise returns the parse function of Softmax, LogSoftmax and Hardmax
// (ai.onnx 1, 11, 13). Before version 13 they treat their input as a matrix
// whose columns begin at axis; from 13 on they work along axis alone.
//
// single, where there is one, takes the lanes of adjacent float32.
func lanewise(fn laneFunc, single singleFunc) func(*Node) Kernel {
	return func(n *Node) Kernel {
		l := laneRule{matrix: n.Version < 13, fn: fn, exp: expInPlace32}
		if l.matrix {
			l.axis = n.Int("axis", 1)
		} else {
			l.axis = n.Int("axis", -1)
		}
		d := n.Elem(0, floatElem...)
		if t := &n.In[0].Type; t.Ranked && !l.has(len(t.Dims)) {
			n.Failf("axis %d is out of range for %d axes", l.axis, len(t.Dims))
		}
		if n.err != nil {
			return nil
		}
		n.SetOut(0, n.In[0].Type)
		switch d { //nolint:exhaustive // no other type is allowed above
		case tensor.Float32:
			l.single = single
			return eachLane(n, l, takeReals[float32], putReals[float32])
		case tensor.Float64:
			l.exp = expInPlace
			return eachLane(n, l, takeReals[float64], putReals[float64])
		}
		return eachLane(n, l, takeHalves, putHalves)
	}
}

// laneFunc computes a lane in place. It raises e to each of many elements by
// exp. A lane may be long enough to look at ctx.
type laneFunc func(ctx context.Context, lane []float64, exp func([]float64)) error

// laneRule says which elements belong together, and what becomes of them.
type laneRule struct {
	axis   int64
	matrix bool
	fn     laneFunc
	exp    func([]float64)
	single singleFunc
}

// singleFunc computes the lane dst of x, in as much memory as lane has.
type singleFunc func(ctx context.Context, dst, x []float32, lane []float64) error

func (l laneRule) has(rank int) bool {
	return axisIn(l.axis, rank) >= 0 || l.matrix && l.axis == int64(rank)
}

// lanes returns the length of a lane and the distance between its elements.
func (l laneRule) lanes(shape tensor.Shape) (n, inner int, err error) {
	k := axisIn(l.axis, len(shape))
	switch {
	case !l.has(len(shape)):
		return 0, 0, shapeFault("it has no such axis", shape)
	case k < 0:
		return 1, 1, nil
	case l.matrix:
		return product(shape[k:]), 1, nil
	}
	return shape[k], product(shape[k+1:]), nil
}

func eachLane[T tensor.Element](n *Node, l laneRule, take func([]float64, []T, int), put func([]T, []float64, int)) Kernel {
	scratch := n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		x := Input[T](f, 0)
		n, inner, err := l.lanes(f.In(0).Shape())
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil || len(dst) == 0 {
			return err
		}
		lane, err := Scratch[float64](f, scratch, n)
		if err != nil {
			return err
		}
		work := 0
		for outer := 0; outer < len(dst); outer += n * inner {
			for at := outer; at < outer+inner; at++ {
				if err := computeLane(ctx, l, lane, dst[at:], x[at:], inner, take, put); err != nil {
					return err
				}
				if err := watch(ctx, &work, n); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// computeLane computes the lane that begins where x and dst do, in pieces, since
// it may be all of a tensor.
func computeLane[T tensor.Element](ctx context.Context, l laneRule, lane []float64, dst, x []T, inner int, take func([]float64, []T, int), put func([]T, []float64, int)) error {
	if v, ok := any(x).([]float32); ok && inner == 1 && l.single != nil {
		to, _ := any(dst).([]float32)
		return l.single(ctx, to[:len(lane)], v[:len(lane)], lane)
	}
	err := pieces(ctx, len(lane), func(at, size int) { take(lane[at:at+size], x[at*inner:], inner) })
	if err != nil {
		return err
	}
	if err := l.fn(ctx, lane, l.exp); err != nil {
		return err
	}
	return pieces(ctx, len(lane), func(at, size int) { put(dst[at*inner:], lane[at:at+size], inner) })
}

// takeReals reads a lane whose elements are step apart; putReals writes it.
func takeReals[T floating](lane []float64, x []T, step int) {
	for i := range lane {
		lane[i] = float64(x[i*step])
	}
}

func putReals[T floating](dst []T, lane []float64, step int) {
	for i, v := range lane {
		dst[i*step] = T(v)
	}
}

func takeHalves(lane []float64, x []tensor.Float16, step int) {
	for i := range lane {
		lane[i] = float64(fromHalf(x[i*step]))
	}
}

func putHalves(dst []tensor.Float16, lane []float64, step int) {
	for i, v := range lane {
		dst[i*step] = halfFromReal(v)
	}
}

// belowTop subtracts the largest element, so that no exponential overflows. All
// are NaN when one is.
func belowTop(ctx context.Context, lane []float64) error {
	top := math.Inf(-1)
	err := pieces(ctx, len(lane), func(at, size int) {
		for _, v := range lane[at : at+size] {
			if v > top || math.IsNaN(v) {
				top = v
			}
		}
	})
	if err != nil {
		return err
	}
	return pieces(ctx, len(lane), func(at, size int) {
		for i := range lane[at : at+size] {
			lane[at+i] -= top
		}
	})
}

func softmaxLane(ctx context.Context, lane []float64, exp func([]float64)) error {
	if err := belowTop(ctx, lane); err != nil {
		return err
	}
	sum := 0.0
	err := pieces(ctx, len(lane), func(at, size int) {
		part := lane[at : at+size]
		exp(part)
		for _, v := range part {
			sum += v
		}
	})
	if err != nil {
		return err
	}
	share := 1 / sum
	return pieces(ctx, len(lane), func(at, size int) {
		for i := range lane[at : at+size] {
			lane[at+i] *= share
		}
	})
}

// softmaxSingle is softmaxLane of adjacent elements.
func softmaxSingle(ctx context.Context, dst, x []float32, lane []float64) error {
	top := float32(math.Inf(-1))
	err := pieces(ctx, len(x), func(at, size int) { top = linalg.Max(top, x[at:at+size]) })
	if err != nil {
		return err
	}
	sum := 0.0
	err = pieces(ctx, len(x), func(at, size int) { sum += linalg.ExponentialsBelow(lane[at:], x[at:at+size], top) })
	if err != nil {
		return err
	}
	return pieces(ctx, len(x), func(at, size int) { linalg.Share(dst[at:at+size], lane[at:at+size], 1/sum) })
}

func logSoftmaxLane(ctx context.Context, lane []float64, _ func([]float64)) error {
	if err := belowTop(ctx, lane); err != nil {
		return err
	}
	sum := 0.0
	err := pieces(ctx, len(lane), func(at, size int) {
		for _, v := range lane[at : at+size] {
			sum += math.Exp(v)
		}
	})
	if err != nil {
		return err
	}
	log := math.Log(sum)
	return pieces(ctx, len(lane), func(at, size int) {
		for i := range lane[at : at+size] {
			lane[at+i] -= log
		}
	})
}

// hardmaxLane leaves 1 at the first of the largest elements. NaN counts as
// larger than any number, as in ArgMax of NumPy.
func hardmaxLane(ctx context.Context, lane []float64, _ func([]float64)) error {
	best := 0
	err := pieces(ctx, len(lane), func(at, size int) {
		for i := at; i < at+size; i++ {
			if v := lane[i]; v > lane[best] || math.IsNaN(v) && !math.IsNaN(lane[best]) {
				best = i
			}
		}
	})
	if err != nil {
		return err
	}
	err = pieces(ctx, len(lane), func(at, size int) { clear(lane[at : at+size]) })
	lane[best] = 1
	return err
}
