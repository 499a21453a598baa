package ops

import (
	"context"
	"errors"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

func typed(d tensor.DType, dims ...int) Value {
	t := onnx.TensorOf(d)
	for _, n := range dims {
		t.Dims = append(t.Dims, tensor.Dim{Size: n})
	}
	return Value{Type: t}
}

func constant[T tensor.Element](tb testing.TB, shape tensor.Shape, data ...T) Value {
	tb.Helper()
	t, err := tensor.New(shape, data)
	if err != nil {
		tb.Fatal(err)
	}
	return Value{Type: onnx.TypeOf(t), Const: t}
}

func TestElementwiseNodesThatDoNotFitAreRefused(t *testing.T) {
	f := typed(tensor.Float32, 2, 3)
	truth := typed(tensor.Bool, 2, 3)
	for _, c := range []struct {
		name       string
		version    int64
		in         []Value
		attributes []onnx.Attribute
		want       string
	}{
		{"Add", 13, []Value{typed(tensor.Int8, 2), typed(tensor.Int8, 2)}, nil, "allowed are"},
		{"Add", 5, []Value{typed(tensor.Int32, 2), typed(tensor.Int32, 2)}, nil, "allowed are"},
		{"Add", 7, []Value{f, f}, []onnx.Attribute{{Name: "broadcast", Type: onnx.IntAttribute, Int: 1}}, "not defined"},
		{"Add", 14, []Value{f, typed(tensor.Float32, 2)}, nil, "cannot be broadcast"},
		{"Mod", 13, []Value{f, f}, nil, "fmod must be 1"},
		{"Mod", 28, []Value{f, f}, []onnx.Attribute{{Name: "fmod", Type: onnx.IntAttribute, Int: 2}}, "0 or 1"},
		{"Pow", 7, []Value{f, typed(tensor.Int64)}, nil, "allowed are"},
		{"Pow", 7, []Value{f, typed(tensor.Float64)}, nil, "must agree"},
		{"Pow", 15, []Value{typed(tensor.Uint8), f}, nil, "allowed are"},
		{"Less", 7, []Value{typed(tensor.Int64), typed(tensor.Int64)}, nil, "allowed are"},
		{"Equal", 10, []Value{f, f}, nil, "allowed are"},
		{"And", 7, []Value{f, truth}, nil, "allowed are"},
		{"Where", 9, []Value{f, f, f}, nil, "allowed are"},
		{"Where", 9, []Value{truth, f, typed(tensor.String)}, nil, "must agree"},
		{"Max", 8, []Value{typed(tensor.Int64), typed(tensor.Int64)}, nil, "allowed are"},
		{"Sum", 13, []Value{f, typed(tensor.Float64)}, nil, "must agree"},
		{"Neg", 13, []Value{typed(tensor.Uint8)}, nil, "allowed are"},
		{"Relu", 13, []Value{typed(tensor.Int8)}, nil, "allowed are"},
		{"Erf", 13, []Value{typed(tensor.Int8)}, nil, "allowed are"},
		{"Exp", 13, []Value{truth}, nil, "allowed are"},
		{"Exp", 6, []Value{f}, []onnx.Attribute{{Name: "consumed_inputs", Type: onnx.IntsAttribute}}, "not defined"},
		{"Celu", 12, []Value{f}, []onnx.Attribute{{Name: "alpha", Type: onnx.FloatAttribute}}, "alpha is 0"},
		{"Gelu", 20, []Value{f}, []onnx.Attribute{{Name: "approximate", Type: onnx.StringAttribute, String: "erf"}}, "none or tanh"},
		{"Clip", 13, []Value{f, f}, nil, "must be one number"},
		{"Clip", 13, []Value{f, typed(tensor.Float64)}, nil, "must agree"},
		{"Clip", 11, []Value{typed(tensor.Int64)}, nil, "allowed are"},
		{"Softmax", 13, []Value{f}, []onnx.Attribute{{Name: "axis", Type: onnx.IntAttribute, Int: 2}}, "out of range"},
		{"Hardmax", 11, []Value{f}, []onnx.Attribute{{Name: "axis", Type: onnx.IntAttribute, Int: -3}}, "out of range"},
		{"Cast", 13, []Value{f}, nil, "missing"},
		{"Cast", 13, []Value{f}, []onnx.Attribute{{Name: "to", Type: onnx.IntAttribute, Int: 16}}, "not supported"},
		{"Cast", 1, []Value{f}, []onnx.Attribute{{Name: "to", Type: onnx.StringAttribute, String: "BFLOAT16"}}, "not supported"},
		{"Dropout", 12, []Value{f, {}, truth}, nil, "training_mode"},
		{"Dropout", 12, []Value{f, {}, constant(t, nil, true)}, nil, "training_mode"},
		{"Dropout", 12, []Value{f, {}, constant(t, tensor.Shape{2}, false, false)}, nil, "training_mode"},
	} {
		op := NewIndex().Find("", c.name, c.version)
		if op == nil {
			t.Errorf("%s %d is not there", c.name, c.version)
			continue
		}
		_, err := op.Parse(NewNode(&onnx.Node{Attributes: c.attributes}, c.version, c.in), 1)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %d: %v, want %q", c.name, c.version, err, c.want)
		}
	}
}

