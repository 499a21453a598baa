package linalg

import "math"

// Operation is what Apply does with two elements.
type Operation uint8

// The operations.
const (
	Add Operation = iota
	Subtract
	Multiply
	Divide
	Apart // the magnitude of the difference
)

// Apply sets each element of dst to what op makes of those of a and b, which are as
// many. It has the same bits everywhere. dst may be a or b.
func Apply(op Operation, dst, a, b []float32) {
	n := apply(op, dst, a, b)
	dst, a, b = dst[n:], a[n:], b[n:]
	a, b = a[:len(dst)], b[:len(dst)]
	switch op {
	case Add:
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	case Subtract:
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	case Multiply:
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	case Divide:
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	case Apart:
		for i := range dst {
			dst[i] = max(a[i]-b[i], b[i]-a[i])
		}
	}
}

// Exponentials replaces each element of x by its exponential, rounded once but for
// a hundredth of a unit.
func Exponentials(x []float32) { exponentials(x, 1) }

// Exponential is Exponentials of one.
func Exponential(x float32) float32 {
	if x > -100 && x < 88 {
		return float32(exponential(float64(x)))
	}
	return float32(math.Exp(float64(x)))
}

// Sigmoids replaces each x by 1/(1+e^-x), rounded likewise.
func Sigmoids(x []float32) { sigmoids(x) }

// Tangents replaces each element of x by its hyperbolic tangent, to the bits of ONNX
// Runtime.
func Tangents(x []float32) { tangents(x) }

// Roots sets each element of dst to the square root of that of x. dst may be x.
func Roots(dst, x []float32) {
	n := roots(dst, x)
	dst = dst[n:len(x)]
	for i, v := range x[n:] {
		dst[i] = float32(math.Sqrt(float64(v)))
	}
}

// UntilLess returns how many elements of x may be passed over, by eight, in the search for
// one that is less than the limit, or NaN.
func UntilLess(x []float32, limit float32) int { return lanes * untilLessOf(x, limit) }

// UntilMore is UntilLess for one that is more.
func UntilMore(x []float32, limit float32) int { return lanes * untilMoreOf(x, limit) }

// Logarithms sets each element of dst to the natural logarithm of that of x,
// rounded likewise. dst may be x.
func Logarithms(dst, x []float32) {
	var block [blockLen]float32
	for len(x) > 0 {
		from := block[:copy(block[:], x)]
		to := dst[:len(from)]
		copy(to, from)
		done := logarithms(to)
		for i, v := range from {
			switch ordinary := v > 0 && v <= math.MaxFloat32; {
			case !ordinary:
				to[i] = float32(math.Log(float64(v)))
			case i >= done:
				to[i] = float32(logarithm(float64(v)))
			}
		}
		dst, x = dst[len(from):], x[len(from):]
	}
}

// blockLen is how many elements are kept while they are replaced.
const blockLen = 8 * lanes

// Powers sets each element of dst to that of x raised to the power of y, rounded
// likewise.
func Powers(dst, x []float32, y float64) {
	x = x[:len(dst)]
	switch y {
	case 2:
		Apply(Multiply, dst, x, x)
		return
	case 3:
		n := cubes(dst, x)
		dst = dst[n:]
		for i, v := range x[n:] {
			d := float64(v)
			dst[i] = float32(d * d * d)
		}
		return
	case 4:
		for i, v := range x {
			d := float64(v)
			d *= d
			dst[i] = float32(d * d)
		}
		return
	}
	if y != math.Trunc(y) || math.Abs(y) > maxWhole {
		var exponents [lanes]float64
		for i := range exponents {
			exponents[i] = y
		}
		for len(x) > 0 {
			n := min(len(x), blockLen)
			powersOf(dst[:n], x[:n], exponents[:])
			dst, x = dst[n:], x[n:]
		}
		return
	}
	for i, v := range x {
		dst[i] = float32(whole(float64(v), int(y)))
	}
}

// PowersOf is Powers with an exponent for each element.
func PowersOf(dst, x []float32, y []float64) {
	for len(x) > 0 {
		n := min(len(x), blockLen)
		powersOf(dst[:n], x[:n], y[:n])
		dst, x, y = dst[n:], x[n:], y[n:]
	}
}

// powersOf is PowersOf of at most blockLen elements. y may be lanes exponents that are
// all the same.
func powersOf(dst, x []float32, y []float64) {
	var block [blockLen]float32
	from := block[:copy(block[:], x)]
	copy(dst, from)
	done := powers(dst, y)
	last := len(y) - 1
	for i, v := range from {
		e := y[min(i, last)]
		if ordinary := v > 0 && v <= math.MaxFloat32 && e-e == 0; !ordinary || i >= done { // e-e is 0 of finite e
			dst[i] = Power(v, e)
		}
	}
}

// Power is Powers of one.
func Power(x float32, y float64) float32 {
	if y == math.Trunc(y) && math.Abs(y) <= maxWhole {
		return float32(whole(float64(x), int(y)))
	}
	return power(x, y)
}

// maxWhole is up to where a power is made of products.
const maxWhole = 64

// whole multiplies, which is right for every float32 x, infinities, zeros and NaN
// among them: where a product leaves float64, the power has long left float32.
func whole(x float64, k int) float64 {
	if k < 0 {
		return 1 / whole(x, -k)
	}
	result := 1.0
	for ; k > 0; k >>= 1 {
		if k&1 == 1 {
			result *= x
		}
		x *= x
	}
	return result
}

// power is e^(y ln x) where that is a float32 of full precision.
func power(x float32, y float64) float32 {
	if x > 0 && x <= math.MaxFloat32 {
		if e := y * logarithm(float64(x)); e > -87 && e < 88 {
			return float32(exponential(e))
		}
	}
	if x < 0 && x >= -math.MaxFloat32 && math.Abs(y) < 1<<53 && y != math.Trunc(y) {
		return float32(math.NaN())
	}
	return float32(math.Pow(float64(x), y))
}

const (
	// logParts is into how many parts of equal bits the numbers from logLeast to
	// its double are cut. One begins at 1 and another ends there.
	logParts = 64
	logBits  = 52 - 6
	logLeast = 0.703125
)

// logTable has for the middle c of each part 1/c and ln c; beside 1 c is 1, so
// that nothing is lost near ln 1.
var logTable = func() (t [logParts]struct{ inverse, log float64 }) {
	least := math.Float64bits(logLeast)
	for i := range t {
		from, to := math.Float64frombits(least+uint64(i)<<logBits), math.Float64frombits(least+uint64(i+1)<<logBits)
		c := (from + to) / 2
		if from == 1 || to == 1 {
			c = 1
		}
		t[i].inverse = 1 / c
		t[i].log = -math.Log(t[i].inverse)
	}
	return t
}()

// logarithm returns ln x of a positive normal x, to twelve digits.
func logarithm(x float64) float64 {
	b := math.Float64bits(x)
	above := b - math.Float64bits(logLeast)
	k := int64(above) >> 52 //nolint:gosec // negative below logLeast
	part := &logTable[above>>logBits%logParts]
	r := math.Float64frombits(b-uint64(k)<<52)*part.inverse - 1
	q := r * r
	return float64(k)*math.Ln2 + part.log + (r + q*(-1.0/2+r*(1.0/3)+q*(-1.0/4+r*(1.0/5)-q*(1.0/6))))
}
