package tree

import "testing"

// votesOf returns a tree of two leaves for each pair of them.
func votesOf(targets int, leaves ...map[int64]float32) Attributes {
	a := Attributes{Targets: targets, Aggregate: Sum}
	node := func(tree, id int64, mode Mode) {
		a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, tree), append(a.NodeIDs, id), append(a.Modes, mode)
		a.FeatureIDs, a.Values = append(a.FeatureIDs, 0), append(a.Values, 0)
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 1), append(a.FalseIDs, 2)
	}
	for i, votes := range leaves {
		tree, id := int64(i/2), int64(i%2+1)
		if id == 1 {
			node(tree, 0, BranchLEQ)
		}
		node(tree, id, Leaf)
		for target := range int64(targets) {
			if w, ok := votes[target]; ok {
				a.VoteTreeIDs, a.VoteNodeIDs = append(a.VoteTreeIDs, tree), append(a.VoteNodeIDs, id)
				a.VoteTargets, a.VoteWeights = append(a.VoteTargets, target), append(a.VoteWeights, w)
			}
		}
	}
	return a
}

func TestOnlySumsThatCountsTellAreCounted(t *testing.T) {
	type votes = map[int64]float32
	for _, c := range []struct {
		name      string
		a         Attributes
		aggregate Aggregate
		want      bool
	}{
		{"iris", iris(t), Sum, true},
		{"one weight a target", votesOf(2, votes{0: 0.1}, votes{1: 0.3}), Sum, true},
		{"an average", votesOf(2, votes{0: 0.1}, votes{1: 0.3}), Average, true},
		{"zero from every other leaf", votesOf(2, votes{0: 0.1, 1: 0}, votes{0: 0, 1: 0.3}), Sum, true},
		{"zero from some leaves: no vote is not a vote of zero", votesOf(2, votes{0: 0.1, 1: 0}, votes{0: 0.1}), Sum, false},
		{"two weights for a target", votesOf(2, votes{0: 0.1}, votes{0: 0.3}), Sum, false},
		{"a minimum", votesOf(2, votes{0: 0.1}, votes{1: 0.3}), Min, false},
		{"counts that fit in a word", votesOf(32, votes{0: 1}, votes{31: 1}, votes{0: 1}, votes{0: 1}), Sum, true},
		{"counts that do not fit in a word", votesOf(33, votes{0: 1}, votes{32: 1}, votes{0: 1}, votes{0: 1}), Sum, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := build(&c.a)
			if err != nil {
				t.Fatal(err)
			}
			leaves, _ := f.leafNumbers()
			counted := newCounts[float32](f, &options{targets: c.a.Targets, aggregate: c.aggregate}, leaves) != nil
			if counted != c.want {
				t.Errorf("counted: %v, want %v", counted, c.want)
			}
		})
	}
}
