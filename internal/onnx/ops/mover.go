package ops

import (
	"onnxgate/internal/tensor"
)

// mover holds what operators that only move elements need of an element type,
// so that each is written once.
type mover struct {
	// output gives output i of the frame a shape.
	output func(f *Frame, i int, shape []int) error
	// reset charges for a tensor outside the frame and gives it a shape.
	reset func(f *Frame, t *tensor.Tensor, shape []int) error
	// extend charges for src and puts it behind the last element of dst's first
	// axis.
	extend func(f *Frame, dst, src *tensor.Tensor) error
	// clear sets n elements to the zero of the type.
	clear func(dst *tensor.Tensor, from, n int)
	// copy copies n elements between tensors of the type.
	copy func(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int)
}

var movers = [...]mover{
	tensor.Float32: moverOf[float32](), tensor.Float64: moverOf[float64](),
	tensor.Int8: moverOf[int8](), tensor.Int16: moverOf[int16](), tensor.Int32: moverOf[int32](), tensor.Int64: moverOf[int64](),
	tensor.Uint8: moverOf[uint8](), tensor.Uint16: moverOf[uint16](), tensor.Uint32: moverOf[uint32](), tensor.Uint64: moverOf[uint64](),
	tensor.String: moverOf[string](), tensor.Bool: moverOf[bool](), tensor.Half: moverOf[tensor.Float16](),
}

func moverOf[T tensor.Element]() mover {
	return mover{
		output: func(f *Frame, i int, shape []int) error {
			_, err := Output[T](f, i, shape...)
			return err
		},
		reset: func(f *Frame, t *tensor.Tensor, shape []int) error {
			err := f.charge(tensor.DTypeOf[T](), shape)
			if err == nil {
				tensor.Reset[T](t, shape...)
			}
			return err
		},
		extend: func(f *Frame, dst, src *tensor.Tensor) error {
			if err := f.charge(tensor.DTypeOf[T](), src.Shape()); err != nil {
				return err
			}
			return tensor.Extend(dst, tensor.Of[T](src))
		},
		clear: func(dst *tensor.Tensor, from, n int) { clear(tensor.Of[T](dst)[from : from+n]) },
		copy: func(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int) {
			copy(tensor.Of[T](dst)[to:to+n], tensor.Of[T](src)[from:from+n])
		},
	}
}

// The element types that operators take, as ONNX's schemas group them.
var (
	anyElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Bool, tensor.String,
	}
	numericElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64,
	}
	// wideElem is what arithmetic took before version 14.
	wideElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int32, tensor.Int64, tensor.Uint32, tensor.Uint64,
	}
	floatElem = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Half}
	// mlElem is what the operators of ai.onnx.ml take.
	mlElem = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int32, tensor.Int64}
)

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

type floating interface{ float32 | float64 }

type number interface{ integer | floating }
