package ops

import (
	"cmp"
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// treeOps is tree ensembles (ai.onnx.ml).
var treeOps = []Operator{
	{ML, "TreeEnsembleClassifier", 1, one, two, parseTreeClassifier},
	{ML, "TreeEnsembleRegressor", 1, one, one, parseTreeRegressor},
	{ML, "TreeEnsemble", 5, one, one, parseTreeEnsemble},
}

// parseTreeClassifier reads TreeEnsembleClassifier (ai.onnx.ml 1, 3). Version
// 5 deprecates it without a change of meaning.
func parseTreeClassifier(n *Node) Kernel {
	labels := classLabels(n, "classlabels_int64s")
	if n.err != nil {
		return nil
	}
	a := treeAttributes(n, "class")
	a.Classifier, a.Targets = true, labels.Len()
	e := compileTrees(n, a)
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(labels.DType(), rows))
	n.SetOut(1, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: a.Targets}))
	n.SetClasses(0, labels)
	n.SetClasses(1, labels)
	winners, label := n.NeedScratch(), labeller(labels)
	scores := treeScores(n, e, 1, tensor.Float32)
	return func(ctx context.Context, f *Frame) error {
		rows, err := treeRows(f)
		if err != nil {
			return err
		}
		won, err := Scratch[int32](f, winners, rows)
		if err != nil {
			return err
		}
		if err := scores(ctx, f, rows, won); err != nil {
			return err
		}
		return label(f, 0, won)
	}
}

// parseTreeRegressor reads TreeEnsembleRegressor (ai.onnx.ml 1, 3).
func parseTreeRegressor(n *Node) Kernel {
	a := treeAttributes(n, "target")
	n.Need("n_targets")
	a.Targets = int(n.Int("n_targets", 1))
	var err error
	if a.Aggregate, err = tree.ParseAggregate(n.String("aggregate_function", "SUM")); err != nil {
		n.Failf("%v", err)
	}
	return treeRegressor(n, compileTrees(n, a), tensor.Float32)
}

// parseTreeEnsemble reads TreeEnsemble (ai.onnx.ml 5). Halves are computed with
// as float32, and the results rounded.
func parseTreeEnsemble(n *Node) Kernel {
	a := treeAttributesV5(n)
	if n.err != nil {
		return nil
	}
	e, err := tree.CompileV5(a)
	if err != nil {
		n.Failf("%v", err)
		return nil
	}
	return treeRegressor(n, e, n.In[0].Type.Elem)
}

func treeAttributesV5(n *Node) tree.AttributesV5 {
	n.Ignore("nodes_hitrates")
	for _, name := range []string{
		"tree_roots", "nodes_featureids", "nodes_modes", "nodes_splits", "nodes_truenodeids",
		"nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs", "leaf_targetids", "leaf_weights",
	} {
		n.Need(name)
	}
	aggregate, transform := n.Int("aggregate_function", 1), n.Int("post_transform", 0)
	if aggregate < 0 || aggregate > 255 || transform < 0 || transform > 255 {
		n.Failf("aggregate_function %d or post_transform %d is not known", aggregate, transform)
	}
	return tree.AttributesV5{
		Targets: int(n.Int("n_targets", 1)), Double: n.Elem(0, floatElem...) == tensor.Float64, Columns: treeColumns(n), Budget: n.Trees, Crew: n.Crew,
		Aggregate: tree.Aggregate(aggregate), Transform: tree.Transform(transform), //nolint:gosec // within a byte by the check above
		Roots: n.Ints("tree_roots"), FeatureIDs: n.Ints("nodes_featureids"),
		Modes: modesOf(n, n.Tensor("nodes_modes")), Splits: n.tensorFloats("nodes_splits"),
		TrueIDs: n.Ints("nodes_truenodeids"), FalseIDs: n.Ints("nodes_falsenodeids"),
		TrueLeafs: n.Ints("nodes_trueleafs"), FalseLeafs: n.Ints("nodes_falseleafs"),
		MissingTrue: n.Ints("nodes_missing_value_tracks_true"),
		LeafTargets: n.Ints("leaf_targetids"), LeafWeights: n.tensorFloats("leaf_weights"),
		Members: n.tensorFloats("membership_values"),
	}
}

