package tree

import (
	"math/bits"
	"sync"
)

// masks is the layout of a middling ensemble of few features. Each leaf is a
// bit, and a cell of a feature has the set of all leaves that a row in it can
// still reach: the intersection over the features leaves one of each tree. So
// a row takes a pass over a few arrays in order and no walk at all.
//
// It is the idea of QuickScorer (Lucchese et al., SIGIR 2015), with the
// branches of each feature put together beforehand.
type masks[T float] struct {
	find  *finder[T]
	sets  [][]uint64 // of each axis: words for each cell
	words int
	tally *tally[T] // a leaf's number is its bit
	final *finisher[T]
	pool  sync.Pool // *maskScratch
}

// maskScratch is the working memory of one call.
type maskScratch struct {
	cells  []uint32   // of a row, by axis
	rows   [][]uint64 // the set of the cell on each axis, the last one repeated
	set    []uint64
	leaves []uint32
}

// Bounds on masks.
const (
	wordBits     = 64
	maxMaskWords = 1 << 19 // of the sets: 4 MiB
	// A step of a walk takes about as long as two words or more.
	wordsAStep = 2
	// Every member in turn asks all branches whose leaves are in one word.
	maxMaskMembers = 1 << 12
)

// newMasks returns nil for a forest that is better walked, or whose sets would
// be too large. A tree must have all its leaves in one word.
func newMasks[T float](f *forest, o *options, finish *finisher[T], all []axis) *masks[T] {
	if f.shared || len(all) == 0 || len(f.nodes) > maxSmall || f.features > maxSmall || len(f.members) > maxMaskMembers {
		return nil
	}
	w := newMaskWriter(f, all)
	steps, cells := 0, 0
	for _, h := range f.height {
		steps += int(h)
	}
	for i := range all {
		cells += all[i].cells()
	}
	if words := len(w.used); words == 0 || words*len(all) > wordsAStep*steps || cells > maxMaskWords/words {
		return nil
	}
	m := &masks[T]{words: len(w.used), tally: newTally[T](f, o, w.leaves), final: finish}
	slots := make([]slot, len(all))
	for i := range all {
		slots[i].axis = all[i]
		m.sets = append(m.sets, w.sets(&all[i], w.branches[i]))
	}
	m.find = newFinder[T](slots)
	trees := len(f.roots)
	m.pool.New = func() any {
		return &maskScratch{
			cells: make([]uint32, len(all)), rows: make([][]uint64, (len(all)+together-1)/together*together),
			set: make([]uint64, m.words), leaves: make([]uint32, trees),
		}
	}
	return m
}

// run evaluates rows: see layout.
func (m *masks[T]) run(x []T, cols int, scores []T, labels []int32) {
	b, ok := m.pool.Get().(*maskScratch)
	if !ok {
		return // the pool holds nothing else
	}
	defer m.pool.Put(b)
	k := m.tally.targets
	for r := range len(scores) / k {
		row, sums := x[r*cols:(r+1)*cols], scores[r*k:(r+1)*k]
		m.find.cells(row, b.cells)
		for i, cell := range b.cells {
			c := int(cell)
			b.rows[i] = m.sets[i][c*m.words : (c+1)*m.words]
		}
		for i := len(b.cells); i < len(b.rows); i++ {
			b.rows[i] = b.rows[i-1]
		}
		m.tally.sum(b.reached(), sums)
		label := m.final.finish(sums)
		if labels != nil {
			labels[r] = label
		}
	}
}

const together = 4 // sets intersected at once

// reached returns the bits that all sets have: one leaf for each tree, in
// order.
func (b *maskScratch) reached() []uint32 {
	set, rows := b.set, b.rows
	copy(set, rows[0])
	for ; len(rows) >= together; rows = rows[together:] {
		intersect(set, rows[0], rows[1], rows[2], rows[3])
	}
	leaves, n := b.leaves, 0
	for i, w := range set {
		for ; w != 0; w &= w - 1 {
			leaves[n] = place(i*wordBits) + place(bits.TrailingZeros64(w))
			n++
		}
	}
	return leaves[:n]
}

// intersect takes out of set what is not in all others.
func intersect(set, a, b, c, d []uint64) {
	n := len(set)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	for i, w := range set {
		set[i] = w & a[i] & b[i] & c[i] & d[i]
	}
}
