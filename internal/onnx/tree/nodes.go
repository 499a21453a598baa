package tree

import "math/bits"

// nodes are the steps of a forest as walks read them. The words of a row say
// where it is, slot by slot. A leaf leads to itself, so walks of several trees
// or rows can go on together until the longest has ended.
type nodes interface {
	// words makes words of a row's cells, by slot, in place.
	words(cells []uint32)
	// apart takes a walk for each row through one tree, as many steps as are
	// usual, and sets the places where they come to. A group of rows has size
	// words: those of a slot are lanes many, one for each row.
	apart(t *stepTree, words []uint32, size int, at []uint32)
	// together takes some steps of each of a row's walks through several trees
	// from roots, at the places at. A slot has one word.
	together(words, roots, at []uint32, steps int)
	// end takes a walk to its leaf. The words of a slot are as many as width;
	// that of the walk is at lane.
	end(root, at uint32, words []uint32, width, lane int) uint32
	// keep moves those of the first n walks that have not ended to the front, and
	// returns how many they are.
	keep(b *restScratch, n int) int
	// node returns what a place of a tree asks, and the first of the two places
	// where it leads: itself when it is a leaf.
	node(root, at uint32) (slot, cell, leads uint32)
}

// sound reports whether all nodes ask for one of the slots and lead to a place of
// the forest. Walks in assembly rely on it, and check nothing.
func sound(n nodes, trees []stepTree, places, slots int) bool {
	for i := range trees {
		end := places
		if i+1 < len(trees) {
			end = int(trees[i+1].root)
		}
		for at := trees[i].root; int(at) < end; at++ {
			slot, _, leads := n.node(trees[i].root, at)
			if int(slot) >= max(slots, 1) || int(leads) >= places || leads != at && int(leads)+1 >= places {
				return false
			}
		}
	}
	return true
}

// wideNodes are nodes of any forest that steps can have.
type wideNodes struct {
	nodes []step
	shift uint // the lower half of a node shifted by it is its slot
}

// step has the place of the first neighbour in its upper half and, in the lower
// from its highest bit down, a zero, a slot, a gap of zeros, and a cell of the
// slot. A word of a row is like the lower half, so it exceeds that of a step
// exactly when its cell is above the step's. The gap lets a slot be found among
// groups of lanes words by a shift alone.
type step = uint64

const gap = 3 // log2 of lanes

func (w *wideNodes) words(cells []uint32) {
	for i := range cells {
		cells[i] |= place(i) << (w.shift & 31)
	}
}

func (w *wideNodes) apart(t *stepTree, words []uint32, size int, at []uint32) {
	walkApart(w.nodes, words, w.shift-gap, t.root, int(t.usual), size, at)
}

func (w *wideNodes) together(words, _, at []uint32, steps int) {
	for range steps {
		stepTogether(w.nodes, words, w.shift, at)
	}
}

func (w *wideNodes) end(_, at uint32, words []uint32, width, lane int) uint32 {
	for {
		n := w.nodes[at]
		if leads := uint32(n >> 32); leads == at {
			return at
		}
		at = follow(n, words[int(uint32(n)>>(w.shift&31))*width+lane]) //nolint:gosec // the lower half
	}
}

func (w *wideNodes) keep(b *restScratch, n int) int {
	roots, at, which, left := b.roots[:n], b.at[:n], b.which[:n], uint64(0)
	for i, a := range at {
		roots[left], at[left], which[left] = roots[i], a, which[i]
		left += differs(a, uint32(w.nodes[a]>>32))
	}
	return int(left)
}

func (w *wideNodes) node(_, at uint32) (slot, cell, leads uint32) {
	n := w.nodes[at]
	half := uint32(n) //nolint:gosec // the lower half
	return half >> (w.shift & 31), half & (1<<((w.shift-gap)&31) - 1), uint32(n >> 32)
}

// follow returns the place after a step. The difference is negative exactly
// when the word exceeds the step: both are below 2^31.
func follow(n step, word uint32) uint32 {
	return uint32(n>>32) + (uint32(n)-word)>>31 //nolint:gosec // the lower half
}

// walkApartGo takes a walk for each row from root depth steps far. The words of
// a slot are lanes many, one for each row of a group, and the lower half of a
// node shifted is lanes times its slot. A group has size words.
func walkApartGo(nodes []step, words []uint32, shift uint, root uint32, depth, size int, at []uint32) {
	shift &= 31
	for r := range at {
		own, a := words[r/lanes*size+r%lanes:], root
		for range depth {
			n := nodes[a]
			a = follow(n, own[uint32(n)>>shift]) //nolint:gosec // the lower half
		}
		at[r] = a
	}
}

