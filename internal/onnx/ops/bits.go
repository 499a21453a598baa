package ops

import (
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// bitOps works on the bits of integers.
var bitOps = []Operator{
	{"", "BitShift", 11, two, one, parseBitShift},
	{"", "BitwiseAnd", 18, two, one, parseBitwiseAnd},
	{"", "BitwiseOr", 18, two, one, parseBitwiseOr},
	{"", "BitwiseXor", 18, two, one, parseBitwiseXor},
	{"", "BitwiseNot", 18, one, one, parseBitwiseNot},
}

var (
	unsignedElem = []tensor.DType{tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64}
	integerElem  = append([]tensor.DType{tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64}, unsignedElem...)
)

type bitwise uint8

const (
	bitAnd bitwise = iota
	bitOr
	bitXor
	bitNot
	shiftLeft
	shiftRight
)

// parseBitwiseAnd reads BitwiseAnd (ai.onnx 18).
func parseBitwiseAnd(n *Node) Kernel { return parseBits(n, bitAnd, integerElem) }

// parseBitwiseOr reads BitwiseOr (ai.onnx 18).
func parseBitwiseOr(n *Node) Kernel { return parseBits(n, bitOr, integerElem) }

// parseBitwiseXor reads BitwiseXor (ai.onnx 18).
func parseBitwiseXor(n *Node) Kernel { return parseBits(n, bitXor, integerElem) }

// parseBitwiseNot reads BitwiseNot (ai.onnx 18).
func parseBitwiseNot(n *Node) Kernel { return parseBits(n, bitNot, integerElem) }

// parseBitShift reads BitShift (ai.onnx 11, 28). A negative shift, or one by as
// many bits as there are or more, leaves nothing but copies of the sign.
func parseBitShift(n *Node) Kernel {
	n.Need("direction")
	op, allowed := shiftLeft, unsignedElem
	switch direction := n.String("direction", "LEFT"); direction {
	case "LEFT":
	case "RIGHT":
		op = shiftRight
	default:
		n.Failf("attribute \"direction\" is %s; it must be LEFT or RIGHT", onnx.Quote(direction))
	}
	if n.Version >= 28 {
		allowed = integerElem
	}
	return parseBits(n, op, allowed)
}

func parseBits(n *Node, op bitwise, allowed []tensor.DType) Kernel {
	d := n.Elem(0, allowed...)
	if op != bitNot {
		if e := n.Elem(1, allowed...); e != d {
			n.Failf("input 1 is of %v, input 0 of %v; they must agree", e, d)
		}
	}
	if n.err != nil {
		return nil
	}
	if op == bitNot {
		n.SetOut(0, n.In[0].Type)
	} else {
		n.SetOut(0, broadcastTypes(n, d))
	}
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Int8:
		return bitKernel[int8](n, op)
	case tensor.Int16:
		return bitKernel[int16](n, op)
	case tensor.Int32:
		return bitKernel[int32](n, op)
	case tensor.Int64:
		return bitKernel[int64](n, op)
	case tensor.Uint8:
		return bitKernel[uint8](n, op)
	case tensor.Uint16:
		return bitKernel[uint16](n, op)
	case tensor.Uint32:
		return bitKernel[uint32](n, op)
	}
	return bitKernel[uint64](n, op)
}

func bitKernel[T integer](n *Node, op bitwise) Kernel {
	switch op {
	case bitAnd:
		return binary(n, fit{axis: -1}, rowOf(func(a, b T) T { return a & b }))
	case bitOr:
		return binary(n, fit{axis: -1}, rowOf(func(a, b T) T { return a | b }))
	case bitXor:
		return binary(n, fit{axis: -1}, rowOf(func(a, b T) T { return a ^ b }))
	case bitNot:
		return mapped(func(v T) T { return ^v })
	case shiftRight:
		return binary(n, fit{axis: -1}, rowOf(func(a, b T) T { return a >> shiftBy(b) }))
	case shiftLeft:
	}
	return binary(n, fit{axis: -1}, rowOf(func(a, b T) T { return a << shiftBy(b) }))
}

// shiftBy is how far to shift: a negative count shifts everything out.
func shiftBy[T integer](count T) uint64 {
	return uint64(count)
}
