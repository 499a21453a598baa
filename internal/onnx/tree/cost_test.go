package tree

import (
	"math"
	"runtime"
	"testing"
)

// grower writes the attributes of a regressor node by node.
type grower struct {
	a          Attributes
	tree, next int64
}

func (g *grower) node(mode Mode, feature int64, value float32) int {
	g.a.TreeIDs, g.a.NodeIDs = append(g.a.TreeIDs, g.tree), append(g.a.NodeIDs, g.next)
	g.a.FeatureIDs, g.a.Values, g.a.Modes = append(g.a.FeatureIDs, feature), append(g.a.Values, value), append(g.a.Modes, mode)
	g.a.TrueIDs, g.a.FalseIDs = append(g.a.TrueIDs, 0), append(g.a.FalseIDs, 0)
	g.next++
	return len(g.a.Modes) - 1
}

func (g *grower) leaf(weight float32) int {
	i := g.node(Leaf, 0, 0)
	g.a.VoteTreeIDs, g.a.VoteNodeIDs = append(g.a.VoteTreeIDs, g.tree), append(g.a.VoteNodeIDs, g.a.NodeIDs[i])
	g.a.VoteTargets, g.a.VoteWeights = append(g.a.VoteTargets, 0), append(g.a.VoteWeights, weight)
	return i
}

func (g *grower) link(i, yes, no int) {
	g.a.TrueIDs[i], g.a.FalseIDs[i] = g.a.NodeIDs[yes], g.a.NodeIDs[no]
}

func (g *grower) end() { g.tree, g.next = g.tree+1, 0 }

// search grows a balanced tree that tells the cells from first to last.
func (g *grower) search(feature int64, first, last int, base float32) int {
	if first == last {
		return g.leaf(float32(first))
	}
	mid := (first + last) / 2
	i := g.node(BranchLEQ, feature, base+float32(mid)+0.5)
	g.link(i, g.search(feature, first, mid, base), g.search(feature, mid+1, last, base))
	return i
}

// chain grows a chain of links over some thresholds of a feature, and rest at
// its end.
func (g *grower) chain(feature int64, links, thresholds int, rest func() int) int {
	first, last := -1, -1
	for i := range links {
		n := g.node(BranchLEQ, feature, float32(i%thresholds))
		l := g.leaf(float32(i))
		g.a.TrueIDs[n] = g.a.NodeIDs[l]
		if last >= 0 {
			g.a.FalseIDs[last] = g.a.NodeIDs[n]
		} else {
			first = n
		}
		last = n
	}
	g.a.FalseIDs[last] = g.a.NodeIDs[rest()]
	return first
}

func (g *grower) stump(feature int64, value, weight float32) {
	n := g.node(BranchLEQ, feature, value)
	g.link(n, g.leaf(weight), g.leaf(-weight))
	g.end()
}

// residualsOf has trees of long chains, every cell of another feature leaving
// a chain of its own; stumps make that feature the first to be fixed.
func residualsOf(trees, links, cells, stumps int) Attributes {
	g := grower{a: Attributes{Targets: 1, Aggregate: Sum}}
	for range stumps {
		g.stump(0, 0.5, 1)
	}
	for t := range trees {
		g.chain(1, links, 8, func() int { return g.search(0, 0, cells-1, 1000*float32(t)) })
		g.end()
	}
	return g.a
}

// stumpsOf has stumps of some features and thresholds.
func stumpsOf(trees, features, thresholds int) Attributes {
	g := grower{a: Attributes{Targets: 1, Aggregate: Sum}}
	for t := range trees {
		g.stump(int64(t%features), float32(t/features%thresholds), 1+float32(t)/7)
	}
	return g.a
}

// manyTargets has few trees whose leaves vote for all targets.
func manyTargets(targets, cells int) Attributes {
	g := grower{a: Attributes{Targets: targets, Aggregate: Sum}}
	g.search(0, 0, cells-1, 0)
	g.end()
	g.search(1, 0, cells-1, 0)
	for t := range targets {
		for tree := range int64(2) {
			g.a.VoteTreeIDs, g.a.VoteNodeIDs = append(g.a.VoteTreeIDs, tree), append(g.a.VoteNodeIDs, int64(2*(cells-1)))
			g.a.VoteTargets, g.a.VoteWeights = append(g.a.VoteTargets, int64(t)), append(g.a.VoteWeights, float32(t))
		}
	}
	return g.a
}

func chainOf(links, features int) Attributes {
	g := grower{a: Attributes{Targets: 1, Aggregate: Sum}}
	for t := range links / 4000 {
		prev := -1
		for i := range 4000 {
			n := g.node(BranchLEQ, int64(i%features), float32(4000*t+i))
			g.a.TrueIDs[n] = g.a.NodeIDs[g.leaf(float32(i))]
			if prev >= 0 {
				g.a.FalseIDs[prev] = g.a.NodeIDs[n]
			}
			prev = n
		}
		g.a.FalseIDs[prev] = g.a.NodeIDs[g.leaf(1)]
		g.end()
	}
	return g.a
}

