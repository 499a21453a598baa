package ops

import (
	"math"
	"strings"
	"testing"
)

func TestFloatsOutOfRangeBecomeTheLeastInteger(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, x := range []float64{nan, inf, -inf, 1e20, -1e20, 1 << 63} {
		if got := fromReal[int64](x); got != math.MinInt64 {
			t.Errorf("int64 of %v is %d", x, got)
		}
		if got := fromReal[int32](x); got != math.MinInt32 {
			t.Errorf("int32 of %v is %d", x, got)
		}
	}
	for _, x := range []float64{nan, inf, 1 << 31, -1 << 40} {
		if got := fromReal[int32](x); got != math.MinInt32 {
			t.Errorf("int32 of %v is %d", x, got)
		}
	}
	if got := fromReal[uint64](1 << 63); got != 1<<63 {
		t.Errorf("uint64 of 2^63 is %d", got)
	}
	if got := fromReal[int64](-(1 << 63)); got != math.MinInt64 {
		t.Errorf("int64 of -2^63 is %d", got)
	}
	if got := fromReal[int8](-129.7); got != 127 {
		t.Errorf("int8 of -129.7 is %d", got)
	}
}

func TestTextIsReadAsNumbers(t *testing.T) {
	for _, c := range []struct {
		text    string
		integer int64
		float   float64
		ok      [2]bool // readable as an integer, as a float
	}{
		{"7", 7, 7, [2]bool{true, true}},
		{" -7 ", -7, -7, [2]bool{true, true}},
		{"1.9", 1, 1.9, [2]bool{true, true}},
		{"-2e3", -2000, -2000, [2]bool{true, true}},
		{"9223372036854775807", math.MaxInt64, math.MaxInt64, [2]bool{true, true}},
		{"INF", 0, math.Inf(1), [2]bool{false, true}},
		{"", 0, 0, [2]bool{}},
		{"seven", 0, 0, [2]bool{}},
		{"1e999", 0, 0, [2]bool{}},
		{strings.Repeat("1", 1<<10+1), 0, 0, [2]bool{}},
	} {
		s := scalar{kind: text, s: c.text}
		i, err := intOf[int64](&s)
		if i != c.integer || (err == nil) != c.ok[0] {
			t.Errorf("%q is the integer %d (%v)", c.text, i, err)
		}
		f, err := floatOf[float64](&s)
		if f != c.float || (err == nil) != c.ok[1] {
			t.Errorf("%q is the float %v (%v)", c.text, f, err)
		}
	}
}
