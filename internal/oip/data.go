package oip

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// decode puts the elements of an input into a tensor.
func (e *entry) decode(d tensor.DType, into *tensor.Tensor) error {
	if string(e.datatype) != Datatype(d) {
		return fault.Newf(fault.Content, "input %q is %s, not %q", cut(e.name), Datatype(d), cut(e.datatype))
	}
	set := e.setJSON
	switch {
	case e.binary:
		set = e.setBytes
	case e.wire:
		set = e.setContents
	}
	if err := set(into, d); err != nil {
		return fault.Newf(fault.Content, "input %q: %v", cut(e.name), err)
	}
	return nil
}

func (e *entry) setBytes(into *tensor.Tensor, d tensor.DType) error {
	return SetBytes(into, d, e.shape, e.raw)
}

func (e *entry) setContents(into *tensor.Tensor, d tensor.DType) error {
	return setContents(into, d, e.shape, e.data)
}

func (e *entry) setJSON(into *tensor.Tensor, d tensor.DType) error {
	switch d {
	case tensor.Bool:
		return scan(e, into, parseBool)
	case tensor.String:
		return scan(e, into, parseString)
	case tensor.Uint8:
		return scan(e, into, parseUint[uint8](8))
	case tensor.Uint16:
		return scan(e, into, parseUint[uint16](16))
	case tensor.Uint32:
		return scan(e, into, parseUint[uint32](32))
	case tensor.Uint64:
		return scan(e, into, parseUint[uint64](64))
	case tensor.Int8:
		return scan(e, into, parseInt[int8](8))
	case tensor.Int16:
		return scan(e, into, parseInt[int16](16))
	case tensor.Int32:
		return scan(e, into, parseInt[int32](32))
	case tensor.Int64:
		return scan(e, into, parseInt[int64](64))
	case tensor.Half:
		return scan(e, into, parseHalf)
	case tensor.Float32:
		return scan(e, into, parseFloat32)
	case tensor.Float64:
		return scan(e, into, parseFloat64)
	case tensor.Undefined:
	}
	return fmt.Errorf("%v cannot be sent", d)
}

// parse turns one JSON value, valid and without blanks, into an element. Its error
// says what is wanted.
type parse[T tensor.Element] func([]byte) (T, error)

func isNumber(v []byte) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

func parseBool(v []byte) (bool, error) {
	if v[0] != 't' && v[0] != 'f' {
		return false, errors.New("not true or false")
	}
	return v[0] == 't', nil
}

func parseString(v []byte) (string, error) {
	if v[0] != '"' {
		return "", errors.New("not a string")
	}
	return string(unquote(v)), nil
}

