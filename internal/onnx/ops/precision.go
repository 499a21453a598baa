package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// The kernels of this file's users compute in C, and meet tensors of other
// floating types: of float16 always, and where a schema mixes types.

// widened returns input i in C: its own elements when they are of C, else
// converted into scratch tensor s.
func widened[C number](ctx context.Context, f *Frame, i, s int) ([]C, error) {
	switch f.In(i).DType() { //nolint:exhaustive // parse functions let no other type through
	case tensor.DTypeOf[C]():
		return Input[C](f, i), nil
	case tensor.Half:
		return convertedInput[C](ctx, f, i, s, func(h tensor.Float16) C { return C(fromHalf(h)) })
	case tensor.Float32:
		return convertedInput[C](ctx, f, i, s, func(x float32) C { return C(x) })
	case tensor.Float64:
		return convertedInput[C](ctx, f, i, s, func(x float64) C { return C(x) })
	}
	return nil, fault.Newf(fault.Internal, "input %d is of %v", i, f.In(i).DType())
}

func convertedInput[C, S tensor.Element](ctx context.Context, f *Frame, i, s int, conv func(S) C) ([]C, error) {
	src := Input[S](f, i)
	dst, err := Scratch[C](f, s, len(src))
	if err != nil {
		return nil, err
	}
	return dst, convertAll(ctx, dst, src, conv)
}

func convertAll[D, S any](ctx context.Context, dst []D, src []S, conv func(S) D) error {
	return inBlocks(ctx, len(src), func(at, end int) error {
		for k, v := range src[at:end] {
			dst[at+k] = conv(v)
		}
		return nil
	})
}

// result is an output of type elem that is computed in C: in its own memory
// when elem is C, else in a scratch tensor.
type result[C number] struct {
	output, scratch int
	elem            tensor.DType
}

// open gives the output its shape and returns where to compute it.
func (r result[C]) open(f *Frame, shape []int) ([]C, error) {
	switch r.elem { //nolint:exhaustive // parse functions let no other type through
	case tensor.DTypeOf[C]():
		return Output[C](f, r.output, shape...)
	case tensor.Half:
		return openAs[C, tensor.Float16](f, r, shape)
	case tensor.Float32:
		return openAs[C, float32](f, r, shape)
	case tensor.Float64:
		return openAs[C, float64](f, r, shape)
	}
	return nil, fault.Newf(fault.Internal, "output %d is of %v", r.output, r.elem)
}

func openAs[C number, D tensor.Element](f *Frame, r result[C], shape []int) ([]C, error) {
	dst, err := Output[D](f, r.output, shape...)
	if err != nil {
		return nil, err
	}
	return Scratch[C](f, r.scratch, len(dst))
}

// close rounds what was computed into the output.
func (r result[C]) close(ctx context.Context, f *Frame, computed []C) error {
	switch r.elem { //nolint:exhaustive // open refused the others
	case tensor.DTypeOf[C]():
		return nil
	case tensor.Half:
		return convertAll(ctx, tensor.Of[tensor.Float16](f.out[r.output]), computed, func(x C) tensor.Float16 { return toHalf(float32(x)) })
	case tensor.Float32:
		return convertAll(ctx, tensor.Of[float32](f.out[r.output]), computed, func(x C) float32 { return float32(x) })
	}
	return convertAll(ctx, tensor.Of[float64](f.out[r.output]), computed, func(x C) float64 { return float64(x) })
}
