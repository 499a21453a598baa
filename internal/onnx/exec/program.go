package exec

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Program is a compiled model. It does not change, and is safe for concurrent
// use.
type Program struct {
	code            *code
	inputs, outputs []tensor.Spec
	warnings        []string
	memory          int
	constants       int // bytes of what Compile made of the file and keeps
	maxRank         int
	pool            sync.Pool // of *state
	kept            tensor.Retention
}

// Inputs describes what a run needs, in order. Initializers that double as
// inputs are not among them. The caller must not change the result.
func (p *Program) Inputs() []tensor.Spec { return p.inputs }

// Outputs describes what a run gives, in order. The caller must not change the
// result.
func (p *Program) Outputs() []tensor.Spec { return p.outputs }

// Warnings says what is odd about the model without being wrong.
func (p *Program) Warnings() []string { return p.warnings }

// Memory returns how many bytes the program keeps beside what the file holds: results
// of nodes that are the same for every run, and matrices in another order.
func (p *Program) Memory() int { return p.constants }

// warmMemory is how much of its memory a run may take that is nobody's request.
const warmMemory = 64 << 20

// Warm is a first Run for a program that is not in use yet, with at most 64 MiB of
// memory. It reports false where the model needs more than that, which is no error.
func (p *Program) Warm(ctx context.Context, in, out []*tensor.Tensor) (enough bool, err error) {
	if enough, err = p.run(ctx, in, out, min(p.memory, warmMemory)); !enough {
		err = nil
	}
	return enough, err
}

// Run computes the outputs of one call. in holds a tensor for each of Inputs,
// and out one for each of Outputs, which it resets and fills; their memory is
// used again when it is large enough. No tensor may be in both or twice in
// out. A sequence, an optional and a map travel as lists; see package tensor.
// What a list among out holds is the caller's own.
//
// An input that does not fit its specification is a fault.Content that names
// it; so is one whose extents do not fit the model or whose results are larger
// than the model's limit. When ctx ends the error is fault.Timeout or
// fault.Canceled. After an error the outputs are unspecified.
func (p *Program) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	_, err := p.run(ctx, in, out, p.memory)
	return err
}

// run is Run with at most so many bytes of memory, and reports whether they were
// enough.
func (p *Program) run(ctx context.Context, in, out []*tensor.Tensor, memory int) (enough bool, err error) {
	if err := p.check(in, out); err != nil {
		return true, err
	}
	s, ok := p.pool.Get().(*state)
	if !ok {
		return true, fault.New(fault.Internal, "the pool of run states holds something else")
	}
	// A state that a kernel left by panic is not used again.
	defer func() {
		if r := recover(); r != nil {
			enough, err = true, fault.Wrap(fault.Internal, "the prediction failed", recovered(r))
		}
	}()
	s.budget.Start(memory)
	err = s.Run(ctx, in, out)
	enough = err == nil || s.budget.Refused == 0
	used := s.budget.Took(memory)
	if memory < p.memory {
		used = 0 // nobody's request: no sign of others like it
	}
	if p.kept.Keep(used, s.budget.Size) {
		p.pool.Put(s)
	}
	return enough, err
}

// check compares the tensors of a call with the specifications.
func (p *Program) check(in, out []*tensor.Tensor) error {
	if len(in) != len(p.inputs) {
		return fault.Newf(fault.Content, "the model takes %d inputs; %d were given", len(p.inputs), len(in))
	}
	if len(out) != len(p.outputs) || slices.Contains(out, nil) {
		return fault.Newf(fault.Internal, "a run needs %d tensors for its outputs", len(p.outputs))
	}
	for i, t := range in {
		if err := p.checkInput(&p.inputs[i], t); err != nil {
			return err
		}
		if slices.Contains(out, t) {
			return fault.Newf(fault.Internal, "input %s is also an output", onnx.Quote(p.inputs[i].Name))
		}
	}
	return nil
}

func (p *Program) checkInput(s *tensor.Spec, t *tensor.Tensor) error {
	if t == nil {
		return fault.Newf(fault.Content, "input %s is missing", onnx.Quote(s.Name))
	}
	return p.checkValue(s.Name, s, t)
}

// checkValue compares a value with its specification. name is that of the
// input that it is, or is in.
func (p *Program) checkValue(name string, s *tensor.Spec, t *tensor.Tensor) error {
	if t == nil || t.Kind() != s.Kind {
		return fault.Newf(fault.Content, "input %s must be of kind %v", onnx.Quote(name), s.Kind)
	}
	switch s.Kind {
	case tensor.KindTensor, tensor.KindMapSequence:
		switch {
		case t.DType() != s.DType:
			return fault.Newf(fault.Content, "input %s must be of type %v, not %v", onnx.Quote(name), s.DType, t.DType())
		case !s.Fits(t.Shape()) || len(t.Shape()) > p.maxRank:
			return p.shapeError(name, s, t.Shape())
		}
	case tensor.KindSequence, tensor.KindOptional:
		if s.Kind == tensor.KindOptional && t.Len() > 1 {
			return fault.Newf(fault.Content, "input %s must have one value or none", onnx.Quote(name))
		}
		for _, item := range t.Items() {
			if err := p.checkValue(name, s.Elem, item); err != nil {
				return err
			}
		}
	case tensor.KindMap:
		if items := t.Items(); len(items) != 2 || items[0].DType() != s.Key || items[1].DType() != s.DType || items[0].Len() != items[1].Len() {
			return fault.Newf(fault.Content, "input %s must be a map of %v to %v", onnx.Quote(name), s.Key, s.DType)
		}
	}
	return nil
}

func (p *Program) shapeError(name string, s *tensor.Spec, shape tensor.Shape) error {
	want := fmt.Sprintf("any of at most %d axes", p.maxRank)
	if s.Ranked {
		want = onnx.FormatDims(s.Dims)
	}
	return fault.Newf(fault.Content, "input %s must have shape %s, not %s", onnx.Quote(name), want, onnx.FormatShape(shape))
}
