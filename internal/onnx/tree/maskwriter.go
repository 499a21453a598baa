package tree

import "slices"

// maskWriter writes the sets of a forest.
type maskWriter struct {
	f        *forest
	leaves   []int32    // of each bit of all words: its leaf, or -1
	used     []uint64   // the bits that are leaves; empty when a tree has too many
	below    []bitRange // of each node
	branches [][]int32  // of each axis, in the order of their words
	axisOf   []int      // by feature

	orders []uint64 // scratch
	turns  []int    // scratch
}

// bitRange has the bits of the leaves below a node. They are of one word.
type bitRange struct{ first, last int32 }

// set returns the bits within their word.
func (r bitRange) set() uint64 {
	return (1<<(r.last-r.first) - 1) << (r.first % wordBits)
}

// newMaskWriter gives each leaf a bit, in the order of the trees, so that the
// leaves below a node come one after the other.
func newMaskWriter(f *forest, all []axis) *maskWriter {
	w := &maskWriter{
		f: f, below: make([]bitRange, len(f.nodes)), branches: make([][]int32, len(all)), axisOf: make([]int, f.features),
	}
	for i := range all {
		w.axisOf[all[i].feature] = i
	}
	for _, root := range f.roots {
		leaves := f.leavesBelow(root)
		if leaves > wordBits {
			return w
		}
		if free := -len(w.leaves) & (wordBits - 1); leaves > free {
			w.fill(free)
		}
		w.number(root)
	}
	w.fill(-len(w.leaves) & (wordBits - 1))
	w.used = make([]uint64, len(w.leaves)/wordBits)
	for i, l := range w.leaves {
		if l >= 0 {
			w.used[i/wordBits] |= 1 << (i % wordBits)
		}
	}
	return w
}

// leavesBelow returns how many leaves are below a node.
func (f *forest) leavesBelow(n int32) int {
	if node := &f.nodes[n]; node.mode != Leaf {
		return f.leavesBelow(node.yes) + f.leavesBelow(node.no)
	}
	return 1
}

// fill leaves n bits unused.
func (w *maskWriter) fill(n int) {
	for range n {
		w.leaves = append(w.leaves, -1)
	}
}

// number gives bits to the leaves below a node, and lists the branches.
func (w *maskWriter) number(n int32) {
	first := index(len(w.leaves))
	if node := &w.f.nodes[n]; node.mode == Leaf {
		w.leaves = append(w.leaves, n)
	} else {
		branches := &w.branches[w.axisOf[node.feature]]
		*branches = append(*branches, n)
		w.number(node.yes)
		w.number(node.no)
	}
	w.below[n] = bitRange{first, index(len(w.leaves))}
}

// sets returns for each cell of an axis the leaves that its branches let
// through.
func (w *maskWriter) sets(a *axis, branches []int32) []uint64 {
	words := len(w.used)
	sets := make([]uint64, a.cells()*words)
	copy(sets, w.used)
	for len(branches) > 0 {
		word, n := w.word(branches[0]), 1
		for n < len(branches) && w.word(branches[n]) == word {
			n++
		}
		for _, c := range w.changes(a, branches[:n]) {
			sets[c*words+word] = w.through(branches[:n], a.value(c)) & w.used[word]
		}
		branches = branches[n:]
	}
	// A word is never zero: of each tree some leaf is let through. Where it
	// is, it is that of the cell before.
	for i := words; i < len(sets); i++ {
		if sets[i] == 0 {
			sets[i] = sets[i-words]
		}
	}
	return sets
}

// word returns the word that has the leaves below a node.
func (w *maskWriter) word(n int32) int { return int(w.below[n].first / wordBits) }

// changes returns the cells in which a branch may change its answer, and cell
// 0, until the next call.
func (w *maskWriter) changes(a *axis, branches []int32) []int {
	w.turns = append(w.turns[:0], 0)
	for _, n := range branches {
		w.orders = w.f.appendBounds(w.orders[:0], &w.f.nodes[n])
		w.turns = a.appendTurns(w.turns, w.orders)
	}
	slices.Sort(w.turns)
	return slices.Compact(w.turns)
}

// through returns the bits of a word without the leaves on the other side of
// its branches.
func (w *maskWriter) through(branches []int32, x float64) uint64 {
	set := ^uint64(0)
	for _, i := range branches {
		n := &w.f.nodes[i]
		other := n.yes
		if w.f.test(n, x) {
			other = n.no
		}
		set &^= w.below[other].set()
	}
	return set
}
