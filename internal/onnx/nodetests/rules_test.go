package nodetests

import (
	"errors"
	"math"
	"testing"

	"onnxgate/internal/tensor"
)

func TestWhatTheManifestListsMustNotPass(t *testing.T) {
	refused, wrong := &refusedError{errors.New("no such operator")}, errors.New("element 0 is 1, want 2")
	operator := &line{kind: "ai.onnx", object: "Conv", reason: "later"}
	exact := &line{kind: "case", object: "test_x", reason: "its output is of another type than its node makes"}
	for _, c := range []struct {
		name string
		err  error
		line *line
		want verdict
	}{
		{"unlisted and passes", nil, nil, passed},
		{"unlisted and refused", refused, nil, failed},
		{"unlisted and wrong", wrong, nil, failed},
		{"for later and refused", refused, operator, listed},
		{"for later and wrong", wrong, operator, failed},
		{"for later and passes", nil, operator, failed},
		{"a wrong case that fails", wrong, exact, listed},
		{"a wrong case that passes", nil, exact, failed},
	} {
		if got, err := judge(c.err, c.line); got != c.want || (err != nil) != (got == failed) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestALineCoversWhatItNames(t *testing.T) {
	c := &testCase{Name: "test_x", Operators: []string{"ai.onnx Conv", "ai.onnx Relu"}, Types: []string{"bfloat16"}}
	for _, l := range []struct {
		kind, object string
		want         bool
	}{
		{"ai.onnx", "Conv", true},
		{"ai.onnx", "ConvTranspose", false},
		{"ai.onnx.ml", "Conv", false},
		{"type", "bfloat16", true},
		{"type", "float16", false},
		{"case", "test_x", true},
		{"case", "test_x_expanded", false},
	} {
		if got := (&line{kind: l.kind, object: l.object}).covers(c); got != l.want {
			t.Errorf("%s %s: covers = %v", l.kind, l.object, got)
		}
	}
}

func TestValuesThatDifferAreTold(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a, b := vector[float32](t, 1, nan, inf), vector[float32](t, 1, 2)
	half := vector[tensor.Float16](t, 0x3c00, 0x7c00, 0xfe00, 0x8001)
	for _, c := range []struct {
		name      string
		got, want *tensor.Tensor
		same      bool
	}{
		{"the same, NaN and infinity too", a, vector[float32](t, 1, nan, inf), true},
		{"within the tolerance", vector[float32](t, 1.0009, 2), b, true},
		{"beyond the tolerance", vector[float32](t, 1.002, 2), b, false},
		{"a number for NaN", vector[float32](t, 1, 1, inf), a, false},
		{"NaN for a number", vector[float32](t, 1, nan), b, false},
		{"a number for infinity", vector[float32](t, 1, nan, 3e38), a, false},
		{"infinity of the other sign", vector[float32](t, 1, nan, -inf), a, false},
		{"another type", vector[float64](t, 1, 2), b, false},
		{"another shape", vector[float32](t, 1), b, false},
		{"integers one apart", vector[int64](t, 10000), vector[int64](t, 10001), false},
		{"strings", vector(t, "a"), vector(t, "b"), false},
		{"halves", half, vector[tensor.Float16](t, 0x3c00, 0x7c00, 0x7e00, 0x8001), true},
		{"other halves", half, vector[tensor.Float16](t, 0x3c00, 0x7bff, 0x7e00, 0x8001), false},
		{"the same sequence", tensor.NewSequence(a, b), tensor.NewSequence(a, b), true},
		{"another element", tensor.NewSequence(a, b), tensor.NewSequence(a, a), false},
		{"a sequence for an optional", tensor.NewSequence(a), tensor.NewOptional(a), false},
		{"an optional that holds nothing", tensor.NewOptional(nil), tensor.NewOptional(a), false},
	} {
		if err := compare(c.got, c.want, 1e-3, 1e-7); (err == nil) != c.same {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func vector[T tensor.Element](t *testing.T, data ...T) *tensor.Tensor {
	t.Helper()
	v, err := tensor.New(tensor.Shape{len(data)}, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
