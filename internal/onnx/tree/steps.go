package tree

import (
	"math/bits"
	"slices"
	"sync"
)

// word is what a step compares: a slot's number above a cell.
type word interface{ uint32 | uint64 }

// steps is the layout of an ensemble too large for the others: walks without
// a branch to mispredict, several side by side to hide the memory's latency.
//
// A row is first turned into cells, one slot a feature. A step asks whether a
// slot's cell is above a bound, and goes to the second of two neighbours if it
// is and to the first if not. Every mode becomes such steps: one for an order,
// two for an equality, a search for a set. A leaf leads to itself, so walks of
// several trees or rows can go on together until the longest has ended.
type steps[T float, W word] struct {
	slots []slot
	shift uint // bits of a cell; the slot's number is above them
	nodes []step[W]
	leaf  []uint32 // of each node that is a leaf: its number
	roots []uint32
	tally *tally[T]
	final *finisher[T]
	pool  sync.Pool // *stepScratch[T, W]
}

// step compares the word of its slot with ask.
type step[W word] struct {
	ask  W
	next uint32 // the neighbour for a word not above ask
}

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

// stepScratch is the working memory of one call.
type stepScratch[T float, W word] struct {
	words  []W // slots words a row
	leaves []uint32
}

const stepRows = 64 // rows that walk one tree after the other

// newSteps returns the layout of any forest.
func newSteps[T float](f *forest, o *options, finish *finisher[T], all []axis) layout[T] {
	p := newStepPlan(f, all)
	if p.bits+bits.Len(uint(len(p.slots))) <= 32 {
		return fillSteps[T, uint32](f, o, finish, p)
	}
	return fillSteps[T, uint64](f, o, finish, p)
}

func fillSteps[T float, W word](f *forest, o *options, finish *finisher[T], p *stepPlan) *steps[T, W] {
	leaves, number := f.leafNumbers()
	s := &steps[T, W]{slots: p.slots, shift: uint(p.bits), tally: newTally[T](f, o, leaves), final: finish}
	w := stepWriter[T, W]{
		f: f, plan: p, s: s, number: number, first: make([]step[W], len(f.nodes)), known: make([]bool, len(f.nodes)),
	}
	for _, root := range f.roots {
		s.roots = append(s.roots, w.tree(root))
	}
	s.nodes, s.leaf = slices.Clip(s.nodes), slices.Clip(s.leaf)
	trees, slots := len(s.roots), max(len(s.slots), 1)
	s.pool.New = func() any {
		return &stepScratch[T, W]{words: make([]W, slots*stepRows), leaves: make([]uint32, max(trees, stepRows))}
	}
	return s
}

// run evaluates rows: see layout.
func (s *steps[T, W]) run(x []T, cols int, scores []T, labels []int32) {
	b, ok := s.pool.Get().(*stepScratch[T, W])
	if !ok {
		return // the pool holds nothing else
	}
	defer s.pool.Put(b)
	k := s.tally.targets
	for first, rows := 0, len(scores)/k; first < rows; {
		n := min(rows-first, stepRows)
		out := scores[first*k : (first+n)*k]
		if n < lanes {
			n = 1
			out = out[:k]
			s.words(x[first*cols:], cols, 1, b.words)
			s.oneRow(b.words[:max(len(s.slots), 1)], b.leaves[:len(s.roots)])
			s.tally.sum(b.leaves[:len(s.roots)], out)
		} else {
			s.words(x[first*cols:], cols, n, b.words)
			s.block(b, n, out)
		}
		for r := range n {
			label := s.final.finish(out[r*k : (r+1)*k])
			if labels != nil {
				labels[first+r] = label
			}
		}
		first += n
	}
}

// words turns n rows into words.
func (s *steps[T, W]) words(x []T, cols, n int, words []W) {
	for i := range s.slots {
		sl := &s.slots[i]
		base := W(i) << (s.shift & 63)
		for r := range n {
			words[r*len(s.slots)+i] = base | W(sl.cell(float64(x[r*cols+sl.axis.feature])))
		}
	}
}

// lanes is how many walks go side by side.
const lanes = 4

// oneRow walks all trees for the words of one row.
func (s *steps[T, W]) oneRow(words []W, leaves []uint32) {
	t := 0
	for ; t+lanes <= len(s.roots); t += lanes {
		g := s.roots[t : t+lanes]
		a, b, c, d := walk4(s.nodes, s.shift, g[0], g[1], g[2], g[3], words, words, words, words)
		l := leaves[t : t+lanes]
		l[0], l[1], l[2], l[3] = s.leaf[a], s.leaf[b], s.leaf[c], s.leaf[d]
	}
	for ; t < len(s.roots); t++ {
		leaves[t] = s.leaf[walk1(s.nodes, s.shift, s.roots[t], words)]
	}
}

// block walks every tree for n rows.
func (s *steps[T, W]) block(b *stepScratch[T, W], n int, sums []T) {
	for i := range sums {
		sums[i] = unvoted[T]()
	}
	w := max(len(s.slots), 1)
	for _, root := range s.roots {
		r := 0
		for ; r+lanes <= n; r += lanes {
			rows := b.words[r*w : (r+lanes)*w]
			i, j, k, l := walk4(s.nodes, s.shift, root, root, root, root, rows[:w], rows[w:2*w], rows[2*w:3*w], rows[3*w:])
			at := b.leaves[r : r+lanes]
			at[0], at[1], at[2], at[3] = s.leaf[i], s.leaf[j], s.leaf[k], s.leaf[l]
		}
		for ; r < n; r++ {
			b.leaves[r] = s.leaf[walk1(s.nodes, s.shift, root, b.words[r*w:(r+1)*w])]
		}
		s.tally.add(b.leaves[:n], sums)
	}
}

// advance returns the node after one step from i. The difference of two words
// is negative exactly when the row's is above the one asked for.
func advance[W word](nodes []step[W], shift uint, i uint32, words []W) uint32 {
	n := nodes[i]
	return n.next + uint32((uint64(n.ask)-uint64(words[n.ask>>(shift&63)]))>>63)
}

// walk1 walks from a to a leaf.
func walk1[W word](nodes []step[W], shift uint, a uint32, words []W) uint32 {
	for {
		b := advance(nodes, shift, a, words)
		if a == b {
			return a
		}
		a = b
	}
}

// walk4 walks from a, b, c and d to leaves.
func walk4[W word](nodes []step[W], shift uint, a, b, c, d uint32, wa, wb, wc, wd []W) (la, lb, lc, ld uint32) {
	for {
		a, b = advance(nodes, shift, a, wa), advance(nodes, shift, b, wb)
		c, d = advance(nodes, shift, c, wc), advance(nodes, shift, d, wd)
		a, b = advance(nodes, shift, a, wa), advance(nodes, shift, b, wb)
		c, d = advance(nodes, shift, c, wc), advance(nodes, shift, d, wd)
		e, f := advance(nodes, shift, a, wa), advance(nodes, shift, b, wb)
		g, h := advance(nodes, shift, c, wc), advance(nodes, shift, d, wd)
		if (a^e)|(b^f)|(c^g)|(d^h) == 0 {
			return a, b, c, d
		}
		a, b, c, d = e, f, g, h
	}
}
