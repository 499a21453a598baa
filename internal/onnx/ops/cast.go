package ops

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// castOps changes element types.
var castOps = []Operator{
	{"", "Cast", 1, one, one, parseCast},
}

// parseCast reads Cast (ai.onnx 1, 6, 9, 19). saturate and round_mode concern
// only float8 types, which the engine does not hold.
func parseCast(n *Node) Kernel {
	n.Need("to")
	var to tensor.DType
	if n.Version < 6 {
		to = dtypeNamed(n.String("to", ""))
	} else if v := n.Int("to", 0); v > 0 && v < 255 {
		to = tensor.DType(v)
	}
	if n.Version >= 19 {
		n.Int("saturate", 1)
	}
	if n.Version >= 24 {
		n.String("round_mode", "up")
	}
	from := n.Elem(0, anyElem...)
	if !to.Valid() {
		n.Failf("attribute \"to\" asks for an element type that is not supported")
	}
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

func castKernel(from, to tensor.DType) Kernel {
	switch to {
	case tensor.Float32:
		return castTo(from, floatOf[float32])
	case tensor.Float64:
		return castTo(from, floatOf[float64])
	case tensor.Half:
		return castTo(from, halfOf)
	case tensor.Int8:
		return castTo(from, intOf[int8])
	case tensor.Int16:
		return castTo(from, intOf[int16])
	case tensor.Int32:
		return castTo(from, intOf[int32])
	case tensor.Int64:
		return castTo(from, intOf[int64])
	case tensor.Uint8:
		return castTo(from, intOf[uint8])
	case tensor.Uint16:
		return castTo(from, intOf[uint16])
	case tensor.Uint32:
		return castTo(from, intOf[uint32])
	case tensor.Uint64:
		return castTo(from, intOf[uint64])
	case tensor.Bool:
		return castTo(from, boolOf)
	case tensor.String:
		return castTo(from, stringOf)
	case tensor.Undefined:
	}
	return nil
}

// scalar is an element on its way from one type to another: a signed or
// unsigned integer, a float, or text, so that no value is rounded twice.
type scalar struct {
	kind scalarKind
	i    int64
	u    uint64
	f    float64
	s    string
}

type scalarKind uint8

const (
	signed scalarKind = iota
	unsigned
	floatingPoint
	text
)

func castTo[D tensor.Element](from tensor.DType, conv func(*scalar) (D, error)) Kernel {
	switch from {
	case tensor.Float32:
		return cast(func(v float32) scalar { return scalar{kind: floatingPoint, f: float64(v)} }, conv)
	case tensor.Float64:
		return cast(func(v float64) scalar { return scalar{kind: floatingPoint, f: v} }, conv)
	case tensor.Half:
		return cast(func(v tensor.Float16) scalar { return scalar{kind: floatingPoint, f: float64(fromHalf(v))} }, conv)
	case tensor.Int8:
		return cast(fromSigned[int8], conv)
	case tensor.Int16:
		return cast(fromSigned[int16], conv)
	case tensor.Int32:
		return cast(fromSigned[int32], conv)
	case tensor.Int64:
		return cast(fromSigned[int64], conv)
	case tensor.Uint8:
		return cast(fromUnsigned[uint8], conv)
	case tensor.Uint16:
		return cast(fromUnsigned[uint16], conv)
	case tensor.Uint32:
		return cast(fromUnsigned[uint32], conv)
	case tensor.Uint64:
		return cast(fromUnsigned[uint64], conv)
	case tensor.Bool:
		return cast(fromBool, conv)
	case tensor.String:
		return cast(func(v string) scalar { return scalar{kind: text, s: v} }, conv)
	case tensor.Undefined:
	}
	return nil
}

func fromSigned[T int8 | int16 | int32 | int64](v T) scalar {
	return scalar{kind: signed, i: int64(v)}
}

func fromUnsigned[T uint8 | uint16 | uint32 | uint64](v T) scalar {
	return scalar{kind: unsigned, u: uint64(v)}
}

func fromBool(v bool) scalar {
	if v {
		return scalar{kind: signed, i: 1}
	}
	return scalar{}
}

// cast converts element by element. It is not the fast path of any model: what
// exporters cast is a label per row.
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

func floatOf[T floating](v *scalar) (T, error) {
	switch v.kind {
	case signed:
		return T(v.i), nil
	case unsigned:
		return T(v.u), nil
	case floatingPoint:
		return T(v.f), nil
	case text:
	}
	bits := 64
	if _, single := any(T(0)).(float32); single {
		bits = 32
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(v.s), bits)
	if err != nil {
		return 0, notANumber(v.s)
	}
	return T(x), nil
}

func notANumber(s string) error {
	return fmt.Errorf("%s cannot be read as a number", onnx.Quote(s))
}

func halfOf(v *scalar) (tensor.Float16, error) {
	x, err := floatOf[float32](v)
	return toHalf(x), err
}

// intOf converts to an integer. ONNX leaves open what becomes of floats out of
// range; here they do what ONNX Runtime's do on x86: NaN and what is out of
// range of int64 become its least value, and narrower types take the low bits.
func intOf[T integer](v *scalar) (T, error) {
	switch v.kind {
	case signed:
		return T(v.i), nil
	case unsigned:
		return T(v.u), nil
	case floatingPoint:
		return fromReal[T](v.f), nil
	case text:
	}
	s := strings.TrimSpace(v.s)
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return T(i), nil
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return T(u), nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, notANumber(v.s)
	}
	return fromReal[T](x), nil
}

func fromReal[T integer](x float64) T {
	const two63 = 1 << 63
	switch _, isUint64 := any(T(0)).(uint64); {
	case x >= -two63 && x < two63:
		i := int64(x)
		if _, isInt32 := any(T(0)).(int32); isInt32 && int64(int32(i)) != i { //nolint:gosec // the comparison is the range check
			i = math.MinInt32
		}
		return T(i)
	case isUint64 && x >= two63 && x < 2*two63:
		return T(uint64(x))
	}
	least := int64(math.MinInt64)
	if _, isInt32 := any(T(0)).(int32); isInt32 {
		least = math.MinInt32
	}
	return T(least)
}

func boolOf(v *scalar) (bool, error) {
	switch v.kind {
	case signed:
		return v.i != 0, nil
	case unsigned:
		return v.u != 0, nil
	case floatingPoint:
		return v.f != 0, nil
	case text:
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return false, notANumber(v.s)
	}
	return x != 0, nil
}

// stringOf writes numbers as ONNX Runtime does: floats with up to eight digits.
func stringOf(v *scalar) (string, error) {
	switch v.kind {
	case signed:
		return strconv.FormatInt(v.i, 10), nil
	case unsigned:
		return strconv.FormatUint(v.u, 10), nil
	case text:
		return v.s, nil
	case floatingPoint:
	}
	switch {
	case math.IsNaN(v.f):
		return "NaN", nil
	case math.IsInf(v.f, 1):
		return "INF", nil
	case math.IsInf(v.f, -1):
		return "-INF", nil
	}
	return strconv.FormatFloat(v.f, 'g', 8, 64), nil
}
