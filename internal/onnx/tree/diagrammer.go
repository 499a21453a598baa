package tree

import (
	"encoding/binary"
	"math"
	"slices"
)

// Bounds on a diagram and on the work of making it.
const (
	maxProduct = 1 << 22 // cells of the whole space
	maxStates  = 1 << 15 // of one level
	maxEntries = 1 << 19 // of the finished tables: 1 MiB
	maxResults = 1 << 16
	maxRow     = 1 << 20 // entries of one level before equal rows are merged
	maxScores  = 1 << 17
	maxSmall   = 1 << 16 // nodes of the forest, and its features
)

// newDiagram returns the diagram of f, or nil when it would be too large.
func newDiagram[T float](f *forest, o *options, finish *finisher[T], all []axis) *diagram[T] {
	product := 1
	for i := range all {
		if product *= all[i].cells(); product > maxProduct {
			return nil
		}
	}
	if f.shared || len(f.nodes) > maxSmall || f.features > maxSmall || o.targets > maxScores {
		return nil
	}
	budget := newBudget(f, o.budget)
	defer budget.settle()
	if budget.spent() {
		return nil
	}
	leaves, number := f.leafNumbers()
	b := &diagrammer[T]{
		d: &diagram[T]{targets: o.targets, axes: f.byWeight(all)}, res: newResiduals(f, number, budget),
		budget: budget, counts: newCounts[T](f, o, leaves), finish: finish, results: newInterned(), rows: newLookup(),
		sums: make([]T, o.targets),
	}
	if b.counts != nil {
		b.res.votes = b.counts.leaves
	} else {
		b.tally = newTally[T](f, o, leaves)
	}
	if !b.build(f.roots) {
		return nil
	}
	return b.d
}

// diagrammer builds a diagram: the levels from the root down, then their
// tables from the last up, merging equal rows.
type diagrammer[T float] struct {
	d       *diagram[T]
	res     *residuals
	counts  *counts[T] // or nil
	tally   *tally[T]  // without counts
	finish  *finisher[T]
	budget  *budget
	results *interned // labels and scores
	rows    lookup    // of one level's rows

	// The state that is worked on: the votes counted so far, which stay zero
	// without counts, and what is left of each tree whose votes are not.
	votes uint64
	left  []uint32

	// scratch
	events []event
	head   []int32 // by cell: the first event, or -1
	sums   []T
	key    []byte
}

// level is one level while it is built.
type level struct {
	axis   *axis
	states *interned
	rows   []uint16 // cells of the axis for each state: states below, or results
}

func (b *diagrammer[T]) build(roots []int32) bool {
	for _, r := range roots {
		left := b.res.rest(b.res.canon[r])
		b.left = append(b.left, left)
		b.votes += b.res.counted(left)
	}
	if len(b.d.axes) == 0 {
		b.result() // of every row
		return true
	}
	states, below := newInterned(), newInterned()
	states.intern(b.state())
	levels := make([]level, len(b.d.axes))
	for i := range levels {
		l := &levels[i]
		l.axis, l.states = &b.d.axes[i], states
		var ok bool
		switch {
		case i < len(levels)-1:
			ok = b.expand(l, below)
		case b.counts != nil:
			ok = b.countLast(l)
		default:
			ok = b.expand(l, nil)
		}
		if !ok {
			return false
		}
		l.states, states, below = nil, below, states
		below.clear()
	}
	return b.merge(levels)
}

// expand fills the rows of l and the states of the level below it; without
// those, it is the last, and its rows have results.
func (b *diagrammer[T]) expand(l *level, below *interned) bool {
	states, cells := l.states.n, l.axis.cells()
	if states*cells > maxRow {
		return false
	}
	b.budget.take(2*states*cells + 4*cells)
	l.rows = make([]uint16, 0, states*cells)
	b.head = slices.Grow(b.head[:0], cells)[:cells]
	for s := range states {
		b.load(l.axis, l.states.at(place(s)))
		id := uint32(0)
		for c, first := range b.head {
			if c == 0 || first >= 0 {
				b.enter(first)
				if below == nil {
					id = b.result()
				} else {
					id = b.intern(below, b.state())
					b.budget.spend(len(b.left) / restsAUnit)
				}
				if b.tooLarge(below) {
					return false
				}
			}
			l.rows = append(l.rows, short(id))
		}
		b.budget.spend(cells + len(b.events) + len(b.left))
	}
	return true
}

// tooLarge reports whether a bound is exceeded.
func (b *diagrammer[T]) tooLarge(below *interned) bool {
	return below != nil && below.n > maxStates || b.budget.spent() ||
		len(b.d.labels) > maxResults || len(b.d.scores) > maxScores
}

// event says what is left of a tree from one cell on.
type event struct {
	tree   int32 // its position in diagrammer.left
	next   int32 // the next event of the same cell, or -1
	left   uint32
	change uint64 // of the votes
}

// state returns the state as bytes, until the next call.
func (b *diagrammer[T]) state() []byte {
	key := binary.LittleEndian.AppendUint64(b.key[:0], b.votes)
	for _, left := range b.left {
		if b.counts == nil || left >= unsettled {
			key = binary.LittleEndian.AppendUint32(key, left)
		}
	}
	b.key = key
	return key
}

