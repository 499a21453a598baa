package exports

import (
	"slices"

	"onnxgate/internal/onnx"
)

// lostCategories finds HistGradientBoosting with categorical_features, each of
// whose splits by categories is exported as a comparison with zero. Two of them
// on one way down a tree ask what the first has answered, which no training
// does; a tree that shows none may have lost its categories all the same.
func lostCategories(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		t := newTree(n)
		if t == nil || !t.asksAgain() {
			return ""
		}
		return where(n) + " compares a column with zero again where the answer is known, as exports of HistGradientBoosting with categorical_features do, which lose the categories; " +
			"put a OneHotEncoder before it and leave categorical_features out"
	}, "TreeEnsembleRegressor", "TreeEnsembleClassifier")
}

// ensemble is the attributes of an ensemble's nodes, all of one length but
// missing, which may be empty.
type ensemble struct {
	trees, nodes, yes, no, features, missing []int64
	values                                   []float32
	modes                                    []string
	places                                   map[[2]int64]int
}

// newTree returns nil for nodes that are not scikit-learn's.
func newTree(n *onnx.Node) *ensemble {
	ints := func(name string) []int64 { return attribute(n, name).Ints }
	t := &ensemble{
		trees: ints("nodes_treeids"), nodes: ints("nodes_nodeids"), yes: ints("nodes_truenodeids"), no: ints("nodes_falsenodeids"),
		features: ints("nodes_featureids"), missing: ints("nodes_missing_value_tracks_true"),
		values: attribute(n, "nodes_values").Floats, modes: attribute(n, "nodes_modes").Strings, places: map[[2]int64]int{},
	}
	count := len(t.trees)
	for _, other := range []int{len(t.nodes), len(t.yes), len(t.no), len(t.features), len(t.values), len(t.modes)} {
		if other != count {
			return nil
		}
	}
	foreign := slices.ContainsFunc(t.modes, func(mode string) bool { return mode != "BRANCH_LEQ" && mode != "LEAF" })
	if foreign || len(t.missing) != 0 && len(t.missing) != count {
		return nil
	}
	for i := range count {
		t.places[[2]int64{t.trees[i], t.nodes[i]}] = i
	}
	return t
}

// step is a branch that leads to a node, behind a comparison with zero.
type step struct {
	at      int // the node that compares
	yes     bool
	outside *step
}

// visit is a node and the way to it.
type visit struct {
	at  int
	way *step
}

// asksAgain reports whether a node compares with zero what a node above it has.
// Every node is looked at once, from one way down; a tree begins at its node 0,
// as exporters number them.
func (t *ensemble) asksAgain() bool {
	var open []visit
	for i, node := range t.nodes {
		if node == 0 {
			open = append(open, visit{at: i})
		}
	}
	seen := make([]bool, len(t.trees))
	for len(open) > 0 {
		v := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[v.at] || t.modes[v.at] == "LEAF" {
			continue
		}
		seen[v.at] = true
		if t.known(v.at, v.way) {
			return true
		}
		open = t.follow(t.follow(open, v, true), v, false)
	}
	return false
}

// follow adds the node behind a branch, where there is one.
func (t *ensemble) follow(open []visit, from visit, yes bool) []visit {
	next := t.no[from.at]
	if yes {
		next = t.yes[from.at]
	}
	k, ok := t.places[[2]int64{t.trees[from.at], next}]
	if !ok {
		return open
	}
	if t.values[from.at] == 0 {
		from.way = &step{at: from.at, yes: yes, outside: from.way}
	}
	return append(open, visit{at: k, way: from.way})
}

// known reports whether the way to a node answers its comparison with zero. A
// value that may still be missing or not is a question of its own.
func (t *ensemble) known(at int, way *step) bool {
	const far = 64 // deeper trees are none of these
	if t.values[at] != 0 {
		return false
	}
	for range far {
		if way == nil {
			return false
		}
		same := t.features[way.at] == t.features[at]
		settled := way.yes != t.takesMissing(way.at) // the value is there
		if same && (settled || t.takesMissing(way.at) == t.takesMissing(at)) {
			return true
		}
		way = way.outside
	}
	return false
}

// takesMissing reports whether a missing value takes the true branch of a node.
func (t *ensemble) takesMissing(at int) bool { return len(t.missing) > 0 && t.missing[at] != 0 }
