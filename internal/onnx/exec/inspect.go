package exec

import (
	"cmp"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
)

// Info is what a file says of itself, for people.
type Info struct {
	IRVersion                 int64
	Producer, ProducerVersion string
	Domain                    string
	ModelVersion              int64
	Graph                     string
	Opsets                    []onnx.Opset
	Metadata                  []onnx.Property
	Inputs, Outputs           []Port
	Operators                 []OperatorUse
	Functions                 int
	Nodes, Initializers       int
	// Parameters is how many numbers and strings the model carries, in
	// initializers and in attributes.
	Parameters int
}

// Port is an input or output as the file declares it.
type Port struct {
	Name string
	// Type is in ONNX's notation, such as "tensor(float32)[N,4]".
	Type string
}

// OperatorUse is one operator and how the model uses it.
type OperatorUse struct {
	// Domain is "ai.onnx" for ONNX's own operators.
	Domain string
	Name   string
	// Version is what the model imports of the domain, 0 when it does not.
	Version int64
	// Nodes is how many nodes apply it, and Node the name of the first that has
	// one.
	Nodes int
	Node  string
	// Supported reports whether the engine has it in that version.
	Supported bool
}

// Inspect describes a model, also one whose operators are not supported or
// whose graph is not valid.
func Inspect(m *onnx.Model) *Info {
	info := &Info{
		IRVersion: m.IRVersion, Producer: m.Producer, ProducerVersion: m.ProducerVersion, Domain: m.Domain,
		ModelVersion: m.Version, Graph: m.Graph.Name, Opsets: m.Opsets, Metadata: m.Metadata,
		Functions: len(m.Functions), Operators: operatorUses(m),
	}
	initial := map[string]bool{}
	for _, i := range m.Graph.Initializers {
		initial[i.Name] = true
	}
	info.Inputs = ports(m.Graph.Inputs, initial)
	info.Outputs = ports(m.Graph.Outputs, nil)
	info.count(m.Graph)
	return info
}

// ports describes values, but those that are constants.
func ports(values []*onnx.ValueInfo, constant map[string]bool) []Port {
	var list []Port
	for _, v := range values {
		if !constant[v.Name] {
			list = append(list, Port{Name: v.Name, Type: v.Type.String()})
		}
	}
	return list
}

// operatorUses lists the operators of the model, of its subgraphs and of the
// functions that it calls, whose nodes count once however often they are
// called.
func operatorUses(m *onnx.Model) []OperatorUse {
	type key struct {
		domain, name string
		version      int64
	}
	index := ops.NewIndex()
	uses := map[key]*OperatorUse{}
	walk(m, functionsOf(m), func(n *onnx.Node, opsets map[string]int64) {
		v := opsets[n.Domain]
		k := key{n.Domain, n.Op, v}
		if uses[k] == nil {
			uses[k] = &OperatorUse{
				Domain: cmp.Or(n.Domain, "ai.onnx"), Name: n.Op, Version: v,
				Supported: v > 0 && ops.CheckVersion(n.Domain, v) == nil && index.Find(n.Domain, n.Op, v) != nil,
			}
		}
		uses[k].Nodes++
		uses[k].Node = cmp.Or(uses[k].Node, n.Name)
	})
	list := make([]OperatorUse, 0, len(uses))
	for _, u := range uses {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b OperatorUse) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return list
}

// count adds up a graph and those in it, whose nesting the decoder has
// bounded.
func (info *Info) count(g *onnx.Graph) {
	info.Nodes += len(g.Nodes)
	info.Initializers += len(g.Initializers)
	for _, i := range g.Initializers {
		info.Parameters += i.Tensor.Len()
	}
	for _, n := range g.Nodes {
		for k := range n.Attributes {
			a := &n.Attributes[k]
			info.Parameters += len(a.Floats) + len(a.Ints) + len(a.Strings)
			if a.Tensor != nil {
				info.Parameters += a.Tensor.Len()
			}
			for _, sub := range a.Subgraphs() {
				info.count(sub)
			}
		}
	}
}
