package ops

import (
	"context"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// castOps changes element types.
var castOps = []Operator{
	{"", "Cast", 1, one, one, parseCast},
	{"", "CastLike", 15, two, one, parseCastLike},
}

// parseCast reads Cast (ai.onnx 1, 6, 9, 13, 19, 21, 23, 24, 25, 28).
func parseCast(n *Node) Kernel {
	n.Need("to")
	var to tensor.DType
	if n.Version < 6 {
		to = dtypeNamed(n.String("to", ""))
	} else if v := n.Int("to", 0); v > 0 && v < 255 {
		to = tensor.DType(v)
	}
	if !to.Valid() {
		n.Failf("attribute \"to\" asks for an element type that is not supported")
	}
	return castTo(n, to)
}

// parseCastLike reads CastLike (ai.onnx 15, 19, 21, 23, 24, 25), which takes the
// type of input 1 and not its value.
func parseCastLike(n *Node) Kernel { return castTo(n, n.Elem(1, anyElem...)) }

// castTo reads what Cast and CastLike have in common. saturate and round_mode
// concern only float8 types, which the engine does not hold.
func castTo(n *Node, to tensor.DType) Kernel {
	if n.Version >= 19 {
		n.Int("saturate", 1)
	}
	if n.Version >= 24 {
		n.String("round_mode", "up")
	}
	from := n.Elem(0, anyElem...)
	if n.err != nil {
		return nil
	}
	if from == to {
		n.SetAlias()
		return nil
	}
	out := n.In[0].Type
	out.Elem = to
	n.SetOut(0, out)
	n.Inherit()
	return castKernel(from, to)
}

// dtypeNamed returns the type that version 1 of Cast spells such as "FLOAT".
func dtypeNamed(name string) tensor.DType {
	switch name {
	case "FLOAT":
		return tensor.Float32
	case "DOUBLE":
		return tensor.Float64
	}
	for d := tensor.Float32; d.Valid(); d++ {
		if strings.EqualFold(d.String(), name) {
			return d
		}
	}
	return tensor.Undefined
}

// castKernel returns the kernel for two different types.
func castKernel(from, to tensor.DType) Kernel {
	switch from {
	case tensor.Float32:
		return castReals[float32](to)
	case tensor.Float64:
		return castReals[float64](to)
	case tensor.Int8:
		return castInts(to, fromSigned[int8])
	case tensor.Int16:
		return castInts(to, fromSigned[int16])
	case tensor.Int32:
		return castInts(to, fromSigned[int32])
	case tensor.Int64:
		return castInts(to, fromSigned[int64])
	case tensor.Uint8:
		return castInts(to, fromUnsigned[uint8])
	case tensor.Uint16:
		return castInts(to, fromUnsigned[uint16])
	case tensor.Uint32:
		return castInts(to, fromUnsigned[uint32])
	case tensor.Uint64:
		return castInts(to, fromUnsigned[uint64])
	case tensor.Half:
		return castOthers(to, func(v tensor.Float16) scalar { return scalar{kind: floatingPoint, f: float64(fromHalf(v))} })
	case tensor.Bool:
		return castBools(to)
	case tensor.String:
		return castOthers(to, func(v string) scalar { return scalar{kind: text, s: v} })
	case tensor.Undefined:
	}
	return nil
}

// castReals and castInts return the kernels between the numbers of Go.
func castReals[S floating](to tensor.DType) Kernel {
	switch to {
	case tensor.Float32:
		return pointwise(convert[S, float32])
	case tensor.Float64:
		return pointwise(convert[S, float64])
	case tensor.Int8:
		return pointwise(truncate[S, int8])
	case tensor.Int16:
		return pointwise(truncate[S, int16])
	case tensor.Int32:
		return pointwise(truncate[S, int32])
	case tensor.Int64:
		return pointwise(truncate[S, int64])
	case tensor.Uint8:
		return pointwise(truncate[S, uint8])
	case tensor.Uint16:
		return pointwise(truncate[S, uint16])
	case tensor.Uint32:
		return pointwise(truncate[S, uint32])
	case tensor.Uint64:
		return pointwise(truncate[S, uint64])
	case tensor.Bool:
		return pointwise(isNotZero[S])
	case tensor.Half, tensor.String, tensor.Undefined:
	}
	return castToOthers(to, func(v S) scalar { return scalar{kind: floatingPoint, f: float64(v)} })
}

func castInts[S integer](to tensor.DType, read func(S) scalar) Kernel {
	switch to {
	case tensor.Float32:
		return pointwise(convert[S, float32])
	case tensor.Float64:
		return pointwise(convert[S, float64])
	case tensor.Int8:
		return pointwise(convert[S, int8])
	case tensor.Int16:
		return pointwise(convert[S, int16])
	case tensor.Int32:
		return pointwise(convert[S, int32])
	case tensor.Int64:
		return pointwise(convert[S, int64])
	case tensor.Uint8:
		return pointwise(convert[S, uint8])
	case tensor.Uint16:
		return pointwise(convert[S, uint16])
	case tensor.Uint32:
		return pointwise(convert[S, uint32])
	case tensor.Uint64:
		return pointwise(convert[S, uint64])
	case tensor.Bool:
		return pointwise(isNotZero[S])
	case tensor.Half, tensor.String, tensor.Undefined:
	}
	return castToOthers(to, read)
}

// castBools returns the kernels from bool, the usual ones without a branch for each
// element.
func castBools(to tensor.DType) Kernel {
	switch to { //nolint:exhaustive // the others are below
	case tensor.Float32:
		return pointwise(oneOrZero[float32])
	case tensor.Float64:
		return pointwise(oneOrZero[float64])
	case tensor.Int32:
		return pointwise(oneOrZero[int32])
	case tensor.Int64:
		return pointwise(oneOrZero[int64])
	}
	return castOthers(to, fromBool)
}

// castOthers returns the kernels from what is no number of Go.
func castOthers[S tensor.Element](to tensor.DType, read func(S) scalar) Kernel {
	switch to {
	case tensor.Float32:
		return cast(read, floatOf[float32])
	case tensor.Float64:
		return cast(read, floatOf[float64])
	case tensor.Int8:
		return cast(read, intOf[int8])
	case tensor.Int16:
		return cast(read, intOf[int16])
	case tensor.Int32:
		return cast(read, intOf[int32])
	case tensor.Int64:
		return cast(read, intOf[int64])
	case tensor.Uint8:
		return cast(read, intOf[uint8])
	case tensor.Uint16:
		return cast(read, intOf[uint16])
	case tensor.Uint32:
		return cast(read, intOf[uint32])
	case tensor.Uint64:
		return cast(read, intOf[uint64])
	case tensor.Half, tensor.Bool, tensor.String, tensor.Undefined:
	}
	return castToOthers(to, read)
}

// castToOthers returns the kernels to what is no number of Go.
func castToOthers[S tensor.Element](to tensor.DType, read func(S) scalar) Kernel {
	switch to { //nolint:exhaustive // the numbers are in the callers
	case tensor.Half:
		return cast(read, halfOf)
	case tensor.Bool:
		return cast(read, boolOf)
	case tensor.String:
		return castToText(cast(read, stringOf))
	}
	return nil
}

// convert rounds integers to the nearest float, and takes the low bits of those
// that are too large for another integer.
func convert[S, D number](dst []D, x []S) {
	for i, v := range x {
		dst[i] = D(v)
	}
}

func isNotZero[S number](dst []bool, x []S) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = v != 0
	}
}

