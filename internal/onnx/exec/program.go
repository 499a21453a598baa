package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// Program is a compiled model. It does not change, and is safe for concurrent
// use.
type Program struct {
	inputs, outputs []tensor.Spec
	warnings        []string
	steps           []instruction
	args            []arg // of all steps, one after the other
	patches         []patch
	buffers         int
	memory          int
	maxRank         int
	pool            sync.Pool // of *state
}

// instruction is a compiled step: its inputs are args[from:mid], its outputs
// args[mid:to].
type instruction struct {
	label         string
	kernel        ops.Kernel
	from, mid, to int
	scratch       int
}

// patch is an argument that the caller provides.
type patch struct {
	arg, port int
	out       bool
}

// Inputs describes what a run needs, in order. Initializers that double as
// inputs are not among them. The caller must not change the result.
func (p *Program) Inputs() []tensor.Spec { return p.inputs }

// Outputs describes what a run gives, in order. The caller must not change the
// result.
func (p *Program) Outputs() []tensor.Spec { return p.outputs }

// Warnings says what is odd about the model without being wrong.
func (p *Program) Warnings() []string { return p.warnings }

// state is the memory of one run.
type state struct {
	args    []*tensor.Tensor
	frames  []ops.Frame
	buffers []tensor.Tensor
	budget  ops.Budget
}

func newState(p *Program) *state {
	s := &state{
		args: make([]*tensor.Tensor, len(p.args)), frames: make([]ops.Frame, len(p.steps)),
		buffers: make([]tensor.Tensor, p.buffers),
	}
	for i, a := range p.args {
		switch a.kind {
		case inConstant:
			s.args[i] = a.constant
		case inBuffer:
			s.args[i] = &s.buffers[a.index]
		case nowhere, inInput, inOutput: // left out, or given by the caller
		}
	}
	for i, step := range p.steps {
		s.frames[i] = ops.NewFrame(s.args[step.from:step.mid], s.args[step.mid:step.to], step.scratch, &s.budget)
	}
	return s
}

func (s *state) patch(patches []patch, in, out []*tensor.Tensor) {
	for _, p := range patches {
		if p.out {
			s.args[p.arg] = out[p.port]
		} else {
			s.args[p.arg] = in[p.port]
		}
	}
}

// forget drops what the caller provided, so that the pool does not keep it.
func (s *state) forget(patches []patch) {
	for _, p := range patches {
		s.args[p.arg] = nil
	}
}

// Run computes the outputs of one call. in holds a tensor for each of Inputs,
// and out one for each of Outputs, which it resets and fills; their memory is
// used again when it is large enough. No tensor may be in both or twice in
// out.
//
// An input that does not fit its specification is a fault.Content that names
// it; so is one whose extents do not fit the model or whose results are larger
// than the model's limit. When ctx ends the error is fault.Timeout or
// fault.Canceled. After an error the outputs are unspecified.
func (p *Program) Run(ctx context.Context, in, out []*tensor.Tensor) (err error) {
	if err := p.check(in, out); err != nil {
		return err
	}
	s, ok := p.pool.Get().(*state)
	if !ok {
		return fault.New(fault.Internal, "the pool of run states holds something else")
	}
	// A state that a kernel left by panic is not used again.
	defer func() {
		if r := recover(); r != nil {
			err = fault.Wrap(fault.Internal, "the prediction failed", recovered(r))
		}
	}()
	s.budget.Left = p.memory
	s.patch(p.patches, in, out)
	err = p.run(ctx, s)
	s.forget(p.patches)
	p.pool.Put(s)
	return err
}

// pollSteps is how many steps are run between two looks at the context: long
// ones look by themselves, and a look takes as long as a short one.
const pollSteps = 8

func (p *Program) run(ctx context.Context, s *state) error {
	for i := range p.steps {
		err := p.steps[i].kernel(ctx, &s.frames[i])
		if err == nil && i%pollSteps == pollSteps-1 && i+1 < len(p.steps) { // what is done is given, however late
			err = ctx.Err()
		}
		if err != nil {
			return p.failed(i, err)
		}
	}
	return nil
}

// failed classifies the error of a step.
func (p *Program) failed(i int, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, "the prediction did not finish in time", err)
	case errors.Is(err, context.Canceled):
		return fault.Wrap(fault.Canceled, "the prediction was canceled", err)
	}
	f := fault.As(err)
	if f.Kind != fault.Content {
		return fault.Wrap(f.Kind, "the prediction failed", fmt.Errorf("%s: %w", p.steps[i].label, err))
	}
	return fault.Newf(fault.Content, "%s: %s", p.steps[i].label, f.Msg)
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
	switch {
	case t == nil:
		return fault.Newf(fault.Content, "input %s is missing", onnx.Quote(s.Name))
	case t.DType() != s.DType:
		return fault.Newf(fault.Content, "input %s must be of type %v, not %v", onnx.Quote(s.Name), s.DType, t.DType())
	case s.Ranked && !fits(s.Dims, t.Shape()) || len(t.Shape()) > p.maxRank:
		return p.shapeError(s, t.Shape())
	}
	return nil
}

func fits(dims []tensor.Dim, shape tensor.Shape) bool {
	if len(dims) != len(shape) {
		return false
	}
	for i, d := range dims {
		if d.Size >= 0 && d.Size != shape[i] {
			return false
		}
	}
	return true
}

func (p *Program) shapeError(s *tensor.Spec, shape tensor.Shape) error {
	want := fmt.Sprintf("any of at most %d axes", p.maxRank)
	if s.Ranked {
		want = onnx.FormatDims(s.Dims)
	}
	return fault.Newf(fault.Content, "input %s must have shape %s, not %s", onnx.Quote(s.Name), want, onnx.FormatShape(shape))
}
