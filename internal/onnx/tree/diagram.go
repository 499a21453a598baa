package tree

import (
	"cmp"
	"math/bits"
	"slices"
)

// diagram is the layout of a small ensemble: one decision diagram for all its
// trees together. Each level asks for the cell of one feature and tells the
// state of the next; what the last level tells is the row's finished result.
// So a row costs one table look-up a feature, however many trees there are.
//
// Two prefixes of cells that leave every tree with the same rest lead to the
// same state, which keeps the diagram of a real forest small. One that does
// not stay small is given up for another layout.
type diagram[T float] struct {
	axes    []axis     // by level
	next    [][]uint16 // by level: a row of cells for each state; what it tells
	targets int
	scores  []T // of each result
	labels  []int32
}

// run evaluates rows: see layout.
func (d *diagram[T]) run(x []T, cols int, scores []T, labels []int32) {
	k := d.targets
	for r := 0; len(scores) >= k; r++ {
		s := d.result(x[:cols])
		from := d.scores[int(s)*k:]
		from = from[:k]
		for i, v := range from { //nolint:staticcheck // a call to copy takes longer than two or three values do
			scores[i] = v
		}
		if labels != nil {
			labels[r] = d.labels[s]
		}
		x, scores = x[cols:], scores[k:]
	}
}

// result returns the number of a row's result.
func (d *diagram[T]) result(row []T) uint32 {
	s, axes := uint32(0), d.axes
	for i, next := range d.next {
		a := &axes[i]
		// This is a.cell, written out: the compiler will not inline it.
		v := float64(row[a.feature])
		var c uint32
		if v == v && a.steps > 0 {
			from := clamp(order(v), a.lo, a.width)
			c = a.start[from>>(a.shift&63)]
			for range a.steps {
				_, above := bits.Sub64(a.bounds[c], a.lo+from, 0)
				c += place(above)
			}
		} else {
			c = place(a.cell(v))
		}
		s = uint32(next[s*place(a.nan+1)+c])
	}
	return s
}

// leafNumbers numbers the leaves: leaves has the node of each number, number
// the number of each node.
func (f *forest) leafNumbers() (leaves []int32, number []uint32) {
	number = make([]uint32, len(f.nodes))
	leaves = make([]int32, 0, len(f.nodes)/2+len(f.roots)) // all, where no branch is below two
	for i := range f.nodes {
		if f.nodes[i].mode == Leaf {
			number[i] = place(len(leaves))
			leaves = append(leaves, index(i))
		}
	}
	return leaves, number
}

// byWeight returns the axes, those asked for nearest the roots first: fixing
// them first leaves the least of the trees. The forest shares no nodes.
func (f *forest) byWeight(all []axis) []axis {
	weight, share := make([]float64, f.features), make([]float64, len(f.nodes))
	for _, r := range f.roots {
		share[r] = 1
	}
	for stack := slices.Clone(f.roots); len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n := &f.nodes[i]; n.mode != Leaf {
			weight[n.feature] += share[i]
			share[n.yes], share[n.no] = share[i]/2, share[i]/2
			stack = append(stack, n.yes, n.no)
		}
	}
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b axis) int { return cmp.Compare(weight[b.feature], weight[a.feature]) })
	return ordered
}
