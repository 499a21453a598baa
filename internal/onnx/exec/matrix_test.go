package exec_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// familyCases are the cases of one file.
func familyCases(t *testing.T, family string) []fixture {
	t.Helper()
	var cases []fixture
	readJSON(t, filepath.Join("testdata", "operators", family+".json"), &cases)
	return cases
}

func TestWarmMatricesAllocateNothing(t *testing.T) {
	for _, family := range []string{"reduction", "matrix", "normalization"} {
		for _, c := range familyCases(t, family) {
			t.Run(c.Name, func(t *testing.T) {
				p, err := exec.Load(c.Model, onnx.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				in, out := make([]*tensor.Tensor, len(c.Inputs)), results(len(c.Outputs))
				for i := range in {
					in[i] = c.Inputs[i].tensor(t)
				}
				ctx := t.Context()
				got := testing.AllocsPerRun(10, func() {
					if err := p.Run(ctx, in, out); err != nil {
						t.Fatal(err)
					}
				})
				if got != 0 {
					t.Errorf("%v allocations", got)
				}
			})
		}
	}
}

// op is a model of one operator over inputs of float32, of which nothing is
// known but their rank, and unranked when that is negative.
func op(n *onnx.Node, version int64, rank int, more ...onnx.Initializer) *onnx.Model {
	m := Model(n)
	m.Opsets[0].Version = version
	m.Graph.Inputs, m.Graph.Initializers = nil, more
	for i, name := range n.Inputs {
		if slices.Contains(n.Inputs[:i], name) {
			continue
		}
		in := onnx.UnrankedTensor(tensor.Float32)
		if rank >= 0 {
			in = onnx.TensorOf(tensor.Float32, make([]tensor.Dim, rank)...)
			for k := range in.Dims {
				in.Dims[k].Size = -1
			}
		}
		if len(more) == 0 || name != more[0].Name {
			m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: name, Type: &in})
		}
	}
	return m
}

func TestLongKernelsLookAtTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const n = 400
	data := make([]float32, n*n)
	for i := range n {
		data[i*n+i] = 1
	}
	square := floats(t, tensor.Shape{n, n}, data...)
	row := floats(t, tensor.Shape{n}, make([]float32, n)...)
	one := Names("x")
	for _, c := range []struct {
		n       *onnx.Node
		version int64
		in      []*tensor.Tensor
	}{
		{Node("ReduceSum", one, Names("y")), 13, []*tensor.Tensor{square}},
		{Node("ReduceL2", one, Names("y"), Ints("axes", 0)), 11, []*tensor.Tensor{square}},
		{Node("ReduceLogSumExp", one, Names("y"), Ints("axes", 1)), 13, []*tensor.Tensor{square}},
		{Node("ArgMin", one, Names("y"), Int("axis", 1)), 13, []*tensor.Tensor{square}},
		{Node("MatMul", Names("x", "w"), Names("y")), 13, []*tensor.Tensor{square, square}},
		{Node("Gemm", Names("x", "w"), Names("y")), 13, []*tensor.Tensor{square, square}},
		{Node("Einsum", Names("x", "w"), Names("y"), String("equation", "ij,kj->ik")), 12, []*tensor.Tensor{square, square}},
		{Node("Einsum", one, Names("y"), String("equation", "ij->ji")), 12, []*tensor.Tensor{square}},
		{Node("Det", one, Names("y")), 11, []*tensor.Tensor{square}},
		{Node("LayerNormalization", Names("x", "w"), Names("y")), 17, []*tensor.Tensor{square, row}},
		{Node("BatchNormalization", Names("x", "a", "b", "c", "d"), Names("y")), 15, []*tensor.Tensor{square, row, row, row, row}},
		{Node("LpNormalization", one, Names("y")), 9, []*tensor.Tensor{square}},
	} {
		p := loadModel(t, op(c.n, c.version, -1), onnx.Limits{})
		if err := p.Run(ctx, c.in, results(1)); fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s %v: %v", c.n.Op, c.n.Attributes, err)
		}
	}
}

