package oip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// HeaderLength is the header field that says how many bytes of a body are JSON.
// What follows are tensors as bytes, in the order in which the JSON names them
// (Triton's extension_binary_data.md).
const HeaderLength = "Inference-Header-Content-Length"

// Message is the body of a request, taken apart.
type Message struct {
	// JSON is what names the tensors.
	JSON []byte
	// Tensors are the elements of those that travel as bytes.
	Tensors []byte
	// Raw says that there is no JSON: Tensors is the one input.
	Raw bool
}

// Split takes a body apart by the values of its field HeaderLength; without one
// it is all JSON. Faults: BadRequest.
func Split(body []byte, lengths []string) (Message, error) {
	if len(lengths) == 0 {
		return Message{JSON: body}, nil
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	switch {
	case len(lengths) > 1:
		return Message{}, fault.New(fault.BadRequest, HeaderLength+" stands there twice")
	case err != nil:
		return Message{}, fault.New(fault.BadRequest, HeaderLength+" is the number of bytes of the JSON in the body")
	case n > uint64(len(body)):
		return Message{}, fault.Newf(fault.BadRequest, HeaderLength+" is %d, and the body has %d bytes", n, len(body))
	}
	return Message{JSON: body[:n], Tensors: body[n:], Raw: n == 0}, nil
}

// ReadRaw reads a request that is the elements of the model's one input alone, of
// which at most one extent is free; a text is one element, without its length. All
// outputs are to come back as bytes. Faults: Content.
func (r *Reader) ReadRaw(body []byte, c Contract, into []*tensor.Tensor) (*Request, error) {
	if len(c.Inputs) != 1 || c.Inputs[0].Kind != tensor.KindTensor || !c.Inputs[0].Ranked {
		return nil, fault.New(fault.Content, "a request without JSON is for a model of one input whose rank is declared; send the JSON, and its length as "+HeaderLength)
	}
	s := &c.Inputs[0]
	shape, err := rawShape(s, len(body))
	if err != nil {
		return nil, fault.Newf(fault.Content, "input %q: %v", s.Name, err)
	}
	e := entry{name: []byte(s.Name), datatype: []byte(Datatype(s.DType)), shape: shape, raw: body, binary: true}
	if s.DType == tensor.String {
		e.raw = append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...) //nolint:gosec // G115: no body is as long
	}
	r.begin(Message{}, c)
	defer r.end()
	r.binary = true
	r.choose()
	r.request.Inputs = into
	if err := r.fits(s, &e); err != nil {
		return nil, err
	}
	return &r.request, e.decode(s.DType, into[0])
}

// rawShape returns the shape that so many bytes have.
func rawShape(s *tensor.Spec, length int) ([]int, error) {
	shape, free, known := Extents(s), -1, 1
	for i, n := range shape {
		switch {
		case n >= 0:
			known = min(known*n, math.MaxInt32)
		case free >= 0:
			return nil, errors.New("more than one extent is free, so that the bytes have no shape of their own; send the JSON too")
		default:
			free = i
		}
	}
	size := sizeOf(s.DType)
	if s.DType == tensor.String {
		length = 1 // element
		size = 1
	}
	if free >= 0 {
		if known == 0 || length%(known*size) != 0 {
			return nil, fmt.Errorf("%d bytes are no whole number of rows of %d", length, known*size)
		}
		shape[free] = length / (known * size)
	}
	return shape, nil
}

// sizeOf returns the bytes of an element, 0 for a text.
func sizeOf(d tensor.DType) int {
	switch d {
	case tensor.Bool, tensor.Uint8, tensor.Int8:
		return 1
	case tensor.Uint16, tensor.Int16, tensor.Half:
		return 2
	case tensor.Uint32, tensor.Int32, tensor.Float32:
		return 4
	case tensor.Uint64, tensor.Int64, tensor.Float64:
		return 8
	case tensor.String, tensor.Undefined:
	}
	return 0
}

// SetBytes puts elements that travel as bytes into a tensor of the shape, whose
// memory it uses again: little-endian, in row-major order; a truth value is a byte
// of 0 or 1, a text its length in four bytes and then UTF-8. Nothing is allocated
// before the number of bytes is found right. The error says what does not fit.
func SetBytes(into *tensor.Tensor, d tensor.DType, shape []int, raw []byte) error {
	n, err := tensor.Shape(shape).Elements()
	if err != nil {
		return fmt.Errorf("shape %s holds too many elements", extents(shape))
	}
	if size := sizeOf(d); size > 0 && len(raw) != n*size {
		return fmt.Errorf("shape %s of %s takes %d bytes, not %d", extents(shape), Datatype(d), n*size, len(raw))
	}
	switch d {
	case tensor.Bool:
		return setBools(tensor.Reset[bool](into, shape...), raw)
	case tensor.String:
		return setTexts(into, shape, n, raw)
	case tensor.Uint8:
		copy(tensor.Reset[uint8](into, shape...), raw)
	case tensor.Int8:
		set(tensor.Reset[int8](into, shape...), raw, 1, func(b []byte) int8 { return int8(b[0]) }) //nolint:gosec // G115: the same bits
	case tensor.Uint16:
		set(tensor.Reset[uint16](into, shape...), raw, 2, binary.LittleEndian.Uint16)
	case tensor.Int16:
		set(tensor.Reset[int16](into, shape...), raw, 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) }) //nolint:gosec // G115: the same bits
	case tensor.Half:
		set(tensor.Reset[tensor.Float16](into, shape...), raw, 2, func(b []byte) tensor.Float16 { return tensor.Float16(binary.LittleEndian.Uint16(b)) })
	case tensor.Uint32:
		set(tensor.Reset[uint32](into, shape...), raw, 4, binary.LittleEndian.Uint32)
	case tensor.Int32:
		set(tensor.Reset[int32](into, shape...), raw, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }) //nolint:gosec // G115: the same bits
	case tensor.Float32:
		setFloats(tensor.Reset[float32](into, shape...), raw)
	case tensor.Uint64:
		set(tensor.Reset[uint64](into, shape...), raw, 8, binary.LittleEndian.Uint64)
	case tensor.Int64:
		set(tensor.Reset[int64](into, shape...), raw, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }) //nolint:gosec // G115: the same bits
	case tensor.Float64:
		set(tensor.Reset[float64](into, shape...), raw, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	case tensor.Undefined:
		return fmt.Errorf("%v cannot be sent", d)
	}
	return nil
}

