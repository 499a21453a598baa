package linalg

import (
	"context"
	"errors"
	"math"
	"testing"
)

func TestWeightsAreTakenInTheirOrder(t *testing.T) {
	const n = 1000
	weights, values := numbers(n), numbers(2 * n)[n:]
	want := productGo(0, weights, values)
	if got, err := Weigh(t.Context(), weights, values); err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestWideSumsLoseNothing(t *testing.T) {
	for n := range 20 {
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

func TestWeighingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := make([]float32, workAtOnce)
	if _, err := Weigh(ctx, many, many); !errors.Is(err, context.Canceled) {
		t.Errorf("Weigh: %v", err)
	}
	var w Work
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
