package schema_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestTensorsKeepTheRulesOfTheFeatures(t *testing.T) {
	s := fleetSchema(t)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := func() []*tensor.Tensor {
		return []*tensor.Tensor{
			newTensor(t, []float32{0, nan, 300, 1}, 2, 2), newTensor(t, []int64{3, 5}, 2, 1), newTensor(t, []string{"red", "deep blue"}, 2, 1),
			newTensor(t, []bool{true, false}, 2), newTensor(t, []int32{1, 2, 3, 4}, 2, 2, 1),
		}
	}
	for name, c := range map[string]struct {
		at   int
		t    *tensor.Tensor
		want []fault.Field
	}{
		"good": {0, good()[0], nil},
		"out of range": {0, newTensor(t, []float32{-1, nan, 301, inf}, 2, 2), []fault.Field{
			{Pointer: "#/0/speed", Detail: "must be at least 0"},
			{Pointer: "#/1/speed", Detail: "must be at most 300"},
			{Pointer: "#/1/weight", Detail: "must be a number that float32 can hold, at most 3.4028234663852886e+38 in magnitude"},
		}},
		"missing":     {0, newTensor(t, []float32{1, 1, nan, 1}, 2, 2), []fault.Field{{Pointer: "#/1/speed", Detail: "must be a number, and is missing"}}},
		"enum":        {2, newTensor(t, []string{"red", "green"}, 2, 1), []fault.Field{{Pointer: "#/1/colour", Detail: `must be one of "red", "deep blue", not "green"`}}},
		"other type":  {0, newTensor(t, []float64{-1, 1}, 1, 2), nil},
		"other shape": {0, newTensor(t, []float32{-1, 1, 1}, 1, 3), nil},
		"no rows":     {0, newTensor(t, []float32{}, 0, 2), nil},
		"one number":  {0, newTensor(t, []float32{-1}), nil},
	} {
		in := good()
		in[c.at] = c.t
		var got []fault.Field
		if err := s.CheckTensors(t.Context(), in); err != nil {
			if fault.KindOf(err) != fault.Content {
				t.Errorf("%s: %v", name, err)
			}
			got = fault.As(err).Fields
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestANumberOfATensorIsTheDecimalThatWasSent(t *testing.T) {
	const rules = `features:
  - {name: a, max: 0.1}
  - {name: b, exclusive_max: 0.1}
  - {name: c, exclusive_min: 0.1}
  - {name: d, enum: [0.1, 0.7]}
`
	want := []string{"#/0/b must be less than 0.1", "#/0/c must be greater than 0.1"}
	for _, x := range []*tensor.Tensor{
		newTensor(t, []float32{0.1, 0.1, 0.1, 0.7}, 1, 4), newTensor(t, []float64{0.1, 0.1, 0.1, 0.7}, 1, 4),
		newTensor(t, []tensor.Float16{tensor.NewFloat16(0.1), tensor.NewFloat16(0.1), tensor.NewFloat16(0.1), tensor.NewFloat16(0.7)}, 1, 4),
	} {
		s, err := schema.Compile(parse(t, rules), "m", []tensor.Spec{spec("x", x.DType(), -1, 4)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fault.As(s.CheckTensors(t.Context(), []*tensor.Tensor{x})).Fields {
			got = append(got, f.Pointer+" "+f.Detail)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", x.DType(), got, want)
		}
	}
}

func TestNestedTensorsAndListsKeepTheRulesToo(t *testing.T) {
	number := spec("", tensor.Float32, -1, 1)
	for want, c := range map[string]struct {
		in    tensor.Spec
		given *tensor.Tensor
	}{
		"#/1/x/1/0 must be at most 9": {spec("x", tensor.Int32, -1, 2, 1), newTensor(t, []int32{1, 2, 3, 10}, 2, 2, 1)},
		"#/x/2 must be at most 9":     {spec("x", tensor.Uint8, 3), newTensor(t, []uint8{1, 2, 10}, 3)},
		"#/x must be at most 9": {
			tensor.Spec{Name: "x", Kind: tensor.KindSequence, Elem: &number}, tensor.NewSequence(newTensor(t, []float32{1}, 1, 1), newTensor(t, []float32{10}, 1, 1)),
		},
	} {
		s, err := schema.Compile(parse(t, "features: [{name: x, max: 9}]\n"), "m", []tensor.Spec{c.in}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		err = s.CheckTensors(t.Context(), []*tensor.Tensor{c.given})
		if fields := fault.As(err).Fields; len(fields) != 1 || fields[0].Pointer+" "+fields[0].Detail != want {
			t.Errorf("%v, want %s", fields, want)
		}
	}
}

func TestAGraphWithoutFeaturesHasNoRulesForTensors(t *testing.T) {
	nan := newTensor(t, []float32{float32(math.NaN()), float32(math.Inf(1))}, 2, 1)
	for _, manifest := range []string{"access: {roles: [user]}\n", "features: [{name: n}]\n"} {
		s, err := schema.Compile(parse(t, manifest), "pond", oneNumber, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		listed := manifest[0] == 'f'
		if err := s.CheckTensors(t.Context(), []*tensor.Tensor{nan}); (err != nil) != listed {
			t.Errorf("%s: %v", manifest, err)
		}
	}
}

func TestARefusedWordIsShownUnlessItIsLong(t *testing.T) {
	s, err := schema.Compile(parse(t, "features:\n  - {name: word, enum: [a]}\n  - {name: size, enum: [0.5], nullable: true}\n"), "m",
		[]tensor.Spec{spec("word", tensor.String, -1, 1), spec("size", tensor.Float32, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string][]string{
		`{"word":"b","size":0.25}`:                               {`must be one of "a", not "b"`, "must be one of 0.5, not 0.25"},
		`{"word":"` + strings.Repeat("b", 40) + `","size":null}`: {`must be one of "a"`},
	} {
		for _, body := range []string{body, "[" + body + "]"} {
			var got []string
			for _, f := range fault.As(s.Decode(t.Context(), s.NewBatch(), []byte(body), 1)).Fields {
				got = append(got, f.Detail)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", body, got, want)
			}
		}
	}
}
