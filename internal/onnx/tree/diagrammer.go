package tree

import (
	"encoding/binary"
	"math"
)

// Bounds on a diagram and on the work of making it.
const (
	maxProduct = 1 << 22 // cells of the whole space
	maxStates  = 1 << 15 // of one level
	maxState   = 1 << 23 // bytes of the states of one level
	maxEntries = 1 << 19 // of the finished tables: 1 MiB
	maxResults = 1 << 16
	maxRow     = 1 << 20 // entries of one level before equal rows are merged
	maxScores  = 1 << 17
	maxUnits   = 1 << 24 // steps and leaves summed: some tens of milliseconds
	maxSmall   = 1 << 16 // nodes of the forest
)

// newDiagram returns the diagram of f, or nil when it would be too large.
func newDiagram[T float](f *forest, o *options, finish *finisher[T], all []axis) *diagram[T] {
	product := 1
	for i := range all {
		if product *= all[i].cells(); product > maxProduct {
			return nil
		}
	}
	if f.shared || len(f.nodes) > maxSmall {
		return nil
	}
	leaves, number := f.leafNumbers()
	b := &diagrammer[T]{
		d: &diagram[T]{targets: o.targets, axes: f.byWeight(all)}, res: newResiduals(f),
		tally: newTally[T](f, o, leaves), finish: finish, number: number,
		results: map[string]uint32{}, trees: len(f.roots),
		sums: make([]T, o.targets), leaves: make([]uint32, len(f.roots)),
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
	tally   *tally[T]
	finish  *finisher[T]
	number  []uint32 // of each leaf node
	trees   int
	units   int
	results map[string]uint32

	// scratch
	sums   []T
	leaves []uint32
	key    []byte
}

// level is one level while it is built. A state is what is left of each tree,
// as four bytes of a residual's number each.
type level struct {
	axis   *axis
	states []byte
	ids    map[string]uint32
	rows   []uint32 // cells of the axis for each state: states below, or results
}

func (l *level) intern(state []byte) uint32 {
	if id, ok := l.ids[string(state)]; ok {
		return id
	}
	id := place(len(l.ids))
	l.ids[string(state)] = id
	l.states = append(l.states, state...)
	return id
}

func (b *diagrammer[T]) build(roots []int32) bool {
	first := &level{ids: map[string]uint32{}}
	state := make([]byte, 0, 4*b.trees)
	for _, r := range roots {
		state = binary.LittleEndian.AppendUint32(state, b.res.canon[r])
	}
	first.intern(state)
	levels := []*level{first}
	for i := range b.d.axes {
		l := levels[i]
		l.axis = &b.d.axes[i]
		below := &level{ids: map[string]uint32{}}
		if !b.expand(l, below, i == len(b.d.axes)-1) {
			return false
		}
		l.ids, l.states = nil, nil
		levels = append(levels, below)
	}
	if len(b.d.axes) == 0 {
		b.setLeaves(first.states)
		b.result() // of every row
		return true
	}
	return b.merge(levels[:len(b.d.axes)])
}

// expand fills the rows of l and the states of the level below it, or with
// last the results.
func (b *diagrammer[T]) expand(l, below *level, last bool) bool {
	size, cells := 4*b.trees, l.axis.cells()
	states := len(l.ids)
	if states > maxStates || len(l.states) > maxState || states*cells > maxRow {
		return false
	}
	l.rows = make([]uint32, 0, states*cells)
	head := make([]int32, cells)
	var events []event
	for s := range states {
		state := l.states[s*size : (s+1)*size]
		events = b.events(l.axis, state, head, events[:0])
		if last {
			b.setLeaves(state)
		}
		id := uint32(0)
		for c := range cells {
			if c == 0 || head[c] >= 0 {
				b.apply(state, events, head[c], last)
				if last {
					id = b.result()
				} else {
					id = below.intern(state)
				}
			}
			l.rows = append(l.rows, id)
		}
		b.units += cells + len(events) + b.trees
		if b.units+b.res.units > maxUnits || len(b.d.labels) > maxResults || len(b.d.scores) > maxScores {
			return false
		}
	}
	return true
}

// event says what is left of a tree from one cell on.
type event struct {
	tree int
	left uint32
	next int32 // the next event of the same cell, or -1
}

// events lists what changes along an axis for a state, by cell, and puts the
// trees of the state into cell 0.
func (b *diagrammer[T]) events(a *axis, state []byte, head []int32, events []event) []event {
	for c := range head {
		head[c] = -1
	}
	for t := range b.trees {
		r := binary.LittleEndian.Uint32(state[4*t:])
		stretches := b.res.along(a, r)
		binary.LittleEndian.PutUint32(state[4*t:], stretches[0].left)
		for _, s := range stretches[1:] {
			events = append(events, event{tree: t, left: s.left, next: head[s.cell]})
			head[s.cell] = index(len(events) - 1)
		}
	}
	return events
}

// apply brings a state to the cell whose events begin at e.
func (b *diagrammer[T]) apply(state []byte, events []event, e int32, last bool) {
	for ; e >= 0; e = events[e].next {
		ev := &events[e]
		binary.LittleEndian.PutUint32(state[4*ev.tree:], ev.left)
		if last {
			b.leaves[ev.tree] = b.number[ev.left]
		}
	}
}

// setLeaves takes the leaves of a state in which every tree is one.
func (b *diagrammer[T]) setLeaves(state []byte) {
	for t := range b.leaves {
		b.leaves[t] = b.number[binary.LittleEndian.Uint32(state[4*t:])]
	}
}

// result returns the number of the result that b.leaves give.
func (b *diagrammer[T]) result() uint32 {
	b.units += b.trees
	b.tally.sum(b.leaves, b.sums)
	label := b.finish.finish(b.sums)
	b.key = binary.LittleEndian.AppendUint32(b.key[:0], place(label))
	for _, s := range b.sums {
		b.key = binary.LittleEndian.AppendUint64(b.key, math.Float64bits(float64(s)))
	}
	if id, ok := b.results[string(b.key)]; ok {
		return id
	}
	id := place(len(b.d.labels))
	b.results[string(b.key)] = id
	b.d.scores = append(b.d.scores, b.sums...)
	b.d.labels = append(b.d.labels, label)
	return id
}

// merge writes the tables, the last level first, so that states whose rows are
// equal become one.
func (b *diagrammer[T]) merge(levels []*level) bool {
	b.d.next = make([][]uint16, len(levels))
	var merged []uint32 // of each state of the level below
	entries := 0
	for i := len(levels) - 1; i >= 0; i-- {
		l := levels[i]
		cells := l.axis.cells()
		known, here := map[string]uint32{}, make([]uint32, len(l.rows)/cells)
		for s := range here {
			b.key = b.key[:0]
			for _, id := range l.rows[s*cells : (s+1)*cells] {
				if merged != nil {
					id = merged[id]
				}
				b.key = binary.LittleEndian.AppendUint16(b.key, short(id))
			}
			at, ok := known[string(b.key)]
			if !ok {
				at = place(len(known))
				known[string(b.key)] = at
				for c := range cells {
					b.d.next[i] = append(b.d.next[i], binary.LittleEndian.Uint16(b.key[2*c:]))
				}
			}
			here[s] = at
		}
		if entries += len(b.d.next[i]); entries > maxEntries {
			return false
		}
		merged = here
	}
	return true
}

// short narrows the number of a state or a result: see maxStates, maxResults.
func short[I uint32](i I) uint16 { return uint16(i) }
