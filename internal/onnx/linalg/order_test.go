package linalg

import (
	"math"
	"slices"
	"testing"
)

// quotients are numbers whose sums depend on the order.
func quotients[T Float](n, from int) []T {
	data := make([]T, n)
	for i := range data {
		data[i] = T((i*7919+from*104729)%1009-504) / 37
	}
	return data
}

func singles(bits ...uint32) []float32 {
	out := make([]float32, len(bits))
	for i, b := range bits {
		out[i] = math.Float32frombits(b)
	}
	return out
}

func doubles(bits ...uint64) []float64 {
	out := make([]float64, len(bits))
	for i, b := range bits {
		out[i] = math.Float64frombits(b)
	}
	return out
}

// checkProducts compares the products of seven rows of 300 with a column, and of
// three of them with three columns, with ONNX Runtime's.
func checkProducts[T Float](t *testing.T, vector, column, constant, matrix, packed []T) {
	t.Helper()
	if !vectorUnit {
		t.Skip("products are fused with sums by vector instructions")
	}
	a, b := RowMajor(quotients[T](7*300, 1), 7, 300), RowMajor(quotients[T](300, 2), 300, 1)
	three, c := RowMajor(a.Data[:3*300], 3, 300), RowMajor(quotients[T](300*3, 3), 300, 3)
	run := func(name string, want []T, of func(dst []T) error) {
		got := make([]T, len(want))
		if err := of(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	run("a vector", vector, func(dst []T) error { return Vector(t.Context(), dst, a, b.Data, nil) })
	run("a column", column, func(dst []T) error { return Gemm(t.Context(), dst, a, b, nil) })
	run("a constant column", constant, func(dst []T) error { return GemmColumn(t.Context(), dst, a, b, nil) })
	run("a matrix", matrix, func(dst []T) error {
		return Gemm(t.Context(), dst, three, c, make([]T, PackLen(three, c)))
	})
	run("a constant matrix", packed, func(dst []T) error {
		return GemmPacked(t.Context(), dst, three, Pack(make([]T, PanelLen(300, 3)), c))
	})
}

// The values are those of ONNX Runtime 1.31.
func TestProductsAreMadeInONNXRuntimesOrder(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		checkProducts(t,
			singles(0x43c41cfc, 0xc583f877, 0xc3e9ebe7, 0xc54a4dad, 0xc4e9fb01, 0xc506d0d4, 0xc52f074f),
			singles(0x43c41cfa, 0xc583f876, 0xc3e9ebe5, 0xc54a4db3, 0xc4e9fb00, 0xc506d0d2, 0xc52f0750),
			singles(0x43c41cfe, 0xc583f874, 0xc3e9ebe4, 0xc54a4db2, 0xc4e9fb00, 0xc506d0d2, 0xc52f0751),
			singles(0x45bf70a9, 0x44687130, 0xc4d2c61f, 0xc5442ec5, 0xc4d0264b, 0x4461633d, 0x4592cbcc, 0xc1d51a2c, 0xc507a64d),
			singles(0x45bf70a9, 0x4468712f, 0xc4d2c61c, 0xc5442ec3, 0xc4d0264c, 0x44616341, 0x4592cbce, 0xc1d51a30, 0xc507a64e),
		)
	})
	t.Run("float64", func(t *testing.T) {
		column := doubles(0x4078839f825664a4, 0xc0b07f0ec5d7fb84, 0xc07d3d7cba3ff400, 0xc0a949b652a72d10,
			0xc09d3f5fee0c5780, 0xc0a0da1a2e005fbc, 0xc0a5e0ea1f0aa8a9)
		matrix := doubles(0x40b7ee15b11640b8, 0x408d0e25c607da96, 0xc09a58c339c8464f, 0xc0a885d8baff7062, 0xc09a04c9f52774dc,
			0x408c2c67f885247a, 0x40b25979ec2da0a3, 0xc03aa33fc42923ac, 0xc0a0f4c9f52774e2)
		checkProducts(t, column, column, column, matrix, matrix)
	})
}

