package tree

import "math"

// finder finds the cell of a value on the axis of a slot. It divides the range
// of the bounds into buckets of equal width, which suits what models are
// trained on better than the order of floats does: that has as many places
// below a thousandth as above it.
type finder[T float] struct {
	bounds    []T      // ascending; a value's cell counts those below it
	start     []uint32 // of each bucket: the bounds in the buckets before it
	lo, scale float64  // of values, to where they are among the buckets
	window    int      // bounds that one bucket holds at most, 0 for too many
	first     uint32   // the cell below all bounds
	nan       uint32   // the cell of NaN
	axis      *axis    // for values when window is 0
}

const (
	bucketsABound = 2
	maxWindow     = 8
)

func newFinder[T float](s *slot) finder[T] {
	a := &s.axis
	f := finder[T]{axis: a, nan: place(a.nan)}
	if s.nanFirst {
		f.first, f.nan = 1, 0
	}
	f.bounds = make([]T, a.n, a.n+min(a.n, maxWindow))
	for i, k := range a.bounds[:a.n] {
		f.bounds[i] = floor[T](k)
	}
	f.divide()
	for range f.window {
		f.bounds = append(f.bounds, T(math.Inf(1)))
	}
	return f
}

// floor returns the highest T whose order is not above k.
func floor[T float](k uint64) T {
	v := T(unorder(k))
	if order(float64(v)) <= k {
		return v
	}
	// T is float32: a float64 is itself.
	return T(math.Nextafter32(float32(v), float32(math.Inf(-1))))
}

// divide makes the buckets.
func (f *finder[T]) divide() {
	n := len(f.bounds)
	buckets := bucketsABound*n + 2
	f.start = make([]uint32, buckets)
	if n > 0 {
		f.lo = max(float64(f.bounds[0]), -math.MaxFloat64)
		f.scale = float64(buckets-1) / (float64(f.bounds[n-1]) - f.lo)
		if !(f.scale > 0) || math.IsInf(f.scale, 0) {
			f.scale = math.SmallestNonzeroFloat64 // one bound, or a range beyond all floats
		}
	}
	for i, last, here := 0, 0, 0; i < n; i++ {
		b := f.bucket(f.bounds[i])
		if b != last {
			last, here = b, 0
		}
		here++
		f.window = max(f.window, here)
		if b+1 < buckets {
			f.start[b+1]++
		}
	}
	for b := 1; b < buckets; b++ {
		f.start[b] += f.start[b-1]
	}
	if f.window > maxWindow {
		f.window, f.start = 0, nil
	}
}

// bucket returns the bucket of a number, which does not fall when the number
// rises. Adding 2^52 puts the whole part of a small number at its last bits; it
// and what follows take no branch.
func (f *finder[T]) bucket(x T) int {
	const whole = 1 << 52
	at := float64((float64(x)-f.lo)*f.scale) + whole                        // no fused operation: all calls round alike
	return int(clamp(order(at), signBit|wholeBits, uint64(len(f.start)-1))) //nolint:gosec // a position
}

// wholeBits are those of 2^52.
const wholeBits = (1023 + 52) << 52

// cell returns the cell of x.
func (f *finder[T]) cell(x T) uint32 {
	if x != x {
		return f.nan
	}
	if f.window == 0 {
		return f.first + place(f.axis.cell(float64(x)))
	}
	below := f.start[f.bucket(x)]
	c := f.first + below
	for _, b := range f.bounds[below:][:f.window] {
		c += lower(b, x)
	}
	return c
}

// lower returns 1 when a is below b, and 0 otherwise.
func lower[T float](a, b T) uint32 {
	var one uint32
	if a < b {
		one = 1
	}
	return one
}
