package exec_test

import (
	"fmt"
	"slices"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// hostileCase is a file that must be refused, by what is wrong with it.
type hostileCase struct {
	name string
	data []byte
	want string
}

// own returns a call of a function of the model.
func own(name string, in, out []string, attributes ...onnx.Attribute) *onnx.Node {
	n := anonymous(name, in, out, attributes...)
	n.Domain = "own"
	return n
}

func function(name string, nodes ...*onnx.Node) *onnx.Function {
	return &onnx.Function{
		Name: name, Domain: "own", Inputs: Names("a"), Outputs: Names("b"), Nodes: nodes,
		Opsets: []onnx.Opset{{Version: 21}, {Domain: "own", Version: 1}},
	}
}

// modelOf is a model that calls the first of functions.
func modelOf(functions ...*onnx.Function) []byte {
	m := Model(own(functions[0].Name, Names("x"), Names("y")))
	m.Functions = functions
	return Encode(m)
}

// tower is functions of which each calls the next so many times.
func tower(height, times int) []*onnx.Function {
	list := make([]*onnx.Function, height+1)
	list[height] = function(fmt.Sprint("f", height), anonymous("Add", Names("a", "a"), Names("b")))
	for i := range height {
		list[i] = function(fmt.Sprint("f", i))
		at := "a"
		for k := range times {
			next := fmt.Sprint("v", k)
			if k == times-1 {
				next = "b"
			}
			list[i].Nodes = append(list[i].Nodes, own(fmt.Sprint("f", i+1), Names(at), Names(next)))
			at = next
		}
	}
	return list
}

// wide is a function of many inputs of one node, called many times.
func wide() []byte {
	names := slices.Repeat(Names("a"), 100_000)
	inner := function("wide", anonymous("Concat", names, Names("b"), Int("axis", 0)))
	outer := function("outer")
	at := "a"
	for k := range 1000 {
		next := fmt.Sprint("v", k)
		outer.Nodes = append(outer.Nodes, own("wide", Names(at), Names(next)))
		at = next
	}
	outer.Nodes = append(outer.Nodes, anonymous("Identity", Names(at), Names("b")))
	return modelOf(outer, inner)
}

// encoders is a function that applies a LabelEncoder of many keys, called by
// another one many times. The keys stand in the function or, when handed is set,
// are handed from call to call.
func encoders(handed bool) []byte {
	const calls, keys = 5000, 20_000
	list := make([]int64, keys)
	for i := range list {
		list[i] = int64(i)
	}
	attribute := func(name string) onnx.Attribute {
		if handed {
			return onnx.Attribute{Name: name, Type: onnx.IntsAttribute, Ref: "k"}
		}
		return Ints(name, list...)
	}
	encoder := ML("LabelEncoder", Names("i"), Names("j"), attribute("keys_int64s"), attribute("values_int64s"))
	inner := function("inner", anonymous("Cast", Names("a"), Names("i"), Int("to", 7)), encoder, anonymous("Cast", Names("j"), Names("b"), Int("to", 1)))
	inner.Opsets = append(inner.Opsets, onnx.Opset{Domain: "ai.onnx.ml", Version: 3})
	outer := function("outer")
	at := "a"
	for k := range calls {
		next := fmt.Sprint("v", k)
		call := own("inner", Names(at), Names(next))
		if handed {
			call.Attributes = []onnx.Attribute{attribute("k")}
		}
		outer.Nodes = append(outer.Nodes, call)
		at = next
	}
	outer.Nodes = append(outer.Nodes, anonymous("Identity", Names(at), Names("b")))
	m := Model(own("outer", Names("x"), Names("y")))
	m.Functions = []*onnx.Function{outer, inner}
	if handed {
		inner.Attributes, outer.Attributes = Names("k"), Names("k")
		m.Graph.Nodes[0].Attributes = []onnx.Attribute{Ints("k", list...)}
	}
	return Encode(m)
}

func hostileFunctions() []hostileCase {
	spoil := func(f *onnx.Function, change func(*onnx.Function)) []byte {
		change(f)
		return modelOf(f)
	}
	sum := func() *onnx.Function { return function("F", anonymous("Add", Names("a", "a"), Names("b"))) }
	call := func(n *onnx.Node) []byte {
		m := Model(n)
		m.Functions = []*onnx.Function{sum()}
		return Encode(m)
	}
	reference := onnx.Attribute{Name: "axis", Type: onnx.IntAttribute, Ref: "gone"}
	return []hostileCase{
		{"functions that call each other exponentially", modelOf(tower(31, 2)...), "with its functions it has more than 1000000 nodes"},
		{"functions whose sizes overflow", modelOf(tower(31, 500)...), "with its functions it has more than 1000000 nodes"},
		{"functions that call each other 10,000 deep", modelOf(tower(10_000, 1)...), "with its functions it nests more than 32 deep"},
		{"a long node called 1,000 times", wide(), "with its functions it is more than 4 times its size"},
		{"a long attribute of a node called 5,000 times", encoders(false), "with its functions it is more than 4 times its size"},
		{"a long attribute handed on 5,000 times", encoders(true), "with its functions it is more than 4 times its size"},
		{"a function of an input that is not there", spoil(sum(), func(f *onnx.Function) { f.Nodes[0].Inputs[1] = "x" }), `function "F": node 0 (Add): input "x" is not made by any`},
		{"a function of an output that is not there", spoil(sum(), func(f *onnx.Function) { f.Outputs[0] = "c" }), `function "F": output "c" is made by no node`},
		{"a function that makes its input", spoil(sum(), func(f *onnx.Function) { f.Nodes[0].Outputs[0] = "a" }), "already taken"},
		{"a reference to an attribute that is not there", spoil(sum(), func(f *onnx.Function) { f.Nodes[0].Attributes = []onnx.Attribute{reference} }), `refers to "gone", which is no attribute of a function around it`},
		{"an attribute of a function twice", spoil(sum(), func(f *onnx.Function) { f.Attributes = Names("k", "k") }), "there twice"},
		{"a reference outside of a function", nodes(Node("ArgMax", Names("x"), Names("y"), reference)), `refers to "gone", which is no attribute of a function around it`},
		{"a reference to a value that is not given", modelOf(&onnx.Function{
			Name: "F", Domain: "own", Inputs: Names("a"), Outputs: Names("b"), Attributes: Names("gone"), Opsets: []onnx.Opset{{Version: 21}},
			Nodes: []*onnx.Node{anonymous("Concat", Names("a"), Names("b"), reference)},
		}), `attribute "axis" is missing`},
		{"a call with too many inputs", call(own("F", Names("x", "x"), Names("y"))), "it has 2 inputs and 1 outputs; the function takes 1 and makes 1"},
		{"a call with an attribute that is not defined", call(own("F", Names("x"), Names("y"), Int("speed", 1))), `attribute "speed" is not defined for this function`},
		{"a call without its input", call(own("F", nil, Names("y"))), "input 0 is missing"},
		{"a function of its missing input", spoil(sum(), func(f *onnx.Function) { f.Inputs, f.Outputs = Names("a", "c"), Names("c") }), "output 0 is an input that is left out"},
		{"a function without an operator set", spoil(sum(), func(f *onnx.Function) { f.Opsets = nil }), "ai.onnx.Add (the model imports no operator set of its domain)"},
	}
}

func hostileSubgraphs() []hostileCase {
	flag := onnx.TensorOf(tensor.Bool)
	choose := func(attributes ...onnx.Attribute) []byte {
		m := Model(Node("If", Names("b"), Names("y"), attributes...))
		m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "b", Type: &flag})
		return Encode(m)
	}
	sum := func() *onnx.Graph {
		return subgraph(nil, Names("s"), anonymous("Add", Names("x", "x"), Names("s")))
	}
	then, otherwise := Graph("then_branch", sum()), func(g *onnx.Graph) onnx.Attribute { return Graph("else_branch", g) }
	cast := subgraph(nil, Names("s"), anonymous("Cast", Names("x"), Names("s"), Int("to", 7)))
	loop := func(in, out []string, list ...*onnx.Node) []byte { return Encode(trips(3, subgraph(in, out, list...))) }
	scan := func(count int64, body *onnx.Graph, attributes ...onnx.Attribute) []byte {
		return nodes(Node("Scan", Names("x"), Names("y"), append(attributes, Int("num_scan_inputs", count), Graph("body", body))...))
	}
	each := func() *onnx.Graph {
		return subgraph(Names("r"), Names("q"), anonymous("Add", Names("r", "r"), Names("q")))
	}
	typed := each()
	whole := onnx.UnrankedTensor(tensor.Int64)
	typed.Inputs[0].Type = &whole
	return []hostileCase{
		{"an If without else", choose(then), `attribute "else_branch" is missing`},
		{"an If on numbers", nodes(Node("If", Names("x"), Names("y"), then, otherwise(sum()))), "input 0 has elements of type float32"},
		{"branches of two types", choose(then, otherwise(cast)), "output 0 is a tensor(float32)[N,2] of then_branch and a tensor(int64)[N,2] of else_branch"},
		{"branches of unequal outputs", choose(then, otherwise(&onnx.Graph{Nodes: sum().Nodes, Outputs: values("s", "x")})), "then_branch has 1 outputs, else_branch 2"},
		{"a branch with inputs", choose(then, otherwise(each())), "the graph has 1 inputs; it is given 0"},
		{"more outputs than branches make", nodes(Node("If", Names("b"), Names("y", "z"), then, otherwise(sum())), Node("Identity", Names("x"), Names("b"))), "made only later"},
		{"a body that reads what comes later", nodes(Node("Scan", Names("x"), Names("y"), Int("num_scan_inputs", 1), Graph("body", subgraph(Names("r"), Names("q"), anonymous("Add", Names("r", "late"), Names("q"))))),
			Node("Identity", Names("x"), Names("late"))), `node 0 (Add): input "late" is not made by any`},
		{"a body that takes a name of the graph", scan(1, subgraph(Names("x"), Names("q"), anonymous("Identity", Names("x"), Names("q")))), "already taken"},
		{"a loop of too few inputs", loop(Names("i"), Names("i")), "the body has 1 inputs; for 1 states it needs 3"},
		{"a loop of too few outputs", loop(Names("i", "c", "v"), Names("c")), "the body has 1 outputs; it needs a condition and 1 states"},
		{"a loop whose condition is a number", loop(Names("i", "c", "v"), Names("i", "v")), "of its condition"},
		{"a loop whose state changes its type", loop(Names("i", "c", "v"), Names("c", "w"), anonymous("Cast", Names("v"), Names("w"), Int("to", 7))), "of state 0"},
		{"a loop that collects sequences", Encode(trips(2, subgraph(Names("i", "c", "v"), Names("c", "v", "w"), anonymous("SequenceConstruct", Names("v"), Names("w"))), "z")), "of scan output 0; it must be a tensor"},
		{"a scan of nothing", scan(0, each()), "num_scan_inputs is 0"},
		{"a scan of more than there is", scan(2, each()), "num_scan_inputs is 2"},
		{"a scan along an axis that is not there", scan(1, each(), Ints("scan_input_axes", 2)), "axis 2 is out of range"},
		{"a scan to an axis that is not there", scan(1, each(), Ints("scan_output_axes", -3)), "axis -3 of scan output 0 is out of range"},
		{"a scan in two directions", scan(1, each(), Ints("scan_input_directions", 1, 0)), "must have 1 entries"},
		{"a scan in a third direction", scan(1, each(), Ints("scan_input_directions", 2)), "must be 0 or 1"},
		{"a scan of version 8 in two directions", spoiled(func(m *onnx.Model) {
			m.Opsets[0].Version = 8
			m.Graph.Nodes[0] = Node("Scan", Names("", "x"), Names("y"), Ints("directions", 1, 0), Int("num_scan_inputs", 1), Graph("body", each()))
		}), "must have 1 entries"},
		{"a body declared for another type", scan(1, typed), `its input "r" is declared tensor(int64), but is given a tensor(float32)[2]`},
		{"an element of a tensor", nodes(Node("SequenceAt", Names("x", "x"), Names("y"))), "input 0 is a tensor(float32)[N,2]; it must be a sequence"},
		{"a sequence of two types", nodes(Node("Cast", Names("x"), Names("i"), Int("to", 7)), Node("SequenceConstruct", Names("x", "i"), Names("y"))), "they must agree"},
		{"an element of another type", nodes(Node("SequenceEmpty", nil, Names("s"), Int("dtype", 7)), Node("SequenceInsert", Names("s", "x"), Names("y"))), "cannot be inserted"},
		{"a sequence of no type", nodes(Node("SequenceEmpty", nil, Names("y"), Int("dtype", 99))), "dtype 99 is not supported"},
		{"an optional of nothing", nodes(Node("Optional", nil, Names("y"))), `needs an input or the attribute "type"`},
		{"arithmetic on a sequence", nodes(Node("SequenceConstruct", Names("x"), Names("s")), Node("Add", Names("s", "s"), Names("y"))), "it must be a tensor"},
		{"an erased element of nothing", nodes(Node("SequenceEmpty", nil, Names("s")), Node("SequenceErase", Names("s"), Names("y"))), "no element to erase"},
	}
}

// A tower that stays within the limits runs.
func TestNestedCallsRun(t *testing.T) {
	p, err := exec.Load(modelOf(tower(5, 2)...), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out := results(1)
	if err := p.Run(t.Context(), inputsOf(t, p, 1, 1), out); err != nil {
		t.Fatal(err)
	}
	want := float32(1)
	for range 1 << 5 {
		want *= 2
	}
	if got := tensor.Of[float32](out[0])[0]; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
