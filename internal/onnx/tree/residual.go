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
	nodes   []residual
	numbers map[residual]uint32
	canon   []uint32 // of each node of the forest: the one that stands for it
	// known has the stretches of a residual along the axis of the level that
	// it was last asked for.
	known []stretches
	units int // steps taken
}

type residual struct {
	origin  uint32 // the forest's node that it asks for, or is
	yes, no uint32
}

// stretch is what a tree leaves from one cell of an axis on.
type stretch struct {
	cell int
	left uint32
}

type stretches struct {
	feature int // plus 1
	list    []stretch
}

func newResiduals(f *forest) *residuals {
	r := &residuals{f: f, numbers: map[residual]uint32{}, known: make([]stretches, len(f.nodes))}
	r.canon = f.sameLeaves()
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

// along returns what r leaves in the cells of an axis, beginning at cell 0.
func (r *residuals) along(a *axis, n uint32) []stretch {
	if k := &r.known[n]; k.feature == a.feature+1 {
		return k.list
	}
	cells := r.changes(a, n, []int{0})
	slices.Sort(cells)
	list := make([]stretch, 0, len(cells))
	for _, c := range slices.Compact(cells) {
		if r.units > maxUnits {
			return []stretch{{0, n}} // the caller gives up
		}
		left := r.fix(n, a.feature, a.value(c))
		if len(list) == 0 || list[len(list)-1].left != left {
			list = append(list, stretch{c, left})
		}
	}
	r.known[n] = stretches{a.feature + 1, list}
	return list
}

// changes appends the cells in which a branch of n may change its answer.
func (r *residuals) changes(a *axis, n uint32, cells []int) []int {
	r.units++
	t := r.nodes[n]
	origin := &r.f.nodes[t.origin]
	if origin.mode == Leaf {
		return cells
	}
	if int(origin.feature) == a.feature {
		for _, k := range r.f.appendBounds(nil, origin) {
			if c := halve(a.bounds, 0, a.n, k) + 1; c < a.cells() {
				cells = append(cells, c)
			}
		}
		cells = append(cells, a.nan)
	}
	return r.changes(a, t.no, r.changes(a, t.yes, cells))
}

// fix returns what is left of n when a feature has a value.
func (r *residuals) fix(n uint32, feature int, x float64) uint32 {
	r.units++
	t := r.nodes[n]
	origin := &r.f.nodes[t.origin]
	switch {
	case origin.mode == Leaf:
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
	if id, ok := r.numbers[t]; ok {
		return id
	}
	id := place(len(r.nodes))
	r.nodes = append(r.nodes, t)
	r.known = append(r.known, stretches{})
	r.numbers[t] = id
	return id
}
