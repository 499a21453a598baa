package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// dims turns extents into declared ones; -1 is free.
func dims(sizes ...int) []tensor.Dim {
	d := make([]tensor.Dim, len(sizes))
	for i, n := range sizes {
		d[i].Size = n
	}
	return d
}

func spec(name string, d tensor.DType, sizes ...int) tensor.Spec {
	return tensor.Spec{Name: name, DType: d, Dims: dims(sizes...), Ranked: true}
}

func newTensor[T tensor.Element](tb testing.TB, data []T, shape ...int) *tensor.Tensor {
	tb.Helper()
	x, err := tensor.New(shape, data)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// maps is the output of a ZipMap over the keys.
func maps[T int64 | string](tb testing.TB, name string, keys ...T) tensor.Spec {
	tb.Helper()
	return tensor.Spec{
		Name: name, Kind: tensor.KindMapSequence, DType: tensor.Float32,
		Dims: dims(-1, len(keys)), Ranked: true, Keys: newTensor(tb, keys, len(keys)),
	}
}

func parse(tb testing.TB, manifest string) *schema.Manifest {
	tb.Helper()
	m, err := schema.Parse("model.yaml", []byte(manifest))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func compile(tb testing.TB, manifest string, in, out []tensor.Spec) *schema.Schema {
	tb.Helper()
	var m *schema.Manifest
	if manifest != "" {
		m = parse(tb, manifest)
	}
	s, err := schema.Compile(m, "pond", in, out)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// faultText writes a fault as the tests compare it: kind, message, fields.
func faultText(err error) string {
	if err == nil {
		return ""
	}
	e := fault.As(err)
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s", e.Kind, e.Msg)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "\n%s %s", f.Pointer, f.Detail)
	}
	if e.Truncated {
		b.WriteString("\n…")
	}
	return b.String()
}

// pond is a classifier of one float matrix, as scikit-learn exports it.
const pond = `
name: pond
description: Tells what lives in a pond.
features:
  - {name: depth, unit: m, description: Depth in the middle, example: 1.5, exclusive_min: 0, max: 30}
  - {name: area, unit: m², example: 120, min: 1, max: 1e6}
  - {name: acidity (pH), example: 7, min: 0, max: 14, nullable: true}
labels: [carp, newt, none]
outputs: {label: kind, scores: likelihood}
access: {roles: [ranger, admin]}
`

func pondSchema(tb testing.TB) *schema.Schema {
	tb.Helper()
	return compile(tb, pond,
		[]tensor.Spec{spec("X", tensor.Float32, -1, 3)},
		[]tensor.Spec{spec("kind", tensor.Int64, -1), maps[int64](tb, "likelihood", 0, 1, 2)})
}

func TestPredictionOfAClassifier(t *testing.T) {
	s := pondSchema(t)
	b := s.NewBatch()
	for name, tc := range map[string]struct {
		body   string
		labels []int64
		scores []float32
		input  []float32
		want   string
	}{
		"one row": {
			body:   `{"depth":1.5,"area":120,"acidity (pH)":7.25}`,
			labels: []int64{1}, scores: []float32{0.1, 0.9, 0}, input: []float32{1.5, 120, 7.25},
			want: `{"prediction":1,"label":"newt","probabilities":{"carp":0.1,"newt":0.9,"none":0},"model":"pond","version":"3"}`,
		},
		"rows in order": {
			body:   ` [ {"area":120,"depth":1.5,"acidity (pH)":7.25} , {"\u0061rea":2e2,"depth":0.5,"acidity (pH)":6}]` + "\r\n",
			labels: []int64{2, 0}, scores: []float32{0, 0, 1, 1, 0, 0}, input: []float32{1.5, 120, 7.25, 0.5, 200, 6},
			want: `{"predictions":[{"prediction":2,"label":"none","probabilities":{"carp":0,"newt":0,"none":1}},` +
				`{"prediction":0,"label":"carp","probabilities":{"carp":1,"newt":0,"none":0}}],"model":"pond","version":"3"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Decode(t.Context(), b, []byte(tc.body), 10); err != nil {
				t.Fatal(faultText(err))
			}
			n := len(tc.labels)
			if diff := cmp.Diff(tensor.Shape{n, 3}, b.Inputs[0].Shape()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.input, tensor.Of[float32](b.Inputs[0])); diff != "" {
				t.Error(diff)
			}
			got, err := s.AppendResponse(nil, b, []*tensor.Tensor{
				newTensor(t, tc.labels, n), newTensor(t, tc.scores, n, 3),
			}, "3")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExampleIsAValidRow(t *testing.T) {
	s := pondSchema(t)
	want := `{"depth":1.5,"area":120,"acidity (pH)":7}`
	if got := string(s.Example()); got != want {
		t.Errorf("Example = %s, want %s", got, want)
	}
	if err := s.Decode(t.Context(), s.NewBatch(), s.Example(), 1); err != nil {
		t.Error(faultText(err))
	}
}
