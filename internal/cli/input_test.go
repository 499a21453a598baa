package cli

import (
	"math/rand/v2"
	"slices"
	"testing"

	"onnxgate/internal/tensor"
)

func TestRowsOfASampleFollowOneAnother(t *testing.T) {
	sample, err := tensor.New(tensor.Shape{3, 2}, []float32{1, 2, 3, 4, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, rows int
		want       []float32
	}{
		{0, 3, []float32{1, 2, 3, 4, 5, 6}},
		{1, 1, []float32{3, 4}},
		{2, 2, []float32{5, 6, 1, 2}},
		{4, 5, []float32{3, 4, 5, 6, 1, 2, 3, 4, 5, 6}},
		{7, 0, nil},
	} {
		got, err := tile(sample, c.from, c.rows)
		if err != nil {
			t.Fatal(err)
		}
		if data := tensor.Of[float32](got); !slices.Equal(data, c.want) || got.Shape()[0] != c.rows {
			t.Errorf("%d rows from %d: %v %v, want %v", c.rows, c.from, got.Shape(), data, c.want)
		}
	}
	empty, err := tensor.New(tensor.Shape{0, 2}, []float32{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tile(empty, 0, 2); err == nil {
		t.Error("rows were made of none")
	}
}

func TestRandomInputOfEveryKind(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	number := tensor.Spec{DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 2}}}
	words := tensor.Spec{Kind: tensor.KindMap, Key: tensor.String, DType: tensor.Int64}
	numbered := tensor.Spec{Kind: tensor.KindMap, Key: tensor.Int64, DType: tensor.Float32}
	for _, spec := range []tensor.Spec{
		words, numbered, {Kind: tensor.KindSequence, Elem: &number}, {Kind: tensor.KindSequence, Elem: &words}, {Kind: tensor.KindOptional, Elem: &number},
	} {
		made, err := random(&spec, 1, r)
		if err != nil || made.Kind() != spec.Kind || made.Len() == 0 {
			t.Errorf("%v: %v, error %v", spec.Kind, made, err)
		}
		if _, err := random(&spec, 2, r); err == nil {
			t.Errorf("%v: two rows", spec.Kind)
		}
		if again, err := tile(made, 3, 1); again != made || err != nil {
			t.Errorf("%v: %v, error %v", spec.Kind, again, err)
		}
		if _, err := tile(made, 0, 2); err == nil {
			t.Errorf("%v: two rows of a sample", spec.Kind)
		}
	}
	if m, err := random(&words, 1, r); err != nil || m.Items()[0].DType() != tensor.String || m.Items()[1].DType() != tensor.Int64 {
		t.Errorf("a map of words: %v", err)
	}
}
