package tree

import (
	"encoding/binary"
	"math"
	"slices"
)

// residuals are what is left of trees when some features are fixed. Equal ones
// of one tree have one number; the nodes of the forest come first, with their
// own numbers. The forest shares no nodes.
type residuals struct {
	f       *forest
	leaf    []uint32 // of each node of the forest that is a leaf: its number
	votes   []uint64 // of each leaf, packed as counts do; nil for none
	nodes   []residual
	numbers lookup   // of those after the nodes of the forest
	canon   []uint32 // of each node of the forest: the one that stands for it
	// known has the stretches of a residual along the axis of the level that
	// it was last asked for.
	known  []stretches
	lists  []stretch // of all known
	cells  []int     // scratch
	orders []uint64  // scratch
	key    []byte    // scratch
	budget *budget
}

type residual struct {
	origin  uint32 // the forest's node that it asks for, or is
	yes, no uint32
}

// unsettled marks what is left of a tree where that is the number of a
// residual. Without it, it is the number of a leaf.
const unsettled = 1 << 31

// stretch is what is left of a tree from one cell of an axis on.
type stretch struct {
	cell   uint32
	left   uint32 // a leaf, or unsettled
	change uint64 // what it adds to the votes, other than the stretch before
}

// stretches are a part of lists.
type stretches struct {
	axis        *axis // nil for none
	first, last uint32
}

func newResiduals(f *forest, leaf []uint32, budget *budget) *residuals {
	n := len(f.nodes)
	r := &residuals{
		f: f, leaf: leaf, nodes: make([]residual, 0, 2*n), numbers: newLookup(), canon: f.sameLeaves(),
		known: make([]stretches, n, 2*n), budget: budget,
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		t := residual{origin: uint32(i)}
		if n.mode != Leaf {
			t.yes, t.no = r.canon[n.yes], r.canon[n.no]
		}
		r.nodes = append(r.nodes, t)
	}
	return r
}

// sameLeaves maps each leaf to the first that votes the same, since nothing
// else can tell them apart, and each branch to itself.
func (f *forest) sameLeaves() []uint32 {
	same, first := make([]uint32, len(f.nodes)), map[string]uint32{}
	var key []byte
	for i := range f.nodes {
		n := &f.nodes[i]
		same[i] = uint32(i)
		if n.mode != Leaf {
			continue
		}
		key = key[:0]
		for _, v := range n.votes(f) {
			key = binary.LittleEndian.AppendUint32(key, place(v.target))
			key = binary.LittleEndian.AppendUint64(key, math.Float64bits(v.weight))
		}
		if l, ok := first[string(key)]; ok {
			same[i] = l
		} else {
			first[string(key)] = same[i]
		}
	}
	return same
}

// rest returns what is left of a tree that n stands for.
func (r *residuals) rest(n uint32) uint32 {
	if origin := r.nodes[n].origin; r.f.nodes[origin].mode == Leaf {
		return r.leaf[origin]
	}
	return unsettled | n
}

// counted returns the votes of what is left of a tree.
func (r *residuals) counted(left uint32) uint64 {
	if r.votes == nil || left >= unsettled {
		return 0
	}
	return r.votes[left]
}

// along returns what an unsettled rest leaves in the cells of an axis,
// beginning at cell 0.
func (r *residuals) along(a *axis, left uint32) []stretch {
	n := left &^ unsettled
	k := r.known[n]
	if k.axis != a {
		k = r.follow(a, n)
	}
	return r.lists[k.first:k.last]
}

// follow finds the stretches of n along an axis.
func (r *residuals) follow(a *axis, n uint32) stretches {
	first := place(len(r.lists))
	r.cells = r.changes(a, n, append(r.cells[:0], 0))
	r.budget.spend(len(r.cells) * stepWork)
	slices.Sort(r.cells)
	last, votes := uint32(math.MaxUint32), uint64(0)
	for _, c := range slices.Compact(r.cells) {
		to := n
		if !r.budget.spent() { // or else the caller gives up
			to = r.fix(n, a.feature, a.value(c))
		}
		if to == last {
			continue
		}
		left := r.rest(to)
		now := r.counted(left)
		r.budget.take(stretchMemory)
		r.lists = append(double(r.lists), stretch{place(c), left, now - votes})
		last, votes = to, now
	}
	r.known[n] = stretches{a, first, place(len(r.lists))}
	return r.known[n]
}

// changes appends the cells in which a branch of n may change its answer.
func (r *residuals) changes(a *axis, n uint32, cells []int) []int {
	r.budget.spend(stepWork)
	t := r.nodes[n]
	origin := &r.f.nodes[t.origin]
	if len(cells) > maxTurns {
		r.budget.giveUp()
	}
	if origin.mode == Leaf || r.budget.spent() {
		return cells
	}
	if int(origin.feature) == a.feature {
		r.orders = r.f.appendBounds(r.orders[:0], origin)
		cells = a.appendTurns(cells, r.orders)
	}
	return r.changes(a, t.no, r.changes(a, t.yes, cells))
}

// fix returns what is left of n when a feature has a value.
func (r *residuals) fix(n uint32, feature int, x float64) uint32 {
	r.budget.spend(stepWork)
	t := r.nodes[n]
	origin := &r.f.nodes[t.origin]
	switch {
	case origin.mode == Leaf || r.budget.spent():
		return n
	case int(origin.feature) != feature:
		return r.number(n, residual{t.origin, r.fix(t.yes, feature, x), r.fix(t.no, feature, x)})
	case r.f.test(origin, x):
		return r.fix(t.yes, feature, x)
	default:
		return r.fix(t.no, feature, x)
	}
}

// number returns the number of t, which n has become.
func (r *residuals) number(n uint32, t residual) uint32 {
	if t.yes == t.no {
		return t.yes
	}
	if t == r.nodes[n] {
		return n
	}
	first := place(len(r.f.nodes))
	r.key = binary.LittleEndian.AppendUint32(r.key[:0], t.origin)
	r.key = binary.LittleEndian.AppendUint32(r.key, t.yes)
	r.key = binary.LittleEndian.AppendUint32(r.key, t.no)
	id, known := r.numbers.number(r.numbers.hashBytes(r.key), func(id uint32) bool { return r.nodes[first+id] == t })
	if !known {
		r.budget.take(residualMemory)
		r.nodes = append(double(r.nodes), t)
		r.known = append(double(r.known), stretches{})
	}
	return first + id
}
