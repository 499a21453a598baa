package drawn

import (
	"math"
	"slices"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// operators are what graphs are drawn of. Each appends a node, or none where
// there is no value for it.
var operators = []func(*grapher){
	(*grapher).arithmetic, (*grapher).arithmetic, (*grapher).arithmetic, (*grapher).division, (*grapher).power,
	(*grapher).comparison, (*grapher).logic, (*grapher).where,
	(*grapher).unary, (*grapher).unary, (*grapher).smooth, (*grapher).smooth, (*grapher).clip,
	(*grapher).cast, (*grapher).cast, (*grapher).variadic,
	(*grapher).reduce, (*grapher).reduce, (*grapher).arg, (*grapher).softmax, (*grapher).top, (*grapher).cumulative,
	(*grapher).matmul, (*grapher).gemm, (*grapher).einsum,
	(*grapher).transpose, (*grapher).reshape, (*grapher).flatten, (*grapher).squeeze, (*grapher).unsqueeze,
	(*grapher).slice, (*grapher).slice, (*grapher).split, (*grapher).concat, (*grapher).concat, (*grapher).gather, (*grapher).gatherElements,
	(*grapher).expand, (*grapher).tile, (*grapher).pad, (*grapher).scatter, (*grapher).trilu, (*grapher).hot, (*grapher).shape, (*grapher).nonzero,
	(*grapher).branch, (*grapher).branch, (*grapher).loop, (*grapher).loop, (*grapher).scan, (*grapher).scan,
}

// pair returns two values of one type that broadcast.
func (p *grapher) pair(conditions ...func(*value) bool) (a, b value, shape tensor.Shape, ok bool) {
	if a, ok = p.choose(conditions...); !ok {
		return a, b, nil, false
	}
	same := func(v *value) bool {
		_, fits := broadcast(a.shape, v.shape)
		return fits && v.typ == a.typ
	}
	b, ok = p.choose(append(slices.Clone(conditions), same)...)
	shape, _ = broadcast(a.shape, b.shape)
	return a, b, shape, ok
}

func (p *grapher) arithmetic() {
	a, b, shape, ok := p.pair((*value).number)
	if !ok {
		return
	}
	both := a.grain * b.grain
	op := pick(p.drawing, "Add", "Sub", "Mul", "Min", "Max")
	if both == 0 && (op == "Add" || op == "Sub") { // where large numbers cancel out, the rounding of one stays
		op = "Mul"
	}
	if (op == "Min" || op == "Max") && (p.version < 12 && !a.float()) {
		return // ONNX Runtime has the older form for floats alone
	}
	out := value{typ: a.typ, shape: shape}
	switch op {
	case "Mul":
		out.bound, out.grain = a.bound*b.bound, both
	case "Min", "Max":
		out.bound, out.grain = max(a.bound, b.bound), finer(a, b)
	default:
		out.bound, out.grain = a.bound+b.bound, finer(a, b)
	}
	p.node(op, []value{a, b}, out)
}

// finer is the grain of numbers of two values together.
func finer(a, b value) float64 {
	if !a.exact() || !b.exact() {
		return 0
	}
	return min(a.grain, b.grain)
}

// division is by constants: a whole number divided by 0 ends ONNX Runtime's
// process.
func (p *grapher) division() {
	a, ok := p.choose((*value).number, (*value).tame)
	if !ok {
		return
	}
	op := pick(p.drawing, "Div", "Mod")
	by := p.constant(a.typ, tensor.Shape{}, pick[float64](p.drawing, 1, 2, 3, -3, 5))
	out := value{typ: a.typ, shape: a.shape, bound: a.bound, grain: 1}
	var list []onnx.Attribute
	if a.float() {
		out.grain = 0
		if op == "Mod" {
			list = append(list, Int("fmod", 1))
		}
	}
	p.node(op, []value{a, by}, out, list...)
}

func (p *grapher) power() {
	a, ok := p.choose((*value).float)
	if !ok || p.version < 12 {
		return
	}
	e := pick[float64](p.drawing, 0, 1, 2, 3)
	out := value{typ: a.typ, shape: a.shape, bound: math.Pow(max(a.bound, 1), e)}
	p.node("Pow", []value{a, p.constant(a.typ, tensor.Shape{}, e)}, out)
}

func (p *grapher) comparison() {
	a, b, shape, ok := p.pair((*value).number, (*value).exact)
	if !ok {
		return
	}
	ops := []string{"Less", "Greater", "Equal"}
	if p.version >= 16 {
		ops = append(ops, "LessOrEqual", "GreaterOrEqual")
	}
	p.node(pick(p.drawing, ops...), []value{a, b}, value{typ: tensor.Bool, shape: shape, bound: 1, grain: 1})
}

func isBool(v *value) bool { return v.typ == tensor.Bool }

func (p *grapher) logic() {
	a, b, shape, ok := p.pair(isBool)
	if !ok {
		return
	}
	out := value{typ: tensor.Bool, shape: shape, bound: 1, grain: 1}
	if op := pick(p.drawing, "And", "Or", "Xor", "Not", "Equal"); op == "Not" {
		out.shape = a.shape
		p.node(op, []value{a}, out)
	} else {
		p.node(op, []value{a, b}, out)
	}
}

func (p *grapher) where() {
	c, ok := p.choose(isBool)
	a, b, shape, also := p.pair((*value).number)
	if !ok || !also {
		return
	}
	if shape, ok = broadcast(c.shape, shape); ok {
		p.node("Where", []value{c, a, b}, value{typ: a.typ, shape: shape, bound: max(a.bound, b.bound), grain: finer(a, b)})
	}
}

// unary are operators whose results are exact where their inputs are.
func (p *grapher) unary() {
	a, ok := p.choose((*value).number)
	if !ok {
		return
	}
	out := value{typ: a.typ, shape: a.shape, bound: a.bound, grain: a.grain}
	ops := []string{"Abs", "Neg", "Identity"}
	if a.float() {
		ops = append(ops, "Relu")
	}
	if a.tame() {
		ops = append(ops, "Sign")
	}
	if a.exact() && a.float() {
		ops = append(ops, "Floor", "Ceil", "Round", "IsNaN")
	}
	op := pick(p.drawing, ops...)
	switch op {
	case "Sign", "Floor", "Ceil", "Round":
		out.grain, out.bound = 1, a.bound+1
	case "IsNaN":
		out = value{typ: tensor.Bool, shape: a.shape, bound: 1, grain: 1}
	}
	p.node(op, []value{a}, out)
}

// smooth are operators that round. The functions that ONNX Runtime has for
// float32 alone are drawn for it alone.
func (p *grapher) smooth() {
	a, ok := p.choose((*value).float, (*value).exact)
	if !ok || a.bound > 20 {
		return
	}
	ops := []string{"Exp", "Sigmoid", "Tanh", "Sqrt", "Log", "Reciprocal", "Sin", "Cos"}
	if a.typ == tensor.Float32 {
		ops = append(ops, "Elu", "LeakyRelu", "Softplus", "Erf", "Softsign", "Selu", "HardSigmoid", "ThresholdedRelu", "Atan", "Sinh", "Tan", "Asinh")
		if p.version >= 12 {
			ops = append(ops, "Celu")
		}
	}
	op := pick(p.drawing, ops...)
	var list []onnx.Attribute
	if (op == "Elu" || op == "LeakyRelu" || op == "Celu") && p.chance(2) {
		list = append(list, Float("alpha", 0.5))
	}
	out := value{typ: a.typ, shape: a.shape, bound: 20}
	if op == "Exp" || op == "Sinh" {
		out.bound = math.Exp(a.bound)
	}
	if op == "Reciprocal" || op == "Tan" || op == "Log" {
		out.bound, out.wild = 1e4, true
	}
	if op == "Sqrt" {
		out.wild = true
	}
	p.node(op, []value{a}, out, list...)
}

func (p *grapher) clip() {
	a, ok := p.choose((*value).number)
	if !ok || p.version < 12 && a.typ != tensor.Float32 {
		return // ONNX Runtime has the older form for float32 alone
	}
	low := p.constant(a.typ, tensor.Shape{}, float64(p.from(-2, 0)))
	high := p.constant(a.typ, tensor.Shape{}, float64(p.from(1, 3)))
	p.node("Clip", []value{a, low, high}, value{typ: a.typ, shape: a.shape, bound: a.bound + 3, grain: a.grain})
}

// cast goes between all types. Of no number is a number made of another type
// that cannot hold it: the specification leaves open what it is.
func (p *grapher) cast() {
	a, ok := p.choose()
	if !ok {
		return
	}
	to := pick(p.drawing, ordinary...)
	out := value{typ: to, shape: a.shape, bound: max(a.bound, 1), grain: a.grain}
	if to != tensor.Float32 && to != tensor.Float64 {
		if !a.tame() {
			return
		}
		out.grain = 1
	}
	p.node("Cast", []value{a}, out, Int("to", int64(to)))
}

func (p *grapher) variadic() {
	a, b, shape, ok := p.pair((*value).float, (*value).tame)
	if !ok {
		return
	}
	op := pick(p.drawing, "Sum", "Mean")
	if op == "Mean" && a.typ != tensor.Float32 {
		return // ONNX Runtime has it for float32 alone
	}
	out := value{typ: a.typ, shape: shape, bound: 2*a.bound + b.bound, grain: min(a.grain, b.grain)}
	if op == "Mean" {
		out.grain = 0
	}
	p.node(op, []value{a, b, a}, out)
}
