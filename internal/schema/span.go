package schema

import (
	"math"

	"onnxgate/internal/tensor"
)

// span is the float32 numbers that keep a feature's limits, ends included: those
// whose shortest decimals do. Decimals of greater numbers are greater, so that
// each end is found once, when the schema is compiled, and large tensors are held
// to two comparisons for each number.
type span struct {
	lo, hi float32
	// missing says that NaN keeps the limits, too.
	missing bool
	// exact says that the limits are all the rules that there are.
	exact bool
}

// compileSpans finds the spans of the features of float32.
func (s *Schema) compileSpans() {
	for i := range s.fields {
		if f := &s.fields[i]; f.dtype == tensor.Float32 {
			f.span = span{missing: f.Nullable, exact: len(f.Enum) == 0, lo: end(f.flo, 1), hi: end(f.fhi, -1)}
		}
	}
}

// end returns the first float32 from the outside of a limit on whose shortest
// decimal keeps it. Inside is where the limit's numbers are, 1 or -1.
func end(limit, inside float64) float32 {
	keeps := func(x float32) bool { return (shortest(float64(x), 32)-limit)*inside >= 0 }
	inward, outward := float32(math.Inf(int(inside))), float32(math.Inf(-int(inside)))
	x := float32(limit)
	for !keeps(x) {
		x = math.Nextafter32(x, inward)
	}
	for next := math.Nextafter32(x, outward); !math.IsInf(float64(next), 0) && keeps(next); next = math.Nextafter32(x, outward) {
		x = next
	}
	return x
}

// keepSpans reports whether every element of a float32 tensor keeps the rules of its
// column; false says that it has to be looked at more closely.
func keepSpans(t *tensor.Tensor, columns []*field, whole bool) bool {
	data := tensor.Of[float32](t)
	if len(data) == 0 {
		return false
	}
	spans := make([]span, 0, 16) // of most models, on the stack
	for _, f := range columns {
		if !f.span.exact {
			return false
		}
		spans = append(spans, f.span)
	}
	if whole {
		spans = spans[:1]
	}
	for len(data) > 0 {
		for i := range spans {
			s := &spans[i]
			if x := data[i]; !(x >= s.lo && x <= s.hi) && !(s.missing && x != x) {
				return false
			}
		}
		data = data[len(spans):]
	}
	return true
}
