package ops

import (
	"math"
	"slices"

	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// kernel returns the kernel of a reduction over elements of type d.
func (kind reduction) kernel(r *reducer, d tensor.DType) Kernel {
	switch d {
	case tensor.Float32, tensor.Half:
		return reduceFloats[float32](r, kind)
	case tensor.Float64:
		return reduceFloats[float64](r, kind)
	case tensor.Int32:
		return reduceIntegers[int32, int64](r, kind)
	case tensor.Int64:
		return reduceIntegers[int64, int64](r, kind)
	case tensor.Uint32:
		return reduceIntegers[uint32, uint64](r, kind)
	case tensor.Uint64:
		return reduceIntegers[uint64, uint64](r, kind)
	case tensor.Int8:
		return reduceIntegers[int8, int64](r, kind)
	case tensor.Uint8:
		return reduceIntegers[uint8, uint64](r, kind)
	case tensor.Bool:
		return reduceBools(r, boolFold(kind == reduceMax))
	case tensor.Int16, tensor.Uint16, tensor.String, tensor.Undefined: // not allowed by types
	}
	return nil
}

// reduceFloats makes plain sums, means and sums of squares in T and in ONNX
// Runtime's order, since what models subtract from them may be as large. The rest
// is added up in float64.
func reduceFloats[T floating](r *reducer, kind reduction) Kernel {
	sum := fold[T, T]{1, startAt[T](0), alignedLanes[T], sumRow[T, T], copied[T]}
	wide := fold[T, float64]{1, startAt(0.0), sumLanes[T, float64], sumRow[T, float64], rounded[T](math.Log)}
	switch kind {
	case reduceSum:
	case reduceMean:
		sum.done = meanOf[T, T]
	case reduceLogSum:
		return reduceAs(r, wide)
	case reduceL1:
		wide.lanes, wide.row, wide.done = magnitudeLanes[T, float64], magnitudeRow[T, float64], stored[T]
		return reduceAs(r, wide)
	case reduceSumSquare:
		sum.lanes, sum.row = squaresInOrder[T], squareRow[T, T]
	case reduceL2:
		sum.lanes, sum.row, sum.done = squaresInOrder[T], squareRow[T, T], rootOf[T]
	case reduceMax:
		return reduceAs(r, maxFold(T(math.Inf(-1))))
	case reduceMin:
		return reduceAs(r, minFold(T(math.Inf(1))))
	case reduceProd:
		return reduceAs(r, prodFold[T]())
	case reduceLogSumExp:
		return reduceAs(r, logSumExpFold(func(x float64) T { return T(x) }))
	}
	return reduceAs(r, sum)
}

// reduceIntegers adds up in T, which wraps around; W is the widest of its
// kind. What is no integer is cut off.
func reduceIntegers[T, W integer](r *reducer, kind reduction) Kernel {
	sum := fold[T, T]{1, startAt[T](0), sumLanes[T, T], sumRow[T, T], copied[T]}
	reals := fold[T, float64]{1, startAt(0.0), sumLanes[T, float64], sumRow[T, float64], cut[T](math.Log)}
	switch kind {
	case reduceSum:
	case reduceMean:
		r.refuseEmpty = true
		return reduceAs(r, fold[T, W]{1, startAt[W](0), sumLanes[T, W], sumRow[T, W], integerMean[T, W]})
	case reduceL1:
		sum.lanes, sum.row = magnitudeLanes[T, T], magnitudeRow[T, T]
	case reduceSumSquare:
		sum.lanes, sum.row = squareLanes[T, T], squareRow[T, T]
	case reduceL2:
		reals.lanes, reals.row, reals.done = squareLanes[T, float64], squareRow[T, float64], cut[T](math.Sqrt)
		return reduceAs(r, reals)
	case reduceLogSum:
		return reduceAs(r, reals)
	case reduceLogSumExp:
		return reduceAs(r, logSumExpFold(fromReal[T]))
	case reduceMax:
		least, _ := bounds[T]()
		return reduceAs(r, maxFold(least))
	case reduceMin:
		_, greatest := bounds[T]()
		return reduceAs(r, minFold(greatest))
	case reduceProd:
		return reduceAs(r, prodFold[T]())
	}
	return reduceAs(r, sum)
}

// bounds returns the least and the greatest value of T.
func bounds[T integer]() (least, greatest T) {
	ones := ^T(0)
	if ones > 0 {
		return 0, ones
	}
	greatest = 1
	for greatest<<1 > greatest {
		greatest = greatest<<1 | 1
	}
	return ^greatest, greatest
}

func identity(x float64) float64 { return x }

func startAt[A any](v A) func([]A) {
	return func(acc []A) { fillWith(acc, v) }
}

func copied[T any](dst, acc []T, _ int) { copy(dst, acc) }

func stored[T floating](dst []T, acc []float64, _ int) {
	for i, v := range acc {
		dst[i] = T(v)
	}
}

func rounded[T floating](fn func(float64) float64) func([]T, []float64, int) {
	return func(dst []T, acc []float64, _ int) {
		for i, v := range acc {
			dst[i] = T(fn(v))
		}
	}
}

func cut[T integer](fn func(float64) float64) func([]T, []float64, int) {
	return func(dst []T, acc []float64, _ int) {
		for i, v := range acc {
			dst[i] = fromReal[T](fn(v))
		}
	}
}

func meanOf[T, A floating](dst []T, acc []A, count int) {
	for i, v := range acc {
		dst[i] = T(v / A(count))
	}
}

func rootOf[T floating](dst, acc []T, _ int) {
	for i, v := range acc {
		dst[i] = T(math.Sqrt(float64(v)))
	}
}

func integerMean[T, W integer](dst []T, acc []W, count int) {
	for i, v := range acc {
		dst[i] = T(v / W(count))
	}
}

func sumLanes[T, A number](acc []A, x []T, lane, _ int) {
	for i := range acc {
		acc[i] += linalg.Sum[A](x[i*lane : (i+1)*lane])
	}
}

func alignedLanes[T floating](acc, x []T, lane, at int) {
	for i := range acc {
		acc[i] += linalg.SumAligned(x[i*lane:(i+1)*lane], at+i*lane)
	}
}

func squaresInOrder[T floating](acc, x []T, lane, _ int) { linalg.AddSquaresInOrder(acc, x, lane) }

func sumRow[T, A number](acc []A, x []T) { linalg.AddTo(acc[:len(x)], x) }

func squareLanes[T, A number](acc []A, x []T, lane, _ int) {
	for i := range acc {
		acc[i] += linalg.SumSquares[A](x[i*lane : (i+1)*lane])
	}
}

func squareRow[T, A number](acc []A, x []T) { linalg.AddSquaresTo(acc[:len(x)], x) }

func magnitudeLanes[T, A number](acc []A, x []T, lane, _ int) {
	for i := range acc {
		acc[i] += linalg.SumMagnitudes[A](x[i*lane : (i+1)*lane])
	}
}

func magnitudeRow[T, A number](acc []A, x []T) { linalg.AddMagnitudesTo(acc[:len(x)], x) }

// laneByLane returns the lanes of a fold with one accumulator for each element.
func laneByLane[T any](take func(acc T, x []T) T) func(acc, x []T, lane, _ int) {
	return func(acc, x []T, lane, _ int) {
		for i := range acc {
			acc[i] = take(acc[i], x[i*lane:(i+1)*lane])
		}
	}
}

// prodFold multiplies in T and in order, as ONNX Runtime does, so that both
// overflow alike.
func prodFold[T number]() fold[T, T] {
	return fold[T, T]{
		width: 1, start: startAt[T](1), done: copied[T],
		lanes: func(acc, x []T, lane, _ int) {
			for i, p := range acc {
				for _, v := range x[i*lane : (i+1)*lane] {
					p *= v
				}
				acc[i] = p
			}
		},
		row: func(acc, x []T) {
			acc = acc[:len(x)]
			for i, v := range x {
				acc[i] *= v
			}
		},
	}
}

// maxFold keeps the greatest, and NaN where there is one.
func maxFold[T number](least T) fold[T, T] {
	return fold[T, T]{
		width: 1, start: startAt(least), done: copied[T],
		lanes: laneByLane(linalg.Max[T]),
		row:   func(acc, x []T) { linalg.MaxTo(acc[:len(x)], x) },
	}
}

// minFold keeps the least, and NaN where there is one.
func minFold[T number](greatest T) fold[T, T] {
	return fold[T, T]{
		width: 1, start: startAt(greatest), done: copied[T],
		lanes: laneByLane(linalg.Min[T]),
		row:   func(acc, x []T) { linalg.MinTo(acc[:len(x)], x) },
	}
}

// boolFold is or for the maximum, and for the minimum.
func boolFold(maximum bool) fold[bool, bool] {
	return fold[bool, bool]{
		width: 1, start: startAt(!maximum), done: copied[bool],
		lanes: laneByLane(func(acc bool, x []bool) bool {
			if slices.Contains(x, maximum) {
				return maximum
			}
			return acc
		}),
		row: func(acc, x []bool) {
			for i, v := range x {
				if v == maximum {
					acc[i] = v
				}
			}
		},
	}
}

// logSumExpFold keeps the greatest so far and the sum of the exponentials of
// the distances to it, which cannot overflow.
func logSumExpFold[T number](round func(float64) T) fold[T, float64] {
	return fold[T, float64]{
		width: 2,
		start: func(acc []float64) {
			n := len(acc) / 2
			fillWith(acc[:n], math.Inf(-1))
			clear(acc[n:])
		},
		lanes: func(acc []float64, x []T, lane, _ int) {
			n := len(acc) / 2
			for i := range n {
				addExps(&acc[i], &acc[n+i], x[i*lane:(i+1)*lane])
			}
		},
		row: func(acc []float64, x []T) {
			n := len(x)
			for i, v := range x {
				addExp(&acc[i], &acc[n+i], float64(v))
			}
		},
		done: func(dst []T, acc []float64, _ int) {
			n := len(dst)
			for i := range dst {
				dst[i] = round(acc[i] + math.Log(acc[n+i]))
			}
		},
	}
}

// addExps adds one after the other, but for float32 the exponentials of many at
// once.
func addExps[T number](top, sum *float64, x []T) {
	single, ok := any(x).([]float32)
	const atOnce = 64
	var block [atOnce]float32
	for ok && len(single) > 0 {
		some := single[:min(len(single), atOnce)]
		greatest := linalg.Max(some[0], some)
		if e := block[:len(some)]; math.Abs(float64(greatest)) <= math.MaxFloat32 {
			for i, v := range some {
				e[i] = v - greatest
			}
			linalg.Exponentials(e)
			addSum(top, sum, float64(greatest), linalg.Sum[float64](e))
			single, x = single[len(e):], x[len(e):]
			continue
		}
		break
	}
	for _, v := range x {
		addExp(top, sum, float64(v))
	}
}

// addSum adds a sum of exponentials of distances to another top, which is finite.
func addSum(top, sum *float64, other, more float64) {
	if other > *top {
		*top, *sum, other, more = other, more, *top, *sum
	}
	if more != 0 { // also where it is NaN
		*sum += more * math.Exp(other-*top)
	}
}

func addExp(top, sum *float64, v float64) {
	switch {
	case v == *top: // also where both are infinite
		*sum++
	case v > *top:
		*sum = *sum*math.Exp(*top-v) + 1
		*top = v
	default: // NaN makes the sum NaN
		*sum += math.Exp(v - *top)
	}
}
