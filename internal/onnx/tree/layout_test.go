package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// plainRow is the reference: it walks Attributes by recursion, knowing nothing
// of forests, axes and layouts, and follows ONNX Runtime's rules for sums.
type plain struct {
	a     *Attributes
	where map[[2]int64]int
	votes map[int][]int
}

func newPlain(a *Attributes) *plain {
	p := &plain{a: a, where: map[[2]int64]int{}, votes: map[int][]int{}}
	for i := range a.Modes {
		p.where[[2]int64{a.TreeIDs[i], a.NodeIDs[i]}] = i
	}
	for v := range a.VoteTargets {
		n := p.where[[2]int64{a.VoteTreeIDs[v], a.VoteNodeIDs[v]}]
		p.votes[n] = append(p.votes[n], v)
	}
	return p
}

func (p *plain) leaf(i int, row []float64) int {
	a := p.a
	if a.Modes[i] == Leaf {
		return i
	}
	x, v := row[a.FeatureIDs[i]], a.ValuesDouble[i]
	yes := false
	switch a.Modes[i] {
	case BranchLEQ:
		yes = x <= v
	case BranchLT:
		yes = x < v
	case BranchGTE:
		yes = x >= v
	case BranchGT:
		yes = x > v
	case BranchEQ:
		yes = x == v
	case BranchNEQ:
		yes = x != v
	case BranchMember, Leaf:
	}
	if math.IsNaN(x) && len(a.MissingTrue) > 0 && a.MissingTrue[i] == 1 {
		yes = true
	}
	next := a.FalseIDs[i]
	if yes {
		next = a.TrueIDs[i]
	}
	return p.leaf(p.where[[2]int64{a.TreeIDs[i], next}], row)
}

// sums returns a regressor's scores without transform, in the precision of T.
func sums[T float](p *plain, row []float64) []float64 {
	a := p.a
	s, has := make([]T, a.Targets), make([]bool, a.Targets)
	for i := range a.Modes {
		if i > 0 && a.TreeIDs[i] == a.TreeIDs[i-1] {
			continue
		}
		votes := p.votes[p.leaf(i, row)]
		if a.Targets == 1 {
			votes = votes[:min(len(votes), 1)]
		}
		add := func(t int64, w T) {
			switch {
			case a.Aggregate == Sum || a.Aggregate == Average:
				s[t] += w
			case !has[t] || a.Aggregate == Min && w < s[t] || a.Aggregate == Max && w > s[t]:
				s[t] = w
			}
			has[t] = true
		}
		for _, v := range votes {
			add(a.VoteTargets[v], T(a.VoteWeightsDouble[v]))
		}
		if a.Targets == 1 && len(votes) == 0 {
			add(0, 0)
		}
	}
	out := make([]float64, a.Targets)
	trees := T(0)
	for i := range a.TreeIDs {
		if i == 0 || a.TreeIDs[i] != a.TreeIDs[i-1] {
			trees++
		}
	}
	for i := range s {
		if a.Aggregate == Average {
			s[i] /= trees
		}
		if len(a.Base) > 0 && (has[i] || len(s) == 1) {
			s[i] += T(a.Base[i])
		}
		out[i] = float64(s[i])
	}
	return out
}

// generator makes random ensembles whose arrays hold doubles that float32 can
// hold too.
type generator struct {
	rng        *rand.Rand
	features   int
	values     []float64
	modes      []Mode
	missing    bool
	maxDepth   int
	scrambled  bool // node ids in no order
	votesALeaf int
	pure       []float64 // by target: what votes for it weigh; nil for any weights
	zeros      bool      // pure leaves vote for the other targets too, with zero
}

func (g *generator) ensemble(trees, targets int) *Attributes {
	a := &Attributes{Targets: targets, Aggregate: Sum}
	for t := range trees {
		first := len(a.Modes)
		g.grow(a, int64(t), 0)
		if g.scrambled {
			g.scramble(a, first)
		}
	}
	return a
}

