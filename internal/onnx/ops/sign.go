package ops

import (
	"math"

	"onnxgate/internal/tensor"
)

// signRule is what Abs, Neg, Sign and Relu do, which know integers too.
type signRule uint8

const (
	absOf signRule = iota
	negOf
	signOf
	reluOf
)

// signedElem is what Neg takes.
var signedElem = []tensor.DType{
	tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
}

// numeric returns the parse function of Abs, Neg (ai.onnx 1, 6, 13) and Sign
// (9, 13). The least integer, which has no opposite, stays what it is.
func numeric(allowed []tensor.DType, rule signRule) func(*Node) Kernel {
	return func(n *Node) Kernel {
		if n.Version < 6 {
			return signKernel(n, floatElem, rule)
		}
		return signKernel(n, allowed, rule)
	}
}

// parseRelu reads Relu (ai.onnx 1, 6, 13, 14).
func parseRelu(n *Node) Kernel {
	if n.Version < 14 {
		return signKernel(n, floatElem, reluOf)
	}
	return signKernel(n, signedElem, reluOf)
}

func signKernel(n *Node, allowed []tensor.DType, rule signRule) Kernel {
	d := unaryElem(n, allowed)
	if n.err != nil {
		return nil
	}
	switch d {
	case tensor.Float32:
		if rule == absOf {
			return pointwise(absRow32)
		}
		return pointwise(signRow[float32](rule))
	case tensor.Float64:
		return pointwise(signRow[float64](rule))
	case tensor.Half:
		return pointwise(signHalves(rule))
	case tensor.Int8:
		return pointwise(signRow[int8](rule))
	case tensor.Int16:
		return pointwise(signRow[int16](rule))
	case tensor.Int32:
		return pointwise(signRow[int32](rule))
	case tensor.Int64:
		return pointwise(signRow[int64](rule))
	case tensor.Uint8:
		return pointwise(signRow[uint8](rule))
	case tensor.Uint16:
		return pointwise(signRow[uint16](rule))
	case tensor.Uint32:
		return pointwise(signRow[uint32](rule))
	case tensor.Uint64:
		return pointwise(signRow[uint64](rule))
	case tensor.Bool, tensor.String, tensor.Undefined: // no operator allows them
	}
	return nil
}

func signRow[T number](rule signRule) func(dst, x []T) {
	switch rule {
	case absOf:
		return absRow[T]
	case negOf:
		return negRow[T]
	case signOf:
		return signumRow[T]
	case reluOf:
	}
	return reluRow[T]
}

func absRow[T number](dst, x []T) {
	for i, v := range x {
		if v <= 0 {
			v = 0 - v // not -v: the opposite of 0 is -0 for floats
		}
		dst[i] = v
	}
}

// absRow32 does without a branch.
func absRow32(dst, x []float32) {
	const minus = 1 << 31
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = math.Float32frombits(math.Float32bits(v) &^ minus)
	}
}

func negRow[T number](dst, x []T) {
	for i, v := range x {
		dst[i] = -v
	}
}

// signumRow gives -1, 0 or 1; zero and NaN stay what they are.
func signumRow[T number](dst, x []T) {
	for i, v := range x {
		switch {
		case v > 0:
			v = 1
		case v < 0:
			v = 0
			v--
		}
		dst[i] = v
	}
}

// reluRow lets NaN pass.
func reluRow[T number](dst, x []T) {
	for i, v := range x {
		dst[i] = max(v, 0)
	}
}

func signHalves(rule signRule) func(dst, x []tensor.Float16) {
	const minus = 0x8000
	fn := func(v tensor.Float16) tensor.Float16 { return v &^ minus }
	switch rule {
	case absOf:
	case negOf:
		fn = func(v tensor.Float16) tensor.Float16 { return v ^ minus }
	case signOf:
		fn = func(v tensor.Float16) tensor.Float16 {
			if x := fromHalf(v); x != 0 && !math.IsNaN(float64(x)) {
				return toHalf(float32(math.Copysign(1, float64(x))))
			}
			return v
		}
	case reluOf:
		fn = func(v tensor.Float16) tensor.Float16 { return toHalf(max(fromHalf(v), 0)) }
	}
	return func(dst, x []tensor.Float16) {
		for i, v := range x {
			dst[i] = fn(v)
		}
	}
}
