package tree

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkDirect measures walks that compare values beside the layout that a
// forest would have otherwise, and how much longer than the faster one the pick
// takes.
func BenchmarkDirect(b *testing.B) {
	for _, features := range []int{4, 10, 50} {
		for _, c := range []struct {
			name string
			a    Attributes
		}{
			{"1tree_8leaves", leafWise(1, 8, features)},
			{"1tree_100leaves", leafWise(1, 100, features)},
			{"1tree_1000leaves", leafWise(1, 1000, features)},
			{"5trees_depth4", forestOf(5, 4, features, 1)},
			{"10trees_depth6", forestOf(10, 6, features, 0.9)},
			{"30trees_depth6", forestOf(30, 6, features, 0.9)},
			{"100trees_depth3", forestOf(100, 3, features, 1)},
		} {
			for _, rows := range []int{1, 16, 1000} {
				b.Run(fmt.Sprintf("%dfeatures/%s/%d", features, c.name, rows), func(b *testing.B) { pickDirect(b, &c.a, rows) })
			}
		}
	}
}

func pickDirect(b *testing.B, a *Attributes, rows int) {
	b.Helper()
	f, err := build(a)
	if err != nil {
		b.Fatal(err)
	}
	o := &options{targets: a.Targets}
	finish := newFinisher[float32](f, o)
	axes := f.axes()
	cols := f.features
	values := newDirect[float32](f, o, finish, maxSmall)
	cells, _ := newByCells[float32](f, o, finish, axes)
	if cells == nil {
		cells = newSteps[float32](f, o, finish, axes)
	}
	picked, _ := newLayout[float32](f, o, finish, 1)
	ring := max(1, 4096/rows)
	x, scores := randomRows(rows*ring, cols), make([]float32, rows)
	var took [3][]float64
	for call := 0; b.Loop(); {
		for i, l := range []layout[float32]{values, cells, picked} {
			calls := max(1, 256/rows)
			start := time.Now()
			for range calls {
				l.run(x[call%ring*rows*cols:][:rows*cols], cols, scores, nil)
				call++
			}
			took[i] = append(took[i], float64(time.Since(start))/float64(calls*rows))
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	at := len(took[0]) / 4
	b.ReportMetric(took[0][at], "values-ns/row")
	b.ReportMetric(took[1][at], "cells-ns/row")
	b.ReportMetric(took[2][at]/min(took[0][at], took[1][at]), "x-faster")
	b.ReportMetric(0, "ns/op")
}
