package tree

import (
	"math"
	"math/bits"
	"slices"
	"sync"
)

// steps is the layout of an ensemble too large for the others: walks without
// a branch to mispredict, several side by side to hide the memory's latency.
//
// A row is first turned into cells, one slot a feature. A step asks whether a
// slot's cell is above a bound, and goes to the second of two neighbours if it
// is and to the first if not. Every mode becomes such steps: one for an order,
// two for an equality, a search for a set.
type steps[T float] struct {
	find   *finder[T]
	nodes  nodes
	scans  *scans[T] // or nil
	places int
	leaf   []uint32 // of each place: the number of its leaf, else noLeaf
	// votes has, of each place, a leaf's votes, or NaN. It says all that leaf and
	// tally do, and is nil when they are many.
	votes  []T
	width  int // votes of a place: for its tree's target, or for all
	trees  []stepTree
	groups []treeGroup
	roots  []uint32 // of the trees, the last one repeated until its group is full
	parts  []int    // ends of runs of trees that fit into a cache together
	apart  int      // rows that are worth walking one tree after the other
	tally  *tally[T]
	final  *finisher[T]
	blocks int       // groups of rows that a call takes at a time, at most
	pool   sync.Pool // *stepScratch
}

// stepTree is one tree: its root, how many steps its deepest leaf is away at
// most, how many usually are enough, and how many the average leaf is away.
type stepTree struct {
	root         uint32
	depth, usual int32
	mean         int32
	target       int32 // that its leaves vote for, where a place has one vote
}

// noLeaf is the number of what is no leaf.
const noLeaf = math.MaxUint32

// slot is one feature's cells as steps see them: NaN's last, or first.
type slot struct {
	axis     axis
	nanFirst bool
}

const (
	lanes      = 8  // rows that walk side by side
	chunkRows  = 8  // groups of them that walk one tree after the other
	groupTrees = 32 // trees that one row walks side by side
	fewRows    = 16 // rows that do so one after the other, at most
	// moreSteps is how far beyond the depth of a balanced tree all walks go
	// together: one that goes on alone takes as long as several of them.
	moreSteps  = 8
	partBytes  = 1 << 16          // of the nodes of a part
	nearBytes  = 1 << 20          // of nodes that are in a near cache
	blockWords = 1 << 17          // of one call
	maxBlocks  = maxBlock / lanes // groups of rows of one call
	maxPlaced  = 4                // targets that have votes at the places
)

// stepScratch is the working memory of one call.
type stepScratch struct {
	row    []uint32 // words by row, of up to fewRows, and slot
	rows   []uint32 // words by group of rows, slot and lane
	leaves []uint32
	rest   restScratch
	scan   *scanScratch // or nil
}

// newSteps returns the layout of any forest but one whose slots and cells do
// not fit in 31 bits: nil. It never is another whose walks would leave the forest.
func newSteps[T float](f *forest, o *options, finish *finisher[T], all []axis) *steps[T] {
	p := newStepPlan(f, all)
	if p.bits+gap+bits.Len(uint(len(p.slots))) > 31 {
		return nil
	}
	leaves, number := f.leafNumbers()
	w := newStepWriter(f, p, number)
	s := &steps[T]{final: finish}
	f.both(
		func() { s.trees = w.trees() },
		func() { s.find, s.tally = newFinder[T](p.slots), newTally[T](f, o, leaves) },
	)
	s.places, s.leaf = len(w.nodes), slices.Clip(w.leaf)
	if small, fits := newSmallNodes(w.nodes, s.trees, len(p.slots), p.bits, w.shift); fits {
		s.nodes = small
		s.divide(4)
	} else {
		s.nodes = &wideNodes{slices.Clip(w.nodes), w.shift}
		s.divide(8)
	}
	var whole bool
	f.both(
		func() { whole = sound(s.nodes, s.trees, s.places, len(p.slots)) },
		func() { s.placeVotes(f, leaves) },
	)
	if !whole {
		return nil
	}
	if s.votes != nil {
		s.leaf, s.tally = nil, &tally[T]{targets: o.targets}
	}
	if c := newScans(s); c != nil && c.least <= scanRows {
		s.scans = c
	}
	slots := max(len(p.slots), 1)
	s.blocks = min(max(blockWords/(slots*lanes), 1), maxBlocks)
	s.pool.New = func() any {
		b := &stepScratch{
			row: make([]uint32, slots*fewRows), rows: make([]uint32, slots*lanes*s.blocks),
			leaves: make([]uint32, max(len(s.roots), chunkRows*lanes)), rest: newRestScratch(len(s.roots)),
		}
		if s.scans != nil {
			b.scan = s.scans.newScratch()
		}
		return b
	}
	return s
}

