package tensor

import "math"

// NewFloat16 rounds to binary16, ties to even (IEEE 754-2019 section 4.3.1).
// Overflow gives an infinity.
func NewFloat16(f float64) Float16 {
	sign := Float16(math.Float64bits(f) >> 48 & 0x8000)
	magnitude := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return sign | 0x7e00
	case magnitude >= 65520: // half way from the largest number to the next
		return sign | 0x7c00
	case magnitude < 0x1p-14: // subnormal: a multiple of 2^-24
		return sign | Float16(math.RoundToEven(magnitude*0x1p24))
	}
	// Scaled so that the 11 bits of the significand are the whole part; a carry
	// into the next power of two is right by itself.
	fraction, exponent := math.Frexp(magnitude)
	significand := math.RoundToEven(fraction * 0x1p11)
	return sign + Float16(exponent+13)<<10 + Float16(significand) //nolint:gosec // G115: from 0 to 29
}

// Float64 returns the value of the number, which is exact.
func (h Float16) Float64() float64 {
	exponent, fraction := int(h>>10&0x1f), float64(h&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = fraction * 0x1p-24
	case 0x1f:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if h&0x8000 != 0 {
		return math.Copysign(f, -1)
	}
	return f
}
