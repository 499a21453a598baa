package tree

import (
	"onnxgate/internal/fault"
)

// Limits on one ensemble. Real ones are far below; they keep every index in an
// int32 and every walk short.
const (
	// MaxDepth bounds how many nodes a walk from a root can meet.
	MaxDepth = 4096
	// MaxNodes bounds the nodes, the votes and the members of sets.
	MaxNodes = 1 << 27
	// MaxFeatures bounds a feature id.
	MaxFeatures = 1 << 20
	// MaxTargets bounds the classes or targets.
	MaxTargets = 1 << 20
)

// node is one node of a forest. Of a branch, yes and no are positions in
// forest.nodes. Of a leaf, first and last bound its votes in forest.votes.
type node struct {
	mode        Mode
	missingTrue bool // NaN takes the branch of a true comparison
	feature     int32
	value       float64
	yes, no     int32
	first, last int32 // votes of a leaf, members of a BRANCH_MEMBER node
}

// vote is what a leaf adds to one target.
type vote struct {
	target int32
	weight float64
}

// forest is the checked, uniform form of every opset's attributes. Walking it
// from a root ends at a leaf within MaxDepth steps and never leaves an array.
type forest struct {
	nodes    []node
	roots    []int32
	votes    []vote
	members  []float64       // sorted within each set
	features int             // highest feature id of a branch, plus 1
	height   []int32         // branches on the longest path of each tree
	shared   bool            // some node has two parents
	ordered  orderedBranches // set by axes
}

// walk returns the leaf that a row reaches. It is the definition of what the
// fast layouts compute.
func walk[T float](f *forest, root int32, row []T) int32 {
	at, n := root, &f.nodes[root]
	for n.mode != Leaf {
		if f.test(n, float64(row[n.feature])) {
			at = n.yes
		} else {
			at = n.no
		}
		n = &f.nodes[at]
	}
	return at
}

// test answers the question of a branch for one feature value. Comparing
// float32 values after widening them is exact.
func (f *forest) test(n *node, x float64) bool {
	if x != x && n.missingTrue {
		return true
	}
	switch n.mode {
	case BranchLEQ:
		return x <= n.value
	case BranchLT:
		return x < n.value
	case BranchGTE:
		return x >= n.value
	case BranchGT:
		return x > n.value
	case BranchEQ:
		return x == n.value
	case BranchNEQ:
		return x != n.value
	case BranchMember:
		return isMember(f.members[n.first:n.last], x)
	case Leaf:
	}
	return false
}

// isMember reports whether the sorted set holds x.
func isMember(set []float64, x float64) bool {
	lo, hi := 0, len(set)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if set[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(set) && set[lo] == x
}

// refuse returns the error for attributes that are not an ensemble.
func refuse(format string, args ...any) error {
	return fault.Newf(fault.Content, "tree ensemble: "+format, args...)
}

// place narrows a number that a limit of this package, or its layout, keeps
// below 2^32.
func place[I int | int32 | uint64](i I) uint32 {
	return uint32(i)
}

// index narrows a position that MaxNodes, MaxTargets or MaxFeatures bounds.
func index[I int | int64](i I) int32 {
	return int32(i)
}
