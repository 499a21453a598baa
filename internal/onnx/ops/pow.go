package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// parsePow reads Pow (ai.onnx 1, 7, 12, 13, 15). From version 12 on the
// exponents may be of any numeric type; the result has the type of the bases.
func parsePow(n *Node) Kernel {
	bases, exponents := floatElem, floatElem
	if n.Version >= 12 {
		bases, exponents = powElem, numericElem
	}
	m := parseFit(n)
	d, e := n.Elem(0, bases...), n.Elem(1, exponents...)
	if n.Version < 12 && d != e {
		n.Failf("input 1 is of %v, input 0 of %v; they must agree", e, d)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, m.outType(n, d))
	n.over = m.keepsFirst(n)
	read := reals(n, e)
	whole := e != tensor.Float32 && e != tensor.Float64 && e != tensor.Half
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return powers(n, m, read)
	case tensor.Float64:
		return binaryWith(n, m, read, rowOf(powerOf))
	case tensor.Half:
		return binaryWith(n, m, read, rowOf(func(x tensor.Float16, y float64) tensor.Float16 {
			return halfFromReal(powerOf(float64(fromHalf(x)), y))
		}))
	case tensor.Int32:
		return binaryWith(n, m, read, powerOfInts[int32](whole))
	case tensor.Int64:
		return binaryWith(n, m, read, powerOfInts[int64](whole))
	}
	return nil
}

var powElem = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Half, tensor.Int32, tensor.Int64}

// reals returns how to read input 1, of type d, as float64.
func reals(n *Node, d tensor.DType) func(context.Context, *Frame) ([]float64, error) {
	switch d {
	case tensor.Float32:
		return realsOf(n, asReal[float32])
	case tensor.Float64:
		return func(_ context.Context, f *Frame) ([]float64, error) { return Input[float64](f, 1), nil }
	case tensor.Half:
		return realsOf(n, func(h tensor.Float16) float64 { return float64(fromHalf(h)) })
	case tensor.Int8:
		return realsOf(n, asReal[int8])
	case tensor.Int16:
		return realsOf(n, asReal[int16])
	case tensor.Int32:
		return realsOf(n, asReal[int32])
	case tensor.Int64:
		return realsOf(n, asReal[int64])
	case tensor.Uint8:
		return realsOf(n, asReal[uint8])
	case tensor.Uint16:
		return realsOf(n, asReal[uint16])
	case tensor.Uint32:
		return realsOf(n, asReal[uint32])
	case tensor.Uint64:
		return realsOf(n, asReal[uint64])
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed
	}
	return nil
}

func asReal[T number](v T) float64 { return float64(v) }

func realsOf[T tensor.Element](n *Node, read func(T) float64) func(context.Context, *Frame) ([]float64, error) {
	scratch := n.NeedScratch()
	return func(ctx context.Context, f *Frame) ([]float64, error) {
		src := Input[T](f, 1)
		dst, err := Scratch[float64](f, scratch, len(src))
		if err != nil {
			return nil, err
		}
		return dst, inBlocks(ctx, len(src), func(at, end int) error {
			for i, v := range src[at:end] {
				dst[at+i] = read(v)
			}
			return nil
		})
	}
}

// powerOf is math.Pow, with the exponents that models have most often first.
func powerOf(x, y float64) float64 {
	switch y {
	case 2:
		return x * x
	case 1:
		return x
	}
	return math.Pow(x, y)
}

// powers returns the kernel of bases of float32. A single exponent is not repeated.
func powers(n *Node, m fit, read func(context.Context, *Frame) ([]float64, error)) Kernel {
	each := binaryWith(n, m, read, powerRow32)
	if n.Version < 7 {
		return each
	}
	return func(ctx context.Context, f *Frame) error {
		shape, exponent := f.In(0).Shape(), f.In(1).Shape()
		if len(exponent) > len(shape) || product(exponent) != 1 {
			return each(ctx, f)
		}
		y, err := read(ctx, f)
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, shape...)
		if err != nil {
			return err
		}
		x := Input[float32](f, 0)
		return inBlocks(ctx, len(dst), func(at, end int) error {
			linalg.Powers(dst[at:end], x[at:end], y[0])
			return nil
		})
	}
}

// powerRow32 takes a row with one exponent together.
func powerRow32(dst, x []float32, y []float64) bool {
	for _, e := range y[:len(dst)] {
		if e != y[0] {
			linalg.PowersOf(dst, x[:len(dst)], y)
			return true
		}
	}
	linalg.Powers(dst, x[:len(dst)], y[0])
	return true
}

// powerOfInts gives exact powers of integers, which wrap around. Where the
// exponents are no integers, or negative, it truncates the real result.
func powerOfInts[T int32 | int64](whole bool) row[T, float64, T] {
	return rowOf(func(x T, y float64) T {
		if !whole || y < 0 {
			return fromReal[T](math.Pow(float64(x), y))
		}
		result := T(1)
		for k := uint64(min(y, 1<<63)); k > 0; k >>= 1 {
			if k&1 == 1 {
				result *= x
			}
			x *= x
		}
		return result
	})
}
