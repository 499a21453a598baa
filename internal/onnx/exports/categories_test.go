package exports_test

import (
	"strings"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exports"
)

// chain is two comparisons, the second behind one branch of the first.
type chain struct {
	behindYes           bool
	features            [2]int64
	values              [2]float32
	missing             []int64 // whether a missing value takes the true branch
	mode                string
	elsewhere, pointing bool // the second is in another tree; the leaves point at the first
}

func (c *chain) model() *onnx.Model {
	trees := []int64{0, 0, 0, 0, 0}
	yes, no := []int64{2, 3, 9, 9, 9}, []int64{1, 4, 9, 9, 9}
	if c.behindYes {
		yes[0], no[0] = 1, 2
	}
	if c.elsewhere {
		yes[0], no[0] = 2, 2
		trees[1], trees[3], trees[4] = 1, 1, 1
	}
	if c.pointing {
		yes, no = []int64{yes[0], yes[1], 0, 0, 0}, []int64{no[0], no[1], 0, 0, 0}
	}
	missing := c.missing
	if missing != nil {
		missing = append(missing, 0, 0, 0)
	}
	return &onnx.Model{Graph: &onnx.Graph{Nodes: []*onnx.Node{{Op: "TreeEnsembleRegressor", Attributes: []onnx.Attribute{
		{Name: "nodes_treeids", Ints: trees},
		{Name: "nodes_nodeids", Ints: []int64{0, 1, 2, 3, 4}},
		{Name: "nodes_truenodeids", Ints: yes},
		{Name: "nodes_falsenodeids", Ints: no},
		{Name: "nodes_featureids", Ints: []int64{c.features[0], c.features[1], 0, 0, 0}},
		{Name: "nodes_values", Floats: []float32{c.values[0], c.values[1], 0, 0, 0}},
		{Name: "nodes_modes", Strings: []string{c.mode, c.mode, "LEAF", "LEAF", "LEAF"}},
		{Name: "nodes_missing_value_tracks_true", Ints: missing},
	}}}}}
}

func TestAComparisonWithZeroIsNotAskedTwice(t *testing.T) {
	const leq = "BRANCH_LEQ"
	for name, c := range map[string]struct {
		chain

		doubted bool
	}{
		"behind the true branch":           {chain{behindYes: true, mode: leq}, true},
		"behind the false branch":          {chain{mode: leq}, true},
		"leaves that point back":           {chain{mode: leq, pointing: true}, true},
		"a missing value taken out":        {chain{behindYes: true, missing: []int64{1, 0}, mode: leq}, false},
		"a missing value let in":           {chain{missing: []int64{0, 1}, mode: leq}, false},
		"more than zero, and there":        {chain{missing: []int64{1, 0}, mode: leq}, true},
		"missing on both":                  {chain{behindYes: true, missing: []int64{1, 1}, mode: leq}, true},
		"another column":                   {chain{features: [2]int64{0, 1}, mode: leq}, false},
		"another value":                    {chain{values: [2]float32{0, 1}, mode: leq}, false},
		"not with zero":                    {chain{values: [2]float32{0.5, 0.5}, mode: leq}, false},
		"another library's":                {chain{mode: "BRANCH_LT"}, false},
		"another tree":                     {chain{mode: leq, elsewhere: true}, false},
		"lists of other lengths than said": {chain{missing: []int64{1}, mode: leq}, false},
	} {
		all := exports.Doubts(c.model(), false)
		if len(all) > 0 != c.doubted || c.doubted && !strings.Contains(all[0], "which lose the categories") {
			t.Errorf("%s: %q", name, all)
		}
	}
}
