package ops

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

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
	x, err := strconv.ParseFloat(numeral(v.s), bits)
	if err != nil {
		return 0, notANumber(v.s)
	}
	return T(x), nil
}

// maxNumeral is the longest text that is looked at as a number, in bytes.
const maxNumeral = 1 << 10

// numeral returns text without the space around it, and nothing of text that is
// too long to be a number.
func numeral(s string) string {
	if len(s) > maxNumeral {
		return ""
	}
	return strings.TrimSpace(s)
}

func notANumber(s string) error {
	return fmt.Errorf("%s cannot be read as a number", onnx.Quote(s))
}

func halfOf(v *scalar) (tensor.Float16, error) {
	x, err := floatOf[float64](v)
	return halfFromReal(x), err
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
	s := numeral(v.s)
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
	x, err := strconv.ParseFloat(numeral(v.s), 64)
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
