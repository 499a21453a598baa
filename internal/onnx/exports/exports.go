// Package exports knows the exporters: what they are known to lose in silence,
// as far as a graph shows it. It owns the signs by which such an export is
// recognised. What it says is a reason to compare a model with its library, and
// no verdict: it runs nothing.
package exports

import (
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// findings are the signs, each with what the export does and what to do
// instead. docs/exporting.md lists what the exports differ in.
var findings = []func(*graph) []string{
	unvotedTargets, sumsForProbabilities, parallelTrees, catBoostLoss, dividedTrees, tunedThreshold, neighboursByDistance,
	clippedScores, selectionAlone, flattenedTargets, sublinearCounts, unfoundWords, lostLetters, exchangedColumns,
	lostBranches, lostCategories, greatestNumber, countedRows, chosenMembers, decisionsForProbabilities, calibratedProbabilities,
	nearestSteps, turnedProbabilities,
}

// Doubts returns what of a model is probably not as it was trained, each with
// what to do. It looks at the main graph alone, which is what exporters write,
// and at a model that has been decoded but not checked. missing says that
// values of its inputs may be missing.
func Doubts(m *onnx.Model, missing bool) []string {
	g := newGraph(m)
	g.missing = missing
	var all []string
	for _, find := range findings {
		all = append(all, find(g)...)
	}
	return all
}

// graph is the main graph with tables to find one's way in it.
type graph struct {
	*onnx.Model
	makers    map[string]*onnx.Node
	users     map[string][]*onnx.Node
	outputs   map[string]bool
	constants map[string]*tensor.Tensor
	missing   bool
}

func newGraph(m *onnx.Model) *graph {
	g := &graph{
		Model: m, makers: map[string]*onnx.Node{}, users: map[string][]*onnx.Node{},
		outputs: map[string]bool{}, constants: map[string]*tensor.Tensor{},
	}
	for _, v := range m.Graph.Outputs {
		g.outputs[v.Name] = true
	}
	for _, i := range m.Graph.Initializers {
		g.constants[i.Name] = i.Tensor
	}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			g.makers[out] = n
		}
		for _, in := range n.Inputs {
			g.users[in] = append(g.users[in], n)
		}
		if value := attribute(n, "value"); n.Op == "Constant" && len(n.Outputs) == 1 && value.Tensor != nil {
			g.constants[n.Outputs[0]] = value.Tensor
		}
	}
	return g
}

// each yields the nodes that apply an operator.
func (g *graph) each(yield func(*onnx.Node) string, ops ...string) []string {
	var all []string
	for _, n := range g.Graph.Nodes {
		if slices.Contains(ops, n.Op) {
			if text := yield(n); text != "" {
				all = append(all, text)
			}
		}
	}
	return all
}

// maker returns the node that makes the first input of another; a node of no
// operator when none does.
func (g *graph) maker(n *onnx.Node) *onnx.Node {
	if len(n.Inputs) > 0 {
		if made := g.makers[n.Inputs[0]]; made != nil {
			return made
		}
	}
	return &onnx.Node{}
}

// constant returns an input that is constant, else nil.
func (g *graph) constant(n *onnx.Node, input int) *tensor.Tensor {
	if input < len(n.Inputs) {
		return g.constants[n.Inputs[input]]
	}
	return nil
}

// number returns the one number that a constant input of float32 holds, in all
// of its elements.
func (g *graph) number(n *onnx.Node, input int) (float32, bool) {
	t := g.constant(n, input)
	if t == nil {
		return 0, false
	}
	numbers := tensor.Of[float32](t)
	if len(numbers) == 0 || slices.ContainsFunc(numbers, func(v float32) bool { return v != numbers[0] }) {
		return 0, false
	}
	return numbers[0], true
}

// attribute returns a node's attribute, empty when it has none of the name.
func attribute(n *onnx.Node, name string) *onnx.Attribute {
	for i := range n.Attributes {
		if n.Attributes[i].Name == name {
			return &n.Attributes[i]
		}
	}
	return &onnx.Attribute{}
}

// where names a node for people.
func where(n *onnx.Node) string {
	if n.Name == "" || n.Name == n.Op {
		return n.Op
	}
	return n.Op + " " + onnx.Quote(n.Name)
}

// labels is how many classes a classifier has.
func labels(n *onnx.Node) int {
	return max(len(attribute(n, "classlabels_int64s").Ints), len(attribute(n, "classlabels_ints").Ints), len(attribute(n, "classlabels_strings").Strings))
}

// distinct counts the different numbers in a list.
func distinct(all []int64) int {
	seen := map[int64]struct{}{}
	for _, n := range all {
		seen[n] = struct{}{}
	}
	return len(seen)
}
