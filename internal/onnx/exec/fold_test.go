package exec_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// constants is a model of nodes that depend on no input, the last of which makes
// "v", of float32.
func constants(initializers []onnx.Initializer, nodes ...*onnx.Node) *onnx.Model {
	m := Model(append(nodes, Node("Size", Names("v"), Names("n")), Node("Cast", Names("n"), Names("f"), Int("to", 1)), Node("Add", Names("x", "f"), Names("y")))...)
	m.Graph.Initializers = initializers
	for i, n := range m.Graph.Nodes {
		n.Name = fmt.Sprint("n", i)
	}
	return m
}

// filled is a constant of the extents of "s".
func filled(out string) *onnx.Node { return Node("ConstantOfShape", Names("s"), Names(out)) }

func shapeOf(extents ...int64) []onnx.Initializer {
	return []onnx.Initializer{Tensor64("s", tensor.Shape{len(extents)}, extents...)}
}

// series is filled and then so many nodes of one operator, each of the result
// of the one before.
func series(count int, op string, again bool) []*onnx.Node {
	list := []*onnx.Node{filled("v0")}
	for i := range count {
		in := Names(fmt.Sprint("v", i))
		if again {
			in = append(in, in[0])
		}
		list = append(list, Node(op, in, Names(fmt.Sprint("v", i+1))))
	}
	list[count].Outputs = Names("v")
	return list
}

// soon is what a load or a stopped run takes at the very most, on a machine that
// is slow and busy: what takes longer has no bound.
const soon = 20 * time.Second

// What a small file makes of constants takes neither long nor much memory when
// the model is loaded; what is too much for that is left to the runs, which have
// a deadline.
func TestConstantsOfSmallFilesLoadSoon(t *testing.T) {
	for name, m := range map[string]*onnx.Model{
		"products":           constants(shapeOf(900, 900), series(500, "MatMul", true)...),
		"sums":               constants(shapeOf(2<<20), series(500, "Add", true)...),
		"a long sort":        constants(shapeOf(3<<20), series(2, "Unique", false)...),
		"functions of maths": constants(shapeOf(1<<18), series(1000, "Erf", false)...),
		"a large result":     constants(shapeOf(12<<20), filled("v")),
		"running sums": constants(append(shapeOf(1<<11, 1<<11), Tensor64("a", tensor.Shape{}, 0)),
			filled("u"), Node("CumSum", Names("u", "a"), Names("v"))),
		"a product of many letters": constants(shapeOf(8, 8, 8, 8, 8, 8, 8), filled("u"),
			Node("Einsum", Names("u", "u"), Names("v"), String("equation", "abcdefg,hijklmn->"))),
		"a determinant": constants(shapeOf(1500, 1500), series(1, "Det", false)...),
	} {
		t.Run(name, func(t *testing.T) {
			data := Encode(m)
			start, before := time.Now(), allocated()
			p, err := exec.Load(data, onnx.Limits{})
			took, bytes := time.Since(start), allocated()-before
			if err != nil {
				t.Fatal(err)
			}
			if took > soon {
				t.Errorf("the load took %v", took)
			}
			if bytes > 64<<20+4*uint64(len(data)) {
				t.Errorf("the load took %d MiB for a file of %d bytes", bytes>>20, len(data))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start = time.Now()
			err = p.Run(ctx, inputsOf(t, p, 1, 1), results(1))
			if kind := fault.KindOf(err); err != nil && kind != fault.Timeout && kind != fault.Content {
				t.Error(err)
			}
			if took := time.Since(start); took > soon {
				t.Errorf("a run of %v with a deadline of 100 ms", took)
			}
		})
	}
}

// A constant that is too large to be kept is made in each run, and is the same.
func TestConstantsThatAreNotKeptAreMadeInTheRun(t *testing.T) {
	p := loadModel(t, constants(shapeOf(10<<20), filled("v")), onnx.Limits{})
	for range 2 {
		out := results(1)
		if err := p.Run(t.Context(), inputsOf(t, p, 1, 1), out); err != nil {
			t.Fatal(err)
		}
		if got := tensor.Of[float32](out[0])[0]; got != 1+10<<20 {
			t.Errorf("%v, want %v", got, 1+10<<20)
		}
	}
}

// A constant that many nodes read is looked at by each in a time that does not
// depend on its length.
func TestSharedConstantsLoadSoon(t *testing.T) {
	const nodes, length = 20_000, 1 << 20
	for name, node := range map[string]func(out string) *onnx.Node{
		"Gather":                func(out string) *onnx.Node { return Node("Gather", Names("x", "s"), Names(out), Int("axis", 1)) },
		"ArrayFeatureExtractor": func(out string) *onnx.Node { return ML("ArrayFeatureExtractor", Names("x", "s"), Names(out)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := Model()
			for i := range nodes {
				n := node(fmt.Sprint("v", i))
				n.Name = ""
				m.Graph.Nodes = append(m.Graph.Nodes, n)
			}
			m.Graph.Outputs[0].Name = "v0"
			m.Graph.Initializers = []onnx.Initializer{Tensor64("s", tensor.Shape{length}, make([]int64, length)...)}
			data := Encode(m)
			start, before := time.Now(), allocated()
			if _, err := exec.Load(data, onnx.Limits{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > soon {
				t.Errorf("the load took %v", took)
			}
			if bytes := allocated() - before; bytes > 64<<20+4*uint64(len(data)) {
				t.Errorf("the load took %d MiB for a file of %d MiB", bytes>>20, len(data)>>20)
			}
		})
	}
}
