package exec_test

import (
	"context"
	"fmt"
	"slices"
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

func loadModel(tb testing.TB, m *onnx.Model, limits onnx.Limits) *exec.Program {
	tb.Helper()
	p, err := exec.Load(Encode(m), limits)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func floats(tb testing.TB, shape tensor.Shape, data ...float32) *tensor.Tensor {
	tb.Helper()
	x, err := tensor.New(shape, data)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func results(n int) []*tensor.Tensor {
	out := make([]*tensor.Tensor, n)
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out
}

func TestInputsThatDoNotFitAreRefused(t *testing.T) {
	p := loadModel(t, identity(), onnx.Limits{})
	whole, err := tensor.New(tensor.Shape{1, 2}, []int64{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   []*tensor.Tensor
		want string
	}{
		{"none", nil, "takes 1 inputs; 0 were given"},
		{"nil", []*tensor.Tensor{nil}, `input "x" is missing`},
		{"another type", []*tensor.Tensor{whole}, `input "x" must be of type float32, not int64`},
		{"no tensor yet", []*tensor.Tensor{{}}, `input "x" must be of type float32, not undefined`},
		{"another rank", []*tensor.Tensor{floats(t, tensor.Shape{2}, 1, 2)}, `input "x" must have shape [N,2], not [2]`},
		{"another width", []*tensor.Tensor{floats(t, tensor.Shape{1, 3}, 1, 2, 3)}, `must have shape [N,2], not [1 3]`},
		{"too many axes", []*tensor.Tensor{floats(t, slices.Repeat(tensor.Shape{1}, 40), 1)}, "must have shape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := p.Run(t.Context(), c.in, results(1))
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v; want it to say %q", fault.KindOf(err), err, c.want)
			}
		})
	}
}

func TestOutputsThatDoNotFitAreOurFault(t *testing.T) {
	p := loadModel(t, identity(), onnx.Limits{})
	x := floats(t, tensor.Shape{1, 2}, 1, 2)
	for name, out := range map[string][]*tensor.Tensor{"none": nil, "nil": {nil}, "the input": {x}} {
		if err := p.Run(t.Context(), []*tensor.Tensor{x}, out); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only a run can know to be wrong is the caller's to mend.
func TestExtentsThatDoNotFitAreRefusedAtRunTime(t *testing.T) {
	free := func(m *onnx.Model) *onnx.Model {
		unranked := onnx.UnrankedTensor(tensor.Float32)
		m.Graph.Inputs[0].Type = &unranked
		return m
	}
	two := func(op string, attributes ...onnx.Attribute) *onnx.Model {
		m := free(Model(Node(op, Names("x", "w"), Names("y"), attributes...)))
		other := onnx.UnrankedTensor(tensor.Float32)
		m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "w", Type: &other})
		return m
	}
	shaped := func(v ...int64) *onnx.Model {
		m := free(Model(Node("Reshape", Names("x", "s"), Names("y"))))
		m.Graph.Initializers = []onnx.Initializer{Tensor64("s", tensor.Shape{len(v)}, v...)}
		return m
	}
	one := floats(t, tensor.Shape{1, 3}, 1, 2, 3)
	for _, c := range []struct {
		name string
		m    *onnx.Model
		in   []*tensor.Tensor
		want string
	}{
		{"broadcast", two("Add"), []*tensor.Tensor{one, floats(t, tensor.Shape{2}, 1, 2)}, "cannot be broadcast"},
		{"concatenated rank", two("Concat", Int("axis", 0)), []*tensor.Tensor{one, floats(t, tensor.Shape{3}, 1, 2, 3)}, "differ in rank"},
		{"concatenated extent", two("Concat", Int("axis", 0)), []*tensor.Tensor{one, floats(t, tensor.Shape{1, 1}, 1)}, "differ in another axis"},
		{"axis to concatenate", two("Concat", Int("axis", 2)), []*tensor.Tensor{one, one}, "no such axis"},
		{"elements to reshape", shaped(2, 2), []*tensor.Tensor{one}, "do not fill"},
		{"open extent", shaped(2, -1), []*tensor.Tensor{one}, "do not fill"},
		{"axis to keep", shaped(1, 1, 0), []*tensor.Tensor{one}, "no axis to take"},
		{"axis to reduce", free(Model(Node("ArgMax", Names("x"), Names("y"), Int("axis", 5)))), []*tensor.Tensor{one}, "axis to reduce"},
		{"nothing to reduce", free(Model(Node("ArgMax", Names("x"), Names("y")))), []*tensor.Tensor{floats(t, tensor.Shape{0, 3})}, "axis to reduce"},
		{"axis to flatten", free(Model(Node("Flatten", Names("x"), Names("y"), Int("axis", 3)))), []*tensor.Tensor{one}, "axis to flatten"},
		{"axis to squeeze", free(Model(Node("Squeeze", Names("x"), Names("y")))), []*tensor.Tensor{one}, ""},
		{"softmax", free(Model(Node("Softmax", Names("x"), Names("y"), Int("axis", -3)))), []*tensor.Tensor{one}, "no such axis"},
		{"columns of trees", free(Model(With(Stump(), Ints("nodes_featureids", 3, 0, 0)))), []*tensor.Tensor{one}, "feature"},
		{"axes of trees", free(Model(Stump())), []*tensor.Tensor{floats(t, tensor.Shape{1, 1, 3}, 1, 2, 3)}, "rows of features"},
		{"columns of a line", free(Model(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients", 1, 2)))), []*tensor.Tensor{one}, "2 features"},
		{"columns to scale", free(Model(ML("Scaler", Names("x"), Names("y"), Floats("scale", 1, 2)))), []*tensor.Tensor{one}, "2 features"},
		{"columns of maps", free(Model(ML("ZipMap", Names("x"), Names("y"), Ints("classlabels_int64s", 1, 2)))), []*tensor.Tensor{one}, "column for each class"},
		{"a scalar to normalize", free(Model(ML("Normalizer", Names("x"), Names("y")))), []*tensor.Tensor{floats(t, nil, 1)}, "rows of features"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := loadModel(t, c.m, onnx.Limits{}).Run(t.Context(), c.in, results(1))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v; want it to say %q", fault.KindOf(err), err, c.want)
			}
		})
	}
}

// A column plus a row makes a table: 100 MB of 40 kB.
func TestResultsBeyondTheMemoryOfARunAreRefused(t *testing.T) {
	m := Model(Node("Add", Names("x", "w"), Names("y")))
	column := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1}, tensor.Dim{Size: 1})
	row := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1})
	m.Graph.Inputs = []*onnx.ValueInfo{{Name: "x", Type: &column}, {Name: "w", Type: &row}}
	p := loadModel(t, m, onnx.Limits{RunMemory: 10 << 20})
	in := []*tensor.Tensor{floats(t, tensor.Shape{5000, 1}, make([]float32, 5000)...), floats(t, tensor.Shape{5000}, make([]float32, 5000)...)}
	err := p.Run(t.Context(), in, results(1))
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "send fewer rows") {
		t.Errorf("%v: %v", fault.KindOf(err), err)
	}
	in[0] = floats(t, tensor.Shape{500, 1}, make([]float32, 500)...)
	for range 3 { // the budget is that of one run
		if err := p.Run(t.Context(), in, results(1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnEndedContextStopsTheRun(t *testing.T) {
	m := Model(chain(3, false)...)
	m.Graph.Nodes = nil // short ones, that do not look at the context
	from := "x"
	for i := range 20 {
		to := fmt.Sprint("v", i)
		m.Graph.Nodes, from = append(m.Graph.Nodes, Node("Add", Names(from, from), Names(to))), to
	}
	m.Graph.Nodes = append(m.Graph.Nodes, Node("Add", Names(from, from), Names("y")))
	p := loadModel(t, m, onnx.Limits{})
	in := []*tensor.Tensor{floats(t, tensor.Shape{1, 2}, 1, 2)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx, in, results(1)); fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if err := p.Run(ctx, in, results(1)); fault.KindOf(err) != fault.Timeout {
		t.Errorf("too late: %v", err)
	}
}

// A value may leave the graph in more ways than as the result of a node.
func TestOutputsOfEveryOrigin(t *testing.T) {
	m := Model(
		Node("Identity", Names("x"), Names("input again")),
		Node("Add", Names("x", "x"), Names("sum")),
		Node("Identity", Names("sum"), Names("sum again")),
		Node("Mul", Names("sum", "sum"), Names("square")),
		Node("Identity", Names("c"), Names("constant")),
		Node("Add", Names("c", "c"), Names("folded")),
		ML("ZipMap", Names("sum"), Names("maps"), Ints("classlabels_int64s", 7, 8)),
	)
	m.Graph.Initializers = []onnx.Initializer{Tensor64("c", tensor.Shape{1}, 21)}
	m.Graph.Outputs = nil
	for _, name := range Names("x", "input again", "sum", "sum again", "square", "c", "constant", "folded", "maps") {
		m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: name})
	}
	p := loadModel(t, m, onnx.Limits{})
	out := results(9)
	x := floats(t, tensor.Shape{1, 2}, 1, -2)
	if err := p.Run(t.Context(), []*tensor.Tensor{x}, out); err != nil {
		t.Fatal(err)
	}
	sum := []float32{2, -4}
	want := []any{[]float32{1, -2}, []float32{1, -2}, sum, sum, []float32{4, 16}, []int64{21}, []int64{21}, []int64{42}, sum}
	for i, w := range want {
		got := any(tensor.Of[float32](out[i]))
		if out[i].DType() == tensor.Int64 {
			got = tensor.Of[int64](out[i])
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Outputs()[i].Name, diff)
		}
	}
	// Writing to one output must reach neither another nor the program.
	for i := range out {
		for k := range tensor.Of[int64](out[i]) {
			tensor.Of[int64](out[i])[k] = -1
		}
	}
	if err := p.Run(t.Context(), []*tensor.Tensor{x}, out); err != nil || tensor.Of[int64](out[5])[0] != 21 {
		t.Errorf("the constant became %v (%v)", tensor.Of[int64](out[5]), err)
	}
}

