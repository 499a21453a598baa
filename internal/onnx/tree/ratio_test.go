package tree

import (
	"slices"
	"testing"
	"time"
)

// ratio alternates chunks of the naive walk and of the engine, so that what
// else the machine does meets both, and reports their median times a row and
// the median of their ratios.
func ratio(b *testing.B, a *Attributes, x []float32, cols, batch int) {
	b.Helper()
	e, err := Compile(*a)
	if err != nil {
		b.Fatal(err)
	}
	m := newNaive(a)
	rows := len(x) / cols
	scores, labels := make([]float32, batch*a.Targets), make([]int32, batch)
	ctx := b.Context()
	var naives, engines, ratios []float64
	for b.Loop() {
		start := time.Now()
		for r := 0; r+batch <= rows; r += batch {
			m.run(x[cols*r:cols*(r+batch)], cols, scores, labels)
		}
		middle := time.Now()
		for r := 0; r+batch <= rows; r += batch {
			if err := e.Run(ctx, x[cols*r:cols*(r+batch)], batch, scores, labels); err != nil {
				b.Fatal(err)
			}
		}
		engine := float64(time.Since(middle)) / float64(rows)
		naive := float64(middle.Sub(start)) / float64(rows)
		naives, engines, ratios = append(naives, naive), append(engines, engine), append(ratios, engine/naive)
	}
	for _, s := range [][]float64{naives, engines, ratios} {
		slices.Sort(s)
	}
	b.ReportMetric(naives[len(naives)/2], "naive-ns/row")
	b.ReportMetric(engines[len(engines)/2], "engine-ns/row")
	b.ReportMetric(ratios[len(ratios)/2], "x-naive")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkIrisRatio(b *testing.B) {
	a := iris(b)
	b.Run("1", func(b *testing.B) { ratio(b, &a, irisRows(2048), 4, 1) })
	b.Run("1000", func(b *testing.B) { ratio(b, &a, irisRows(2000), 4, 1000) })
}

func BenchmarkForestRatio(b *testing.B) {
	for _, c := range []struct {
		name                   string
		trees, depth, features int
		keep                   float64
	}{
		{"100trees_32leaves", 100, 5, 10, 1},
		{"500trees_64leaves", 500, 6, 20, 1},
		{"500trees_depth10", 500, 10, 20, 0.8},
		{"50trees_depth20", 50, 20, 20, 0.7},
	} {
		a := forestOf(c.trees, c.depth, c.features, c.keep)
		x := randomRows(512, c.features)
		b.Run(c.name+"/1", func(b *testing.B) { ratio(b, &a, x, c.features, 1) })
		b.Run(c.name+"/512", func(b *testing.B) { ratio(b, &a, x, c.features, 512) })
	}
}
