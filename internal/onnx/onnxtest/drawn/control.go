package drawn

import (
	"fmt"
	"slices"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// last is the value that was made last.
func (p *grapher) last() value { return p.values[len(p.values)-1] }

// flag makes one bool of many: whether any is true.
func (p *grapher) flag() (value, bool) {
	v, ok := p.choose(isBool)
	if !ok || p.version < 12 {
		return v, false
	}
	out := value{typ: tensor.Int32, shape: v.shape, bound: 1, grain: 1}
	p.node("Cast", []value{v}, out, Int("to", int64(tensor.Int32)))
	out.shape = tensor.Shape{}
	p.node("ReduceMax", []value{p.last()}, out, Int("keepdims", 0))
	out.typ = tensor.Bool
	p.node("Cast", []value{p.last()}, out, Int("to", int64(tensor.Bool)))
	return p.last(), true
}

// unnamed appends a node to a body: ONNX Runtime refuses a name that is there twice.
func unnamed(g *onnx.Graph, op string, in []string, out string) {
	n := Node(op, in, Names(out))
	n.Name = ""
	g.Nodes = append(g.Nodes, n)
}

// local is a value inside a body, under a name that nothing else has.
func (p *grapher) local(v value) value {
	p.made++
	v.name = fmt.Sprint("b", p.made)
	return v
}

// nodes appends some nodes to a body that keep type and shape, and returns the
// result of the last. other may be captured.
func (p *grapher) nodes(g *onnx.Graph, at, other value) value {
	for range p.from(1, 3) {
		next := p.local(at)
		switch op := pick(p.drawing, "Add", "Sub", "Neg", "Abs"); op {
		case "Neg", "Abs":
			unnamed(g, op, Names(at.name), next.name)
		default:
			unnamed(g, op, Names(at.name, other.name), next.name)
			next.bound += other.bound
		}
		at = next
	}
	return at
}

func (p *grapher) declared(v value) *onnx.ValueInfo {
	dims := make([]tensor.Dim, len(v.shape))
	for i, n := range v.shape {
		dims[i] = tensor.Dim{Size: n}
	}
	t := onnx.TensorOf(v.typ, dims...)
	return &onnx.ValueInfo{Name: v.name, Type: &t}
}

// same returns two values of one type and shape.
func (p *grapher) same(conditions ...func(*value) bool) (a, b value, ok bool) {
	if a, ok = p.choose(conditions...); ok {
		b, ok = p.choose(append(conditions, func(v *value) bool { return v.typ == a.typ && slices.Equal(v.shape, a.shape) })...)
	}
	return a, b, ok
}

// branch draws an If whose branches read what is around them.
func (p *grapher) branch() {
	a, b, ok := p.same((*value).number, (*value).exact)
	if !ok {
		return
	}
	c, ok := p.flag()
	if !ok {
		return
	}
	out := value{typ: a.typ, shape: a.shape, grain: finer(a, b), wild: a.wild || b.wild}
	var branches []*onnx.Graph
	for range 2 {
		g := &onnx.Graph{Name: "branch"}
		v := p.nodes(g, a, b)
		out.bound = max(out.bound, v.bound)
		g.Outputs = []*onnx.ValueInfo{p.declared(v)}
		branches = append(branches, g)
		a, b = b, a
	}
	p.node("If", []value{c}, out, Graph("then_branch", branches[0]), Graph("else_branch", branches[1]))
}

// loop draws a Loop with a state, what each pass collects, and a captured value.
func (p *grapher) loop() {
	a, b, ok := p.same((*value).number, (*value).exact)
	if !ok || a.wild || b.wild {
		return
	}
	trips := p.from(1, 4)
	in := []value{p.local(value{typ: tensor.Int64}), p.local(value{typ: tensor.Bool}), p.local(a)}
	g := &onnx.Graph{Name: "body"}
	for _, v := range in {
		g.Inputs = append(g.Inputs, p.declared(v))
	}
	going, collected := p.local(in[1]), p.local(a)
	unnamed(g, "Identity", Names(in[1].name), going.name)
	v := p.nodes(g, in[2], b)
	unnamed(g, "Abs", Names(v.name), collected.name)
	g.Outputs = []*onnx.ValueInfo{p.declared(going), p.declared(v), p.declared(collected)}
	state := value{typ: a.typ, shape: a.shape, bound: a.bound + float64(3*trips)*b.bound, grain: finer(a, b)}
	all := state
	all.shape = append(tensor.Shape{trips}, a.shape...)
	count := p.constant(tensor.Int64, tensor.Shape{}, float64(trips))
	p.nodeOf("Loop", []value{count, {}, a}, []value{state, all}, Graph("body", g))
}

// scan draws a Scan along the first axis of a value, to either direction.
func (p *grapher) scan() {
	a, ok := p.choose((*value).number, (*value).tame, ranked)
	if !ok {
		return
	}
	inner := a.shape[1:]
	zero := p.constant(a.typ, inner, make([]float64, product(inner))...)
	start, slice := p.local(zero), p.local(value{typ: a.typ, shape: inner, bound: a.bound, grain: a.grain})
	g := &onnx.Graph{Name: "body", Inputs: []*onnx.ValueInfo{p.declared(start), p.declared(slice)}}
	v := p.nodes(g, start, slice)
	collected := p.local(v)
	unnamed(g, "Neg", Names(v.name), collected.name)
	g.Outputs = []*onnx.ValueInfo{p.declared(v), p.declared(collected)}
	state := value{typ: a.typ, shape: inner, bound: float64(3*a.shape[0]) * a.bound, grain: a.grain}
	all := state
	all.shape = a.shape
	p.nodeOf("Scan", []value{zero, a}, []value{state, all}, Graph("body", g), Int("num_scan_inputs", 1),
		Ints("scan_input_directions", int64(p.IntN(2))), Ints("scan_output_directions", int64(p.IntN(2))))
}
