package exec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
)

func inspect(data []byte) (*exec.Info, error) {
	m, err := exec.Decode(data, onnx.Limits{})
	if err != nil {
		return nil, err
	}
	return exec.Inspect(m), nil
}

func TestInspectDescribesAnExport(t *testing.T) {
	model, _ := readModel(t, "forest")
	got, err := inspect(model)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.ProducerVersion, "1.") || got.Parameters < 1000 {
		t.Errorf("producer %s %s, %d parameters", got.Producer, got.ProducerVersion, got.Parameters)
	}
	got.ProducerVersion, got.Parameters = "", 0
	if got.Operators[2].Node != "ZipMap" {
		t.Errorf("the first ZipMap is %q", got.Operators[2].Node)
	}
	for i := range got.Operators {
		got.Operators[i].Node = ""
	}
	want := &exec.Info{
		IRVersion: 10, Producer: "skl2onnx", Domain: "ai.onnx", Graph: "forest",
		Opsets:  []onnx.Opset{{Domain: "ai.onnx.ml", Version: 1}, {Version: 9}},
		Inputs:  []exec.Port{{Name: "X", Type: "tensor(float32)[?,4]"}},
		Outputs: []exec.Port{{Name: "output_label", Type: "tensor(int64)[?]"}, {Name: "output_probability", Type: "seq(map(int64,tensor(float32)))"}},
		Operators: []exec.OperatorUse{
			{Domain: "ai.onnx", Name: "Cast", Version: 9, Nodes: 1, Supported: true},
			{Domain: "ai.onnx.ml", Name: "TreeEnsembleClassifier", Version: 1, Nodes: 1, Supported: true},
			{Domain: "ai.onnx.ml", Name: "ZipMap", Version: 1, Nodes: 1, Supported: true},
		},
		Nodes: 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInspectMarksWhatIsNotSupported(t *testing.T) {
	m := Model(Node("Foo", Names("gone"), Names("y"), Ints("a", 1, 2)))
	got, err := inspect(Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	want := []exec.OperatorUse{{Domain: "ai.onnx", Name: "Foo", Version: 21, Nodes: 1, Node: "Foo"}}
	if diff := cmp.Diff(want, got.Operators); diff != "" || got.Parameters != 2 {
		t.Errorf("%d parameters, operators (-want +got):\n%s", got.Parameters, diff)
	}
	if _, err := inspect([]byte{0xff}); fault.KindOf(err) != fault.Content {
		t.Errorf("a damaged file: %v", err)
	}
}
