package testkit_test

import (
	"math"
	"testing"

	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

func TestExportedModelsAreComplete(t *testing.T) {
	for _, model := range testkit.ExportedModels(t) {
		if len(model.ONNX) == 0 || len(model.Inputs) == 0 || len(model.Outputs) == 0 {
			t.Errorf("%s: %d bytes, %d inputs, %d outputs", model.Name, len(model.ONNX), len(model.Inputs), len(model.Outputs))
		}
		rows := model.Inputs[0].Tensor.Shape()[0]
		for _, out := range model.Outputs {
			if got := out.Tensor.Shape()[0]; got != rows {
				t.Errorf("%s: %s has %d rows, want %d", model.Name, out.Name, got, rows)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	floats := func(data ...float32) *tensor.Tensor { return newTensor(t, data) }
	ints := func(data ...int64) *tensor.Tensor { return newTensor(t, data) }
	words := func(data ...string) *tensor.Tensor { return newTensor(t, data) }
	for _, tt := range []struct {
		name      string
		got, want *tensor.Tensor
		ok        bool
	}{
		{"equal floats pass", floats(1, 2), floats(1, 2), true},
		{"a small score within the tolerance passes", floats(0.5), floats(0.5000005), true},
		{"a small score beyond the tolerance fails", floats(0.5), floats(0.500002), false},
		{"a large score within the tolerance passes", floats(152.00002), floats(152), true},
		{"a large score beyond the tolerance fails", floats(152.001), floats(152), false},
		{"NaN fails", floats(float32(math.NaN())), floats(1), false},
		{"another length fails", floats(1), floats(1, 2), false},
		{"another type fails", ints(1), floats(1), false},
		{"equal labels pass", ints(1, 2), ints(1, 2), true},
		{"another label fails", ints(1, 2), ints(1, 3), false},
		{"equal words pass", words("a"), words("a"), true},
		{"another word fails", words("a"), words("b"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := testkit.Compare(tt.got, tt.want); (err == nil) != tt.ok {
				t.Errorf("Compare = %v", err)
			}
		})
	}
}

func newTensor[T tensor.Element](t *testing.T, data []T) *tensor.Tensor {
	t.Helper()
	made, err := tensor.New(tensor.Shape{len(data)}, data)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
