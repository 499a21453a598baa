package linalg

import (
	"context"
	"errors"
	"math"
	"testing"
)

// ONNX Runtime adds up 1024 products in their order before it adds their sum.
func weigh(sum float32, weights, values []float32) float32 {
	for ; len(weights) > 1024; weights, values = weights[1024:], values[1024:] {
		sum += productGo(0, weights[:1024], values)
	}
	return sum + productGo(0, weights, values)
}

func TestWeightsAreTakenInTheirOrder(t *testing.T) {
	for _, n := range []int{1, 1000, 1024, 1025, 2049} {
		weights, values := numbers(n), numbers(2 * n)[n:]
		want := weigh(0.3, weights, values)
		if got, err := Weigh(t.Context(), 0.3, weights, values); err != nil || got != want {
			t.Errorf("%d weights: %v, %v; want %v", n, got, err, want)
		}
	}
}

func TestRowsAreWeighedAsEachAlone(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 8, 19, 1024, 1030} {
		for rows := range 2*lanes + 2 {
			weights, values := numbers(n), numbers((n+3)*rows)
			got := numbers(rows)
			if err := WeighRows(t.Context(), got, weights, values, n+3); err != nil {
				t.Fatal(err)
			}
			for r, from := range numbers(rows) {
				if want := weigh(from, weights, values[r*(n+3):]); got[r] != want {
					t.Fatalf("row %d of %d, %d weights: %v, want %v", r, rows, n, got[r], want)
				}
			}
		}
	}
}

func TestWideSumsLoseNothing(t *testing.T) {
	for n := range 40 {
		weights, values, want := numbers(n), numbers(n + 3)[3:], 0.0
		for i, v := range weights {
			want += float64(v * values[i])
		}
		var w Work
		if got, err := WeighWide(t.Context(), &w, weights, values); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("of %d: %v, %v; want %v", n, got, err, want)
		}
	}
}

func TestPartsAreWeighedAsEachAlone(t *testing.T) {
	ends := []int{0, 3, 3, 20, 60, 61}
	for _, more := range []int{0, workAtOnce} {
		ends[5] += more
		weights, values, got := numbers(ends[5]), numbers(ends[5] + 1)[1:], make([]float64, 5)
		var w Work
		if err := WeighParts(t.Context(), &w, got, weights, values, ends); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			want := weighSomeGo(weights[ends[i]:ends[i+1]], values[ends[i]:])
			if math.Abs(got[i]-want) > 1e-9 {
				t.Errorf("part %d of %d: %v, want %v", i, ends[5], got[i], want)
			}
		}
	}
}

func TestWeighingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := make([]float32, workAtOnce)
	if _, err := Weigh(ctx, 0, many, many); !errors.Is(err, context.Canceled) {
		t.Errorf("Weigh: %v", err)
	}
	if err := WeighRows(ctx, make([]float32, lanes), many, make([]float32, 2*workAtOnce), workAtOnce/lanes); !errors.Is(err, context.Canceled) {
		t.Errorf("WeighRows: %v", err)
	}
	var w Work
	if err := WeighParts(ctx, &w, make([]float64, 1), many, many, []int{0, len(many)}); !errors.Is(err, context.Canceled) {
		t.Errorf("WeighParts: %v", err)
	}
	var err error
	for range workAtOnce { // of a model of many classes, ever so many short ones
		if _, err = WeighWide(ctx, &w, nil, nil); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("WeighWide: %v", err)
	}
}