// checkAcross compares products of a matrix with one that has more columns than rows
// with ONNX Runtime's.
func checkAcross[T Float](t *testing.T, want []T) {
	t.Helper()
	if !vectorUnit {
		t.Skip("products are fused with sums by vector instructions")
	}
	const rows, depth, cols = 3, 140, 150
	a, b := RowMajor(quotients[T](rows*depth, 1), rows, depth), RowMajor(quotients[T](depth*cols, 3), depth, cols)
	dst, got := make([]T, rows*cols), []T{}
	if err := Gemm(t.Context(), dst, a, b, make([]T, PackLen(a, b))); err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		got = append(got, dst[r*cols], dst[r*cols+cols/2], dst[r*cols+cols-1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The values are those of ONNX Runtime 1.31.
func TestProductsOfManyColumnsAreMadeInONNXRuntimesOrder(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		checkAcross(t, singles(0x43537124, 0xc38814f1, 0x41cda3c8, 0x42956468, 0xc40b3199, 0x42a0fc10, 0x422a6fce, 0x40de14c0, 0x436ff04f))
	})
	t.Run("float64", func(t *testing.T) {
		checkAcross(t, doubles(0x406a6e24470f2598, 0xc071029e333cc638, 0x4039b473f04acce0, 0x4052ac8d5eced1c8, 0xc08166333cc637be,
			0x40541f8256649add, 0x40454dfa63db5920, 0x401bc2aa2b026e40, 0x406dfe0959926b4a))
	})
}

func checkSums[T Float](t *testing.T, sums, squares []T) {
	t.Helper()
	const rows, lane = 5, 27
	x := quotients[T](rows*lane, 4)
	for i := range rows {
		if got := SumAligned(x[i*lane:][:lane], i*lane); got != sums[i] {
			t.Errorf("sum of row %d: %v, want %v", i, got, sums[i])
		}
	}
	got := make([]T, rows)
	AddSquaresInOrder(got, x, lane)
	if !slices.Equal(got, squares) {
		t.Errorf("squares: %v, want %v", got, squares)
	}
}

func TestSumsAreMadeInONNXRuntimesOrder(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		checkSums(t, singles(0x4067c89a, 0xc1329836, 0x3fa98370, 0x415cf912, 0xbf7914d0),
			singles(0x44d251f4, 0x44d314f7, 0x44da4b01, 0x44d7472d, 0x44d32864))
	})
	t.Run("float64", func(t *testing.T) {
		checkSums(t, doubles(0x400cf914c1bacf9a, 0xc0265306eb3e4535, 0x3ff5306eb3e45318, 0x402b9f22983759ee, 0xbfef22983759f1e0),
			doubles(0x409a4a3e750f8554, 0x409a629ef2b920ba, 0x409b49604dca84c4, 0x409ae8e5a22089a1, 0x409a650c8762ebfc))
	})
}

// Sums of every length and place are the sums of their elements.
func TestAlignedSumsOfEveryLength(t *testing.T) {
	for n := range 40 {
		for at := range 5 {
			x, want := make([]float32, n), float32(0)
			for i := range x {
				x[i] = float32(i*i - 50*at) // sums of these are exact
				want += x[i]
			}
			y := make([]float64, n)
			for i, v := range x {
				y[i] = float64(v)
			}
			if got, double := SumAligned(x, at), SumAligned(y, at); got != want || double != float64(want) {
				t.Errorf("%d from %d on: %v and %v, want %v", n, at, got, double, want)
			}
		}
	}
}

// Whole powers are those of the polynomial kernel of ONNX Runtime 1.31.
func TestWholePowersAreRoundedAsONNXRuntimeDoes(t *testing.T) {
	for degree, want := range map[float32][]float32{
		3: singles(0x45079b55, 0x442aff27, 0x42cc7051, 0x3e21ba52),
		4: singles(0x46db71d9, 0x45bc53d3, 0x43eef8e9, 0x3daed744),
		5: singles(0x48b18eb6, 0x474f6a29, 0x450bab6d, 0x3d3d0465),
		6: singles(0x4a8faa63, 0x48e46fbc, 0x46234332, 0x3ccc57c6),
		7: singles(0x4c687c60, 0x4a7b96bd, 0x473ed732, 0x3c5ce944),
	} {
		got := quotients[float32](4, 5)
		if raise(got, degree); !slices.Equal(got, want) {
			t.Errorf("to %v: %v, want %v", degree, got, want)
		}
	}
}
