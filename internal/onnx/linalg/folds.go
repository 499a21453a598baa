package linalg

// wide is how many elements the vector kernels of Max and Min take at once;
// those of Sum take half as many.
const wide = 32

// Sum returns the sum of x, made in A. That of float32 in float64 is made by
// vector instructions, as are the extremes of float32 below.
func Sum[A, T Number](x []T) A {
	if v, ok := wideSingle[A](x); ok {
		var acc [wide / 2]float64
		n := sumLane(&acc, v)
		return A(sumGo[float64](acc[:]) + sumGo[float64](v[n:]))
	}
	return sumGo[A](x)
}

// AddTo adds each element of x to its own of acc, which are as many.
func AddTo[A, T Number](acc []A, x []T) {
	if v, ok := any(x).([]float32); ok {
		if a, ok := any(acc).([]float64); ok {
			n := sumRow(a, v)
			addGo(a[n:], v[n:])
			return
		}
	}
	addGo(acc, x)
}

// SumSquares returns the sum of the squares of x, as Sum does.
func SumSquares[A, T Number](x []T) A {
	if v, ok := wideSingle[A](x); ok {
		var acc [wide / 2]float64
		n := squareLane(&acc, v)
		return A(sumGo[float64](acc[:]) + squaresGo[float64](v[n:]))
	}
	return squaresGo[A](x)
}

// AddSquaresTo is AddTo for the squares of x.
func AddSquaresTo[A, T Number](acc []A, x []T) {
	if v, ok := any(x).([]float32); ok {
		if a, ok := any(acc).([]float64); ok {
			n := squareRow(a, v)
			acc, x = acc[n:], x[n:]
		}
	}
	acc = acc[:len(x)]
	for i, v := range x {
		acc[i] += A(v) * A(v)
	}
}

// SumMagnitudes returns the sum of the magnitudes of x, as Sum does.
func SumMagnitudes[A, T Number](x []T) A {
	if v, ok := wideSingle[A](x); ok {
		var acc [wide / 2]float64
		n := magnitudeLane(&acc, v)
		return A(sumGo[float64](acc[:]) + magnitudesGo[float64](v[n:]))
	}
	return magnitudesGo[A](x)
}

// AddMagnitudesTo is AddTo for the magnitudes of x.
func AddMagnitudesTo[A, T Number](acc []A, x []T) {
	if v, ok := any(x).([]float32); ok {
		if a, ok := any(acc).([]float64); ok {
			n := magnitudeRow(a, v)
			acc, x = acc[n:], x[n:]
		}
	}
	acc = acc[:len(x)]
	for i, v := range x {
		acc[i] += magnitude(A(v))
	}
}

// wideSingle returns x when it is long, and of float32 that are folded in float64.
func wideSingle[A, T Number](x []T) ([]float32, bool) {
	if len(x) < wide {
		return nil, false
	}
	v, ok := any(x).([]float32)
	if !ok {
		return nil, false
	}
	_, ok = any(A(0)).(float64)
	return v, ok
}

// Max returns the greatest of m and the elements of x, or NaN where there is
// one.
func Max[T Number](m T, x []T) T {
	if len(x) < 2*wide {
		return maxGo(m, x)
	}
	if v, ok := any(x).([]float32); ok {
		acc := [wide]float32(v)
		n := wide + maxLane(&acc, v[wide:])
		m, x = maxGo(m, []T{T(maxGo(acc[0], acc[1:]))}), x[n:]
	}
	return maxGo(m, x)
}

// MaxTo replaces each of acc by the greater of it and its own element of x, or
// NaN; they are as many.
func MaxTo[T Number](acc, x []T) {
	if v, ok := any(x).([]float32); ok {
		if a, ok := any(acc).([]float32); ok {
			n := maxRow(a, v)
			acc, x = acc[n:], x[n:]
		}
	}
	acc = acc[:len(x)]
	for i, v := range x {
		if v > acc[i] || v != v { // v != v is NaN
			acc[i] = v
		}
	}
}

// Min returns the least of m and the elements of x, or NaN where there is one.
func Min[T Number](m T, x []T) T {
	if len(x) < 2*wide {
		return minGo(m, x)
	}
	if v, ok := any(x).([]float32); ok {
		acc := [wide]float32(v)
		n := wide + minLane(&acc, v[wide:])
		m, x = minGo(m, []T{T(minGo(acc[0], acc[1:]))}), x[n:]
	}
	return minGo(m, x)
}

// MinTo is MaxTo for the lesser.
func MinTo[T Number](acc, x []T) {
	if v, ok := any(x).([]float32); ok {
		if a, ok := any(acc).([]float32); ok {
			n := minRow(a, v)
			acc, x = acc[n:], x[n:]
		}
	}
	acc = acc[:len(x)]
	for i, v := range x {
		if v < acc[i] || v != v { // v != v is NaN
			acc[i] = v
		}
	}
}

// sumGo adds in four strands, so that one addition does not wait for the last.
func sumGo[A, T Number](x []T) A {
	var a, b, c, d A
	for ; len(x) >= 4; x = x[4:] {
		a += A(x[0])
		b += A(x[1])
		c += A(x[2])
		d += A(x[3])
	}
	for _, v := range x {
		a += A(v)
	}
	return a + b + (c + d)
}

func squaresGo[A, T Number](x []T) A {
	var a, b, c, d A
	for ; len(x) >= 4; x = x[4:] {
		a += A(x[0]) * A(x[0])
		b += A(x[1]) * A(x[1])
		c += A(x[2]) * A(x[2])
		d += A(x[3]) * A(x[3])
	}
	for _, v := range x {
		a += A(v) * A(v)
	}
	return a + b + (c + d)
}

func magnitudesGo[A, T Number](x []T) A {
	var a, b, c, d A
	for ; len(x) >= 4; x = x[4:] {
		a += magnitude(A(x[0]))
		b += magnitude(A(x[1]))
		c += magnitude(A(x[2]))
		d += magnitude(A(x[3]))
	}
	for _, v := range x {
		a += magnitude(A(v))
	}
	return a + b + (c + d)
}

// magnitude is v without its sign. The least integer stays what it is.
func magnitude[T Number](v T) T {
	if v < 0 {
		return -v
	}
	return v
}

func addGo[A, T Number](acc []A, x []T) {
	acc = acc[:len(x)]
	for i, v := range x {
		acc[i] += A(v)
	}
}

func maxGo[T Number](m T, x []T) T {
	for _, v := range x {
		if !(v <= m) { //nolint:staticcheck // greater, or one of them is NaN
			if m != m { // NaN stays
				break
			}
			m = v
		}
	}
	return m
}

func minGo[T Number](m T, x []T) T {
	for _, v := range x {
		if !(v >= m) { //nolint:staticcheck // less, or one of them is NaN
			if m != m { // NaN stays
				break
			}
			m = v
		}
	}
	return m
}
