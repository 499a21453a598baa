package ops

import (
	"context"
	"math"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// activationOps is what models of this kind end in.
var activationOps = []Operator{
	{"", "Softmax", 1, one, one, parseSoftmax},
	{"", "Sigmoid", 6, one, one, parseSigmoid},
}

// parseSigmoid reads Sigmoid (ai.onnx 6).
func parseSigmoid(n *Node) Kernel {
	d := n.Elem(0, floatElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return pointwise(func(x float32) float32 { return float32(sigmoid(float64(x))) })
	case tensor.Float64:
		return pointwise(sigmoid)
	}
	return pointwise(func(x tensor.Float16) tensor.Float16 { return toHalf(float32(sigmoid(float64(fromHalf(x))))) })
}

// sigmoid keeps its precision for large negative x, where 1+exp(-x) would
// overflow.
func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

func pointwise[T tensor.Element](fn func(T) T) Kernel {
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		for i, v := range Input[T](f, 0) {
			if err := poll(ctx, i); err != nil {
				return err
			}
			dst[i] = fn(v)
		}
		return nil
	}
}

// parseSoftmax reads Softmax (ai.onnx 1, 11, 13). Before version 13 it treats
// its input as a matrix whose columns begin at axis; from 13 on it works along
// axis alone.
func parseSoftmax(n *Node) Kernel {
	s := softmax{matrix: n.Version < 13}
	s.axis = n.Int("axis", -1)
	if s.matrix {
		s.axis = n.Int("axis", 1)
	}
	d := n.Elem(0, floatElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return softmaxOf(s, func(x float32) float64 { return float64(x) }, func(x float64) float32 { return float32(x) })
	case tensor.Float64:
		return softmaxOf(s, func(x float64) float64 { return x }, func(x float64) float64 { return x })
	}
	return softmaxOf(s, func(x tensor.Float16) float64 { return float64(fromHalf(x)) },
		func(x float64) tensor.Float16 { return toHalf(float32(x)) })
}

type softmax struct {
	axis   int64
	matrix bool
}

// lanes returns the length of a lane and the distance between its elements.
func (s softmax) lanes(shape tensor.Shape) (n, inner int, err error) {
	if s.matrix && s.axis == int64(len(shape)) {
		return 1, 1, nil
	}
	k := axisIn(s.axis, len(shape))
	switch {
	case k < 0:
		return 0, 0, shapeFault("it has no such axis for Softmax", shape)
	case s.matrix:
		return product(shape[k:]), 1, nil
	}
	return shape[k], product(shape[k+1:]), nil
}

func softmaxOf[T tensor.Element](s softmax, read func(T) float64, write func(float64) T) Kernel {
	return func(ctx context.Context, f *Frame) error {
		x := Input[T](f, 0)
		n, inner, err := s.lanes(f.In(0).Shape())
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil || len(dst) == 0 {
			return err
		}
		if len(dst)%n != 0 {
			return fault.New(fault.Internal, "softmax lanes do not divide the tensor")
		}
		for lane := range len(dst) / n {
			if err := poll(ctx, lane); err != nil {
				return err
			}
			at := lane/inner*n*inner + lane%inner
			top, sum := math.Inf(-1), 0.0
			for i := range n {
				top = max(top, read(x[at+i*inner]))
			}
			for i := range n {
				sum += math.Exp(read(x[at+i*inner]) - top)
			}
			for i := range n {
				dst[at+i*inner] = write(math.Exp(read(x[at+i*inner])-top) / sum)
			}
		}
		return nil
	}
}
