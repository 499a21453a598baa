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
// two for an equality, a search for a set. A leaf leads to itself, so walks of
// several trees or rows can go on together until the longest has ended.
type steps[T float] struct {
	slots  []slot
	find   *finder[T]
	shift  uint // the lower half of nodes[i]>>shift is the slot that node i asks for
	nodes  []step
	small  *smallNodes // or nil
	scans  *scans[T]   // or nil
	leaf   []uint32    // of each node: its number when it is a leaf, else noLeaf
	votes  []T         // of each node: its vote when it is a leaf, else NaN; when there is one target
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

// step has the place of the first neighbour in its upper half and, in the lower
// from its highest bit down, a zero, a slot, a gap of zeros, and a cell of the
// slot. A word of a row is like the lower half, so it exceeds that of a step
// exactly when its cell is above the step's. The gap lets a slot be found among
// groups of lanes words by a shift alone.
type step = uint64

const gap = 3 // log2 of lanes

// noLeaf is the number of what is no leaf.
const noLeaf = math.MaxUint32

// slot is one feature's cells as steps see them: NaN's last, or first.
type slot struct {
	axis     axis
	nanFirst bool
}

const (
	lanes     = 8  // rows that walk side by side
	chunkRows = 8  // groups of them that walk one tree after the other
	stepTrees = 32 // trees that one row walks side by side
	// moreSteps is how far beyond the depth of a balanced tree all walks go
	// together: one that goes on alone takes as long as several of them.
	moreSteps  = 8
	partNodes  = 1 << 15          // of a part: 256 KiB
	blockWords = 1 << 17          // of one call
	maxBlocks  = maxBlock / lanes // groups of rows of one call
)

// stepScratch is the working memory of one call.
type stepScratch struct {
	row    []uint32 // one row's words by slot
	rows   []uint32 // words by group of rows, slot and lane
	leaves []uint32
	scan   *scanScratch // or nil
}

// newSteps returns the layout of any forest but one whose slots and cells do
// not fit in 31 bits: nil.
func newSteps[T float](f *forest, o *options, finish *finisher[T], all []axis) *steps[T] {
	p := newStepPlan(f, all)
	if p.bits+gap+bits.Len(uint(len(p.slots))) > 31 {
		return nil
	}
	leaves, number := f.leafNumbers()
	s := &steps[T]{slots: p.slots, shift: uint(p.bits) + gap, tally: newTally[T](f, o, leaves), final: finish}
	s.find = newFinder[T](p.slots)
	w := stepWriter[T]{f: f, plan: p, s: s, number: number, first: make([]step, len(f.nodes)), known: make([]bool, len(f.nodes))}
	places := len(f.nodes) // when every branch is one step
	s.nodes, s.leaf = make([]step, 0, places), make([]uint32, 0, places)
	for i, root := range f.roots {
		from := len(s.nodes)
		tree := stepTree{root: w.tree(root), depth: f.height[i] * w.most}
		tree.usual = min(tree.depth, index(bits.Len(uint(len(s.nodes)-from)))+moreSteps)
		s.trees = append(s.trees, tree)
		if begin := s.part(len(s.parts) - 1); len(s.nodes)-int(s.trees[begin].root) > partNodes && begin < i {
			s.parts = append(s.parts, i)
		}
	}
	s.parts = append(s.parts, len(s.trees))
	s.nodes, s.leaf = slices.Clip(s.nodes), slices.Clip(s.leaf)
	if s.votes = s.singleVotes(); s.votes != nil {
		s.leaf, s.tally.dense = nil, nil // the votes say all that they do
	}
	trees, slots := len(s.trees), max(len(s.slots), 1)
	s.small = newSmallNodes(s.nodes, s.trees, len(s.slots), p.bits, s.shift)
	if c := newScans(s); c != nil && c.least <= scanRows {
		s.scans = c
	}
	s.blocks = min(max(blockWords/(slots*lanes), 1), maxBlocks)
	s.pool.New = func() any {
		b := &stepScratch{
			row: make([]uint32, slots*fewRows), rows: make([]uint32, slots*lanes*s.blocks),
			leaves: make([]uint32, max((trees+stepTrees-1)/stepTrees*stepTrees, chunkRows*lanes)),
		}
		if s.scans != nil {
			b.scan = s.scans.newScratch()
		}
		return b
	}
	return s
}

// singleVotes puts the votes of the leaves where the walks end, when each is one
// number.
func (s *steps[T]) singleVotes() []T {
	if s.tally.dense == nil || s.tally.targets != 1 {
		return nil
	}
	votes := make([]T, len(s.nodes))
	for at, l := range s.leaf {
		votes[at] = T(math.NaN())
		if l != noLeaf {
			votes[at] = s.tally.dense[l]
		}
	}
	return votes
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
		switch left := rows - first; {
		case s.scans != nil && left >= s.scans.least:
			n = min(left, scanRows)
			s.scan(x[first*cols:(first+n)*cols], cols, b.scan, scores[first*k:(first+n)*k])
		case s.small != nil && left <= fewRows:
			n = left
			s.few(x[first*cols:rows*cols], cols, n, b, scores[first*k:rows*k])
		case groups == 0:
			s.row(x[first*cols:(first+1)*cols], b, scores[first*k:(first+1)*k])
		default:
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

// words sets a row's words by slot.
func (s *steps[T]) words(x []T, words []uint32) {
	s.find.cells(x, words)
	for i := range words {
		words[i] |= place(i) << (s.shift & 31)
	}
}

// row sums one row, walking several trees side by side.
func (s *steps[T]) row(x []T, b *stepScratch, sums []T) {
	s.words(x, b.row[:len(s.slots)])
	leaves := b.leaves[:len(s.trees)]
	for t := 0; t < len(leaves); t += stepTrees {
		trees := s.trees[t:min(t+stepTrees, len(s.trees))]
		at := b.leaves[t : t+stepTrees] // the last places may be of no tree
		for i := range at {
			at[i] = trees[min(i, len(trees)-1)].root
		}
		s.walkTrees(trees, at, b.row)
		if s.votes == nil {
			for i, a := range at {
				at[i] = s.leaf[a]
			}
		}
	}
	if s.votes != nil {
		sums[0] = sum1(s.votes, leaves, unvoted[T]())
		return
	}
	s.tally.sum(leaves, sums)
}

// walkTrees takes the walks through some trees to their leaves.
func (s *steps[T]) walkTrees(trees []stepTree, at, words []uint32) {
	var depth, usual int32
	for i := range trees {
		depth, usual = max(depth, trees[i].depth), max(usual, trees[i].usual)
	}
	for range usual {
		stepTogether(s.nodes, words, s.shift, at)
	}
	if depth > usual {
		for i, a := range at {
			at[i] = s.finish(a, words, 1, 0)
		}
	}
}

// finish takes a walk to its leaf. The words of a slot are as many as width,
// that of the walk is at lane.
func (s *steps[T]) finish(at uint32, words []uint32, width, lane int) uint32 {
	for {
		n := s.nodes[at]
		if leads := uint32(n >> 32); leads == at {
			return at
		}
		at = follow(n, words[int(uint32(n)>>(s.shift&31))*width+lane]) //nolint:gosec // the lower half
	}
}

// block sums groups of rows. Trees are taken a part at a time, whose nodes stay
// in the cache for all the rows, and rows a chunk at a time, whose words do for
// all the trees of the part. Each row meets the trees in their order.
func (s *steps[T]) block(x []T, cols, groups int, b *stepScratch, sums []T) {
	size := max(len(s.slots), 1) * lanes // words of a group
	row := b.row[:len(s.slots)]
	for r := range groups * lanes {
		s.words(x[r*cols:(r+1)*cols], row)
		own := b.rows[r/lanes*size+r%lanes:]
		for i, w := range row {
			own[i*lanes] = w
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
		t := &trees[i]
		walkApart(s.nodes, words, s.shift-gap, t.root, int(t.usual), size, leaves)
		if s.votes != nil {
			s.addVotes(leaves, words, size, sums)
			continue
		}
		for r, a := range leaves {
			l := s.leaf[a]
			if l == noLeaf {
				l = s.leaf[s.finish(a, words[r/lanes*size:], lanes, r%lanes)]
			}
			leaves[r] = l
		}
		s.tally.add(leaves, sums)
	}
}

// addVotes adds to each row's sum the vote of the leaf that its walk comes to;
// it is at a place on the way.
func (s *steps[T]) addVotes(at, words []uint32, size int, sums []T) {
	votes := s.votes
	sums = sums[:len(at)]
	for r, a := range at {
		v := votes[a]
		if v != v {
			v = votes[s.finish(a, words[r/lanes*size:], lanes, r%lanes)]
		}
		sums[r] += v
	}
}

// follow returns the place after a step. The difference is negative exactly
// when the word exceeds the step: both are below 2^31.
func follow(n step, word uint32) uint32 {
	return uint32(n>>32) + (uint32(n)-word)>>31 //nolint:gosec // the lower half
}

// walkApartGo takes a walk for each row from root depth steps far. The words of
// a slot are lanes many, one for each row of a group, and the lower half of a
// node shifted is lanes times its slot. A group has size words.
func walkApartGo(nodes []step, words []uint32, shift uint, root uint32, depth, size int, at []uint32) {
	shift &= 31
	for r := range at {
		own, a := words[r/lanes*size+r%lanes:], root
		for range depth {
			n := nodes[a]
			a = follow(n, own[uint32(n)>>shift]) //nolint:gosec // the lower half
		}
		at[r] = a
	}
}

// stepTogetherGo takes one step of each walk of one row. A slot has one word, and
// the lower half of a node shifted is its slot.
func stepTogetherGo(nodes []step, words []uint32, shift uint, at []uint32) {
	shift &= 31
	for i, a := range at {
		n := nodes[a]
		at[i] = follow(n, words[uint32(n)>>shift]) //nolint:gosec // the lower half
	}
}
