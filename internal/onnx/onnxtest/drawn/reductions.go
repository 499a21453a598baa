package drawn

import (
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

func ranked(v *value) bool { return len(v.shape) > 0 }

// axis draws an axis, counted from the front or from the back.
func (p *grapher) axis(v value) (axis int, written int64) {
	axis = p.IntN(len(v.shape))
	if p.chance(2) {
		return axis, int64(axis - len(v.shape))
	}
	return axis, int64(axis)
}

// reduced is a shape without an axis, or with 1 in its place.
func reduced(s tensor.Shape, axis int, keep bool) tensor.Shape {
	out := append(tensor.Shape{}, s[:axis]...)
	if keep {
		out = append(out, 1)
	}
	return append(out, s[axis+1:]...)
}

// reduce reduces one axis or all, which are an attribute in the older versions
// and an input in the newer ones. What is reduced is tame: the maximum of NaN
// depends on the order in ONNX Runtime.
func (p *grapher) reduce() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	op := pick(p.drawing, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp")
	if a.whole() && (op == "ReduceMean" || op == "ReduceL2" || op == "ReduceLogSumExp") {
		return // the specification does not say how they round
	}
	axis, written := p.axis(a)
	keep := p.chance(2)
	n := float64(a.shape[axis])
	out := value{typ: a.typ, shape: reduced(a.shape, axis, keep), bound: a.bound * n, grain: a.grain}
	var list []onnx.Attribute
	in := []value{a}
	if from := map[bool]int64{true: 13, false: 18}[op == "ReduceSum"]; p.version >= from {
		in = append(in, p.list(int(written)))
	} else {
		list = append(list, Ints("axes", written))
	}
	if !keep || p.chance(2) {
		list = append(list, Int("keepdims", int64(tally(keep))))
	}
	switch op {
	case "ReduceMean", "ReduceL2", "ReduceLogSumExp":
		out.bound, out.grain = a.bound*n+3, 0
	case "ReduceSumSquare":
		out.bound, out.grain = a.bound*a.bound*n, a.grain*a.grain
	case "ReduceProd":
		for range a.shape[axis] - 1 {
			out.bound, out.grain = out.bound*a.bound, out.grain*a.grain
		}
	}
	p.node(op, in, out, list...)
}

func (p *grapher) arg() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	keep := p.chance(2)
	list := []onnx.Attribute{Int("axis", written), Int("keepdims", int64(tally(keep)))}
	if p.version >= 12 && p.chance(2) {
		list = append(list, Int("select_last_index", int64(p.IntN(2))))
	}
	out := value{typ: tensor.Int64, shape: reduced(a.shape, axis, keep), bound: float64(a.shape[axis]), grain: 1}
	p.node(pick(p.drawing, "ArgMax", "ArgMin"), []value{a}, out, list...)
}

func (p *grapher) softmax() {
	a, ok := p.choose((*value).float, (*value).exact, ranked)
	if !ok || a.bound > 20 {
		return
	}
	op := pick(p.drawing, "Softmax", "LogSoftmax", "Hardmax")
	switch {
	case op == "Hardmax" && (a.wild || a.typ == tensor.Float64):
		return // ONNX Runtime gives NaN no place, and has no doubles
	case op == "LogSoftmax" && a.wild && a.typ == tensor.Float64:
		return // ONNX Runtime gives -Inf where the definition gives NaN
	}
	_, written := p.axis(a)
	out := value{typ: a.typ, shape: a.shape, bound: 40}
	if op == "Hardmax" {
		out.bound, out.grain = 1, 1
	}
	p.node(op, []value{a}, out, Int("axis", written))
}

// top takes what is the greatest or the least, by its place too: of equals the
// first, as the specification has it.
func (p *grapher) top() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	k := p.from(1, a.shape[axis])
	values := value{typ: a.typ, shape: reduced(a.shape, axis, true), bound: a.bound, grain: a.grain}
	values.shape[axis] = k
	places := value{typ: tensor.Int64, shape: values.shape, bound: float64(a.shape[axis]), grain: 1}
	p.nodeOf("TopK", []value{a, p.list(k)}, []value{values, places}, Int("axis", written), Int("largest", int64(p.IntN(2))))
}

func (p *grapher) cumulative() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	out := value{typ: a.typ, shape: a.shape, bound: a.bound * float64(a.shape[axis]), grain: a.grain}
	at := p.constant(tensor.Int64, tensor.Shape{}, float64(written))
	p.node("CumSum", []value{a, at}, out, Int("exclusive", int64(p.IntN(2))), Int("reverse", int64(p.IntN(2))))
}

// matmul multiplies a value by a constant, or a constant by it.
func (p *grapher) matmul() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	last := a.shape[len(a.shape)-1]
	n := p.from(1, 4)
	w := value{typ: a.typ, shape: tensor.Shape{last, n}, bound: 2, grain: 1}
	b := p.constant(a.typ, w.shape, p.elements(&w)...)
	shape := append(append(tensor.Shape{}, a.shape[:len(a.shape)-1]...), n)
	p.node("MatMul", []value{a, b}, value{typ: a.typ, shape: shape, bound: a.bound * 2 * float64(last), grain: a.grain})
}

func (p *grapher) gemm() {
	a, ok := p.choose((*value).float, (*value).tame, func(v *value) bool { return len(v.shape) == 2 })
	if !ok {
		return
	}
	turned := p.chance(2)
	rows, depth := a.shape[0], a.shape[1]
	if turned {
		rows, depth = depth, rows
	}
	n := p.from(1, 4)
	w := value{typ: a.typ, shape: tensor.Shape{n, depth}, bound: 2, grain: 1}
	bias := value{typ: a.typ, shape: pick(p.drawing, tensor.Shape{n}, tensor.Shape{1}, tensor.Shape{rows, 1}), bound: 2, grain: 1}
	in := []value{a, p.constant(a.typ, w.shape, p.elements(&w)...), p.constant(a.typ, bias.shape, p.elements(&bias)...)}
	out := value{typ: a.typ, shape: tensor.Shape{rows, n}, bound: a.bound*2*float64(depth) + 2, grain: a.grain / 2}
	p.node("Gemm", in, out, Int("transA", int64(tally(turned))), Int("transB", 1), Float("alpha", pick[float32](p.drawing, 1, 0.5)))
}

func (p *grapher) einsum() {
	a, ok := p.choose((*value).float, (*value).tame, func(v *value) bool { return len(v.shape) == 2 })
	if !ok || p.version < 12 {
		return
	}
	equation := pick(p.drawing, "ij,ij->i", "ij,kj->ik", "ij,ij->ji", "ij,kj->")
	n, m := a.shape[0], a.shape[1]
	shape := map[string]tensor.Shape{"ij,ij->i": {n}, "ij,kj->ik": {n, n}, "ij,ij->ji": {m, n}, "ij,kj->": {}}[equation]
	out := value{typ: a.typ, shape: shape, bound: a.bound * a.bound * float64(n*n*m), grain: a.grain * a.grain}
	p.node("Einsum", []value{a, a}, out, String("equation", equation))
}
