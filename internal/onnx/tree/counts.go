package tree

import "math/bits"

// counts are sums that do not depend on the order of the trees, as of a random
// forest whose leaves are pure: all votes for a target weigh the same, but for
// those of zero, which change no sum. How often it was voted for then tells
// the sum of a target to the last bit.
type counts[T float] struct {
	bits   uint     // of one target's count
	leaves []uint64 // of each leaf: its votes for each target, side by side
	totals [][]T    // of each target: its sum by its count

	known   lookup   // counts that a result is known of
	packed  []uint64 // those counts
	results []uint32
}

// maxCount bounds the votes for one target.
const maxCount = 1 << 12

// newCounts returns nil when the sums depend on more than counts, or the
// counts do not fit in a word.
func newCounts[T float](f *forest, o *options, leaves []int32) *counts[T] {
	weights, most := commonWeights[T](f, o.targets, leaves)
	limit := most * len(f.roots)
	width := bits.Len(uint(limit))
	if weights == nil || o.aggregate > Sum || limit > maxCount || width*o.targets > 64 {
		return nil
	}
	c := &counts[T]{
		bits: uint(width), leaves: make([]uint64, len(leaves)), totals: make([][]T, o.targets), known: newLookup(),
	}
	for i, l := range leaves {
		for _, v := range f.nodes[l].votes(f) {
			if T(v.weight) != 0 {
				c.leaves[i] += 1 << (c.bits * uint(place(v.target)))
			}
		}
	}
	for t, w := range weights {
		total := unvoted[T]()
		if w.zero {
			total = 0
		}
		for range limit + 1 {
			c.totals[t] = append(c.totals[t], total)
			total += w.weight
		}
	}
	return c
}

// commonWeight is what the votes for a target weigh.
type commonWeight[T float] struct {
	weight T    // of all that are not zero
	zero   bool // some are zero
	leaves int  // that vote for it
}

// commonWeights returns the weight of every target and the most votes that a
// leaf has for one of them, or nil when a target has several weights, or when
// its counts do not tell whether it was voted for at all.
func commonWeights[T float](f *forest, targets int, leaves []int32) (all []commonWeight[T], most int) {
	if targets > 64 {
		return nil, 0
	}
	all = make([]commonWeight[T], targets)
	last, votes := make([]int, targets), make([]int, targets) // the last leaf to vote, plus 1, and its votes
	for i, l := range leaves {
		for _, v := range f.nodes[l].votes(f) {
			w := &all[v.target]
			if last[v.target] != i+1 {
				last[v.target], votes[v.target] = i+1, 0
				w.leaves++
			}
			votes[v.target]++
			most = max(most, votes[v.target])
			switch x := T(v.weight); {
			case x == 0:
				w.zero = true
			case w.weight == 0:
				w.weight = x
			case w.weight != x:
				return nil, 0
			}
		}
	}
	for _, w := range all {
		if w.zero && w.leaves != len(leaves) {
			return nil, 0
		}
	}
	return all, most
}

// sum sets sums to the totals of packed counts.
func (c *counts[T]) sum(packed uint64, sums []T) {
	mask := uint64(1)<<c.bits - 1
	for t, totals := range c.totals {
		sums[t] = totals[packed&mask]
		packed >>= c.bits
	}
}

// result returns the result of packed counts, which first gives the first time.
func (c *counts[T]) result(packed uint64, first func() uint32) uint32 {
	id, known := c.known.number(c.known.hashWord(packed), func(id uint32) bool { return c.packed[id] == packed })
	if !known {
		c.packed = append(double(c.packed), packed)
		c.results = append(double(c.results), first())
	}
	return c.results[id]
}
