package tree

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"onnxgate/internal/onnx/crew"
)

// order maps float64 to uint64 so that the order of numbers is kept. Negative
// zero comes right below zero; NaN has no place. float32 values are widened
// first, which keeps their order too.
func order(x float64) uint64 {
	b := math.Float64bits(x)
	return b ^ (-(b >> 63) | signBit)
}

// unorder is the inverse of order.
func unorder(k uint64) float64 {
	return math.Float64frombits(k ^ (^-(k >> 63) | signBit))
}

const signBit = 1 << 63

// axis cuts the values of one feature into cells within which no branch of the
// forest can tell two values apart. Cell i holds the orders above bounds[i-1]
// and up to bounds[i]; the last cell of numbers goes on to infinity. NaN has
// one more cell where a branch can tell it from infinity.
type axis struct {
	feature int
	n       int      // bounds, without padding
	nan     int      // the cell of NaN, which is the last
	bounds  []uint64 // ascending, then padding that no value exceeds

	// The order of a value, less lo and shifted right, is its bucket; start
	// has the first cell of each. At most steps bounds lie in one bucket; when
	// steps is 0 they are too many, and are searched by halving.
	lo, width uint64 // of the orders with a bucket
	shift     uint
	start     []uint32
	steps     int
}

const (
	maxSteps = 4
	padding  = math.MaxUint64 // above the order of infinity
)

// cells returns the number of cells.
func (a *axis) cells() int { return a.nan + 1 }

// axes returns the axis of every feature that a branch asks for, by feature.
func (f *forest) axes() []axis {
	f.ordered = newOrderedBranches(f)
	byFeature := make([]*axis, f.features)
	top, nan := math.Inf(1), math.NaN()
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.mode == Leaf {
			continue
		}
		a := byFeature[n.feature]
		if a == nil {
			a = &axis{feature: int(n.feature)}
			byFeature[n.feature] = a
		}
		if n.mode.ordered() {
			f.ordered.add(index(i), n)
		} else {
			a.bounds = f.appendBounds(a.bounds, n)
		}
		if a.nan == 0 && f.test(n, top) != f.test(n, nan) {
			a.nan = 1
		}
	}
	byFeature = slices.DeleteFunc(byFeature, func(a *axis) bool { return a == nil })
	all := make([]axis, len(byFeature))
	f.share(len(all), func(i int) {
		a := byFeature[i]
		_, bounds := f.ordered.of(a.feature)
		a.bounds = append(slices.Grow(a.bounds, len(bounds)+maxSteps), bounds...)
		a.build()
		all[i] = *a
	})
	return all
}

// orderedBranches are those branches of a forest that have one bound, by feature:
// what is done for one axis at a time looks at no other nodes.
type orderedBranches struct {
	nodes  []int32
	bounds []uint64
	ends   []int // of each feature's, which begin where those of the feature before end
}

