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

// The walks through small nodes are those of their definitions too, from any
// place of the highest numbers that fit.
func TestSmallWalksByInstructionsAreTheWalks(t *testing.T) {
	const (
		places, slots, root = 400, 5, 100
		child, cells        = 9, 20 // bits, which with those of a slot are all there are
	)
	r := rand.New(rand.NewPCG(1, 2))
	s := &smallNodes{nodes: make([]uint32, root+places), child: child, slot: child + cells}
	word := func() uint32 { return uint32(r.IntN(slots))<<s.slot | uint32(r.IntN(8)+1<<cells-8)<<child }
	for i := range s.nodes {
		s.nodes[i] = word() | uint32(r.IntN(places-1))
	}
	words := make([]uint32, 4*slots*lanes)
	for i := range words {
		words[i] = uint32(i/lanes%slots)<<s.slot | word()<<3>>3
	}
	for depth := range 20 {
		for _, rows := range []int{lanes, 4 * lanes, lanes + 1} {
			got, want := make([]uint32, rows), make([]uint32, rows)
			walkSmallApart(s, words, root, depth, slots*lanes, got)
			walkSmallApartGo(s, words, root, depth, slots*lanes, want)
			if !slices.Equal(got, want) {
				t.Fatalf("depth %d, %d rows: %v, want %v", depth, rows, got, want)
			}
		}
		for _, n := range []int{1, 8, 32} {
			roots, got := make([]uint32, n), make([]uint32, n)
			for i := range got {
				roots[i] = uint32(r.IntN(root))
				got[i] = roots[i] + uint32(r.IntN(places))
			}
			want := slices.Clone(got)
			walkSmallTogether(s, words[:slots], roots, got, depth)
			walkSmallTogetherGo(s, words[:slots], roots, want, depth)
			if !slices.Equal(got, want) {
				t.Fatalf("depth %d, %d walks: %v, want %v", depth, n, got, want)
			}
		}
	}
}

// Numbers that do not fit in small nodes are in wide ones.
func TestForestsOfLargeNumbersHaveWideNodes(t *testing.T) {
	small, wide := forestOf(60, 8, 50, 1), forestOf(4, 15, 50, 1)
	for name, c := range map[string]struct {
		a    *Attributes
		want bool
	}{"small": {&small, true}, "wide": {&wide, false}} {
		s, w, cols := forestSteps(t, c.a)
		if _, got := s.nodes.(*smallNodes); got != c.want {
			t.Errorf("%s: the nodes are a %T", name, s.nodes)
		}
		const rows = 3*lanes + 5
		x := randomRows(rows, cols)
		got, want := make([]float32, rows), make([]float32, rows)
		s.run(x, cols, got, nil)
		w.run(x, cols, want, nil)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the scores differ", name)
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

// The bits of one feature's cells and of a tree's places are 32 together here,
// and leave none for the feature.
func TestForestsOfOneFeatureAgreeWithThePlainWalk(t *testing.T) {
	for _, cells := range []int{8_000, 15_000, 20_000, 32_000} {
		g := grower{a: Attributes{Targets: 1, Aggregate: Sum}}
		for tree := range 2 {
			g.search(0, 0, cells, float32(tree)/4)
			g.end()
		}
		s, w, cols := forestSteps(t, &g.a)
		if !sound(s.nodes, s.trees, s.places, 1) {
			t.Errorf("%d cells: the nodes lead out of the forest", cells)
		}
		for _, rows := range []int{1, 7, 8, 300} {
			x := randomRows(rows, cols)
			for i := range x {
				x[i] *= float32(cells)
			}
			got, want := make([]float32, rows), make([]float32, rows)
			w.run(x, cols, want, nil)
			s.run(x, cols, got, nil)
			if !slices.Equal(got, want) {
				t.Errorf("%d cells, %d rows: %v, want %v", cells, rows, got, want)
			}
		}
	}
}

func TestNodesThatLeaveTheForestAreUnsound(t *testing.T) {
	small := func(nodes ...uint32) nodes { return &smallNodes{nodes: nodes, child: 8, slot: 16} }
	trees := []stepTree{{root: 0}, {root: 3}}
	for name, tc := range map[string]struct {
		nodes nodes
		sound bool
	}{
		"as made":          {small(1<<16|5<<8|1, 1, 2, 0), true},
		"a slot too many":  {small(2<<16|5<<8|1, 1, 2, 0), false},
		"a place too many": {small(1<<16|5<<8|1, 1, 2, 5), false},
		"half a pair":      {small(1<<16|5<<8|3, 1, 2, 0), false},
	} {
		if got := sound(tc.nodes, trees, 4, 2); got != tc.sound {
			t.Errorf("%s: sound %t", name, got)
		}
	}
}
