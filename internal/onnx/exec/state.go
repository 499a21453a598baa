package exec

import (
	"context"
	"errors"
	"fmt"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// state is the memory of one run of a graph.
type state struct {
	code    *code
	args    []*tensor.Tensor
	frames  []ops.Frame
	buffers []tensor.Tensor
	// captured is what the graph around this one has for it: a part of that
	// one's args.
	captured []*tensor.Tensor
	budget   *ops.Budget
}

func newState(p *code, budget *ops.Budget) *state {
	s := &state{
		code: p, args: make([]*tensor.Tensor, len(p.args)), frames: make([]ops.Frame, len(p.steps)),
		buffers: make([]tensor.Tensor, p.buffers), budget: budget,
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
		f := ops.NewFrame(s.args[step.from:step.mid], s.args[step.mid:step.to], step.scratch, budget)
		var bodies []ops.Runner
		for _, b := range step.bodies {
			inner := newState(b.code, budget)
			inner.captured = s.args[b.from:b.to]
			bodies = append(bodies, inner)
		}
		s.frames[i] = ops.WithBodies(f, bodies)
	}
	return s
}

// Run runs the code once, as ops.Runner has it.
func (s *state) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	for _, p := range s.code.patches {
		switch {
		case p.out:
			s.args[p.arg] = out[p.port]
		case p.port < s.code.ports:
			s.args[p.arg] = in[p.port]
		default:
			s.args[p.arg] = s.captured[p.port-s.code.ports]
		}
	}
	err := s.steps(ctx)
	s.forget()
	return err
}

// forget drops what the caller provided, and what lists hold of it, so that
// the pool does not keep it.
func (s *state) forget() {
	for _, p := range s.code.patches {
		s.args[p.arg] = nil
	}
	for i := range s.buffers {
		tensor.Clear(&s.buffers[i])
	}
}

// pollSteps is how many steps are run between two looks at the context: long
// ones look by themselves, and a look takes as long as a short one.
const pollSteps = 8

func (s *state) steps(ctx context.Context) error {
	steps := s.code.steps
	for i := range steps {
		err := steps[i].kernel(ctx, &s.frames[i])
		if err == nil && i%pollSteps == pollSteps-1 && i+1 < len(steps) { // what is done is given, however late
			err = ctx.Err()
		}
		if err != nil {
			return steps[i].failed(err)
		}
	}
	return nil
}

// failed classifies the error of a step.
func (i *instruction) failed(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && (f.Kind == fault.Timeout || f.Kind == fault.Canceled) {
		return err // a graph inside this one has said so
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, "the prediction did not finish in time", err)
	case errors.Is(err, context.Canceled):
		return fault.Wrap(fault.Canceled, "the prediction was canceled", err)
	}
	f := fault.As(err)
	if f.Kind != fault.Content {
		return fault.Wrap(f.Kind, "the prediction failed", fmt.Errorf("%s: %w", i.label, err))
	}
	return fault.Newf(fault.Content, "the model's %s: %s", i.label, f.Msg) // the label is no word to begin a sentence with
}
