package ops

import (
	"context"
	"math"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// softmaxOps compares the elements of a lane with each other.
var softmaxOps = []Operator{
	{"", "Softmax", 1, one, one, lanewise(softmaxLane)},
	{"", "LogSoftmax", 1, one, one, lanewise(logSoftmaxLane)},
	{"", "Hardmax", 1, one, one, lanewise(hardmaxLane)},
}

// lanewise returns the parse function of Softmax, LogSoftmax and Hardmax
// (ai.onnx 1, 11, 13). Before version 13 they treat their input as a matrix
// whose columns begin at axis; from 13 on they work along axis alone.
func lanewise(fn func(lane []float64)) func(*Node) Kernel {
	return func(n *Node) Kernel {
		l := lanes{matrix: n.Version < 13, fn: fn}
		if l.matrix {
			l.axis = n.Int("axis", 1)
		} else {
			l.axis = n.Int("axis", -1)
		}
		d := n.Elem(0, floatElem...)
		if n.err != nil {
			return nil
		}
		n.SetOut(0, n.In[0].Type)
		switch d { //nolint:exhaustive // no other type is allowed above
		case tensor.Float32:
			return eachLane(n, l, asReal[float32], func(x float64) float32 { return float32(x) })
		case tensor.Float64:
			return eachLane(n, l, asReal[float64], func(x float64) float64 { return x })
		}
		return eachLane(n, l, func(x tensor.Float16) float64 { return float64(fromHalf(x)) }, halfFromReal)
	}
}

// lanes says which elements belong together, and what becomes of them.
type lanes struct {
	axis   int64
	matrix bool
	fn     func([]float64)
}

// of returns the length of a lane and the distance between its elements.
func (l lanes) of(shape tensor.Shape) (n, inner int, err error) {
	if l.matrix && l.axis == int64(len(shape)) {
		return 1, 1, nil
	}
	k := axisIn(l.axis, len(shape))
	switch {
	case k < 0:
		return 0, 0, shapeFault("it has no such axis", shape)
	case l.matrix:
		return product(shape[k:]), 1, nil
	}
	return shape[k], product(shape[k+1:]), nil
}

func eachLane[T tensor.Element](n *Node, l lanes, read func(T) float64, write func(float64) T) Kernel {
	scratch := n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		x := Input[T](f, 0)
		n, inner, err := l.of(f.In(0).Shape())
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil || len(dst) == 0 {
			return err
		}
		if len(dst)%n != 0 {
			return fault.New(fault.Internal, "lanes do not divide the tensor")
		}
		lane, err := Scratch[float64](f, scratch, n)
		if err != nil {
			return err
		}
		for k := range len(dst) / n {
			if err := poll(ctx, k*n); err != nil {
				return err
			}
			at := k/inner*n*inner + k%inner
			for i := range lane {
				lane[i] = read(x[at+i*inner])
			}
			l.fn(lane)
			for i, v := range lane {
				dst[at+i*inner] = write(v)
			}
		}
		return nil
	}
}

// top returns the largest element, NaN when there is one.
func top(lane []float64) float64 {
	t := math.Inf(-1)
	for _, v := range lane {
		t = max(t, v)
	}
	return t
}

func softmaxLane(lane []float64) {
	t, sum := top(lane), 0.0
	for i, v := range lane {
		lane[i] = math.Exp(v - t)
		sum += lane[i]
	}
	for i := range lane {
		lane[i] /= sum
	}
}

func logSoftmaxLane(lane []float64) {
	t, sum := top(lane), 0.0
	for _, v := range lane {
		sum += math.Exp(v - t)
	}
	log := math.Log(sum)
	for i, v := range lane {
		lane[i] = v - t - log
	}
}

// hardmaxLane leaves 1 at the first of the largest elements.
func hardmaxLane(lane []float64) {
	best := 0
	for i, v := range lane {
		if v > lane[best] {
			best = i
		}
	}
	clear(lane)
	lane[best] = 1
}
