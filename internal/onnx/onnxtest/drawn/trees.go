package drawn

import (
	"math"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// branch is a node of a tree, which lists its root first. A leaf has no mode.
type branch struct {
	mode    string
	feature int
	value   float64
	missing bool
	yes, no int
}

// leaves are the votes of an ensemble: of a leaf, for a target, with a weight.
type vote struct{ tree, node, target int }

// forest is a random ensemble before it is written as attributes.
type forest struct {
	trees    [][]branch
	votes    []vote
	columns  int
	missing  bool
	typ      tensor.DType
	modes    []string
	points   [][]float64  // thresholds by feature
	integral bool         // thresholds are whole numbers or halves
	whole    map[int]bool // features that have whole numbers alone
}

var branchModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}

// newForest draws trees: few as a rule, now and then as many and as deep as
// need another layout in the engine.
func (d *drawing) newForest(targets int, modes []string, types ...tensor.DType) *forest {
	f := &forest{columns: d.from(1, 6), missing: d.chance(2), typ: pick(d, types...), whole: map[int]bool{}, integral: d.chance(3), modes: modes}
	if d.chance(2) {
		f.modes = modes[:1] // one mode for all: the usual export
		if d.chance(3) {
			f.modes = []string{pick(d, modes...)}
		}
	}
	f.points = make([][]float64, f.columns)
	count, depth := d.from(1, 6), d.from(0, 5)
	switch d.IntN(12) {
	case 0:
		count, depth = d.from(20, 60), d.from(3, 6)
	case 1:
		count, depth = d.from(1, 8), d.from(7, 10)
	}
	for t := range count {
		var nodes []branch
		d.grow(f, &nodes, depth)
		f.trees = append(f.trees, nodes)
		f.vote(d, t, targets)
	}
	return f
}

// grow adds a subtree and returns the place of its root.
func (d *drawing) grow(f *forest, nodes *[]branch, depth int) int {
	at := len(*nodes)
	*nodes = append(*nodes, branch{})
	if depth == 0 || len(*nodes) > 1 && d.chance(6) {
		return at
	}
	b := branch{mode: pick(d, f.modes...), feature: d.IntN(f.columns), missing: f.missing && d.chance(2)}
	near := f.points[b.feature]
	switch {
	case len(near) > 0 && d.chance(3):
		b.value = pick(d, near...)
	case f.integral:
		b.value = float64(d.from(-6, 6)) / 2
	default:
		b.value = d.NormFloat64() * 2
	}
	// A threshold that is no float32 is for ensembles of doubles, which keep it.
	if f.typ != tensor.Float64 || d.chance(2) {
		b.value = float64(float32(b.value))
	}
	f.points[b.feature] = append(near, b.value)
	b.yes = d.grow(f, nodes, depth-1)
	b.no = d.grow(f, nodes, depth-1)
	(*nodes)[at] = b
	return at
}

// vote gives the leaves of a tree votes: one as a rule, but none, one for every
// target, or several for one. In the first tree every leaf has one: ONNX Runtime
// fails on a row without any where the classes are several.
func (f *forest) vote(d *drawing, t, targets int) {
	each := d.chance(3)
	for i, b := range f.trees[t] {
		switch {
		case b.mode != "" || t > 0 && d.chance(12):
		case each:
			for k := range targets {
				f.votes = append(f.votes, vote{t, i, k})
			}
		default:
			for range pick(d, 1, 1, 1, 2) {
				f.votes = append(f.votes, vote{t, i, d.IntN(targets)})
			}
		}
	}
}

// attributes writes the ensemble as versions 1 and 3 have it; votes is "class"
// or "target".
func (f *forest) attributes(d *drawing, votes string, weights []float32, version int64) []onnx.Attribute {
	var trees, ids, features, yes, no, missing []int64
	var modes []string
	var values []float64
	for t, nodes := range f.trees {
		order := make([]int, len(nodes))
		for i := range order {
			order[i] = i
		}
		if d.chance(3) {
			order = append(order[:1], shuffled(d, order[1:])...) // ONNX Runtime takes a tree's first node for its root
		}
		for _, i := range order {
			b := nodes[i]
			if b.mode == "" {
				b.mode = "LEAF"
			}
			trees, ids, features = append(trees, int64(t)), append(ids, int64(i)), append(features, int64(b.feature))
			yes, no, modes, values = append(yes, int64(b.yes)), append(no, int64(b.no)), append(modes, b.mode), append(values, b.value)
			missing = append(missing, int64(tally(b.missing)))
		}
	}
	var voteTrees, voteNodes, targets []int64
	for _, v := range f.votes {
		voteTrees, voteNodes, targets = append(voteTrees, int64(v.tree)), append(voteNodes, int64(v.node)), append(targets, int64(v.target))
	}
	list := []onnx.Attribute{
		Ints("nodes_treeids", trees...), Ints("nodes_nodeids", ids...), Ints("nodes_featureids", features...),
		Strings("nodes_modes", modes...), Ints("nodes_truenodeids", yes...), Ints("nodes_falsenodeids", no...),
		Ints(votes+"_treeids", voteTrees...), Ints(votes+"_nodeids", voteNodes...), Ints(votes+"_ids", targets...),
	}
	if f.missing {
		list = append(list, Ints("nodes_missing_value_tracks_true", missing...))
	}
	if f.typ == tensor.Float64 && version >= 3 {
		return append(list, Value("nodes_values_as_tensor", values...), Value(votes+"_weights_as_tensor", widened(weights)...))
	}
	return append(list, Floats("nodes_values", narrowed(values)...), Floats(votes+"_weights", weights...))
}

