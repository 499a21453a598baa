package exec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// values returns graph inputs or outputs without types.
func values(names ...string) []*onnx.ValueInfo {
	list := make([]*onnx.ValueInfo, len(names))
	for i, name := range names {
		list[i] = &onnx.ValueInfo{Name: name}
	}
	return list
}

func subgraph(in, out []string, nodes ...*onnx.Node) *onnx.Graph {
	return &onnx.Graph{Nodes: nodes, Inputs: values(in...), Outputs: values(out...)}
}

// anonymous returns a node without a name, as the copies in functions are.
func anonymous(op string, in, out []string, attributes ...onnx.Attribute) *onnx.Node {
	n := Node(op, in, out, attributes...)
	n.Name = ""
	return n
}

// trips is a model of a Loop from "x" to "y" that runs count passes.
func trips(count int64, body *onnx.Graph, out ...string) *onnx.Model {
	m := Model(Node("Loop", Names("m", "", "x"), append(Names("y"), out...), Graph("body", body)))
	m.Graph.Initializers = []onnx.Initializer{Tensor64("m", tensor.Shape{}, count)}
	return m
}

func doubling() *onnx.Graph {
	return subgraph(Names("i", "c", "v"), Names("c", "w"), anonymous("Add", Names("v", "x"), Names("w")))
}

// control is models that run subgraphs, each of two outputs at most.
func control() map[string]*onnx.Model {
	flag := onnx.TensorOf(tensor.Bool)
	branches := Model(
		Node("If", Names("b"), Names("y"),
			Graph("then_branch", subgraph(nil, Names("t"), anonymous("Add", Names("x", "x"), Names("t")))),
			Graph("else_branch", subgraph(nil, Names("e"), anonymous("Mul", Names("x", "x"), Names("e"))))))
	branches.Graph.Inputs = append(branches.Graph.Inputs, &onnx.ValueInfo{Name: "b", Type: &flag})
	collected := trips(5, subgraph(Names("i", "c", "v"), Names("c", "w"), anonymous("SequenceInsert", Names("v", "x"), Names("w"))))
	collected.Graph.Nodes = append([]*onnx.Node{Node("SequenceEmpty", nil, Names("none"))}, collected.Graph.Nodes...)
	collected.Graph.Nodes[1].Inputs[2] = "none"
	collected.Graph.Nodes[1].Outputs[0] = "s"
	collected.Graph.Nodes = append(collected.Graph.Nodes, Node("ConcatFromSequence", Names("s"), Names("y"), Int("axis", 0)))
	return map[string]*onnx.Model{
		"If":   branches,
		"Loop": trips(7, doubling()),
		"Loop with a scan output": trips(7, subgraph(Names("i", "c", "v"), Names("c", "w", "w"),
			anonymous("Add", Names("v", "x"), Names("w"))), "z"),
		"Loop over a sequence": collected,
		"Scan": Model(Node("Scan", Names("x"), Names("y"), Int("num_scan_inputs", 1),
			Graph("body", subgraph(Names("r"), Names("q"), anonymous("Add", Names("r", "r"), Names("q")))))),
		"SequenceMap": Model(Node("SplitToSequence", Names("x"), Names("s")),
			Node("SequenceMap", Names("s"), Names("t"), Graph("body", subgraph(Names("e"), Names("d"), anonymous("Add", Names("e", "e"), Names("d"))))),
			Node("ConcatFromSequence", Names("t"), Names("y"), Int("axis", 0))),
	}
}

func inputsOf(t *testing.T, p *exec.Program, rows int, value float32) []*tensor.Tensor {
	t.Helper()
	var in []*tensor.Tensor
	for _, s := range p.Inputs() {
		if s.DType == tensor.Bool {
			in = append(in, newTensor(t, tensor.Shape{}, []bool{true}))
			continue
		}
		data := make([]float32, rows*2)
		for i := range data {
			data[i] = value + float32(i)
		}
		in = append(in, floats(t, tensor.Shape{rows, 2}, data...))
	}
	return in
}

