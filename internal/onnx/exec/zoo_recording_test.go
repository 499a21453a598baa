package exec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"onnxgate/internal/tensor"
)

// recording is what ONNX Runtime answered, as scripts/zoo/record.py writes it.
type recording struct {
	Inputs, Outputs []recorded
}

// recorded is a value: its elements stand in Raw, little-endian, or in Data for
// strings; the columns of maps under Keys, and the tensors of a sequence in
// Items.
type recorded struct {
	Name, Kind, Type string
	Shape            tensor.Shape
	Raw              []byte
	Data             []string
	Keys             *recorded
	Items            []recorded
	// Slack is how far rounding alone moves an output whose answers hang on the
	// last bit of the input.
	Slack float64
}

// readZoo reads a model of the zoo.
func readZoo(tb testing.TB, folder, name string) (model []byte, r recording) {
	tb.Helper()
	model, err := os.ReadFile(filepath.Join(folder, name+".onnx"))
	if err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		tb.Fatal(err)
	}
	return model, r
}

// rows returns the rows from up to to of a value whose first axis is rows.
func (r *recorded) rows(from, to int) recorded {
	part := *r
	if r.Kind == "sequence" {
		part.Items = make([]recorded, len(r.Items))
		for i := range r.Items {
			part.Items[i] = r.Items[i].rows(from, to)
		}
		return part
	}
	n := r.Shape[0]
	part.Shape = slices.Clone(r.Shape)
	part.Shape[0] = to - from
	part.Raw = r.Raw[from*len(r.Raw)/n : to*len(r.Raw)/n]
	part.Data = r.Data[from*len(r.Data)/n : to*len(r.Data)/n]
	return part
}

// hasRows reports whether the first axis of a value has n rows.
func (r *recorded) hasRows(n int) bool {
	switch r.Kind {
	case "sequence":
		return len(r.Items) > 0 && !slices.ContainsFunc(r.Items, func(i recorded) bool { return !i.hasRows(n) })
	case "map":
		return false
	}
	return len(r.Shape) > 0 && r.Shape[0] == n
}

// value returns what a program is given, or gives.
func (r *recorded) value() (*tensor.Tensor, error) {
	switch r.Kind {
	case "map":
		keys, err := r.Keys.value()
		if err != nil {
			return nil, err
		}
		values, err := r.elements()
		if err != nil {
			return nil, err
		}
		return tensor.NewMap(keys, values)
	case "sequence":
		items := make([]*tensor.Tensor, len(r.Items))
		for i := range items {
			var err error
			if items[i], err = r.Items[i].value(); err != nil {
				return nil, err
			}
		}
		return tensor.NewSequence(items...), nil
	}
	return r.elements()
}

func (r *recorded) elements() (*tensor.Tensor, error) {
	switch r.Type {
	case "float32":
		return unpack[float32](r)
	case "float64":
		return unpack[float64](r)
	case "int8":
		return unpack[int8](r)
	case "int32":
		return unpack[int32](r)
	case "int64":
		return unpack[int64](r)
	case "uint8":
		return unpack[uint8](r)
	case "uint32":
		return unpack[uint32](r)
	case "uint64":
		return unpack[uint64](r)
	case "bool":
		return unpack[bool](r)
	case "string":
		return tensor.New(r.Shape, r.Data)
	}
	return nil, fmt.Errorf("a recording of %q", r.Type)
}

func unpack[T tensor.Element](r *recorded) (*tensor.Tensor, error) {
	n, err := r.Shape.Elements()
	if err != nil {
		return nil, err
	}
	data := make([]T, n)
	if err := binary.Read(bytes.NewReader(r.Raw), binary.LittleEndian, data); err != nil && n > 0 {
		return nil, err
	}
	return tensor.New(r.Shape, data)
}

