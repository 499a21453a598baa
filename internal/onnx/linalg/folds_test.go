package linalg

import (
	"math"
	"slices"
	"testing"
)

// extremes are numbers with every kind of trouble at a place of its own.
func extremes(n, at int, trouble float32) []float32 {
	x := numbers(n)
	if at < n {
		x[at] = trouble
	}
	return x
}

var troubles = []float32{0, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30}

func same(a, b float32) bool { return a == b || a != a && b != b }

func TestFoldsOfLanesAreThoseOfGo(t *testing.T) {
	for n := range 200 {
		for _, v := range troubles {
			x := extremes(n, n*7%(n+1), v)
			for _, m := range []float32{-1, 2, float32(math.NaN())} {
				if got, want := Max(m, x), maxGo(m, x); !same(got, want) {
					t.Fatalf("the maximum of %d with %v is %v, want %v", n, v, got, want)
				}
				if got, want := Min(m, x), minGo(m, x); !same(got, want) {
					t.Fatalf("the minimum of %d with %v is %v, want %v", n, v, got, want)
				}
			}
			if got, want := Sum[float64](x), sumGo[float64](x); !same(float32(got), float32(want)) {
				t.Fatalf("the sum of %d with %v is %v, want %v", n, v, got, want)
			}
			if got, want := SumSquares[float64](x), squaresGo[float64](x); !same(float32(got), float32(want)) {
				t.Fatalf("the sum of %d squares with %v is %v, want %v", n, v, got, want)
			}
			if got, want := SumMagnitudes[float64](x), magnitudesGo[float64](x); !same(float32(got), float32(want)) {
				t.Fatalf("the sum of %d magnitudes with %v is %v, want %v", n, v, got, want)
			}
		}
	}
}

func TestFoldsOfRowsAreThoseOfGo(t *testing.T) {
	for n := range 100 {
		for _, v := range troubles {
			x, acc := extremes(n, n*7%(n+1), v), extremes(n, n*5%(n+1), float32(math.NaN()))
			greatest, least := slices.Clone(acc), slices.Clone(acc)
			MaxTo(greatest, x)
			MinTo(least, x)
			sums, want := make([]float64, n), make([]float64, n)
			for i := range acc {
				sums[i], want[i] = float64(acc[i]), float64(acc[i])
			}
			AddTo(sums, x)
			addGo(want, x)
			squares, magnitudes := slices.Clone(sums), slices.Clone(sums)
			AddSquaresTo(squares, x)
			AddMagnitudesTo(magnitudes, x)
			for i, v := range x {
				if w := sums[i] + float64(v)*float64(v); math.Abs(squares[i]-w) > 1e-15*math.Abs(w) {
					t.Fatalf("the sum of %v and the square of %v is %v", sums[i], v, squares[i])
				}
				if w := sums[i] + math.Abs(float64(v)); magnitudes[i] != w && w == w {
					t.Fatalf("the sum of %v and the magnitude of %v is %v", sums[i], v, magnitudes[i])
				}
			}
			for i := range x {
				if w := maxGo(acc[i], x[i:i+1]); !same(greatest[i], w) {
					t.Fatalf("the greater of %v and %v is %v", acc[i], x[i], greatest[i])
				}
				if w := minGo(acc[i], x[i:i+1]); !same(least[i], w) {
					t.Fatalf("the lesser of %v and %v is %v", acc[i], x[i], least[i])
				}
				if sums[i] != want[i] && want[i] == want[i] {
					t.Fatalf("the sum of %v and %v is %v", acc[i], x[i], sums[i])
				}
			}
		}
	}
}

func TestFoldsOfIntegers(t *testing.T) {
	x := []int8{100, 100, -3, 4, 5}
	acc := []int8{1, 2, 3, 4, 127}
	AddTo(acc, x)
	if Sum[int8](x) != -50 || Sum[int64](x) != 206 || Max(-128, x) != 100 || Min(127, x) != -3 || !slices.Equal(acc, []int8{101, 102, 0, 8, -124}) {
		t.Error(Sum[int8](x), Sum[int64](x), Max(-128, x), Min(127, x), acc)
	}
}

func TestFoldsAllocateNothing(t *testing.T) {
	x, sums, acc := numbers(1000), make([]float64, 1000), make([]float32, 1000)
	if got := testing.AllocsPerRun(100, func() {
		sums[0] += Sum[float64](x)
		acc[0] = Max(acc[0], x) + Min(acc[0], x)
		AddTo(sums, x)
		MaxTo(acc, x)
		MinTo(acc, x)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
