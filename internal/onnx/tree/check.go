package tree

import (
	"fmt"
	"slices"
)

// refuseDetail is the part of a refusal that follows the name of a node.
func refuseDetail(format string, args ...any) error { return fmt.Errorf(format, args...) }

// height is how many nodes there are on the longest path from a node down to a
// leaf, at most MaxDepth and one. It is less than one until that is known.
type height int16

const (
	unseen height = 0
	open   height = -1 // on the path from the root
)

// checker is a depth-first search without recursion: a hostile tree can be as
// deep as the file is long.
type checker struct {
	f              *forest
	where          func(int32) (int64, int64)
	height         []height
	owner          []int32 // the tree that a visited node was met in
	stack          []int32
	root, tree     int32 // of the walk; tree is unmet for one that begins at no root
	edges, visited int
}

// newChecker returns the checker of a forest. where names a branch for messages.
func newChecker(f *forest, where func(n int32) (tree, node int64)) *checker {
	return &checker{f: f, where: where, height: make([]height, len(f.nodes)), owner: make([]int32, len(f.nodes))}
}

// check refuses a forest in which a walk could go on for ever or too long, and
// fills in what layouts need to know. It visits each edge a bounded number of times.
func (c *checker) check() error {
	f := c.f
	if len(f.roots) == 0 {
		return refuse("it has no tree")
	}
	for t, root := range f.roots {
		c.tree = int32(t)
		if err := c.visit(root); err != nil {
			return err
		}
		f.height = append(f.height, int32(c.height[root])-1)
	}
	f.shared = c.edges+len(f.roots) != c.visited
	return nil
}

func (c *checker) visit(root int32) error {
	c.root = root
	if c.height[root] == unseen {
		c.push(root)
	} else if c.f.nodes[root].mode != Leaf {
		return c.inTwoTrees(root)
	}
	for len(c.stack) > 0 {
		i := c.stack[len(c.stack)-1]
		n := &c.f.nodes[i]
		if n.mode == Leaf {
			c.finish(i, 1)
			continue
		}
		if next, err := c.next(i, n); err != nil {
			return err
		} else if next >= 0 {
			c.push(next)
			continue
		}
		c.edges += 2
		c.f.features = max(c.f.features, int(n.feature)+1)
		c.finish(i, 1+max(c.height[n.yes], c.height[n.no]))
		if c.height[i] > MaxDepth {
			tree, _ := c.where(root)
			return refuse("tree %d is deeper than %d nodes", tree, MaxDepth)
		}
	}
	return nil
}

// dropUnmet comes after check. It makes leaves without votes of the branches that
// no root leads to, so that they have no say in what a row must have, and refuses a
// ring of them.
func (c *checker) dropUnmet() error {
	if c.visited == len(c.f.nodes) {
		return nil
	}
	features, met := c.f.features, slices.Clone(c.height)
	c.tree = unmet
	for i := range c.height {
		if c.height[i] == unseen && c.f.nodes[i].mode != Leaf {
			if err := c.visit(index(i)); err != nil {
				return err
			}
		}
	}
	c.f.features = features
	for i, h := range met {
		if n := &c.f.nodes[i]; h == unseen && n.mode != Leaf {
			*n = node{mode: Leaf}
		}
	}
	return nil
}

// unmet is the tree of the nodes that no root leads to.
const unmet = -1

// next returns a child of i that is yet to be visited, or -1.
func (c *checker) next(i int32, n *node) (int32, error) {
	for _, child := range [...]int32{n.yes, n.no} {
		switch c.height[child] {
		case unseen:
			return child, nil
		case open:
			tree, _ := c.where(c.root)
			_, id := c.where(i)
			if tree < 0 {
				return 0, refuse("node %d, to which no root leads: one of its branches leads back to it or above it", id)
			}
			return 0, refuse("tree %d, node %d: one of its branches leads back to it or above it", tree, id)
		default:
			if c.tree != unmet && c.owner[child] != c.tree && c.f.nodes[child].mode != Leaf {
				return 0, c.inTwoTrees(child)
			}
		}
	}
	return -1, nil
}

func (c *checker) inTwoTrees(i int32) error {
	_, id := c.where(i)
	return refuse("node %d belongs to two trees", id)
}

func (c *checker) push(i int32) {
	c.height[i], c.owner[i] = open, c.tree
	c.stack = append(c.stack, i)
}

func (c *checker) finish(i int32, h height) {
	c.height[i] = h
	c.stack = c.stack[:len(c.stack)-1]
	c.visited++
}
