package exec_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

// fixture is a call with ONNX Runtime's answers, as scripts/fixtures/engine.py
// writes it.
type fixture struct {
	Name            string
	Model           []byte // in operators/FAMILY.json
	Inputs, Outputs []array
}

type array struct {
	Name, Type string
	Shape      tensor.Shape
	Keys       []any
	Data       []any
	Items      []array // of a sequence
}

// tensor returns the array as a tensor, with keys as a map; one of maps is
// float32.
func (a *array) tensor(t *testing.T) *tensor.Tensor {
	t.Helper()
	if a.Keys != nil && a.Type != "map" {
		return entries(t, a)
	}
	switch a.Type {
	case "sequence":
		items := make([]*tensor.Tensor, len(a.Items))
		for i := range items {
			items[i] = a.Items[i].tensor(t)
		}
		return tensor.NewSequence(items...)
	case "float32", "map":
		return build(t, a, func(v any) float32 { return float32(number(t, v)) })
	case "float64":
		return build(t, a, func(v any) float64 { return number(t, v) })
	case "float16":
		return build(t, a, func(v any) tensor.Float16 { return half(number(t, v)) })
	case "int8":
		return build(t, a, func(v any) int8 { return int8(integer(t, v)) })
	case "int16":
		return build(t, a, func(v any) int16 { return int16(integer(t, v)) })
	case "int32":
		return build(t, a, func(v any) int32 { return int32(integer(t, v)) })
	case "int64":
		return build(t, a, func(v any) int64 { return integer(t, v) })
	case "uint8":
		return build(t, a, func(v any) uint8 { return uint8(integer(t, v)) })
	case "uint16":
		return build(t, a, func(v any) uint16 { return uint16(integer(t, v)) })
	case "uint32":
		return build(t, a, func(v any) uint32 { return uint32(integer(t, v)) })
	case "uint64":
		return build(t, a, func(v any) uint64 { return uint64(integer(t, v)) })
	case "bool":
		return build(t, a, func(v any) bool { return v == true })
	case "string":
		return build(t, a, func(v any) string { return fmt.Sprint(v) })
	}
	t.Fatalf("fixture of type %q", a.Type)
	return nil
}

