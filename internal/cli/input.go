package cli

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"onnxgate/internal/tensor"
)

// random makes an input of the declared shape with the given rows: the first
// extent when it is free, other free extents are 1.
func random(spec *tensor.Spec, rows int, r *rand.Rand) (*tensor.Tensor, error) {
	if spec.Kind != tensor.KindTensor {
		return randomList(spec, rows, r)
	}
	if !spec.Ranked {
		return nil, errors.New("the model does not declare its shape; name a request with --input")
	}
	shape := spec.Shape(rows)
	if len(shape) > 0 && shape[0] != rows {
		return nil, fmt.Errorf("takes exactly %d rows; write --rows %d", shape[0], shape[0])
	}
	switch spec.DType {
	case tensor.Float32:
		return fill(shape, func() float32 { return float32(number(r)) })
	case tensor.Float64:
		return fill(shape, func() float64 { return number(r) })
	case tensor.Half:
		return fill(shape, func() tensor.Float16 { return tensor.Float16(0x3c00 + r.IntN(0xc00)) }) //nolint:gosec // G115: from 1 to 8
	case tensor.Bool:
		return fill(shape, func() bool { return r.IntN(2) == 1 })
	case tensor.String:
		return fill(shape, func() string { return strconv.Itoa(r.IntN(10)) })
	case tensor.Uint8:
		return fill(shape, small[uint8](r))
	case tensor.Uint16:
		return fill(shape, small[uint16](r))
	case tensor.Uint32:
		return fill(shape, small[uint32](r))
	case tensor.Uint64:
		return fill(shape, small[uint64](r))
	case tensor.Int8:
		return fill(shape, small[int8](r))
	case tensor.Int16:
		return fill(shape, small[int16](r))
	case tensor.Int32:
		return fill(shape, small[int32](r))
	case tensor.Int64:
		return fill(shape, small[int64](r))
	case tensor.Undefined:
	}
	return nil, fmt.Errorf("cannot make up input of type %v", spec.DType)
}

// randomLength is how many elements a random sequence or map has.
const randomLength = 10

// errOneRow is of an input that is no tensor and has no rows.
var errOneRow = errors.New("takes one row; write --rows 1")

// randomList makes a map, a sequence or an optional, of one row.
func randomList(spec *tensor.Spec, rows int, r *rand.Rand) (*tensor.Tensor, error) {
	if rows != 1 {
		return nil, errOneRow
	}
	switch spec.Kind {
	case tensor.KindMap:
		return randomMap(spec, r)
	case tensor.KindSequence:
		items := make([]*tensor.Tensor, randomLength)
		for i := range items {
			var err error
			if items[i], err = random(spec.Elem, rows, r); err != nil {
				return nil, err
			}
		}
		return tensor.NewSequence(items...), nil
	case tensor.KindOptional:
		t, err := random(spec.Elem, rows, r)
		return tensor.NewOptional(t), err
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return nil, fmt.Errorf("cannot make up input of kind %v; name a request with --input", spec.Kind)
}

// randomMap makes a map whose keys are the first numbers, as text if need be.
func randomMap(spec *tensor.Spec, r *rand.Rand) (*tensor.Tensor, error) {
	next := int64(-1)
	count := func() int64 { next++; return next }
	var keys *tensor.Tensor
	var err error
	if spec.Key == tensor.String {
		keys, err = fill(tensor.Shape{randomLength}, func() string { return strconv.FormatInt(count(), 10) })
	} else {
		keys, err = fill(tensor.Shape{randomLength}, count)
	}
	if err != nil {
		return nil, err
	}
	values, err := random(&tensor.Spec{DType: spec.DType, Ranked: true, Dims: []tensor.Dim{{Size: randomLength}}}, randomLength, r)
	if err != nil {
		return nil, err
	}
	return tensor.NewMap(keys, values)
}

// number is as likely a measure of up to 10 as a standardised one, since a model
// does not say which it was trained on.
func number(r *rand.Rand) float64 {
	if r.IntN(2) == 0 {
		return r.Float64() * 10
	}
	return r.NormFloat64()
}

func small[T uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64](r *rand.Rand) func() T {
	return func() T { return T(r.IntN(10)) }
}

func fill[T tensor.Element](shape tensor.Shape, next func() T) (*tensor.Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return nil, err
	}
	data := make([]T, n)
	for i := range data {
		data[i] = next()
	}
	return tensor.New(shape, data)
}

// tile makes an input of as many rows of the sample as are asked for, from the
// given one on, and over again from its first.
func tile(sample *tensor.Tensor, from, rows int) (*tensor.Tensor, error) {
	shape := sample.Shape()
	switch {
	case sample.Kind() != tensor.KindTensor && rows != 1:
		return nil, errOneRow
	case sample.Kind() != tensor.KindTensor, len(shape) == 0, from == 0 && shape[0] == rows:
		return sample, nil
	}
	if shape[0] == 0 {
		return nil, errors.New("the request has no rows")
	}
	switch sample.DType() {
	case tensor.Float32:
		return tileOf[float32](sample, from, rows)
	case tensor.Float64:
		return tileOf[float64](sample, from, rows)
	case tensor.Half:
		return tileOf[tensor.Float16](sample, from, rows)
	case tensor.Bool:
		return tileOf[bool](sample, from, rows)
	case tensor.String:
		return tileOf[string](sample, from, rows)
	case tensor.Uint8:
		return tileOf[uint8](sample, from, rows)
	case tensor.Uint16:
		return tileOf[uint16](sample, from, rows)
	case tensor.Uint32:
		return tileOf[uint32](sample, from, rows)
	case tensor.Uint64:
		return tileOf[uint64](sample, from, rows)
	case tensor.Int8:
		return tileOf[int8](sample, from, rows)
	case tensor.Int16:
		return tileOf[int16](sample, from, rows)
	case tensor.Int32:
		return tileOf[int32](sample, from, rows)
	case tensor.Int64:
		return tileOf[int64](sample, from, rows)
	case tensor.Undefined:
	}
	return nil, fmt.Errorf("cannot make up input of type %v", sample.DType())
}

func tileOf[T tensor.Element](sample *tensor.Tensor, from, rows int) (*tensor.Tensor, error) {
	shape := append(tensor.Shape{rows}, sample.Shape()[1:]...)
	n, err := shape.Elements()
	if err != nil {
		return nil, err
	}
	data, all := make([]T, n), tensor.Of[T](sample)
	if len(all) == 0 {
		return tensor.New(shape, data) // rows without elements
	}
	at := from % sample.Shape()[0] * (len(all) / sample.Shape()[0])
	for done := 0; done < n; at = 0 {
		done += copy(data[done:], all[at:])
	}
	return tensor.New(shape, data)
}
