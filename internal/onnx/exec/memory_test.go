package exec_test

import (
	"fmt"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// inTurns is a Loop of so many passes, each of which makes a tensor of "m" rows and
// keeps it in another place than the passes before.
func inTurns(passes int, size int64) *onnx.Model {
	var nodes []*onnx.Node
	var sizes []string
	for k := range passes {
		at := func(name string) string { return fmt.Sprint(name, k) }
		nodes = append(nodes,
			anonymous("Constant", nil, Names(at("k")), Value("value", int64(k))),
			anonymous("Equal", Names("i", at("k")), Names(at("mine"))),
			anonymous("Cast", Names(at("mine")), Names(at("one")), Int("to", int64(tensor.Int64))),
			anonymous("Mul", Names(at("one"), "size"), Names(at("n"))),
			anonymous("ConstantOfShape", Names(at("n")), Names(at("large"))))
	}
	for k := range passes { // all are there until here
		nodes = append(nodes, anonymous("Size", Names(fmt.Sprint("large", k)), Names(fmt.Sprint("s", k))))
		sizes = append(sizes, fmt.Sprint("s", k))
	}
	nodes = append(nodes,
		anonymous("Sum", floatsOf(&nodes, sizes), Names("rows")),
		anonymous("Add", Names("v", "rows"), Names("w")))
	m := trips(int64(passes), subgraph(Names("i", "c", "v"), Names("c", "w"), nodes...))
	m.Graph.Initializers = append(m.Graph.Initializers, Tensor64("size", tensor.Shape{1}, size))
	return m
}

// floatsOf adds casts to float32 to nodes and returns the names of what they make.
func floatsOf(nodes *[]*onnx.Node, names []string) []string {
	var all []string
	for _, name := range names {
		*nodes = append(*nodes, anonymous("Cast", Names(name), Names(name+"f"), Int("to", int64(tensor.Float32))))
		all = append(all, name+"f")
	}
	return all
}

// What passes of a loop take in turns adds up where each keeps it somewhere else.
func TestALoopThatKeepsMoreInEachPassKeepsTheBudget(t *testing.T) {
	limits := onnx.Limits{RunMemory: 1 << 20}
	few := loadModel(t, inTurns(2, 200_000), limits)
	if err := few.Run(t.Context(), inputsOf(t, few, 1, 1), results(1)); err != nil {
		t.Errorf("two passes of 0.8 MB in turns: %v", err)
	}
	p := loadModel(t, inTurns(40, 200_000), limits)
	err := p.Run(t.Context(), inputsOf(t, p, 1, 1), results(1))
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "more memory than one prediction may take") {
		t.Errorf("40 passes of 0.8 MB in turns, 32 MB in all, where 1 MB is allowed: %v", err)
	}
}

// collecting is a model that makes a tensor of 32 KiB for each row of "x".
func collecting() *onnx.Model {
	m := Model(
		Node("Shape", Names("x"), Names("shape")),
		Node("ReduceProd", Names("shape"), Names("cells"), Int("keepdims", 1)),
		Node("Mul", Names("cells", "each"), Names("n")),
		Node("ConstantOfShape", Names("n"), Names("large")),
		Node("ReduceMax", Names("large"), Names("top"), Int("keepdims", 0)),
		Node("Add", Names("x", "top"), Names("y")))
	m.Graph.Initializers = []onnx.Initializer{Tensor64("each", tensor.Shape{1}, 1<<12)}
	return m
}

func TestWhatOneExtraordinaryRunTakesIsNotKept(t *testing.T) {
	p := loadModel(t, collecting(), onnx.Limits{})
	run := func(rows int) {
		if err := p.Run(t.Context(), inputsOf(t, p, rows, 1), results(1)); err != nil {
			t.Fatal(err)
		}
	}
	run(1)
	before := testkit.InUse()
	run(1_000) // 31 MiB at least
	if grown := int64(testkit.InUse()) - int64(before); grown > 4<<20 {
		t.Errorf("%.1f MiB more are in use after one large run", float64(grown)/(1<<20))
	}
	for range 3 {
		run(1_000) // that is kept, for more of the kind
	}
	for range 1_000 {
		run(1)
	}
	if grown := int64(testkit.InUse()) - int64(before); grown > 4<<20 {
		t.Errorf("%.1f MiB more are in use after 1,000 small runs", float64(grown)/(1<<20))
	}
}

func TestAFirstRunTakesLessThanARequestMay(t *testing.T) {
	p := loadModel(t, collecting(), onnx.Limits{})
	for rows, want := range map[int]bool{1: true, 4_000: false} {
		enough, err := p.Warm(t.Context(), inputsOf(t, p, rows, 1), results(1))
		if enough != want || err != nil {
			t.Errorf("Warm of %d rows = %v, %v; want %v", rows, enough, err, want)
		}
	}
	if err := p.Run(t.Context(), inputsOf(t, p, 4_000, 1), results(1)); err != nil {
		t.Errorf("Run takes all that a request may: %v", err)
	}
}

func TestAProgramTellsWhatItsConstantsTake(t *testing.T) {
	m := Model(Node("ConstantOfShape", Names("n"), Names("large")), Node("ReduceMax", Names("large"), Names("top"), Int("keepdims", 0)),
		Node("Add", Names("x", "top"), Names("y")))
	m.Graph.Initializers = []onnx.Initializer{Tensor64("n", tensor.Shape{1}, 1<<20)}
	if got := loadModel(t, m, onnx.Limits{}).Memory(); got < 4<<20 || got > 5<<20 {
		t.Errorf("%d bytes, want the 4 MiB that are computed at load", got)
	}
	if got := loadModel(t, identity(), onnx.Limits{}).Memory(); got != 0 {
		t.Errorf("%d bytes of a model without constants", got)
	}
}
