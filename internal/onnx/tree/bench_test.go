package tree

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
)

type irisFile struct {
	TreeIDs     []int64   `json:"tree_ids"`
	NodeIDs     []int64   `json:"node_ids"`
	FeatureIDs  []int64   `json:"feature_ids"`
	TrueIDs     []int64   `json:"true_ids"`
	FalseIDs    []int64   `json:"false_ids"`
	Modes       []int     `json:"modes"`
	Values      []float32 `json:"values"`
	VoteTreeIDs []int64   `json:"vote_tree_ids"`
	VoteNodeIDs []int64   `json:"vote_node_ids"`
	VoteTargets []int64   `json:"vote_targets"`
	VoteWeights []float32 `json:"vote_weights"`
}

// iris returns a scikit-learn random forest of 100 trees, trained on the iris
// data: 4 features, 3 classes.
func iris(tb testing.TB) Attributes {
	tb.Helper()
	data, err := os.ReadFile("testdata/iris.json")
	if err != nil {
		tb.Fatal(err)
	}
	var f irisFile
	if err := json.Unmarshal(data, &f); err != nil {
		tb.Fatal(err)
	}
	a := Attributes{
		Classifier: true, Targets: 3,
		TreeIDs: f.TreeIDs, NodeIDs: f.NodeIDs, FeatureIDs: f.FeatureIDs, TrueIDs: f.TrueIDs, FalseIDs: f.FalseIDs,
		Values: f.Values, VoteTreeIDs: f.VoteTreeIDs, VoteNodeIDs: f.VoteNodeIDs, VoteTargets: f.VoteTargets,
		VoteWeights: f.VoteWeights,
	}
	for _, m := range f.Modes {
		a.Modes = append(a.Modes, Mode(m))
	}
	return a
}

// irisRows returns rows of the range and the precision of flowers.
func irisRows(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	low, high := [4]float32{4.3, 2, 1, 0.1}, [4]float32{7.9, 4.4, 6.9, 2.5}
	x := make([]float32, 0, 4*n)
	for range n {
		for f := range 4 {
			v := low[f] + rng.Float32()*(high[f]-low[f])
			x = append(x, float32(int(v*10))/10)
		}
	}
	return x
}

func BenchmarkCompileIris(b *testing.B) {
	for name, a := range map[string]Attributes{"pure": iris(b), "impure": impure(b)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := Compile(a)
				if err != nil {
					b.Fatal(err)
				}
				if _, ok := e.single.layout.(*diagram[float32]); !ok {
					b.Fatal("iris is no diagram")
				}
			}
		})
	}
}

// forestOf returns a regressor of grown trees: thresholds halve a feature's
// remaining range, as of trained trees, with some noise.
func forestOf(trees, depth, features int, keep float64) Attributes {
	rng := rand.New(rand.NewPCG(3, 4))
	a := Attributes{Targets: 1, Aggregate: Sum}
	var grow func(tree int64, d int, low, high []float32) int64
	next := int64(0)
	grow = func(tree int64, d int, low, high []float32) int64 {
		i, id := len(a.Modes), next
		next++
		leaf := d == depth || d > depth/2 && rng.Float64() > keep
		mode := BranchLEQ
		if leaf {
			mode = Leaf
		}
		f := rng.IntN(features)
		v := low[f] + (high[f]-low[f])*(0.3+0.4*rng.Float32())
		a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, tree), append(a.NodeIDs, id), append(a.Modes, mode)
		a.FeatureIDs, a.Values = append(a.FeatureIDs, int64(f)), append(a.Values, v)
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 0), append(a.FalseIDs, 0)
		if leaf {
			a.VoteTreeIDs, a.VoteNodeIDs = append(a.VoteTreeIDs, tree), append(a.VoteNodeIDs, id)
			a.VoteTargets, a.VoteWeights = append(a.VoteTargets, 0), append(a.VoteWeights, rng.Float32())
			return id
		}
		lo, hi := low[f], high[f]
		high[f] = v
		a.TrueIDs[i] = grow(tree, d+1, low, high)
		high[f], low[f] = hi, v
		a.FalseIDs[i] = grow(tree, d+1, low, high)
		low[f] = lo
		return id
	}
	for t := range trees {
		low, high := make([]float32, features), make([]float32, features)
		for i := range high {
			high[i] = 1
		}
		next = 0
		grow(int64(t), 0, low, high)
	}
	return a
}

func randomRows(n, cols int) []float32 {
	rng := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = rng.Float32()
	}
	return x
}
