package tree

import (
	"cmp"
	"math"
)

// builder turns the attributes of opsets 1 to 3 into a forest, checking them
// on the way. Time and memory are linear in the arrays.
type builder struct {
	a    *Attributes
	f    *forest
	runs map[int64]span // by tree id
	// odd finds the nodes of trees whose node ids do not count upwards.
	odd map[nodeKey]int32
}

// span is the stretch of the arrays that holds one tree.
type span struct {
	first, last int32 // positions in the arrays
	base        int64 // the node id at first
	counts      bool  // node ids count upwards by one from base
}

type nodeKey struct{ tree, node int64 }

// build returns the checked forest of a.
func build(a *Attributes) (*forest, error) {
	if err := checkLengths(a); err != nil {
		return nil, err
	}
	b := &builder{a: a, f: &forest{nodes: make([]node, len(a.Modes))}}
	if err := b.findTrees(); err != nil {
		return nil, err
	}
	if err := b.fillTrees(); err != nil {
		return nil, err
	}
	c := newChecker(b.f, func(n int32) (int64, int64) { return a.TreeIDs[n], a.NodeIDs[n] })
	var votes, walks error
	b.f.both(func() { votes = b.linkVotes() }, func() { walks = c.check() })
	if err := cmp.Or(votes, walks); err != nil {
		return nil, err
	}
	return b.f, c.dropUnmet()
}

// checkLengths refuses arrays that do not belong together.
func checkLengths(a *Attributes) error {
	n := len(a.Modes)
	if n > MaxNodes || len(a.VoteTargets) > MaxNodes {
		return refuse("more than %d nodes or weights", MaxNodes)
	}
	values := len(a.Values)
	if a.Values == nil {
		values = len(a.ValuesDouble)
	}
	for _, l := range []struct {
		name string
		len  int
	}{
		{"nodes_treeids", len(a.TreeIDs)},
		{"nodes_nodeids", len(a.NodeIDs)},
		{"nodes_featureids", len(a.FeatureIDs)},
		{"nodes_truenodeids", len(a.TrueIDs)},
		{"nodes_falsenodeids", len(a.FalseIDs)},
		{"nodes_values", values},
	} {
		if l.len != n {
			return refuse("nodes_modes has %d entries and %s %d; they must be as many", n, l.name, l.len)
		}
	}
	if m := len(a.MissingTrue); m != 0 && m != n {
		return refuse("nodes_missing_value_tracks_true has %d entries for %d nodes", m, n)
	}
	votes := len(a.VoteWeights)
	if a.VoteWeights == nil {
		votes = len(a.VoteWeightsDouble)
	}
	if v := len(a.VoteTargets); len(a.VoteTreeIDs) != v || len(a.VoteNodeIDs) != v || votes != v {
		return refuse("the arrays of leaf weights have %d target ids, %d tree ids, %d node ids and %d weights; they must be as many",
			v, len(a.VoteTreeIDs), len(a.VoteNodeIDs), votes)
	}
	return nil
}

// findTrees finds where each tree begins. Its first node is its root, as for
// ONNX Runtime.
func (b *builder) findTrees() error {
	a := b.a
	trees := 0
	for i, id := range a.TreeIDs {
		if i == 0 || id != a.TreeIDs[i-1] {
			trees++
		}
	}
	b.runs, b.f.roots = make(map[int64]span, trees), make([]int32, 0, trees)
	for first := 0; first < len(a.TreeIDs); {
		id, last, counts := a.TreeIDs[first], first+1, true
		for ; last < len(a.TreeIDs) && a.TreeIDs[last] == id; last++ {
			counts = counts && a.NodeIDs[last] == a.NodeIDs[last-1]+1
		}
		if _, twice := b.runs[id]; twice {
			return refuse("the nodes of tree %d are not next to each other", id)
		}
		b.runs[id] = span{first: int32(first), last: int32(last), base: a.NodeIDs[first], counts: counts}
		b.f.roots = append(b.f.roots, int32(first))
		if !counts {
			if err := b.indexOdd(first, last); err != nil {
				return err
			}
		}
		first = last
	}
	return nil
}

// indexOdd indexes a tree whose node ids do not count upwards.
func (b *builder) indexOdd(first, last int) error {
	if b.odd == nil {
		b.odd = make(map[nodeKey]int32, last-first)
	}
	for i := first; i < last; i++ {
		k := nodeKey{b.a.TreeIDs[i], b.a.NodeIDs[i]}
		if _, twice := b.odd[k]; twice {
			return refuse("tree %d has two nodes %d", k.tree, k.node)
		}
		b.odd[k] = index(i)
	}
	return nil
}

// findIn returns the position of a node of a tree, whose nodes are r, or -1.
func (b *builder) findIn(r span, tree, id int64) int32 {
	if !r.counts {
		if i, ok := b.odd[nodeKey{tree, id}]; ok {
			return i
		}
		return -1
	}
	// An id far from base wraps round, to a difference that is refused too.
	if d := id - r.base; d >= 0 && d < int64(r.last-r.first) {
		return r.first + index(d)
	}
	return -1
}

// fillTrees fills the nodes, on two threads where they are many.
func (b *builder) fillTrees() error {
	const parts = 8
	var errs [parts]error
	roots := b.f.roots
	b.f.share(parts, func(i int) {
		errs[i] = b.fillNodes(i*len(roots)/parts, (i+1)*len(roots)/parts)
	})
	return cmp.Or(errs[:]...)
}

// nodesBefore returns how many nodes the trees before one have.
func (b *builder) nodesBefore(tree int) int {
	if tree == len(b.f.roots) {
		return len(b.f.nodes)
	}
	return int(b.f.roots[tree])
}