// flipFlop asks a set of many members, so that one feature has many cells that
// lead to two states of many trees.
func flipFlop(members, branches, stumps int) AttributesV5 {
	a := AttributesV5{Targets: 1, Aggregate: Sum, LeafTargets: []int64{0, 0}, LeafWeights: []float64{1, 2.5}}
	add := func(mode Mode, feature int64, yes, no, yesLeaf, noLeaf int64) {
		a.Modes, a.FeatureIDs, a.Splits = append(a.Modes, mode), append(a.FeatureIDs, feature), append(a.Splits, 0.5)
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, yes), append(a.FalseIDs, no)
		a.TrueLeafs, a.FalseLeafs = append(a.TrueLeafs, yesLeaf), append(a.FalseLeafs, noLeaf)
	}
	leaf := func(weight float64) int64 {
		a.LeafTargets, a.LeafWeights = append(a.LeafTargets, 0), append(a.LeafWeights, weight)
		return int64(len(a.LeafWeights) - 1)
	}
	a.Roots = append(a.Roots, 0)
	for b := range branches {
		last := int64(0)
		if b == branches-1 {
			last = 1
		}
		add(BranchMember, 0, leaf(float64(b)), int64(b+1)*(1-last)+leaf(-float64(b))*last, 1, last)
		for m := range members / branches {
			a.Members = append(a.Members, float64(m*branches+b))
		}
		a.Members = append(a.Members, math.NaN())
	}
	for range stumps {
		a.Roots = append(a.Roots, int64(len(a.Modes)))
		add(BranchLEQ, 1, leaf(1), leaf(2), 1, 1)
	}
	return a
}

// TestTheCostOfCompilingIsBounded has forests that would make a diagram, or
// another layout, much larger than they are themselves.
func TestTheCostOfCompilingIsBounded(t *testing.T) {
	const bound = 64 << 20
	for _, c := range []struct {
		name string
		a    Attributes
	}{
		{"rests that multiply in many trees", residualsOf(15, 900, 600, 200)},
		{"rests that multiply in one tree", residualsOf(1, 900, 4000, 20)},
		{"rests of many trees", residualsOf(30, 900, 100, 200)},
		{"rests of long chains", residualsOf(4, 4000, 3000, 50)},
		{"stumps of two features", stumpsOf(30_000, 2, 1500)},
		{"stumps of two features, most alike", stumpsOf(20_000, 2, 150)},
		{"stumps of twenty features", stumpsOf(20_000, 20, 1)},
		{"stumps of many features", stumpsOf(30_000, 30_000, 1)},
		{"a feature of the highest number", func() Attributes {
			a := stumpsOf(1, 1, 1)
			a.FeatureIDs[0] = MaxFeatures - 1
			return a
		}()},
		{"votes for many targets", manyTargets(60_000, 200)},
		{"as many targets as there may be", func() Attributes {
			a := stumpsOf(2, 2, 1)
			a.Targets = MaxTargets
			return a
		}()},
		{"as many targets as a diagram has", func() Attributes {
			a := stumpsOf(200, 2, 100)
			a.Targets = maxScores
			return a
		}()},
		{"the least of many votes", func() Attributes {
			a := manyTargets(2000, 2000)
			a.Aggregate = Min
			return a
		}()},
		{"many cells of the same results", manyTargets(2000, 2000)},
		{"doubles", func() Attributes {
			a := residualsOf(15, 900, 600, 200)
			a.Double = true
			return a
		}()},
		{"chains of other thresholds", chainOf(60_000, 2)},
		{"chains of a few features", chainOf(28_000, 5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			took := allocated(t, func() error { _, err := Compile(c.a); return err })
			if took > bound {
				t.Errorf("%d MiB allocated for %d nodes", took>>20, len(c.a.Modes))
			}
		})
	}
	for _, c := range []struct {
		name string
		a    AttributesV5
	}{
		{"a set of many members", flipFlop(500_000, 1, 20_000)},
		{"a set of fewer members", flipFlop(30_000, 1, 20_000)},
		{"many sets of members", flipFlop(30_000, 60, 100)},
		{"many small sets of members", flipFlop(4000, 60, 20_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			took := allocated(t, func() error { _, err := CompileV5(c.a); return err })
			if took > bound {
				t.Errorf("%d MiB allocated for %d nodes and %d members", took>>20, len(c.a.Modes), len(c.a.Members))
			}
		})
	}
}

// TestEnsemblesOfAModelShareTheCost compiles the same forest often.
func TestEnsemblesOfAModelShareTheCost(t *testing.T) {
	const times = 40
	a, plain := residualsOf(2, 100, 200, 20), residualsOf(2, 100, 200, 20)
	plain.Budget, a.Budget = &Budget{work: maxWork + 1, bytes: maxMemory + 1}, new(Budget)
	repeated := func(a *Attributes) uint64 {
		return allocated(t, func() error {
			for range times {
				if _, err := Compile(*a); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if all, without := repeated(&a), repeated(&plain); all > without+2*maxMemory {
		t.Errorf("%d MiB allocated, %d MiB without diagrams", all>>20, without>>20)
	}
	if a.Budget.work < maxWork && a.Budget.bytes < maxMemory {
		t.Errorf("%+v spent: the forest is too small for this test", *a.Budget)
	}
}

// allocated returns the bytes that f allocates.
func allocated(t *testing.T, f func() error) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	return after.TotalAlloc - before.TotalAlloc
}
