package linalg

import "context"

// fewRows is up to how many rows of A it does not pay to pack B.
const fewRows = 4

// way is how a product is computed.
type way uint8

const (
	byPanels way = iota
	byDots
	byRows
)

// wayOf returns the way that suits the extents and strides.
func wayOf[T Number](a, b Matrix[T]) way {
	few := a.Rows <= fewRows
	switch {
	case a.ColStride == 1 && b.vector():
		return byDots
	case few && b.ColStride == 1:
		return byRows
	case few && a.ColStride == 1 && b.RowStride == 1:
		return byDots
	}
	return byPanels
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
	switch wayOf(a, b) {
	case byDots:
		return dots(ctx, dst, a, b)
	case byRows:
		return direct(ctx, dst, a, b)
	case byPanels:
	}
	return GemmPacked(ctx, dst, a, Pack(pack, b))
}

// dots computes row by column, both of adjacent elements.
func dots[T Number](ctx context.Context, dst []T, a, b Matrix[T]) error {
	var w Work
	for i := range a.Rows {
		row := a.Data[i*a.RowStride:][:a.Cols]
		for j := range b.Cols {
			x, y, sum := row, b.Data[j*b.ColStride:][:b.Rows], T(0)
			for len(x) > workAtOnce { // a dot product does not look at ctx
				if err := w.add(ctx, workAtOnce); err != nil {
					return err
				}
				sum += dot(x[:workAtOnce], y[:workAtOnce])
				x, y = x[workAtOnce:], y[workAtOnce:]
			}
			if err := w.add(ctx, len(x)); err != nil {
				return err
			}
			dst[i*b.Cols+j] = sum + dot(x, y)
		}
	}
	return nil
}

// direct reads b, whose rows are of adjacent elements, as it is.
func direct[T Number](ctx context.Context, dst []T, a, b Matrix[T]) error {
	var w Work
	whole := b.Cols &^ (panelWidth - 1)
	for j := 0; j < whole; j += panelWidth {
		for k := 0; k < b.Rows; k += blockDepth {
			depth := min(blockDepth, b.Rows-k)
			if err := w.add(ctx, depth*a.Rows*panelWidth); err != nil {
				return err
			}
			tile(target[T]{dst[j:], b.Cols, a.Rows, panelWidth, k > 0},
				a.from(0, k), b.Data[k*b.RowStride+j:], b.RowStride, depth)
		}
	}
	for i := range a.Rows {
		for j := whole; j < b.Cols; j++ {
			if err := w.add(ctx, b.Rows); err != nil {
				return err
			}
			var sum T
			for k := range b.Rows {
				sum += a.Data[i*a.RowStride+k*a.ColStride] * b.Data[k*b.RowStride+j]
			}
			dst[i*b.Cols+j] = sum
		}
	}
	return nil
}
