package exec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
)

// resolved is the operator of a node, and the version that the model imports
// for its domain.
type resolved struct {
	op      *ops.Operator
	version int64
}

// resolve finds the operator of every node. All that are missing are one
// error.
func resolve(m *onnx.Model) ([]resolved, error) {
	versions := make(map[string]int64, len(m.Opsets))
	for _, o := range m.Opsets {
		versions[o.Domain] = o.Version
	}
	functions := make(map[onnx.FunctionID]bool, len(m.Functions))
	for _, f := range m.Functions {
		functions[f.ID()] = true
	}
	index := ops.NewIndex()
	out := make([]resolved, len(m.Graph.Nodes))
	missing := map[string]bool{}
	for i, n := range m.Graph.Nodes {
		version, imported := versions[n.Domain]
		switch tooNew := ops.CheckVersion(n.Domain, version); {
		case functions[n.Callee()]:
			missing[fmt.Sprintf("%s (a function of the model)", operatorName(n))] = true
		case !imported:
			missing[fmt.Sprintf("%s (the model imports no operator set of its domain)", operatorName(n))] = true
		case tooNew != nil:
			missing[fmt.Sprintf("%s (%v)", operatorName(n), tooNew)] = true
		default:
			out[i] = resolved{op: index.Find(n.Domain, n.Op, version), version: version}
			if out[i].op == nil {
				missing[fmt.Sprintf("%s (version %d)", operatorName(n), version)] = true
			}
		}
	}
	if len(missing) > 0 {
		return nil, unsupported(missing)
	}
	return out, nil
}

// ErrUnsupported is in the error of Load when operators are missing that another
// engine may have.
var ErrUnsupported = errors.New("operators are missing")

// maxNamed is how many missing operators one message names.
const maxNamed = 50

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
	return fault.Wrap(fault.Content, "the model uses operators that are not supported: "+strings.Join(names, ", ")+more, ErrUnsupported)
}

// operatorName is how messages call an operator, such as
// "ai.onnx.ml.ZipMap".
func operatorName(n *onnx.Node) string {
	return strings.Trim(onnx.Quote(cmp.Or(n.Domain, "ai.onnx")+"."+n.Op), `"`)
}
