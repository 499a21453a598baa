//go:build ort && cgo

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestWhatIsMeasuredIsWhatAServerRuns(t *testing.T) {
	images := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1}, tensor.Dim{Size: 1}, tensor.Dim{Size: 2}, tensor.Dim{Size: 2})
	pool := Model(Node("GlobalAveragePool", Names("x"), Names("y")))
	pool.Graph.Inputs[0].Type, pool.Graph.Outputs[0].Type = &images, &onnx.Type{Of: onnx.TensorType, Elem: tensor.Float32}
	p := &Process{Lookup: func(string) (string, bool) { return "../../bin/libonnxruntime.so", true }}
	for want, m := range map[schema.Engine]*onnx.Model{schema.EngineORT: pool, schema.EngineNative: Model(Stump())} {
		file := filepath.Join(t.TempDir(), "model.onnx")
		if err := os.WriteFile(file, Encode(m), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := p.settled(file, schema.EngineAuto); got != want || err != nil {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
		if got, err := p.settled(file, engineBoth); got != engineBoth || err != nil {
			t.Errorf("both became %q: %v", got, err)
		}
	}
}
