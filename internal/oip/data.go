package oip

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/tensor"
)

// decode reads the elements of an input.
func decode(d tensor.DType, e *entry) (*tensor.Tensor, error) {
	switch d {
	case tensor.Bool:
		return build(e, parseBool)
	case tensor.String:
		return build(e, parseString)
	case tensor.Uint8:
		return build(e, unsigned[uint8](8))
	case tensor.Uint16:
		return build(e, unsigned[uint16](16))
	case tensor.Uint32:
		return build(e, unsigned[uint32](32))
	case tensor.Uint64:
		return build(e, unsigned[uint64](64))
	case tensor.Int8:
		return build(e, signed[int8](8))
	case tensor.Int16:
		return build(e, signed[int16](16))
	case tensor.Int32:
		return build(e, signed[int32](32))
	case tensor.Int64:
		return build(e, signed[int64](64))
	case tensor.Half:
		return build(e, parseHalf)
	case tensor.Float32:
		return build(e, float[float32](32))
	case tensor.Float64:
		return build(e, float[float64](64))
	case tensor.Undefined:
	}
	return nil, fmt.Errorf("%v cannot be sent", d)
}

// element turns one JSON token into an element. Its error says what is wanted.
type element[T tensor.Element] func(jsontext.Token) (T, error)

func parseBool(tok jsontext.Token) (bool, error) {
	if k := tok.Kind(); k != 't' && k != 'f' {
		return false, errors.New("not true or false")
	}
	return tok.Bool(), nil
}

func parseString(tok jsontext.Token) (string, error) {
	if tok.Kind() != '"' {
		return "", errors.New("not a string")
	}
	return tok.String(), nil
}

func unsigned[T uint8 | uint16 | uint32 | uint64](bits int) element[T] {
	return func(tok jsontext.Token) (T, error) {
		n, err := strconv.ParseUint(tok.String(), 10, bits)
		if tok.Kind() != '0' || err != nil {
			return 0, fmt.Errorf("not a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
		}
		return T(n), nil
	}
}

func signed[T int8 | int16 | int32 | int64](bits int) element[T] {
	return func(tok jsontext.Token) (T, error) {
		n, err := strconv.ParseInt(tok.String(), 10, bits)
		if tok.Kind() != '0' || err != nil {
			limit := uint64(1) << (bits - 1)
			return 0, fmt.Errorf("not a whole number from -%d to %d", limit, limit-1)
		}
		return T(n), nil
	}
}

// float reads a number that has a finite value in the type. null is NaN, and
// infinities have the form in which the protocol's answers write them.
func float[T float32 | float64](bits int) element[T] {
	return func(tok jsontext.Token) (T, error) {
		switch {
		case tok.Kind() == 'n':
			return T(math.NaN()), nil
		case tok.Kind() == '"' && tok.String() == posInf:
			return T(math.Inf(1)), nil
		case tok.Kind() == '"' && tok.String() == negInf:
			return T(math.Inf(-1)), nil
		case tok.Kind() != '0':
			return 0, errors.New("not a number")
		}
		f, err := strconv.ParseFloat(tok.String(), bits)
		if err != nil {
			return 0, fmt.Errorf("too large for FP%d", bits)
		}
		return T(f), nil
	}
}

func parseHalf(tok jsontext.Token) (tensor.Float16, error) {
	f, err := float[float64](64)(tok)
	if err != nil {
		return 0, err
	}
	h := tensor.NewFloat16(f)
	if math.IsInf(h.Float64(), 0) && !math.IsInf(f, 0) {
		return 0, errors.New("too large for FP16")
	}
	return h, nil
}

// build reads data, flat or nested as the shape says, into a tensor.
func build[T tensor.Element](e *entry, parse element[T]) (*tensor.Tensor, error) {
	n, err := tensor.Shape(e.shape).Elements()
	if err != nil {
		return nil, fmt.Errorf("shape %v holds too many elements", e.shape)
	}
	r := &reader[T]{
		dec: jsontext.NewDecoder(bytes.NewBuffer(e.data)), parse: parse, want: n,
		// An element takes a byte and a comma at least: the data bounds the
		// memory, whatever the shape says.
		out: make([]T, 0, min(n, len(e.data)/2+1)),
	}
	if r.dec.PeekKind() != '[' {
		return nil, errors.New("data is not an array")
	}
	if err := r.array(e.shape, 0); err != nil {
		return nil, err
	}
	if len(r.out) != n {
		return nil, fmt.Errorf("data has %d elements, and shape %v holds %d", len(r.out), e.shape, n)
	}
	return tensor.New(tensor.Shape(e.shape), r.out)
}

// reader collects the elements of one array of data.
type reader[T tensor.Element] struct {
	dec    *jsontext.Decoder
	parse  element[T]
	out    []T
	want   int
	nested bool
}

// array reads an array. At depth 0 its first element decides whether the data
// is nested; then every array must be as long as the shape says.
func (r *reader[T]) array(shape []int, depth int) error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	if depth == 0 {
		r.nested = r.dec.PeekKind() == '[' || len(shape) == 1
	}
	n := 0
	for ; r.dec.PeekKind() != ']'; n++ {
		if err := r.value(shape, depth); err != nil {
			return err
		}
	}
	if r.nested && depth < len(shape) && n != shape[depth] {
		return fmt.Errorf("an array of data has %d elements where shape %v says %d", n, shape, shape[depth])
	}
	_, err := r.dec.ReadToken()
	return err
}

func (r *reader[T]) value(shape []int, depth int) error {
	if r.dec.PeekKind() == '[' {
		if !r.nested || depth+1 >= len(shape) {
			return fmt.Errorf("data is nested deeper than shape %v", shape)
		}
		return r.array(shape, depth+1)
	}
	if r.nested && depth+1 < len(shape) {
		return fmt.Errorf("data is nested less deep than shape %v", shape)
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if len(r.out) == r.want {
		return fmt.Errorf("data has more than %d elements", r.want)
	}
	v, err := r.parse(tok)
	if err != nil {
		return fmt.Errorf("element %d is %w", len(r.out), err)
	}
	r.out = append(r.out, v)
	return nil
}
