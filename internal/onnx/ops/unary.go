package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// unaryOps computes with one tensor, element by element.
var unaryOps = []Operator{
	{"", "Sqrt", 1, one, one, function32(linalg.Roots, math.Sqrt)},
	{"", "Reciprocal", 1, one, one, function32(reciprocalRow32, reciprocal)},
	{"", "Exp", 1, one, one, function32(inPlace(linalg.Exponentials), math.Exp)},
	{"", "Log", 1, one, one, function32(linalg.Logarithms, math.Log)},
	{"", "Floor", 1, one, one, function(math.Floor)},
	{"", "Ceil", 1, one, one, function(math.Ceil)},
	{"", "Round", 11, one, one, function(math.RoundToEven)},
	{"", "Sin", 7, one, one, function(math.Sin)},
	{"", "Cos", 7, one, one, function(math.Cos)},
	{"", "Tan", 7, one, one, function(math.Tan)},
	{"", "Asin", 7, one, one, function(math.Asin)},
	{"", "Acos", 7, one, one, function(math.Acos)},
	{"", "Atan", 7, one, one, function(math.Atan)},
	{"", "Sinh", 9, one, one, function(math.Sinh)},
	{"", "Cosh", 9, one, one, function(math.Cosh)},
	{"", "Tanh", 1, one, one, function32(inPlace(linalg.Tangents), math.Tanh)},
	{"", "Asinh", 9, one, one, function(math.Asinh)},
	{"", "Acosh", 9, one, one, function(math.Acosh)},
	{"", "Atanh", 9, one, one, function(math.Atanh)},
	{"", "Sigmoid", 1, one, one, function32(inPlace(linalg.Sigmoids), sigmoid)},
	{"", "Softplus", 1, one, one, function(softplus)},
	{"", "Softsign", 1, one, one, function(func(x float64) float64 { return x / (1 + math.Abs(x)) })},
	{"", "HardSwish", 14, one, one, function(func(x float64) float64 { return x * hardSigmoid(x, 1.0/6, 0.5) })},
	{"", "Mish", 18, one, one, function(func(x float64) float64 { return x * math.Tanh(softplus(x)) })},
	{"", "Erf", 9, one, one, parseErf},
	{"", "Abs", 1, one, one, numeric(numericElem, absOf)},
	{"", "Neg", 1, one, one, numeric(signedElem, negOf)},
	{"", "Sign", 9, one, one, numeric(numericElem, signOf)},
	{"", "Relu", 1, one, one, parseRelu},
	{"", "IsNaN", 9, one, one, parseIsNaN},
	{"", "IsInf", 10, one, one, parseIsInf},
}

// function returns the parse function of an operator that applies fn to floats
// (of ai.onnx versions 1 to 6, 13 and 22, unless the table says another first
// one). What is not a float64 is computed in it and rounded once.
func function(fn func(float64) float64) func(*Node) Kernel {
	return func(n *Node) Kernel { return apply(n, floatElem, fn) }
}

// function32 is function with another way to come by float32.
func function32(single func(dst, x []float32), fn func(float64) float64) func(*Node) Kernel {
	return func(n *Node) Kernel {
		k := apply(n, floatElem, fn)
		if k != nil && n.In[0].Type.Elem == tensor.Float32 {
			return pointwise(single)
		}
		return k
	}
}

// apply returns the kernel that applies fn to elements of one of the types
// allowed; integers are truncated.
func apply(n *Node, allowed []tensor.DType, fn func(float64) float64) Kernel {
	d := unaryElem(n, allowed)
	if n.err != nil {
		return nil
	}
	switch d {
	case tensor.Float32:
		return pointwise(func(dst, x []float32) {
			for i, v := range x {
				dst[i] = float32(fn(float64(v)))
			}
		})
	case tensor.Float64:
		return pointwise(func(dst, x []float64) {
			for i, v := range x {
				dst[i] = fn(v)
			}
		})
	case tensor.Half:
		return pointwise(func(dst, x []tensor.Float16) {
			for i, v := range x {
				dst[i] = halfFromReal(fn(float64(fromHalf(v))))
			}
		})
	case tensor.Int8:
		return applyToInts[int8](fn)
	case tensor.Int16:
		return applyToInts[int16](fn)
	case tensor.Int32:
		return applyToInts[int32](fn)
	case tensor.Int64:
		return applyToInts[int64](fn)
	case tensor.Uint8:
		return applyToInts[uint8](fn)
	case tensor.Uint16:
		return applyToInts[uint16](fn)
	case tensor.Uint32:
		return applyToInts[uint32](fn)
	case tensor.Uint64:
		return applyToInts[uint64](fn)
	case tensor.Bool, tensor.String, tensor.Undefined: // no operator allows them
	}
	return nil
}

func applyToInts[T integer](fn func(float64) float64) Kernel {
	return pointwise(func(dst, x []T) {
		for i, v := range x {
			dst[i] = fromReal[T](fn(float64(v)))
		}
	})
}

// unaryElem reads the type of the only tensor, which the output has too.
func unaryElem(n *Node, allowed []tensor.DType) tensor.DType {
	if n.Version < 6 {
		n.Ignore("consumed_inputs")
	}
	d := n.Elem(0, allowed...)
	if n.err == nil {
		n.SetOut(0, n.In[0].Type)
	}
	return d
}

// pointwise returns the kernel that computes output 0 from input 0, a few
// elements at a time.
func pointwise[S, D tensor.Element](fn func(dst []D, x []S)) Kernel {
	return func(ctx context.Context, f *Frame) error {
		x := Input[S](f, 0)
		dst, err := Output[D](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		return inBlocks(ctx, len(dst), func(at, end int) error {
			fn(dst[at:end], x[at:end])
			return nil
		})
	}
}

// parseErf reads Erf (ai.onnx 9, 13). Version 9 takes integers too.
func parseErf(n *Node) Kernel {
	allowed := floatElem
	if n.Version < 13 {
		allowed = numericElem
	}
	return apply(n, allowed, math.Erf)
}

func reciprocal(x float64) float64 { return 1 / x }

func reciprocalRow32(dst, x []float32) {
	for i, v := range x {
		dst[i] = 1 / v
	}
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

// softplus is ln(1+exp(x)), also where exp(x) would overflow or be lost in the
// sum.
func softplus(x float64) float64 {
	return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

func hardSigmoid(x, alpha, beta float64) float64 { return max(0, min(1, alpha*x+beta)) }

// parseIsNaN reads IsNaN (ai.onnx 9, 13, 20).
func parseIsNaN(n *Node) Kernel { return classify(n, math.IsNaN) }

// parseIsInf reads IsInf (ai.onnx 10, 20).
func parseIsInf(n *Node) Kernel {
	below, above := n.Int("detect_negative", 1) != 0, n.Int("detect_positive", 1) != 0
	return classify(n, func(x float64) bool { return above && math.IsInf(x, 1) || below && math.IsInf(x, -1) })
}

// classify returns the kernel that applies a test to floats.
func classify(n *Node, test func(float64) bool) Kernel {
	d := n.Elem(0, floatElem...)
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = tensor.Bool
	n.SetOut(0, out)
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return pointwise(func(dst []bool, x []float32) {
			for i, v := range x {
				dst[i] = test(float64(v))
			}
		})
	case tensor.Float64:
		return pointwise(func(dst []bool, x []float64) {
			for i, v := range x {
				dst[i] = test(v)
			}
		})
	}
	return pointwise(func(dst []bool, x []tensor.Float16) {
		for i, v := range x {
			dst[i] = test(float64(fromHalf(v)))
		}
	})
}
