package tree

import (
	"math"
	"math/rand/v2"
	"testing"
)

// boundsOf returns thresholds as features have them: near and far, many and few.
func boundsOf() map[string][]float64 {
	r := rand.New(rand.NewPCG(7, 8))
	normal, log, crowd := make([]float64, 3000), make([]float64, 500), []float64{-1e30, 1e30}
	for i := range normal {
		normal[i] = float64(float32(r.NormFloat64()))
	}
	for i := range log {
		log[i] = math.Exp(200*r.Float64() - 100)
	}
	for i := range 100 {
		crowd = append(crowd, float64(i)) // in one bucket
	}
	return map[string][]float64{
		"normal": normal, "of all sizes": log, "in a crowd": crowd, "one": {3}, "zeros": {0, math.Copysign(0, -1)},
		"ends":    {math.Inf(-1), -math.MaxFloat64, -math.MaxFloat32, math.MaxFloat32, math.MaxFloat64, math.Inf(1)},
		"nearest": {0, math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64},
		"doubles": {0.1, math.Nextafter(0.1, 1), 0.2, 1e300, -1e300, 1e-300},
	}
}

// The cell of any value is the number of bounds below it.
func TestFindersFindTheCellsOfTheirAxes(t *testing.T) {
	windows := map[bool]int{}
	for name, values := range boundsOf() {
		for _, mode := range []Mode{BranchLEQ, BranchLT, BranchEQ} {
			f := &forest{features: 1}
			for _, v := range values {
				f.nodes = append(f.nodes, node{mode: mode, value: v})
			}
			f.nodes[0].missingTrue = true // so that NaN has a cell
			all := f.axes()
			for _, first := range []bool{false, true} {
				s := &slot{axis: all[0], nanFirst: first}
				single, double := newFinder[float32](s), newFinder[float64](s)
				windows[single.window > 0]++
				for _, x := range probes(values) {
					if got, want := double.cell(x), cellOf(s, x); got != want {
						t.Fatalf("%s, %v: the cell of %v is %d, want %d", name, mode, x, got, want)
					}
					x32 := float32(x)
					if got, want := single.cell(x32), cellOf(s, float64(x32)); got != want {
						t.Fatalf("%s, %v: the cell of float32 %v is %d, want %d", name, mode, x32, got, want)
					}
				}
			}
		}
	}
	if windows[true] == 0 || windows[false] == 0 {
		t.Errorf("no axis of equal buckets, or none without: %v", windows)
	}
}

// cellOf is the definition of a slot's cells.
func cellOf(s *slot, x float64) uint32 {
	a := &s.axis
	switch {
	case x != x && s.nanFirst:
		return 0
	case x != x:
		return place(a.nan)
	}
	c := uint32(0)
	if s.nanFirst {
		c = 1
	}
	for _, k := range a.bounds[:a.n] {
		if k < order(x) {
			c++
		}
	}
	return c
}

func BenchmarkFinder(b *testing.B) {
	f := &forest{features: 1}
	for _, v := range boundsOf()["normal"] {
		f.nodes = append(f.nodes, node{mode: BranchLEQ, value: v})
	}
	a := f.axes()[0]
	find := newFinder[float32](&slot{axis: a})
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, 1<<12)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	b.Run("axis", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			a.cell(float64(x[i%len(x)]))
		}
	})
	b.Run("finder", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			find.cell(x[i%len(x)])
		}
	})
}
