package onnxtest

import (
	"math"

	"onnxgate/internal/tensor"
)

// HalfValue is a binary16's value by the definition of the format (IEEE 754-2019
// section 3.4), and not by the conversion that is tested.
func HalfValue(h tensor.Float16) float64 {
	sign, exp, frac := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch {
	case exp == 0:
		return sign * math.Ldexp(frac, -24)
	case exp < 31:
		return sign * math.Ldexp(1+frac/1024, exp-15)
	case frac > 0:
		return math.NaN()
	}
	return math.Inf(int(sign))
}