func TestMatricesThatDoNotFitAreRefused(t *testing.T) {
	table := floats(t, tensor.Shape{2, 3}, 1, 2, 3, 4, 5, 6)
	row := floats(t, tensor.Shape{2}, 1, 2)
	scalar := floats(t, nil, 1)
	cube := floats(t, tensor.Shape{2, 1, 2}, 1, 2, 3, 4)
	three := floats(t, tensor.Shape{3, 2, 1}, 1, 2, 3, 4, 5, 6)
	both := Names("x", "w")
	for _, c := range []struct {
		name    string
		n       *onnx.Node
		version int64
		in      []*tensor.Tensor
		want    string
	}{
		{"axis to sum", Node("ReduceSum", Names("x"), Names("y"), Ints("axes", 2)), 11, []*tensor.Tensor{table}, "out of range"},
		{"vectors", Node("MatMul", both, Names("y")), 13, []*tensor.Tensor{row, table}, ""},
		{"depth", Node("MatMul", both, Names("y")), 13, []*tensor.Tensor{table, row}, "columns are not as many"},
		{"scalar", Node("MatMul", both, Names("y")), 13, []*tensor.Tensor{table, scalar}, "scalar"},
		{"batches", Node("MatMul", both, Names("y")), 13, []*tensor.Tensor{cube, three}, "cannot be broadcast"},
		{"no matrix", Node("Gemm", both, Names("y")), 13, []*tensor.Tensor{table, row}, "two axes"},
		{"depth of Gemm", Node("Gemm", both, Names("y")), 13, []*tensor.Tensor{table, table}, "columns are not as many"},
		{"C", Node("Gemm", Names("x", "w", "c"), Names("y"), Int("transB", 1)), 13, []*tensor.Tensor{table, table, floats(t, tensor.Shape{3}, 1, 2, 3)}, "added to"},
		{"term", Node("Einsum", Names("x"), Names("y"), String("equation", "ijk->i")), 12, []*tensor.Tensor{table}, "axes of its term"},
		{"ellipsis", Node("Einsum", Names("x"), Names("y"), String("equation", "ijk...->i")), 12, []*tensor.Tensor{table}, "axes of its term"},
		{"labels", Node("Einsum", both, Names("y"), String("equation", "ij,jk")), 12, []*tensor.Tensor{table, table}, "differ in extent"},
		{"no square", Node("Det", Names("x"), Names("y")), 11, []*tensor.Tensor{table}, "square"},
		{"scale", Node("LayerNormalization", both, Names("y")), 17, []*tensor.Tensor{table, row}, "broadcast"},
		{"axis to normalize from", Node("LayerNormalization", both, Names("y"), Int("axis", 2)), 17, []*tensor.Tensor{table, row}, "no such axis"},
		{"channels", Node("InstanceNormalization", Names("x", "w", "b"), Names("y")), 22, []*tensor.Tensor{table, row, row}, "one entry for each"},
		{"no channels", Node("InstanceNormalization", Names("x", "w", "b"), Names("y")), 22, []*tensor.Tensor{row, row, row}, "no channels"},
		{"groups", Node("GroupNormalization", Names("x", "w", "b"), Names("y"), Int("num_groups", 2)), 21, []*tensor.Tensor{table, row, row}, "groups"},
		{"statistics", Node("BatchNormalization", Names("x", "a", "b", "c", "d"), Names("y")), 15, []*tensor.Tensor{table, row, row, row, row}, "one entry for each"},
		{"axis of a norm", Node("LpNormalization", Names("x"), Names("y"), Int("axis", -3)), 9, []*tensor.Tensor{table}, "out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := loadModel(t, op(c.n, c.version, -1), onnx.Limits{}).Run(t.Context(), c.in, results(1))
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

func TestMatricesThatCannotFitAreRefusedAtLoad(t *testing.T) {
	for _, c := range []struct {
		name    string
		n       *onnx.Node
		version int64
		want    string
	}{
		{"axis to sum", Node("ReduceSum", Names("x"), Names("y"), Ints("axes", 2)), 11, "out of range for 2 axes"},
		{"axes by input too early", Node("ReduceMax", Names("x", "a"), Names("y")), 13, "2 inputs"},
		{"terms", Node("Einsum", Names("x"), Names("y"), String("equation", "ij,jk")), 12, "terms for 2 inputs"},
		{"label of the output", Node("Einsum", Names("x"), Names("y"), String("equation", "ij->k")), 12, "in no term"},
		{"label twice", Node("Einsum", Names("x"), Names("y"), String("equation", "ij->ii")), 12, "there twice"},
		{"character", Node("Einsum", Names("x"), Names("y"), String("equation", "i?->i")), 12, "not valid"},
		{"half an ellipsis", Node("Einsum", Names("x"), Names("y"), String("equation", "i..->i")), 12, "not valid"},
		{"two ellipses", Node("Einsum", Names("x"), Names("y"), String("equation", "...i...->i")), 12, "not valid"},
		{"a long term", Node("Einsum", Names("x"), Names("y"), String("equation", strings.Repeat("i", 100))), 12, "more than 32 axes"},
		{"rank", Node("Einsum", Names("x"), Names("y"), String("equation", "ijk->i")), 12, "axes of its term"},
		{"training", Node("BatchNormalization", Names("x", "x", "x", "x", "x"), Names("y"), Int("training_mode", 1)), 15, "inference"},
		{"order of a norm", Node("LpNormalization", Names("x"), Names("y"), Int("p", 3)), 22, "1 or 2"},
		{"no group", Node("GroupNormalization", Names("x", "x", "x"), Names("y"), Int("num_groups", 0)), 21, "1 or more"},
		{"stash type", Node("LayerNormalization", Names("x", "x"), Names("y"), Int("stash_type", 16)), 17, "stash_type"},
		{"last axis of old ArgMin", Node("ArgMin", Names("x"), Names("y"), Int("select_last_index", 1)), 11, "select_last_index"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := exec.Load(Encode(op(c.n, c.version, 2)), onnx.Limits{})
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want it to say %q", err, c.want)
			}
		})
	}
}

// A product, a sum of products and a window can be far larger than what they
// are made of.
func TestProductsBeyondTheMemoryOfARunAreRefused(t *testing.T) {
	limits := onnx.Limits{RunMemory: 10 << 20}
	column, row := floats(t, tensor.Shape{5000, 1}, make([]float32, 5000)...), floats(t, tensor.Shape{1, 5000}, make([]float32, 5000)...)
	for _, n := range []*onnx.Node{
		Node("MatMul", Names("x", "w"), Names("y")), Node("Gemm", Names("x", "w"), Names("y")),
		Node("Einsum", Names("x", "w"), Names("y"), String("equation", "ij,jk->ik")),
		Node("Einsum", Names("x", "w", "x"), Names("y"), String("equation", "ij,jk,kl->il")),
	} {
		err := loadModel(t, op(n, 13, 2), limits).Run(t.Context(), []*tensor.Tensor{column, row}, results(1))
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "send fewer rows") {
			t.Errorf("%s %v: %v", n.Op, n.Attributes, err)
		}
	}
	m := op(Node("HannWindow", Names("x"), Names("y")), 17, 0, Tensor64("x", nil, 1<<40))
	if _, err := exec.Load(Encode(m), limits); fault.KindOf(err) != fault.Content {
		t.Errorf("a window: %v", err)
	}
}