// newOrderedBranches makes room for the branches that add adds.
func newOrderedBranches(f *forest) orderedBranches {
	next := make([]int, f.features+1)
	for i := range f.nodes {
		if n := &f.nodes[i]; n.mode.ordered() {
			next[n.feature+1]++
		}
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	count := next[f.features]
	return orderedBranches{nodes: make([]int32, count), bounds: make([]uint64, count), ends: next[:f.features]}
}

func (o *orderedBranches) add(i int32, n *node) {
	at := &o.ends[n.feature]
	o.nodes[*at], o.bounds[*at] = i, n.bound()
	*at++
}

// of returns the branches that ask for a feature and their bounds.
func (o *orderedBranches) of(feature int) (nodes []int32, bounds []uint64) {
	from, to := 0, o.ends[feature]
	if feature > 0 {
		from = o.ends[feature-1]
	}
	return o.nodes[from:to], o.bounds[from:to]
}

// share calls do once for each number below parts, on two threads where the forest
// is large.
func (f *forest) share(parts int, do func(part int)) {
	const large = 1 << 14 // nodes
	var c *crew.Crew
	if len(f.nodes) >= large {
		c = crew.New(2)
	}
	_ = c.Share(parts, func(i int) error {
		do(i)
		return nil
	})
}

// both calls both, on two threads where the forest is large.
func (f *forest) both(first, second func()) {
	f.share(2, func(i int) { [...]func(){first, second}[i]() })
}

// appendBounds appends the orders after which the answer of n changes.
func (f *forest) appendBounds(dst []uint64, n *node) []uint64 {
	switch n.mode {
	case BranchLEQ, BranchGT, BranchLT, BranchGTE:
		return append(dst, n.bound())
	case BranchEQ, BranchNEQ:
		return append(dst, below(n.value), above(n.value))
	case BranchMember:
		dst = slices.Grow(dst, 2*int(n.last-n.first))
		for _, v := range f.members[n.first:n.last] {
			dst = append(dst, below(v), above(v))
		}
	case Leaf:
	}
	return dst
}

// above returns the last order of a number that equals v.
func above(v float64) uint64 { return order(v + 0) }

// below returns the last order of a number less than v.
func below(v float64) uint64 {
	if v == 0 {
		v = math.Copysign(0, -1)
	}
	return order(v) - 1
}

// appendTurns appends the cells, but for cell 0, in which an answer that
// changes after orders may be another than in the cell before.
func (a *axis) appendTurns(dst []int, orders []uint64) []int {
	dst = slices.Grow(dst, len(orders)+1)
	for _, k := range orders {
		if c := a.position(k) + 1; c < a.cells() {
			dst = append(dst, c)
		}
	}
	return append(dst, a.nan)
}

// build sorts the bounds and makes the buckets.
func (a *axis) build() {
	slices.Sort(a.bounds)
	first, last := order(math.Inf(-1)), order(math.Inf(1))
	a.bounds = slices.DeleteFunc(slices.Compact(a.bounds), func(k uint64) bool { return k < first || k >= last })
	a.n = len(a.bounds)
	a.nan += a.n
	if a.n > 0 {
		a.lo, a.width = a.bounds[0], a.bounds[a.n-1]+1-a.bounds[0]
	}
	a.chooseBuckets()
	a.start = make([]uint32, a.width>>a.shift+2)
	for _, k := range a.bounds {
		a.start[(k-a.lo)>>a.shift+1]++
	}
	for i := 1; i < len(a.start); i++ {
		a.start[i] += a.start[i-1]
	}
	for range max(a.steps, 1) {
		a.bounds = append(a.bounds, padding)
	}
}

// chooseBuckets takes the widest buckets of one bound each, or, where that
// needs too many of them, up to four for each bound.
func (a *axis) chooseBuckets() {
	narrowest := uint(bits.Len64(a.width / uint64(max(1024, 8*a.n)+1))) // of which there are not too many
	// The wider buckets are, the more bounds one holds.
	crowded := sort.Search(int(64-narrowest), func(wider int) bool { return a.occupancy(narrowest+uint(wider)) > 1 })
	if crowded > 0 {
		a.shift, a.steps = narrowest+uint(crowded)-1, 1
		return
	}
	a.shift = narrowest
	for a.width>>a.shift > uint64(max(256, 4*a.n)) {
		a.shift++
	}
	if a.steps = a.occupancy(a.shift); a.steps > maxSteps {
		a.steps = 0
	}
}

// occupancy returns the most bounds that one bucket holds.
func (a *axis) occupancy(shift uint) int {
	most, here, last := 0, 0, uint64(0)
	for _, k := range a.bounds {
		b := (k - a.lo) >> shift
		if b != last {
			here, last = 0, b
		}
		here++
		most = max(most, here)
	}
	return most
}

// cell returns the cell of x.
func (a *axis) cell(x float64) int {
	if x != x {
		return a.nan
	}
	from := clamp(order(x), a.lo, a.width)
	b := from >> (a.shift & 63)
	i := int(a.start[b])
	if a.steps == 0 {
		return halve(a.bounds, i, int(a.start[b+1]), a.lo+from)
	}
	for range a.steps {
		_, above := bits.Sub64(a.bounds[i], a.lo+from, 0)
		i += int(place(above))
	}
	return i
}

// position returns the first bound that is not below k, an order of any value, or
// n: what halve does with all bounds, from the bucket on.
func (a *axis) position(k uint64) int {
	from := clamp(k, a.lo, a.width)
	b := from >> (a.shift & 63)
	return halve(a.bounds, int(a.start[b]), int(a.start[b+1]), a.lo+from)
}

// clamp returns how far k is from lo, at least 0 and at most width. It takes
// no branch: which values are beyond all bounds is hard to predict.
func clamp(k, lo, width uint64) uint64 {
	d, under := bits.Sub64(k, lo, 0)
	d &= under - 1
	left, over := bits.Sub64(width, d, 0)
	return width - left&(over-1)
}

// halve returns the first position in bounds[lo:hi] whose bound is not below
// k, or hi. What it finds on its way decides no branch: there is none to
// mispredict.
func halve(bounds []uint64, lo, hi int, k uint64) int {
	for n := hi - lo; n > 0; {
		half := (n + 1) >> 1
		_, below := bits.Sub64(bounds[lo+half-1], k, 0)
		lo += half & -int(place(below))
		n -= half
	}
	return lo
}

// value returns a value of the cell.
func (a *axis) value(cell int) float64 {
	switch {
	case cell < a.n:
		return unorder(a.bounds[cell])
	case cell == a.n:
		return math.Inf(1)
	default:
		return math.NaN()
	}
}