// zooDifference says where a value is not what was recorded: floats within
// 1e-5 absolute and relative, doubles within 1e-10, others exactly but in rows
// that are ties. slack widens the bounds of floats.
func zooDifference(want, got *tensor.Tensor, ties []bool, slack float64) string {
	if want.Kind() != got.Kind() {
		return fmt.Sprintf("a %v, want a %v", got.Kind(), want.Kind())
	}
	if want.Kind() != tensor.KindTensor {
		return listDifference(want, got, ties, slack)
	}
	if want.DType() != got.DType() || !slices.Equal(want.Shape(), got.Shape()) {
		return fmt.Sprintf("%v of shape %v, want %v of shape %v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	switch got.DType() { //nolint:exhaustive // the rest is exact
	case tensor.Float32:
		return beyond(want, tensor.Of[float32](want), tensor.Of[float32](got), nil, func(w, g float32) bool { return near(float64(w), float64(g), 1e-5, slack) })
	case tensor.Float64:
		return beyond(want, tensor.Of[float64](want), tensor.Of[float64](got), nil, func(w, g float64) bool { return near(w, g, 1e-10, slack) })
	case tensor.String:
		return exactly[string](want, got, ties)
	case tensor.Int64:
		return exactly[int64](want, got, ties)
	case tensor.Int32:
		return exactly[int32](want, got, ties)
	case tensor.Bool:
		return exactly[bool](want, got, ties)
	}
	return fmt.Sprintf("elements of %v cannot be compared", got.DType())
}

func listDifference(want, got *tensor.Tensor, ties []bool, slack float64) string {
	w, g := want.Items(), got.Items()
	if len(w) != len(g) {
		return fmt.Sprintf("%d elements, want %d", len(g), len(w))
	}
	for i := range w {
		if diff := zooDifference(w[i], g[i], ties, slack); diff != "" {
			return fmt.Sprintf("element %d: %s", i, diff)
		}
	}
	return ""
}

func near(w, g, tolerance, slack float64) bool {
	if w == g || math.IsNaN(w) || math.IsNaN(g) {
		return w == g || math.IsNaN(w) && math.IsNaN(g)
	}
	return math.Abs(w-g) <= slack+tolerance+tolerance*math.Abs(w)
}

func exactly[T tensor.Element](want, got *tensor.Tensor, ties []bool) string {
	return beyond(want, tensor.Of[T](want), tensor.Of[T](got), ties, func(w, g T) bool { return w == g })
}

func beyond[T tensor.Element](t *tensor.Tensor, want, got []T, ties []bool, same func(w, g T) bool) string {
	wrong, first := 0, -1
	for i := range want {
		if same(want[i], got[i]) || len(ties) > 0 && len(t.Shape()) > 0 && ties[i*len(ties)/len(want)] {
			continue
		}
		if wrong++; first < 0 {
			first = i
		}
	}
	if wrong == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d elements differ: element %d is %v, ONNX Runtime has %v", wrong, len(want), first, got[first], want[first])
}

// ties reports for each row whether its two best scores are within 1e-6, so
// that either label is right: those of one output, or of outputs of one column
// each. A score alone is near the two values that are bounds.
func (r *recording) ties(n int) []bool {
	ties := make([]bool, n)
	var columns [][]float64
	for i := range r.Outputs {
		table := r.Outputs[i].scores(n)
		for row := range ties {
			if table != nil {
				ties[row] = ties[row] || tied(table[row])
			}
		}
		if table != nil && len(table[0]) == 1 {
			columns = append(columns, slices.Concat(table...))
		}
	}
	for row := range ties {
		scores := make([]float64, len(columns))
		for i, c := range columns {
			scores[i] = c[row]
		}
		ties[row] = ties[row] || len(scores) > 1 && tied(scores)
	}
	return ties
}

// scores returns a value's rows of floats, or nil.
func (r *recorded) scores(n int) [][]float64 {
	if n == 0 || !r.hasRows(n) || r.Type != "float32" && r.Type != "float64" {
		return nil
	}
	t, err := r.elements()
	if err != nil || t.Len() == 0 {
		return nil
	}
	flat := tensor.Of[float64](t)
	for _, v := range tensor.Of[float32](t) {
		flat = append(flat, float64(v))
	}
	return slices.Collect(slices.Chunk(flat, len(flat)/n))
}

func tied(scores []float64) bool {
	if len(scores) == 1 {
		return math.Abs(scores[0]) <= 1e-6 || math.Abs(scores[0]-0.5) <= 1e-6
	}
	s := slices.Sorted(slices.Values(scores))
	best, next := s[len(s)-1], s[len(s)-2]
	return math.Abs(best-next) <= 1e-6*max(1, math.Abs(best))
}
