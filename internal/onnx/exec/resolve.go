package exec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
)

// versions returns the version that is imported of each domain.
func versions(opsets []onnx.Opset) map[string]int64 {
	all := make(map[string]int64, len(opsets))
	for _, o := range opsets {
		all[o.Domain] = o.Version
	}
	return all
}

func functionsOf(m *onnx.Model) map[onnx.FunctionID]*onnx.Function {
	all := make(map[onnx.FunctionID]*onnx.Function, len(m.Functions))
	for _, f := range m.Functions {
		all[f.ID()] = f
	}
	return all
}

// visitor is called with a node that applies an operator and the versions that
// hold where it stands.
type visitor func(n *onnx.Node, opsets map[string]int64)

// walk visits the nodes of a model, of its subgraphs, and of the functions
// that it calls, each function once.
func walk(m *onnx.Model, functions map[onnx.FunctionID]*onnx.Function, visit visitor) {
	called := map[*onnx.Function]bool{}
	var todo []*onnx.Function
	var nodes func(list []*onnx.Node, opsets map[string]int64)
	nodes = func(list []*onnx.Node, opsets map[string]int64) {
		for _, n := range list {
			if f := functions[n.Callee()]; f == nil {
				visit(n, opsets)
			} else if !called[f] {
				called[f] = true
				todo = append(todo, f)
			}
			for k := range n.Attributes {
				for _, g := range n.Attributes[k].Subgraphs() {
					nodes(g.Nodes, opsets)
				}
			}
		}
	}
	nodes(m.Graph.Nodes, versions(m.Opsets))
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		nodes(f.Nodes, versions(f.Opsets))
	}
}

// resolve proves that every operator is known in the version that is imported.
// All that are missing are one error.
func resolve(m *onnx.Model, functions map[onnx.FunctionID]*onnx.Function, index ops.Index) error {
	missing := map[string]bool{}
	walk(m, functions, func(n *onnx.Node, opsets map[string]int64) {
		version, imported := opsets[n.Domain]
		switch tooNew := ops.CheckVersion(n.Domain, version); {
		case !imported:
			missing[fmt.Sprintf("%s (the model imports no operator set of its domain)", operatorName(n))] = true
		case tooNew != nil:
			missing[fmt.Sprintf("%s (%v)", operatorName(n), tooNew)] = true
		case index.Find(n.Domain, n.Op, version) == nil:
			missing[fmt.Sprintf("%s (version %d)", operatorName(n), version)] = true
		}
	})
	if len(missing) > 0 {
		return unsupported(missing)
	}
	return nil
}

// CodeUnsupported is the code of Load's fault when operators are missing, which
// another engine may have.
const CodeUnsupported = "unsupported_operator"

// maxNamed is how many missing operators one message names.
const maxNamed = 20

func unsupported(missing map[string]bool) error {
	names := make([]string, 0, len(missing))
	for name := range missing {
		names = append(names, name)
	}
	slices.Sort(names)
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return &fault.Error{
		Kind: fault.Content, Code: CodeUnsupported,
		Msg: "the model uses operators that are not supported: " + strings.Join(names, ", ") + more,
	}
}

// operatorName is how messages call an operator, such as
// "ai.onnx.ml.ZipMap".
func operatorName(n *onnx.Node) string {
	return strings.Trim(onnx.Quote(cmp.Or(n.Domain, "ai.onnx")+"."+n.Op), `"`)
}
