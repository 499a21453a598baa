package exec_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/onnxtest"
)

// FuzzSubgraphs changes the wiring of models with subgraphs, functions and
// sequences, as bytes alone would hardly do: what nodes read, make and apply,
// what graphs declare, and what attributes say.
func FuzzSubgraphs(f *testing.F) {
	var cases []fixture
	readJSON(f, "testdata/operators/control.json", &cases)
	for seed := range uint64(200) {
		f.Add(seed, []byte{1, 2, 3, 200, byte(seed)})
	}
	f.Fuzz(func(t *testing.T, seed uint64, input []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, err := decode.Model(cases[r.IntN(len(cases))].Model, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		w := newWiring(m)
		for range 1 + r.IntN(3) {
			w.change(r)
		}
		data := onnxtest.Encode(m)
		p, err := exec.Load(data, fuzzLimits)
		if err == nil {
			runFuzzed(t, p, hinted(t, data), input)
		} else if fault.KindOf(err) != fault.Content {
			t.Fatalf("%v: %v", err, fault.As(err).Err)
		}
	})
}

// wiring is what there is to change of a model.
type wiring struct {
	graphs []*onnx.Graph // the main one first
	nodes  []*onnx.Node
	names  []string
}

func newWiring(m *onnx.Model) *wiring {
	w := &wiring{names: []string{""}}
	w.graph(m.Graph)
	for _, f := range m.Functions {
		w.graph(&onnx.Graph{Nodes: f.Nodes})
	}
	return w
}

func (w *wiring) graph(g *onnx.Graph) {
	w.graphs = append(w.graphs, g)
	for _, v := range g.Inputs {
		w.names = append(w.names, v.Name)
	}
	for _, n := range g.Nodes {
		w.nodes = append(w.nodes, n)
		w.names = append(w.names, n.Outputs...)
		for k := range n.Attributes {
			for _, sub := range n.Attributes[k].Subgraphs() {
				w.graph(sub)
			}
		}
	}
}

func (w *wiring) change(r *rand.Rand) {
	n, g := pick(r, w.nodes), pick(r, w.graphs)
	switch r.IntN(7) {
	case 0, 1:
		if len(n.Inputs) > 0 {
			n.Inputs[r.IntN(len(n.Inputs))] = pick(r, w.names)
		}
	case 2:
		n.Inputs = append(n.Inputs, pick(r, w.names))[r.IntN(2):]
	case 3:
		if len(g.Outputs) > 0 {
			g.Outputs[r.IntN(len(g.Outputs))] = &onnx.ValueInfo{Name: pick(r, w.names)}
		}
	case 4:
		w.forget(g)
	case 5:
		for k := range n.Attributes {
			n.Attributes[k].Int += r.Int64N(5) - 2
			for i := range n.Attributes[k].Ints {
				n.Attributes[k].Ints[i] += r.Int64N(5) - 2
			}
		}
	case 6:
		other := pick(r, w.nodes)
		n.Op = other.Op
		if !slices.ContainsFunc(other.Attributes, func(a onnx.Attribute) bool { return len(a.Subgraphs()) > 0 }) {
			n.Attributes = other.Attributes
		}
	}
}

// forget drops what a graph declares of its values: extents in the main graph,
// whose inputs need types, and types in the others.
func (w *wiring) forget(g *onnx.Graph) {
	for _, v := range g.Inputs {
		if g != w.graphs[0] {
			v.Type = nil
		} else if v.Type.Of == onnx.TensorType {
			v.Type.Dims, v.Type.Ranked = nil, false
		}
	}
	for _, v := range g.Outputs {
		v.Type = nil
	}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