// stepTogetherGo takes one step of each walk of one row. A slot has one word, and
// the lower half of a node shifted is its slot.
func stepTogetherGo(nodes []step, words []uint32, shift uint, at []uint32) {
	shift &= 31
	for i, a := range at {
		n := nodes[a]
		at[i] = follow(n, words[uint32(n)>>shift]) //nolint:gosec // the lower half
	}
}

// smallNodes are nodes in half the memory, for forests whose numbers are small:
// more of them are in the nearest caches.
//
// A node has, from its highest bit down, a slot, a cell, and how far the first
// of the places below is from the root of its tree. A word of a row is like it,
// with zeros at its end, so it exceeds a node exactly when its cell does.
type smallNodes struct {
	nodes []uint32
	slot  uint // a node or a word shifted by it is its slot
	child uint // bits of the distance
}

// newSmallNodes makes small nodes of steps, and reports whether their numbers
// fit. The cells of the steps have so many bits, and come before shift.
func newSmallNodes(steps []step, trees []stepTree, slots, cellBits int, shift uint) (*smallNodes, bool) {
	end := func(tree int) uint32 {
		if tree+1 < len(trees) {
			return trees[tree+1].root
		}
		return place(len(steps))
	}
	most := uint32(0) // places of a tree
	for i := range trees {
		most = max(most, end(i)-trees[i].root)
	}
	s := &smallNodes{child: uint(bits.Len32(most))}
	s.slot = s.child + uint(cellBits)
	// The one slot of a single feature takes no bit, and a shift by all of them is
	// one by none.
	if s.slot+uint(bits.Len(uint(max(slots, 2)-1))) > 32 {
		return nil, false
	}
	s.nodes = make([]uint32, len(steps))
	for i := range trees {
		root := trees[i].root
		for at := root; at < end(i); at++ {
			n := steps[at]
			below := uint32(n>>32) - root
			if below >= most { // in another tree
				return nil, false
			}
			slot, cell := uint32(n)>>(shift&31), uint32(n)&(1<<cellBits-1) //nolint:gosec // the lower half
			s.nodes[at] = slot<<(s.slot&31) | cell<<(s.child&31) | below
		}
	}
	return s, true
}

func (s *smallNodes) words(cells []uint32) {
	for i, c := range cells {
		cells[i] = place(i)<<(s.slot&31) | c<<(s.child&31)
	}
}

func (s *smallNodes) apart(t *stepTree, words []uint32, size int, at []uint32) {
	walkSmallApart(s, words, t.root, int(t.usual), size, at)
}

func (s *smallNodes) together(words, roots, at []uint32, steps int) {
	walkSmallTogether(s, words, roots, at, steps)
}

func (s *smallNodes) end(root, at uint32, words []uint32, width, lane int) uint32 {
	for {
		n := s.nodes[at]
		if root+s.below(n) == at {
			return at
		}
		at = s.follow(n, root, words[int(n>>(s.slot&31))*width+lane])
	}
}

func (s *smallNodes) keep(b *restScratch, n int) int {
	roots, at, which, left := b.roots[:n], b.at[:n], b.which[:n], uint64(0)
	nodes, below := s.nodes, uint32(1)<<(s.child&31)-1
	for i, a := range at {
		root := roots[i]
		roots[left], at[left], which[left] = root, a, which[i]
		left += differs(a, root+nodes[a]&below)
	}
	return int(left)
}

func (s *smallNodes) node(root, at uint32) (slot, cell, leads uint32) {
	n := s.nodes[at]
	return n >> (s.slot & 31), n >> (s.child & 31) & (1<<((s.slot-s.child)&31) - 1), root + s.below(n)
}

// below returns how far the first place below a node is from the root.
func (s *smallNodes) below(n uint32) uint32 { return n & (1<<(s.child&31) - 1) }

// follow returns the place after a step. The difference is negative exactly
// when the word exceeds the node.
func (s *smallNodes) follow(n, root, word uint32) uint32 {
	return root + s.below(n) + uint32((uint64(n)-uint64(word))>>63)
}

// walkSmallApartGo is walkApartGo for small nodes.
func walkSmallApartGo(s *smallNodes, words []uint32, root uint32, depth, size int, at []uint32) {
	for r := range at {
		own, a := words[r/lanes*size+r%lanes:], root
		for range depth {
			n := s.nodes[a]
			a = s.follow(n, root, own[int(n>>(s.slot&31))*lanes])
		}
		at[r] = a
	}
}

// walkSmallTogetherGo takes some steps of each walk of one row.
func walkSmallTogetherGo(s *smallNodes, words, roots, at []uint32, steps int) {
	for range steps {
		for i, a := range at {
			n := s.nodes[a]
			at[i] = s.follow(n, roots[i], words[n>>(s.slot&31)])
		}
	}
}