// ReadTrees returns the trees of a node for people to look at, nil when the node
// is no tree ensemble. targets names what its leaves vote for, by number; it is
// nil where they have no names.
func ReadTrees(node *onnx.Node, version int64) (forest *tree.Forest, targets *tensor.Tensor, err error) {
	if node.Domain != ML {
		return nil, nil, nil
	}
	n := NewNode(node, version, []Value{{Type: onnx.UnrankedTensor(tensor.Float32)}})
	switch node.Op {
	case "TreeEnsembleClassifier":
		if targets = classLabels(n, "classlabels_int64s"); n.err != nil {
			return nil, nil, n.err
		}
		a := treeAttributes(n, "class")
		a.Classifier, a.Targets = true, targets.Len()
		forest, err = tree.Read(a)
	case "TreeEnsembleRegressor":
		a := treeAttributes(n, "target")
		a.Targets = int(n.Int("n_targets", 1))
		forest, err = tree.Read(a)
	case "TreeEnsemble":
		forest, err = tree.ReadV5(treeAttributesV5(n))
	default:
		return nil, nil, nil
	}
	return forest, targets, cmp.Or(n.err, err)
}

// treeRegressor is the kernel of an ensemble without labels, whose result is
// of type to.
func treeRegressor(n *Node, e *tree.Ensemble, to tensor.DType) Kernel {
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(to, rows, tensor.Dim{Size: e.Outputs()}))
	scores := treeScores(n, e, 0, to)
	return func(ctx context.Context, f *Frame) error {
		rows, err := treeRows(f)
		if err != nil {
			return err
		}
		return scores(ctx, f, rows, nil)
	}
}

func treeRows(f *Frame) (int, error) {
	shape := f.In(0).Shape()
	if len(shape) != 1 && len(shape) != 2 {
		return 0, matrixFault(shape)
	}
	rows, _ := matrix(shape)
	return rows, nil
}

// scoresFunc runs an ensemble on input 0.
type scoresFunc func(ctx context.Context, f *Frame, rows int, winners []int32) error

// treeScores returns how an ensemble writes its scores to output out, which is
// of type to.
func treeScores(n *Node, e *tree.Ensemble, out int, to tensor.DType) scoresFunc {
	d := n.In[0].Type.Elem
	if !e.Double() {
		return scoresIn(floatsOf[float32](n, 0, d), e.Run, e.Outputs(), out, n.NeedScratch(), to)
	}
	return scoresIn(floatsOf[float64](n, 0, d), e.RunDouble, e.Outputs(), out, n.NeedScratch(), to)
}

// scoresIn runs an ensemble that computes in C. Its scores go straight to the
// output when that is of C too, else through scratch memory.
func scoresIn[C floating](read reader[C], run func(context.Context, []C, int, []C, []int32) error, width, out, scratch int, to tensor.DType) scoresFunc {
	return func(ctx context.Context, f *Frame, rows int, winners []int32) error {
		x, err := read(f)
		if err != nil {
			return err
		}
		if to == tensor.DTypeOf[C]() {
			dst, err := Output[C](f, out, rows, width)
			if err != nil {
				return err
			}
			return run(ctx, x, rows, dst, winners)
		}
		tmp, err := Scratch[C](f, scratch, rows*width)
		if err != nil {
			return err
		}
		if err := run(ctx, x, rows, tmp, winners); err != nil {
			return err
		}
		return putScores(f, out, rows, width, tmp, to)
	}
}

// putScores writes scores to output out, of float32 or of halves.
func putScores[C floating](f *Frame, out, rows, width int, scores []C, to tensor.DType) error {
	if to == tensor.Half {
		dst, err := Output[tensor.Float16](f, out, rows, width)
		for i := range dst {
			dst[i] = toHalf(float32(scores[i]))
		}
		return err
	}
	dst, err := Output[float32](f, out, rows, width)
	for i := range dst {
		dst[i] = float32(scores[i])
	}
	return err
}

func compileTrees(n *Node, a tree.Attributes) *tree.Ensemble {
	if n.err != nil {
		return nil
	}
	e, err := tree.Compile(a)
	if err != nil {
		n.Failf("%v", err)
		return nil
	}
	return e
}

// treeColumns returns how many features a row of input 0 has, or 0 when a run
// tells.
func treeColumns(n *Node) int {
	_, columns := n.matrixType()
	return max(columns.Size, 0)
}

