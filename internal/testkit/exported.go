package testkit

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/tensor"
)

// NamedTensor is one input or output of a model.
type NamedTensor struct {
	Name   string
	Tensor *tensor.Tensor
}

// Exported is a small model that skl2onnx wrote, one input that it was given,
// and what ONNX Runtime answered. A sequence of maps is recorded as one float32
// tensor whose columns are in the order of the keys.
type Exported struct {
	Name            string
	ONNX            []byte
	Inputs, Outputs []NamedTensor
}

// ExportedModels returns the models of testdata/sklearn, by name.
func ExportedModels(tb testing.TB) []Exported {
	tb.Helper()
	repo := repository(tb)
	files, err := fs.Glob(repo, "testdata/sklearn/*.onnx")
	if err != nil || len(files) == 0 {
		tb.Fatalf("%d models in testdata/sklearn: %v", len(files), err)
	}
	models := make([]Exported, len(files))
	for i, file := range files {
		if models[i], err = readExported(repo, file); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
	}
	return models
}

// Compare returns an error when got is not want: another type, shape or element.
// Floating-point elements may differ by Tolerance, relative where they exceed 1.
func Compare(got, want *tensor.Tensor) error {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return fmt.Errorf("%v%v, want %v%v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	switch want.DType() { //nolint:exhaustive // the recorded answers have these types
	case tensor.Float32:
		return compareElements(got, want, closeEnough)
	case tensor.Int64:
		return compareElements(got, want, func(a, b int64) bool { return a == b })
	case tensor.String:
		return compareElements(got, want, func(a, b string) bool { return a == b })
	default:
		return fmt.Errorf("no recorded answer is of type %v", want.DType())
	}
}

func closeEnough(got, want float32) bool {
	return math.Abs(float64(got)-float64(want)) <= Tolerance*max(1, math.Abs(float64(want)))
}

func compareElements[T tensor.Element](got, want *tensor.Tensor, same func(got, want T) bool) error {
	expected := tensor.Of[T](want)
	for i, x := range tensor.Of[T](got) {
		if !same(x, expected[i]) {
			return fmt.Errorf("element %d of %v is %v, want %v", i, want.Shape(), x, expected[i])
		}
	}
	return nil
}

// recordedTensor is a tensor as the Open Inference Protocol writes it.
type recordedTensor struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int           `json:"shape"`
	Data     json.RawMessage `json:"data"`
}

func readExported(fsys fs.FS, file string) (Exported, error) {
	stem := strings.TrimSuffix(file, ".onnx")
	model := Exported{Name: path.Base(stem)}
	var err error
	if model.ONNX, err = fs.ReadFile(fsys, file); err != nil {
		return model, err
	}
	data, err := fs.ReadFile(fsys, stem+".json")
	if err != nil {
		return model, err
	}
	var recorded struct{ Inputs, Outputs []recordedTensor }
	if err := json.Unmarshal(data, &recorded); err != nil {
		return model, err
	}
	if model.Inputs, err = namedTensors(recorded.Inputs); err != nil {
		return model, err
	}
	model.Outputs, err = namedTensors(recorded.Outputs)
	return model, err
}

func namedTensors(recorded []recordedTensor) ([]NamedTensor, error) {
	named := make([]NamedTensor, len(recorded))
	for i, r := range recorded {
		t, err := r.tensor()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		named[i] = NamedTensor{Name: r.Name, Tensor: t}
	}
	return named, nil
}

func (r recordedTensor) tensor() (*tensor.Tensor, error) {
	switch r.Datatype {
	case "FP32":
		return elements[float32](r)
	case "INT64":
		return elements[int64](r)
	case "BYTES":
		return elements[string](r)
	default:
		return nil, fmt.Errorf("unknown datatype %q", r.Datatype)
	}
}

func elements[T tensor.Element](r recordedTensor) (*tensor.Tensor, error) {
	var data []T
	if err := json.Unmarshal(r.Data, &data); err != nil {
		return nil, err
	}
	return tensor.New(r.Shape, data)
}
