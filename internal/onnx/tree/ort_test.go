package tree_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"onnxgate/internal/onnx/tree"
)

// number is a float that JSON cannot always hold: "nan", "inf", "-inf", null.
type number float64

func (n *number) UnmarshalJSON(data []byte) error {
	s := string(data)
	if s == "null" {
		*n = number(math.NaN())
		return nil
	}
	if u, err := strconv.Unquote(s); err == nil {
		s = u
	}
	f, err := strconv.ParseFloat(s, 64)
	*n = number(f)
	return err
}

func floats(ns []number) []float64 {
	out := make([]float64, len(ns))
	for i, n := range ns {
		out[i] = float64(n)
	}
	return out
}

func singles(ns []number) []float32 {
	out := make([]float32, len(ns))
	for i, n := range ns {
		out[i] = float32(n)
	}
	return out
}

// ortCase is one entry of testdata/ort.json, which testdata/generate.py writes.
type ortCase struct {
	Op          string   `json:"op"`
	Classifier  bool     `json:"classifier"`
	Targets     int      `json:"targets"`
	Transform   string   `json:"transform"`
	Aggregate   string   `json:"aggregate"`
	Base        []number `json:"base"`
	Double      bool     `json:"double"`
	TreeIDs     []int64  `json:"tree_ids"`
	NodeIDs     []int64  `json:"node_ids"`
	FeatureIDs  []int64  `json:"feature_ids"`
	Modes       []string `json:"modes"`
	TrueIDs     []int64  `json:"true_ids"`
	FalseIDs    []int64  `json:"false_ids"`
	Missing     []int64  `json:"missing"`
	Values      []number `json:"values"`
	VoteTreeIDs []int64  `json:"vote_tree_ids"`
	VoteNodeIDs []int64  `json:"vote_node_ids"`
	VoteTargets []int64  `json:"vote_targets"`
	VoteWeights []number `json:"vote_weights"`
	V5Transform uint8    `json:"v5_transform"`
	V5Aggregate uint8    `json:"v5_aggregate"`
	V5Modes     []int    `json:"v5_modes"`
	Roots       []int64  `json:"roots"`
	TrueLeafs   []int64  `json:"true_leafs"`
	FalseLeafs  []int64  `json:"false_leafs"`
	LeafTargets []int64  `json:"leaf_targets"`
	LeafWeights []number `json:"leaf_weights"`
	Members     []number `json:"members"`
	X           []number `json:"x"`
	Scores      []number `json:"scores"`
	Labels      []int32  `json:"labels"`
}

func (c *ortCase) compile(t *testing.T) *tree.Ensemble {
	t.Helper()
	var e *tree.Ensemble
	var err error
	if c.Op == "TreeEnsemble" {
		a := tree.AttributesV5{
			Targets: c.Targets, Double: c.Double, Aggregate: tree.Aggregate(c.V5Aggregate), Transform: tree.Transform(c.V5Transform),
			Roots: c.Roots, FeatureIDs: c.FeatureIDs, Splits: floats(c.Values), TrueIDs: c.TrueIDs, FalseIDs: c.FalseIDs,
			TrueLeafs: c.TrueLeafs, FalseLeafs: c.FalseLeafs, MissingTrue: c.Missing, LeafTargets: c.LeafTargets,
			LeafWeights: floats(c.LeafWeights), Members: floats(c.Members),
		}
		for _, m := range c.V5Modes {
			a.Modes = append(a.Modes, tree.Mode(m))
		}
		e, err = tree.CompileV5(a)
	} else {
		e, err = tree.Compile(c.attributes(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (c *ortCase) attributes(t *testing.T) tree.Attributes {
	t.Helper()
	a := tree.Attributes{
		Classifier: c.Classifier, Targets: c.Targets, TreeIDs: c.TreeIDs, NodeIDs: c.NodeIDs, FeatureIDs: c.FeatureIDs,
		TrueIDs: c.TrueIDs, FalseIDs: c.FalseIDs, MissingTrue: c.Missing, Base: floats(c.Base),
		VoteTreeIDs: c.VoteTreeIDs, VoteNodeIDs: c.VoteNodeIDs, VoteTargets: c.VoteTargets,
	}
	if c.Double {
		a.ValuesDouble, a.VoteWeightsDouble = floats(c.Values), floats(c.VoteWeights)
	} else {
		a.Values, a.VoteWeights = singles(c.Values), singles(c.VoteWeights)
	}
	var err error
	if a.Transform, err = tree.ParseTransform(c.Transform); err != nil {
		t.Fatal(err)
	}
	if a.Aggregate, err = tree.ParseAggregate(c.Aggregate); err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Modes {
		m, err := tree.ParseMode(name)
		if err != nil {
			t.Fatal(err)
		}
		a.Modes = append(a.Modes, m)
	}
	return a
}

func TestScoresAndLabelsAreThoseOfONNXRuntime(t *testing.T) {
	data, err := os.ReadFile("testdata/ort.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []ortCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		name := fmt.Sprintf("%d %s transform %s%d aggregate %s%d base %v", i, c.Op, c.Transform, c.V5Transform, c.Aggregate, c.V5Aggregate, c.Base)
		t.Run(name, func(t *testing.T) { c.check(t) })
	}
}

func (c *ortCase) check(t *testing.T) {
	t.Helper()
	e := c.compile(t)
	rows := len(c.Scores) / c.Targets
	got, labels := make([]float64, len(c.Scores)), make([]int32, rows)
	if c.Double {
		if err := e.RunDouble(t.Context(), floats(c.X), rows, got, labels); err != nil {
			t.Fatal(err)
		}
	} else {
		out := make([]float32, len(c.Scores))
		if err := e.Run(t.Context(), singles(c.X), rows, out, labels); err != nil {
			t.Fatal(err)
		}
		for i, s := range out {
			got[i] = float64(s)
		}
	}
	for i, w := range floats(c.Scores) {
		same := got[i] == w || math.IsNaN(got[i]) && math.IsNaN(w)
		if !same && !(math.Abs(got[i]-w) <= 1e-6*max(1, math.Abs(w))) {
			t.Errorf("row %d: score %d is %v, want %v", i/c.Targets, i%c.Targets, got[i], w)
		}
	}
	for r, w := range c.Labels {
		if labels[r] != w {
			t.Errorf("row %d: label %d, want %d (scores %v)", r, labels[r], w, c.Scores[r*c.Targets:(r+1)*c.Targets])
		}
	}
}
