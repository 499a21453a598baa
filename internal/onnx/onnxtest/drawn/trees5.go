package drawn

import (
	"math"
	"slices"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// flat is a forest as version 5 of TreeEnsemble lists it: branches and leaves
// apart, each by its place.
type flat struct {
	roots, features, yes, no, yesLeaf, noLeaf, missing, targets []int64
	modes                                                       []uint8
	splits, weights, members                                    []float64
}

var modeNumbers = map[string]uint8{
	"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3, "BRANCH_EQ": 4, "BRANCH_NEQ": 5, "BRANCH_MEMBER": 6,
}

// treeEnsemble draws TreeEnsemble (ai.onnx.ml 5).
func treeEnsemble(d *drawing) {
	targets := pick(d, 1, 1, 2, 3)
	modes := branchModes
	if d.chance(2) {
		modes = append([]string{"BRANCH_MEMBER"}, modes...)
	}
	f := d.newForest(targets, modes, tensor.Float32, tensor.Float64)
	var l flat
	for t := range f.trees {
		l.add(d, f, t, targets)
	}
	x := f.rows(d)
	list := []onnx.Attribute{
		Int("n_targets", int64(targets)), Ints("tree_roots", l.roots...), Ints("nodes_featureids", l.features...),
		Value("nodes_modes", l.modes...), d.floats(f.typ, "nodes_splits", l.splits),
		Ints("nodes_truenodeids", l.yes...), Ints("nodes_falsenodeids", l.no...),
		Ints("nodes_trueleafs", l.yesLeaf...), Ints("nodes_falseleafs", l.noLeaf...),
		Ints("leaf_targetids", l.targets...), d.floats(f.typ, "leaf_weights", l.weights),
	}
	if f.missing {
		list = append(list, Ints("nodes_missing_value_tracks_true", l.missing...))
	}
	if len(l.members) > 0 {
		list = append(list, d.floats(f.typ, "membership_values", l.members))
	}
	list = d.optional(list, Int("aggregate_function", int64(d.IntN(4))))
	transform := int64(d.IntN(5))
	d.out.Coarse = transform != 0 // float32 is what transforms compute in
	build := func(transform int64) *onnx.Model {
		n := ML("TreeEnsemble", Names("x"), Names("y"), append(slices.Clip(list), Int("post_transform", transform))...)
		d.classical(5, n, x, onnx.UnrankedTensor(f.typ))
		return d.out.Model
	}
	if transform == 1 || transform == 2 { // ONNX Runtime exchanges SOFTMAX and LOGISTIC
		d.out.Runtime = build(3 - transform)
		typ := *d.out.Runtime.Graph.Inputs[0].Type
		build(transform).Graph.Inputs[0].Type = &typ
		return
	}
	build(transform)
}

func (d *drawing) floats(typ tensor.DType, name string, v []float64) onnx.Attribute {
	if typ == tensor.Float64 {
		return Value(name, v...)
	}
	return Value(name, narrowed(v)...)
}

// add lists a tree. One of a single leaf has a branch that leads there both ways.
func (l *flat) add(d *drawing, f *forest, t, targets int) {
	l.roots = append(l.roots, int64(len(l.features)))
	nodes := f.trees[t]
	if nodes[0].mode == "" {
		nodes = []branch{{mode: "BRANCH_LEQ", yes: 1, no: 1}, {}}
	}
	place, leaf := make([]int64, len(nodes)), make([]int64, len(nodes))
	branches := int64(len(l.features))
	for i, b := range nodes {
		if b.mode == "" {
			place[i], leaf[i] = int64(len(l.targets)), 1
			l.targets, l.weights = append(l.targets, int64(d.IntN(targets))), append(l.weights, widened(d.weights(1))...)
		} else {
			place[i] = branches
			branches++
		}
	}
	for _, b := range nodes {
		if b.mode == "" {
			continue
		}
		l.features, l.modes = append(l.features, int64(b.feature)), append(l.modes, modeNumbers[b.mode])
		l.yes, l.no = append(l.yes, place[b.yes]), append(l.no, place[b.no])
		l.yesLeaf, l.noLeaf = append(l.yesLeaf, leaf[b.yes]), append(l.noLeaf, leaf[b.no])
		l.missing = append(l.missing, int64(tally(b.missing)))
		l.splits = append(l.splits, b.value)
		if b.mode == "BRANCH_MEMBER" {
			l.member(d, f, b)
		}
	}
}

// member adds the set of a branch: of whole numbers, since ONNX Runtime loads no
// other, for a feature of whole numbers, since it takes 1.5 for 1 there.
func (l *flat) member(d *drawing, f *forest, b branch) {
	var set []float64
	for range d.from(1, 5) {
		set = append(set, float64(d.from(-2, 9)))
	}
	f.whole[b.feature] = true
	f.points[b.feature] = append(f.points[b.feature], set...)
	l.members = append(append(l.members, set...), math.NaN())
}
