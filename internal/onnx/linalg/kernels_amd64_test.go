//go:build !purego

package linalg

import (
	"math"
	"math/rand/v2"
	"slices"
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
		rows, depth := 1+r.IntN(3*tileRows), 1+r.IntN(40)
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
	t.Run("distance of float32", func(t *testing.T) { testSums(t, distanceFloat32, distanceGo, 1e-6) })
	t.Run("distance of float64", func(t *testing.T) { testSums(t, distanceFloat64, distanceGo, 1e-15) })
}

func TestTilesOutsideTheirSlicesPanic(t *testing.T) {
	if !vectorUnit {
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

// Where the order of a sum is given, the vector instructions keep to it.
func TestVectorLanesGiveTheBitsOfGo(t *testing.T) {
	if !vectorUnit {
		t.Skip("the processor has no AVX2 with FMA")
	}
	for features := 1; features < 20; features++ {
		for n := 1; n < 11; n++ {
			x, blocks := numbers(features), make([]block, n*features)
			for i, v := range numbers(n * features * lanes) {
				blocks[i/lanes][i%lanes] = v * 1.1
			}
			x[features/2] = float32(math.Inf(1 - 2*(n%2)))
			if n%3 == 0 {
				x[0] = 1e30
			}
			a, b := make([]float32, 2*n*lanes), make([]float32, 2*n*lanes)
			distancesGo(a[:n*lanes], x, blocks)
			distances(b[:n*lanes], x, blocks)
			productsGo(a[n*lanes:], x, blocks)
			products(b[n*lanes:], x, blocks)
			if !slices.Equal(bits(a), bits(b)) {
				t.Fatalf("%d features, %d blocks: %v, want %v", features, n, b, a)
			}
			scaleGo(a[:lanes+n], 1.7, -0.3)
			scale(b[:lanes+n], 1.7, -0.3)
			if !slices.Equal(bits(a), bits(b)) {
				t.Fatalf("%d scaled: %v, want %v", lanes+n, b, a)
			}
		}
	}
}

func TestEightRowsGiveTheBitsOfGo(t *testing.T) {
	for features := 1; features < 20; features++ {
		x, blocks := numbers(lanes*features), make([]block, features)
		for i, v := range numbers(lanes * features) {
			blocks[i/lanes][i%lanes] = v * 1.1
		}
		x[features] = float32(math.Inf(1))
		width := lanes + features%3
		a, b := numbers(2*lanes*width), numbers(2*lanes*width)
		eightGo(addSquares, a, width, x, features, blocks)
		eightDistances(b, width, x, features, blocks)
		eightGo(addProducts[float32], a[lanes*width:], width, x, features, blocks)
		eightProducts(b[lanes*width:], width, x, features, blocks)
		if !slices.Equal(bits(a), bits(b)) {
			t.Errorf("%d features: %v, want %v", features, b, a)
		}
	}
}

func bits(v []float32) []uint32 {
	out := make([]uint32, len(v))
	for i, f := range v {
		if f != f {
			continue // any NaN is as good as another
		}
		out[i] = math.Float32bits(f)
	}
	return out
}

// They fuse products and sums where Go does not, which can show in the last bit.
func TestVectorExponentialsAreThoseOfMath(t *testing.T) {
	if !vectorUnit {
		t.Skip("the processor has no AVX2 with FMA")
	}
	v := make([]float32, 2*lanes)
	for x := -120.0; x < 110; {
		for i := range v {
			x += 0.00037
			v[i] = float32(-2 * x)
		}
		arguments := slices.Clone(v)
		exponentials(v, -0.5)
		for i, a := range arguments {
			nearest(t, "exp", float64(a)/-2, v[i], math.Exp(float64(a)/-2))
		}
	}
	inf := float32(math.Inf(1))
	v = []float32{float32(math.NaN()), inf, -inf, 0, 1e30, -1e30, 1, 0}
	exponentials(v, 1)
	if v[0] == v[0] || !slices.Equal(v[1:], []float32{inf, 0, 1, inf, 0, math.E, 1}) {
		t.Errorf("%v", v)
	}
}

func TestVectorPowersGiveTheBitsOfGo(t *testing.T) {
	for degree := 1; degree <= 64; degree++ {
		got := append([]float32{float32(math.NaN()), float32(math.Inf(-1)), 1e30, 0}, numbers(2*lanes)...)
		want := slices.Clone(got)
		wholePowers(got, degree)
		wholePowersGo(want, degree)
		if !slices.Equal(bits(got), bits(want)) {
			t.Errorf("to the %d: %v, want %v", degree, got, want)
		}
	}
}
