package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The loop of walk_amd64.s is scanTreeGo, for any branches.
func TestScansByVectorsAreTheScans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const slots = 5
	columns := make([]uint8, slots*scanRows)
	for i := range columns {
		columns[i] = uint8(r.Uint32())
	}
	for _, n := range []int{0, 1, 2, 31, 255} {
		branches := make([]scanBranch, n)
		for i := range branches {
			branches[i] = newScanBranch(place(r.IntN(slots))*scanRows, r.IntN(256), r.IntN(3), r.IntN(3))
		}
		got, want := [scanRows]uint8{7}, [scanRows]uint8{9} // of a tree before
		scanTree(branches, columns, &got)
		scanTreeGo(branches, columns, &want)
		if got != want {
			t.Fatalf("%d branches: %v, want %v", n, got, want)
		}
	}
}

// forestSteps returns the steps of a forest and its plain walks.
func forestSteps(tb testing.TB, a *Attributes) (s *steps[float32], w *walks[float32], features int) {
	tb.Helper()
	f, err := build(a)
	if err != nil {
		tb.Fatal(err)
	}
	o := &options{targets: a.Targets, base: a.Base, aggregate: a.Aggregate, transform: a.Transform}
	finish := newFinisher[float32](f, o)
	return newSteps[float32](f, o, finish, f.axes()), newWalks[float32](f, o, finish), f.features
}

// coarse rounds the thresholds of a forest to some values of each feature, as
// boosters do.
func coarse(a Attributes, values int) Attributes {
	a.Values = slices.Clone(a.Values)
	for i, v := range a.Values {
		a.Values[i] = (float32(int(v*float32(values))) + 0.5) / float32(values)
	}
	return a
}

func TestBlocksOfAnyLengthAgreeWithThePlainWalk(t *testing.T) {
	for _, values := range []int{20, 255, 256, 257, 1 << 20} {
		blocksAgree(t, coarse(forestOf(50, 7, 6, 0.9), values))
	}
}

func blocksAgree(t *testing.T, a Attributes) {
	t.Helper()
	s, w, cols := forestSteps(t, &a)
	if s.scans = newScans(s); s.scans == nil {
		t.Fatal("the forest is not scanned")
	}
	s.scans.least = 30
	for _, rows := range []int{1, 29, 30, scanRows - 1, scanRows, scanRows + 1, 2*scanRows + 50} {
		x := randomRows(rows, cols)
		for i := 0; i < len(x); i += 7 {
			x[i] = []float32{-1, 2, a.Values[i%len(a.Values)]}[i%3]
		}
		got, want := make([]float32, rows), make([]float32, rows)
		s.run(x, cols, got, nil)
		w.run(x, cols, want, nil)
		if !slices.Equal(got, want) {
			t.Errorf("%d cells, %d rows: the scores differ", s.find.slots[0].axis.cells(), rows)
		}
	}
}

func TestOnlySmallNumbersAreScanned(t *testing.T) {
	for name, c := range map[string]struct {
		a    Attributes
		want bool
	}{
		"as many cells as a byte has":       {coarse(forestOf(60, 6, 6, 1), 254), true},
		"more cells":                        {coarse(forestOf(300, 6, 6, 1), 600), true},
		"too many cells":                    {forestOf(20_000, 4, 1, 1), false},
		"as many leaves as a byte has":      {coarse(forestOf(20, 8, 6, 1), 100), true},
		"a tree of more leaves":             {coarse(forestOf(20, 9, 6, 1), 100), false},
		"a tree of one leaf among the rest": {coarse(forestOf(20, 4, 6, 0.1), 100), true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := forestSteps(t, &c.a)
			if got := newScans(s) != nil; got != c.want {
				t.Errorf("scanned: %v, want %v", got, c.want)
			}
		})
	}
}

// BenchmarkBlocks measures both ways of taking many rows through a forest, and
// how much longer than the faster one the pick takes.
func BenchmarkBlocks(b *testing.B) {
	for _, c := range []struct {
		name string
		a    Attributes
	}{
		{"1000trees_depth6", coarse(forestOf(1000, 6, 50, 0.5), 200)},
		{"500trees_64leaves", coarse(forestOf(500, 6, 50, 1), 200)},
		{"300trees_256leaves", coarse(forestOf(300, 8, 50, 1), 200)},
		{"500trees_160leaves_fine", forestOf(500, 8, 50, 0.7)},
		{"1000trees_40leaves_fine", forestOf(1000, 6, 50, 0.7)},
	} {
		for _, rows := range []int{64, 256, 1000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, rows), func(b *testing.B) { pick(b, &c.a, rows) })
		}
	}
}

func pick(b *testing.B, a *Attributes, rows int) {
	b.Helper()
	s, _, cols := forestSteps(b, a)
	picked := s.scans
	always := newScans(s)
	if always == nil {
		b.Fatal("its numbers are not small")
	}
	always.least, s.scans = 1, always
	x, scores := randomRows(8*rows, cols), make([]float32, rows)
	ways := []*scans[float32]{always, nil, picked}
	times := make([][]float64, len(ways))
	for i := 0; b.Loop(); i++ {
		for w, c := range ways {
			s.scans = c
			start := time.Now()
			s.run(x[i%8*rows*cols:][:rows*cols], cols, scores, nil)
			times[w] = append(times[w], float64(time.Since(start))/float64(rows))
		}
	}
	var medians [3]float64
	for w := range times {
		slices.Sort(times[w])
		medians[w] = times[w][len(times[w])/2]
	}
	b.ReportMetric(medians[0], "scans-ns/row")
	b.ReportMetric(medians[1], "steps-ns/row")
	b.ReportMetric(medians[2]/min(medians[0], medians[1]), "x-faster")
	b.ReportMetric(0, "ns/op")
}
