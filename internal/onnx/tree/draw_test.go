package tree

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDrawingSaysWhatEveryKindOfNodeDoes(t *testing.T) {
	f, err := ReadV5(AttributesV5{
		Targets: 2, Aggregate: Sum, Roots: []int64{0}, FeatureIDs: []int64{0, 1},
		Modes: []Mode{BranchMember, BranchGTE}, Splits: []float64{0, 0.5}, Members: []float64{1, 3, math.NaN()},
		TrueIDs: []int64{1, 0}, TrueLeafs: []int64{0, 1}, FalseIDs: []int64{1, 2}, FalseLeafs: []int64{1, 1},
		MissingTrue: []int64{0, 1}, LeafTargets: []int64{0, 1, 0}, LeafWeights: []float64{1.5, -2, 0.25},
	})
	if err != nil {
		t.Fatal(err)
	}
	feature, target := func(i int) string { return fmt.Sprint("x", i) }, func(i int) string { return fmt.Sprint("class ", i) }
	got, err := f.Draw(0, feature, target)
	want := `x0 is one of 1, 3
├─ yes  x1 >= 0.5 or is missing
│       ├─ yes  class 0 1.5
│       └─ no   class 0 0.25
└─ no   class 1 -2
`
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, tree := range []int{-1, 1} {
		if _, err := f.Draw(tree, feature, target); err == nil || !strings.Contains(err.Error(), "0 to 0") {
			t.Errorf("tree %d: %v", tree, err)
		}
	}
}
