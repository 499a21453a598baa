package tree

import "math/bits"

// smallNodes are the nodes of steps in half the memory, for forests whose
// numbers are small: more of it is in the nearest caches. They serve calls of
// few rows, and are walked by one row through many trees.
//
// A node has, from its highest bit down, a slot, a cell, and how far the first
// of the places below is from the root of its tree. A word of a row is like it,
// with zeros at its end, so it exceeds a node exactly when its cell does.
type smallNodes struct {
	nodes []uint32
	slot  uint     // a node or a word shifted by it is its slot
	child uint     // bits of the distance
	roots []uint32 // of the trees, the last repeated until their groups are full
	depth []int32  // of each group: steps of its walks
	more  []bool   // of each group: some walk may not have ended after them
	parts []int    // ends of runs of groups that fit into a cache together
}

const (
	groupTrees = 32      // that are walked side by side
	smallPart  = 1 << 17 // nodes: 512 KiB
	fewRows    = 16      // that are turned into words at a time
)

// newSmallNodes returns nil for nodes whose numbers do not fit.
func newSmallNodes(nodes []step, trees []stepTree, slots, cellBits int, shift uint) *smallNodes {
	most := uint32(0) // places of a tree
	for i := range trees {
		most = max(most, end(nodes, trees, i)-trees[i].root)
	}
	s := &smallNodes{child: uint(bits.Len32(most)), nodes: make([]uint32, len(nodes))}
	s.slot = s.child + uint(cellBits) //nolint:gosec // at most 31
	if s.slot+uint(bits.Len(uint(slots))) > 32 {
		return nil
	}
	for i := range trees {
		root := trees[i].root
		for at := root; at < end(nodes, trees, i); at++ {
			n := nodes[at]
			below := uint32(n>>32) - root
			if below >= most { // a place of another tree
				return nil
			}
			slot, cell := uint32(n)>>shift, uint32(n)&(1<<cellBits-1) //nolint:gosec // the lower half
			s.nodes[at] = slot<<s.slot | cell<<s.child | below
		}
	}
	s.group(nodes, trees)
	return s
}

// end returns the place after those of a tree.
func end(nodes []step, trees []stepTree, tree int) uint32 {
	if tree+1 < len(trees) {
		return trees[tree+1].root
	}
	return place(len(nodes))
}

// group divides the trees into groups, and these into parts.
func (s *smallNodes) group(nodes []step, trees []stepTree) {
	begin := uint32(0) // of the part
	for first := 0; first < len(trees); first += groupTrees {
		last := min(first+groupTrees, len(trees)) - 1
		usual, depth := int32(0), int32(0)
		for i := first; i < first+groupTrees; i++ {
			t := &trees[min(i, last)]
			s.roots = append(s.roots, t.root)
			usual, depth = max(usual, t.usual), max(depth, t.depth)
		}
		if trees[first].root > begin && end(nodes, trees, last)-begin > smallPart {
			s.parts = append(s.parts, len(s.depth))
			begin = trees[first].root
		}
		s.depth, s.more = append(s.depth, usual), append(s.more, depth > usual)
	}
	s.parts = append(s.parts, len(s.depth))
}

// walk takes the walks of some groups to their leaves.
func (s *smallNodes) walk(words []uint32, first, last int, at []uint32) {
	roots := s.roots[first*groupTrees : last*groupTrees]
	copy(at, roots)
	for g := first; g < last; g++ {
		from := (g - first) * groupTrees
		own, lanes := roots[from:from+groupTrees], at[from:from+groupTrees]
		if s.depth[g] > 0 {
			walkTrees(s, words, own, lanes, int(s.depth[g]))
		}
		if s.more[g] {
			s.finish(words, own, lanes)
		}
	}
}

// finish takes walks that have not ended to their leaves.
func (s *smallNodes) finish(words, roots, at []uint32) {
	for i, a := range at {
		for next := s.step(words, roots[i], a); next != a; next = s.step(words, roots[i], a) {
			a = next
		}
		at[i] = a
	}
}

// step returns the place after one step. The difference is negative exactly when
// the word exceeds the node.
func (s *smallNodes) step(words []uint32, root, at uint32) uint32 {
	n := s.nodes[at]
	exceeds := (uint64(n) - uint64(words[n>>(s.slot&31)])) >> 63
	return root + n&(1<<(s.child&31)-1) + uint32(exceeds) //nolint:gosec // 0 or 1
}

// walkTreesGo takes depth steps of each walk of one row.
func walkTreesGo(s *smallNodes, words, roots, at []uint32, depth int) {
	for range depth {
		for i, a := range at {
			at[i] = s.step(words, roots[i], a)
		}
	}
}

// few sums few rows. Trees are taken a part at a time, which stays in the cache
// for all the rows.
func (s *steps[T]) few(x []T, cols, rows int, b *stepScratch, sums []T) {
	width, k := len(s.slots), s.tally.targets
	for r := range rows {
		words := b.row[r*width : (r+1)*width]
		s.find.cells(x[r*cols:(r+1)*cols], words)
		for i, cell := range words {
			words[i] = place(i)<<(s.small.slot&31) | cell<<(s.small.child&31)
		}
	}
	for i := range sums {
		sums[i] = unvoted[T]()
	}
	first := 0
	for _, last := range s.small.parts {
		at := b.leaves[:(last-first)*groupTrees]
		trees := min(len(at), len(s.trees)-first*groupTrees)
		for r := range rows {
			s.small.walk(b.row[r*width:(r+1)*width], first, last, at)
			s.addTrees(at[:trees], sums[r*k:(r+1)*k])
		}
		first = last
	}
}

// addTrees adds the votes at the places where the walks of a row have ended, a
// tree each.
func (s *steps[T]) addTrees(at []uint32, sums []T) {
	if s.votes != nil {
		sums[0] = sum1(s.votes, at, sums[0])
		return
	}
	for i, a := range at {
		at[i] = s.leaf[a]
	}
	s.tally.addAll(at, sums)
}
