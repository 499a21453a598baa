// Package linalg multiplies dense matrices and vectors: what the operators
// that are made of dot products have in common. It knows no tensors and takes
// no memory of its own; extents that do not fit the slices are the caller's
// mistake, and panic.
//
// Products of float32 and float64 are computed by AVX2 and FMA where the
// processor has them (kernels_amd64.s, written by the program in gen), and by
// Go otherwise; the two differ in rounding alone.
package linalg

import "context"

// Float is the element types with vector kernels.
type Float interface{ float32 | float64 }

// Number is the element types of matrices. Integers wrap around.
type Number interface {
	Float | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// Matrix is a view of a slice: element (i, j) is Data[i*RowStride+j*ColStride].
type Matrix[T Number] struct {
	Data                 []T
	Rows, Cols           int
	RowStride, ColStride int
}

// RowMajor returns the view of rows behind each other.
func RowMajor[T Number](data []T, rows, cols int) Matrix[T] {
	return Matrix[T]{data, rows, cols, cols, 1}
}

// T returns the view of the transposed matrix.
func (m Matrix[T]) T() Matrix[T] {
	return Matrix[T]{m.Data, m.Cols, m.Rows, m.ColStride, m.RowStride}
}

// vector reports whether the matrix is a column whose elements are adjacent.
func (m Matrix[T]) vector() bool { return m.Cols == 1 && (m.RowStride == 1 || m.Rows <= 1) }

const (
	// fewRows is up to how many rows of A it does not pay to pack B.
	fewRows = 4
	// Narrow is below how many columns of B it never does, when its columns
	// are of adjacent elements.
	Narrow = 8
)

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
	case a.ColStride == 1 && b.RowStride == 1 && (few || b.Cols < Narrow):
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

// work counts multiplications between two looks at a context.
type work int

const workAtOnce = 1 << 20

func (w *work) add(ctx context.Context, n int) error {
	if *w += work(n); *w < workAtOnce {
		return nil
	}
	*w = 0
	return ctx.Err()
}

// dots computes row by column, both of adjacent elements.
func dots[T Number](ctx context.Context, dst []T, a, b Matrix[T]) error {
	var w work
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
	var w work
	whole := b.Cols &^ (panelWidth - 1)
	for j := 0; j < whole; j += panelWidth {
		for k := 0; k < b.Rows; k += blockDepth {
			depth := min(blockDepth, b.Rows-k)
			if err := w.add(ctx, depth*a.Rows*panelWidth); err != nil {
				return err
			}
			for i := 0; i < a.Rows; i += tileRows {
				tile(target[T]{dst[i*b.Cols+j:], b.Cols, min(tileRows, a.Rows-i), panelWidth, k > 0},
					a.from(i, k), b.Data[k*b.RowStride+j:], b.RowStride, depth)
			}
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
