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

// skl2onnx makes a regressor of a classifier's arrays to name the leaf of a
// row; ONNX Runtime reads the first of its votes.
func TestALeafHasOneVoteForOneTarget(t *testing.T) {
	a := stump()
	a.Classifier, a.Targets = false, 1
	a.VoteTreeIDs, a.VoteNodeIDs = []int64{0, 0, 0, 0}, []int64{1, 2, 1, 2}
	a.VoteTargets, a.VoteWeights = []int64{0, 0, 0, 0}, []float32{5, 7, 50, 70}
	e, err := tree.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 2)
	if err := e.Run(t.Context(), []float32{0.5, 0.6}, 2, scores, nil); err != nil {
		t.Fatal(err)
	}
	if scores[0] != 5 || scores[1] != 7 {
		t.Errorf("scores %v", scores)
	}
}
