package decode

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// The fields of TensorProto that hold elements.
const (
	floatData  number = 4
	int32Data  number = 5
	stringData number = 6
	int64Data  number = 7
	rawData    number = 9
	doubleData number = 10
	uint64Data number = 11
)

// dataFields is where TensorProto keeps the elements of each type when they
// are not raw.
var dataFields = [...]number{
	tensor.Float32: floatData, tensor.Float64: doubleData, tensor.String: stringData,
	tensor.Int64: int64Data, tensor.Uint32: uint64Data, tensor.Uint64: uint64Data,
	tensor.Int32: int32Data, tensor.Int16: int32Data, tensor.Int8: int32Data,
	tensor.Uint16: int32Data, tensor.Uint8: int32Data, tensor.Bool: int32Data, tensor.Half: int32Data,
}

// elementSizes are the bytes that an element takes, in memory and raw.
var elementSizes = [...]int{
	tensor.Float32: 4, tensor.Float64: 8, tensor.String: stringSize,
	tensor.Int64: 8, tensor.Uint32: 4, tensor.Uint64: 8,
	tensor.Int32: 4, tensor.Int16: 2, tensor.Int8: 1,
	tensor.Uint16: 2, tensor.Uint8: 1, tensor.Bool: 1, tensor.Half: 2,
}

// tensorHead is what has to be known of a TensorProto before its elements are
// read.
type tensorHead struct {
	name    string
	dtype   tensor.DType
	shape   tensor.Shape
	raw     []byte
	entries [uint64Data + 1]int // of each field
}

// Tensor decodes a TensorProto that stands alone, as the files of ONNX's test
// data do. Its errors are fault.Content. The tensor keeps no reference to data.
func Tensor(data []byte, limits onnx.Limits) (*tensor.Tensor, error) {
	limits = limits.WithDefaults()
	if len(data) > limits.Bytes {
		return nil, fault.Newf(fault.Content, "the tensor has %d bytes; at most %d are allowed", len(data), limits.Bytes)
	}
	d := newDecoder(data, limits)
	_, t, err := d.tensor(data)
	if err != nil {
		return nil, fault.Newf(fault.Content, "the tensor cannot be read: %s", clip(err.Error()))
	}
	return t, nil
}

// tensor decodes a TensorProto and returns its name too.
func (d *decoder) tensor(b []byte) (string, *tensor.Tensor, error) {
	h, err := d.tensorHead(b)
	if err != nil {
		return h.name, nil, nameError(h.name, err)
	}
	n, from, err := d.tensorSize(&h)
	if err != nil {
		return h.name, nil, nameError(h.name, err)
	}
	t, err := elements(b, &h, n, from)
	return h.name, t, nameError(h.name, err)
}

func nameError(name string, err error) error {
	if err == nil || name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", onnx.Quote(name), err)
}

func (d *decoder) tensorHead(b []byte) (tensorHead, error) {
	var h tensorHead
	if err := d.take(tensorSize); err != nil {
		return h, err
	}
	var dims []int64
	singular := fields(2, 3, 8, rawData, 12, 14)
	err := message(b, singular, func(f field) (err error) {
		switch f.num {
		case 1:
			if err := d.countEntries(f, 0, &h); err != nil {
				return err
			}
			dims, err = varints(dims, f)
		case 2:
			err = elementType(f, &h.dtype)
		case 3:
			err = fmt.Errorf("segments are not supported")
		case floatData:
			err = d.countEntries(f, 4, &h)
		case doubleData:
			err = d.countEntries(f, 8, &h)
		case int32Data, int64Data, uint64Data:
			err = d.countEntries(f, 0, &h)
		case stringData:
			h.entries[stringData]++
		case 8:
			err = d.text(f, &h.name)
		case rawData:
			h.entries[rawData] = 1
			h.raw, err = f.body, f.want(protowire.BytesType)
		case 13:
			err = errExternal
		case 14:
			if f.bits != 0 {
				err = errExternal
			}
		}
		return err
	})
	if err != nil {
		return h, err
	}
	h.shape, err = toShape(dims, d.limits.Depth)
	return h, err
}

var errExternal = fmt.Errorf("its data is in another file; save the model as one file (onnx.save with save_as_external_data=False)")

func (d *decoder) countEntries(f field, width int, h *tensorHead) error {
	n, err := f.scalars(width)
	if err != nil {
		return err
	}
	h.entries[f.num] += n
	if f.num == 1 {
		return d.take(8 * n)
	}
	return nil
}

// toShape converts extents as the file has them. Ranks are bounded like
// nesting, since kernels keep a counter for each axis.
func toShape(dims []int64, maxRank int) (tensor.Shape, error) {
	if len(dims) > maxRank {
		return nil, fmt.Errorf("it has %d axes; at most %d are allowed", len(dims), maxRank)
	}
	shape := make(tensor.Shape, len(dims))
	for i, v := range dims {
		if v < 0 || v > tensor.MaxElements {
			return nil, fmt.Errorf("extent %d of axis %d is out of range", v, i)
		}
		shape[i] = int(v)
	}
	return shape, nil
}

