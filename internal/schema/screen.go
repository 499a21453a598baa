package schema

import (
	"math"

	"onnxgate/internal/tensor"
)

// screen finds out at the cost of two comparisons for each element that a tensor
// keeps all ranges, so that only one that does not is looked at rule by rule.
// Made once, for the inputs whose features have no other rules.
type screen interface {
	passes(t *tensor.Tensor) bool
}

// newScreen returns the screen of an input, nil when its features need more than
// a range, or are of a type that is not worth one.
func newScreen(fields []*field) screen { //nolint:ireturn // one for each type
	if len(fields) == 0 {
		return nil
	}
	for _, f := range fields {
		if len(f.Enum) > 0 || f.dtype != fields[0].dtype {
			return nil
		}
	}
	switch fields[0].dtype {
	case tensor.Float32:
		return floatScreen[float32](fields, least32)
	case tensor.Float64:
		return floatScreen[float64](fields, func(limit float64) float64 { return limit })
	case tensor.Int8:
		return intScreen[int8](fields)
	case tensor.Int16:
		return intScreen[int16](fields)
	case tensor.Int32:
		return intScreen[int32](fields)
	case tensor.Int64:
		return intScreen[int64](fields)
	case tensor.Uint8:
		return intScreen[uint8](fields)
	case tensor.Uint16:
		return intScreen[uint16](fields)
	case tensor.Uint32:
		return intScreen[uint32](fields)
	case tensor.Bool:
		return free{}
	case tensor.Uint64, tensor.Half, tensor.String, tensor.Undefined:
	}
	return nil
}

// free is the screen of what has no rules.
type free struct{}

func (free) passes(*tensor.Tensor) bool { return true }

// ranges are the closed ranges of columns, which repeat row by row; or of one
// feature that takes all elements.
type ranges[T tensor.Element] struct {
	lo, hi   []T
	nullable []bool
}

func floatScreen[T float32 | float64](fields []*field, least func(float64) T) *ordered[T] {
	s := &ordered[T]{ranges[T]{nullable: make([]bool, len(fields))}}
	for i, f := range fields {
		s.lo = append(s.lo, least(f.flo))
		s.hi = append(s.hi, -least(-f.fhi))
		s.nullable[i] = f.Nullable
	}
	return s
}

func intScreen[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](fields []*field) *ordered[T] {
	s := &ordered[T]{ranges[T]{nullable: make([]bool, len(fields))}}
	for _, f := range fields {
		s.lo, s.hi = append(s.lo, T(f.ilo)), append(s.hi, T(f.ihi)) // within T, by its own range
	}
	return s
}

// ordered is the screen of numbers.
type ordered[T float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32] struct{ ranges[T] }

func (s *ordered[T]) passes(t *tensor.Tensor) bool {
	data := tensor.Of[T](t)
	if len(s.lo) == 1 {
		return s.column(data)
	}
	for len(data) >= len(s.lo) {
		row := data[:len(s.lo)]
		for k, x := range row {
			if within := x >= s.lo[k] && x <= s.hi[k]; !within && (x == x || !s.nullable[k]) { //nolint:gocritic // NaN alone is not itself
				return false
			}
		}
		data = data[len(s.lo):]
	}
	return len(data) == 0
}

// column holds all elements to one range.
func (s *ordered[T]) column(data []T) bool {
	lo, hi, nullable := s.lo[0], s.hi[0], s.nullable[0]
	for _, x := range data {
		if within := x >= lo && x <= hi; !within && (x == x || !nullable) { //nolint:gocritic // NaN alone is not itself
			return false
		}
	}
	return true
}

// least32 returns the least float32 that stands for a decimal of at least limit:
// shortest says which that is, and grows with its argument.
func least32(limit float64) float32 {
	x := float32(limit)
	if math.IsInf(float64(x), 0) {
		return x
	}
	for shortest(float64(x)) < limit {
		x = math.Nextafter32(x, float32(math.Inf(1)))
	}
	for {
		below := math.Nextafter32(x, float32(math.Inf(-1)))
		if math.IsInf(float64(below), 0) || shortest(float64(below)) < limit {
			return x
		}
		x = below
	}
}
