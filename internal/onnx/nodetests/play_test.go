package nodetests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

// caseTime ends a run that does not end by itself.
const caseTime = 20 * time.Second

// refusedError is a model that the engine does not load as it comes.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "load: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// play loads and runs one case in every form, and returns what is wrong.
func play(ctx context.Context, c *testCase) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	for _, set := range c.Sets {
		for _, f := range forms(c) {
			if err := playForm(ctx, c, set, f); err != nil {
				return fmt.Errorf("%s, %s: %w", set, f.name, err)
			}
		}
	}
	return nil
}

// playForm runs a model twice: the second run finds used memory, and inputs
// that the first must have left alone.
func playForm(ctx context.Context, c *testCase, set string, f form) error {
	model, err := f.model(c, set)
	if err != nil {
		return err
	}
	p, err := exec.Load(model, onnx.Limits{})
	switch {
	case err == nil:
	case f.changed(c) || fault.KindOf(err) != fault.Content:
		return fmt.Errorf("load: %w", err)
	default:
		return &refusedError{err}
	}
	in, err := readPorts(c, set, "input", c.Inputs)
	if err != nil {
		return err
	}
	want, err := readPorts(c, set, "output", c.Outputs)
	if err != nil {
		return err
	}
	given, names := f.given(c, in)
	if err := checkNames(p, names, c.Outputs); err != nil {
		return err
	}
	out := make([]*tensor.Tensor, len(want))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	for _, run := range []string{"first run", "second run"} {
		if err := p.Run(ctx, given, out); err != nil {
			return fmt.Errorf("%s: %w", run, err)
		}
		for i := range out {
			if err := checkOutput(&p.Outputs()[i], out[i], want[i], c); err != nil {
				return fmt.Errorf("%s: output %s: %w", run, c.Outputs[i].Name, err)
			}
		}
	}
	return nil
}

// checkNames compares what a program takes and gives with what it should.
func checkNames(p *exec.Program, in, out []port) error {
	same := func(s tensor.Spec, p port) bool { return s.Name == p.Name }
	if !slices.EqualFunc(p.Inputs(), in, same) {
		return fmt.Errorf("its inputs are %v, want %v", p.Inputs(), in)
	}
	if !slices.EqualFunc(p.Outputs(), out, same) {
		return fmt.Errorf("its outputs are %v, want %v", p.Outputs(), out)
	}
	return nil
}