func TestInitializersThatDoubleAsInputsAreNone(t *testing.T) {
	m := Model(Node("Add", Names("x", "w"), Names("y")))
	w := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: 2})
	m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "w", Type: &w})
	m.Graph.Initializers = []onnx.Initializer{{Name: "w", Tensor: floats(t, tensor.Shape{2}, 10, 20)}}
	p := loadModel(t, m, onnx.Limits{})
	if len(p.Inputs()) != 1 || p.Inputs()[0].Name != "x" {
		t.Errorf("inputs %+v", p.Inputs())
	}
}

func TestDeclaredShapesOfOutputsAreHints(t *testing.T) {
	m := identity()
	wrong := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: 1})
	m.Graph.Outputs[0].Type = &wrong
	p := loadModel(t, m, onnx.Limits{})
	want := []string{`output "y" is declared tensor(float32)[1], but is tensor(float32)[N,2]: callers are told the latter`}
	if diff := cmp.Diff(want, p.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]tensor.Dim{{Size: -1, Name: "N"}, {Size: 2}}, p.Outputs()[0].Dims); diff != "" {
		t.Errorf("extents (-want +got):\n%s", diff)
	}
}

// Runs at the same time must not share memory: each sees its own rows.
func TestConcurrentRunsDoNotMeet(t *testing.T) {
	m := Model(
		Node("Add", Names("x", "x"), Names("a")), Node("Mul", Names("a", "a"), Names("b")),
		Node("Sub", Names("b", "a"), Names("c")), Node("Add", Names("c", "b"), Names("y")),
	)
	p := loadModel(t, m, onnx.Limits{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			out := results(1)
			for i := range 200 {
				v := float32(g*100 + i) // all results are exact
				x := floats(t, tensor.Shape{1, 2}, v, -v)
				if err := p.Run(t.Context(), []*tensor.Tensor{x}, out); err != nil {
					t.Error(err)
					return
				}
				want := []float32{2*4*v*v - 2*v, 2*4*v*v + 2*v}
				if diff := cmp.Diff(want, tensor.Of[float32](out[0])); diff != "" {
					t.Errorf("run %d of %d (-want +got):\n%s", i, g, diff)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNoRowsGiveNoRows(t *testing.T) {
	for _, name := range modelNames(t) {
		model, _ := readModel(t, name)
		p, err := exec.Load(model, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		in := p.Inputs()[0]
		if in.DType != tensor.Float32 {
			continue
		}
		out := results(len(p.Outputs()))
		if err := p.Run(t.Context(), []*tensor.Tensor{floats(t, tensor.Shape{0, in.Dims[1].Size})}, out); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, o := range out {
			if len(o.Shape()) == 0 || o.Shape()[0] != 0 || o.DType() != p.Outputs()[i].DType {
				t.Errorf("%s: output %d is %v of %v", name, i, o.Shape(), o.DType())
			}
		}
	}
}
