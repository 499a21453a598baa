package schema

import (
	"bytes"
	"math"
	"math/bits"
	"strconv"
)

// pow10 holds the powers of ten that float64 represents exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseFloat returns the float64 nearest to a number of the JSON grammar (RFC
// 8259 section 6), infinite when it is out of range. Short decimals take one
// exact multiplication or division of two exact numbers, which IEEE 754 rounds
// correctly; the rest goes to strconv.
func parseFloat(raw []byte) float64 {
	i, negative := 0, false
	if raw[0] == '-' {
		i, negative = 1, true
	}
	if len(raw)-i <= 16 {
		mantissa, scale, point := uint64(0), 0, false
		for ; i < len(raw); i++ {
			switch c := raw[i]; {
			case c >= '0' && c <= '9':
				mantissa = mantissa*10 + uint64(c-'0')
				if point {
					scale++
				}
			case c == '.':
				point = true
			default:
				return slowFloat(raw)
			}
		}
		if mantissa < 1<<53 {
			f := float64(mantissa) / pow10[scale]
			if negative {
				return -f
			}
			return f
		}
	}
	return slowFloat(raw)
}

func slowFloat(raw []byte) float64 {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN() // not a number of the grammar; no rule accepts it
	}
	return f
}

// intStatus is the outcome of parseInt.
type intStatus uint8

const (
	intOK intStatus = iota
	intFraction
	intOverflow
)

// parseInt returns the exact value of a number of the JSON grammar as sign and
// magnitude. A number such as 1.0 or 2e3 is an integer, as in JSON Schema. It
// never goes through float64 and looks at each digit once or twice, however
// many there are.
func parseInt(raw []byte) (negative bool, magnitude uint64, status intStatus) {
	if raw[0] == '-' {
		negative, raw = true, raw[1:]
	}
	if len(raw) <= 19 { // less than 2⁶⁴ whatever the digits
		plain := true
		for _, c := range raw {
			if c < '0' || c > '9' {
				plain = false
				break
			}
			magnitude = magnitude*10 + uint64(c-'0')
		}
		if plain {
			return negative, magnitude, intOK
		}
	}
	magnitude, status = decimal(raw)
	return negative, magnitude, status
}

// decimal is parseInt for an unsigned number with a fraction, an exponent or
// many digits.
func decimal(raw []byte) (uint64, intStatus) {
	mantissa, power := raw, 0
	if e := bytes.IndexAny(raw, "eE"); e >= 0 {
		mantissa, power = raw[:e], exponent(raw[e+1:])
	}
	first := bytes.IndexAny(mantissa, "123456789")
	if first < 0 {
		return 0, intOK
	}
	last := bytes.LastIndexAny(mantissa, "123456789")
	point := bytes.IndexByte(mantissa, '.')
	if point < 0 {
		point = len(mantissa)
	}
	significant := last - first + 1
	if first < point && point < last {
		significant--
	}
	// What stands behind the last digit that is not zero decides whether the
	// number is whole: its power of ten.
	power += point - last
	if last < point {
		power--
	}
	if power < 0 {
		return 0, intFraction
	}
	if significant+power > 20 { // more digits than 2⁶⁴ has
		return 0, intOverflow
	}
	magnitude := uint64(0)
	for _, c := range mantissa[first : last+1] {
		if c == '.' {
			continue
		}
		var ok bool
		if magnitude, ok = appendDigit(magnitude, c-'0'); !ok {
			return 0, intOverflow
		}
	}
	for range power {
		var ok bool
		if magnitude, ok = appendDigit(magnitude, 0); !ok {
			return 0, intOverflow
		}
	}
	return magnitude, intOK
}

// appendDigit returns 10·m + d, and false when that leaves 64 bits.
func appendDigit(m uint64, d byte) (uint64, bool) {
	hi, lo := bits.Mul64(m, 10)
	sum, carry := bits.Add64(lo, uint64(d), 0)
	return sum, hi == 0 && carry == 0
}

// exponent returns the value of the digits behind an e, held within ±2³⁰: far
// beyond the length of any body, so that sums with it stay exact in effect.
func exponent(raw []byte) int {
	negative := raw[0] == '-'
	if negative || raw[0] == '+' {
		raw = raw[1:]
	}
	n := 0
	for _, c := range raw {
		if n = n*10 + int(c-'0'); n > 1<<30 {
			n = 1 << 30
		}
	}
	if negative {
		return -n
	}
	return n
}
