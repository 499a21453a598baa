package exec_test

import (
	"slices"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

func TestClassicalOperatorsAllocateNothingWhenWarm(t *testing.T) {
	for _, family := range []string{"encode", "ensemble", "feature", "impute", "linear", "maps", "svm", "tree"} {
		var cases []fixture
		readJSON(t, "testdata/operators/"+family+".json", &cases)
		for i := range cases {
			f := &cases[i]
			if slices.ContainsFunc(f.Outputs, func(a array) bool { return a.Type == "string" && family == "maps" }) {
				continue // a number becomes new text
			}
			t.Run(f.Name, func(t *testing.T) { runWarm(t, f) })
		}
	}
}

func runWarm(t *testing.T, f *fixture) {
	t.Helper()
	p, err := exec.Load(f.Model, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	in, out := make([]*tensor.Tensor, len(f.Inputs)), make([]*tensor.Tensor, len(p.Outputs()))
	for i, spec := range p.Inputs() {
		k := slices.IndexFunc(f.Inputs, func(a array) bool { return a.Name == spec.Name })
		in[i] = f.Inputs[k].tensor(t)
	}
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	ctx := t.Context()
	got := testing.AllocsPerRun(20, func() {
		if err := p.Run(ctx, in, out); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
