// Package npy reads and writes NumPy's .npy files: one array each, as
// numpy.save writes it (NEP 1, format versions 1.0 to 3.0). It owns the format.
// It must not know models, nor what an array is for.
//
// An array of Python objects is a pickle, which is a program: it is refused, as
// are the types that no tensor has.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/filekind"
	"onnxgate/internal/tensor"
)

const magic = "\x93NUMPY"

// Is reports whether data begins as a file of this format does.
func Is(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }

// Decode reads a file. Its elements are counted against its length before
// memory is taken for them. Faults: Syntax for what is no such file, Content for
// an array that no tensor can hold; the message says what to do.
func Decode(data []byte) (*tensor.Tensor, error) {
	text, data, err := split(data)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(text)
	if err != nil {
		return nil, fault.Newf(fault.Syntax, "the header of the .npy file is damaged: %v", err)
	}
	a, err := h.array()
	if err != nil {
		return nil, err
	}
	switch want := uint64(a.elements) * uint64(a.size); { //nolint:gosec // G115: neither is negative
	case want > uint64(len(data)):
		return nil, fault.Newf(fault.Syntax, "the .npy file ends too early: shape %v takes %d bytes, and there are %d", h.shape, want, len(data))
	case want < uint64(len(data)):
		return nil, fault.Newf(fault.Syntax, "the .npy file has %d bytes behind its array; save one array in a file", uint64(len(data))-want)
	}
	a.data = data
	return a.tensor()
}

// split returns the header's text and what follows it.
func split(data []byte) (header, rest []byte, err error) {
	if !Is(data) {
		if what := filekind.Data(data); what != "" {
			return nil, nil, fault.New(fault.Syntax, "this is no .npy file but "+what)
		}
		return nil, nil, fault.New(fault.Syntax, "this is no .npy file; numpy.save writes one")
	}
	data = data[len(magic):]
	width := 2 // bytes of the header's length
	switch {
	case len(data) < 2:
		return nil, nil, tooShort()
	case data[0] < 1 || data[0] > 3:
		return nil, nil, fault.Newf(fault.Syntax, "the .npy file has format version %d.%d; 1.0 to 3.0 are known", data[0], data[1])
	case data[0] > 1:
		width = 4
	}
	data = data[2:]
	if len(data) < width {
		return nil, nil, tooShort()
	}
	var length uint64
	for i := range width {
		length |= uint64(data[i]) << (8 * i)
	}
	data = data[width:]
	if length > uint64(len(data)) {
		return nil, nil, tooShort()
	}
	return data[:length], data[length:], nil
}

func tooShort() error { return fault.New(fault.Syntax, "the .npy file ends in its header") }

// array is a header that a tensor can be made of, and its elements as bytes.
type array struct {
	dtype    tensor.DType
	order    binary.ByteOrder
	shape    tensor.Shape
	size     int // bytes of an element
	elements int
	fortran  bool
	unicode  bool // a string of 4 bytes for each character, else of 1
	data     []byte
}

// plain are the types of a kind and a size in bytes, by NumPy's letters.
var plain = map[string]tensor.DType{
	"f2": tensor.Half, "f4": tensor.Float32, "f8": tensor.Float64,
	"i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"b1": tensor.Bool, "?": tensor.Bool,
}

// array finds out what the header describes.
func (h *header) array() (*array, error) {
	a := &array{shape: h.shape, fortran: h.fortran}
	code := h.descr
	switch { // the first character is the byte order, of one that has any
	case code == "":
		return nil, unknownType(h.descr)
	case code[0] == '<' || code[0] == '|' || code[0] == '=':
		a.order, code = binary.LittleEndian, code[1:]
	case code[0] == '>':
		a.order, code = binary.BigEndian, code[1:]
	default:
		a.order = binary.LittleEndian
	}
	var err error
	if a.elements, err = a.shape.Elements(); err != nil {
		return nil, fault.Newf(fault.Content, "the array of shape %v is too large", h.shape)
	}
	if d, ok := plain[code]; ok {
		a.dtype, a.size = d, sizeOf(code)
		return a, nil
	}
	digits, unicode := strings.CutPrefix(code, "U")
	if !unicode {
		var ok bool
		if digits, ok = strings.CutPrefix(code, "S"); !ok {
			return nil, unknownType(h.descr)
		}
	}
	length, err := strconv.Atoi(digits)
	if err != nil {
		return nil, unknownType(h.descr)
	}
	if length < 1 && a.elements > 0 || length < 0 || length > math.MaxInt32/4 {
		return nil, fault.Newf(fault.Content, "texts of length %d cannot be read", length)
	}
	a.dtype, a.size, a.unicode = tensor.String, length, unicode
	if unicode {
		a.size = 4 * length
	}
	return a, nil
}

