package tree

import "slices"

// treeGroup is trees that one row walks side by side.
type treeGroup struct {
	steps int32 // that its walks take together
	more  bool  // some may not have ended then
}

// restSteps are what walks that have not ended take together before it is seen
// which of them have: finding that out takes as long as a few.
const restSteps = 4

// divide makes groups of the trees, and of these parts of at most partBytes,
// where that is several groups. A node has so many bytes.
func (s *steps[T]) divide(nodeBytes int) {
	places := partBytes / nodeBytes
	// A processor waits for the memory of more walks at once when they are of
	// groupTrees; when it does not wait, fewer in registers are faster.
	if s.apart = lanes; s.places*nodeBytes > nearBytes {
		s.apart = fewRows + 1
	}
	begin := uint32(0)
	for first := 0; first < len(s.trees); first += groupTrees {
		end := place(s.places)
		if next := first + groupTrees; next < len(s.trees) {
			end = s.trees[next].root
		}
		if root := s.trees[first].root; root > begin && int(end-begin) > places {
			s.parts, begin = append(s.parts, first), root
		}
		s.group(s.trees[first:min(first+groupTrees, len(s.trees))])
	}
	s.parts = append(s.parts, len(s.trees))
}

// group makes a group of up to groupTrees trees.
func (s *steps[T]) group(trees []stepTree) {
	depth, mean := int32(0), int32(0)
	for i := range groupTrees {
		t := &trees[min(i, len(trees)-1)]
		s.roots = append(s.roots, t.root)
		depth, mean = max(depth, t.depth), mean+t.mean
	}
	mean = (mean + groupTrees - 1) / groupTrees
	if depth-mean <= restSteps {
		mean = depth
	}
	s.groups = append(s.groups, treeGroup{mean, depth > mean})
}

// mean returns how many steps the average leaf of the tree that begins at a place
// is away.
func (w *stepWriter) mean(from int) int32 {
	w.depths = slices.Grow(w.depths[:0], len(w.nodes)-from)[:len(w.nodes)-from]
	depths := w.depths
	clear(depths)
	leaves, total := 1, 0
	for i, depth := range depths {
		leads := int(w.nodes[from+i]>>32) - from
		switch {
		case leads == i:
			leaves, total = leaves+1, total+int(depth)
		case leads > 0: // else it is in a tree before
			depths[leads], depths[leads+1] = depth+1, depth+1
		}
	}
	return index((total + leaves - 1) / leaves)
}

// few sums up to fewRows rows, each of which walks several trees side by side.
func (s *steps[T]) few(x []T, cols int, b *stepScratch, sums []T) {
	width, k := len(s.find.columns), s.tally.targets
	rows := len(sums) / k
	for r := range rows {
		s.words(x[r*cols:(r+1)*cols], b.row[r*width:(r+1)*width])
	}
	for p := range s.parts {
		first, last := s.part(p-1), s.parts[p]
		for r := range rows {
			s.walkTrees(first, last, b.row[r*width:(r+1)*width], b)
			s.addTrees(s.trees[first:last], b.leaves, sums[r*k:(r+1)*k])
		}
	}
}

// walkTrees takes the walks of a row through some trees, the first of a group, to
// their leaves.
func (s *steps[T]) walkTrees(first, last int, words []uint32, b *stepScratch) {
	groups := s.groups[first/groupTrees : (last+groupTrees-1)/groupTrees]
	roots := s.roots[first:][:len(groups)*groupTrees]
	at := b.leaves[:len(roots)]
	copy(at, roots)
	more := false
	for i := range groups {
		if g := &groups[i]; g.steps > 0 {
			s.nodes.together(words, roots[i*groupTrees:][:groupTrees], at[i*groupTrees:][:groupTrees], int(g.steps))
			more = more || g.more
		}
	}
	if more {
		s.walkRest(words, roots, at, &b.rest)
	}
}

// restScratch has walks of a row: the root and the place of each, and which one
// it is.
type restScratch struct{ roots, at, which []uint32 }

func newRestScratch(walks int) restScratch {
	all := make([]uint32, 3*walks)
	return restScratch{all[:walks], all[walks : 2*walks], all[2*walks:]}
}

// walkRest takes the walks that have not ended to their leaves.
func (s *steps[T]) walkRest(words, roots, at []uint32, b *restScratch) {
	copy(b.roots, roots)
	copy(b.at, at)
	for i := range at {
		b.which[i] = place(i)
	}
	for n := s.nodes.keep(b, len(at)); n > 0; n = s.nodes.keep(b, n) {
		full := (n + lanes - 1) / lanes * lanes // those after n are walked for nothing
		s.nodes.together(words, b.roots[:full], b.at[:full], restSteps)
		for i, a := range b.at[:n] {
			at[b.which[i]] = a
		}
	}
}

// differs returns 1 when a is not b, and 0 otherwise.
func differs(a, b uint32) uint64 { return (uint64(a^b) + 1<<32 - 1) >> 32 }
