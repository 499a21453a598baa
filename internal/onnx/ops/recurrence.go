package ops

import (
	"math"

	"onnxgate/internal/onnx"
)

// activation is a function of a recurrent operator, with its parameters.
type activation struct {
	of          func(x, alpha, beta float64) float64
	alpha, beta float64
}

// activationKind is a function that a recurrent operator may name, how many
// parameters it takes, and their values where the node gives none: NaN where it
// must.
type activationKind struct {
	of          func(x, alpha, beta float64) float64
	parameters  int
	alpha, beta float64
}

// activationKinds are the functions by their names.
var activationKinds = map[string]activationKind{
	"Affine":          {of: func(x, a, b float64) float64 { return a*x + b }, parameters: 2, alpha: math.NaN(), beta: math.NaN()},
	"Elu":             {of: func(x, a, _ float64) float64 { return below(x, a*math.Expm1(x)) }, parameters: 1, alpha: 1},
	"HardSigmoid":     {of: func(x, a, b float64) float64 { return max(0, min(1, a*x+b)) }, parameters: 2, alpha: 0.2, beta: 0.5},
	"LeakyRelu":       {of: func(x, a, _ float64) float64 { return below(x, a*x) }, parameters: 1, alpha: 0.01},
	"Relu":            {of: func(x, _, _ float64) float64 { return max(0, x) }},
	"ScaledTanh":      {of: func(x, a, b float64) float64 { return a * math.Tanh(b*x) }, parameters: 2, alpha: math.NaN(), beta: math.NaN()},
	"Sigmoid":         {of: func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }},
	"Softplus":        {of: func(x, _, _ float64) float64 { return max(0, x) + math.Log1p(math.Exp(-math.Abs(x))) }},
	"Softsign":        {of: func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) }},
	"Tanh":            {of: func(x, _, _ float64) float64 { return math.Tanh(x) }},
	"ThresholdedRelu": {of: func(x, a, _ float64) float64 { return above(x, a) }, parameters: 1, alpha: 1},
}

// below returns x, or where that is negative y.
func below(x, y float64) float64 {
	if x < 0 {
		return y
	}
	return x
}

// above returns x where it is more than limit, or is NaN, and else 0.
func above(x, limit float64) float64 {
	if x <= limit {
		return 0
	}
	return x
}

// parseActivations reads the functions of a recurrent operator, Tanh where it
// names none. Those that take parameters take them in turn from the lists of the
// node.
func parseActivations(n *Node, count int) []activation {
	names, alphas, betas := n.Strings("activations"), n.Floats("activation_alpha"), n.Floats("activation_beta")
	if len(names) == 0 {
		for range count {
			names = append(names, "Tanh")
		}
	}
	if len(names) != count {
		n.Failf("it names %d activations; it needs %d", len(names), count)
	}
	var all []activation
	for _, name := range names {
		kind, known := activationKinds[name]
		if !known {
			n.Failf("activation %s is none of those of the specification", onnx.Quote(name))
		}
		a := activation{of: kind.of, alpha: kind.alpha, beta: kind.beta}
		if kind.parameters > 0 && len(alphas) > 0 {
			a.alpha, alphas = float64(alphas[0]), alphas[1:]
		}
		if kind.parameters > 1 && len(betas) > 0 {
			a.beta, betas = float64(betas[0]), betas[1:]
		}
		if math.IsNaN(kind.alpha) && (math.IsNaN(a.alpha) || math.IsNaN(a.beta)) {
			n.Failf("activation %s needs activation_alpha and activation_beta", onnx.Quote(name))
		}
		all = append(all, a)
	}
	return all
}