// fillNodes copies the nodes of some trees and finds their children.
func (b *builder) fillNodes(first, last int) error {
	a := b.a
	var r span
	for i := b.nodesBefore(first); i < b.nodesBefore(last); i++ {
		tree, mode := a.TreeIDs[i], a.Modes[i]
		if i >= int(r.last) {
			r = b.runs[tree]
		}
		n := &b.f.nodes[i]
		n.mode = mode
		if mode == Leaf {
			continue
		}
		if mode >= BranchMember {
			return refuse("tree %d, node %d: the mode %v does not belong to this operator", tree, a.NodeIDs[i], mode)
		}
		n.missingTrue = len(a.MissingTrue) > 0 && a.MissingTrue[i] == 1
		if a.Values != nil {
			n.value = float64(a.Values[i])
		} else {
			n.value = a.ValuesDouble[i]
		}
		if err := setFeature(n, a.FeatureIDs[i]); err != nil {
			return refuse("tree %d, node %d: %v", tree, a.NodeIDs[i], err)
		}
		n.yes, n.no = b.findIn(r, tree, a.TrueIDs[i]), b.findIn(r, tree, a.FalseIDs[i])
		if n.yes < 0 {
			return refuse("tree %d, node %d: its true branch is node %d, which is not in that tree", tree, a.NodeIDs[i], a.TrueIDs[i])
		}
		if n.no < 0 {
			return refuse("tree %d, node %d: its false branch is node %d, which is not in that tree", tree, a.NodeIDs[i], a.FalseIDs[i])
		}
	}
	return b.checkRoots(first, last)
}

// setFeature checks what a branch compares.
func setFeature(n *node, feature int64) error {
	if feature < 0 || feature >= MaxFeatures {
		return refuseDetail("the feature id %d is not between 0 and %d", feature, MaxFeatures-1)
	}
	if n.mode != BranchMember && math.IsNaN(n.value) {
		return refuseDetail("the threshold is NaN")
	}
	n.feature = int32(feature)
	return nil
}

// checkRoots refuses a tree among some whose first node is not its only root.
func (b *builder) checkRoots(first, last int) error {
	from := b.nodesBefore(first)
	child := make([]bool, b.nodesBefore(last)-from)
	for i := range child {
		if n := &b.f.nodes[from+i]; n.mode != Leaf {
			child[int(n.yes)-from], child[int(n.no)-from] = true, true
		}
	}
	for i, c := range child {
		isRoot := first < last && b.nodesBefore(first) == from+i
		if isRoot {
			first++
		}
		tree, id := b.a.TreeIDs[from+i], b.a.NodeIDs[from+i]
		if isRoot && c {
			return refuse("tree %d: its first node %d is also the child of a node, so the tree has no root", tree, id)
		}
		if !isRoot && !c {
			return refuse("tree %d: node %d is the child of no node, and only the first may be", tree, id)
		}
	}
	return nil
}

// linkVotes gives each leaf its votes, in the order of the arrays. Where there
// is one target a leaf has one vote, the first: exporters make a regressor of a
// classifier's arrays, with a vote of the leaf's number for each class.
func (b *builder) linkVotes() error {
	a, f := b.a, b.f
	leaf := make([]int32, len(a.VoteTargets))
	var r span
	there := false
	for i, target := range a.VoteTargets {
		tree, id := a.VoteTreeIDs[i], a.VoteNodeIDs[i]
		if i == 0 || tree != a.VoteTreeIDs[i-1] {
			r, there = b.runs[tree]
		}
		n := int32(-1)
		if there {
			n = b.findIn(r, tree, id)
		}
		if n < 0 {
			return refuse("weight %d is of node %d in tree %d, which does not exist", i, id, tree)
		}
		if target < 0 || target >= int64(a.Targets) {
			return refuse("tree %d, node %d: a weight is for class or target %d, and there are %d", tree, id, target, a.Targets)
		}
		leaf[i] = n
		if f.nodes[n].mode == Leaf && a.Targets == 1 && f.nodes[n].last > 0 {
			leaf[i] = -1
		} else if f.nodes[n].mode == Leaf {
			f.nodes[n].last++
		} else if b.weight(i) == 0 {
			leaf[i] = -1 // some exporters list branches with no weight
		} else {
			return refuse("tree %d, node %d: it has a weight and is no leaf", tree, id)
		}
	}
	return b.sortVotes(leaf)
}

// sortVotes groups the votes by leaf. On entry a leaf's last is its count. As for
// ONNX Runtime, a leaf without a vote says 0 where one target takes the least or
// the greatest.
func (b *builder) sortVotes(leaf []int32) error {
	f, at := b.f, int32(0)
	speaks := b.a.Targets == 1 && !b.a.Classifier && (b.a.Aggregate == Min || b.a.Aggregate == Max)
	for i := range f.nodes {
		n := &f.nodes[i]
		switch {
		case n.mode != Leaf:
		case n.last == 0 && speaks:
			n.first, n.last, at = at, at+1, at+1
		default:
			n.first, n.last, at = at, at, at+n.last
		}
	}
	f.votes = make([]vote, at) // each 0 for target 0
	for i, l := range leaf {
		if l < 0 {
			continue
		}
		n := &f.nodes[l]
		f.votes[n.last] = vote{target: index(b.a.VoteTargets[i]), weight: b.weight(i)}
		n.last++
	}
	return nil
}

func (b *builder) weight(i int) float64 {
	if b.a.VoteWeights != nil {
		return float64(b.a.VoteWeights[i])
	}
	return b.a.VoteWeightsDouble[i]
}
