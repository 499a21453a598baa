package exec_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// comparing returns a model that compares the rows of x with vectors by a Scan. What
// between does to the differences changes nothing; it only makes the body another.
func comparing[T float32 | float64](t *testing.T, vectors, features int, reduce []*onnx.Node, between ...string) *onnx.Model {
	t.Helper()
	v := make([]T, vectors*features)
	for i := range v {
		v[i] = T(i%7) - T(i)/9
	}
	held, err := tensor.New(tensor.Shape{vectors, features}, v)
	if err != nil {
		t.Fatal(err)
	}
	exponent, err := tensor.New(tensor.Shape{1}, []T{3})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*onnx.Node{anonymous("Identity", Names("state"), Names("same")), anonymous("Sub", Names("state", "slice"), Names("d"))}
	for i, op := range between {
		nodes = append(nodes, anonymous(op, Names("d"), Names(fmt.Sprint("d", i))))
		nodes[len(nodes)-1].Inputs[0] = nodes[len(nodes)-2].Outputs[0]
	}
	first := *reduce[0]
	first.Inputs = append(Names(nodes[len(nodes)-1].Outputs[0]), first.Inputs[1:]...)
	body := subgraph(Names("state", "slice"), Names("same", "sums"), append(append(nodes, &first), reduce[1:]...)...)
	body.Initializers = []onnx.Initializer{Tensor64("axis", tensor.Shape{1}, 1), {Name: "three", Tensor: exponent}}
	m := Model(Node("Scan", Names("x", "held"), Names("kept", "y"), Int("num_scan_inputs", 1), Graph("body", body)))
	m.Graph.Initializers = []onnx.Initializer{{Name: "held", Tensor: held}}
	m.Graph.Outputs = values("y", "kept")
	in := onnx.TensorOf(tensor.DTypeOf[T](), tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: -1})
	m.Graph.Inputs[0].Type = &in
	return m
}

// A Scan that compares rows gives what its body gives pass by pass, to the bit, and takes
// no memory for it.
func TestRowsAreComparedAsByTheirBodyAndAllocateNothing(t *testing.T) {
	t.Run("float32", testComparisons[float32])
	t.Run("float64", testComparisons[float64])
}

func testComparisons[T float32 | float64](t *testing.T) {
	t.Helper()
	sum := func(op, of string) *onnx.Node {
		return anonymous(op, Names(of, "axis"), Names("sums"), Int("keepdims", 0))
	}
	abs := func() *onnx.Node { return anonymous("Abs", Names("d"), Names("size")) }
	for name, reduce := range map[string][]*onnx.Node{
		"squares":    {sum("ReduceSumSquare", "d")},
		"magnitudes": {abs(), sum("ReduceSum", "size")},
		"powers":     {abs(), anonymous("Pow", Names("size", "three"), Names("cube")), sum("ReduceSum", "cube")},
	} {
		for _, shape := range [][3]int{{1, 5, 1}, {3, 4, 8}, {2, 9, 20}, {1, 3, 32}, {2, 2, 75}, {20, 11, 75}, {37, 8, 6}, {1, 2, linalg.MaxFeatures + 1}} {
			t.Run(fmt.Sprint(name, shape), func(t *testing.T) {
				rows, vectors, features := shape[0], shape[1], shape[2]
				x := make([]T, rows*features)
				for i := range x {
					x[i] = T(math.Sin(float64(i*i+1))) * 3
				}
				answers := [2][]*tensor.Tensor{}
				for i, between := range [][]string{nil, {"Neg", "Neg"}} {
					p := loadModel(t, comparing[T](t, vectors, features, reduce, between...), onnx.Limits{})
					in, out := []*tensor.Tensor{newTensor(t, tensor.Shape{rows, features}, x)}, results(2)
					run := func() {
						if err := p.Run(t.Context(), in, out); err != nil {
							t.Fatal(err)
						}
					}
					if n := testing.AllocsPerRun(5, run); n > 0 {
						t.Errorf("%v allocations", n)
					}
					answers[i] = out
				}
				for i := range answers[0] {
					if diff := cmp.Diff(testkit.Elements(answers[1][i]), testkit.Elements(answers[0][i])); diff != "" {
						t.Errorf("output %d: %s", i, diff)
					}
				}
			})
		}
	}
}

// Extents that only broadcasting brings together are left to the body.
func TestRowsThatAreBroadcastAreCompared(t *testing.T) {
	reduce := anonymous("ReduceSumSquare", Names("d", "axis"), Names("sums"), Int("keepdims", 0))
	p := loadModel(t, comparing[float32](t, 3, 1, []*onnx.Node{reduce}), onnx.Limits{}) // 0, 8/9, 16/9
	out := results(2)
	if err := p.Run(t.Context(), []*tensor.Tensor{newTensor(t, tensor.Shape{1, 2}, []float32{0, 1})}, out); err != nil {
		t.Fatal(err)
	}
	if want := newTensor(t, tensor.Shape{3, 1}, []float32{1, 65.0 / 81, 305.0 / 81}); differences(want, out[0]) != "" {
		t.Error(differences(want, out[0]))
	}
}
