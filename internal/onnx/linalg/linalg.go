// Package linalg multiplies and compares dense matrices and vectors: what the
// operators that are made of dot products have in common. It knows no tensors
// and no attributes; extents that do not fit the slices are the caller's
// mistake, and panic.
//
// Which operator uses what, and how it adds up:
//
//	Gemm, MatMul, Einsum   Gemm, GemmPacked,  in order, products fused with sums, so many
//	                       GemmColumn         at a time; float32 by Vector or a column that
//	                       Vector             varies: in lanes or by fours, rounded first
//	CDist                  SquaredDistance    in any order; of vectors that a model holds, Vectors
//	Scan over neighbours   Differences        as ReduceSumSquare and ReduceSum add them
//	LinearRegressor        Vectors (Linear)   feature by feature, products fused with sums, so many
//	                                          at a time, to the intercept
//	LinearClassifier       Vectors (Linear)   likewise
//	SVMRegressor           Vectors, WeighRows likewise; squared differences are rounded first
//	SVMClassifier          Vectors            likewise
//	                       WeighParts         products rounded to float32, added in float64
//	ReduceSum, ReduceMean  SumAligned, AddTo  by vectors of 16 bytes; of columns in order
//	ReduceSumSquare,
//	ReduceL2               AddSquaresInOrder, AddSquaresTo
//	ReduceLogSum, ReduceL1 Sum, SumMagnitudes, AddTo, AddMagnitudesTo
//	                                          in any order, float32 in float64
//	ReduceMax, ReduceMin   Max, MaxTo, Min, MinTo
//
// The orders and roundings of the models are ONNX Runtime's on x86: where large
// numbers cancel out, no others would agree with it.
//
// Each kernel is computed by AVX2 and FMA where the processor has them
// (kernels_amd64.s, written by the program in gen), and by its twin in Go
// otherwise. Sums in a given order and operations on two elements have the same bits
// either way; other sums, and what is made of exponentials, may differ in rounding.
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

// Work counts multiplications between two looks at a context. It starts at 0.
type Work int

// workAtOnce is how many multiplications pass without a look at the context.
const workAtOnce = 1 << 20

func (w *Work) add(ctx context.Context, n int) error {
	if *w += Work(n); *w < workAtOnce {
		return nil
	}
	*w = 0
	return ctx.Err()
}
