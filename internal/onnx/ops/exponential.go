package ops

import "math"

// inPlace makes a row of a function that changes its elements.
func inPlace(fn func(x []float32)) func(dst, x []float32) {
	return func(dst, x []float32) {
		copy(dst, x)
		fn(dst)
	}
}

// The functions below serve float32, where the 16 digits of math.Exp are not
// seen: exp(x) is 2^(k/32)·exp(r) with the power from a table and |r| at most
// ln(2)/64, for which four terms of the series leave an error below 10⁻⁹.

const (
	expParts = 32
	// expShift added to a small float64 leaves its nearest integer in the low
	// bits, in two's complement.
	expShift = 3 << 51
	// expLow and expHigh are the ends of what the table serves: far below them
	// a float32 is 0, far above infinite.
	expLow, expHigh = -700, 700
)

// expTable is the bits of 2^(i/32).
var expTable = func() (t [expParts]uint64) {
	for i := range t {
		t[i] = math.Float64bits(math.Exp2(float64(i) / expParts))
	}
	return t
}()

// expInPlace32 raises e to each element, for the precision of float32. NaN stays
// NaN.
func expInPlace32(x []float64) {
	for i, v := range x {
		if !(v > expLow && v < expHigh) {
			x[i] = expEnds(v)
			continue
		}
		shifted := v*(expParts/math.Ln2) + expShift
		k := int64(int32(math.Float64bits(shifted))) //nolint:gosec // the low bits are meant
		r := v - (shifted-expShift)*(math.Ln2/expParts)
		power := math.Float64frombits(expTable[k&(expParts-1)] + uint64(k>>5)<<52) //nolint:gosec // added to the exponent, also when negative
		x[i] = power * (1 + r*(1+r*(0.5+r*(1.0/6))))
	}
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

// expInPlace is expInPlace32 with the precision of float64.
func expInPlace(x []float64) {
	for i, v := range x {
		x[i] = math.Exp(v)
	}
}
