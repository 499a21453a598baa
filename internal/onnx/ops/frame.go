package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Kernel computes one node. The tensors are those of the frame. It may be
// called from many goroutines at once, each with a frame of its own.
type Kernel func(ctx context.Context, f *Frame) error

// Frame is the memory of one node in one run.
type Frame struct {
	in, out   []*tensor.Tensor
	scratch   []tensor.Tensor
	budget    *Budget
	dims      []int
	length    [1]int
	stretched []stretchAxis // of the inputs that are broadcast
	way       *view         // what elements are copied along

	bodies    []Runner // of the node's subgraphs
	bodyPorts []*tensor.Tensor
}

// NewFrame returns a frame. in and out are kept, and their entries may be
// changed between runs; an entry of in is nil for an input that is left out.
func NewFrame(in, out []*tensor.Tensor, scratches int, budget *Budget) Frame {
	return Frame{in: in, out: out, scratch: make([]tensor.Tensor, scratches), budget: budget, dims: make([]int, 0, 8)}
}

// In returns input i, nil when it is left out.
func (f *Frame) In(i int) *tensor.Tensor {
	if i >= len(f.in) {
		return nil
	}
	return f.in[i]
}

// Inputs returns the number of inputs, those left out in the middle included.
func (f *Frame) Inputs() int { return len(f.in) }

// Input returns the elements of input i, which is of type T by what the parse
// function checked.
func Input[T tensor.Element](f *Frame, i int) []T { return tensor.Of[T](f.in[i]) }

// Output gives output i its shape and returns its elements, all of which the
// kernel writes. It fails when the run's memory is used up.
func Output[T tensor.Element](f *Frame, i int, shape ...int) ([]T, error) {
	if err := f.charge(tensor.DTypeOf[T](), shape); err != nil {
		return nil, err
	}
	return reset[T](f, f.out[i], shape...), nil
}

// reset is tensor.Reset for a tensor that the run keeps, and counts what its memory
// grows by.
func reset[T tensor.Element](f *Frame, t *tensor.Tensor, shape ...int) []T {
	before := t.Memory()
	data := tensor.Reset[T](t, shape...)
	f.budget.Size += t.Memory() - before
	return data
}

// Scratch returns n elements of scratch tensor i, with unspecified values.
func Scratch[T tensor.Element](f *Frame, i, n int) ([]T, error) {
	if s := tensor.Of[T](&f.scratch[i]); n <= len(s) {
		f.budget.again += n * tensor.DTypeOf[T]().Size()
		return s[:n], nil // what is there already is not counted again
	}
	f.length[0] = n // not in dims, which a kernel may still need
	if err := f.charge(tensor.DTypeOf[T](), f.length[:]); err != nil {
		return nil, err
	}
	return reset[T](f, &f.scratch[i], n), nil
}

// charge takes the memory of a tensor from the run's budget, before it is
// allocated.
func (f *Frame) charge(d tensor.DType, shape tensor.Shape) error {
	if len(shape) == 2 && uint(shape[0]) < 1<<16 && uint(shape[1]) < 1<<16 { // the usual case, and a fast one
		if bytes := shape[0] * shape[1] * d.Size(); bytes <= f.budget.Left {
			f.budget.Left -= bytes
			return nil
		}
	}
	n, err := shape.Elements()
	if err != nil {
		n = tensor.MaxElements
	}
	if !f.budget.take(n*d.Size()) || err != nil {
		return tooLarge(shape)
	}
	return nil
}

// chargeGrowth takes the memory that t grows by for another of n elements along
// its first axis: none as a rule, and as much again where its memory is full; see
// tensor.Extend.
func (f *Frame) chargeGrowth(t *tensor.Tensor, n int) error {
	have := t.Shape()[0]
	more := tensor.Room(have+1) - tensor.Room(have)
	if n > 0 && (more > tensor.MaxElements/n || !f.budget.take(more*n*t.DType().Size())) {
		return tooLarge(t.Shape())
	}
	return nil
}

func tooLarge(shape tensor.Shape) error {
	return fault.Newf(fault.Content, "the result of shape %s needs more memory than one prediction may take; send fewer rows",
		onnx.FormatShape(shape))
}

// pollRows is how many rows a kernel computes between two looks at ctx.
const pollRows = 256

// poll returns ctx's error at every pollRows-th row.
func poll(ctx context.Context, row int) error {
	if row%pollRows == pollRows-1 {
		return ctx.Err()
	}
	return nil
}
