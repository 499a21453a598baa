package tree

import (
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
// two for an equality, a search for a set. A leaf leads to itself, so walks of
// several trees or rows can go on together until the longest has ended.
type steps[T float] struct {
	slots  []slot
	shift  uint // nodes[i]>>shift is the slot that node i asks for
	nodes  []step
	leaf   []uint32 // of each node that is a leaf: its number
	trees  []stepTree
	parts  []int // ends of runs of trees that fit into a cache together
	tally  *tally[T]
	final  *finisher[T]
	blocks int       // groups of rows that a call takes at a time, at most
	pool   sync.Pool // *stepScratch
}

// stepTree is one tree: its root, how many steps its deepest leaf is away at
// most, and how many usually are enough.
type stepTree struct {
	root         uint32
	depth, usual int32
}

// step has, from its highest bit down: zero, a slot, a gap of zeros, a cell of
// the slot (the four make 32 bits), and the place of the first neighbour. A word
// of a row has the slot and the cell in the same bits as the upper half of a
// step, so it exceeds that exactly when its cell is above the step's. The gap
// lets a slot be found among groups of lanes words by a shift alone.
type step = uint64

const gap = 3 // log2 of lanes

// slot is one feature's cells as steps see them: NaN's last, or first.
type slot struct {
	axis     axis
	nanFirst bool
}

// cell returns the slot's cell of x.
func (s *slot) cell(x float64) int {
	c := s.axis.cell(x)
	if s.nanFirst {
		if c == s.axis.nan {
			return 0
		}
		return c + 1
	}
	return c
}

const (
	lanes      = 8  // rows that walk side by side
	chunkRows  = 8  // groups of them that walk one tree after the other
	stepTrees  = 32 // trees that one row walks side by side
	moreSteps  = 4  // between two looks whether all walks have ended
	partNodes  = 1 << 15
	blockWords = 1 << 17 // of one call
	maxBlocks  = maxBlock / lanes
)

// stepScratch is the working memory of one call.
type stepScratch struct {
	row    []uint32 // one row's words by slot
	rows   []uint32 // words by group of rows, slot and lane
	leaves []uint32
}

// newSteps returns the layout of any forest but one whose slots and cells do
// not fit in 31 bits: nil.
func newSteps[T float](f *forest, o *options, finish *finisher[T], all []axis) *steps[T] {
	p := newStepPlan(f, all)
	if p.bits+gap+bits.Len(uint(len(p.slots))) > 31 {
		return nil
	}
	leaves, number := f.leafNumbers()
	s := &steps[T]{slots: p.slots, shift: uint(p.bits) + gap + 32, tally: newTally[T](f, o, leaves), final: finish}
	w := stepWriter[T]{f: f, plan: p, s: s, number: number, first: make([]step, len(f.nodes)), known: make([]bool, len(f.nodes))}
	places := len(f.nodes) // when every branch is one step
	s.nodes, s.leaf = make([]step, 0, places), make([]uint32, 0, places)
	for i, root := range f.roots {
		from := len(s.nodes)
		tree := stepTree{root: w.tree(root), depth: f.height[i] * w.most}
		tree.usual = min(tree.depth, index(bits.Len(uint(len(s.nodes)-from)))+1)
		s.trees = append(s.trees, tree)
		if begin := s.part(len(s.parts) - 1); len(s.nodes)-int(s.trees[begin].root) > partNodes && begin < i {
			s.parts = append(s.parts, i)
		}
	}
	s.parts = append(s.parts, len(s.trees))
	s.nodes, s.leaf = slices.Clip(s.nodes), slices.Clip(s.leaf)
	trees, slots := len(s.trees), max(len(s.slots), 1)
	s.blocks = min(max(blockWords/(slots*lanes), 1), maxBlocks)
	s.pool.New = func() any {
		return &stepScratch{
			row: make([]uint32, slots), rows: make([]uint32, slots*lanes*s.blocks),
			leaves: make([]uint32, max((trees+stepTrees-1)/stepTrees*stepTrees, chunkRows*lanes)),
		}
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
	k := s.tally.targets
	for first, rows := 0, len(scores)/k; first < rows; {
		groups := min((rows-first)/lanes, s.blocks)
		n := max(groups*lanes, 1)
		if groups == 0 {
			s.row(x[first*cols:(first+1)*cols], b, scores[first*k:(first+1)*k])
		} else {
			s.block(x[first*cols:(first+n)*cols], cols, groups, b, scores[first*k:(first+n)*k])
		}
		for r := first; r < first+n; r++ {
			label := s.final.finish(scores[r*k : (r+1)*k])
			if labels != nil {
				labels[r] = label
			}
		}
		first += n
	}
}

// word returns a row's word of slot i.
func (s *steps[T]) word(i int, x T) uint32 {
	return place(i)<<((s.shift-32)&31) | place(s.slots[i].cell(float64(x)))
}

// row sums one row, walking several trees side by side.
func (s *steps[T]) row(x []T, b *stepScratch, sums []T) {
	for i := range s.slots {
		b.row[i] = s.word(i, x[s.slots[i].axis.feature])
	}
	leaves := b.leaves[:len(s.trees)]
	for t := 0; t < len(leaves); t += stepTrees {
		trees := s.trees[t:min(t+stepTrees, len(s.trees))]
		at := b.leaves[t : t+stepTrees] // the last places may be of no tree
		for i := range at {
			at[i] = trees[min(i, len(trees)-1)].root
		}
		s.walkTrees(trees, at, b.row)
		for i, a := range at {
			at[i] = s.leaf[a]
		}
	}
	s.tally.sum(leaves, sums)
}

// walkTrees takes the walks through some trees to their leaves.
func (s *steps[T]) walkTrees(trees []stepTree, at, words []uint32) {
	var depth, usual int32
	for i := range trees {
		depth, usual = max(depth, trees[i].depth), max(usual, trees[i].usual)
	}
	for next := usual; depth > 0; next = moreSteps {
		for range min(depth, next) {
			stepTogether(s.nodes, words, s.shift, at)
		}
		if depth -= next; depth > 0 && atLeaves(s.nodes, at) {
			return
		}
	}
}

// block sums groups of rows. Trees are taken a part at a time, whose nodes stay
// in the cache for all the rows, and rows a chunk at a time, whose words do for
// all the trees of the part. Each row meets the trees in their order.
func (s *steps[T]) block(x []T, cols, groups int, b *stepScratch, sums []T) {
	size := max(len(s.slots), 1) * lanes // words of a group
	for i := range s.slots {
		feature := s.slots[i].axis.feature
		for r := range groups * lanes {
			b.rows[r/lanes*size+i*lanes+r%lanes] = s.word(i, x[r*cols+feature])
		}
	}
	for i := range sums {
		sums[i] = unvoted[T]()
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
func (s *steps[T]) chunk(trees []stepTree, words []uint32, size int, leaves []uint32, sums []T) {
	for i := range trees {
		for g := 0; g*lanes < len(leaves); g++ {
			at := (*[lanes]uint32)(leaves[g*lanes:])
			s.walkRows(&trees[i], words[g*size:(g+1)*size], at)
			for l, a := range at {
				at[l] = s.leaf[a]
			}
		}
		s.tally.add(leaves, sums)
	}
}

// walkRows takes the walks of a group of rows to leaves of a tree.
func (s *steps[T]) walkRows(t *stepTree, words []uint32, at *[lanes]uint32) {
	for l := range at {
		at[l] = t.root
	}
	for depth, next := t.depth, t.usual; depth > 0; next = moreSteps {
		walkApart(s.nodes, words, s.shift-gap, int(min(depth, next)), at)
		if depth -= next; depth > 0 && atLeaves(s.nodes, at[:]) {
			return
		}
	}
}

// follow returns the place after a step. The difference is negative exactly
// when the word exceeds the step: both are below 2^31.
func follow(n step, word uint32) uint32 {
	return uint32(n) + (uint32(n>>32)-word)>>31 //nolint:gosec // the place is the lower half
}

// atLeaves reports whether every place leads to itself.
func atLeaves(nodes []step, at []uint32) bool {
	for _, a := range at {
		if uint32(nodes[a]) != a { //nolint:gosec // the place is the lower half
			return false
		}
	}
	return true
}

// walkApartGo takes the walks of a group of rows depth steps further. The words
// of a slot are one for each walk, and a node shifted is lanes times its slot.
func walkApartGo(nodes []step, words []uint32, shift uint, depth int, at *[lanes]uint32) {
	shift &= 63
	for range depth {
		for l, a := range at {
			n := nodes[a]
			at[l] = follow(n, words[int(n>>shift)+l])
		}
	}
}

// stepTogetherGo takes one step of each walk of one row. A slot has one word, and
// a node shifted is its slot.
func stepTogetherGo(nodes []step, words []uint32, shift uint, at []uint32) {
	shift &= 63
	for i, a := range at {
		n := nodes[a]
		at[i] = follow(n, words[n>>shift])
	}
}