func tally(b bool) int {
	if b {
		return 1
	}
	return 0
}

func narrowed(v []float64) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		out[i] = float32(v[i])
	}
	return out
}

// base appends base values for n targets, or none.
func (f *forest) base(d *drawing, list []onnx.Attribute, n int, version int64) []onnx.Attribute {
	if d.chance(2) {
		return list
	}
	values := d.weights(n)
	if f.typ == tensor.Float64 && version >= 3 {
		return append(list, Value("base_values_as_tensor", widened(values)...))
	}
	return append(list, Floats("base_values", values...))
}

func (f *forest) rows(d *drawing) *tensor.Tensor {
	x := d.features(f.typ, pick(d, 0, 1, 1, 2, 2, 7, 7, 20, 40), f.columns+d.IntN(2), f.points, true)
	width := x.Shape()[1]
	for i := range x.Len() {
		if !f.whole[i%width] {
			continue
		}
		if v := tensor.Of[float32](x); v != nil {
			v[i] = float32(math.Round(float64(v[i])))
		} else {
			v := tensor.Of[float64](x)
			v[i] = math.Round(v[i])
		}
	}
	return x
}

// voteFor returns which of the targets have votes.
func (f *forest) votedFor(targets int) int {
	seen := map[int]bool{}
	for _, v := range f.votes {
		seen[v.target] = true
	}
	return min(len(seen), targets)
}

func treeClassifier(d *drawing) {
	classes := pick(d, 2, 2, 2, 3, 4, 6)
	f := d.newForest(classes, branchModes, numeric...)
	if classes == 2 && d.chance(2) { // the form of boosted trees: votes for one class, which means the second
		one := d.IntN(2)
		for i := range f.votes {
			f.votes[i].target = one
		}
	}
	labels := d.labels("classlabels_int64s", classes)
	if classes == 2 && labels.Type == onnx.IntsAttribute && f.votedFor(2) == 2 {
		labels.Ints = []int64{0, 1} // ONNX Runtime answers with these, whatever the labels are
	}
	version := pick[int64](d, 1, 3, 3)
	if f.typ == tensor.Float64 {
		version = 3 // the others have no doubles but of the input
	}
	weights := d.weights(len(f.votes))
	if d.chance(3) {
		for i := range weights {
			weights[i] = float32(math.Abs(float64(weights[i])))
		}
	}
	list := append(f.attributes(d, "class", weights, version), labels)
	bases := classes
	if classes == 2 && f.votedFor(2) == 1 {
		bases = 1
	}
	list = f.base(d, list, bases, version)
	if transform := pick(d, transforms...); classes > 2 || transform != "PROBIT" { // ONNX Runtime leaves the second score of some rows as it finds it
		list = append(list, String("post_transform", transform))
	}
	n := ML("TreeEnsembleClassifier", Names("x"), Names("label", "y"), shuffled(d, list)...)
	d.classical(version, n, f.rows(d), labelled(labels)...)
	d.out.Labels, d.out.Scores = "label", "y"
}

func treeRegressor(d *drawing) {
	targets := pick(d, 1, 1, 1, 2, 3)
	f := d.newForest(targets, branchModes, tensor.Float32, tensor.Float64) // ONNX Runtime has no other
	version := pick[int64](d, 1, 3, 3)
	if f.typ == tensor.Float64 {
		version = 3
	}
	list := f.attributes(d, "target", d.weights(len(f.votes)), version)
	list = append(f.base(d, list, targets, version), Int("n_targets", int64(targets)))
	list = d.optional(list, String("post_transform", pick(d, transforms...)))
	list = d.optional(list, String("aggregate_function", pick(d, "SUM", "AVERAGE", "MIN", "MAX")))
	n := ML("TreeEnsembleRegressor", Names("x"), Names("y"), shuffled(d, list)...)
	d.classical(version, n, f.rows(d), onnx.UnrankedTensor(tensor.Float32))
}
