package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/tensor"
)

// Append appends a tensor as a file of version 1.0, elements little-endian and
// in row-major order, texts of the length of the longest. Only a list, and a
// shape too long for the version's header, are errors.
func Append(dst []byte, t *tensor.Tensor) ([]byte, error) {
	descr, longest := "", 0
	for code, d := range plain {
		if d == t.DType() && code != "?" {
			descr = "<" + code
			if sizeOf(code) == 1 {
				descr = "|" + code
			}
		}
	}
	if texts := tensor.Of[string](t); t.DType() == tensor.String {
		longest = 1 // NumPy has no texts of length 0
		for _, s := range texts {
			longest = max(longest, utf8.RuneCountInString(s))
		}
		descr = fmt.Sprintf("<U%d", longest)
	}
	if descr == "" {
		return dst, fmt.Errorf("a .npy file holds one tensor, not a %v", t.Kind())
	}
	dst, err := appendHeader(dst, descr, t.Shape())
	if err != nil {
		return dst, err
	}
	return appendElements(dst, t, longest), nil
}

// alignment is that of the elements in a file.
const alignment = 64

func appendHeader(dst []byte, descr string, shape tensor.Shape) ([]byte, error) {
	var dims strings.Builder
	for i, n := range shape {
		if i > 0 {
			dims.WriteString(", ")
		}
		fmt.Fprint(&dims, n)
	}
	if len(shape) == 1 {
		dims.WriteString(",")
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims.String())
	length := len(magic) + 4 + len(text) + 1 // with version, length and the end of the line
	text += strings.Repeat(" ", (alignment-length%alignment)%alignment) + "\n"
	if len(text) > math.MaxUint16 {
		return dst, errors.New("npy: the shape has too many axes")
	}
	dst = append(dst, magic+"\x01\x00"...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(text))) //nolint:gosec // G115: compared before
	return append(dst, text...), nil
}

func appendElements(dst []byte, t *tensor.Tensor, longest int) []byte {
	switch t.DType() {
	case tensor.Float32:
		return each(dst, t, func(b []byte, v float32) []byte { return binary.LittleEndian.AppendUint32(b, math.Float32bits(v)) })
	case tensor.Float64:
		return each(dst, t, func(b []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(b, math.Float64bits(v)) })
	case tensor.Half:
		return each(dst, t, func(b []byte, v tensor.Float16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) })
	case tensor.Int8:
		return each(dst, t, func(b []byte, v int8) []byte { return append(b, byte(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Int16:
		return each(dst, t, func(b []byte, v int16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Int32:
		return each(dst, t, func(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Int64:
		return each(dst, t, func(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Uint8:
		return each(dst, t, func(b []byte, v uint8) []byte { return append(b, v) })
	case tensor.Uint16:
		return each(dst, t, binary.LittleEndian.AppendUint16)
	case tensor.Uint32:
		return each(dst, t, binary.LittleEndian.AppendUint32)
	case tensor.Uint64:
		return each(dst, t, binary.LittleEndian.AppendUint64)
	case tensor.Bool:
		return each(dst, t, func(b []byte, v bool) []byte {
			if v {
				return append(b, 1)
			}
			return append(b, 0)
		})
	case tensor.String:
		return each(dst, t, func(b []byte, s string) []byte {
			n := 0
			for _, c := range s { // what is no UTF-8 becomes U+FFFD
				b = binary.LittleEndian.AppendUint32(b, uint32(c)) //nolint:gosec // G115: a code point
				n++
			}
			return append(b, make([]byte, 4*(longest-n))...)
		})
	case tensor.Undefined:
	}
	return dst
}

func each[T tensor.Element](dst []byte, t *tensor.Tensor, one func([]byte, T) []byte) []byte {
	for _, v := range tensor.Of[T](t) {
		dst = one(dst, v)
	}
	return dst
}
