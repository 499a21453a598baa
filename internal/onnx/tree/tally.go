package tree

// tally adds up what leaves vote. Leaves have numbers that a layout gives.
type tally[T float] struct {
	targets   int
	aggregate Aggregate
	// dense has targets weights for each leaf, unvoted where it has no vote.
	// It is nil when that would waste memory or votes are not summed.
	dense []T
	// Otherwise the votes of leaf l are first[l] to first[l+1].
	first  []uint32
	target []uint32
	weight []T
}

// maxDense is how many weights a leaf's dense row may have beyond its votes.
const maxDense = 16

// newTally numbers leaves as in leaves, which holds forest nodes; a negative
// one is a number that no walk reaches.
func newTally[T float](f *forest, o *options, leaves []int32) *tally[T] {
	t := &tally[T]{targets: o.targets, aggregate: o.aggregate}
	votes := 0
	for _, l := range leaves {
		if l >= 0 {
			votes += int(f.nodes[l].last - f.nodes[l].first)
		}
	}
	small := o.targets <= maxDense || o.targets*len(leaves) <= 2*votes
	if o.aggregate > Sum || !small || !t.fillDense(f, leaves) {
		t.fillSparse(f, leaves, votes)
	}
	return t
}

// fillDense reports false for a leaf that votes twice for a target: adding two
// weights to a sum is not adding their total to it.
func (t *tally[T]) fillDense(f *forest, leaves []int32) bool {
	dense := make([]T, len(leaves)*t.targets)
	for i := range dense {
		dense[i] = unvoted[T]()
	}
	for i, l := range leaves {
		if l < 0 {
			continue
		}
		row := dense[i*t.targets:]
		for _, v := range f.nodes[l].votes(f) {
			if voted(row[v.target]) {
				return false
			}
			row[v.target] = T(v.weight) + 0
		}
	}
	t.dense = dense
	return true
}

func (t *tally[T]) fillSparse(f *forest, leaves []int32, votes int) {
	t.first = append(make([]uint32, 0, len(leaves)+1), 0)
	t.target, t.weight = make([]uint32, 0, votes), make([]T, 0, votes)
	for _, l := range leaves {
		if l >= 0 {
			for _, v := range f.nodes[l].votes(f) {
				t.target = append(t.target, place(v.target))
				t.weight = append(t.weight, T(v.weight)+0)
			}
		}
		t.first = append(t.first, place(len(t.target)))
	}
}

// votes returns the votes of a leaf.
func (n *node) votes(f *forest) []vote { return f.votes[n.first:n.last] }

// sum sets sums to the total of the leaves' votes, one leaf a tree, in order.
func (t *tally[T]) sum(leaves []uint32, sums []T) {
	for i := range sums {
		sums[i] = unvoted[T]()
	}
	t.addAll(leaves, sums)
}

// addAll adds the votes of a row's leaves, one leaf a tree, in order.
func (t *tally[T]) addAll(leaves []uint32, sums []T) {
	if t.dense != nil {
		addDense(t.dense, leaves, sums)
		return
	}
	for _, l := range leaves {
		t.addSparse(l, sums)
	}
}

// addDense adds rows of weights, as many as sums.
func addDense[T float](dense []T, rows []uint32, sums []T) {
	switch len(sums) {
	case 1:
		sums[0] = sum1(dense, rows, sums[0])
	case 2:
		sums[0], sums[1] = sum2(dense, rows, sums[0], sums[1])
	case 3:
		sums[0], sums[1], sums[2] = sum3(dense, rows, sums[0], sums[1], sums[2])
	default:
		k := len(sums)
		for _, r := range rows {
			for i, w := range dense[int(r)*k:][:k] {
				sums[i] += w
			}
		}
	}
}

func sum1[T float](dense []T, leaves []uint32, a T) T {
	for _, l := range leaves {
		a += dense[l]
	}
	return a
}

func sum2[T float](dense []T, leaves []uint32, a, b T) (T, T) {
	for _, l := range leaves {
		w := dense[2*int(l):][:2]
		a += w[0]
		b += w[1]
	}
	return a, b
}

func sum3[T float](dense []T, leaves []uint32, a, b, c T) (T, T, T) {
	for _, l := range leaves {
		w := dense[3*int(l):][:3]
		a += w[0]
		b += w[1]
		c += w[2]
	}
	return a, b, c
}

func (t *tally[T]) addSparse(leaf uint32, sums []T) {
	first, last := t.first[leaf], t.first[leaf+1]
	for i, target := range t.target[first:last] {
		s, w := &sums[target], t.weight[int(first)+i]
		switch t.aggregate {
		case Min:
			if !voted(*s) || w < *s {
				*s = w
			}
		case Max:
			if !voted(*s) || w > *s {
				*s = w
			}
		case Sum, Average:
			*s += w
		}
	}
}

// work returns how many votes sum looks at.
func (t *tally[T]) work(leaves []uint32) int {
	if t.dense != nil {
		return len(leaves) * t.targets
	}
	n := len(leaves)
	for _, l := range leaves {
		n += int(t.first[l+1] - t.first[l])
	}
	return n
}

// add adds the votes of one tree's leaves, one a row, to the rows' sums.
func (t *tally[T]) add(leaves []uint32, sums []T) {
	k := t.targets
	switch {
	case t.dense == nil:
		for r, l := range leaves {
			t.addSparse(l, sums[r*k:(r+1)*k])
		}
	case k == 1:
		sums = sums[:len(leaves)]
		for r, l := range leaves {
			sums[r] += t.dense[l]
		}
	default:
		addRows(t.dense, k, leaves, sums)
	}
}

// addRows adds rows of k weights, each to the sums of another row.
func addRows[T float](dense []T, k int, rows []uint32, sums []T) {
	for r, l := range rows {
		row := dense[int(l)*k : (int(l)+1)*k]
		out := sums[r*k:]
		out = out[:len(row)]
		for i, w := range row {
			out[i] += w
		}
	}
}
