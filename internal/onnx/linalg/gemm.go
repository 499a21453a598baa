package linalg

import (
	"context"
	"math"
)

// fewRows is up to how many rows of A it does not pay to pack B.
const fewRows = 4

// way is how a product is computed.
type way uint8

const (
	byPanels way = iota
	byLanes
	inOrder
	byRows
)

// wayOf returns the way that suits the extents and strides. One column of float32
// is added in lanes, as ONNX Runtime does; see columnInLanes.
func wayOf[T Number](a, b Matrix[T]) way {
	few := a.Rows <= fewRows
	if a.ColStride == 1 && b.vector() {
		switch any(a.Data).(type) {
		case []float32:
			return byLanes
		case []float64:
			return inOrder
		}
	}
	if few && b.ColStride == 1 {
		return byRows
	}
	return byPanels
}

// depthAtOnce returns of how many products a sum is made before it is added to the
// sum of those before. It is how ONNX Runtime divides the rows of a B that it has
// not packed.
func depthAtOnce[T Number](a Matrix[T], depth, cols int) int {
	const most, least = 128, 16
	wide, at := most, blockDepth/2
	if _, double := any(a.Data).([]float64); double {
		wide /= 2
	}
	for cols < depth && a.ColStride == 1 && wide > least && wide/2 >= cols {
		wide, at = wide/2, 2*at
	}
	return at
}

// PackLen returns the length of the scratch slice that Gemm needs for a and b.
func PackLen[T Number](a, b Matrix[T]) int {
	if wayOf(a, b) == byPanels {
		return PanelLen(b.Rows, b.Cols)
	}
	return 0
}

// Gemm sets dst, row-major, to the product of a and b. pack is scratch memory
// of PackLen(a, b) elements. It fails with ctx.
func Gemm[T Number](ctx context.Context, dst []T, a, b Matrix[T], pack []T) error {
	switch {
	case len(dst) == 0:
		return nil
	case b.Rows == 0:
		clear(dst)
		return nil
	}
	depth := depthAtOnce(a, b.Rows, b.Cols)
	switch wayOf(a, b) {
	case byLanes:
		x, _ := any(a.Data).([]float32)
		y, _ := any(b.Data[:b.Rows]).([]float32)
		to, _ := any(dst).([]float32)
		return columnInLanes(ctx, to, Matrix[float32]{x, a.Rows, a.Cols, a.RowStride, 1}, y)
	case inOrder:
		x, _ := any(a.Data).([]float64)
		y, _ := any(b.Data[:b.Rows]).([]float64)
		to, _ := any(dst).([]float64)
		return columnInOrder(ctx, to, Matrix[float64]{x, a.Rows, a.Cols, a.RowStride, 1}, y, depth)
	case byRows:
		return direct(ctx, dst, a, b, depth)
	case byPanels:
	}
	return multiplyPanels(ctx, dst, a, Pack(pack, b), depth)
}

// direct reads b, whose rows are of adjacent elements, as it is.
func direct[T Number](ctx context.Context, dst []T, a, b Matrix[T], atOnce int) error {
	var w Work
	whole := b.Cols &^ (panelWidth - 1)
	for k := 0; k < b.Rows; k += atOnce {
		depth := min(atOnce, b.Rows-k)
		for j := 0; j < whole; j += panelWidth {
			if err := w.add(ctx, depth*a.Rows*panelWidth); err != nil {
				return err
			}
			tile(target[T]{dst[j:], b.Cols, a.Rows, panelWidth, k > 0},
				a.from(0, k), b.Data[k*b.RowStride+j:], b.RowStride, depth)
		}
		if whole == b.Cols {
			continue
		}
		var edge [tileRows * panelWidth]T // the columns that are left, in rows of 16
		for i := range a.Rows {
			if err := w.add(ctx, depth*panelWidth); err != nil {
				return err
			}
			sums := edge[i*panelWidth:][:b.Cols-whole]
			for d := range depth {
				addProducts(sums, a.Data[i*a.RowStride+(k+d)*a.ColStride], b.Data[(k+d)*b.RowStride+whole:])
			}
			put(dst[i*b.Cols+whole:], sums, k > 0)
		}
	}
	return nil
}

// addProducts adds to each of sums the product of x and its own of y; of floats
// both are rounded once.
func addProducts[T Number](sums []T, x T, y []T) {
	y = y[:len(sums)]
	switch s := any(sums).(type) {
	case []float32:
		z, _ := any(y).([]float32)
		for i, v := range z {
			s[i] = float32(float64(x)*float64(v) + float64(s[i]))
		}
	case []float64:
		z, _ := any(y).([]float64)
		for i, v := range z {
			s[i] = math.FMA(float64(x), v, s[i])
		}
	default:
		for i, v := range y {
			sums[i] += x * v
		}
	}
}
