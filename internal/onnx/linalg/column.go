package linalg

import (
	"context"
	"math"
)

// Vector sets dst to the products of the rows of a, whose elements are adjacent,
// with a vector. pack is as in Gemm. It fails with ctx.
func Vector[T Number](ctx context.Context, dst []T, a Matrix[T], vector, pack []T) error {
	if x, ok := any(a.Data).([]float32); ok {
		y, _ := any(vector).([]float32)
		to, _ := any(dst).([]float32)
		return vectorByFours(ctx, to, Matrix[float32]{x, a.Rows, a.Cols, a.RowStride, 1}, y)
	}
	return Gemm(ctx, dst, a, RowMajor(vector, len(vector), 1), pack)
}

// GemmColumn is Gemm for a constant column, of which pack is scratch memory too.
func GemmColumn[T Number](ctx context.Context, dst []T, a, b Matrix[T], pack []T) error {
	if x, ok := any(a.Data).([]float32); ok && wayOf(a, b) == byLanes {
		y, _ := any(b.Data[:b.Rows]).([]float32)
		to, _ := any(dst).([]float32)
		return columnInOrder(ctx, to, Matrix[float32]{x, a.Rows, a.Cols, a.RowStride, 1}, y, blockDepth)
	}
	return Gemm(ctx, dst, a, b, pack)
}

// columnInOrder is Gemm for one column of adjacent elements. It makes each sum of
// atOnce products at a time, in their order.
func columnInOrder[T Float](ctx context.Context, dst []T, a Matrix[T], column []T, atOnce int) error {
	var w Work
	dst = dst[:a.Rows]
	if len(column) == 0 {
		clear(dst)
	}
	for k := 0; k < len(column); k += atOnce {
		some, rows := column[k:min(k+atOnce, len(column))], a.from(0, k)
		for i := 0; i < len(dst); {
			if err := w.add(ctx, lanes*len(some)); err != nil {
				return err
			}
			i += columnOfRows(dst[i:], rows.from(i, 0), some, k > 0)
		}
	}
	return nil
}

// columnOfRows sets, or adds to, the first of dst the products of as many rows of a
// with the column, and returns how many they are.
func columnOfRows[T Float](dst []T, a Matrix[T], column []T, add bool) int {
	var sums [lanes]T
	n := min(len(dst), lanes)
	switch x := any(a.Data).(type) {
	case []float32:
		y, _ := any(column).([]float32)
		s, _ := any(&sums).(*[lanes]float32)
		if n == lanes {
			productsEight(s, y, x, a.RowStride)
			break
		}
		for i := range n {
			s[i] = product(0, x[i*a.RowStride:][:len(y)], y)
		}
	case []float64:
		y, _ := any(column).([]float64)
		s, _ := any(&sums).(*[lanes]float64)
		n = doublesInOrder(s, x, a.RowStride, y, n)
	}
	put(dst, sums[:n], add)
	return n
}

// doublesInOrder sets the first of sums to the products of as many rows of x, a
// stride apart, with y, and returns how many they are: up to n. Four rows are taken
// side by side.
func doublesInOrder(sums *[lanes]float64, x []float64, stride int, y []float64, n int) int {
	if n < 4 {
		for k, v := range x[:len(y)] {
			sums[0] = math.FMA(v, y[k], sums[0])
		}
		return 1
	}
	p, q, r, s := x[:len(y)], x[stride:][:len(y)], x[2*stride:][:len(y)], x[3*stride:][:len(y)]
	var t, u, v, w float64
	for k, z := range y {
		t, u = math.FMA(p[k], z, t), math.FMA(q[k], z, u)
		v, w = math.FMA(r[k], z, v), math.FMA(s[k], z, w)
	}
	sums[0], sums[1], sums[2], sums[3] = t, u, v, w
	return 4
}

// columnInLanes is Gemm of float32 for one column that is not constant. As ONNX
// Runtime does, it adds the products in eight lanes, each rounded before, and the
// lanes in an order that depends on where the row stands; of one row alone it adds
// the products by fours.
func columnInLanes(ctx context.Context, dst []float32, a Matrix[float32], y []float32) error {
	if a.Rows == 1 {
		return vectorByFours(ctx, dst, a, y)
	}
	var w Work
	whole := a.Rows &^ 3
	for i := range dst[:a.Rows] {
		sums, row := block{}, a.Data[i*a.RowStride:][:len(y)]
		for k := 0; k < len(y); k += workAtOnce {
			n := min(workAtOnce, len(y)-k)
			if err := w.add(ctx, n); err != nil {
				return err
			}
			addInLanes(&sums, row[k:k+n], y[k:k+n])
		}
		switch {
		case i < whole:
			dst[i] = (sums[0] + sums[1] + sums[2] + sums[3]) + (sums[4] + sums[5] + sums[6] + sums[7])
		case i < a.Rows&^1:
			dst[i] = ((sums[0] + sums[2]) + (sums[4] + sums[6])) + ((sums[1] + sums[3]) + (sums[5] + sums[7]))
		default:
			dst[i] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
		}
	}
	return nil
}

// vectorByFours is Gemm of float32 for a vector. ONNX Runtime takes it row by row,
// each as columnInLanes does one row alone.
func vectorByFours(ctx context.Context, dst []float32, a Matrix[float32], y []float32) error {
	var w Work
	for i := range dst[:a.Rows] {
		sum := float32(0)
		for k := 0; k < len(y); k += workAtOnce {
			n := min(workAtOnce, len(y)-k)
			if err := w.add(ctx, n); err != nil {
				return err
			}
			sum = addByFours(sum, a.Data[i*a.RowStride+k:][:n], y[k:k+n])
		}
		dst[i] = sum
	}
	return nil
}

// addByFours adds the products of x and y to sum: four at a time that were added
// before, then two, then one.
func addByFours(sum float32, x, y []float32) float32 {
	for len(x) >= 4 && len(y) >= 4 {
		sum += float32(x[0]*y[0]) + float32(x[1]*y[1]) + float32(x[2]*y[2]) + float32(x[3]*y[3])
		x, y = x[4:], y[4:]
	}
	if len(x) >= 2 && len(y) >= 2 {
		sum += float32(x[0]*y[0]) + float32(x[1]*y[1])
		x, y = x[2:], y[2:]
	}
	if len(x) > 0 && len(y) > 0 {
		sum += float32(x[0] * y[0])
	}
	return sum
}

func addInLanesGo(sums *block, x, y []float32) {
	for len(x) >= lanes && len(y) >= lanes {
		p, q := (*block)(x), (*block)(y)
		for i := range sums {
			sums[i] += float32(p[i] * q[i])
		}
		x, y = x[lanes:], y[lanes:]
	}
	for i, v := range x {
		sums[i%lanes] += float32(v * y[i])
	}
}
