package ops

import (
	"context"

	"onnxgate/internal/tensor"
)

// dropoutOps does something in training alone.
var dropoutOps = []Operator{
	{"", "Dropout", 7, one, span{1, 2}, parseDropout},
	{"", "Dropout", 12, span{1, 3}, span{1, 2}, parseDropoutInputs},
}

// parseDropout reads Dropout (ai.onnx 7, 10).
func parseDropout(n *Node) Kernel {
	n.Float("ratio", 0.5)
	mask := tensor.Bool
	d := n.Elem(0, floatElem...)
	if n.Version < 10 {
		mask = d
	}
	return passThrough(n, d, mask)
}

// parseDropoutInputs reads Dropout (ai.onnx 12, 13, 22), in which a model can
// ask for training; such a model is refused.
func parseDropoutInputs(n *Node) Kernel {
	n.Int("seed", 0)
	d := n.Elem(0, floatElem...)
	if n.Has(1) {
		n.Elem(1, floatElem...)
	}
	if n.Has(2) {
		n.Elem(2, tensor.Bool)
		if c := n.In[2].Const; n.err == nil && (c == nil || c.Len() != 1 || tensor.Of[bool](c)[0]) {
			n.Failf("input 2 (training_mode) must be the constant false; export the model for inference")
		}
	}
	return passThrough(n, d, tensor.Bool)
}

// passThrough gives input 0 as output 0, and a mask of ones when it is asked
// for.
func passThrough(n *Node, d, mask tensor.DType) Kernel {
	if n.err != nil {
		return nil
	}
	if n.Outs < 2 {
		n.SetAlias()
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	n.Inherit()
	ones := n.In[0].Type
	ones.Elem = mask
	n.SetOut(1, ones)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if err := copyAs(ctx, f, m, shape); err != nil {
			return err
		}
		return fillOnes(f, mask, shape)
	}
}

func fillOnes(f *Frame, d tensor.DType, shape tensor.Shape) error {
	switch d { //nolint:exhaustive // masks have no other type
	case tensor.Float32:
		return fillOutput(f, shape, float32(1))
	case tensor.Float64:
		return fillOutput(f, shape, float64(1))
	case tensor.Half:
		return fillOutput(f, shape, toHalf(1))
	}
	return fillOutput(f, shape, true)
}

func fillOutput[T tensor.Element](f *Frame, shape tensor.Shape, v T) error {
	dst, err := Output[T](f, 1, shape...)
	fillWith(dst, v)
	return err
}