func oneOrZero[D number](dst []D, x []bool) {
	x = x[:len(dst)]
	for i, v := range x {
		bit := uint8(0)
		if v {
			bit = 1
		}
		dst[i] = D(bit)
	}
}

func truncate[S floating, D integer](dst []D, x []S) {
	for i, v := range x {
		dst[i] = fromReal[D](float64(v))
	}
}

// textBytes is what the text of a number takes at most, beside its header.
const textBytes = 24

// castToText counts the memory of text before it is made.
func castToText(k Kernel) Kernel {
	return func(ctx context.Context, f *Frame) error {
		if err := f.charge(tensor.Uint8, tensor.Shape{f.In(0).Len(), textBytes}); err != nil {
			return err
		}
		return k(ctx, f)
	}
}

// cast converts element by element.
func cast[S, D tensor.Element](read func(S) scalar, conv func(*scalar) (D, error)) Kernel {
	return func(ctx context.Context, f *Frame) error {
		src := Input[S](f, 0)
		dst, err := Output[D](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		for i, v := range src {
			if err := poll(ctx, i); err != nil {
				return err
			}
			s := read(v)
			if dst[i], err = conv(&s); err != nil {
				return fault.Newf(fault.Content, "element %d: %v", i, err)
			}
		}
		return nil
	}
}
