package tree

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkMasksOrSteps measures both layouts of middling forests, and how much
// longer than the faster one the pick takes.
func BenchmarkMasksOrSteps(b *testing.B) {
	for _, c := range []struct{ trees, depth, features int }{
		{100, 3, 4}, {100, 4, 8}, {100, 5, 10}, {200, 4, 20}, {500, 3, 10}, {500, 6, 6}, {300, 5, 20}, {50, 6, 5}, {100, 6, 12}, {30, 6, 30}, {300, 2, 20},
	} {
		a := forestOf(c.trees, c.depth, c.features, 1)
		for _, rows := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%d trees depth %d features %d rows %d", c.trees, c.depth, c.features, rows), func(b *testing.B) {
				f, err := build(&a)
				if err != nil {
					b.Fatal(err)
				}
				o := &options{targets: a.Targets, base: a.Base, aggregate: a.Aggregate, transform: a.Transform}
				finish := newFinisher[float32](f, o)
				axes := f.axes()
				m, s := newMasks[float32](f, o, finish, axes), newSteps[float32](f, o, finish, axes)
				if m == nil {
					b.Skip("no masks")
				}
				ways := []layout[float32]{m, s, mix(m, s)}
				cols, ring := f.features, 512
				x, scores := randomRows(rows*ring, cols), make([]float32, rows)
				var took [3][]float64
				calls := max(1, 64/rows)
				for call := 0; b.Loop(); {
					for i, w := range ways {
						start := time.Now()
						for range calls {
							w.run(x[call%ring*rows*cols:][:rows*cols], cols, scores, nil)
							call++
						}
						took[i] = append(took[i], float64(time.Since(start))/float64(calls*rows))
					}
				}
				for i := range took {
					slices.Sort(took[i])
				}
				at := len(took[0]) / 4
				b.ReportMetric(took[0][at], "masks-ns/row")
				b.ReportMetric(took[1][at], "steps-ns/row")
				b.ReportMetric(took[2][at]/min(took[0][at], took[1][at]), "x-faster")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