// part returns the first tree after the end of part i.
func (s *steps[T]) part(i int) int {
	if i < 0 {
		return 0
	}
	return s.parts[i]
}

// run evaluates rows: see layout.
func (s *steps[T]) run(x []T, cols int, scores []T, labels []int32) {
	b, ok := s.pool.Get().(*stepScratch)
	if !ok {
		return // the pool holds nothing else
	}
	defer s.pool.Put(b)
	for i := range scores {
		scores[i] = unvoted[T]()
	}
	k := s.tally.targets
	for first, rows := 0, len(scores)/k; first < rows; {
		left := rows - first
		groups := min(left/lanes, s.blocks)
		n := groups * lanes
		switch {
		case s.scans != nil && left >= s.scans.least:
			n = min(left, scanRows)
			s.scan(x[first*cols:(first+n)*cols], cols, b.scan, scores[first*k:(first+n)*k])
		case left < s.apart:
			n = min(left, fewRows)
			s.few(x[first*cols:(first+n)*cols], cols, b, scores[first*k:(first+n)*k])
		default:
			s.block(x[first*cols:(first+n)*cols], cols, groups, b, scores[first*k:(first+n)*k])
		}
		s.final.finishRows(scores[first*k:(first+n)*k], k, between(labels, first, first+n))
		first += n
	}
}

// words sets a row's words by slot.
func (s *steps[T]) words(x []T, words []uint32) {
	s.find.cells(x, words)
	s.nodes.words(words)
}

// block sums groups of rows. Trees are taken a part at a time, whose nodes stay
// in the cache for all the rows, and rows a chunk at a time, whose words do for
// all the trees of the part. Each row meets the trees in their order.
func (s *steps[T]) block(x []T, cols, groups int, b *stepScratch, sums []T) {
	slots := len(s.find.columns)
	size := max(slots, 1) * lanes // words of a group
	row := b.row[:slots]
	for r := range groups * lanes {
		s.words(x[r*cols:(r+1)*cols], row)
		own := b.rows[r/lanes*size+r%lanes:]
		for i, w := range row {
			own[i*lanes] = w
		}
	}
	k := s.tally.targets
	for p := range s.parts {
		trees := s.trees[s.part(p-1):s.parts[p]]
		for from := 0; from < groups; from += chunkRows {
			to := min(from+chunkRows, groups)
			s.chunk(trees, b.rows[from*size:to*size], size, b.leaves[:(to-from)*lanes], sums[from*lanes*k:to*lanes*k])
		}
	}
}

// chunk adds the votes of some trees to the sums of some groups of rows.
func (s *steps[T]) chunk(trees []stepTree, words []uint32, size int, at []uint32, sums []T) {
	for i := range trees {
		t := &trees[i]
		s.nodes.apart(t, words, size, at)
		switch {
		case s.votes == nil:
			s.addLeaves(t, words, size, at, sums)
		case s.width == 1:
			s.addVote(t, words, size, at, sums)
		default:
			s.addVotes(t, words, size, at, sums)
		}
	}
}

// end takes the walk of row r of some groups to its leaf.
func (s *steps[T]) end(t *stepTree, at uint32, words []uint32, size, r int) uint32 {
	return s.nodes.end(t.root, at, words[r/lanes*size:], lanes, r%lanes)
}
