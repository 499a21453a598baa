package onnx_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

func TestCheckAcceptsWhatIsOddButHarmless(t *testing.T) {
	n := onnxtest.Names
	m := onnxtest.Model(onnxtest.Node("A", n("x", ""), n("a", "")), onnxtest.Node("A", n("a"), n("y")))
	m.Opsets = append(m.Opsets, m.Opsets[0]) // twice with one version
	warnings, err := onnx.Check(m, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`node "A" (A) has the same name as an earlier node`}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestCheckSeesTheValuesAroundASubgraph(t *testing.T) {
	n := onnxtest.Names
	branch := &onnx.Graph{
		Nodes:   []*onnx.Node{onnxtest.Node("B", n("x", "a"), n("b"))},
		Outputs: []*onnx.ValueInfo{{Name: "b"}},
	}
	m := onnxtest.Model(onnxtest.Node("A", n("x"), n("a")), onnxtest.Node("If", n("a"), n("y"), onnxtest.Graph("then_branch", branch)))
	if _, err := onnx.Check(m, onnx.Limits{}); err != nil {
		t.Errorf("a subgraph that reads outer values: %v", err)
	}
	branch.Nodes[0].Outputs = n("a")
	if _, err := onnx.Check(m, onnx.Limits{}); err == nil || !strings.Contains(err.Error(), "already taken") {
		t.Errorf("a subgraph that hides an outer value: %v", err)
	}
}

func TestInitializersMustBeWhatTheirInputDeclares(t *testing.T) {
	m := onnxtest.Model(onnxtest.Node("A", onnxtest.Names("x"), onnxtest.Names("y")))
	m.Graph.Initializers = []onnx.Initializer{onnxtest.Tensor64("x", tensor.Shape{1}, 1)}
	want := `initializer "x" is a tensor(int64)[1], but declared tensor(float32)[N,2]`
	if _, err := onnx.Check(m, onnx.Limits{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}

func TestTypesAreWrittenAsONNXDoes(t *testing.T) {
	maps := onnx.MapSequence(tensor.Int64)
	table := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: -1}, tensor.Dim{Size: 4})
	anything := onnx.UnrankedTensor(tensor.String)
	for want, typ := range map[string]*onnx.Type{
		"seq(map(int64,tensor(float32)))": &maps,
		"tensor(float32)[N,?,4]":          &table,
		"tensor(string)":                  &anything,
		"undefined":                       nil,
	} {
		if got := typ.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNamesOfFilesAreCutInMessages(t *testing.T) {
	if got := onnx.Quote("a\nb"); got != `"a\nb"` {
		t.Errorf("%s", got)
	}
	if got := onnx.Quote(strings.Repeat("ü", 100)); len(got) > 80 || !strings.Contains(got, "…") {
		t.Errorf("%s", got)
	}
}
