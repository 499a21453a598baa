package linalg

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

// Rows that are compared side by side differ as each does from each, to the bit.
func TestDifferencesAreThoseOfEachPair(t *testing.T) {
	t.Run("float32", testDifferences[float32])
	t.Run("float64", testDifferences[float64])
}

func testDifferences[T Float](t *testing.T) {
	t.Helper()
	for features := 1; features < 40; features++ {
		for _, rows := range [][2]int{{1, 1}, {2, 9}, {5, 8}, {8, 7}, {11, 19}, {35, 17}} {
			x, v := quotients[T](rows[0]*features, 1), quotients[T](rows[1]*features, 2)
			x[len(x)/2] = T(math.Inf(1))
			v[len(v)/3] = T(math.NaN())
			for _, m := range []Measure{SumOfSquares, SumOfMagnitudes} {
				got, want := make([]T, rows[0]*rows[1]), make([]T, rows[0]*rows[1])
				room := slices.Repeat([]T{T(math.NaN())}, DifferencesLen[T](m, rows[0], features))
				if err := Differences(t.Context(), m, got, v, x, features, room); err != nil {
					t.Fatal(err)
				}
				for i := range want {
					want[i] = differenceOf(m, x, v[i/rows[0]*features:][:features], i%rows[0]*features)
				}
				if !slices.EqualFunc(got, want, func(a, b T) bool { return a == b || a != a && b != b }) {
					t.Fatalf("measure %d, %d features, %v rows: %v, want %v", m, features, rows, got, want)
				}
			}
		}
	}
}

// differenceOf makes one pair's differences before it adds them up; its row of x is at a
// place of all.
func differenceOf[T Float](m Measure, x, v []T, at int) T {
	d := make([]T, len(v))
	for i := range d {
		d[i] = x[at+i] - v[i]
	}
	sum := make([]T, 1)
	if m == SumOfSquares {
		AddSquaresInOrder(sum, d, len(d))
		return sum[0]
	}
	for i := range d {
		d[i] = magnitude(d[i])
	}
	return SumAligned(d, at)
}

func TestDifferencesEndWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const rows, features = 256, 256
	x := make([]float32, rows*features)
	room := make([]float32, DifferencesLen[float32](SumOfSquares, rows, features))
	if err := Differences(ctx, SumOfSquares, make([]float32, rows*rows), x, x, features, room); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
