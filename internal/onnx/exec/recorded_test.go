package exec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
	"onnxgate/models"
)

// TestTheShippedModelAnswersAsONNXRuntime runs every recorded row alone and all
// of them as one batch, since the two take different kernels.
func TestTheShippedModelAnswersAsONNXRuntime(t *testing.T) {
	model, err := models.FS.ReadFile("iris/1/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	program := load(t, model)
	if w := program.Warnings(); len(w) > 0 {
		t.Errorf("Warnings = %q", w)
	}
	cases := testkit.Iris(t)
	t.Run("one row", func(t *testing.T) {
		var labels, scores tensor.Tensor
		for _, c := range cases {
			run(t, program, newTensor(t, tensor.Shape{1, len(c.Row)}, c.Row), &labels, &scores)
			checkRows(t, []testkit.Case{c}, &labels, &scores)
		}
	})
	t.Run("one batch", func(t *testing.T) {
		var labels, scores tensor.Tensor
		var rows []float32
		for _, c := range cases {
			rows = append(rows, c.Row...)
		}
		run(t, program, newTensor(t, tensor.Shape{len(cases), len(cases[0].Row)}, rows), &labels, &scores)
		checkRows(t, cases, &labels, &scores)
	})
}

func checkRows(t *testing.T, cases []testkit.Case, labels, scores *tensor.Tensor) {
	t.Helper()
	classes := len(cases[0].ONNXRuntime.Scores)
	if diff := cmp.Diff(tensor.Shape{len(cases), classes}, scores.Shape()); diff != "" {
		t.Fatalf("shape of the scores (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tensor.Shape{len(cases)}, labels.Shape()); diff != "" {
		t.Fatalf("shape of the labels (-want +got):\n%s", diff)
	}
	for i, c := range cases {
		row := tensor.Of[float32](scores)[i*classes : (i+1)*classes]
		if err := c.Check(tensor.Of[int64](labels)[i], row); err != nil {
			t.Error(err)
		}
	}
}

func TestTheEngineConforms(t *testing.T) {
	testkit.Conformance(t, func(model []byte) (testkit.Program, error) { return exec.Load(model, onnx.Limits{}) })
}

func load(t *testing.T, model []byte) *exec.Program {
	t.Helper()
	program, err := exec.Load(model, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func newTensor[T tensor.Element](t *testing.T, shape tensor.Shape, data []T) *tensor.Tensor {
	t.Helper()
	made, err := tensor.New(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func run(t *testing.T, p *exec.Program, rows *tensor.Tensor, out ...*tensor.Tensor) {
	t.Helper()
	if err := p.Run(t.Context(), []*tensor.Tensor{rows}, out); err != nil {
		t.Fatal(err)
	}
}
