package oip

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/tensor"
)

// The numbers of the fields of ModelInferResponse that are not those of the
// request.
const (
	respOutputs protowire.Number = 5
	respRaw     protowire.Number = 6
)

// ProtobufResponse is a response as a ModelInferResponse, ready to be written.
type ProtobufResponse struct {
	r     *Response
	parts []part
	raw   bool
	size  int
}

// part is one tensor of the response.
type part struct {
	name         string
	t            *tensor.Tensor
	shape        int // bytes of the packed extents
	head         int // bytes of the message without its contents
	elements     int // bytes of the packed elements, or of the raw ones
	body, tagged int // bytes of InferTensorContents, and of the whole message
}

// Protobuf lays out r. Its tensors go as raw_output_contents when any of Binary
// is true, or when one has no other form (FP16); otherwise as contents.
func Protobuf(r *Response) *ProtobufResponse {
	p := &ProtobufResponse{r: r, raw: slices.Contains(r.Binary, true), parts: make([]part, 0, len(r.Wanted))}
	for i := range r.Wanted {
		for name, t := range r.tensors(i) {
			p.parts = append(p.parts, part{name: name, t: t})
			_, typed := contentsOf[t.DType()]
			p.raw = p.raw || !typed
		}
	}
	p.size = sizeText(reqModelName, r.Model) + sizeText(reqModelVersion, r.Version) + sizeText(reqID, r.ID)
	for i := range p.parts {
		p.size += p.parts[i].measure(p.raw)
	}
	return p
}

// Size returns how many bytes Append appends.
func (p *ProtobufResponse) Size() int { return p.size }

// Append appends the message.
func (p *ProtobufResponse) Append(b []byte) []byte {
	b = appendTextField(b, reqModelName, p.r.Model)
	b = appendTextField(b, reqModelVersion, p.r.Version)
	b = appendTextField(b, reqID, p.r.ID)
	for i := range p.parts {
		b = p.parts[i].append(b, p.raw)
	}
	if p.raw {
		for i := range p.parts {
			b = appendLength(b, respRaw, p.parts[i].elements)
			b = AppendBytes(b, p.parts[i].t)
		}
	}
	return b
}

// measure returns the bytes of the part in the message, its raw ones among them.
func (p *part) measure(raw bool) int {
	for _, n := range p.t.Shape() {
		p.shape += protowire.SizeVarint(uint64(n)) //nolint:gosec // G115: not negative
	}
	p.head = sizeText(tensorName, p.name) + sizeText(tensorDatatype, Datatype(p.t.DType()))
	if p.shape > 0 {
		p.head += protowire.SizeTag(tensorShape) + protowire.SizeBytes(p.shape)
	}
	if raw {
		p.elements = bytesOf(p.t)
		p.tagged = protowire.SizeTag(respOutputs) + protowire.SizeBytes(p.head)
		return p.tagged + protowire.SizeTag(respRaw) + protowire.SizeBytes(p.elements)
	}
	field := contentsOf[p.t.DType()]
	if p.t.DType() == tensor.String {
		for _, s := range tensor.Of[string](p.t) {
			p.body += protowire.SizeTag(field.num) + protowire.SizeBytes(len(s))
		}
	} else if p.elements = sizeOfElements(p.t); p.elements > 0 {
		p.body = protowire.SizeTag(field.num) + protowire.SizeBytes(p.elements)
	}
	p.tagged = protowire.SizeTag(respOutputs) + protowire.SizeBytes(p.head+p.contentsSize())
	return p.tagged
}

func (p *part) contentsSize() int {
	return protowire.SizeTag(tensorContents) + protowire.SizeBytes(p.body)
}

func (p *part) append(b []byte, raw bool) []byte {
	length := p.head
	if !raw {
		length += p.contentsSize()
	}
	b = appendLength(b, respOutputs, length)
	b = appendTextField(b, tensorName, p.name)
	b = appendTextField(b, tensorDatatype, Datatype(p.t.DType()))
	if p.shape > 0 {
		b = appendLength(b, tensorShape, p.shape)
		for _, n := range p.t.Shape() {
			b = protowire.AppendVarint(b, uint64(n)) //nolint:gosec // G115: not negative
		}
	}
	if raw {
		return b
	}
	field := contentsOf[p.t.DType()]
	b = appendLength(b, tensorContents, p.body)
	if p.t.DType() == tensor.String {
		for _, s := range tensor.Of[string](p.t) {
			b = protowire.AppendString(protowire.AppendTag(b, field.num, protowire.BytesType), s)
		}
		return b
	}
	if p.elements == 0 {
		return b
	}
	return appendElements(appendLength(b, field.num, p.elements), p.t)
}

func sizeText(num protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeBytes(len(s))
}

// appendTextField appends a text that is not empty, which is how proto3 writes
// one.
func appendTextField(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

// appendLength begins a field of so many bytes.
func appendLength(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n)) //nolint:gosec // G115: not negative
}

// sizeOfElements returns the bytes of elements that are packed.
func sizeOfElements(t *tensor.Tensor) int {
	switch t.DType() {
	case tensor.Bool:
		return t.Len()
	case tensor.Float32:
		return 4 * t.Len()
	case tensor.Float64:
		return 8 * t.Len()
	case tensor.Int8:
		return sizeOfNumbers(tensor.Of[int8](t))
	case tensor.Int16:
		return sizeOfNumbers(tensor.Of[int16](t))
	case tensor.Int32:
		return sizeOfNumbers(tensor.Of[int32](t))
	case tensor.Int64:
		return sizeOfNumbers(tensor.Of[int64](t))
	case tensor.Uint8:
		return sizeOfNumbers(tensor.Of[uint8](t))
	case tensor.Uint16:
		return sizeOfNumbers(tensor.Of[uint16](t))
	case tensor.Uint32:
		return sizeOfNumbers(tensor.Of[uint32](t))
	case tensor.Uint64:
		return sizeOfNumbers(tensor.Of[uint64](t))
	case tensor.String, tensor.Half, tensor.Undefined:
	}
	return 0
}

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func sizeOfNumbers[T integer](all []T) int {
	n := 0
	for _, v := range all {
		n += protowire.SizeVarint(uint64(v))
	}
	return n
}

func appendElements(b []byte, t *tensor.Tensor) []byte {
	switch t.DType() {
	case tensor.Bool, tensor.Float32, tensor.Float64:
		return AppendBytes(b, t) // packed, they are the same bytes
	case tensor.Int8:
		return appendNumbers(b, tensor.Of[int8](t))
	case tensor.Int16:
		return appendNumbers(b, tensor.Of[int16](t))
	case tensor.Int32:
		return appendNumbers(b, tensor.Of[int32](t))
	case tensor.Int64:
		return appendNumbers(b, tensor.Of[int64](t))
	case tensor.Uint8:
		return appendNumbers(b, tensor.Of[uint8](t))
	case tensor.Uint16:
		return appendNumbers(b, tensor.Of[uint16](t))
	case tensor.Uint32:
		return appendNumbers(b, tensor.Of[uint32](t))
	case tensor.Uint64:
		return appendNumbers(b, tensor.Of[uint64](t))
	case tensor.String, tensor.Half, tensor.Undefined:
	}
	return b
}

func appendNumbers[T integer](b []byte, all []T) []byte {
	for _, v := range all {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return b
}