func sizeOf(code string) int {
	if code == "?" {
		return 1
	}
	return int(code[1] - '0')
}

// unknownType says what to do about an array that no tensor can hold.
func unknownType(descr string) error {
	code, advice := descr, "convert it with X.astype(numpy.float32)"
	if len(code) > 0 && (code[0] == '<' || code[0] == '>' || code[0] == '|') {
		code = code[1:]
	}
	switch {
	case code == "":
	case code[0] == 'O':
		return fault.New(fault.Content, "the array holds Python objects, which are a pickle: a program, and not data; "+
			"save numbers with X.astype(numpy.float32) or texts with X.astype(str)")
	case code[0] == '[' || code[0] == 'V':
		advice = "save its fields one by one"
	case code[0] == 'M' || code[0] == 'm':
		advice = "convert times with X.astype(numpy.int64)"
	}
	return fault.Newf(fault.Content, "the array is of type %q, which no tensor has; %s", descr, advice)
}

// tensor reads the elements.
func (a *array) tensor() (*tensor.Tensor, error) {
	switch a.dtype {
	case tensor.Float32:
		return read(a, func(b []byte) (float32, error) { return math.Float32frombits(a.order.Uint32(b)), nil })
	case tensor.Float64:
		return read(a, func(b []byte) (float64, error) { return math.Float64frombits(a.order.Uint64(b)), nil })
	case tensor.Half:
		return read(a, func(b []byte) (tensor.Float16, error) { return tensor.Float16(a.order.Uint16(b)), nil })
	case tensor.Int8:
		return read(a, func(b []byte) (int8, error) { return int8(b[0]), nil }) //nolint:gosec // G115: the same bits
	case tensor.Int16:
		return read(a, func(b []byte) (int16, error) { return int16(a.order.Uint16(b)), nil }) //nolint:gosec // G115: the same bits
	case tensor.Int32:
		return read(a, func(b []byte) (int32, error) { return int32(a.order.Uint32(b)), nil }) //nolint:gosec // G115: the same bits
	case tensor.Int64:
		return read(a, func(b []byte) (int64, error) { return int64(a.order.Uint64(b)), nil }) //nolint:gosec // G115: the same bits
	case tensor.Uint8:
		return read(a, func(b []byte) (uint8, error) { return b[0], nil })
	case tensor.Uint16:
		return read(a, func(b []byte) (uint16, error) { return a.order.Uint16(b), nil })
	case tensor.Uint32:
		return read(a, func(b []byte) (uint32, error) { return a.order.Uint32(b), nil })
	case tensor.Uint64:
		return read(a, func(b []byte) (uint64, error) { return a.order.Uint64(b), nil })
	case tensor.Bool:
		return read(a, func(b []byte) (bool, error) { return b[0] != 0, nil })
	case tensor.String:
		if a.unicode {
			return read(a, a.characters)
		}
		return read(a, octets)
	case tensor.Undefined:
	}
	return nil, errors.New("npy: a type without a reader")
}

// read makes a tensor in row-major order of the elements in the file's.
func read[T tensor.Element](a *array, one func([]byte) (T, error)) (*tensor.Tensor, error) {
	out := make([]T, a.elements)
	place := a.places()
	for i := range out {
		v, err := one(a.data[i*a.size : (i+1)*a.size])
		if err != nil {
			return nil, fault.Newf(fault.Content, "element %d of the array %v", i, err)
		}
		out[place()] = v
	}
	return tensor.New(a.shape, out)
}

// places returns a function that gives, from call to call, where the next
// element of the file stands in row-major order.
func (a *array) places() func() int {
	at := 0
	if !a.fortran || len(a.shape) < 2 {
		return func() int { at++; return at - 1 }
	}
	strides, index := make([]int, len(a.shape)), make([]int, len(a.shape))
	step := 1
	for axis := len(a.shape) - 1; axis >= 0; axis-- {
		strides[axis] = step
		step *= a.shape[axis]
	}
	return func() int {
		here := at
		for axis := range index { // the first axis counts fastest
			at += strides[axis]
			if index[axis]++; index[axis] < a.shape[axis] {
				break
			}
			at -= strides[axis] * index[axis]
			index[axis] = 0
		}
		return here
	}
}
