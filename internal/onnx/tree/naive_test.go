package tree

// naive is what a straightforward implementation does: an array of nodes for
// each tree, one branch a node, and the votes of a leaf added one by one. The
// benchmarks measure against it.
type naive struct {
	trees   [][]naiveNode
	targets int
}

type naiveNode struct {
	feature   int32 // -1 for a leaf
	threshold float32
	yes, no   int32
	votes     []naiveVote
}

type naiveVote struct {
	target int
	weight float32
}

func newNaive(a *Attributes) *naive {
	m := &naive{targets: a.Targets}
	where := map[[2]int64]*naiveNode{}
	for i := range a.Modes {
		if i == 0 || a.TreeIDs[i] != a.TreeIDs[i-1] {
			m.trees = append(m.trees, nil)
		}
		t := &m.trees[len(m.trees)-1]
		n := naiveNode{feature: int32(a.FeatureIDs[i]), threshold: a.Values[i], yes: int32(a.TrueIDs[i]), no: int32(a.FalseIDs[i])}
		if a.Modes[i] == Leaf {
			n.feature = -1
		}
		*t = append(*t, n)
	}
	for ti, i := 0, 0; ti < len(m.trees); ti++ {
		for j := range m.trees[ti] {
			where[[2]int64{a.TreeIDs[i], a.NodeIDs[i]}] = &m.trees[ti][j]
			i++
		}
	}
	for i, target := range a.VoteTargets {
		n := where[[2]int64{a.VoteTreeIDs[i], a.VoteNodeIDs[i]}]
		n.votes = append(n.votes, naiveVote{int(target), a.VoteWeights[i]})
	}
	return m
}

// run evaluates rows of cols features into scores and labels.
func (m *naive) run(x []float32, cols int, scores []float32, labels []int32) {
	for r := range labels {
		row, out := x[r*cols:(r+1)*cols], scores[r*m.targets:(r+1)*m.targets]
		clear(out)
		for _, t := range m.trees {
			n := &t[0]
			for n.feature >= 0 {
				if row[n.feature] <= n.threshold {
					n = &t[n.yes]
				} else {
					n = &t[n.no]
				}
			}
			for _, v := range n.votes {
				out[v.target] += v.weight
			}
		}
		best := 0
		for i, s := range out {
			if s > out[best] {
				best = i
			}
		}
		labels[r] = int32(best)
	}
}
