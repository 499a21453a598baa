package onnxtest

import (
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Model returns a model of version 21 of ai.onnx and 3 of ai.onnx.ml, with the
// input "x", float32 [N,2], and the output "y", whose type is left open.
func Model(nodes ...*onnx.Node) *onnx.Model {
	in := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: 2})
	return &onnx.Model{
		IRVersion: 9,
		Opsets:    []onnx.Opset{{Version: 21}, {Domain: "ai.onnx.ml", Version: 3}},
		Graph: &onnx.Graph{
			Name:    "test",
			Nodes:   nodes,
			Inputs:  []*onnx.ValueInfo{{Name: "x", Type: &in}},
			Outputs: []*onnx.ValueInfo{{Name: "y"}},
		},
	}
}

// Node returns a node of ai.onnx.
func Node(op string, in, out []string, attributes ...onnx.Attribute) *onnx.Node {
	return &onnx.Node{Name: op, Op: op, Inputs: in, Outputs: out, Attributes: attributes}
}

// ML returns a node of ai.onnx.ml.
func ML(op string, in, out []string, attributes ...onnx.Attribute) *onnx.Node {
	n := Node(op, in, out, attributes...)
	n.Domain = "ai.onnx.ml"
	return n
}

// Names returns its arguments.
func Names(names ...string) []string { return names }

// Int returns an attribute.
func Int(name string, v int64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.IntAttribute, Int: v}
}

// Ints returns an attribute.
func Ints(name string, v ...int64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.IntsAttribute, Ints: v}
}

// Floats returns an attribute.
func Floats(name string, v ...float32) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.FloatsAttribute, Floats: v}
}

// String returns an attribute.
func String(name, v string) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.StringAttribute, String: v}
}

// Strings returns an attribute.
func Strings(name string, v ...string) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.StringsAttribute, Strings: v}
}

// Graph returns an attribute.
func Graph(name string, g *onnx.Graph) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.GraphAttribute, Graph: g}
}

// Tensor64 returns an initializer of int64.
func Tensor64(name string, shape tensor.Shape, v ...int64) onnx.Initializer {
	t, err := tensor.New(shape, v)
	if err != nil {
		panic(err)
	}
	return onnx.Initializer{Name: name, Tensor: t}
}

// Stump returns a TreeEnsembleRegressor of one branch and two leaves, from "x"
// to "y".
func Stump() *onnx.Node {
	return ML("TreeEnsembleRegressor", Names("x"), Names("y"),
		Int("n_targets", 1),
		Ints("nodes_treeids", 0, 0, 0), Ints("nodes_nodeids", 0, 1, 2), Ints("nodes_featureids", 0, 0, 0),
		Floats("nodes_values", 0.5, 0, 0), Strings("nodes_modes", "BRANCH_LEQ", "LEAF", "LEAF"),
		Ints("nodes_truenodeids", 1, 0, 0), Ints("nodes_falsenodeids", 2, 0, 0),
		Ints("target_treeids", 0, 0), Ints("target_nodeids", 1, 2), Ints("target_ids", 0, 0), Floats("target_weights", 1, 2),
	)
}

// With returns n with an attribute replaced or added.
func With(n *onnx.Node, a onnx.Attribute) *onnx.Node {
	for i := range n.Attributes {
		if n.Attributes[i].Name == a.Name {
			n.Attributes[i] = a
			return n
		}
	}
	n.Attributes = append(n.Attributes, a)
	return n
}

// Float returns an attribute.
func Float(name string, v float32) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.FloatAttribute, Float: v}
}

// Value returns an attribute that is a tensor of one axis.
func Value[T tensor.Element](name string, v ...T) onnx.Attribute {
	t, err := tensor.New(tensor.Shape{len(v)}, v)
	if err != nil {
		panic(err)
	}
	return onnx.Attribute{Name: name, Type: onnx.TensorAttribute, Tensor: t}
}
