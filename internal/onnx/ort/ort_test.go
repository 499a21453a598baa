//go:build ort && cgo

package ort_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/onnx/ort"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
	"onnxgate/models"
)

// engine opens the library that ONNXGATE_ORT_LIBRARY names, or the one that
// `make build-ort` puts beside the binary.
func engine(t *testing.T) *ort.Engine {
	t.Helper()
	library := os.Getenv("ONNXGATE_ORT_LIBRARY")
	if library == "" {
		library = "../../../bin/libonnxruntime.so"
	}
	e, err := ort.Open(ort.Config{Library: library})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheEngineConforms(t *testing.T) {
	e := engine(t)
	testkit.Conformance(t, func(model []byte) (testkit.Program, error) { return e.Load(model, onnx.Limits{}) })
}

func TestTheShippedModelAnswersAsRecorded(t *testing.T) {
	model, err := models.FS.ReadFile("iris/1/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine(t).Load(model, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var rows []float32
	cases := testkit.Iris(t)
	for _, c := range cases {
		rows = append(rows, c.Row...)
	}
	x, err := tensor.New(tensor.Shape{len(cases), 4}, rows)
	if err != nil {
		t.Fatal(err)
	}
	var labels, scores tensor.Tensor
	if err := p.Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{&labels, &scores}); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if err := c.Check(tensor.Of[int64](&labels)[i], tensor.Of[float32](&scores)[i*3:i*3+3]); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatTheLibraryMustNotSeeIsRefused(t *testing.T) {
	e := engine(t)
	for name, model := range map[string][]byte{
		"no model":            []byte("PK\x03\x04 a zip file"),
		"a cycle":             Encode(Model(Node("Add", Names("x", "b"), Names("a")), Node("Add", Names("a", "x"), Names("b")))),
		"an unknown operator": Encode(Model(Node("NoSuchOperator", Names("x"), Names("y")))),
	} {
		if _, err := e.Load(model, onnx.Limits{}); fault.KindOf(err) != fault.Content {
			t.Errorf("%s: %v: %v", name, fault.KindOf(err), err)
		}
	}
}

func TestAnEndedContextStopsTheRun(t *testing.T) {
	m := Model(Node("Add", Names("x", "x"), Names("y")))
	declared := onnx.UnrankedTensor(tensor.Float32)
	m.Graph.Outputs[0].Type = &declared
	p, err := engine(t).Load(Encode(m), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, err := tensor.New(tensor.Shape{1, 2}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	// The run may have been over before it was told to stop.
	err = p.Run(ctx, []*tensor.Tensor{x}, []*tensor.Tensor{new(tensor.Tensor)})
	if err != nil && fault.KindOf(err) != fault.Canceled {
		t.Errorf("%v: %v", fault.KindOf(err), err)
	}
}

// A scalar leaves as one where it is declared; where it is not, the run fails and
// the process goes on.
func TestScalarsLeave(t *testing.T) {
	m := Model(Node("ReduceSum", Names("x"), Names("y"), Int("keepdims", 0)))
	x, err := tensor.New(tensor.Shape{2, 2}, []float32{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	for declared, typ := range map[bool]onnx.Type{true: onnx.TensorOf(tensor.Float32), false: onnx.UnrankedTensor(tensor.Float32)} {
		m.Graph.Outputs[0].Type = &typ
		p, err := engine(t).Load(Encode(m), onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var y tensor.Tensor
		err = p.Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{&y})
		switch {
		case !declared && fault.KindOf(err) != fault.Content:
			t.Errorf("not declared: %v: %v", fault.KindOf(err), err)
		case declared && (err != nil || len(y.Shape()) != 0 || tensor.Of[float32](&y)[0] != 10):
			t.Errorf("declared: %v of %v: %v", tensor.Of[float32](&y), y.Shape(), err)
		}
	}
}

func TestInputsThatDoNotFitAreSaidToBeWhatTheyAre(t *testing.T) {
	m := Model(Node("Neg", Names("x"), Names("y")))
	pairs := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1}, tensor.Dim{Size: 2})
	m.Graph.Inputs[0].Type, m.Graph.Outputs[0].Type = &pairs, &pairs
	p, err := engine(t).Load(Encode(m), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	three, err := tensor.New(tensor.Shape{1, 3}, []float32{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	doubles, err := tensor.New(tensor.Shape{1, 2}, []float64{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for want, x := range map[string]*tensor.Tensor{
		`input "x" must have shape [?,2], not [1 3]`:     three,
		`input "x" must be of type float32, not float64`: doubles,
		`input "x" is missing`:                           nil,
	} {
		err := p.Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{new(tensor.Tensor)})
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
