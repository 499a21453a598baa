package ops

import (
	"math"
	"slices"
	"testing"
)

// Lanes of adjacent elements give what others do, beside the rounding of the last digit.
func TestSoftmaxOfAdjacentElements(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for n := 1; n < 40; n++ {
		for _, special := range [][]float32{{1}, {-inf}, {inf}, {nan}, {-200}, {-inf, nan}, {-3e38, 3e38}} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(i*i%23) - 9
			}
			copy(x[n/2:], special)
			lane, want, got := make([]float64, n), make([]float64, n), make([]float32, n)
			takeReals(want, x, 1)
			if err := softmaxLane(t.Context(), want, expInPlace); err != nil {
				t.Fatal(err)
			}
			if err := softmaxSingle(t.Context(), got, x, lane); err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				if off := ulps(got[i], w); !(off <= 1) {
					t.Fatalf("%d of %v: %v, want %v", i, x, got[i], w)
				}
			}
		}
	}
}

// The place of the greatest among many is that found one by one.
func TestTheGreatestOfManyIsThatFoundOneByOne(t *testing.T) {
	const n = 3 * fewElements
	oneByOne := func(x []float32, best, from int, last bool) int {
		for i := from; i < len(x); i++ {
			if x[i] > x[best] || last && x[i] == x[best] {
				best = i
			}
		}
		return best
	}
	for step := 1; step < 90; step++ {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i * step % 31)
		}
		for _, at := range []int{-1, 0, 5, n - 1} {
			y := slices.Clone(x)
			if at >= 0 {
				y[at] = float32(math.NaN())
			}
			for _, last := range []bool{false, true} {
				for _, from := range []int{0, fewElements} {
					best := oneByOne(y[:from], 0, 0, last)
					want := oneByOne(y, best, from, last)
					if got := greatestAt(y, best, from, n, 1, last); got != want {
						t.Fatalf("step %d, NaN at %d, last %v, from %d: %d, want %d", step, at, last, from, got, want)
					}
				}
			}
		}
	}
}
