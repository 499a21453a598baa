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
			true, // some are below zero
		},
		"probabilities, normalised": {
			[]*onnx.Node{
				ML("LinearClassifier", Names("x"), Names("y", "b"), append(trained, String("post_transform", "LOGISTIC"))...),
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

func TestScoresBeyondOneAreDecisionValues(t *testing.T) {
	for name, tc := range map[string]struct {
		scores   []*onnx.Node // z of x
		decision bool
	}{
		"distances":                               {[]*onnx.Node{Node("Abs", Names("x"), Names("z"))}, true},
		"values of one model a class":             {[]*onnx.Node{Node("Neg", Names("x"), Names("z"))}, true},
		"exponentials of what is not above zero":  {[]*onnx.Node{Node("Abs", Names("x"), Names("a")), Node("Neg", Names("a"), Names("b")), Node("Exp", Names("b"), Names("z"))}, false},
		"probabilities that are sums of float32s": {[]*onnx.Node{Node("Softmax", Names("x"), Names("z"), Int("axis", 1))}, false},
	} {
		m := Model(append(tc.scores, Node("ArgMax", Names("z"), Names("y"), Int("axis", 1), Int("keepdims", 0)))...)
		m.Graph.Outputs = []*onnx.ValueInfo{{Name: "y"}, {Name: "z"}}
		if got := loadModel(t, m, onnx.Limits{}).Outputs()[1].Decision; got != tc.decision {
			t.Errorf("%s: decision values %t", name, got)
		}
		m.Graph.Outputs = m.Graph.Outputs[1:] // nothing to decide between
		if loadModel(t, m, onnx.Limits{}).Outputs()[0].Decision {
			t.Errorf("%s without a label: decision values", name)
		}
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

// The list of the class labels that an exporter adds is the same for all rows.
func TestAnOutputThatNoInputReachesIsConstant(t *testing.T) {
	m := Model(
		Node("Identity", Names("list"), Names("y")),
		Node("Neg", Names("x"), Names("z")),
	)
	m.Graph.Initializers = append(m.Graph.Initializers, Tensor64("list", tensor.Shape{2}, 3, 4))
	m.Graph.Outputs = []*onnx.ValueInfo{{Name: "y"}, {Name: "z"}}
	p := loadModel(t, m, onnx.Limits{})
	if out := p.Outputs(); !out[0].Constant || out[1].Constant {
		t.Errorf("constant: %t, %t; want true, false", out[0].Constant, out[1].Constant)
	}
}
