package exec

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

func compiled(t *testing.T, m *onnx.Model) *Program {
	t.Helper()
	p, err := Compile(m, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func adder(t *testing.T) *Program {
	t.Helper()
	return compiled(t, onnxtest.Model(onnxtest.Node("Add", onnxtest.Names("x", "x"), onnxtest.Names("y"))))
}

func TestAPanicInAKernelIsAnError(t *testing.T) {
	p := adder(t)
	sound := p.code.steps[0].kernel
	p.code.steps[0].kernel = func(context.Context, *ops.Frame) error { panic("index out of range") }
	x, err := tensor.New(tensor.Shape{1, 2}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	in, out := []*tensor.Tensor{x}, []*tensor.Tensor{{}}
	err = p.Run(t.Context(), in, out)
	if f := fault.As(err); f.Kind != fault.Internal || f.Msg != "the prediction failed" {
		t.Errorf("%v: %v", f.Kind, err)
	}
	for _, want := range []string{"index out of range", "internal_test.go"} { // what, and where
		if cause := fault.As(err).Err; cause == nil || !strings.Contains(cause.Error(), want) {
			t.Errorf("the cause %v does not say %q", cause, want)
		}
	}
	p.code.steps[0].kernel = sound
	if err := p.Run(t.Context(), in, out); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestAShapeOfManyAxesIsNotEchoed(t *testing.T) {
	x, err := tensor.New(slices.Repeat(tensor.Shape{1}, 100_000), []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	err = adder(t).Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{{}})
	f := fault.As(err)
	if f == nil || f.Kind != fault.Content || len(f.Msg) > 200 || !strings.Contains(f.Msg, "100000 axes") {
		t.Errorf("error %.300v", err)
	}
}

func TestAnUnclassifiedErrorOfAKernelIsInternal(t *testing.T) {
	p := adder(t)
	p.code.steps[0].kernel = func(context.Context, *ops.Frame) error { return errors.New("secret") }
	x, err := tensor.New(tensor.Shape{1, 2}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context(), []*tensor.Tensor{x}, []*tensor.Tensor{{}})
	if f := fault.As(err); f.Kind != fault.Internal || f.Msg != "the prediction failed" {
		t.Errorf("%v: %q", f.Kind, f.Msg)
	}
}

// scikit-learn's default export is one step: Cast to int64 and ZipMap compute
// nothing.
func TestAliasesComputeNothing(t *testing.T) {
	n := onnxtest.Names
	p := compiled(t, onnxtest.Model(
		onnxtest.Node("Add", n("x", "x"), n("a")),
		onnxtest.Node("Cast", n("a"), n("b"), onnxtest.Int("to", 1)),
		onnxtest.Node("Identity", n("b"), n("c")),
		onnxtest.ML("ZipMap", n("c"), n("y"), onnxtest.Ints("classlabels_int64s", 0, 1)),
	))
	if len(p.code.steps) != 1 || p.code.buffers != 0 {
		t.Errorf("%d steps and %d buffers; want 1 and 0", len(p.code.steps), p.code.buffers)
	}
}

// A chain needs two buffers however long it is: one to read and one to write.
func TestBuffersAreUsedAgain(t *testing.T) {
	n := onnxtest.Names
	p := compiled(t, onnxtest.Model(
		onnxtest.Node("Add", n("x", "x"), n("a")), onnxtest.Node("Add", n("a", "a"), n("b")),
		onnxtest.Node("Add", n("b", "b"), n("c")), onnxtest.Node("Add", n("c", "c"), n("d")),
		onnxtest.Node("Add", n("d", "d"), n("y")),
	))
	if p.code.buffers != 2 {
		t.Errorf("%d buffers; want 2", p.code.buffers)
	}
}

// A result takes the place of what is read for the last time, if it has its shape for
// certain.
func TestResultsAreWrittenOverWhatIsReadNoMore(t *testing.T) {
	n := onnxtest.Names
	first := onnxtest.Node("Sub", n("x", "row"), n("a"))
	for name, c := range map[string]struct {
		nodes   []*onnx.Node
		buffers int
		want    []float32
	}{
		"a chain": {[]*onnx.Node{
			onnxtest.Node("Pow", n("a", "one"), n("b")), onnxtest.Node("Div", n("b", "row"), n("c")), onnxtest.Node("Mul", n("c", "row"), n("y")),
		}, 1, []float32{4, 8}},
		"read once more": {[]*onnx.Node{
			onnxtest.Node("Mul", n("a", "row"), n("b")), onnxtest.Node("Pow", n("b", "one"), n("c")), onnxtest.Node("Sub", n("c", "a"), n("y")),
		}, 2, []float32{0, 8}},
		"more rows": {[]*onnx.Node{
			onnxtest.Node("Mul", n("a", "rows"), n("b")), onnxtest.Node("Add", n("b", "row"), n("y")),
		}, 2, []float32{5, 18, 13, 34}},
		"another rank": {[]*onnx.Node{
			onnxtest.Node("Mul", n("a", "deep"), n("b")), onnxtest.Node("Pow", n("b", "one"), n("y")),
		}, 2, []float32{4, 8}},
	} {
		m := onnxtest.Model(append([]*onnx.Node{first}, c.nodes...)...)
		for name, values := range map[string]*tensor.Tensor{
			"row": held(t, tensor.Shape{1, 2}, 1, 2), "one": held(t, tensor.Shape{}, 1), "rows": held(t, tensor.Shape{2, 2}, 1, 2, 3, 4),
			"deep": held(t, tensor.Shape{1, 1, 1}, 1),
		} {
			m.Graph.Initializers = append(m.Graph.Initializers, onnx.Initializer{Name: name, Tensor: values})
		}
		p, out := compiled(t, m), &tensor.Tensor{}
		if err := p.Run(t.Context(), []*tensor.Tensor{held(t, tensor.Shape{1, 2}, 5, 10)}, []*tensor.Tensor{out}); err != nil {
			t.Fatal(err)
		}
		if got := tensor.Of[float32](out); p.code.buffers != c.buffers || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d buffers, %v; want %d, %v", name, p.code.buffers, got, c.buffers, c.want)
		}
	}
}

func held(t *testing.T, shape tensor.Shape, data ...float32) *tensor.Tensor {
	t.Helper()
	x, err := tensor.New(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestConstantsAreFolded(t *testing.T) {
	n := onnxtest.Names
	m := onnxtest.Model(
		onnxtest.Node("Constant", nil, n("c"), onnxtest.Floats("value_floats", 1, 2)),
		onnxtest.Node("Mul", n("c", "c"), n("d")),
		onnxtest.Node("Add", n("x", "d"), n("y")),
	)
	if p := compiled(t, m); len(p.code.steps) != 1 {
		t.Errorf("%d steps; want 1", len(p.code.steps))
	}
}
