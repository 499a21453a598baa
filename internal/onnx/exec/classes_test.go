package exec_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

func TestOutputsOfAClassifierKnowTheirClasses(t *testing.T) {
	classes := Strings("classlabels_strings", "rot", "weiß")
	trained := []onnx.Attribute{Floats("coefficients", 1, -1, -1, 1), Floats("intercepts", 0, 0), classes}
	for name, tc := range map[string]struct {
		nodes    []*onnx.Node
		keys     []string
		decision bool
	}{
		"decision values": {
			[]*onnx.Node{ML("LinearClassifier", Names("x"), Names("y", "z"), trained...)},
			[]string{"rot", "weiß"},
			true,
		},
		"decision values of a copy": {
			[]*onnx.Node{
				ML("LinearClassifier", Names("x"), Names("a", "b"), trained...),
				Node("Identity", Names("a"), Names("y")), Node("Identity", Names("b"), Names("z")),
			},
			[]string{"rot", "weiß"},
			true,
		},
		"transformed": {
			[]*onnx.Node{ML("LinearClassifier", Names("x"), Names("y", "z"), append(trained, String("post_transform", "SOFTMAX"))...)},
			[]string{"rot", "weiß"},
			false,
		},
		"a binary row, on which softmax has no effect": {
			[]*onnx.Node{ML("LinearClassifier", Names("x"), Names("y", "z"), Floats("coefficients", 1, -1), Floats("intercepts", 0), classes, String("post_transform", "SOFTMAX"))},
			[]string{"rot", "weiß"},
			true,
		},
		"normalised": {
			[]*onnx.Node{
				ML("LinearClassifier", Names("x"), Names("y", "b"), trained...),
				ML("Normalizer", Names("b"), Names("z"), String("norm", "L1")),
			},
			[]string{"rot", "weiß"},
			false,
		},
		"another operator between": {
			[]*onnx.Node{
				ML("LinearClassifier", Names("x"), Names("y", "b"), trained...),
				Node("Sigmoid", Names("b"), Names("z")),
			},
			nil, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := Model(tc.nodes...)
			m.Graph.Outputs = []*onnx.ValueInfo{{Name: "y"}, {Name: "z"}}
			p := loadModel(t, m, onnx.Limits{})
			label, scores := p.Outputs()[0], p.Outputs()[1]
			if got := tensor.Of[string](label.Keys); !cmp.Equal(got, []string{"rot", "weiß"}) || label.Decision {
				t.Errorf("label: %q, decision %t", got, label.Decision)
			}
			if tc.keys != nil && scores.Keys != label.Keys || tc.keys == nil && scores.Keys != nil || scores.Decision != tc.decision {
				t.Errorf("scores: %v, decision %t, want %q, %t", scores.Keys, scores.Decision, tc.keys, tc.decision)
			}
		})
	}
}

func TestOnlyDecisionValuesOfExportsAreCalledThat(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/sklearn/*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no exports: %v", err)
	}
	want := map[string]bool{"linear_svc.onnx": true, "linear_svc_binary.onnx": true, "ridge_classifier.onnx": true}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := exec.Load(data, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range p.Outputs() {
			found = found || s.Decision
		}
		if found != want[filepath.Base(file)] {
			t.Errorf("%s: decision values %t", filepath.Base(file), found)
		}
	}
}
