//go:build !purego

package linalg

// The functions below do nothing, and return 0, where there is no vectorUnit;
// else they return how many elements of x they took. The rest is the caller's.

// sumLane adds x up in the accumulators.
func sumLane(acc *[wide / 2]float64, x []float32) int {
	n := len(x) / len(acc)
	if !vectorUnit || n == 0 {
		return 0
	}
	sumLaneSingle(&acc[0], &x[0], n)
	return n * len(acc)
}

// sumRow is sumLane with an accumulator for each element.
func sumRow(acc []float64, x []float32) int {
	n := len(x) / 4
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = acc[len(x)-1]
	sumRowSingle(&acc[0], &x[0], n)
	return n * 4
}

// squareLane is sumLane for the squares of x.
func squareLane(acc *[wide / 2]float64, x []float32) int {
	n := len(x) / len(acc)
	if !vectorUnit || n == 0 {
		return 0
	}
	squareLaneSingle(&acc[0], &x[0], n)
	return n * len(acc)
}

// squareRow is sumRow for the squares of x.
func squareRow(acc []float64, x []float32) int {
	n := len(x) / 4
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = acc[len(x)-1]
	squareRowSingle(&acc[0], &x[0], n)
	return n * 4
}

// magnitudeLane is sumLane for the magnitudes of x.
func magnitudeLane(acc *[wide / 2]float64, x []float32) int {
	n := len(x) / len(acc)
	if !vectorUnit || n == 0 {
		return 0
	}
	magnitudeLaneSingle(&acc[0], &x[0], n)
	return n * len(acc)
}

// magnitudeRow is sumRow for the magnitudes of x.
func magnitudeRow(acc []float64, x []float32) int {
	n := len(x) / 4
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = acc[len(x)-1]
	magnitudeRowSingle(&acc[0], &x[0], n)
	return n * 4
}

// maxLane keeps the greatest of x, or NaN, in the accumulators.
func maxLane(acc *[wide]float32, x []float32) int {
	n := len(x) / len(acc)
	if !vectorUnit || n == 0 {
		return 0
	}
	maxLaneSingle(&acc[0], &x[0], n)
	return n * len(acc)
}

// maxRow is maxLane with an accumulator for each element.
func maxRow(acc []float32, x []float32) int {
	n := len(x) / 8
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = acc[len(x)-1]
	maxRowSingle(&acc[0], &x[0], n)
	return n * 8
}

// minLane keeps the least of x, or NaN, in the accumulators.
func minLane(acc *[wide]float32, x []float32) int {
	n := len(x) / len(acc)
	if !vectorUnit || n == 0 {
		return 0
	}
	minLaneSingle(&acc[0], &x[0], n)
	return n * len(acc)
}

// minRow is minLane with an accumulator for each element.
func minRow(acc []float32, x []float32) int {
	n := len(x) / 8
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = acc[len(x)-1]
	minRowSingle(&acc[0], &x[0], n)
	return n * 8
}
