package tree

import (
	"slices"
	"testing"
)

// boosted makes a forest's trees vote for one of several targets each in turn,
// and every fifth leaf for none.
func boosted(a Attributes, targets int) Attributes {
	a.Targets = targets
	a.VoteTargets = slices.Clone(a.VoteTargets)
	for i, tree := range a.VoteTreeIDs {
		a.VoteTargets[i] = tree % int64(targets)
	}
	for i := len(a.VoteTargets) - 1; i >= 0; i -= 5 {
		a.VoteTargets, a.VoteWeights = slices.Delete(a.VoteTargets, i, i+1), slices.Delete(slices.Clone(a.VoteWeights), i, i+1)
		a.VoteTreeIDs, a.VoteNodeIDs = slices.Delete(slices.Clone(a.VoteTreeIDs), i, i+1), slices.Delete(slices.Clone(a.VoteNodeIDs), i, i+1)
	}
	return a
}

func TestVotesAtThePlacesAreThoseOfThePlainWalk(t *testing.T) {
	small, large, uneven := coarse(forestOf(60, 6, 8, 0.9), 200), forestOf(60, 9, 8, 0.9), leafWise(40, 63, 20)
	one, mixed := boosted(small, 10), boosted(small, 20)
	mixed.VoteTargets[0] = 19 - mixed.VoteTargets[1] // the first tree votes for two targets
	for name, c := range map[string]struct {
		a     Attributes
		width int
	}{
		"one target":                 {small, 1},
		"a target a tree":            {one, 1},
		"a target a tree, large":     {boosted(large, 30), 1},
		"a target a tree, uneven":    {boosted(uneven, 3), 1},
		"a tree of several":          {mixed, 0},
		"a tree of several, but few": {func() Attributes { a := boosted(small, 2); a.VoteTargets[0] ^= 1; return a }(), 2},
		"the highest counts": {func() Attributes {
			a := boosted(small, 10)
			a.Aggregate = Max
			return a
		}(), 0},
	} {
		s, w, cols := forestSteps(t, &c.a)
		if s.width != c.width {
			t.Errorf("%s: %d votes a place, want %d", name, s.width, c.width)
		}
		for _, rows := range []int{1, 5, 2*lanes + 3, scanRows + 1} {
			x := randomRows(rows, cols)
			got, want := make([]float32, rows*c.a.Targets), make([]float32, rows*c.a.Targets)
			s.run(x, cols, got, nil)
			w.run(x, cols, want, nil)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d rows: the scores differ", name, rows)
			}
		}
	}
}