// treeAttributes reads the attributes that the classifier and the regressor
// share; votes is "class" or "target".
func treeAttributes(n *Node, votes string) tree.Attributes {
	n.Ignore("nodes_hitrates")
	a := tree.Attributes{
		Double:      n.Elem(0, mlElem...) == tensor.Float64,
		Columns:     treeColumns(n),
		Budget:      n.Trees,
		Crew:        n.Crew,
		TreeIDs:     n.Ints("nodes_treeids"),
		NodeIDs:     n.Ints("nodes_nodeids"),
		FeatureIDs:  n.Ints("nodes_featureids"),
		TrueIDs:     n.Ints("nodes_truenodeids"),
		FalseIDs:    n.Ints("nodes_falsenodeids"),
		MissingTrue: n.Ints("nodes_missing_value_tracks_true"),
		VoteTreeIDs: n.Ints(votes + "_treeids"),
		VoteNodeIDs: n.Ints(votes + "_nodeids"),
		VoteTargets: n.Ints(votes + "_ids"),
		Values:      n.Floats("nodes_values"),
		VoteWeights: n.Floats(votes + "_weights"),
	}
	for _, b := range n.Floats("base_values") {
		a.Base = append(a.Base, float64(b))
	}
	var err error
	if a.Transform, err = tree.ParseTransform(n.String("post_transform", "NONE")); err != nil {
		n.Failf("%v", err)
	}
	names := n.Strings("nodes_modes")
	a.Modes = make([]tree.Mode, len(names))
	for i, name := range names {
		if i > 0 && name == names[i-1] {
			a.Modes[i] = a.Modes[i-1]
		} else if a.Modes[i], err = tree.ParseMode(name); err != nil {
			n.Failf("%v", err)
		}
	}
	if n.Version >= 3 {
		n.Ignore("nodes_hitrates_as_tensor")
		a.Values, a.ValuesDouble = n.floatsOrDoubles("nodes_values", a.Values)
		a.VoteWeights, a.VoteWeightsDouble = n.floatsOrDoubles(votes+"_weights", a.VoteWeights)
		if base := n.tensorFloats("base_values_as_tensor"); base != nil {
			a.Base = base
		}
	}
	return a
}

// floatsOrDoubles reads the "_as_tensor" form of an attribute, which version 3
// added for doubles; only one of the forms may be given.
func (n *Node) floatsOrDoubles(name string, plain []float32) (floats []float32, doubles []float64) {
	t := n.Tensor(name + "_as_tensor")
	switch {
	case t == nil:
		return plain, nil
	case len(plain) > 0:
		n.Failf("attributes %q and %q are both there", name, name+"_as_tensor")
	case t.DType() == tensor.Float32:
		return tensor.Of[float32](t), nil
	case t.DType() == tensor.Float64:
		return nil, tensor.Of[float64](t)
	default:
		n.Failf("attribute %q is of %v; it must be float32 or float64", name+"_as_tensor", t.DType())
	}
	return nil, nil
}

// tensorFloats reads an attribute that is a tensor of floats, as float64.
func (n *Node) tensorFloats(name string) []float64 {
	t := n.Tensor(name)
	if t == nil {
		return nil
	}
	out := make([]float64, 0, t.Len())
	switch t.DType() { //nolint:exhaustive // the others are refused
	case tensor.Float32:
		for _, v := range tensor.Of[float32](t) {
			out = append(out, float64(v))
		}
	case tensor.Float64:
		out = append(out, tensor.Of[float64](t)...)
	case tensor.Half:
		for _, v := range tensor.Of[tensor.Float16](t) {
			out = append(out, float64(fromHalf(v)))
		}
	default:
		n.Failf("attribute %q is of %v; it must be of floats", name, t.DType())
	}
	return out
}

// modesOf reads the modes of TreeEnsemble, a tensor of uint8.
func modesOf(n *Node, t *tensor.Tensor) []tree.Mode {
	if t == nil {
		return nil
	}
	if t.DType() != tensor.Uint8 {
		n.Failf("attribute \"nodes_modes\" is of %v; it must be uint8", t.DType())
	}
	modes := make([]tree.Mode, 0, t.Len())
	for _, v := range tensor.Of[uint8](t) {
		if tree.Mode(v) > tree.BranchMember {
			n.Failf("tree node mode %d is not known", v)
		}
		modes = append(modes, tree.Mode(v))
	}
	return modes
}
