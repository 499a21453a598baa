package tree

import (
	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/crew"
)

// Mode is what a node asks of its feature. The branch values are those of the
// nodes_modes tensor of TreeEnsemble (ai.onnx.ml, opset 5).
type Mode uint8

// The modes. A comparison with NaN is false, BRANCH_NEQ's is true; see Node
// semantics in the package comment for missing values.
const (
	BranchLEQ    Mode = 0
	BranchLT     Mode = 1
	BranchGTE    Mode = 2
	BranchGT     Mode = 3
	BranchEQ     Mode = 4
	BranchNEQ    Mode = 5
	BranchMember Mode = 6
	// Leaf has no number in ONNX: opset 5 lists its leaves apart.
	Leaf Mode = 7
)

var modeNames = [...]string{
	"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF",
}

// ParseMode returns the mode with the given name in the nodes_modes attribute
// of TreeEnsembleClassifier and TreeEnsembleRegressor. BRANCH_MEMBER is not
// among them: it came with opset 5, whose modes are numbers.
func ParseMode[S string | []byte](name S) (Mode, error) {
	for m, s := range modeNames {
		if s == string(name) && Mode(m) != BranchMember {
			return Mode(m), nil
		}
	}
	return 0, fault.Newf(fault.Content, "the tree node mode %.32q is not known", string(name))
}

// ordered reports whether the branch asks on which side of one bound a number is.
func (m Mode) ordered() bool { return m <= BranchGT }

// String returns the mode's ONNX name.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "unknown mode"
}

// Transform is applied to a row's sums. The values are those of the
// post_transform attribute of TreeEnsemble (ai.onnx.ml, opset 5).
type Transform uint8

// The transforms.
const (
	TransformNone        Transform = 0
	TransformSoftmax     Transform = 1
	TransformLogistic    Transform = 2
	TransformSoftmaxZero Transform = 3
	TransformProbit      Transform = 4
)

// ParseTransform returns the transform with the given name; the empty name is
// the default, NONE.
func ParseTransform(name string) (Transform, error) {
	switch name {
	case "", "NONE":
		return TransformNone, nil
	case "SOFTMAX":
		return TransformSoftmax, nil
	case "LOGISTIC":
		return TransformLogistic, nil
	case "SOFTMAX_ZERO":
		return TransformSoftmaxZero, nil
	case "PROBIT":
		return TransformProbit, nil
	}
	return 0, fault.Newf(fault.Content, "the post_transform %.32q is not known", name)
}

// Aggregate is how the trees' votes for one target become one number. The
// values are those of the aggregate_function attribute of TreeEnsemble
// (ai.onnx.ml, opset 5), so its zero value is not ONNX's default, Sum.
type Aggregate uint8

// The aggregates.
const (
	Average Aggregate = 0
	Sum     Aggregate = 1
	Min     Aggregate = 2
	Max     Aggregate = 3
)

// ParseAggregate returns the aggregate with the given name; the empty name is
// the default, SUM.
func ParseAggregate(name string) (Aggregate, error) {
	switch name {
	case "", "SUM":
		return Sum, nil
	case "AVERAGE":
		return Average, nil
	case "MIN":
		return Min, nil
	case "MAX":
		return Max, nil
	}
	return 0, fault.Newf(fault.Content, "the aggregate_function %.32q is not known", name)
}

// Attributes are those of TreeEnsembleClassifier and TreeEnsembleRegressor
// (ai.onnx.ml, opsets 1, 3 and 5): one tuple per node and one per vote, each
// spread over arrays of equal length. Compile reads the arrays and keeps none.
type Attributes struct {
	// Classifier selects labels and ONNX's rules for two classes.
	Classifier bool
	// Targets is the number of classes or targets.
	Targets int
	// Double computes in float64. Set it when the input is of doubles or an
	// attribute was given as a tensor of doubles.
	Double bool
	// Columns is how many features a row of the input has, 0 when that is not
	// known before a run.
	Columns int
	// Budget is shared with the other ensembles of the model; nil for none.
	Budget *Budget
	// Crew has the threads that many rows may take beside their own; nil for
	// none.
	Crew *crew.Crew

	Aggregate Aggregate // of a regressor; a classifier always sums
	Transform Transform

	// One entry per node.
	TreeIDs, NodeIDs, FeatureIDs []int64
	TrueIDs, FalseIDs            []int64 // nodes_truenodeids, nodes_falsenodeids
	Modes                        []Mode
	// Values are the thresholds: nodes_values, or when that is nil
	// nodes_values_as_tensor.
	Values       []float32
	ValuesDouble []float64
	// MissingTrue is nodes_missing_value_tracks_true, empty when absent.
	MissingTrue []int64

	// One entry per vote: class_* or target_*.
	VoteTreeIDs, VoteNodeIDs, VoteTargets []int64
	VoteWeights                           []float32
	VoteWeightsDouble                     []float64

	// Base holds base_values or base_values_as_tensor, empty when absent.
	Base []float64
}

// AttributesV5 are those of TreeEnsemble (ai.onnx.ml, opset 5). Floats of any
// width are given as float64, which holds them exactly.
type AttributesV5 struct {
	Targets int
	Double  bool // compute in float64: the input is of doubles
	Columns int  // features of a row of the input, 0 when not known
	Budget  *Budget
	Crew    *crew.Crew

	Aggregate Aggregate
	Transform Transform

	Roots []int64 // tree_roots

	// One entry per branch node.
	FeatureIDs            []int64
	Modes                 []Mode
	Splits                []float64
	TrueIDs, FalseIDs     []int64 // positions in the branch nodes, or in the leaves
	TrueLeafs, FalseLeafs []int64 // 1 where the child is a leaf
	MissingTrue           []int64 // empty when absent

	// One entry per leaf.
	LeafTargets []int64
	LeafWeights []float64

	// Members are the sets of the BRANCH_MEMBER nodes in their order, each
	// ended by a NaN; the last may end with the array.
	Members []float64
}
