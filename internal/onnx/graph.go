// Package onnx is the engine's vocabulary: a model as a graph of typed values,
// the limits on what a file may ask for, and the checks that every graph must
// pass before an operator is looked at.
//
// The engine has four stages, each a function that can be tested and fuzzed
// alone: onnx/decode turns bytes into a Model, Check of this package proves the
// Model's structure, onnx/exec compiles it against the operators of onnx/ops
// into an immutable Program, and the Program runs. exec.Load is the front door
// to all four.
//
// This package knows no wire format and no operator. Nothing in it or below it
// knows a transport, a file system or a log.
package onnx

import (
	"slices"

	"onnxgate/internal/tensor"
)

// Model is a decoded ONNX file (ModelProto).
type Model struct {
	IRVersion       int64
	Producer        string
	ProducerVersion string
	Domain          string
	Version         int64
	Opsets          []Opset
	Graph           *Graph
	Functions       []*Function
	Metadata        []Property
}

// Opset is one entry of a model's or a function's opset_import. The domain of
// ONNX's own operators is spelled "", also where the file says "ai.onnx".
type Opset struct {
	Domain  string
	Version int64
}

// Property is one key and value of a model's metadata_props.
type Property struct{ Key, Value string }

// Graph is a list of nodes in topological order, with the values that enter
// and leave it (GraphProto).
type Graph struct {
	Name         string
	Nodes        []*Node
	Inputs       []*ValueInfo
	Outputs      []*ValueInfo
	Values       []*ValueInfo
	Initializers []Initializer
}

// Parameters returns the inputs that whoever runs the graph gives: those that
// no initializer makes constant.
func (g *Graph) Parameters() []*ValueInfo {
	constant := make(map[string]bool, len(g.Initializers))
	for _, i := range g.Initializers {
		constant[i.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(g.Inputs), func(v *ValueInfo) bool { return constant[v.Name] })
}

// Initializer is a constant that the file carries.
type Initializer struct {
	Name   string
	Tensor *tensor.Tensor
}

// ValueInfo is the declared type of a value. Type is nil where the file leaves
// it out.
type ValueInfo struct {
	Name string
	Type *Type
}

// Node is one application of an operator or of a model-local function
// (NodeProto). An empty name among Inputs or Outputs is one that is left out.
type Node struct {
	Name       string
	Op         string
	Domain     string
	Overload   string
	Inputs     []string
	Outputs    []string
	Attributes []Attribute
}

// Function is an operator that the model defines by a graph of others
// (FunctionProto).
type Function struct {
	Name     string
	Domain   string
	Overload string
	Inputs   []string
	Outputs  []string
	// Attributes are those that a call may give, Defaults the values of those
	// among them that have one.
	Attributes []string
	Defaults   []Attribute
	Nodes      []*Node
	Opsets     []Opset
}

// AttributeType says which field of an Attribute holds its value. The values
// are those of AttributeProto.AttributeType.
type AttributeType uint8

// The attribute types.
const (
	UndefinedAttribute AttributeType = 0
	FloatAttribute     AttributeType = 1
	IntAttribute       AttributeType = 2
	StringAttribute    AttributeType = 3
	TensorAttribute    AttributeType = 4
	GraphAttribute     AttributeType = 5
	FloatsAttribute    AttributeType = 6
	IntsAttribute      AttributeType = 7
	StringsAttribute   AttributeType = 8
	TensorsAttribute   AttributeType = 9
	GraphsAttribute    AttributeType = 10
	TypeAttribute      AttributeType = 13
	TypesAttribute     AttributeType = 14
)

var attributeNames = [...]string{
	"undefined", "float", "int", "string", "tensor", "graph", "floats", "ints", "strings",
	"tensors", "graphs", "sparse tensor", "sparse tensors", "type", "types",
}

// String returns the type's name, such as "ints".
func (t AttributeType) String() string {
	if int(t) < len(attributeNames) {
		return attributeNames[t]
	}
	return "unknown"
}

// Attribute is a named constant of a node. Type says which one of the other
// fields is set.
type Attribute struct {
	Name string
	Type AttributeType
	// Ref is set inside functions, and names the function's own attribute
	// whose value stands here.
	Ref string

	Float   float32
	Int     int64
	String  string
	Tensor  *tensor.Tensor
	Graph   *Graph
	OfType  *Type
	Floats  []float32
	Ints    []int64
	Strings []string
	Tensors []*tensor.Tensor
	Graphs  []*Graph
	Types   []*Type
}

// Subgraphs returns the attribute's subgraphs.
func (a *Attribute) Subgraphs() []*Graph {
	if a.Graph != nil {
		return []*Graph{a.Graph}
	}
	return a.Graphs
}
