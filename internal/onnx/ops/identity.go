package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// generalOps passes values on.
var generalOps = []Operator{
	{"", "Identity", 1, one, one, parseIdentity},
	{"", "Constant", 1, span{}, one, parseConstant},
}

// parseIdentity reads Identity (ai.onnx 1). It computes nothing.
func parseIdentity(n *Node) Kernel {
	if n.Has(0) {
		n.SetAlias()
	} else {
		n.Failf("input 0 is missing")
	}
	return nil
}

// Copy is the kernel that copies a value. What a list holds is shared.
func Copy(ctx context.Context, f *Frame) error { return f.assign(ctx, f.out[0], f.In(0)) }

// Export is the kernel that copies a value to the caller of a run, who shares
// nothing with it.
func Export(ctx context.Context, f *Frame) error { return f.assignDeep(ctx, f.out[0], f.In(0)) }

// constantForms are the attributes of Constant, one of which is given.
var constantForms = []string{
	"value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings",
}

// parseConstant reads Constant (ai.onnx 1, 12). sparse_value is not supported.
func parseConstant(n *Node) Kernel {
	var given string
	for _, name := range constantForms {
		if n.Given(name) {
			if given != "" || n.Version < 12 && name != "value" {
				n.Failf("attribute %q is one too many", name)
			}
			given = name
		}
	}
	t, err := constantValue(n, given)
	if err != nil || t == nil {
		n.Failf("it needs one of the attributes %v", constantForms)
		return nil
	}
	n.SetOut(0, onnx.TypeOf(t))
	n.Out[0].Const = t
	return nil
}

func constantValue(n *Node, form string) (*tensor.Tensor, error) {
	switch form {
	case "value":
		return n.Tensor(form), nil
	case "value_float":
		return tensor.New(tensor.Shape{}, []float32{n.Float(form, 0)})
	case "value_int":
		return tensor.New(tensor.Shape{}, []int64{n.Int(form, 0)})
	case "value_string":
		return tensor.New(tensor.Shape{}, []string{n.String(form, "")})
	case "value_floats":
		v := n.Floats(form)
		return tensor.New(tensor.Shape{len(v)}, v)
	case "value_ints":
		v := n.Ints(form)
		return tensor.New(tensor.Shape{len(v)}, v)
	case "value_strings":
		v := n.Strings(form)
		return tensor.New(tensor.Shape{len(v)}, v)
	}
	return nil, nil //nolint:nilnil // no form: the caller says which there are
}
