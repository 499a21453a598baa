package ops

import (
	"math"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// activationOps is the functions of one tensor that have settings.
var activationOps = []Operator{
	{"", "LeakyRelu", 1, one, one, parseLeakyRelu},
	{"", "ThresholdedRelu", 10, one, one, parseThresholdedRelu},
	{"", "Elu", 1, one, one, parseElu},
	{"", "Celu", 12, one, one, parseCelu},
	{"", "Selu", 1, one, one, parseSelu},
	{"", "Gelu", 20, one, one, parseGelu},
	{"", "HardSigmoid", 1, one, one, parseHardSigmoid},
	{"", "Swish", 24, one, one, parseSwish},
	{"", "SwiGLU", 28, two, one, parseSwiGLU},
	{"", "Shrink", 9, one, one, parseShrink},
}

// parseLeakyRelu reads LeakyRelu (ai.onnx 1, 6, 16).
func parseLeakyRelu(n *Node) Kernel {
	alpha := float64(n.Float("alpha", 0.01))
	return apply(n, floatElem, func(x float64) float64 {
		if x < 0 {
			return alpha * x
		}
		return x
	})
}

// parseThresholdedRelu reads ThresholdedRelu (ai.onnx 10, 22). NaN is above no
// threshold.
func parseThresholdedRelu(n *Node) Kernel {
	alpha := float64(n.Float("alpha", 1))
	return apply(n, floatElem, func(x float64) float64 {
		if x > alpha {
			return x
		}
		return 0
	})
}

// parseElu reads Elu (ai.onnx 1, 6, 22).
func parseElu(n *Node) Kernel {
	alpha := float64(n.Float("alpha", 1))
	return apply(n, floatElem, func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x)
		}
		return x
	})
}

// parseCelu reads Celu (ai.onnx 12, 28). Version 12 has it for float32 alone.
func parseCelu(n *Node) Kernel {
	allowed := floatElem
	if n.Version < 28 {
		allowed = []tensor.DType{tensor.Float32}
	}
	alpha := float64(n.Float("alpha", 1))
	if alpha == 0 {
		n.Failf("attribute alpha is 0; it must be another number")
	}
	return apply(n, allowed, func(x float64) float64 { return max(0, x) + min(0, alpha*math.Expm1(x/alpha)) })
}

// parseSelu reads Selu (ai.onnx 1, 6, 22), whose defaults were rounded in
// version 1.
func parseSelu(n *Node) Kernel {
	a, g := float32(1.67326319217681884765625), float32(1.05070102214813232421875)
	if n.Version < 6 {
		a, g = 1.6732, 1.0507
	}
	alpha, gamma := float64(n.Float("alpha", a)), float64(n.Float("gamma", g))
	return apply(n, floatElem, func(x float64) float64 {
		if x <= 0 {
			return gamma * alpha * math.Expm1(x)
		}
		return gamma * x
	})
}

// parseGelu reads Gelu (ai.onnx 20).
func parseGelu(n *Node) Kernel {
	switch form := n.String("approximate", "none"); form {
	case "none":
		return apply(n, floatElem, func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) })
	case "tanh":
		scale := math.Sqrt(2 / math.Pi)
		return apply(n, floatElem, func(x float64) float64 { return x / 2 * (1 + math.Tanh(scale*(x+0.044715*x*x*x))) })
	default:
		n.Failf("attribute approximate is %s; it must be none or tanh", onnx.Quote(form))
		return nil
	}
}

// parseHardSigmoid reads HardSigmoid (ai.onnx 1, 6, 22).
func parseHardSigmoid(n *Node) Kernel {
	alpha, beta := float64(n.Float("alpha", 0.2)), float64(n.Float("beta", 0.5))
	return apply(n, floatElem, func(x float64) float64 { return hardSigmoid(x, alpha, beta) })
}

// parseSwish reads Swish (ai.onnx 24).
func parseSwish(n *Node) Kernel {
	alpha := float64(n.Float("alpha", 1))
	return apply(n, floatElem, func(x float64) float64 { return x * sigmoid(alpha*x) })
}

// parseSwiGLU reads SwiGLU (ai.onnx 28): Swish of input 0, times input 1, which has
// the same shape. The gate is rounded before it is multiplied, as the product of the
// two operators would be.
func parseSwiGLU(n *Node) Kernel {
	alpha := float64(n.Float("alpha", 1))
	d := sameElem(n, floatElem)
	if n.err != nil {
		return nil
	}
	m := fit{mode: alike, axis: -1}
	n.SetOut(0, m.outType(n, d))
	gate := func(x float64) float64 { return x * sigmoid(alpha*x) }
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return binary(n, m, rowOf(func(a, b float32) float32 { return float32(gate(float64(a))) * b }))
	case tensor.Float64:
		return binary(n, m, rowOf(func(a, b float64) float64 { return gate(a) * b }))
	}
	return binary(n, m, rowOf(func(a, b tensor.Float16) tensor.Float16 {
		return toHalf(fromHalf(halfFromReal(gate(float64(fromHalf(a))))) * fromHalf(b))
	}))
}

// parseShrink reads Shrink (ai.onnx 9).
func parseShrink(n *Node) Kernel {
	bias, lambd := float64(n.Float("bias", 0)), float64(n.Float("lambd", 0.5))
	return apply(n, numericElem, func(x float64) float64 {
		switch {
		case x < -lambd:
			return x + bias
		case x > lambd:
			return x - bias
		}
		return 0
	})
}
