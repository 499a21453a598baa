package tree

import (
	"math"
	"math/bits"
	"slices"
)

// stepPlan says how the branches of a forest become steps.
type stepPlan struct {
	slots []slot
	bits  int
	// slotOf has, by feature, the slot with NaN last and the one with NaN
	// first; the latter is made when a branch asks for it.
	slotOf [][2]int
	places []uint32 // of each ordered branch: the bound's place on the axis
	orders []uint64 // scratch
	at     []int
	found  []int
}

func newStepPlan(f *forest, all []axis) *stepPlan {
	p := &stepPlan{slotOf: make([][2]int, f.features), places: make([]uint32, len(f.nodes))}
	cells, missing := 0, false
	for i := range all {
		a := &all[i]
		cells, missing = max(cells, a.cells()+1), missing || a.nan > a.n
		p.slotOf[a.feature] = [2]int{-1, -1}
		if a.nan == a.n {
			p.addSlot(a, 0)
		}
	}
	if missing {
		p.findSlots(f, all)
	}
	p.bits = bits.Len(uint(cells))
	f.share(len(all), func(i int) {
		nodes, bounds := f.ordered.of(all[i].feature)
		for k, bound := range bounds {
			p.places[nodes[k]] = place(all[i].position(bound))
		}
	})
	return p
}

// findSlots adds the slots of the features on whose axes NaN has a cell.
func (p *stepPlan) findSlots(f *forest, all []axis) {
	axisOf := make([]*axis, f.features)
	for i := range all {
		axisOf[all[i].feature] = &all[i]
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.mode == Leaf {
			continue
		}
		a := axisOf[n.feature]
		if which := nanFirst(f, n, a); p.slotOf[n.feature][which] < 0 {
			p.addSlot(a, which)
		}
	}
}

// addSlot adds a slot with NaN last, which is 0, or first.
func (p *stepPlan) addSlot(a *axis, which int) {
	p.slotOf[a.feature][which] = len(p.slots)
	p.slots = append(p.slots, slot{axis: *a, nanFirst: which == 1})
}

// bounded reports whether a branch has one bound, and its axis has it.
func (n *node) bounded() bool { return n.mode.ordered() && !math.IsInf(n.value, 0) }

// bound returns the last order before the answer of an ordered branch changes.
func (n *node) bound() uint64 {
	if n.mode == BranchLEQ || n.mode == BranchGT {
		return above(n.value)
	}
	return below(n.value)
}

// nanFirst returns 1 when a branch needs fewer steps with NaN below all
// numbers than above them, and 0 otherwise.
func nanFirst(f *forest, n *node, a *axis) int {
	if a.nan > a.n {
		nan := f.test(n, a.value(a.nan))
		if nan != f.test(n, a.value(a.n)) && nan == f.test(n, a.value(0)) {
			return 1
		}
	}
	return 0
}

// turns returns the slot of a branch, its answer in the slot's first cell, and
// the cells from which on the answer is the opposite, which the next call
// overwrites.
func (p *stepPlan) turns(f *forest, i int32) (number int, first bool, turns []int) {
	n := &f.nodes[i]
	both := &p.slotOf[n.feature]
	number = both[0]
	if number < 0 || both[1] >= 0 && nanFirst(f, n, &p.slots[number].axis) == 1 {
		number = both[1]
	}
	s := &p.slots[number]
	if n.bounded() {
		first, p.found = s.turnsAt(int(p.places[i])+1, n.mode == BranchLEQ || n.mode == BranchLT, f.test(n, math.NaN()), p.found[:0])
	} else {
		first = f.test(n, s.value(0))
		p.found = p.search(f, n, s, p.found[:0])
	}
	return number, first, p.found
}

// turnsAt is what turns returns of a branch that has one answer in the cells
// below one, and the opposite in those of other numbers.
func (s *slot) turnsAt(cell int, below, nan bool, turns []int) (first bool, all []int) {
	a := &s.axis
	switch {
	case !s.nanFirst:
		turns = append(turns, cell)
		if a.nan > a.n && nan == below {
			turns = append(turns, a.nan)
		}
		return below, turns
	case nan != below:
		turns = append(turns, 1)
	}
	return nan, append(turns, cell+1)
}

// search appends the turns of any branch: it tries the cells that may be some.
func (p *stepPlan) search(f *forest, n *node, s *slot, turns []int) []int {
	a := &s.axis
	at, after := append(p.at[:0], a.nan), 1
	if s.nanFirst {
		at[0], after = 1, 2
	}
	p.orders = f.appendBounds(p.orders[:0], n)
	at = slices.Grow(at, len(p.orders))
	for _, k := range p.orders {
		at = append(at, a.position(k)+after)
	}
	slices.Sort(at)
	answer := f.test(n, s.value(0))
	turns = slices.Grow(turns, len(at))
	for _, c := range slices.Compact(at) {
		if c >= a.cells() {
			break
		}
		if now := f.test(n, s.value(c)); now != answer {
			turns, answer = append(turns, c), now
		}
	}
	p.at = at
	return turns
}

