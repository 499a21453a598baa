package schema_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestTensorsAreHeldToTheContractOfAModelWithoutAManifest(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(-1)
	matrix := []tensor.Spec{spec("x", tensor.Float64, -1, 2)}
	list := func(e ...*tensor.Tensor) []*tensor.Tensor { return []*tensor.Tensor{tensor.NewSequence(e...)} }
	sequence := []tensor.Spec{{Name: "s", Kind: tensor.KindSequence, Elem: &tensor.Spec{DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}}}}}
	two := []tensor.Spec{spec("a", tensor.Float32, -1, 1), spec("b", tensor.Int64, -1)}
	const max32, max64 = "3.4028234663852886e+38", "1.7976931348623157e+308"
	for name, tc := range map[string]struct {
		in   []tensor.Spec
		give []*tensor.Tensor
		rows int
		want string // the fault's message, and its first field
	}{
		"rows":                 {matrix, []*tensor.Tensor{newTensor(t, []float64{1, 2, 3, 4}, 2, 2)}, 2, ""},
		"one too many":         {matrix, []*tensor.Tensor{newTensor(t, make([]float64, 8), 4, 2)}, 4, "the input must hold at most 3 rows, not 4"},
		"none":                 {matrix, []*tensor.Tensor{newTensor(t, []float64{}, 0, 2)}, 0, `input "x" must not be empty`},
		"missing numbers":      {matrix, []*tensor.Tensor{newTensor(t, []float64{1, nan}, 1, 2)}, 1, "the input does not fit the model: #/0/x_1 must be a number, and is missing"},
		"an infinity":          {matrix, []*tensor.Tensor{newTensor(t, []float64{1, 1, inf, 1}, 2, 2)}, 2, "the input does not fit the model: #/1/x_0 must be a number that float64 can hold, at most " + max64 + " in magnitude"},
		"another type":         {matrix, []*tensor.Tensor{newTensor(t, []float32{1, 2}, 1, 2)}, 0, `input "x" must be of type float64, not float32`},
		"another shape":        {matrix, []*tensor.Tensor{newTensor(t, []float64{1, 2, 3}, 1, 3)}, 0, `input "x" must have shape [-1, 2], not [1, 3]`},
		"another rank":         {matrix, []*tensor.Tensor{newTensor(t, []float64{1, 2}, 2)}, 0, `input "x" must have shape [-1, 2], not [2]`},
		"another kind":         {matrix, list(), 0, `input "x" must be of kind tensor`},
		"none given":           {matrix, nil, 0, "the model takes 1 input; 0 were given"},
		"nothing in its place": {matrix, []*tensor.Tensor{nil}, 0, `input "x" must be of kind tensor`},
		"inputs of a length":   {two, []*tensor.Tensor{newTensor(t, []float32{1, 2}, 2, 1), newTensor(t, []int64{1, 2}, 2)}, 2, ""},
		"inputs of two lengths": {
			two,
			[]*tensor.Tensor{newTensor(t, []float32{1, 2}, 2, 1), newTensor(t, []int64{1}, 1)},
			2,
			`input "a" has 2 rows, input "b" has 1: all take the same number`,
		},
		"a text":              {[]tensor.Spec{spec("w", tensor.String, -1, 1)}, []*tensor.Tensor{newTensor(t, []string{"é"}, 1, 1)}, 1, ""},
		"bytes that are none": {[]tensor.Spec{spec("w", tensor.String, -1, 1)}, []*tensor.Tensor{newTensor(t, []string{"\xff"}, 1, 1)}, 1, "the input does not fit the model: #/0/w must be UTF-8"},
		"a sequence":          {sequence, list(newTensor(t, []float32{1, 2}, 2)), 1, ""},
		"with an infinity":    {sequence, list(newTensor(t, []float32{1, float32(inf)}, 2)), 1, "the input does not fit the model: #/s must be a number that float32 can hold, at most " + max32 + " in magnitude"},
		"of something else":   {sequence, list(newTensor(t, []int8{1}, 1)), 0, `input "s" must be of type float32, not int8`},
		"of nothing":          {sequence, list(nil), 0, `input "s" must be of kind tensor`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(nil, "m", tc.in, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
			if err != nil {
				t.Fatal(err)
			}
			b := s.NewBatch()
			b.Inputs = tc.give
			got := ""
			if err := s.Admit(t.Context(), b, 3); err != nil {
				f := fault.As(err)
				if got = f.Msg; len(f.Fields) > 0 {
					got += ": " + f.Fields[0].Pointer + " " + f.Fields[0].Detail
				}
				if f.Kind != fault.Content {
					t.Errorf("the fault is %v: %v", f.Kind, err)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Admit (-want +got):\n%s", diff)
			}
			if b.Rows != tc.rows {
				t.Errorf("Rows = %d, want %d", b.Rows, tc.rows)
			}
		})
	}
}

func TestADecodeAfterTensorsOfAnotherStandsAlone(t *testing.T) {
	s := compile(t, "features: [{name: a}, {name: b}]\n", []tensor.Spec{spec("x", tensor.Float32, -1, -1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	b := s.NewBatch()
	theirs := newTensor(t, []float32{1, 2, 3}, 1, 3)
	b.Inputs[0] = theirs
	if err := s.Admit(t.Context(), b, 1); fault.KindOf(err) != fault.Content {
		t.Errorf("three columns for two features: %v", err)
	}
	if err := s.Decode(t.Context(), b, []byte(`{"a": 8, "b": 9}`), 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{8, 9}, tensor.Of[float32](b.Inputs[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float32{1, 2, 3}, tensor.Of[float32](theirs)); diff != "" {
		t.Errorf("their memory was written to (-want +got):\n%s", diff)
	}
}
