package oip

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/tensor"
)

// contents is the field of InferTensorContents that holds the elements of a
// datatype, and the type of one element on the wire. FP16 has none: it travels
// as bytes alone.
type contents struct {
	num  protowire.Number
	name string
	typ  protowire.Type
}

var contentsOf = map[tensor.DType]contents{ //nolint:exhaustive // FP16 has no field
	tensor.Bool:    {1, "bool_contents", protowire.VarintType},
	tensor.Int8:    {2, "int_contents", protowire.VarintType},
	tensor.Int16:   {2, "int_contents", protowire.VarintType},
	tensor.Int32:   {2, "int_contents", protowire.VarintType},
	tensor.Int64:   {3, "int64_contents", protowire.VarintType},
	tensor.Uint8:   {4, "uint_contents", protowire.VarintType},
	tensor.Uint16:  {4, "uint_contents", protowire.VarintType},
	tensor.Uint32:  {4, "uint_contents", protowire.VarintType},
	tensor.Uint64:  {5, "uint64_contents", protowire.VarintType},
	tensor.Float32: {6, "fp32_contents", protowire.Fixed32Type},
	tensor.Float64: {7, "fp64_contents", protowire.Fixed64Type},
	tensor.String:  {8, "bytes_contents", protowire.BytesType},
}

// setContents puts the elements of an InferTensorContents into a tensor of the
// shape, whose memory it uses again. Memory is taken only for as many elements as
// the message holds. The error says what does not fit.
func setContents(into *tensor.Tensor, d tensor.DType, shape []int, message []byte) error {
	field, ok := contentsOf[d]
	if !ok {
		return fmt.Errorf("%s travels in raw_input_contents alone", Datatype(d))
	}
	want, err := tensor.Shape(shape).Elements()
	if err != nil {
		return fmt.Errorf("shape %s holds too many elements", extents(shape))
	}
	have, err := field.count(message)
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("%s has %d elements, and shape %s holds %d", field.name, have, extents(shape), want)
	}
	return field.set(into, d, shape, message)
}

// count returns how many elements a message holds.
func (c *contents) count(message []byte) (int, error) {
	n := 0
	w := wire{rest: message}
	for w.next() {
		switch {
		case w.num != c.num && w.num <= 8:
			return 0, fmt.Errorf("the elements belong into %s", c.name)
		case w.num != c.num: // a field of a later version
		case w.typ == c.typ:
			n++
		case w.typ != protowire.BytesType:
			return 0, errors.New("the contents are no valid message")
		default:
			more, ok := c.packed(w.bytes)
			if !ok {
				return 0, errors.New("the contents are no valid message")
			}
			n += more
		}
	}
	if w.broken {
		return 0, errors.New("the contents are no valid message")
	}
	return n, nil
}

// packed returns how many elements a packed field holds.
func (c *contents) packed(b []byte) (int, bool) {
	switch c.typ { //nolint:exhaustive // what is left are varints
	case protowire.Fixed32Type:
		return len(b) / 4, len(b)%4 == 0
	case protowire.Fixed64Type:
		return len(b) / 8, len(b)%8 == 0
	}
	n := 0
	for _, c := range b {
		if c < 0x80 { // the last byte of a number
			n++
		}
	}
	return n, len(b) == 0 || b[len(b)-1] < 0x80
}

func (c *contents) set(into *tensor.Tensor, d tensor.DType, shape []int, message []byte) error {
	switch d {
	case tensor.Bool:
		return setNumbers(c, tensor.Reset[bool](into, shape...), message, func(v uint64) (bool, bool) { return v == 1, v <= 1 })
	case tensor.Int8:
		return setNumbers(c, tensor.Reset[int8](into, shape...), message, signedOf[int8])
	case tensor.Int16:
		return setNumbers(c, tensor.Reset[int16](into, shape...), message, signedOf[int16])
	case tensor.Int32:
		return setNumbers(c, tensor.Reset[int32](into, shape...), message, signedOf[int32])
	case tensor.Int64:
		return setNumbers(c, tensor.Reset[int64](into, shape...), message, signedOf[int64])
	case tensor.Uint8:
		return setNumbers(c, tensor.Reset[uint8](into, shape...), message, unsignedOf[uint8])
	case tensor.Uint16:
		return setNumbers(c, tensor.Reset[uint16](into, shape...), message, unsignedOf[uint16])
	case tensor.Uint32:
		return setNumbers(c, tensor.Reset[uint32](into, shape...), message, unsignedOf[uint32])
	case tensor.Uint64:
		return setNumbers(c, tensor.Reset[uint64](into, shape...), message, unsignedOf[uint64])
	case tensor.Float32:
		return setNumbers(c, tensor.Reset[float32](into, shape...), message, func(v uint64) (float32, bool) {
			return math.Float32frombits(uint32(v)), true //nolint:gosec // G115: 32 bits on the wire
		})
	case tensor.Float64:
		return setNumbers(c, tensor.Reset[float64](into, shape...), message, func(v uint64) (float64, bool) { return math.Float64frombits(v), true })
	case tensor.String:
		return c.setTexts(tensor.Reset[string](into, shape...), message)
	case tensor.Undefined, tensor.Half:
	}
	return fmt.Errorf("%v cannot be sent", d)
}

// signedOf and unsignedOf return the number that a varint holds, and whether it
// is one of T.
func signedOf[T int8 | int16 | int32 | int64](v uint64) (T, bool) {
	n := T(v)
	return n, uint64(int64(n)) == v //nolint:gosec // G115: the same bits
}

func unsignedOf[T uint8 | uint16 | uint32 | uint64](v uint64) (T, bool) {
	n := T(v)
	return n, uint64(n) == v
}

// setNumbers fills out, which is as long as the message holds elements, packed or
// each with its tag.
func setNumbers[T tensor.Element](c *contents, out []T, message []byte, one func(uint64) (T, bool)) error {
	at := 0
	put := func(v uint64) error {
		n, ok := one(v)
		if !ok {
			return fmt.Errorf("element %d is out of the range of its datatype", at)
		}
		out[at] = n
		at++
		return nil
	}
	w := wire{rest: message}
	for w.next() {
		if w.num != c.num {
			continue
		}
		if w.typ == c.typ {
			if err := put(w.number); err != nil {
				return err
			}
			continue
		}
		for packed := w.bytes; len(packed) > 0; {
			v, n := c.number(packed)
			if n < 0 {
				return errors.New("the contents are no valid message")
			}
			if err := put(v); err != nil {
				return err
			}
			packed = packed[n:]
		}
	}
	return nil
}

// number reads one packed element, and how many bytes it takes; negative when it
// is malformed.
func (c *contents) number(b []byte) (uint64, int) {
	switch c.typ { //nolint:exhaustive // what is left are varints
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(b)
		return uint64(v), n
	case protowire.Fixed64Type:
		return protowire.ConsumeFixed64(b)
	}
	return protowire.ConsumeVarint(b)
}

func (c *contents) setTexts(out []string, message []byte) error {
	at := 0
	w := wire{rest: message}
	for w.next() {
		if w.num != c.num {
			continue
		}
		if !utf8.Valid(w.bytes) {
			return fmt.Errorf("element %d is not UTF-8", at)
		}
		out[at] = string(w.bytes)
		at++
	}
	return nil
}
