//go:build ort && cgo

package ort_test

import "onnxgate/internal/tensor"

// element returns element i: floats as float64, which holds them exactly.
func element(t *tensor.Tensor, i int) any {
	switch t.DType() { //nolint:exhaustive // no other type leaves the models that are drawn
	case tensor.Float32:
		return float64(tensor.Of[float32](t)[i])
	case tensor.Float64:
		return tensor.Of[float64](t)[i]
	case tensor.Int32:
		return tensor.Of[int32](t)[i]
	case tensor.Int64:
		return tensor.Of[int64](t)[i]
	case tensor.Bool:
		return tensor.Of[bool](t)[i]
	}
	return tensor.Of[string](t)[i]
}

// rowOf returns a row of a tensor as one of its own.
func rowOf(t *tensor.Tensor, row int) *tensor.Tensor {
	out := &tensor.Tensor{}
	switch t.DType() { //nolint:exhaustive // as above
	case tensor.Float32:
		cut[float32](out, t, row)
	case tensor.Float64:
		cut[float64](out, t, row)
	case tensor.Int32:
		cut[int32](out, t, row)
	case tensor.Int64:
		cut[int64](out, t, row)
	case tensor.Bool:
		cut[bool](out, t, row)
	default:
		cut[string](out, t, row)
	}
	return out
}

func cut[T tensor.Element](dst, src *tensor.Tensor, row int) {
	width := src.Len() / src.Shape()[0]
	shape := append([]int{1}, src.Shape()[1:]...)
	copy(tensor.Reset[T](dst, shape...), tensor.Of[T](src)[row*width:(row+1)*width])
}