// grow appends a node and what is below it and returns its id.
func (g *generator) grow(a *Attributes, tree int64, depth int) int64 {
	i := len(a.Modes)
	id := int64(0)
	if i > 0 && a.TreeIDs[i-1] == tree {
		id = a.NodeIDs[i-1] + 1
	}
	leaf := depth >= g.maxDepth || g.rng.IntN(8) == 0
	mode := Leaf
	if !leaf {
		mode = g.modes[g.rng.IntN(len(g.modes))]
	}
	a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, tree), append(a.NodeIDs, id), append(a.Modes, mode)
	a.FeatureIDs = append(a.FeatureIDs, int64(g.rng.IntN(g.features)))
	a.ValuesDouble = append(a.ValuesDouble, g.values[g.rng.IntN(len(g.values))])
	a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 0), append(a.FalseIDs, 0)
	if g.missing {
		a.MissingTrue = append(a.MissingTrue, int64(g.rng.IntN(2)))
	}
	if leaf && g.pure != nil {
		winner := g.rng.IntN(a.Targets)
		for t, w := range g.pure {
			if t != winner {
				w = 0
			}
			if t == winner || g.zeros {
				a.VoteTreeIDs, a.VoteNodeIDs = append(a.VoteTreeIDs, tree), append(a.VoteNodeIDs, id)
				a.VoteTargets, a.VoteWeightsDouble = append(a.VoteTargets, int64(t)), append(a.VoteWeightsDouble, w)
			}
		}
		return id
	}
	if leaf {
		for range g.rng.IntN(g.votesALeaf + 1) {
			a.VoteTreeIDs, a.VoteNodeIDs = append(a.VoteTreeIDs, tree), append(a.VoteNodeIDs, id)
			a.VoteTargets = append(a.VoteTargets, int64(g.rng.IntN(a.Targets)))
			a.VoteWeightsDouble = append(a.VoteWeightsDouble, float64(float32(g.rng.NormFloat64())))
		}
		return id
	}
	a.TrueIDs[i] = g.grow(a, tree, depth+1)
	a.FalseIDs[i] = g.grow(a, tree, depth+1)
	return id
}

// scramble gives the nodes of the last tree other ids.
func (g *generator) scramble(a *Attributes, first int) {
	n := len(a.Modes) - first
	id := g.rng.Perm(3 * n)[:n]
	other := func(old int64) int64 { return int64(id[old]) - int64(n) }
	for i := first; i < len(a.Modes); i++ {
		a.TrueIDs[i], a.FalseIDs[i] = other(a.TrueIDs[i]), other(a.FalseIDs[i])
		a.NodeIDs[i] = other(a.NodeIDs[i])
	}
	for v := range a.VoteNodeIDs {
		if a.VoteTreeIDs[v] == a.TreeIDs[first] {
			a.VoteNodeIDs[v] = other(a.VoteNodeIDs[v])
		}
	}
}

// probes returns values on, next to and far from the thresholds.
func probes(values []float64) []float64 {
	all := []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat32, -math.MaxFloat32,
		math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.Float64frombits(0xfff8000000000001),
	}
	for _, v := range values {
		f := float32(v)
		all = append(all, v, float64(math.Nextafter32(f, float32(math.Inf(1)))), float64(math.Nextafter32(f, float32(math.Inf(-1)))))
	}
	return all
}

// layouts returns the ensemble in every layout that can hold it.
func layouts[T float](t *testing.T, a *Attributes) map[string]layout[T] {
	t.Helper()
	f, err := build(a)
	if err != nil {
		t.Fatal(err)
	}
	o := &options{targets: a.Targets, base: a.Base, aggregate: a.Aggregate, transform: a.Transform}
	finish := newFinisher[T](f, o)
	axes := f.axes()
	all := map[string]layout[T]{
		"steps": newSteps[T](f, o, finish, axes),
		"walks": newWalks[T](f, o, finish),
	}
	wide := newSteps[T](f, o, finish, axes)
	wide.widen(f, axes)
	all["wide steps"] = wide
	s := newSteps[T](f, o, finish, axes)
	if s.scans = newScans(s); s.scans != nil {
		s.scans.least = 1
		all["scans"] = s
	}
	if d := newDirect[T](f, o, finish, maxSmall); d != nil {
		all["direct"] = d
	}
	if m := newMasks[T](f, o, finish, axes); m != nil {
		all["masks"] = m
		if both, ok := mix(m, s).(*mixed[T]); ok {
			both.least = 2
			all["mixed"] = both
		}
	}
	if d := newDiagram[T](f, o, finish, axes); d != nil {
		leaves, _ := f.leafNumbers()
		if newCounts[T](f, o, leaves) == nil {
			all["diagram of sums"] = d
		} else {
			all["diagram of counts"] = d
		}
	}
	return all
}