// load makes the state that bytes tell the one to work on, in cell 0 of an
// axis, and lists the events of the cells.
func (b *diagrammer[T]) load(a *axis, state []byte) {
	head, events, trees := b.head, b.events[:0], b.left[:0]
	for c := range head {
		head[c] = -1
	}
	b.votes = binary.LittleEndian.Uint64(state)
	for state = state[8:]; len(state) > 0; state = state[4:] {
		left := binary.LittleEndian.Uint32(state)
		if left >= unsettled {
			stretches := b.res.along(a, left)
			for _, s := range stretches[1:] {
				events = append(double(events), event{index(len(trees)), head[s.cell], s.left, s.change})
				head[s.cell] = index(len(events) - 1)
			}
			left = stretches[0].left
			b.votes += stretches[0].change
		}
		trees = append(trees, left)
	}
	b.events, b.left = events, trees
}

// enter brings the state to the cell whose events begin at e.
func (b *diagrammer[T]) enter(e int32) {
	for ; e >= 0; e = b.events[e].next {
		ev := &b.events[e]
		b.left[ev.tree] = ev.left
		b.votes += ev.change
	}
}

// result returns the number of the state's result. Every tree is settled.
func (b *diagrammer[T]) result() uint32 {
	if b.counts != nil {
		return b.countedResult(b.votes)
	}
	b.budget.spend(b.tally.work(b.left)/votesAUnit + len(b.sums))
	b.tally.sum(b.left, b.sums)
	return b.finished()
}

// countLast fills the rows of the last level from counts. What is left of each
// tree is no longer of interest then, so it takes the sum of the changes.
func (b *diagrammer[T]) countLast(l *level) bool {
	states, cells := l.states.n, l.axis.cells()
	if states*cells > maxRow {
		return false
	}
	b.budget.take(2*states*cells + 8*cells)
	l.rows = make([]uint16, states*cells)
	changes := make([]uint64, cells)
	for s := range states {
		row := l.rows[s*cells : (s+1)*cells]
		clear(changes)
		state := l.states.at(place(s))
		votes := binary.LittleEndian.Uint64(state)
		work := cells
		for i := 8; i < len(state); i += 4 {
			stretches := b.res.along(l.axis, binary.LittleEndian.Uint32(state[i:]))
			for _, s := range stretches {
				changes[s.cell] += s.change
			}
			work += len(stretches)
		}
		id := uint32(0)
		for c, change := range changes {
			if c == 0 || change != 0 {
				votes += change
				id = b.countedResult(votes)
			}
			row[c] = short(id)
		}
		b.budget.spend(work)
		if b.tooLarge(nil) {
			return false
		}
	}
	return true
}

// countedResult returns the number of the result of packed counts.
func (b *diagrammer[T]) countedResult(votes uint64) uint32 {
	return b.counts.result(votes, func() uint32 {
		b.budget.take(countMemory)
		b.budget.spend(len(b.sums))
		b.counts.sum(votes, b.sums)
		return b.finished()
	})
}

// finished returns the number of the result that b.sums give.
func (b *diagrammer[T]) finished() uint32 {
	label := b.finish.finish(b.sums)
	key := binary.LittleEndian.AppendUint32(b.key[:0], place(label))
	for _, s := range b.sums {
		key = binary.LittleEndian.AppendUint64(key, math.Float64bits(float64(s)))
	}
	b.key = key
	id := b.intern(b.results, key)
	if int(id) == len(b.d.labels) {
		b.d.scores = append(b.d.scores, b.sums...)
		b.d.labels = append(b.d.labels, label)
	}
	return id
}

// intern returns the number of a string in s.
func (b *diagrammer[T]) intern(s *interned, key []byte) uint32 {
	n := s.n
	id := s.intern(key)
	if s.n > n {
		b.budget.take(2*len(key) + stringMemory)
	}
	return id
}

// merge makes the tables of the rows, the last level first, so that states
// whose rows are equal become one.
func (b *diagrammer[T]) merge(levels []level) bool {
	b.d.next = make([][]uint16, len(levels))
	var merged []uint16 // of each state of the level below
	entries := 0
	for i := len(levels) - 1; i >= 0; i-- {
		cells := levels[i].axis.cells()
		b.d.next[i], merged = b.mergeRows(levels[i].rows, cells, merged)
		if entries += len(b.d.next[i]); entries > maxEntries {
			return false
		}
	}
	return true
}

// mergeRows returns the rows without those that are equal, made in their
// memory, and for each row the one that it has become. With merged, the rows
// first go on to what their states have become.
func (b *diagrammer[T]) mergeRows(rows []uint16, cells int, merged []uint16) (table, became []uint16) {
	b.rows.clear()
	key := b.key
	for from := 0; from < len(rows); from += cells {
		row := rows[from : from+cells]
		key = key[:0]
		for c := range row {
			if merged != nil {
				row[c] = merged[row[c]]
			}
			key = binary.LittleEndian.AppendUint16(key, row[c])
		}
		id, ok := b.rows.number(b.rows.hashBytes(key), func(id uint32) bool {
			return slices.Equal(table[int(id)*cells:(int(id)+1)*cells], row)
		})
		became = append(became, short(id))
		if !ok {
			// The row is moved to the front, where no row is left to read.
			table = append(rows[:len(table)], row...)
		}
	}
	return table, became
}

// short narrows the number of a state or a result: see maxStates, maxResults.
func short[I uint32](i I) uint16 { return uint16(i) }
