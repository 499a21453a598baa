package tree

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

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
	} {
		for _, rows := range []int{8, 16, 32, 64} {
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