func set[T tensor.Element](out []T, raw []byte, size int, one func([]byte) T) {
	for i := range out {
		out[i] = one(raw[:size])
		raw = raw[size:]
	}
}

// setFloats is what most models are given.
func setFloats(out []float32, raw []byte) {
	for len(out) >= 4 && len(raw) >= 16 { // four at a time: half the time of one by one
		a, b := binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:])
		out[0], out[1] = math.Float32frombits(uint32(a)), math.Float32frombits(uint32(a>>32)) //nolint:gosec // G115: the lower half
		out[2], out[3] = math.Float32frombits(uint32(b)), math.Float32frombits(uint32(b>>32)) //nolint:gosec // G115: the lower half
		out, raw = out[4:], raw[16:]
	}
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

func setBools(out []bool, raw []byte) error {
	for i, b := range raw {
		if b > 1 {
			return fmt.Errorf("element %d is not a byte of 0 or 1", i)
		}
		out[i] = b == 1
	}
	return nil
}

// setTexts makes one copy of all texts, which the elements share.
func setTexts(into *tensor.Tensor, shape []int, n int, raw []byte) error {
	const head = 4
	if n > len(raw)/head {
		return fmt.Errorf("shape %s of BYTES takes %d bytes at least, not %d", extents(shape), n*head, len(raw))
	}
	all := string(raw)
	out := tensor.Reset[string](into, shape...)
	for i := range out {
		if len(all) < head {
			return fmt.Errorf("the bytes end before the length of element %d", i)
		}
		length := uint64(binary.LittleEndian.Uint32(raw[len(raw)-len(all):]))
		all = all[head:]
		if length > uint64(len(all)) {
			return fmt.Errorf("element %d has %d bytes, and %d are left", i, length, len(all))
		}
		out[i], all = all[:length], all[length:]
		if !utf8.ValidString(out[i]) {
			return fmt.Errorf("element %d is not UTF-8", i)
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("%d bytes follow the last of %d elements", len(all), n)
	}
	return nil
}

// AppendBytes appends the elements of a tensor as SetBytes reads them.
func AppendBytes(b []byte, t *tensor.Tensor) []byte {
	switch t.DType() {
	case tensor.Bool:
		return appendEach(b, t, func(b []byte, v bool) []byte {
			if v {
				return append(b, 1)
			}
			return append(b, 0)
		})
	case tensor.String:
		return appendEach(b, t, func(b []byte, s string) []byte {
			return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...) //nolint:gosec // G115: no text is as long
		})
	case tensor.Uint8:
		return append(b, tensor.Of[uint8](t)...)
	case tensor.Int8:
		return appendEach(b, t, func(b []byte, v int8) []byte { return append(b, byte(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Uint16:
		return appendEach(b, t, binary.LittleEndian.AppendUint16)
	case tensor.Int16:
		return appendEach(b, t, func(b []byte, v int16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Half:
		return appendEach(b, t, func(b []byte, v tensor.Float16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) })
	case tensor.Uint32:
		return appendEach(b, t, binary.LittleEndian.AppendUint32)
	case tensor.Int32:
		return appendEach(b, t, func(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Float32:
		return appendEach(b, t, func(b []byte, v float32) []byte { return binary.LittleEndian.AppendUint32(b, math.Float32bits(v)) })
	case tensor.Uint64:
		return appendEach(b, t, binary.LittleEndian.AppendUint64)
	case tensor.Int64:
		return appendEach(b, t, func(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }) //nolint:gosec // G115: the same bits
	case tensor.Float64:
		return appendEach(b, t, func(b []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(b, math.Float64bits(v)) })
	case tensor.Undefined:
	}
	return b
}

func appendEach[T tensor.Element](b []byte, t *tensor.Tensor, one func([]byte, T) []byte) []byte {
	for _, v := range tensor.Of[T](t) {
		b = one(b, v)
	}
	return b
}

// bytesOf returns how many bytes AppendBytes appends.
func bytesOf(t *tensor.Tensor) int {
	n := t.Len() * sizeOf(t.DType())
	for _, s := range tensor.Of[string](t) {
		n += 4 + len(s)
	}
	return n
}
