package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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
	var slots []slot
	var values []float64
	for _, thresholds := range boundsOf() {
		for _, mode := range []Mode{BranchLEQ, BranchLT, BranchEQ} {
			f := &forest{features: 1}
			for _, v := range thresholds {
				f.nodes = append(f.nodes, node{mode: mode, value: v})
			}
			f.nodes[0].missingTrue = true // so that NaN has a cell
			a := f.axes()[0]
			slots = append(slots, slot{axis: a}, slot{axis: a, nanFirst: true})
		}
		values = append(values, probes(thresholds)...)
	}
	checkFinder[float32](t, slots, values)
	checkFinder[float64](t, slots, values)
}

// Of the buckets that are not too many, those are taken that are the widest with
// one bound each.
func TestBucketsAreAsWideAsTheyMayBe(t *testing.T) {
	alone := 0
	for name, thresholds := range boundsOf() {
		f := &forest{features: 1}
		for _, v := range thresholds {
			f.nodes = append(f.nodes, node{mode: BranchLEQ, value: v})
		}
		a := f.axes()[0]
		a.bounds = a.bounds[:a.n]
		widest := -1
		for shift := uint(63); widest < 0; shift-- {
			if a.occupancy(shift) <= 1 {
				widest = int(shift)
			}
			if shift == 0 || a.width>>(shift-1) > uint64(max(1024, 8*a.n)) {
				break
			}
		}
		if widest >= 0 {
			alone++
		}
		if one := a.steps == 1 && a.occupancy(a.shift) <= 1; one != (widest >= 0) || one && int(a.shift) != widest {
			t.Errorf("%s: a shift of %d with %d bounds in a bucket, and the widest with one is %d", name, a.shift, a.steps, widest)
		}
	}
	if alone == 0 || alone == len(boundsOf()) {
		t.Errorf("%d of %d axes have buckets of one bound", alone, len(boundsOf()))
	}
}

func checkFinder[T float](t *testing.T, slots []slot, values []float64) {
	t.Helper()
	f := newFinder[T](slots)
	if n := len(f.crowded); n == 0 || n == len(slots) {
		t.Errorf("%T: %d of %d columns are crowded", f, n, len(slots))
	}
	cells := make([]uint32, len(slots))
	for _, v := range values {
		x := T(v)
		f.cells([]T{x}, cells)
		for i := range slots {
			if want := cellOf(&slots[i], float64(x)); cells[i] != want {
				t.Fatalf("%T: the cell of %v in slot %d is %d, want %d", f, x, i, cells[i], want)
			}
		}
		again := slices.Clone(cells)
		f.search([]T{x}, cells)
		f.searchGo([]T{x}, again)
		if !slices.Equal(cells, again) {
			t.Fatalf("%T: the cells of %v are %d by instructions, and %d", f, x, cells, again)
		}
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

// BenchmarkCells finds the cells of rows of 50 features, each of which has some
// thresholds, by the buckets of their orders and by the finder.
func BenchmarkCells(b *testing.B) {
	const features, rows = 50, 256
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, rows*features)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for _, thresholds := range []int{200, 6000} {
		slots := make([]slot, features)
		for i := range slots {
			f := &forest{features: i + 1}
			for range thresholds {
				f.nodes = append(f.nodes, node{mode: BranchLEQ, feature: int32(i), value: float64(float32(r.NormFloat64()))})
			}
			slots[i].axis = f.axes()[0]
		}
		f, cells := newFinder[float32](slots), make([]uint32, features)
		b.Run(fmt.Sprintf("%d/axes", thresholds), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				row := x[n%rows*features:][:features]
				for i := range slots {
					cells[i] = place(slots[i].axis.cell(float64(row[i])))
				}
			}
		})
		b.Run(fmt.Sprintf("%d/finder", thresholds), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				f.cells(x[n%rows*features:][:features], cells)
			}
		})
		b.Run(fmt.Sprintf("%d/Go", thresholds), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				f.searchGo(x[n%rows*features:][:features], cells)
			}
		})
	}
}