// value returns a value of the slot's cell.
func (s *slot) value(cell int) float64 {
	switch {
	case !s.nanFirst:
		return s.axis.value(cell)
	case cell == 0:
		return s.axis.value(s.axis.nan)
	default:
		return s.axis.value(cell - 1)
	}
}

// stepWriter writes the steps of a forest.
type stepWriter struct {
	f      *forest
	plan   *stepPlan
	shift  uint // the lower half of a node shifted by it is its slot
	nodes  []step
	leaf   []uint32 // of each place: the number of its leaf, else noLeaf
	number []uint32 // of each leaf
	most   int32    // steps that one branch takes
	// first has the first step of each branch once it is written, else 0. It is nil
	// as long as no place leads to what another leads to.
	first  []step
	stack  []stepJob
	next   []stepJob
	depths []int32 // scratch of mean
}

func newStepWriter(f *forest, p *stepPlan, number []uint32) *stepWriter {
	places := len(f.nodes) // when every branch is one step
	w := &stepWriter{
		f: f, plan: p, number: number, shift: uint(p.bits) + gap,
		nodes: make([]step, 0, places), leaf: make([]uint32, 0, places),
	}
	if f.shared {
		w.share()
	}
	return w
}

// share makes room for what several places lead to: in a forest that shares nodes,
// and below a branch of several steps. A step leads beyond the first root, so it is
// not 0.
func (w *stepWriter) share() {
	if w.first == nil {
		w.first = make([]step, len(w.f.nodes))
	}
}

// stepJob is a place that is to lead to a node of the forest.
type stepJob struct {
	at uint32
	to int32
}

// grow returns the first of n new places.
func (w *stepWriter) grow(n int) uint32 {
	at := place(len(w.nodes))
	for range n {
		w.nodes = append(w.nodes, 0)
		w.leaf = append(w.leaf, noLeaf)
	}
	return at
}

// trees writes all trees.
func (w *stepWriter) trees() []stepTree {
	all := make([]stepTree, len(w.f.roots))
	for i, root := range w.f.roots {
		from, t := len(w.nodes), &all[i]
		t.root = w.tree(root)
		t.depth = w.f.height[i] * w.most
		t.usual = min(t.depth, index(bits.Len(uint(len(w.nodes)-from)))+moreSteps)
		t.mean = w.mean(from)
	}
	return all
}

// tree writes the tree of a root and returns its place.
func (w *stepWriter) tree(root int32) uint32 {
	at := w.grow(1)
	w.stack = append(w.stack, stepJob{at, root})
	for len(w.stack) > 0 {
		j := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		from := len(w.stack)
		w.put(j.at, j.to)
		// The places below come right behind, so that levels share a cache line.
		for range levelsALine - 1 {
			w.next = append(w.next[:0], w.stack[from:]...)
			w.stack = w.stack[:from]
			for _, j := range w.next {
				w.put(j.at, j.to)
			}
		}
	}
	return at
}

// levelsALine is how many levels of small nodes a cache line has.
const levelsALine = 3

// put makes a place lead to a node.
func (w *stepWriter) put(at uint32, to int32) {
	for {
		n := &w.f.nodes[to]
		if n.mode == Leaf {
			// No cell is above the highest, so the walk stays here.
			w.nodes[at] = step(at)<<32 | 1<<(w.shift-gap) - 1
			w.leaf[at] = w.number[to]
			return
		}
		if w.first != nil && w.first[to] != 0 {
			w.nodes[at] = w.first[to]
			return
		}
		slot, answer, turns := w.plan.turns(w.f, to)
		if len(turns) > 0 {
			if len(turns) > 1 {
				w.share()
			}
			w.most = max(w.most, index(bits.Len(uint(len(turns)))))
			w.nodes[at] = w.search(n, step(place(slot)<<(w.shift&31)), answer, turns)
			if w.first != nil {
				w.first[to] = w.nodes[at]
			}
			return
		}
		if to = n.no; answer { // the answer is always the same
			to = n.yes
		}
	}
}

// search writes the steps that find which of the stretches between turns a
// cell is in, and returns the first. answer is that of the first stretch.
func (w *stepWriter) search(n *node, slot step, answer bool, turns []int) step {
	mid := len(turns) / 2
	pair := w.grow(2)
	w.side(pair+1, n, slot, answer != (mid%2 == 0), turns[mid+1:])
	w.side(pair, n, slot, answer, turns[:mid])
	return step(pair)<<32 | slot | step(place(turns[mid]-1))
}

func (w *stepWriter) side(at uint32, n *node, slot step, answer bool, turns []int) {
	switch {
	case len(turns) > 0:
		w.nodes[at] = w.search(n, slot, answer, turns)
	case answer:
		w.stack = append(w.stack, stepJob{at, n.yes})
	default:
		w.stack = append(w.stack, stepJob{at, n.no})
	}
}
