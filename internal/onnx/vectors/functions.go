package vectors

import "math"

// finish makes the values of the kernel from products or squared distances.
func (k Kernel) finish(values []float32) {
	switch k.Kind {
	case Linear:
	case Poly:
		k.shift(values)
		raise(values, k.Degree)
	case RBF:
		exponentials(values, -k.Gamma)
	case Sigmoid:
		k.shift(values)
		tangents(values)
	}
}

func (k Kernel) shift(values []float32) {
	for i, p := range values {
		values[i] = float32(float64(k.Gamma)*float64(p) + float64(k.Coef0))
	}
}

// raise raises the values to a degree.
func raise(values []float32, degree float32) {
	switch degree {
	case 1:
	case 2:
		for i, v := range values {
			values[i] = v * v
		}
	case 3:
		for i, v := range values {
			values[i] = v * v * v
		}
	default:
		for i, v := range values {
			values[i] = float32(math.Pow(float64(v), float64(degree)))
		}
	}
}

// rounder rounds a small float64 to an integer when it is added: the sum ends
// with the bits of the integer. Taking it away again gives the integer.
const rounder = 3 << 51

// exponential returns e^x for an x of moderate size, to nine digits. It is
// written so that the compiler inlines it, which halves its time.
func exponential(x float64) float64 {
	shifted := x*math.Log2E + rounder // of the integer k
	// e^x is 2^k e^r, and r at most ln2/2.
	return series(x-(shifted-rounder)*math.Ln2) * math.Float64frombits((math.Float64bits(shifted)+1023)<<52)
}

// series returns e^r for an r of at most ln2/2, by Taylor's series up to r^8.
func series(r float64) float64 {
	q := r * r
	return 1 + r + q*(1.0/2+r*(1.0/6)+q*(1.0/24+r*(1.0/120)+q*(1.0/720+r*(1.0/5040)+q*(1.0/40320))))
}

// exponentials replaces each v by e^(by v), rounded to float32 within 0.51
// units in the last place.
func exponentials(values []float32, by float32) {
	for i, v := range values {
		if x := by * v; x > -100 && x < 88 {
			values[i] = float32(exponential(float64(x)))
		} else {
			values[i] = float32(math.Exp(float64(x)))
		}
	}
}

// tangents replaces each value by its hyperbolic tangent, rounded likewise.
func tangents(values []float32) {
	for i, x := range values {
		if size := math.Abs(float64(x)); size > 0x1p-12 && size < 10 {
			e := exponential(2 * float64(x))
			values[i] = float32((e - 1) / (e + 1))
		} else {
			values[i] = float32(math.Tanh(float64(x)))
		}
	}
}
