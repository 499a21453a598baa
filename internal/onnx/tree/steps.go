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
	slots []slot
	shift uint // nodes[i]>>shift is the slot that node i asks for
	nodes []step
	leaf  []uint32 // of each node that is a leaf: its number
	roots []uint32
	depth []int32 // steps to the deepest leaf, at most, of each tree
	tally *tally[T]
	final *finisher[T]
	pool  sync.Pool // *stepScratch
}

// step has, from its highest bit down: zero, a slot, a cell of the slot (the
// three make 32 bits), and the place of the first neighbour. A word of a row
// has the slot and the cell in the same bits and no place, so it exceeds the
// step exactly when its cell is above the step's.
type step uint64

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
	stepRows    = 64 // rows that walk one tree after the other
	lanes       = 4  // of them, those that walk side by side
	stepTrees   = 32 // trees that one row walks side by side
	stepsARound = 8  // between two looks whether all walks have ended
)

// stepScratch is the working memory of one call.
type stepScratch struct {
	row    []step        // one row's words by slot
	rows   [][lanes]step // words by slot of each group of rows
	leaves []uint32
}

// newSteps returns the layout of any forest but one whose slots and cells do
// not fit in 31 bits: nil.
func newSteps[T float](f *forest, o *options, finish *finisher[T], all []axis) *steps[T] {
	p := newStepPlan(f, all)
	if p.bits+bits.Len(uint(len(p.slots))) > 31 {
		return nil
	}
	leaves, number := f.leafNumbers()
	s := &steps[T]{slots: p.slots, shift: uint(p.bits) + 32, tally: newTally[T](f, o, leaves), final: finish}
	w := stepWriter[T]{f: f, plan: p, s: s, number: number, first: make([]step, len(f.nodes)), known: make([]bool, len(f.nodes))}
	places := len(f.nodes) // when every branch is one step
	s.nodes, s.leaf = make([]step, 0, places), make([]uint32, 0, places)
	for i, root := range f.roots {
		s.roots = append(s.roots, w.tree(root))
		s.depth = append(s.depth, f.height[i]*w.most)
	}
	s.nodes, s.leaf = slices.Clip(s.nodes), slices.Clip(s.leaf)
	trees, slots := len(s.roots), max(len(s.slots), 1)
	s.pool.New = func() any {
		return &stepScratch{
			row: make([]step, slots), rows: make([][lanes]step, slots*stepRows/lanes), leaves: make([]uint32, max(trees, stepRows)),
		}
	}
	return s
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
		n := min(rows-first, stepRows) / lanes * lanes
		if n == 0 {
			n = 1
			s.row(x[first*cols:(first+1)*cols], b, scores[first*k:(first+1)*k])
		} else {
			s.block(x[first*cols:(first+n)*cols], cols, n, b, scores[first*k:(first+n)*k])
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

// row sums one row, walking several trees side by side.
func (s *steps[T]) row(x []T, b *stepScratch, sums []T) {
	for i := range s.slots {
		sl := &s.slots[i]
		b.row[i] = step(i)<<(s.shift&63) | step(place(sl.cell(float64(x[sl.axis.feature]))))<<32
	}
	leaves := b.leaves[:len(s.roots)]
	copy(leaves, s.roots)
	for t := 0; t < len(leaves); t += stepTrees {
		end := min(t+stepTrees, len(leaves))
		at := leaves[t:end]
		walkTrees(s.nodes, s.shift, slices.Max(s.depth[t:end]), at, b.row)
		for i, a := range at {
			at[i] = s.leaf[a]
		}
	}
	s.tally.sum(leaves, sums)
}

// block sums n rows, n a multiple of lanes, walking several of them side by
// side through each tree.
func (s *steps[T]) block(x []T, cols, n int, b *stepScratch, sums []T) {
	w := max(len(s.slots), 1)
	for i := range s.slots {
		sl := &s.slots[i]
		base := step(i) << (s.shift & 63)
		for r := range n {
			b.rows[r/lanes*w+i][r%lanes] = base | step(place(sl.cell(float64(x[r*cols+sl.axis.feature]))))<<32
		}
	}
	for i := range sums {
		sums[i] = unvoted[T]()
	}
	leaves := b.leaves[:n]
	for t, root := range s.roots {
		for r := 0; r+lanes <= len(leaves); r += lanes {
			i, j, k, l := walkRows(s.nodes, s.shift, s.depth[t], root, b.rows[r/lanes*w:(r/lanes+1)*w])
			out := leaves[r : r+lanes]
			out[0], out[1], out[2], out[3] = s.leaf[i], s.leaf[j], s.leaf[k], s.leaf[l]
		}
		s.tally.add(leaves, sums)
	}
}

// follow returns the place after a step. The difference is negative exactly
// when the word exceeds the step: both are below 2^63.
func follow(n, word step) uint32 {
	return uint32(n) + place((n-word)>>63) //nolint:gosec // the place is the lower half
}

// walkTrees takes the walks at some places, a step each in turn, to leaves at
// most depth steps away.
func walkTrees(nodes []step, shift uint, depth int32, at []uint32, words []step) {
	shift &= 63
	for depth > 0 {
		for range min(depth, stepsARound) {
			for i, a := range at {
				n := nodes[a]
				at[i] = follow(n, words[n>>shift])
			}
		}
		if depth -= stepsARound; depth > 0 && atLeaves(nodes, at) {
			return
		}
	}
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

// walkRows walks four rows from one root to leaves at most depth steps away.
func walkRows(nodes []step, shift uint, depth int32, root uint32, words [][lanes]step) (a, b, c, d uint32) {
	shift &= 63
	a, b, c, d = root, root, root, root
	for ; depth > 0; depth -= 2 {
		n, o, p, q := nodes[a], nodes[b], nodes[c], nodes[d]
		a, b = follow(n, words[n>>shift][0]), follow(o, words[o>>shift][1])
		c, d = follow(p, words[p>>shift][2]), follow(q, words[q>>shift][3])
		n, o, p, q = nodes[a], nodes[b], nodes[c], nodes[d]
		e, f := follow(n, words[n>>shift][0]), follow(o, words[o>>shift][1])
		g, h := follow(p, words[p>>shift][2]), follow(q, words[q>>shift][3])
		still := (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)
		a, b, c, d = e, f, g, h
		if still == 0 {
			break
		}
	}
	return a, b, c, d
}
