package tree

import (
	"math"
	"slices"
)

// build5 returns the checked forest of the attributes of opset 5. Its leaves
// follow its branches. Time and memory are linear in the arrays, but for the
// sorting of sets.
func build5(a *AttributesV5) (*forest, error) {
	if err := checkLengths5(a); err != nil {
		return nil, err
	}
	branches := len(a.Modes)
	f := &forest{
		nodes:   make([]node, branches+len(a.LeafTargets)),
		votes:   make([]vote, len(a.LeafTargets)),
		members: slices.Clone(a.Members),
	}
	next := 0 // the next set in members
	for i := range a.Modes {
		var err error
		if next, err = f.fillBranch5(a, i, next); err != nil {
			return nil, refuse("node %d: %v", i, err)
		}
	}
	for i, target := range a.LeafTargets {
		if target < 0 || target >= int64(a.Targets) {
			return nil, refuse("leaf %d is for target %d, and there are %d", i, target, a.Targets)
		}
		f.nodes[branches+i] = node{mode: Leaf, first: int32(i), last: int32(i + 1)}
		f.votes[i] = vote{target: index(target), weight: a.LeafWeights[i]}
	}
	for i, root := range a.Roots {
		if root < 0 || root >= int64(branches) {
			return nil, refuse("the root of tree %d is node %d, and there are %d", i, root, branches)
		}
		f.roots = append(f.roots, index(root))
	}
	c := newChecker(f, func(n int32) (int64, int64) { return a.treeOf(n), int64(n) })
	if err := c.check(); err != nil {
		return nil, err
	}
	return f, c.dropUnmet()
}

// treeOf returns the tree whose root is n, or -1.
func (a *AttributesV5) treeOf(n int32) int64 {
	return int64(slices.Index(a.Roots, int64(n)))
}

func checkLengths5(a *AttributesV5) error {
	n := len(a.Modes)
	if n > MaxNodes || len(a.LeafTargets) > MaxNodes || len(a.Members) > MaxNodes || len(a.Roots) > MaxNodes {
		return refuse("more than %d nodes, leaves or members", MaxNodes)
	}
	for _, l := range []struct {
		name string
		len  int
	}{
		{"nodes_featureids", len(a.FeatureIDs)},
		{"nodes_splits", len(a.Splits)},
		{"nodes_truenodeids", len(a.TrueIDs)},
		{"nodes_falsenodeids", len(a.FalseIDs)},
		{"nodes_trueleafs", len(a.TrueLeafs)},
		{"nodes_falseleafs", len(a.FalseLeafs)},
	} {
		if l.len != n {
			return refuse("nodes_modes has %d entries and %s %d; they must be as many", n, l.name, l.len)
		}
	}
	if m := len(a.MissingTrue); m != 0 && m != n {
		return refuse("nodes_missing_value_tracks_true has %d entries for %d nodes", m, n)
	}
	if len(a.LeafWeights) != len(a.LeafTargets) {
		return refuse("leaf_targetids has %d entries and leaf_weights %d; they must be as many", len(a.LeafTargets), len(a.LeafWeights))
	}
	return nil
}

// fillBranch5 sets branch i and returns where the next set of members begins.
func (f *forest) fillBranch5(a *AttributesV5, i, next int) (int, error) {
	n := &f.nodes[i]
	n.mode, n.value = a.Modes[i], a.Splits[i]
	if n.mode > BranchMember {
		return 0, refuseDetail("the mode %d is not known", n.mode)
	}
	if err := setFeature(n, a.FeatureIDs[i]); err != nil {
		return 0, err
	}
	n.missingTrue = len(a.MissingTrue) > 0 && a.MissingTrue[i] == 1
	var err error
	if n.yes, err = a.child("true", a.TrueIDs[i], a.TrueLeafs[i]); err != nil {
		return 0, err
	}
	if n.no, err = a.child("false", a.FalseIDs[i], a.FalseLeafs[i]); err != nil {
		return 0, err
	}
	if n.mode != BranchMember {
		return next, nil
	}
	if next >= len(f.members) {
		return 0, refuseDetail("membership_values holds no set for it")
	}
	end := next
	for end < len(f.members) && !math.IsNaN(f.members[end]) {
		end++
	}
	slices.Sort(f.members[next:end])
	n.first, n.last = index(next), index(end)
	return end + 1, nil
}

// child returns the position in a forest of a branch's child.
func (a *AttributesV5) child(branch string, id, leaf int64) (int32, error) {
	count, first, kind := len(a.Modes), 0, "node"
	if leaf != 0 {
		count, first, kind = len(a.LeafTargets), len(a.Modes), "leaf"
	}
	if id < 0 || id >= int64(count) {
		return 0, refuseDetail("its %s branch is %s %d, and there are %d", branch, kind, id, count)
	}
	return index(first) + index(id), nil
}
