package linalg_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"onnxgate/internal/onnx/linalg"
)

// product is the definition.
func product[T linalg.Number](a, b linalg.Matrix[T]) []T {
	dst := make([]T, a.Rows*b.Cols)
	for i := range a.Rows {
		for j := range b.Cols {
			for k := range a.Cols {
				dst[i*b.Cols+j] += a.Data[i*a.RowStride+k*a.ColStride] * b.Data[k*b.RowStride+j*b.ColStride]
			}
		}
	}
	return dst
}

func random[T linalg.Number](r *rand.Rand, n int) []T {
	data := make([]T, n)
	for i := range data {
		data[i] = T(r.IntN(17)) - 8 // sums of these are exact, whatever the order
	}
	return data
}

// matrix makes a matrix, stored by columns when transposed.
func matrix[T linalg.Number](r *rand.Rand, rows, cols int, transposed bool) linalg.Matrix[T] {
	data := random[T](r, rows*cols)
	if transposed {
		return linalg.RowMajor(data, cols, rows).T()
	}
	return linalg.RowMajor(data, rows, cols)
}

var extents = [][3]int{
	{0, 3, 2},
	{2, 0, 3},
	{2, 3, 0},
	{1, 1, 1},
	{1, 4, 3},
	{1, 300, 1},
	{1, 300, 40},
	{2, 7, 16},
	{3, 5, 17},
	{4, 16, 33},
	{5, 20, 1},
	{5, 20, 15},
	{6, 257, 16},
	{7, 600, 31},
	{130, 300, 50},
	{129, 3, 16},
}

func testGemm[T linalg.Number](t *testing.T) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for _, e := range extents {
		for form := range 4 {
			a, b := matrix[T](r, e[0], e[1], form&1 == 1), matrix[T](r, e[1], e[2], form&2 == 2)
			want := product(a, b)
			name := fmt.Sprint(e, " form ", form)
			got := random[T](r, len(want))
			if err := linalg.Gemm(t.Context(), got, a, b, random[T](r, linalg.PackLen(a, b))); err != nil {
				t.Fatal(err)
			}
			compare(t, name, got, want)
			got = random[T](r, len(want))
			packed := linalg.Pack(random[T](r, linalg.PanelLen(e[1], e[2])), b)
			if err := linalg.GemmPacked(t.Context(), got, a, packed); err != nil {
				t.Fatal(err)
			}
			compare(t, name+" packed", got, want)
		}
	}
}

func compare[T linalg.Number](t *testing.T, name string, got, want []T) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func TestGemmIsTheProduct(t *testing.T) {
	t.Run("float32", testGemm[float32])
	t.Run("float64", testGemm[float64])
	t.Run("int32", testGemm[int32])
	t.Run("uint64", testGemm[uint64])
}

func testDistances[T linalg.Float](t *testing.T) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		a, b := random[T](r, n), random[T](r, n)
		var distance T
		for i := range a {
			distance += (a[i] - b[i]) * (a[i] - b[i])
		}
		if got := linalg.SquaredDistance(a, b); got != distance {
			t.Errorf("SquaredDistance of %d is %v, want %v", n, got, distance)
		}
	}
}

func TestSquaredDistancesOfEveryLength(t *testing.T) {
	t.Run("float32", testDistances[float32])
	t.Run("float64", testDistances[float64])
}

func TestNotANumberSpreads(t *testing.T) {
	a := linalg.RowMajor([]float32{1, float32(math.NaN()), 0, 1}, 2, 2)
	b := linalg.RowMajor([]float32{0, 1, 0, float32(math.Inf(1))}, 2, 2)
	dst := make([]float32, 4)
	if err := linalg.Gemm(t.Context(), dst, a, b, nil); err != nil {
		t.Fatal(err)
	}
	for i, nan := range []bool{true, true, false, false} {
		if math.IsNaN(float64(dst[i])) != nan {
			t.Errorf("element %d is %v", i, dst[i])
		}
	}
}

func TestGemmEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, e := range [][3]int{{200, 300, 200}, {2, 3000, 2000}, {100, 100_000, 1}} {
		a, b := matrix[float32](r, e[0], e[1], false), matrix[float32](r, e[1], e[2], false)
		err := linalg.Gemm(ctx, make([]float32, e[0]*e[2]), a, b, make([]float32, linalg.PackLen(a, b)))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	ctx := t.Context()
	for _, e := range [][3]int{{1, 30, 3}, {1, 30, 20}, {1, 30, 1}, {50, 30, 20}} {
		a, b := matrix[float32](r, e[0], e[1], false), matrix[float32](r, e[1], e[2], false)
		dst, pack := make([]float32, e[0]*e[2]), make([]float32, linalg.PackLen(a, b))
		packed := linalg.Pack(make([]float32, linalg.PanelLen(e[1], e[2])), b)
		if got := testing.AllocsPerRun(100, func() {
			if err := errors.Join(linalg.Gemm(ctx, dst, a, b, pack), linalg.GemmPacked(ctx, dst, a, packed)); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%v: %v allocations", e, got)
		}
	}
}

func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, e := range [][3]int{{1, 30, 3}, {1, 100, 100}, {1, 1000, 1000}, {64, 100, 100}, {1000, 100, 100}, {512, 512, 512}, {1000, 50, 1}} {
		b.Run(fmt.Sprintf("%dx%dx%d", e[0], e[1], e[2]), func(b *testing.B) {
			x, y := matrix[float32](r, e[0], e[1], false), matrix[float32](r, e[1], e[2], false)
			dst := make([]float32, e[0]*e[2])
			packed := linalg.Pack(make([]float32, linalg.PanelLen(e[1], e[2])), y)
			for b.Loop() {
				if err := linalg.GemmPacked(b.Context(), dst, x, packed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2*float64(e[0]*e[1]*e[2])*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
		})
	}
}
