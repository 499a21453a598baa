package testkit

import "onnxgate/internal/tensor"

// Elements returns the elements of a tensor as a slice of their own type, row by
// row, to be compared or printed.
func Elements(t *tensor.Tensor) any {
	switch t.DType() {
	case tensor.Bool:
		return tensor.Of[bool](t)
	case tensor.String:
		return tensor.Of[string](t)
	case tensor.Int8:
		return tensor.Of[int8](t)
	case tensor.Int16:
		return tensor.Of[int16](t)
	case tensor.Int32:
		return tensor.Of[int32](t)
	case tensor.Int64:
		return tensor.Of[int64](t)
	case tensor.Uint8:
		return tensor.Of[uint8](t)
	case tensor.Uint16:
		return tensor.Of[uint16](t)
	case tensor.Uint32:
		return tensor.Of[uint32](t)
	case tensor.Uint64:
		return tensor.Of[uint64](t)
	case tensor.Half:
		return tensor.Of[tensor.Float16](t)
	case tensor.Float32:
		return tensor.Of[float32](t)
	case tensor.Float64:
		return tensor.Of[float64](t)
	case tensor.Undefined:
	}
	return nil
}