func parseUint[T uint8 | uint16 | uint32 | uint64](bits int) parse[T] {
	return func(v []byte) (T, error) {
		n, err := strconv.ParseUint(string(v), 10, bits)
		if err != nil {
			return 0, fmt.Errorf("not a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
		}
		return T(n), nil
	}
}

func parseInt[T int8 | int16 | int32 | int64](bits int) parse[T] {
	return func(v []byte) (T, error) {
		n, err := strconv.ParseInt(string(v), 10, bits)
		if err != nil {
			limit := uint64(1) << (bits - 1)
			return 0, fmt.Errorf("not a whole number from -%d to %d", limit, limit-1)
		}
		return T(n), nil
	}
}

func parseFloat32(v []byte) (float32, error) {
	f, err := parseFloat(v, 32)
	return float32(f), err
}

func parseFloat64(v []byte) (float64, error) { return parseFloat(v, 64) }

func parseHalf(v []byte) (tensor.Float16, error) {
	f, err := parseFloat(v, 64)
	if err != nil {
		return 0, err
	}
	h := tensor.NewFloat16(f)
	if math.IsInf(h.Float64(), 0) && !math.IsInf(f, 0) {
		return 0, errors.New("too large for FP16")
	}
	return h, nil
}

// parseFloat reads a number that has a finite value in so many bits. null is NaN,
// and infinities have the form in which the protocol's answers write them.
func parseFloat(v []byte, bits int) (float64, error) {
	switch {
	case isNumber(v):
	case v[0] == 'n':
		return math.NaN(), nil
	case string(v) == `"`+posInf+`"`:
		return math.Inf(1), nil
	case string(v) == `"`+negInf+`"`:
		return math.Inf(-1), nil
	default:
		return 0, errors.New("not a number")
	}
	f, err := strconv.ParseFloat(string(v), bits)
	if err != nil {
		return 0, fmt.Errorf("too large for FP%d", bits)
	}
	return f, nil
}

// scan reads data, flat or nested as the shape says, into a tensor. The data is
// one valid JSON value.
func scan[T tensor.Element](e *entry, into *tensor.Tensor, one parse[T]) error {
	n, err := tensor.Shape(e.shape).Elements()
	if err != nil {
		return fmt.Errorf("shape %s holds too many elements", extents(e.shape))
	}
	if e.data[0] != '[' {
		return errors.New("data is not an array")
	}
	s := scanner[T]{text: e.data, shape: e.shape, want: n, parse: one}
	// An element takes a byte and a comma at least: the data bounds the memory,
	// whatever the shape says.
	if n <= len(e.data)/2 {
		s.out = tensor.Reset[T](into, e.shape...)
	}
	if _, err := s.array(1, 0); err != nil {
		return err
	}
	if s.n != n {
		return fmt.Errorf("data has %d elements, and shape %s holds %d", s.n, extents(e.shape), n)
	}
	return nil
}

// scanner collects the elements of data.
type scanner[T tensor.Element] struct {
	text   []byte // valid JSON
	shape  []int
	want   int
	parse  parse[T]
	out    []T // shorter than want where the data cannot hold as many
	n      int
	nested bool
}

// array reads an array from the byte behind its beginning to the one behind its
// end. At depth 0 its first element decides whether the data is nested; then every
// array must be as long as the shape says.
func (s *scanner[T]) array(at, depth int) (int, error) {
	at = s.next(at)
	if depth == 0 {
		s.nested = s.text[at] == '[' || len(s.shape) == 1
	}
	length := 0
	var err error
	for ; s.text[at] != ']'; length++ {
		if s.text[at] == '[' {
			at, err = s.inner(at, depth)
		} else {
			at, err = s.element(at, depth)
		}
		if err != nil {
			return at, err
		}
		at = s.next(at)
	}
	if s.nested && depth < len(s.shape) && length != s.shape[depth] {
		return at, fmt.Errorf("an array of data has %d elements where shape %s says %d", length, extents(s.shape), s.shape[depth])
	}
	return at + 1, nil
}

// next passes over blanks and commas.
func (s *scanner[T]) next(at int) int {
	for {
		switch s.text[at] {
		case ' ', '\t', '\n', '\r', ',':
			at++
		default:
			return at
		}
	}
}

func (s *scanner[T]) inner(at, depth int) (int, error) {
	if !s.nested || depth+1 >= len(s.shape) {
		return at, fmt.Errorf("data is nested deeper than shape %s", extents(s.shape))
	}
	return s.array(at+1, depth+1)
}

func (s *scanner[T]) element(at, depth int) (int, error) {
	if s.nested && depth+1 < len(s.shape) {
		return at, fmt.Errorf("data is nested less deep than shape %s", extents(s.shape))
	}
	if s.n == s.want {
		return at, fmt.Errorf("data has more than %d elements", s.want)
	}
	end := s.end(at)
	v, err := s.parse(s.text[at:end])
	if err != nil {
		return at, fmt.Errorf("element %d is %w", s.n, err)
	}
	if s.n < len(s.out) {
		s.out[s.n] = v
	}
	s.n++
	return end, nil
}

// end returns the byte behind the value that begins at the byte. Of an object it
// is the first: none is an element.
func (s *scanner[T]) end(at int) int {
	switch s.text[at] {
	case '{':
		return at + 1
	case '"':
		for at++; s.text[at] != '"'; at++ {
			if s.text[at] == '\\' {
				at++
			}
		}
		return at + 1
	}
	for {
		switch s.text[at] {
		case ',', ']', ' ', '\t', '\n', '\r':
			return at
		}
		at++
	}
}