// entries returns an array with keys as a map.
func entries(t *testing.T, a *array) *tensor.Tensor {
	t.Helper()
	keys := &array{Type: "int64", Shape: tensor.Shape{len(a.Keys)}, Data: a.Keys}
	if len(a.Keys) > 0 {
		if _, ok := a.Keys[0].(string); ok {
			keys.Type = "string"
		}
	}
	m, err := tensor.NewMap(keys.tensor(t), (&array{Type: a.Type, Shape: a.Shape, Data: a.Data}).tensor(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func build[T tensor.Element](t *testing.T, a *array, conv func(any) T) *tensor.Tensor {
	t.Helper()
	data := make([]T, len(a.Data))
	for i, v := range a.Data {
		data[i] = conv(v)
	}
	x, err := tensor.New(a.Shape, data)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func number(t *testing.T, v any) float64 {
	t.Helper()
	s := fmt.Sprint(v)
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func integer(t *testing.T, v any) int64 {
	t.Helper()
	if i, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil {
		return i
	}
	u, err := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(u)
}

// half is the binary16 of a value that has one, found by the definition of the
// format and not by the engine's own conversion.
func half(x float64) tensor.Float16 {
	for bits := range 1 << 16 {
		h := tensor.Float16(bits)
		if v := onnxtest.HalfValue(h); v == x && math.Signbit(v) == math.Signbit(x) || math.IsNaN(v) && math.IsNaN(x) {
			return h
		}
	}
	panic(fmt.Sprintf("%v is no binary16", x))
}

func readJSON(tb testing.TB, path string, v any) {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		tb.Fatal(err)
	}
}

// operatorCases reads the cases of all families of operators.
func operatorCases(tb testing.TB) []fixture {
	tb.Helper()
	files, err := filepath.Glob("testdata/operators/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases of operators: %v", err)
	}
	var all []fixture
	for _, file := range files {
		var cases []fixture
		readJSON(tb, file, &cases)
		all = append(all, cases...)
	}
	return all
}

// modelNames lists the fixtures that are whole models.
func modelNames(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/models/*.onnx")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no models: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".onnx")
	}
	return files
}

func readModel(tb testing.TB, name string) (data []byte, f fixture) {
	tb.Helper()
	data, err := os.ReadFile("testdata/models/" + name + ".onnx")
	if err != nil {
		tb.Fatal(err)
	}
	readJSON(tb, "testdata/models/"+name+".json", &f)
	return data, f
}

// replay runs a fixture and compares all outputs with ONNX Runtime's.
func replay(t *testing.T, model []byte, f *fixture) {
	t.Helper()
	p, err := exec.Load(model, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	in := make([]*tensor.Tensor, len(f.Inputs))
	for i, spec := range p.Inputs() {
		k := slices.IndexFunc(f.Inputs, func(a array) bool { return a.Name == spec.Name })
		if k < 0 {
			t.Fatalf("the program wants input %q", spec.Name)
		}
		in[i] = f.Inputs[k].tensor(t)
	}
	out := make([]*tensor.Tensor, len(p.Outputs()))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	for range 2 { // the second run finds used memory
		if err := p.Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
	}
	for i, spec := range p.Outputs() {
		compare(t, spec, out[i], &f.Outputs[i])
	}
}

func compare(t *testing.T, spec tensor.Spec, got *tensor.Tensor, want *array) {
	t.Helper()
	if want.Name != spec.Name {
		t.Errorf("output %q, want %q", spec.Name, want.Name)
	}
	if want.Type == "sequence" {
		compareItems(t, spec, got, want)
		return
	}
	if (want.Type == "map") != (spec.Kind == tensor.KindMapSequence) || spec.DType != got.DType() {
		t.Errorf("%s: kind %v of %v carried by %v, want %s", spec.Name, spec.Kind, spec.DType, got.DType(), want.Type)
	}
	if want.Type == "map" {
		if diff := cmp.Diff(fmt.Sprint(want.Keys), keys(spec.Keys)); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", spec.Name, diff)
		}
	}
	if spec.Ranked && !fits(spec.Dims, got.Shape()) {
		t.Errorf("%s: shape %v does not fit its specification %s", spec.Name, got.Shape(), onnx.FormatDims(spec.Dims))
	}
	w := want.tensor(t)
	if diff := cmp.Diff(w.Shape(), got.Shape(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: shape (-want +got):\n%s", spec.Name, diff)
	}
	if diff := differences(w, got); diff != "" {
		t.Errorf("%s: %s", spec.Name, diff)
	}
}

func compareItems(t *testing.T, spec tensor.Spec, got *tensor.Tensor, want *array) {
	t.Helper()
	if spec.Kind != tensor.KindSequence || got.Kind() != tensor.KindSequence || len(got.Items()) != len(want.Items) {
		t.Fatalf("%s: a %v carried by a %v of %d, want %d", spec.Name, spec.Kind, got.Kind(), got.Len(), len(want.Items))
	}
	for i, item := range got.Items() {
		compare(t, *spec.Elem, item, &want.Items[i])
	}
}

func keys(t *tensor.Tensor) string {
	if s := tensor.Of[string](t); s != nil {
		return fmt.Sprint(s)
	}
	return fmt.Sprint(tensor.Of[int64](t))
}

func fits(dims []tensor.Dim, shape tensor.Shape) bool {
	return slices.EqualFunc(dims, shape, func(d tensor.Dim, n int) bool { return d.Size < 0 || d.Size == n })
}

// differences compares elements: floats within 1e-6 absolute, or relative for
// those above 1; doubles within 1e-12; the others exactly.
func differences(want, got *tensor.Tensor) string {
	switch got.DType() { //nolint:exhaustive // the rest is exact
	case tensor.Float32:
		return farthest(tensor.Of[float32](want), tensor.Of[float32](got), 1e-6, func(v float32) float64 { return float64(v) })
	case tensor.Float64:
		return farthest(tensor.Of[float64](want), tensor.Of[float64](got), 1e-12, func(v float64) float64 { return v })
	case tensor.Half:
		return farthest(tensor.Of[tensor.Float16](want), tensor.Of[tensor.Float16](got), 0, onnxtest.HalfValue)
	default:
		return cmp.Diff(elements(want), elements(got))
	}
}

func farthest[T any](want, got []T, tolerance float64, value func(T) float64) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d elements, want %d", len(got), len(want))
	}
	for i := range want {
		w, g := value(want[i]), value(got[i])
		if w == g || math.IsNaN(w) && math.IsNaN(g) {
			continue
		}
		if !(math.Abs(w-g) <= tolerance*max(1, math.Abs(w))) {
			return fmt.Sprintf("element %d is %v, ONNX Runtime has %v", i, g, w)
		}
	}
	return ""
}

func elements(t *tensor.Tensor) any {
	for _, list := range []any{
		tensor.Of[int8](t), tensor.Of[int16](t), tensor.Of[int32](t), tensor.Of[int64](t), tensor.Of[uint8](t),
		tensor.Of[uint16](t), tensor.Of[uint32](t), tensor.Of[uint64](t), tensor.Of[bool](t), tensor.Of[string](t),
	} {
		if fmt.Sprint(list) != "[]" {
			return list
		}
	}
	return nil
}
