//go:build ort && cgo

package ort

import (
	"fmt"

	runtimelib "github.com/yalue/onnxruntime_go"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// give returns a tensor as a value of the library, over the tensor's memory.
func give(s *tensor.Spec, t *tensor.Tensor) (runtimelib.Value, error) { //nolint:ireturn // the library's own interface
	if t == nil || t.DType() != s.DType || !s.Fits(t.Shape()) {
		return nil, unfit(s, t)
	}
	shape := make(runtimelib.Shape, len(t.Shape()))
	for i, n := range t.Shape() {
		shape[i] = int64(n)
	}
	v, err := wrap(t, shape)
	if err != nil {
		return nil, fault.Wrap(fault.Content, fmt.Sprintf("ONNX Runtime does not take input %s of shape %s", onnx.Quote(s.Name), onnx.FormatShape(t.Shape())), err)
	}
	return v, nil
}

// unfit says what an input must be, and is not.
func unfit(s *tensor.Spec, t *tensor.Tensor) error {
	switch {
	case t == nil:
		return fault.Newf(fault.Content, "input %s is missing", onnx.Quote(s.Name))
	case t.DType() != s.DType:
		return fault.Newf(fault.Content, "input %s must be of type %v, not %v", onnx.Quote(s.Name), s.DType, t.DType())
	}
	return fault.Newf(fault.Content, "input %s must have shape %s, not %s", onnx.Quote(s.Name), onnx.FormatDims(s.Dims), onnx.FormatShape(t.Shape()))
}

func wrap(t *tensor.Tensor, shape runtimelib.Shape) (runtimelib.Value, error) { //nolint:ireturn // the library's own interface
	switch t.DType() { //nolint:exhaustive // the contract has no other type
	case tensor.Float32:
		return numbers[float32](t, shape)
	case tensor.Float64:
		return numbers[float64](t, shape)
	case tensor.Int8:
		return numbers[int8](t, shape)
	case tensor.Int16:
		return numbers[int16](t, shape)
	case tensor.Int32:
		return numbers[int32](t, shape)
	case tensor.Int64:
		return numbers[int64](t, shape)
	case tensor.Uint8:
		return numbers[uint8](t, shape)
	case tensor.Uint16:
		return numbers[uint16](t, shape)
	case tensor.Uint32:
		return numbers[uint32](t, shape)
	case tensor.Uint64:
		return numbers[uint64](t, shape)
	case tensor.Bool:
		return numbers[bool](t, shape)
	}
	v, err := runtimelib.NewStringTensor(shape)
	if err != nil {
		return nil, err
	}
	return v, v.SetContents(tensor.Of[string](t))
}

// scalar returns a value for the library to write a scalar to.
func scalar(d tensor.DType) (runtimelib.Value, error) { //nolint:ireturn // the library's own interface
	switch d { //nolint:exhaustive // texts need none
	case tensor.Float32:
		return runtimelib.NewScalar[float32](0)
	case tensor.Float64:
		return runtimelib.NewScalar[float64](0)
	case tensor.Int8:
		return runtimelib.NewScalar[int8](0)
	case tensor.Int16:
		return runtimelib.NewScalar[int16](0)
	case tensor.Int32:
		return runtimelib.NewScalar[int32](0)
	case tensor.Int64:
		return runtimelib.NewScalar[int64](0)
	case tensor.Uint8:
		return runtimelib.NewScalar[uint8](0)
	case tensor.Uint16:
		return runtimelib.NewScalar[uint16](0)
	case tensor.Uint32:
		return runtimelib.NewScalar[uint32](0)
	case tensor.Uint64:
		return runtimelib.NewScalar[uint64](0)
	}
	return runtimelib.NewScalar(false)
}

// number is what both sides have a type for.
type number interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

func numbers[T number](t *tensor.Tensor, shape runtimelib.Shape) (runtimelib.Value, error) { //nolint:ireturn // the library's own interface
	if len(shape) == 0 {
		return runtimelib.NewScalar(tensor.Of[T](t)[0])
	}
	return runtimelib.NewTensor(shape, tensor.Of[T](t))
}

// take copies a value of the library into a tensor.
func take(s *tensor.Spec, v runtimelib.Value, into *tensor.Tensor) error {
	var ok bool
	switch s.DType { //nolint:exhaustive // the contract has no other type
	case tensor.Float32:
		ok = copied[float32](v, into)
	case tensor.Float64:
		ok = copied[float64](v, into)
	case tensor.Int8:
		ok = copied[int8](v, into)
	case tensor.Int16:
		ok = copied[int16](v, into)
	case tensor.Int32:
		ok = copied[int32](v, into)
	case tensor.Int64:
		ok = copied[int64](v, into)
	case tensor.Uint8:
		ok = copied[uint8](v, into)
	case tensor.Uint16:
		ok = copied[uint16](v, into)
	case tensor.Uint32:
		ok = copied[uint32](v, into)
	case tensor.Uint64:
		ok = copied[uint64](v, into)
	case tensor.Bool:
		ok = copied[bool](v, into)
	case tensor.String:
		return takeTexts(s, v, into)
	}
	if !ok {
		return unexpected(s, v)
	}
	return nil
}

func copied[T number](v runtimelib.Value, into *tensor.Tensor) bool {
	switch t := v.(type) {
	case *runtimelib.Tensor[T]:
		copy(tensor.Reset[T](into, extents(t.GetShape())...), t.GetData())
	case *runtimelib.Scalar[T]:
		tensor.Reset[T](into)[0] = t.GetData()
	default:
		return false
	}
	return true
}

func extents(s runtimelib.Shape) []int {
	shape := make([]int, len(s))
	for i, n := range s {
		shape[i] = int(n)
	}
	return shape
}

func takeTexts(s *tensor.Spec, v runtimelib.Value, into *tensor.Tensor) error {
	t, ok := v.(*runtimelib.StringTensor)
	if !ok {
		return unexpected(s, v)
	}
	texts, err := t.GetContents()
	if err != nil {
		return fault.Wrap(fault.Internal, "the prediction failed", err)
	}
	copy(tensor.Reset[string](into, extents(t.GetShape())...), texts)
	return nil
}

func unexpected(s *tensor.Spec, v runtimelib.Value) error {
	return fault.New(fault.Internal, fmt.Sprintf("output %s came as %T, which is not of type %v", onnx.Quote(s.Name), v, s.DType))
}
