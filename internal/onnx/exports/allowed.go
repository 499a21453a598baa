package exports

import (
	"slices"
	"strconv"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Categories returns the values that encoders of a graph know, as text, by the input
// that they belong to: of inputs of one column whose encoder refuses any other, as
// scikit-learn's OneHotEncoder does unless it is to ignore what is unknown.
func Categories(m *onnx.Model) map[string][]string {
	g := newGraph(m)
	known := map[string][]string{}
	for _, n := range m.Graph.Nodes {
		if n.Op != "OneHotEncoder" || len(n.Inputs) != 1 || !strictly(n) {
			continue
		}
		if input := g.column(n.Inputs[0]); input != "" {
			known[input] = categories(n)
		}
	}
	return known
}

// strictly reports whether a OneHotEncoder refuses what it does not know.
func strictly(n *onnx.Node) bool {
	zeros := attribute(n, "zeros")
	return zeros.Name != "" && zeros.Int == 0
}

func categories(n *onnx.Node) []string {
	all := slices.Clone(attribute(n, "cats_strings").Strings)
	for _, v := range attribute(n, "cats_int64s").Ints {
		all = append(all, strconv.FormatInt(v, 10))
	}
	return all
}

// column returns the graph's input that a value is, as it came or as one column of
// several that were joined; empty when it is none.
func (g *graph) column(name string) string {
	for range g.Graph.Nodes {
		made := g.makers[name]
		switch {
		case made == nil:
			return g.parameter(name)
		case made.Op == "ArrayFeatureExtractor":
			joined, at := g.maker(made), g.constant(made, 1)
			if joined.Op != "Concat" || at == nil || len(tensor.Of[int64](at)) != 1 {
				return ""
			}
			k := tensor.Of[int64](at)[0]
			if k < 0 || k >= int64(len(joined.Inputs)) || !g.single(joined) {
				return ""
			}
			name = joined.Inputs[k]
		case made.Op == "Identity" && len(made.Inputs) == 1:
			name = made.Inputs[0]
		default:
			return ""
		}
	}
	return g.parameter(name)
}

// parameter returns the name when it is an input of the graph, of one column.
func (g *graph) parameter(name string) string {
	for _, v := range g.Graph.Inputs {
		if v.Name == name && v.Type != nil && oneColumn(v.Type) {
			return name
		}
	}
	return ""
}

func oneColumn(t *onnx.Type) bool {
	return t.Of == onnx.TensorType && t.Ranked && len(t.Dims) == 2 && t.Dims[1].Size == 1
}

// single reports whether every value that is joined is an input of one column.
func (g *graph) single(joined *onnx.Node) bool {
	for _, name := range joined.Inputs {
		if g.parameter(name) == "" {
			return false
		}
	}
	return true
}