// tensorSize proves that the file holds as many elements as the shape says, in
// the one field for them, and accounts for their memory. It returns their
// number and their field.
func (d *decoder) tensorSize(h *tensorHead) (int, number, error) {
	from := dataFields[h.dtype]
	if from == 0 {
		return 0, 0, fmt.Errorf("it has no element type")
	}
	n, err := h.shape.Elements()
	if err != nil {
		return 0, 0, fmt.Errorf("shape %v: %w", h.shape, err)
	}
	if n > d.limits.Elements {
		return 0, 0, fmt.Errorf("shape %v holds %d elements; at most %d are allowed", h.shape, n, d.limits.Elements)
	}
	size := elementSizes[h.dtype]
	have := h.entries[from]
	if h.entries[rawData] > 0 && h.dtype != tensor.String && have == 0 {
		if len(h.raw)%size != 0 {
			return 0, 0, fmt.Errorf("%d raw bytes do not hold elements of %d", len(h.raw), size)
		}
		from, have = rawData, len(h.raw)/size
	}
	for i, entries := range h.entries {
		if num := number(i); num != 1 && num != from && entries > 0 {
			return 0, 0, fmt.Errorf("it keeps elements in field %d, which is not for %v", num, h.dtype)
		}
	}
	if have != n {
		return 0, 0, fmt.Errorf("shape %v holds %d elements, but the file has %d", h.shape, n, have)
	}
	return n, from, d.take(n * size)
}

// elements reads the n elements of a tensor from the field that holds them.
func elements(b []byte, h *tensorHead, n int, from number) (*tensor.Tensor, error) {
	switch h.dtype {
	case tensor.Float32:
		return build(b, h, n, from, float32s)
	case tensor.Float64:
		return build(b, h, n, from, float64s)
	case tensor.Int64:
		return build(b, h, n, from, varints[int64])
	case tensor.Uint64:
		return build(b, h, n, from, varints[uint64])
	case tensor.Uint32:
		return build(b, h, n, from, narrow[uint32])
	case tensor.Int32:
		return build(b, h, n, from, narrow[int32])
	case tensor.Int16:
		return build(b, h, n, from, narrow[int16])
	case tensor.Int8:
		return build(b, h, n, from, narrow[int8])
	case tensor.Uint16:
		return build(b, h, n, from, narrow[uint16])
	case tensor.Uint8:
		return build(b, h, n, from, narrow[uint8])
	case tensor.Half:
		return halves(b, h, n, from)
	case tensor.Bool:
		return build(b, h, n, from, bools)
	case tensor.String:
		return build(b, h, n, from, texts)
	case tensor.Undefined: // refused before
	}
	return nil, fmt.Errorf("element type %v is not supported", h.dtype)
}

func build[T tensor.Element](b []byte, h *tensorHead, n int, from number, read func([]T, field) ([]T, error)) (*tensor.Tensor, error) {
	data := make([]T, 0, n)
	if from == rawData {
		data = data[:n]
		if _, err := binary.Decode(h.raw, binary.LittleEndian, data); err != nil {
			return nil, err
		}
		return tensor.New(h.shape, data)
	}
	err := message(b, 0, func(f field) (err error) {
		if f.num == from {
			data, err = read(data, f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return tensor.New(h.shape, data)
}

// narrow appends integers of a smaller type than the field has, such as the
// int8 of int32_data. One that does not fit is an error.
func narrow[T uint8 | int8 | uint16 | int16 | uint32 | int32](dst []T, f field) ([]T, error) {
	err := eachVarint(f, func(bits uint64) error {
		v := int64(bits) //nolint:gosec // protobuf's int64 is the two's complement of the varint
		if int64(T(v)) != v {
			return fmt.Errorf("element %d does not fit %v", v, tensor.DTypeOf[T]())
		}
		dst = append(dst, T(v))
		return nil
	})
	return dst, err
}

func bools(dst []bool, f field) ([]bool, error) {
	err := eachVarint(f, func(bits uint64) error {
		dst = append(dst, bits != 0)
		return nil
	})
	return dst, err
}

func texts(dst []string, f field) ([]string, error) {
	var s string
	err := f.string(&s)
	return append(dst, s), err
}

// halves reads float16 elements through their bits, which both int32_data and
// raw_data hold.
func halves(b []byte, h *tensorHead, n int, from number) (*tensor.Tensor, error) {
	t, err := build(b, h, n, from, narrow[uint16])
	if err != nil {
		return nil, err
	}
	data := make([]tensor.Float16, n)
	for i, v := range tensor.Of[uint16](t) {
		data[i] = tensor.Float16(v)
	}
	return tensor.New(h.shape, data)
}

func validText(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}
