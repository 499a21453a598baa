package exec_test

import (
	"slices"
	"strings"
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

// One row through the models that libraries export allocates nothing when warm, but
// where text is made, or lists.
func TestTheZooAllocatesNothingWhenWarm(t *testing.T) {
	makesText := []string{"text_"} // in lower case, say
	for name, folder := range map[string]string{"fixtures": zooOfFixtures, "built": builtZoo()} {
		for _, model := range zooNames(t, folder) {
			if slices.ContainsFunc(makesText, func(prefix string) bool { return strings.HasPrefix(model, prefix) }) {
				continue
			}
			t.Run(name+"/"+model, func(t *testing.T) {
				data, r := readZoo(t, folder, model)
				p, err := exec.Load(data, onnx.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(p.Outputs(), func(s tensor.Spec) bool { return s.Elem != nil || s.Kind == tensor.KindMap }) {
					return // lists are the caller's own
				}
				inputs := r.Inputs
				if r.independentRows(p) > 0 {
					inputs = part(inputs, 0, 1)
				}
				allocateNothing(t, p, inputs)
			})
		}
	}
}

func allocateNothing(t *testing.T, p *exec.Program, inputs []recorded) {
	t.Helper()
	in, out := make([]*tensor.Tensor, len(p.Inputs())), results(len(p.Outputs()))
	for i, spec := range p.Inputs() {
		k := slices.IndexFunc(inputs, func(a recorded) bool { return a.Name == spec.Name })
		var err error
		if in[i], err = inputs[k].value(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if got := testing.AllocsPerRun(20, func() {
		if err := p.Run(ctx, in, out); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
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
