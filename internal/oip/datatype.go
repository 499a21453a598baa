package oip

import (
	"math"

	"onnxgate/internal/tensor"
)

// datatypes are the protocol's names of the element types.
var datatypes = map[tensor.DType]string{
	tensor.Undefined: "", tensor.Bool: "BOOL", tensor.String: "BYTES",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
	tensor.Int8: "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Half: "FP16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}

// Datatype returns the protocol's name of an element type, "" when it has none.
func Datatype(d tensor.DType) string { return datatypes[d] }

// toHalf rounds to binary16, ties to even (IEEE 754-2019 section 4.3.1).
// Overflow gives an infinity.
func toHalf(f float64) tensor.Float16 {
	b := math.Float64bits(f)
	sign := tensor.Float16(b >> 48 & 0x8000)
	magnitude := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return sign | 0x7e00
	case magnitude >= 65520: // half way from the largest number to the next
		return sign | 0x7c00
	case magnitude < 0x1p-14: // subnormal: a multiple of 2^-24
		return sign | tensor.Float16(math.RoundToEven(magnitude*0x1p24))
	}
	// Scaled so that the 11 bits of the significand are the whole part; a carry
	// into the next power of two is right by itself.
	fraction, exponent := math.Frexp(magnitude)
	significand := math.RoundToEven(fraction * 0x1p11)
	return sign + tensor.Float16(exponent+13)<<10 + tensor.Float16(significand) //nolint:gosec // G115: from 0 to 29
}

// fromHalf returns the value of a binary16 number, which is exact.
func fromHalf(h tensor.Float16) float64 {
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
