package tree_test

import (
	"testing"

	"onnxgate/internal/onnx/tree"
)

// stump is one tree: x[0] <= 0.5 gives class 0, otherwise class 1.
func stump() tree.Attributes {
	return tree.Attributes{
		Classifier: true, Targets: 3,
		TreeIDs: []int64{0, 0, 0}, NodeIDs: []int64{0, 1, 2}, FeatureIDs: []int64{0, 0, 0},
		TrueIDs: []int64{1, 0, 0}, FalseIDs: []int64{2, 0, 0},
		Modes:       []tree.Mode{tree.BranchLEQ, tree.Leaf, tree.Leaf},
		Values:      []float32{0.5, 0, 0},
		VoteTreeIDs: []int64{0, 0}, VoteNodeIDs: []int64{1, 2}, VoteTargets: []int64{0, 1},
		VoteWeights: []float32{1, 1},
	}
}

func TestStumpSplitsAtItsThreshold(t *testing.T) {
	e, err := tree.Compile(stump())
	if err != nil {
		t.Fatal(err)
	}
	scores, labels := make([]float32, 6), make([]int32, 2)
	if err := e.Run(t.Context(), []float32{0.5, 0.6}, 2, scores, labels); err != nil {
		t.Fatal(err)
	}
	if labels[0] != 0 || labels[1] != 1 || scores[0] != 1 || scores[4] != 1 {
		t.Errorf("labels %v, scores %v", labels, scores)
	}
}
