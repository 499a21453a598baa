package oip

import (
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/tensor"
)

// How infinities are written; JSON has no number for them. NaN is null.
const (
	posInf = "Infinity"
	negInf = "-Infinity"
)

// Response is what AppendResponse writes.
type Response struct {
	Model string
	// Version is left out when it is empty.
	Version string
	// ID is left out when it is empty.
	ID string
	// Specs and Outputs are all outputs of the model; Wanted are the indexes
	// of those to write.
	Specs   []tensor.Spec
	Outputs []*tensor.Tensor
	Wanted  []int
	// Parts names of each of Wanted the one tensor of it to write, and is empty for
	// all of it; nil: all of every one. A tensor that is not there is left out.
	Parts []string
	// Binary says of each of Wanted whether it goes as bytes behind the JSON;
	// nil: none does.
	Binary []bool
}

// AppendResponse appends the response as one line of JSON, elements flat and in
// row-major order, and then the elements of the outputs that go as bytes. It
// returns how many bytes the JSON has, and 0 when there is nothing behind it. A
// sequence of maps is one output, and any other list as many as it holds; see Flat.
func AppendResponse(b []byte, r *Response) (answer []byte, header int) {
	start := len(b)
	b = appendHeader(b, r)
	if !slices.Contains(r.Binary, true) {
		return b, 0
	}
	header = len(b) - start
	behind := 0
	for t := range r.binary() {
		behind += bytesOf(t)
	}
	b = slices.Grow(b, behind)
	for t := range r.binary() {
		b = AppendBytes(b, t)
	}
	return b, header
}

// binary yields the tensors that go as bytes.
func (r *Response) binary() iter.Seq[*tensor.Tensor] {
	return func(yield func(*tensor.Tensor) bool) {
		for i := range r.Wanted {
			if !r.Binary[i] {
				continue
			}
			for _, t := range r.tensors(i) {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// tensors yields the tensors to write of the output of the number among Wanted,
// with their names.
func (r *Response) tensors(i int) iter.Seq2[string, *tensor.Tensor] {
	output := r.Wanted[i]
	all := Flat(r.Specs[output].Name, r.Outputs[output])
	if r.Parts == nil || r.Parts[i] == "" {
		return all
	}
	return func(yield func(string, *tensor.Tensor) bool) {
		for name, t := range all {
			if name == r.Parts[i] && !yield(name, t) {
				return
			}
		}
	}
}

func appendHeader(b []byte, r *Response) []byte {
	b = append(b, `{"model_name":`...)
	b = appendText(b, r.Model)
	if r.Version != "" {
		b = append(b, `,"model_version":`...)
		b = appendText(b, r.Version)
	}
	if r.ID != "" {
		b = append(b, `,"id":`...)
		b = appendText(b, r.ID)
	}
	b = append(b, `,"outputs":[`...)
	first := true
	for i := range r.Wanted {
		for name, t := range r.tensors(i) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendOutput(b, name, t, r.Binary != nil && r.Binary[i])
		}
	}
	return append(b, "]}\n"...)
}

func appendOutput(b []byte, name string, t *tensor.Tensor, binary bool) []byte {
	b = append(b, `{"name":`...)
	b = appendText(b, name)
	b = append(b, `,"shape":`...)
	b = appendAll(b, t.Shape(), func(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) })
	b = append(b, `,"datatype":"`...)
	b = append(b, Datatype(t.DType())...)
	if binary {
		b = append(b, `","parameters":{"binary_data_size":`...)
		return append(strconv.AppendInt(b, int64(bytesOf(t)), 10), "}}"...)
	}
	b = append(b, `","data":`...)
	b = appendData(b, t)
	return append(b, '}')
}

func appendData(b []byte, t *tensor.Tensor) []byte {
	switch t.DType() {
	case tensor.Bool:
		return appendAll(b, tensor.Of[bool](t), strconv.AppendBool)
	case tensor.String:
		return appendAll(b, tensor.Of[string](t), appendText)
	case tensor.Uint8:
		return appendAll(b, tensor.Of[uint8](t), appendUint)
	case tensor.Uint16:
		return appendAll(b, tensor.Of[uint16](t), appendUint)
	case tensor.Uint32:
		return appendAll(b, tensor.Of[uint32](t), appendUint)
	case tensor.Uint64:
		return appendAll(b, tensor.Of[uint64](t), appendUint)
	case tensor.Int8:
		return appendAll(b, tensor.Of[int8](t), appendInt)
	case tensor.Int16:
		return appendAll(b, tensor.Of[int16](t), appendInt)
	case tensor.Int32:
		return appendAll(b, tensor.Of[int32](t), appendInt)
	case tensor.Int64:
		return appendAll(b, tensor.Of[int64](t), appendInt)
	case tensor.Half:
		return appendAll(b, tensor.Of[tensor.Float16](t), func(b []byte, h tensor.Float16) []byte {
			return appendFloat(b, h.Float64(), 32)
		})
	case tensor.Float32:
		return appendAll(b, tensor.Of[float32](t), func(b []byte, f float32) []byte { return appendFloat(b, float64(f), 32) })
	case tensor.Float64:
		return appendAll(b, tensor.Of[float64](t), func(b []byte, f float64) []byte { return appendFloat(b, f, 64) })
	case tensor.Undefined:
	}
	return append(b, "[]"...)
}

func appendAll[T any](b []byte, all []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

func appendUint[T uint8 | uint16 | uint32 | uint64](b []byte, v T) []byte {
	return strconv.AppendUint(b, uint64(v), 10)
}

func appendInt[T int8 | int16 | int32 | int64](b []byte, v T) []byte {
	return strconv.AppendInt(b, int64(v), 10)
}

// appendFloat writes the shortest number that reads back as the same value of
// the given size.
func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "null"...)
	case math.IsInf(f, 1):
		return appendText(b, posInf)
	case math.IsInf(f, -1):
		return appendText(b, negInf)
	default:
		return strconv.AppendFloat(b, f, 'g', -1, bits)
	}
}

// appendText writes a JSON string. A model may hold bytes that are no UTF-8;
// they come out as replacement characters.
func appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // its error says only that it replaced something
	return b
}
