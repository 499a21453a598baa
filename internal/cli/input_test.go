package cli

import (
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
