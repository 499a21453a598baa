package schema

import (
	"bytes"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Batch is the memory of one request: its input tensors and what decoding
// them needs. It is used again for later requests of the same schema, by one
// goroutine at a time.
type Batch struct {
	// Inputs are the decoded tensors, in the order of the graph's inputs. Their
	// values are meaningful after a Decode without error, until the next one.
	Inputs []*tensor.Tensor
	// Rows is the number of rows.
	Rows int
	// Single says that the body was one object, not an array.
	Single bool
	// Lenient takes rows of an array or a table that break the contract's rules,
	// as far as the tensors can hold them, and says of each in Beyond which rule
	// that is, of several the first. Tools and golden rows set it; requests never do.
	Lenient bool
	Beyond  []fault.Field

	values bool // rows may be arrays of values
	schema *Schema
	own    []*tensor.Tensor // those that sinks fill, parallel to Inputs
	sinks  []sink           // nil for an input that is no tensor
	arrays []nested         // parallel to sinks
	path   [maxDepth + 1]int
	dims   []int

	body    []byte
	reader  bytes.Buffer
	decoder jsontext.Decoder // lets names repeat: seen and unknown find that
	strict  jsontext.Decoder // reads again what has no place and may repeat a name
	segment bytes.Buffer
	scratch []byte
	value   value

	row     reflect.Value   // of the schema's row struct, addressable; zero without rules
	members []reflect.Value // its members
	storage []reflect.Value // the same, or what a nullable member that is not null points to

	seen    []uint32 // serial of the row that last had the feature
	faulty  []uint32 // serial of the row in which the feature was last refused
	serial  uint32
	number  int    // of the row that is read, counted from 0
	beyond  uint32 // serial of the last row that is in Beyond
	next    int    // the feature expected after the last one
	unknown map[string]struct{}

	tables tableBuffers
	meter  meter
	texted int64 // bytes of the texts in the tensors, of a table

	rowFaults []rowFault
	faults    []fault.Field
	truncated bool
	work      int // what is left for suggestions
}

// NewBatch returns memory for one request at a time.
func (s *Schema) NewBatch() *Batch {
	b := &Batch{
		schema: s,
		seen:   make([]uint32, len(s.fields)),
		faulty: make([]uint32, len(s.fields)),
		arrays: make([]nested, len(s.inputs)),
	}
	for i := range s.inputs {
		t := new(tensor.Tensor)
		b.Inputs, b.own = append(b.Inputs, t), append(b.own, t)
		if s.inputs[i].list != nil {
			b.sinks = append(b.sinks, nil)
			continue
		}
		b.sinks = append(b.sinks, newSink(t, s.inputs[i].dtype))
		b.arrays[i].sink = b.sinks[i]
	}
	if s.row != nil {
		b.row = reflect.New(s.row).Elem()
		for i := range s.row.NumField() {
			member := b.row.Field(i)
			b.members = append(b.members, member)
			store := member
			if member.Kind() == reflect.Pointer {
				store = reflect.New(member.Type().Elem()).Elem()
			}
			b.storage = append(b.storage, store)
		}
	}
	return b
}

// Release lets go of what others have put into b.Inputs, which are the batch's
// own again, without rows. Decode does so by itself.
func (b *Batch) Release() { b.Inputs, b.Rows = append(b.Inputs[:0], b.own...), 0 }

// sink collects the elements of one input.
type sink interface {
	// put stores an element at the index, which is at most one row beyond the
	// last.
	put(at int, v *value)
	// finish gives the tensor its shape.
	finish(shape []int)
	// size is how many bytes its memory takes.
	size() int64
}

// Size is how many bytes the rows take that were read so far. A table that is on
// its way is counted by it.
func (b *Batch) Size() int64 {
	n := b.texted
	for _, s := range b.sinks {
		if s != nil {
			n += s.size()
		}
	}
	return n
}

// newSink returns the sink of a tensor of a type that a request can carry.
func newSink(t *tensor.Tensor, d tensor.DType) sink { //nolint:ireturn // one for each type
	switch d {
	case tensor.Float32:
		return &buffer[float32]{t: t, from: func(v *value) float32 { return float32(v.f) }}
	case tensor.Float64:
		return &buffer[float64]{t: t, from: func(v *value) float64 { return v.f }}
	case tensor.Half:
		return &buffer[tensor.Float16]{t: t, from: func(v *value) tensor.Float16 { return tensor.NewFloat16(v.f) }}
	case tensor.Int8:
		return &buffer[int8]{t: t, from: func(v *value) int8 { return int8(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Int16:
		return &buffer[int16]{t: t, from: func(v *value) int16 { return int16(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Int32:
		return &buffer[int32]{t: t, from: func(v *value) int32 { return int32(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Int64:
		return &buffer[int64]{t: t, from: func(v *value) int64 { return v.i }}
	case tensor.Uint8:
		return &buffer[uint8]{t: t, from: func(v *value) uint8 { return uint8(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Uint16:
		return &buffer[uint16]{t: t, from: func(v *value) uint16 { return uint16(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Uint32:
		return &buffer[uint32]{t: t, from: func(v *value) uint32 { return uint32(v.i) }} //nolint:gosec // within range by the field's own rules
	case tensor.Uint64:
		return &buffer[uint64]{t: t, from: func(v *value) uint64 { return v.u }}
	case tensor.String:
		return &buffer[string]{t: t, from: func(v *value) string { return v.s }}
	case tensor.Bool:
		return &buffer[bool]{t: t, from: func(v *value) bool { return v.b }}
	case tensor.Undefined: // Compile lets none through
	}
	return nil
}

// buffer is a sink of one element type, in the tensor's own memory.
type buffer[T tensor.Element] struct {
	t    *tensor.Tensor
	data []T
	from func(*value) T
}

func (s *buffer[T]) put(at int, v *value) {
	if at >= len(s.data) {
		s.grow(at + 1)
	}
	s.data[at] = s.from(v)
}

// grow makes room for n elements, and then some, so that growing element by
// element copies each a constant number of times.
func (s *buffer[T]) grow(n int) {
	filled := s.data
	s.data = tensor.Reset[T](s.t, max(n, 2*len(filled), 16))
	copy(s.data, filled)
}

func (s *buffer[T]) size() int64 {
	return int64(cap(s.data)) * int64(reflect.TypeFor[T]().Size()) //nolint:gosec // a few bytes
}

func (s *buffer[T]) finish(shape []int) {
	filled := s.data
	s.data = tensor.Reset[T](s.t, shape...)
	copy(s.data, filled)
}
