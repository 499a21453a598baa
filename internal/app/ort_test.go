//go:build ort && cgo

package app_test

import (
	"strings"
	"testing"

	"onnxgate/internal/app"
	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/onnx/ort"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestONNXRuntimeTakesOverWhatTheNativeEngineLacks(t *testing.T) {
	images := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1}, tensor.Dim{Size: 1}, tensor.Dim{Size: 2}, tensor.Dim{Size: 2})
	m := Model(Node("GlobalAveragePool", Names("x"), Names("y")))
	m.Graph.Inputs[0].Type, m.Graph.Outputs[0].Type = &images, &images
	m.Graph.Outputs[0].Type = &onnx.Type{Of: onnx.TensorType, Elem: tensor.Float32}
	model := Encode(m)

	engines := app.NewEngines("../../bin/libonnxruntime.so", 1)
	if _, _, err := engines.Compile(model, schema.EngineNative); fault.KindOf(err) != fault.Content {
		t.Fatalf("native: %v", err)
	}
	p, warnings, err := engines.Compile(model, schema.EngineAuto)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.(*ort.Program); !ok || len(warnings) != 1 || !strings.Contains(warnings[0], "ONNX Runtime runs it") {
		t.Errorf("%T with the warnings %q", p, warnings)
	}
	x, err := tensor.New(tensor.Shape{1, 1, 2, 2}, []float32{1, 2, 3, 6})
	if err != nil {
		t.Fatal(err)
	}
	var y tensor.Tensor
	if err := p.Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{&y}); err != nil {
		t.Fatal(err)
	}
	if got := tensor.Of[float32](&y); len(got) != 1 || got[0] != 3 {
		t.Errorf("the mean is %v, want 3", got)
	}
}