// What a run alone can know to be wrong is an error of its caller.
func TestElementwiseKernelsRefuseWhatDoesNotFit(t *testing.T) {
	matrix, three := numbered(tensor.Shape{2, 3}), numbered(tensor.Shape{3})
	zero, pair := numbered(tensor.Shape{1}), numbered(tensor.Shape{2})
	for _, c := range []struct {
		name string
		in   []*tensor.Tensor
		want string
	}{
		{"Add", []*tensor.Tensor{matrix, pair}, "cannot be broadcast"},
		{"Div", []*tensor.Tensor{matrix, zero}, "divided by zero"},
		{"Mod", []*tensor.Tensor{matrix, three}, "divided by zero"},
		{"PRelu", []*tensor.Tensor{three, matrix}, "cannot be broadcast"},
		{"Clip", []*tensor.Tensor{matrix, pair}, "must be one number"},
		{"Max", []*tensor.Tensor{matrix, zero, pair}, "cannot be broadcast"},
	} {
		values := make([]Value, len(c.in))
		for i := range values {
			values[i].Type = onnx.UnrankedTensor(tensor.Int64)
		}
		n := NewNode(&onnx.Node{}, 14, values)
		kernel, err := NewIndex().Find("", c.name, 14).Parse(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := frameOf(n, c.in...)
		err = kernel(t.Context(), f)
		if fault.KindOf(err) != fault.Content || !strings.Contains(fault.As(err).Msg, c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEveryLoopEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	large := tensor.Shape{300, 1000}
	whole := []tensor.Shape{large}
	for name, shapes := range map[string][]tensor.Shape{
		"Sub": {large, large[1:]}, "Pow": {large, large}, "Equal": {large, {}}, "Mean": {large, large},
		"Erf": whole, "Abs": whole, "IsNaN": whole, "Selu": whole, "Clip": whole, "Softmax": whole, "LogSoftmax": whole, "Hardmax": whole,
	} {
		values, in := make([]Value, len(shapes)), make([]*tensor.Tensor, len(shapes))
		for i, s := range shapes {
			in[i] = new(tensor.Tensor)
			clear(tensor.Reset[float32](in[i], s...))
			values[i].Type = onnx.UnrankedTensor(tensor.Float32)
		}
		n := NewNode(&onnx.Node{}, 13, values)
		kernel, err := NewIndex().Find("", name, 13).Parse(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := frameOf(n, in...)
		if err := kernel(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The memory of what is repeated counts, and so does that of text.
func TestElementwiseKernelsKeepToTheirBudget(t *testing.T) {
	for name, left := range map[string]int{"Sub": 4 * 3000, "Cast": 16 * 3000} {
		values := []Value{{Type: onnx.UnrankedTensor(tensor.Float32)}, {Type: onnx.UnrankedTensor(tensor.Float32)}}
		node := &onnx.Node{}
		x, y := new(tensor.Tensor), new(tensor.Tensor)
		clear(tensor.Reset[float32](x, 3000))
		clear(tensor.Reset[float32](y, 1))
		in := []*tensor.Tensor{x, y}
		if name == "Cast" {
			values, in = values[:1], in[:1]
			node.Attributes = []onnx.Attribute{{Name: "to", Type: onnx.IntAttribute, Int: int64(tensor.String)}}
		}
		n := NewNode(node, 14, values)
		kernel, err := NewIndex().Find("", name, 14).Parse(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := frameOf(n, in...)
		f.budget.Left = left // enough for the result itself
		if err := kernel(t.Context(), f); fault.KindOf(err) != fault.Content {
			t.Errorf("%s: %v", name, err)
		}
	}
}
