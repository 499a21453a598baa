package ops

import (
	"math"

	"onnxgate/internal/tensor"
)

// fromHalf returns the value of a binary16 (IEEE 754), which float32 holds
// exactly.
func fromHalf(h tensor.Float16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h) & 0x3ff
	switch exp {
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case 0:
		v := float32(frac) * (1.0 / (1 << 24)) // zero or subnormal
		if sign != 0 {
			return -v
		}
		return v
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// toHalf rounds to the nearest binary16, ties to even; what is too large
// becomes infinite.
func toHalf(x float32) tensor.Float16 {
	bits := math.Float32bits(x)
	sign := tensor.Float16(bits >> 16 & 0x8000)
	abs := bits &^ (1 << 31)
	switch {
	case abs > 0xff<<23: // NaN: keep it quiet
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: subnormal, in units of 2^-24
		return sign | tensor.Float16(math.RoundToEven(float64(math.Float32frombits(abs))*(1<<24)))
	}
	rounded := abs + 0xfff + (abs >> 13 & 1)
	return sign | tensor.Float16((rounded-(127-15)<<23)>>13)
}

// halfFromReal is toHalf for a float64, which it rounds once: the float32 in
// between is rounded to odd, so that no tie is made that was none.
func halfFromReal(x float64) tensor.Float16 {
	y := float32(x)
	if back := float64(y); back != x && !math.IsNaN(x) && !math.IsInf(back, 0) {
		if math.Abs(back) > math.Abs(x) {
			y = math.Nextafter32(y, 0)
		}
		y = math.Float32frombits(math.Float32bits(y) | 1)
	}
	return toHalf(y)
}
