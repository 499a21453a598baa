package tree

import (
	"math"
	"sync"
)

// direct is the layout of a few trees: walks compare the row's values themselves.
// Other layouts find the cell of every feature first, which takes longer than a
// few trees that ask for some of them.
type direct[T float] struct {
	nodes []directNode[T]
	roots []uint32
	leaf  []uint32 // of each place: the number of its leaf
	cost  int      // of a row, about as many steps
	tally *tally[T]
	final *finisher[T]
	pool  sync.Pool // *[directRows]uint32
}

// directNode is a branch, or a leaf, which leads to itself.
type directNode[T float] struct {
	bound   T // the highest value that leads to the first place below
	feature uint32
	below   uint32 // the first of the two places
	nan     uint32 // which of them NaN leads to
}

const (
	directRows  = 256 // rows that take one tree after the other
	directLanes = 4   // walks side by side
	// Measured in steps, so that the pick of BenchmarkDirect is right: finding one
	// cell, adding a leaf's votes, and what walking by cells takes beside its steps.
	cellCost, voteCost, cellsCost = 3, 2, 32
)

// newDirect returns nil for a forest of many steps, and for one whose branches ask
// for more than an order.
func newDirect[T float](f *forest, o *options, finish *finisher[T], most int) *direct[T] {
	if f.shared || len(f.nodes) > maxSmall || len(f.roots)*voteCost > most {
		return nil
	}
	leaves, number := f.leafNumbers()
	w := directWriter[T]{f: f, number: number, d: &direct[T]{final: finish}}
	for _, root := range f.roots {
		mean, ordered := w.tree(root)
		if w.d.cost += mean + voteCost; !ordered || w.d.cost > most {
			return nil
		}
	}
	w.d.tally = newTally[T](f, o, leaves)
	w.d.pool.New = func() any { return new([directRows]uint32) }
	return w.d
}

// directWriter writes the nodes of a forest.
type directWriter[T float] struct {
	f      *forest
	number []uint32 // of each leaf
	d      *direct[T]
}

// tree appends a tree. It returns how many steps its average leaf is away, and
// whether all its branches ask for an order.
func (w *directWriter[T]) tree(root int32) (mean int, ordered bool) {
	type job struct {
		at    int
		node  int32
		depth int
	}
	leaves, total := 0, 0
	w.d.roots = append(w.d.roots, w.grow(1))
	for next := []job{{len(w.d.nodes) - 1, root, 0}}; len(next) > 0; {
		j := next[len(next)-1]
		next = next[:len(next)-1]
		n := &w.f.nodes[j.node]
		if n.mode == Leaf {
			leaves, total = leaves+1, total+j.depth
			w.d.nodes[j.at] = directNode[T]{bound: T(math.Inf(1)), below: place(j.at)}
			w.d.leaf[j.at] = w.number[j.node]
			continue
		}
		if !n.mode.ordered() {
			return 0, false
		}
		first, second := n.no, n.yes
		if n.mode == BranchLEQ || n.mode == BranchLT {
			first, second = n.yes, n.no
		}
		below := w.grow(2)
		b := directNode[T]{bound: floor[T](w.f.appendBounds(nil, n)[0]), feature: place(n.feature), below: below}
		if w.f.test(n, math.NaN()) == (second == n.yes) {
			b.nan = 1
		}
		w.d.nodes[j.at] = b
		next = append(next, job{int(below), first, j.depth + 1}, job{int(below) + 1, second, j.depth + 1})
	}
	return (total + leaves - 1) / leaves, true
}

// grow returns the first of n new places.
func (w *directWriter[T]) grow(n int) uint32 {
	at := place(len(w.d.nodes))
	for range n {
		w.d.nodes, w.d.leaf = append(w.d.nodes, directNode[T]{}), append(w.d.leaf, noLeaf)
	}
	return at
}

// run evaluates rows: see layout.
func (d *direct[T]) run(x []T, cols int, scores []T, labels []int32) {
	for i := range scores {
		scores[i] = unvoted[T]()
	}
	k := d.tally.targets
	if len(scores) == k {
		d.one(x, scores)
		d.final.finishRows(scores, k, labels)
		return
	}
	at, ok := d.pool.Get().(*[directRows]uint32)
	if !ok {
		return // the pool holds nothing else
	}
	defer d.pool.Put(at)
	for first, rows := 0, len(scores)/k; first < rows; first += directRows {
		end := min(first+directRows, rows)
		d.block(x[first*cols:end*cols], cols, at[:end-first], scores[first*k:end*k])
		d.final.finishRows(scores[first*k:end*k], k, between(labels, first, end))
	}
}

// block sums some rows, each of which meets the trees in their order.
func (d *direct[T]) block(x []T, cols int, at []uint32, sums []T) {
	for _, root := range d.roots {
		r := 0
		for ; r+directLanes <= len(at); r += directLanes {
			own := x[r*cols : (r+directLanes)*cols]
			a := d.walk(root, root, root, root, own[:cols], own[cols:2*cols], own[2*cols:3*cols], own[3*cols:])
			at[r], at[r+1], at[r+2], at[r+3] = d.leaf[a[0]], d.leaf[a[1]], d.leaf[a[2]], d.leaf[a[3]]
		}
		for ; r < len(at); r++ {
			at[r] = d.leaf[d.walkOne(root, x[r*cols:(r+1)*cols])]
		}
		d.tally.add(at, sums)
	}
}

// one sums one row, which walks some trees side by side.
func (d *direct[T]) one(x, sums []T) {
	var leaves [directLanes]uint32
	roots := d.roots
	for ; len(roots) >= directLanes; roots = roots[directLanes:] {
		for i, a := range d.walk(roots[0], roots[1], roots[2], roots[3], x, x, x, x) {
			leaves[i] = d.leaf[a]
		}
		d.tally.addAll(leaves[:], sums)
	}
	for i, root := range roots {
		leaves[i] = d.leaf[d.walkOne(root, x)]
	}
	d.tally.addAll(leaves[:len(roots)], sums)
}

// walkOne takes one walk to its leaf.
func (d *direct[T]) walkOne(at uint32, x []T) uint32 {
	for {
		to := d.nodes[at].next(x)
		if to == at {
			return at
		}
		at = to
	}
}

// walk takes four walks from places to their leaves, each for a row of its own.
func (d *direct[T]) walk(a, b, c, e uint32, xa, xb, xc, xe []T) [directLanes]uint32 {
	nodes := d.nodes
	for {
		toA, toB := nodes[a].next(xa), nodes[b].next(xb)
		toC, toE := nodes[c].next(xc), nodes[e].next(xe)
		if (toA^a)|(toB^b)|(toC^c)|(toE^e) == 0 {
			return [directLanes]uint32{a, b, c, e}
		}
		a, b, c, e = toA, toB, toC, toE
	}
}

// next returns the place that a row goes to.
func (n *directNode[T]) next(x []T) uint32 {
	v, second := x[n.feature], uint32(1)
	if v <= n.bound {
		second = 0
	}
	if v != v {
		second = n.nan
	}
	return n.below + second
}
