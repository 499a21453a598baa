package linalg

import "math"

// finish makes the values of the kernel from products or squared distances.
func (k Kernel) finish(values []float32) {
	switch k.Kind {
	case Linear, Squared:
	case Euclidean:
		Roots(values, values)
	case RBF:
		exponentials(values, -k.Gamma)
	case Poly, Sigmoid:
		scale(values, k.Gamma, k.Coef0)
		k.bend(values)
	}
}

// bend makes the values of the kernel from products that were scaled.
func (k Kernel) bend(values []float32) {
	switch k.Kind {
	case Poly:
		raise(values, k.Degree)
	case Sigmoid:
		tangents(values)
	case Linear, RBF, Squared, Euclidean:
	}
}

// raise raises the values to a degree. Those to a whole degree are multiplied as
// ONNX Runtime multiplies them, rounding each time: as powers of squares.
func raise(values []float32, degree float32) {
	const highest = 64
	if whole := int(degree); degree > 0 && degree <= highest && degree == float32(whole) {
		wholePowers(values, whole)
	} else {
		Powers(values, values, float64(degree))
	}
}

// wholePowersGo raises the values to a degree from 1 on.
func wholePowersGo(values []float32, degree int) {
	for i, v := range values {
		values[i] = powerOfSquares(v, degree)
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
		values[i] = fused(by, v, plus)
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

// tangentsGo replaces each value by its hyperbolic tangent, by the quotient of
// polynomials that Eigen and ONNX Runtime take for it, rounded as often.
func tangentsGo(values []float32) {
	const limit = 9 // from here on it is 1
	for i, v := range values {
		v = min(max(v, -limit), limit)
		x := v * v
		p := fused(-2.76076847742355e-16, x, 2.00018790482477e-13)
		p = fused(p, x, -8.60467152213735e-11)
		p = fused(p, x, 5.12229709037114e-08)
		p = fused(p, x, 1.48572235717979e-05)
		p = fused(p, x, 6.37261928875436e-04)
		p = fused(p, x, 4.89352455891786e-03)
		q := fused(1.19825839466702e-06, x, 1.18534705686654e-04)
		q = fused(q, x, 2.26843463243900e-03)
		q = fused(q, x, 4.89352518554385e-03)
		values[i] = float32(p*v) / q
	}
}

// fused returns a b + c, rounded once but for sums that float64 rounds to halfway
// between two float32. Of tangents there is none that this changes.
func fused(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

// ExponentialsBelow sets each element of dst to the exponential of that of x less top, and
// returns their sum, in any order. dst is as long as x, whose elements are top or below.
func ExponentialsBelow(dst []float64, x []float32, top float32) float64 {
	n, sum := below(dst, x, float64(top))
	dst = dst[n:len(x)]
	for i, v := range x[n:] {
		const least = -110 // below, a float32 is 0
		e := exponential(max(float64(v)-float64(top), least))
		dst[i] = e
		sum += e
	}
	return sum
}

// Share sets each element of dst to that of x times by.
func Share(dst []float32, x []float64, by float64) {
	n := share(dst, x, by)
	x = x[:len(dst)]
	for i, v := range x[n:] {
		dst[n+i] = float32(v * by)
	}
}
