package testkit

import (
	"context"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Program is a model as an engine runs it.
type Program interface {
	Inputs() []tensor.Spec
	Outputs() []tensor.Spec
	Run(ctx context.Context, inputs, outputs []*tensor.Tensor) error
}

// Conformance tests what is the same for every engine.
func Conformance(t *testing.T, load func(model []byte) (Program, error)) {
	t.Helper()
	for _, model := range ExportedModels(t) {
		t.Run(model.Name, func(t *testing.T) {
			p, err := load(model.ONNX)
			if err != nil {
				t.Fatal(err)
			}
			c := conformance{model: &model, program: p}
			c.answers(t)
			c.refusals(t)
			c.concurrency(t)
		})
	}
}

type conformance struct {
	model   *Exported
	program Program
}

func (c *conformance) inputs() []*tensor.Tensor {
	in := make([]*tensor.Tensor, len(c.model.Inputs))
	for i := range in {
		in[i] = c.model.Inputs[i].Tensor
	}
	return in
}

func (c *conformance) outputs() []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(c.program.Outputs()))
	for i := range out {
		out[i] = new(tensor.Tensor)
	}
	return out
}

// check compares outputs with the recorded ones.
func (c *conformance) check(t *testing.T, out []*tensor.Tensor) {
	t.Helper()
	for i, want := range c.model.Outputs {
		if err := Compare(out[i], want.Tensor); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
	}
}

func (c *conformance) answers(t *testing.T) {
	t.Helper()
	name := func(s tensor.Spec) string { return s.Name }
	recorded := func(n NamedTensor) string { return n.Name }
	if got, want := each(c.program.Inputs(), name), each(c.model.Inputs, recorded); !slices.Equal(got, want) {
		t.Fatalf("inputs %q, want %q", got, want)
	}
	if got, want := each(c.program.Outputs(), name), each(c.model.Outputs, recorded); !slices.Equal(got, want) {
		t.Fatalf("outputs %q, want %q", got, want)
	}
	out := c.outputs()
	for range 2 { // the second run finds used memory
		if err := c.program.Run(t.Context(), c.inputs(), out); err != nil {
			t.Fatal(err)
		}
		c.check(t, out)
	}
}

func each[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = name(v)
	}
	return names
}

func (c *conformance) refusals(t *testing.T) {
	t.Helper()
	wrongType, err := tensor.New(tensor.Shape{1, 1}, []uint16{1})
	if err != nil {
		t.Fatal(err)
	}
	tooManyAxes, err := tensor.New(tensor.Shape{1, 1, 1}, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]*tensor.Tensor{
		"another type": {wrongType}, "another shape": {tooManyAxes}, "nothing": {nil}, "too few": {},
	} {
		if err := c.program.Run(t.Context(), in, c.outputs()); fault.KindOf(err) != fault.Content {
			t.Errorf("%s: %v: %v", name, fault.KindOf(err), err)
		}
	}
}

// concurrency runs one program from many goroutines, each with outputs of its
// own.
func (c *conformance) concurrency(t *testing.T) {
	t.Helper()
	const runs = 8
	var group errgroup.Group
	all := make([][]*tensor.Tensor, runs)
	for i := range all {
		all[i] = c.outputs()
		group.Go(func() error { return c.program.Run(t.Context(), c.inputs(), all[i]) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, out := range all {
		c.check(t, out)
	}
}
