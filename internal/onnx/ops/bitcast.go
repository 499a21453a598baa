package ops

import (
	"math"

	"onnxgate/internal/tensor"
)

// bitCastOps reads the bits of one element type as those of another.
var bitCastOps = []Operator{
	{"", "BitCast", 26, one, one, parseBitCast},
}

// parseBitCast reads BitCast (ai.onnx 26). The shape stays, since the types are of
// one size. As a bool, all bits but zero are true.
func parseBitCast(n *Node) Kernel {
	n.Need("to")
	to := tensor.DType(max(0, min(n.Int("to", 0), math.MaxUint8)))
	from := n.Elem(0, anyElem...)
	if !to.Valid() || to == tensor.String || from == tensor.String {
		n.Failf("attribute \"to\" or the input is of an element type whose bits cannot be read")
	}
	if n.err != nil {
		return nil
	}
	if from.Size() != to.Size() {
		n.Failf("the bits of a %v are not as many as those of a %v", from, to)
		return nil
	}
	if from == to {
		n.SetAlias()
		return nil
	}
	out := n.In[0].Type
	out.Elem = to
	n.SetOut(0, out)
	switch from {
	case tensor.Float32:
		return bitsOf(to, func(v float32) uint64 { return uint64(math.Float32bits(v)) })
	case tensor.Float64:
		return bitsOf(to, math.Float64bits)
	case tensor.Half:
		return bitsOf(to, func(v tensor.Float16) uint64 { return uint64(v) })
	case tensor.Bool:
		return bitsOf(to, func(v bool) uint64 {
			if v {
				return 1
			}
			return 0
		})
	case tensor.Int8:
		return bitsOf(to, lowBits[int8])
	case tensor.Int16:
		return bitsOf(to, lowBits[int16])
	case tensor.Int32:
		return bitsOf(to, lowBits[int32])
	case tensor.Int64:
		return bitsOf(to, lowBits[int64])
	case tensor.Uint8:
		return bitsOf(to, lowBits[uint8])
	case tensor.Uint16:
		return bitsOf(to, lowBits[uint16])
	case tensor.Uint32:
		return bitsOf(to, lowBits[uint32])
	case tensor.Uint64:
		return bitsOf(to, lowBits[uint64])
	case tensor.String, tensor.Undefined: // refused above
	}
	return nil
}

// lowBits has the bits of v at its lower end; those above are the sign's.
func lowBits[T integer](v T) uint64 { return uint64(v) }

// bitsOf returns the kernel to a type from one that read gives the bits of, of
// which the lower ones count.
func bitsOf[S tensor.Element](to tensor.DType, read func(S) uint64) Kernel {
	switch to {
	case tensor.Float32:
		return fromBits(read, func(b uint64) float32 { return math.Float32frombits(uint32(b)) }) //nolint:gosec // the lower bits
	case tensor.Float64:
		return fromBits(read, math.Float64frombits)
	case tensor.Half:
		return fromBits(read, func(b uint64) tensor.Float16 { return tensor.Float16(b) }) //nolint:gosec // the lower bits
	case tensor.Bool:
		return fromBits(read, func(b uint64) bool { return b != 0 })
	case tensor.Int8:
		return fromBits(read, asLowBits[int8])
	case tensor.Int16:
		return fromBits(read, asLowBits[int16])
	case tensor.Int32:
		return fromBits(read, asLowBits[int32])
	case tensor.Int64:
		return fromBits(read, asLowBits[int64])
	case tensor.Uint8:
		return fromBits(read, asLowBits[uint8])
	case tensor.Uint16:
		return fromBits(read, asLowBits[uint16])
	case tensor.Uint32:
		return fromBits(read, asLowBits[uint32])
	case tensor.Uint64:
		return fromBits(read, asLowBits[uint64])
	case tensor.String, tensor.Undefined:
	}
	return nil
}

func asLowBits[T integer](b uint64) T { return T(b) }

func fromBits[S, D tensor.Element](read func(S) uint64, write func(uint64) D) Kernel {
	return pointwise(func(dst []D, x []S) {
		x = x[:len(dst)]
		for i, v := range x {
			dst[i] = write(read(v))
		}
	})
}
