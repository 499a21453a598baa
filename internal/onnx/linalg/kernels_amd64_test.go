//go:build !purego

package linalg

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randoms are values of very different size, so that a lost or doubled element
// shows.
func randoms[T Float](r *rand.Rand, n int) []T {
	data := make([]T, n)
	for i := range data {
		data[i] = T(r.NormFloat64() * math.Exp(r.NormFloat64()))
	}
	return data
}

// near reports whether two ways of summing agree, by the size of the terms.
func near[T Float](a, b, size, epsilon T) bool {
	return math.Abs(float64(a-b)) <= float64(epsilon*(size+1))
}

func testTiles[T Float](t *testing.T, vector func(target[T], Matrix[T], []T, int, int) bool, epsilon T) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		rows, depth := 1+r.IntN(tileRows), 1+r.IntN(40)
		cStride, bStride := panelWidth+r.IntN(5), panelWidth+r.IntN(5)
		a := Matrix[T]{RowStride: depth, ColStride: 1}
		if r.IntN(2) == 0 {
			a.RowStride, a.ColStride = 1, rows
		}
		a.Data = randoms[T](r, rows*depth)
		b := randoms[T](r, (depth-1)*bStride+panelWidth)
		want := randoms[T](r, (rows-1)*cStride+panelWidth)
		got := append([]T(nil), want...)
		add := r.IntN(2) == 0
		if !vector(target[T]{got, cStride, rows, panelWidth, add}, a, b, bStride, depth) {
			t.Skip("the processor has no AVX2 with FMA")
		}
		tileGo(target[T]{want, cStride, rows, panelWidth, add}, a, b, bStride, depth)
		for i := range want {
			if !near(got[i], want[i], 100*T(depth), epsilon) {
				t.Fatalf("%d rows, depth %d: element %d is %v, in Go %v", rows, depth, i, got[i], want[i])
			}
		}
	}
}

func TestVectorTilesAgreeWithGo(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testTiles(t, tileFloat32, 1e-6) })
	t.Run("float64", func(t *testing.T) { testTiles(t, tileFloat64, 1e-15) })
}

func testSums[T Float](t *testing.T, vector, plain func(a, b []T) T, epsilon T) {
	t.Helper()
	r := rand.New(rand.NewPCG(2, 2))
	for n := range 150 {
		a, b := randoms[T](r, n), randoms[T](r, n)
		if got, want := vector(a, b), plain(a, b); !near(got, want, 100*T(n), epsilon) {
			t.Errorf("of %d: %v, in Go %v", n, got, want)
		}
	}
}

func TestVectorSumsAgreeWithGo(t *testing.T) {
	t.Run("dot of float32", func(t *testing.T) { testSums(t, dotFloat32, dotGo, 1e-6) })
	t.Run("dot of float64", func(t *testing.T) { testSums(t, dotFloat64, dotGo, 1e-15) })
	t.Run("distance of float32", func(t *testing.T) { testSums(t, distanceFloat32, distanceGo, 1e-6) })
	t.Run("distance of float64", func(t *testing.T) { testSums(t, distanceFloat64, distanceGo, 1e-15) })
}

func TestTilesOutsideTheirSlicesPanic(t *testing.T) {
	if !vectors {
		t.Skip("the processor has no AVX2 with FMA")
	}
	for name, short := range map[string][3]int{"result": {31, 4, 32}, "left": {32, 3, 32}, "right": {32, 4, 31}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			a := RowMajor(make([]float32, short[1]), 2, 2)
			tileFloat32(target[float32]{make([]float32, short[0]), 16, 2, 16, false}, a, make([]float32, short[2]), 16, 2)
		})
	}
}
