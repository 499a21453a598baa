package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The walks of walk_amd64.s are those of their definitions in Go, from any place,
// for any words.
func TestWalksByInstructionsAreTheWalks(t *testing.T) {
	const (
		places, slots, cells = 400, 5, 16
		shift                = 4 + gap // of a slot above the cell
	)
	r := rand.New(rand.NewPCG(1, 2))
	nodes := make([]step, places)
	for i := range nodes {
		nodes[i] = step(r.IntN(places-1))<<32 | step(r.IntN(slots))<<shift | step(r.IntN(cells))
	}
	words := make([]uint32, 4*slots*lanes)
	for i := range words {
		words[i] = uint32(i/lanes%slots)<<shift | uint32(r.IntN(cells))
	}
	for depth := range 20 {
		for _, rows := range []int{lanes, 4 * lanes, lanes + 1} {
			root := uint32(r.IntN(places))
			got, want := make([]uint32, rows), make([]uint32, rows)
			size := slots * lanes
			walkApart(nodes, words, shift-gap, root, depth, size, got)
			walkApartGo(nodes, words, shift-gap, root, depth, size, want)
			if !slices.Equal(got, want) {
				t.Fatalf("depth %d, %d rows: %v, want %v", depth, rows, got, want)
			}
		}
	}
	one := make([]uint32, slots)
	for i := range one {
		one[i] = words[i*lanes]
	}
	for _, n := range []int{1, 4, 32} {
		got := make([]uint32, n)
		for i := range got {
			got[i] = uint32(r.IntN(places))
		}
		want := slices.Clone(got)
		for range 20 {
			stepTogether(nodes, one, shift, got)
			stepTogetherGo(nodes, one, shift, want)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d walks: %v, want %v", n, got, want)
		}
	}
}

// A forest that no cache holds is walked a part at a time.
func TestForestsOfSeveralPartsAgreeWithThePlainWalk(t *testing.T) {
	a := forestOf(60, 11, 20, 1)
	f, err := build(&a)
	if err != nil {
		t.Fatal(err)
	}
	o := &options{targets: a.Targets, base: a.Base, aggregate: a.Aggregate, transform: a.Transform}
	finish := newFinisher[float32](f, o)
	s := newSteps[float32](f, o, finish, f.axes())
	if len(s.parts) < 2 {
		t.Fatalf("%d parts of %d nodes", len(s.parts), s.places)
	}
	const rows = 150 // more than a chunk, and some left over
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, rows*f.features)
	for i := range x {
		x[i] = r.Float32()*2 - 1
	}
	got, want := make([]float32, rows*a.Targets), make([]float32, rows*a.Targets)
	s.run(x, f.features, got, nil)
	newWalks[float32](f, o, finish).run(x, f.features, want, nil)
	if !slices.Equal(got, want) {
		t.Error("the scores differ")
	}
	for i := range rows { // alone
		s.run(x[i*f.features:(i+1)*f.features], f.features, got[i*a.Targets:(i+1)*a.Targets], nil)
	}
	if !slices.Equal(got, want) {
		t.Error("the scores of single rows differ")
	}
}
