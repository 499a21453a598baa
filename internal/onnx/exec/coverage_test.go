package exec_test

import (
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
	"onnxgate/models"
)

// An operator without a case has never been compared with anything.
func TestEveryOperatorHasACase(t *testing.T) {
	cases := operatorCases(t)
	seen := map[[2]string]bool{}
	for i := range cases {
		m, err := decode.Model(cases[i].Model, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range m.Graph.Nodes {
			seen[[2]string{n.Domain, n.Op}] = true
		}
	}
	for _, op := range ops.Operators() {
		if !seen[[2]string{op.Domain, op.Name}] {
			t.Errorf("%s %s has no case", op.Domain, op.Name)
		}
	}
}

func BenchmarkIris(b *testing.B) {
	data, err := models.FS.ReadFile("iris/1/model.onnx")
	if err != nil {
		b.Fatal(err)
	}
	p, err := exec.Load(data, onnx.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	cases := testkit.Iris(b)
	inputs := make([]*tensor.Tensor, 1024)
	for i := range inputs {
		inputs[i] = floats(b, tensor.Shape{1, 4}, cases[i].Row...)
	}
	out, i := results(2), 0
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), inputs[i%1024:i%1024+1], out); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
