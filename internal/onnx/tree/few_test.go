package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// leafWise returns a regressor of trees that are grown a leaf at a time, the way
// LightGBM does: deep here and shallow there.
func leafWise(trees, leaves, features int) Attributes {
	type open struct {
		node      int
		low, high []float32
	}
	rng := rand.New(rand.NewPCG(5, 6))
	g := grower{a: Attributes{Targets: 1, Aggregate: Sum}}
	for range trees {
		low, high := make([]float32, features), make([]float32, features)
		for i := range high {
			high[i] = 1
		}
		all := []open{{g.node(Leaf, 0, 0), low, high}}
		for len(all) < leaves {
			at := rng.IntN(len(all))
			o := all[at]
			f := rng.IntN(features)
			v := o.low[f] + (o.high[f]-o.low[f])*(0.1+0.8*rng.Float32())
			yes, no := g.node(Leaf, 0, 0), g.node(Leaf, 0, 0)
			g.a.Modes[o.node], g.a.FeatureIDs[o.node], g.a.Values[o.node] = BranchLEQ, int64(f), v
			g.link(o.node, yes, no)
			below, above := slices.Clone(o.high), slices.Clone(o.low)
			below[f], above[f] = v, v
			all[at] = open{yes, o.low, below}
			all = append(all, open{no, above, o.high})
		}
		for _, o := range all {
			g.a.VoteTreeIDs, g.a.VoteNodeIDs = append(g.a.VoteTreeIDs, g.tree), append(g.a.VoteNodeIDs, g.a.NodeIDs[o.node])
			g.a.VoteTargets, g.a.VoteWeights = append(g.a.VoteTargets, 0), append(g.a.VoteWeights, rng.Float32())
		}
		g.end()
	}
	return g.a
}

// Walks that take longer than most end where the others do.
func TestFewRowsOfUnevenTreesAgreeWithThePlainWalk(t *testing.T) {
	for name, a := range map[string]Attributes{
		"leaves one by one": leafWise(70, 63, 20),
		"chains":            chainOf(12_000, 3),
		"one tree":          leafWise(1, 200, 20),
	} {
		s, w, cols := forestSteps(t, &a)
		if !s.groups[0].more {
			t.Errorf("%s: all walks end together", name)
		}
		const rows = 5
		x := randomRows(rows, cols)
		for i := range x {
			if a.Values[0] == 0 {
				x[i] *= 13_000 // as far as the chains go
			}
		}
		got, want := make([]float32, rows), make([]float32, rows)
		w.run(x, cols, want, nil)
		for _, wide := range []bool{false, true} {
			if wide {
				f, err := build(&a)
				if err != nil {
					t.Fatal(err)
				}
				s.widen(f, f.axes())
			}
			s.run(x, cols, got, nil)
			if !slices.Equal(got, want) {
				t.Errorf("%s, wide %v: %v, want %v", name, wide, got, want)
			}
		}
	}
}

// BenchmarkFew measures both ways of walking few rows, through several trees at
// once and several rows at once, and how much longer than the faster one the pick
// takes.
func BenchmarkFew(b *testing.B) {
	for _, c := range []struct {
		name string
		a    Attributes
	}{
		{"1000trees_depth6", forestOf(1000, 6, 50, 0.5)},
		{"500trees_depth6", forestOf(500, 6, 50, 1)},
		{"500trees_depth8", forestOf(500, 8, 50, 0.9)},
		{"1000trees_depth10", forestOf(1000, 10, 50, 0.8)},
		{"500trees_depth12", forestOf(500, 12, 50, 0.75)},
		{"100trees_depth15", forestOf(100, 15, 50, 0.8)},
		{"500trees_63uneven", leafWise(500, 63, 50)},
		{"500trees_255uneven", leafWise(500, 255, 50)},
		{"300trees_2000uneven", leafWise(300, 2000, 50)},
	} {
		for _, rows := range []int{1, 8, 16, 32} {
			b.Run(fmt.Sprintf("%s/%d", c.name, rows), func(b *testing.B) { pickFew(b, &c.a, rows) })
		}
	}
}

func pickFew(b *testing.B, a *Attributes, rows int) {
	b.Helper()
	s, _, cols := forestSteps(b, a)
	picked := s.apart
	s.scans = nil
	const calls, ring = 5, 256 // of 256 other calls: no way meets rows that another has just walked
	x, scores := randomRows(rows*ring, cols), make([]float32, rows)
	var took [3][]float64 // trees at once, rows at once, as picked
	for call := 0; b.Loop(); {
		for i, apart := range []int{rows + 1, lanes, picked} {
			s.apart = apart
			start := time.Now()
			for range calls {
				s.run(x[call%ring*rows*cols:][:rows*cols], cols, scores, nil)
				call++
			}
			took[i] = append(took[i], float64(time.Since(start))/float64(calls*rows))
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	at := len(took[0]) / 4
	trees, apart, pick := took[0][at], took[1][at], took[2][at]
	b.ReportMetric(trees, "trees-ns/row")
	b.ReportMetric(apart, "rows-ns/row")
	b.ReportMetric(pick/min(trees, apart), "x-faster")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(s.places*4)/(1<<20), "MiB")
}
