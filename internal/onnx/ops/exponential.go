package ops

import "math"

// The functions below serve float32, where the 16 digits of math.Exp are not
// seen: exp(x) is 2^(k/32)·exp(r) with the power from a table and |r| at most
// ln(2)/64, for which four terms of the series leave an error below 10⁻⁹.

const (
	expParts = 32
	// expShift added to a small float64 leaves its nearest integer in the low
	// bits, in two's complement.
	expShift = 3 << 51
	// expLow and expHigh are where the exponential of a float32 is none any
	// more: 0 below, infinite above.
	expLow, expHigh = -104, 89
)

// expTable is the bits of 2^(i/32).
var expTable = func() (t [expParts]uint64) {
	for i := range t {
		t[i] = math.Float64bits(math.Exp2(float64(i) / expParts))
	}
	return t
}()

// exp32 is exp for the precision of float32. It gives NaN for NaN.
func exp32(x float64) float64 {
	if !(x > expLow && x < expHigh) {
		return expEnds(x)
	}
	shifted := x*(expParts/math.Ln2) + expShift
	k := int64(int32(math.Float64bits(shifted))) //nolint:gosec // the low bits are meant
	r := x - (shifted-expShift)*(math.Ln2/expParts)
	power := math.Float64frombits(expTable[k&(expParts-1)] + uint64(k>>5)<<52) //nolint:gosec // added to the exponent, also when negative
	return power * (1 + r*(1+r*(0.5+r*(1.0/6))))
}

func expEnds(x float64) float64 {
	switch {
	case x <= expLow:
		return 0
	case x >= expHigh:
		return math.Inf(1)
	}
	return x
}

func expRow32(dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(exp32(float64(v)))
	}
}

// expInPlace32 and expInPlace raise e to each element.
func expInPlace32(x []float64) {
	for i, v := range x {
		x[i] = exp32(v)
	}
}

func expInPlace(x []float64) {
	for i, v := range x {
		x[i] = math.Exp(v)
	}
}

func sigmoidRow32(dst, x []float32) {
	for i, v := range x {
		e := exp32(-math.Abs(float64(v)))
		top := 1.0
		if v < 0 {
			top = e
		}
		dst[i] = float32(top / (1 + e))
	}
}

func tanhRow32(dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(tanh32(float64(v)))
	}
}

// tanh32 is tanh for the precision of float32. Near 0, where the quotient would
// lose digits, it is the series.
func tanh32(x float64) float64 {
	if a := math.Abs(x); a < 0.25 {
		s := x * x
		return x * (1 - s*(1.0/3-s*(2.0/15-s*(17.0/315-s*(62.0/2835-s*(1382.0/155925))))))
	}
	return 1 - 2/(exp32(2*x)+1)
}
