package tensor

import (
	"fmt"
	"math"
)

// Convert returns t as a tensor of the given type, or t itself when it is one.
// Numbers become numbers of another type: a floating-point one is rounded to
// the nearest, and everything else is an error, which names the first element
// that the type cannot hold. Strings and booleans become nothing else.
func Convert(t *Tensor, to DType) (*Tensor, error) {
	if t.dtype == to {
		return t, nil
	}
	switch t.dtype {
	case Float32:
		return convertFrom(t, to, func(v float32) number { return number{f: float64(v)} })
	case Float64:
		return convertFrom(t, to, func(v float64) number { return number{f: v} })
	case Half:
		return convertFrom(t, to, func(v Float16) number { return number{f: v.Float64()} })
	case Int8:
		return convertFrom(t, to, whole[int8])
	case Int16:
		return convertFrom(t, to, whole[int16])
	case Int32:
		return convertFrom(t, to, whole[int32])
	case Int64:
		return convertFrom(t, to, whole[int64])
	case Uint8:
		return convertFrom(t, to, natural[uint8])
	case Uint16:
		return convertFrom(t, to, natural[uint16])
	case Uint32:
		return convertFrom(t, to, natural[uint32])
	case Uint64:
		return convertFrom(t, to, natural[uint64])
	case Undefined, String, Bool:
	}
	return nil, inconvertible(t, to)
}

func inconvertible(t *Tensor, to DType) error {
	return fmt.Errorf("%v does not become %v", t.dtype, to)
}

// number is one element on its way from a type to another: a whole number as
// its sign and magnitude, or f.
type number struct {
	f         float64
	magnitude uint64
	negative  bool
	whole     bool
}

func whole[T int8 | int16 | int32 | int64](v T) number {
	n := number{magnitude: uint64(int64(v)), negative: v < 0, whole: true} //nolint:gosec // G115: the sign is taken care of
	if n.negative {
		n.magnitude = -n.magnitude
	}
	return n
}

func natural[T uint8 | uint16 | uint32 | uint64](v T) number {
	return number{magnitude: uint64(v), whole: true}
}

// float returns the value as a float64, rounded once.
func (n number) float() float64 {
	switch {
	case !n.whole:
		return n.f
	case n.negative:
		return -float64(n.magnitude)
	}
	return float64(n.magnitude)
}

// integer returns sign and magnitude, and false for what is no whole number of
// at most 64 bits.
func (n number) integer() (magnitude uint64, negative, ok bool) {
	if n.whole {
		return n.magnitude, n.negative, true
	}
	if n.f != math.Trunc(n.f) || math.Abs(n.f) >= 1<<64 {
		return 0, false, false
	}
	return uint64(math.Abs(n.f)), n.f < 0, true
}

func convertFrom[S Element](t *Tensor, to DType, read func(S) number) (*Tensor, error) {
	switch to {
	case Float32:
		return convertTo(t, read, func(n number) (float32, bool) {
			v := float32(n.float())
			return v, !math.IsInf(float64(v), 0) || math.IsInf(n.float(), 0)
		})
	case Float64:
		return convertTo(t, read, func(n number) (float64, bool) { return n.float(), true })
	case Half:
		return convertTo(t, read, func(n number) (Float16, bool) {
			v := NewFloat16(n.float())
			return v, !math.IsInf(v.Float64(), 0) || math.IsInf(n.float(), 0)
		})
	case Int8:
		return convertTo(t, read, signed[int8](math.MaxInt8))
	case Int16:
		return convertTo(t, read, signed[int16](math.MaxInt16))
	case Int32:
		return convertTo(t, read, signed[int32](math.MaxInt32))
	case Int64:
		return convertTo(t, read, signed[int64](math.MaxInt64))
	case Uint8:
		return convertTo(t, read, unsigned[uint8](math.MaxUint8))
	case Uint16:
		return convertTo(t, read, unsigned[uint16](math.MaxUint16))
	case Uint32:
		return convertTo(t, read, unsigned[uint32](math.MaxUint32))
	case Uint64:
		return convertTo(t, read, unsigned[uint64](math.MaxUint64))
	case Undefined, String, Bool:
	}
	return nil, inconvertible(t, to)
}

func signed[T int8 | int16 | int32 | int64](most uint64) func(number) (T, bool) {
	return func(n number) (T, bool) {
		magnitude, negative, ok := n.integer()
		switch {
		case !ok:
			return 0, false
		case negative:
			return T(-int64(magnitude)), magnitude <= most+1 //nolint:gosec // G115: the bound is beside it
		}
		return T(magnitude), magnitude <= most
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](most uint64) func(number) (T, bool) {
	return func(n number) (T, bool) {
		magnitude, negative, ok := n.integer()
		return T(magnitude), ok && magnitude <= most && (!negative || magnitude == 0)
	}
}

func convertTo[S, D Element](t *Tensor, read func(S) number, write func(number) (D, bool)) (*Tensor, error) {
	from := Of[S](t)
	out := make([]D, len(from))
	for i, v := range from {
		n := read(v)
		made, ok := write(n)
		if !ok {
			return nil, fmt.Errorf("element %d, %v, is no %v", i, v, DTypeOf[D]())
		}
		out[i] = made
	}
	return New(t.shape, out)
}
