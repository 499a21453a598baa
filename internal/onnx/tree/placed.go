package tree

import "math"

// placeVotes puts the votes of the leaves where the walks end, if they are few:
// one, as when each tree has a target, or up to maxPlaced.
func (s *steps[T]) placeVotes(f *forest, leaves []int32) {
	k := s.tally.targets
	switch {
	case s.findTargets(f, leaves):
		s.width = 1
	case s.tally.dense != nil && k <= maxPlaced:
		s.width = k
	default:
		return
	}
	s.votes = make([]T, s.places*s.width)
	for at, l := range s.leaf {
		own := s.votes[at*s.width : (at+1)*s.width]
		switch {
		case l == noLeaf:
			for i := range own {
				own[i] = T(math.NaN())
			}
		case s.width == k:
			copy(own, s.tally.dense[int(l)*k:])
		default:
			own[0] = unvoted[T]()
			for _, v := range f.nodes[leaves[l]].votes(f) {
				own[0] = T(v.weight) + 0
			}
		}
	}
}

// findTargets sets the target of each tree, and reports whether each has no more
// than one and its leaves one vote. Boosters have a tree for each class.
func (s *steps[T]) findTargets(f *forest, leaves []int32) bool {
	if s.tally.aggregate > Sum || f.shared || s.tally.targets == 1 {
		return false // of one target there is nothing to find
	}
	targets := make([]int32, len(s.trees))
	tree := -1
	for at, l := range s.leaf {
		if tree+1 < len(s.trees) && place(at) == s.trees[tree+1].root {
			tree++
			targets[tree] = -1
		}
		if l == noLeaf {
			continue
		}
		votes := f.nodes[leaves[l]].votes(f)
		if len(votes) > 1 || len(votes) == 1 && targets[tree] >= 0 && votes[0].target != targets[tree] {
			return false
		}
		if len(votes) == 1 {
			targets[tree] = votes[0].target
		}
	}
	for i, t := range targets {
		s.trees[i].target = max(t, 0)
	}
	return true
}

// addTrees adds the votes of the places where the walks of a row have ended, one
// of each tree.
func (s *steps[T]) addTrees(trees []stepTree, at []uint32, sums []T) {
	at = at[:len(trees)]
	switch {
	case s.votes == nil:
		for i, a := range at {
			at[i] = s.leaf[a]
		}
		s.tally.addAll(at, sums)
	case s.width == len(sums):
		addDense(s.votes, at, sums)
	default:
		for i, a := range at {
			sums[trees[i].target] += s.votes[a]
		}
	}
}

// addLeaves adds to each row's sums the votes of the leaf that its walk comes
// to; it is at a place on the way.
func (s *steps[T]) addLeaves(t *stepTree, words []uint32, size int, at []uint32, sums []T) {
	for r, a := range at {
		l := s.leaf[a]
		if l == noLeaf {
			l = s.leaf[s.end(t, a, words, size, r)]
		}
		at[r] = l
	}
	s.tally.add(at, sums)
}

// addVotes is addLeaves for votes at the places.
func (s *steps[T]) addVotes(t *stepTree, words []uint32, size int, at []uint32, sums []T) {
	k := s.tally.targets
	for r, a := range at {
		own := s.votes[int(a)*k:][:k]
		if v := own[0]; v != v {
			own = s.votes[int(s.end(t, a, words, size, r))*k:][:k]
		}
		to := sums[r*k:][:len(own)]
		for i, v := range own {
			to[i] += v
		}
	}
}

// addVote is addVotes for the one target of a tree.
func (s *steps[T]) addVote(t *stepTree, words []uint32, size int, at []uint32, sums []T) {
	votes, k := s.votes, s.tally.targets
	sums = sums[t.target:]
	for r, a := range at {
		v := votes[a]
		if v != v {
			v = votes[s.end(t, a, words, size, r)]
		}
		sums[r*k] += v
	}
}
