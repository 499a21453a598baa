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

func BenchmarkIrisOneRow(b *testing.B) {
	a := iris(b)
	e, err := Compile(a)
	if err != nil {
		b.Fatal(err)
	}
	m := newNaive(&a)
	const rows = 4096
	x := irisRows(rows)
	scores, labels := make([]float32, 3), make([]int32, 1)
	b.Run("naive", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			r := i % rows
			m.run(x[4*r:4*r+4], 4, scores, labels)
		}
	})
	b.Run("engine", func(b *testing.B) {
		b.ReportAllocs()
		ctx := b.Context()
		for i := 0; b.Loop(); i++ {
			r := i % rows
			if err := e.Run(ctx, x[4*r:4*r+4], 1, scores, labels); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCompileIris(b *testing.B) {
	a := iris(b)
	for b.Loop() {
		e, err := Compile(a)
		if err != nil {
			b.Fatal(err)
		}
		d := e.single.layout.(*diagram[float32])
		b.ReportMetric(float64(len(d.next)), "entries")
		b.ReportMetric(float64(len(d.labels)), "results")
	}
}