// widen gives steps wide nodes, whether small ones do or not.
func (s *steps[T]) widen(f *forest, axes []axis) {
	_, number := f.leafNumbers()
	w := newStepWriter(f, newStepPlan(f, axes), number)
	for _, r := range f.roots {
		w.tree(r)
	}
	s.nodes, s.scans = &wideNodes{w.nodes, w.shift}, nil
}

func TestEveryLayoutAgreesWithThePlainWalk(t *testing.T) {
	order := []Mode{BranchLEQ}
	every := []Mode{BranchLEQ, BranchLT, BranchGTE, BranchGT, BranchEQ, BranchNEQ}
	special := []float64{0, math.Copysign(0, -1), 1, math.Inf(1), math.Inf(-1), math.MaxFloat32, math.SmallestNonzeroFloat32, -1, 0.1}
	for i := range special {
		special[i] = float64(float32(special[i]))
	}
	seen := map[string]int{}
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 7))
		g := generator{
			rng: rng, features: 1 + rng.IntN(6), values: special, modes: every, missing: rng.IntN(2) == 0,
			maxDepth: 1 + rng.IntN(7), scrambled: rng.IntN(3) == 0, votesALeaf: 1 + rng.IntN(3),
		}
		if rng.IntN(3) == 0 {
			g.modes = order
		}
		if rng.IntN(2) == 0 {
			g.values = nil
			for range 1 + rng.IntN(60) {
				g.values = append(g.values, float64(float32(rng.NormFloat64())))
			}
		}
		targets := 1 + rng.IntN(5)
		if rng.IntN(3) == 0 {
			g.zeros = rng.IntN(2) == 0
			for range targets {
				g.pure = append(g.pure, float64(float32(rng.NormFloat64())))
			}
		}
		a := g.ensemble(1+rng.IntN(12), targets)
		a.Aggregate = Aggregate(rng.IntN(4))
		if rng.IntN(2) == 0 {
			for range a.Targets {
				a.Base = append(a.Base, float64(float32(rng.NormFloat64())))
			}
		}
		check := checkLayouts[float32]
		if rng.IntN(3) == 0 {
			check = checkLayouts[float64]
		}
		check(t, fmt.Sprintf("seed %d", seed), a, &g, seen)
	}
	for _, name := range []string{"diagram of sums", "diagram of counts", "direct", "masks", "mixed", "scans", "steps", "wide steps", "walks"} {
		if seen[name] < 10 {
			t.Errorf("only %d ensembles were tried as %s", seen[name], name)
		}
	}
}

func checkLayouts[T float](t *testing.T, name string, a *Attributes, g *generator, seen map[string]int) {
	t.Helper()
	const rows = 70 // more than one block of steps
	cols := g.features + g.rng.IntN(2)
	all := probes(g.values)
	x, want := make([]T, rows*cols), make([]T, 0, rows*a.Targets)
	p := newPlain(a)
	for r := range rows {
		row := make([]float64, cols)
		for c := range row {
			row[c] = all[g.rng.IntN(len(all))]
			x[r*cols+c] = T(row[c])
		}
		for _, s := range sums[T](p, row) {
			want = append(want, T(s))
		}
	}
	for layoutName, l := range layouts[T](t, a) {
		seen[layoutName]++
		got := make([]T, len(want))
		l.run(x, cols, got, nil)
		one := make([]T, a.Targets)
		for r := range rows {
			l.run(x[r*cols:(r+1)*cols], cols, one, nil)
			for k := range one {
				w := want[r*a.Targets+k]
				if got[r*a.Targets+k] != w || one[k] != w {
					t.Fatalf("%s, %s, row %v: target %d is %v in a batch and %v alone, want %v",
						name, layoutName, x[r*cols:(r+1)*cols], k, got[r*a.Targets+k], one[k], w)
				}
			}
		}
	}
}
