package linalg

import "math"

// finish makes the values of the kernel from products or squared distances.
func (k Kernel) finish(values []float32) {
	switch k.Kind {
	case Linear, Squared:
	case Euclidean:
		for i, v := range values {
			values[i] = float32(math.Sqrt(float64(v)))
		}
	case RBF:
		exponentials(values, -k.Gamma)
	case Poly, Sigmoid:
		scale(values, k.Gamma, k.Coef0)
		if k.Kind == Poly {
			raise(values, k.Degree)
		} else {
			tangents(values)
		}
	}
}

// raise raises the values to a degree. Those to a whole degree are multiplied as
// ONNX Runtime multiplies them, rounding each time: cubes from left to right, higher
// powers of squares.
func raise(values []float32, degree float32) {
	const highest = 64
	switch whole := int(degree); {
	case degree == 1:
	case degree == 2:
		for i, v := range values {
			values[i] = v * v
		}
	case degree == 3:
		for i, v := range values {
			values[i] = v * v * v
		}
	case degree > 3 && degree <= highest && degree == float32(whole):
		for i, v := range values {
			values[i] = powerOfSquares(v, whole)
		}
	default:
		Powers(values, values, float64(degree))
	}
}

func powerOfSquares(x float32, degree int) float32 {
	power := float32(1)
	for ; degree > 0; degree >>= 1 {
		if degree&1 == 1 {
			power *= x
		}
		x *= x
	}
	return power
}

// rounder rounds a small float64 to an integer when it is added: the sum ends
// with the bits of the integer. Taking it away again gives the integer.
const rounder = 3 << 51

// exponential returns e^x for an x of moderate size, to eleven digits. It is
// written so that the compiler inlines it, which halves its time.
func exponential(x float64) float64 {
	shifted := x*math.Log2E + rounder // of the integer k
	// e^x is 2^k e^r, and r at most ln2/2.
	return series(x-(shifted-rounder)*math.Ln2) * math.Float64frombits((math.Float64bits(shifted)+1023)<<52)
}

// series returns e^r for an r of at most ln2/2, by Taylor's series up to r^9.
func series(r float64) float64 {
	q := r * r
	return 1 + r + q*(1.0/2+r*(1.0/6)+q*(1.0/24+r*(1.0/120)+q*(1.0/720+r*(1.0/5040)+q*(1.0/40320+r*(1.0/362880)))))
}

// scaleGo multiplies the values and adds to them, rounding once.
func scaleGo(values []float32, by, plus float32) {
	for i, v := range values {
		values[i] = float32(float64(by)*float64(v) + float64(plus))
	}
}

// exponentialsGo replaces each v by e^(by v), rounded to float32 within 0.51
// units in the last place.
func exponentialsGo(values []float32, by float32) {
	for i, v := range values {
		if x := by * v; x > -100 && x < 88 {
			values[i] = float32(exponential(float64(x)))
		} else {
			values[i] = float32(math.Exp(float64(x)))
		}
	}
}

// sigmoidsGo replaces each v by 1/(1+e^-v), rounded likewise.
func sigmoidsGo(values []float32) {
	for i, v := range values {
		if v > -100 && v < 100 {
			values[i] = float32(1 / (1 + exponential(-float64(v))))
		} else {
			values[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	}
}

// tangentsGo replaces each value by its hyperbolic tangent, rounded likewise.
func tangentsGo(values []float32) {
	for i, v := range values {
		x := float64(v)
		switch size := math.Abs(x); {
		case size >= 10:
			values[i] = float32(math.Copysign(1, x))
		case size >= 0x1p-12: // below, no float32 is nearer than x itself
			e := exponential(2 * x)
			values[i] = float32((e - 1) / (e + 1))
		}
	}
}