func TestWarmSubgraphsAllocateNothing(t *testing.T) {
	for name, m := range control() {
		t.Run(name, func(t *testing.T) {
			m.Graph.Outputs = values(m.Graph.Nodes[len(m.Graph.Nodes)-1].Outputs...)
			p := loadModel(t, m, onnx.Limits{})
			in, out := inputsOf(t, p, 3, 1), results(len(p.Outputs()))
			ctx := context.Background()
			if n := testing.AllocsPerRun(20, func() {
				if err := p.Run(ctx, in, out); err != nil {
					t.Fatal(err)
				}
			}); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// Two runs at once must not meet in the memory of subgraphs.
func TestSubgraphsOfTwoRunsShareNothing(t *testing.T) {
	for name, m := range control() {
		t.Run(name, func(t *testing.T) {
			p := loadModel(t, m, onnx.Limits{})
			var group sync.WaitGroup
			for worker := range 4 {
				in, want := inputsOf(t, p, 3, float32(100*worker)), results(len(p.Outputs()))
				if err := p.Run(t.Context(), in, want); err != nil {
					t.Fatal(err)
				}
				group.Go(func() {
					out := results(len(p.Outputs()))
					for range 50 {
						if err := p.Run(t.Context(), in, out); err != nil {
							t.Error(err)
							return
						}
						if diff := differences(want[0], out[0]); diff != "" {
							t.Error(diff)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}

func TestAnEndlessLoopEndsWithItsDeadline(t *testing.T) {
	for name, body := range map[string]*onnx.Graph{
		"of a step":  doubling(),
		"of nothing": subgraph(Names("i", "c", "v"), Names("c", "v")),
	} {
		p := loadModel(t, trips(1<<62, body), onnx.Limits{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		err := p.Run(ctx, inputsOf(t, p, 1, 1), results(1))
		cancel()
		if took := time.Since(start); fault.KindOf(err) != fault.Timeout || took > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
	}
}

// What a pass takes, the next takes again; what passes collect adds up.
func TestLoopsKeepTheBudget(t *testing.T) {
	limits := onnx.Limits{RunMemory: 100_000}
	p := loadModel(t, trips(10_000, doubling()), limits)
	if err := p.Run(t.Context(), inputsOf(t, p, 100, 1), results(1)); err != nil {
		t.Errorf("10,000 passes of 800 bytes: %v", err)
	}
	collects := subgraph(Names("i", "c", "v"), Names("c", "w", "w"), anonymous("Add", Names("v", "x"), Names("w")))
	inserts := control()["Loop over a sequence"]
	inserts.Graph.Initializers[0] = Tensor64("m", tensor.Shape{}, 10_000)
	for name, m := range map[string]*onnx.Model{"a scan output": trips(10_000, collects, "z"), "a sequence": inserts} {
		p := loadModel(t, m, limits)
		err := p.Run(t.Context(), inputsOf(t, p, 100, 1), results(1))
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "more memory than one prediction may take") {
			t.Errorf("%s of 8 MB: %v", name, err)
		}
	}
}

func TestErrorsInSubgraphsNameTheirNodes(t *testing.T) {
	m := trips(3, subgraph(Names("i", "c", "v"), Names("c", "w"), anonymous("Concat", Names("v", "x"), Names("w"))))
	_, err := exec.Load(Encode(m), onnx.Limits{})
	want := `node "Loop" (Loop): attribute "body": node 0 (Concat): attribute "axis" is missing`
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}

func TestUnsupportedOperatorsAreNamedWhereverTheyAre(t *testing.T) {
	inner := subgraph(nil, Names("a"), anonymous("Foo", Names("x"), Names("a")))
	m := Model(
		Node("If", Names("b"), Names("y"), Graph("then_branch", inner), Graph("else_branch", subgraph(nil, Names("e"), anonymous("Bar", Names("x"), Names("e"))))),
		&onnx.Node{Op: "F", Domain: "own", Inputs: Names("x"), Outputs: Names("z")})
	m.Graph.Initializers = []onnx.Initializer{{Name: "b", Tensor: newTensor(t, tensor.Shape{}, []bool{true})}}
	m.Functions = []*onnx.Function{
		{Name: "F", Domain: "own", Inputs: Names("a"), Outputs: Names("b"), Opsets: []onnx.Opset{{Version: 13}}, Nodes: []*onnx.Node{anonymous("Baz", Names("a"), Names("b"))}},
		{Name: "G", Domain: "own", Inputs: Names("a"), Outputs: Names("b"), Nodes: []*onnx.Node{anonymous("Unused", Names("a"), Names("b"))}},
	}
	_, err := exec.Load(Encode(m), onnx.Limits{})
	want := "not supported: ai.onnx.Bar (version 21), ai.onnx.Baz (version 13), ai.onnx.Foo (version 21)"
	if fault.KindOf(err) != fault.Content || !strings.HasSuffix(fault.As(err).Msg, want) {
		t.Errorf("error %v does not say %q", err, want)
	}
	info, err := inspect(Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, u := range info.Operators {
		found = append(found, fmt.Sprint(u.Name, " ", u.Version, " ", u.Supported))
	}
	if diff := cmp.Diff([]string{"Bar 21 false", "Baz 13 false", "Foo 21 false", "If 21 true"}, found); diff != "" {
		t.Errorf("operators (-want +got):\n%s", diff)
	}
}

// Sequences, optionals and maps go in and come out whole, and what comes out
// is the caller's.
func TestListsGoInAndComeOut(t *testing.T) {
	maps := onnx.SequenceOf(onnx.MapOf(tensor.String, tensor.Float32))
	optional := onnx.OptionalOf(onnx.UnrankedTensor(tensor.Float32))
	m := Model(Node("Identity", Names("s"), Names("t")), Node("Optional", Names("x"), Names("p")), Node("OptionalGetElement", Names("o"), Names("y")))
	m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "s", Type: &maps}, &onnx.ValueInfo{Name: "o", Type: &optional})
	m.Graph.Outputs = values("t", "p", "y")
	p := loadModel(t, m, onnx.Limits{})
	entry, err := tensor.NewMap(newTensor(t, tensor.Shape{2}, []string{"a", "b"}), floats(t, tensor.Shape{2}, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	x := floats(t, tensor.Shape{1, 2}, 5, 6)
	out := results(3)
	for range 2 {
		if err := p.Run(t.Context(), []*tensor.Tensor{x, tensor.NewSequence(entry, entry), tensor.NewOptional(x)}, out); err != nil {
			t.Fatal(err)
		}
	}
	tensor.Of[float32](x)[0], tensor.Of[float32](entry.Items()[1])[1] = 0, 0
	if got := out[0].Items(); len(got) != 2 || got[1].Kind() != tensor.KindMap || got[1].Len() != 2 ||
		tensor.Of[string](got[1].Items()[0])[1] != "b" || tensor.Of[float32](got[1].Items()[1])[1] != 2 {
		t.Errorf("maps came back as %v", got)
	}
	if got := out[1].Items(); len(got) != 1 || tensor.Of[float32](got[0])[0] != 5 || tensor.Of[float32](out[2])[0] != 5 {
		t.Errorf("an optional came back as %v", got)
	}
	if s := p.Outputs()[0]; s.Kind != tensor.KindSequence || s.Elem.Kind != tensor.KindMap || s.Elem.Key != tensor.String || s.Elem.DType != tensor.Float32 {
		t.Errorf("specification %+v", s)
	}
	plain := []*tensor.Tensor{x, tensor.NewSequence(entry), tensor.NewOptional(x)}
	numbered, err := tensor.NewMap(newTensor(t, tensor.Shape{1}, []int64{1}), floats(t, tensor.Shape{1}, 1))
	if err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(in []*tensor.Tensor){
		`"s" must be of kind sequence`: func(in []*tensor.Tensor) { in[1] = x },
		`"s" must be of kind map`:      func(in []*tensor.Tensor) { in[1] = tensor.NewSequence(x) },
		`"s" must be a map of string`:  func(in []*tensor.Tensor) { in[1] = tensor.NewSequence(numbered) },
		`"x" must be of kind tensor`:   func(in []*tensor.Tensor) { in[0] = tensor.NewSequence() },
		`"o" must be of kind optional`: func(in []*tensor.Tensor) { in[2] = tensor.NewSequence(x) },
		`"o" must be of type float32`:  func(in []*tensor.Tensor) { in[2] = tensor.NewOptional(newTensor(t, nil, []int64{1})) },
		`the optional has no value`:    func(in []*tensor.Tensor) { in[2] = tensor.NewOptional(nil) },
		`"o" must have one value or none`: func(in []*tensor.Tensor) {
			copy(tensor.ResetList(in[2], tensor.KindOptional, 2), []*tensor.Tensor{x, x})
		},
	} {
		in := append([]*tensor.Tensor{}, plain...)
		in[2] = tensor.NewOptional(x)
		spoil(in)
		if err := p.Run(t.Context(), in, out); fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// Maps of a ZipMap are a table; who takes them for a sequence gets one.
func TestMapsOfAZipMapAreASequenceToOthers(t *testing.T) {
	zip := ML("ZipMap", Names("x"), Names("maps"), Ints("classlabels_int64s", 7, 8))
	m := Model(zip, Node("SequenceLength", Names("maps"), Names("y")), Node("SequenceErase", Names("maps"), Names("z")),
		Node("If", Names("b"), Names("w"), Graph("then_branch", subgraph(nil, Names("t"), anonymous("Identity", Names("maps"), Names("t")))),
			Graph("else_branch", subgraph(nil, Names("e"), anonymous("Identity", Names("z"), Names("e"))))))
	flag := onnx.TensorOf(tensor.Bool)
	m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "b", Type: &flag})
	m.Graph.Outputs = values("y", "z", "w", "maps")
	p := loadModel(t, m, onnx.Limits{})
	out := results(4)
	if err := p.Run(t.Context(), inputsOf(t, p, 3, 1), out); err != nil {
		t.Fatal(err)
	}
	if n := tensor.Of[int64](out[0]); n[0] != 3 || len(out[1].Items()) != 2 || len(out[2].Items()) != 3 || p.Outputs()[3].Kind != tensor.KindMapSequence {
		t.Errorf("length %v, %d and %d maps", n, len(out[1].Items()), len(out[2].Items()))
	}
	last := out[1].Items()[1].Items()
	if diff := cmp.Diff([]float32{3, 4}, tensor.Of[float32](last[1])); diff != "" || tensor.Of[int64](last[0])[1] != 8 {
		t.Errorf("the second map: %v %s", tensor.Of[int64](last[0]), diff)
	}
}

func TestALoopWhoseBodyFailsTellsWhy(t *testing.T) {
	grows := subgraph(Names("i", "c", "v"), Names("c", "w"), anonymous("Concat", Names("v", "v"), Names("w"), Int("axis", 1)))
	fixed := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1}, tensor.Dim{Size: 2})
	grows.Inputs[2].Type = &fixed
	p := loadModel(t, trips(3, grows), onnx.Limits{})
	err := p.Run(t.Context(), inputsOf(t, p, 1, 1), results(1))
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "state 0 has shape [1 4]; the body takes [?,2]") {
		t.Errorf("a state that outgrows its declaration: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	if err := p.Run(ctx, inputsOf(t, p, 1, 1), results(1)); fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
}

// However deep the loop is that a deadline stops, the message says so once.
func TestADeadlineIsSaidOnce(t *testing.T) {
	inner := subgraph(Names("j", "d", "u"), Names("d", "t"), anonymous("Add", Names("u", "x"), Names("t")))
	outer := subgraph(Names("i", "c", "v"), Names("c", "w"), anonymous("Loop", Names("m", "", "v"), Names("w"), Graph("body", inner)))
	p, err := exec.Load(Encode(trips(1<<62, outer)), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = p.Run(ctx, inputsOf(t, p, 1, 1), results(1))
	if fault.KindOf(err) != fault.Timeout || strings.Count(err.Error(), "did not finish") != 1 {
		t.Errorf("error %v", err)
	}
}

// Slices of nothing are not copied one by one, however many there would be.
func TestAScanOfNothingEndsSoon(t *testing.T) {
	nothing, err := tensor.New(tensor.Shape{1 << 30, 2, 0}, []float32{})
	if err != nil {
		t.Fatal(err)
	}
	body := subgraph(Names("r"), Names("q"), anonymous("Neg", Names("r"), Names("q")))
	m := Model(Node("Scan", Names("e"), Names("y"), Int("num_scan_inputs", 1), Ints("scan_input_axes", 1), Ints("scan_output_axes", 1), Graph("body", body)))
	m.Graph.Initializers = []onnx.Initializer{{Name: "e", Tensor: nothing}}
	p, err := exec.Load(Encode(m), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	out := results(1)
	if err := p.Run(ctx, inputsOf(t, p, 1, 1), out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nothing.Shape(), out[0].Shape()); diff != "" {
		t.Error(diff)
	}
}
