package tree_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/tree"
)

func TestHostileAttributesAreRefused(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change func(a *tree.Attributes)
		says   string
	}{
		"no tree":                  {func(a *tree.Attributes) { *a = tree.Attributes{Targets: 1} }, "no tree"},
		"no targets":               {func(a *tree.Attributes) { a.Targets = 0 }, "number of classes or targets is 0"},
		"negative targets":         {func(a *tree.Attributes) { a.Targets = -1 }, "number of classes"},
		"too many targets":         {func(a *tree.Attributes) { a.Targets = math.MaxInt }, "number of classes"},
		"unknown transform":        {func(a *tree.Attributes) { a.Transform = 9 }, "post_transform 9"},
		"unknown aggregate":        {func(a *tree.Attributes) { a.Classifier, a.Aggregate = false, 9 }, "aggregate_function 9"},
		"short tree ids":           {func(a *tree.Attributes) { a.TreeIDs = a.TreeIDs[:2] }, "nodes_treeids 2"},
		"short node ids":           {func(a *tree.Attributes) { a.NodeIDs = a.NodeIDs[:2] }, "nodes_nodeids 2"},
		"short feature ids":        {func(a *tree.Attributes) { a.FeatureIDs = nil }, "nodes_featureids 0"},
		"short true ids":           {func(a *tree.Attributes) { a.TrueIDs = a.TrueIDs[:1] }, "nodes_truenodeids 1"},
		"long false ids":           {func(a *tree.Attributes) { a.FalseIDs = append(a.FalseIDs, 0) }, "nodes_falsenodeids 4"},
		"short values":             {func(a *tree.Attributes) { a.Values = a.Values[:2] }, "nodes_values 2"},
		"short missing tracks":     {func(a *tree.Attributes) { a.MissingTrue = []int64{1} }, "nodes_missing_value_tracks_true has 1"},
		"short weights":            {func(a *tree.Attributes) { a.VoteWeights = a.VoteWeights[:1] }, "1 weights"},
		"short weight trees":       {func(a *tree.Attributes) { a.VoteTreeIDs = nil }, "0 tree ids"},
		"unknown mode":             {func(a *tree.Attributes) { a.Modes[0] = 8 }, "tree 0, node 0"},
		"member mode":              {func(a *tree.Attributes) { a.Modes[0] = tree.BranchMember }, "BRANCH_MEMBER does not belong"},
		"NaN threshold":            {func(a *tree.Attributes) { a.Values[0] = nan }, "tree 0, node 0: the threshold is NaN"},
		"negative feature":         {func(a *tree.Attributes) { a.FeatureIDs[0] = -1 }, "tree 0, node 0: the feature id -1"},
		"huge feature":             {func(a *tree.Attributes) { a.FeatureIDs[0] = math.MaxInt64 }, "feature id 9223372036854775807"},
		"self loop":                {func(a *tree.Attributes) { a.TrueIDs[0] = 0 }, "tree 0: its first node 0 is also the child"},
		"child out of range":       {func(a *tree.Attributes) { a.TrueIDs[0] = 3 }, "its true branch is node 3"},
		"negative child":           {func(a *tree.Attributes) { a.FalseIDs[0] = -1 }, "its false branch is node -1"},
		"child at the far end":     {func(a *tree.Attributes) { a.FalseIDs[0] = math.MinInt64 }, "its false branch is node -92"},
		"node without parent":      {func(a *tree.Attributes) { a.FalseIDs[0] = 1 }, "node 2 is the child of no node"},
		"two nodes of one id":      {func(a *tree.Attributes) { a.NodeIDs[2] = 1 }, "two nodes 1"},
		"tree in two pieces":       {func(a *tree.Attributes) { a.TreeIDs = []int64{0, 1, 0} }, "not next to each other"},
		"child in another tree":    {func(a *tree.Attributes) { a.TreeIDs = []int64{0, 0, 1} }, "its false branch is node 2, which is not in that tree"},
		"class out of range":       {func(a *tree.Attributes) { a.VoteTargets[1] = 3 }, "tree 0, node 2: a weight is for class or target 3"},
		"negative class":           {func(a *tree.Attributes) { a.VoteTargets[1] = math.MinInt64 }, "class or target -9"},
		"weight of no node":        {func(a *tree.Attributes) { a.VoteNodeIDs[0] = 7 }, "weight 0 is of node 7"},
		"weight of no tree":        {func(a *tree.Attributes) { a.VoteTreeIDs[0] = 7 }, "in tree 7, which does not exist"},
		"weight of a branch":       {func(a *tree.Attributes) { a.VoteNodeIDs[0] = 0 }, "it has a weight and is no leaf"},
		"base of another length":   {func(a *tree.Attributes) { a.Base = []float64{1, 2} }, "base_values has 2"},
		"cycle off the root":       {cycle, "leads back"},
		"cycle that no root meets": {ring, "tree 0, node 4: one of its branches leads back"},
		"feature beyond the input": {func(a *tree.Attributes) { a.FeatureIDs[0], a.Columns = 4, 4 }, "use 5 features, but its input has 4"},
		"chain of a million":       {func(a *tree.Attributes) { chain(a, 1_000_000) }, "deeper than 4096"},
		"chain just past the end":  {func(a *tree.Attributes) { chain(a, tree.MaxDepth) }, "deeper than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			a := stump()
			c.change(&a)
			e, err := tree.Compile(a)
			if err == nil {
				t.Fatalf("compiled to %v", e)
			}
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v of kind %v, want content and %q", err, fault.KindOf(err), c.says)
			}
		})
	}
}

// cycle makes two branches below the root lead to each other.
func cycle(a *tree.Attributes) {
	*a = tree.Attributes{
		Targets: 1, Aggregate: tree.Sum,
		TreeIDs: make([]int64, 5), NodeIDs: []int64{0, 1, 2, 3, 4}, FeatureIDs: make([]int64, 5),
		TrueIDs: []int64{1, 2, 1, 0, 0}, FalseIDs: []int64{3, 4, 4, 0, 0},
		Modes:  []tree.Mode{tree.BranchLEQ, tree.BranchLEQ, tree.BranchLEQ, tree.Leaf, tree.Leaf},
		Values: make([]float32, 5),
	}
}

// ring adds two branches that lead to each other, and to which no root leads.
func ring(a *tree.Attributes) {
	a.TreeIDs, a.NodeIDs = append(a.TreeIDs, 0, 0), append(a.NodeIDs, 3, 4)
	a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 4, 3), append(a.FalseIDs, 4, 3)
	a.FeatureIDs, a.Modes = append(a.FeatureIDs, 48, 49), append(a.Modes, tree.BranchLEQ, tree.BranchLEQ)
	a.Values = append(a.Values, 0, 0)
}

// chain makes one tree of n branches, each the true child of the one before.
func chain(a *tree.Attributes, n int) {
	*a = tree.Attributes{Targets: 1, Aggregate: tree.Sum}
	for i := range 2*n + 1 {
		mode := tree.BranchLEQ
		if i >= n {
			mode = tree.Leaf
		}
		a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, 0), append(a.NodeIDs, int64(i)), append(a.Modes, mode)
		a.FeatureIDs, a.Values = append(a.FeatureIDs, 0), append(a.Values, float32(-i))
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, int64(i+1)), append(a.FalseIDs, int64(n+1+i))
	}
}

func TestChainsUpToTheLimitEvaluate(t *testing.T) {
	var a tree.Attributes
	chain(&a, tree.MaxDepth-1)
	a.VoteTreeIDs, a.VoteNodeIDs, a.VoteTargets = []int64{0}, []int64{tree.MaxDepth - 1}, []int64{0}
	a.VoteWeights = []float32{2}
	e, err := tree.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 2)
	if err := e.Run(t.Context(), []float32{-1e9, 1}, 2, scores, nil); err != nil {
		t.Fatal(err)
	}
	if scores[0] != 2 || scores[1] != 0 {
		t.Errorf("scores %v, want the deepest leaf's 2 and 0", scores)
	}
}

// TestSharedBranchesDoNotMultiply has a tree whose every branch leads twice to
// the next: 2^200 paths, which an expansion would never end.
func TestSharedBranchesDoNotMultiply(t *testing.T) {
	const n = 200
	a := tree.Attributes{Targets: 1, Aggregate: tree.Sum}
	for i := range n + 1 {
		mode := tree.BranchLEQ
		if i == n {
			mode = tree.Leaf
		}
		a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, 0), append(a.NodeIDs, int64(i)), append(a.Modes, mode)
		a.FeatureIDs, a.Values = append(a.FeatureIDs, int64(i%7)), append(a.Values, float32(i))
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, int64(i+1)), append(a.FalseIDs, int64(i+1))
	}
	a.VoteTreeIDs, a.VoteNodeIDs, a.VoteTargets, a.VoteWeights = []int64{0}, []int64{n}, []int64{0}, []float32{3}
	e, err := tree.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 1)
	if err := e.Run(t.Context(), make([]float32, 7), 1, scores, nil); err != nil || scores[0] != 3 {
		t.Errorf("scores %v, error %v", scores, err)
	}
}

// stump5 is stump as a TreeEnsemble, asking for membership of {1, 2}.
func stump5() tree.AttributesV5 {
	return tree.AttributesV5{
		Targets: 2, Aggregate: tree.Sum, Roots: []int64{0}, FeatureIDs: []int64{0}, Modes: []tree.Mode{tree.BranchMember},
		Splits: []float64{0}, TrueIDs: []int64{0}, FalseIDs: []int64{1}, TrueLeafs: []int64{1}, FalseLeafs: []int64{1},
		LeafTargets: []int64{0, 1}, LeafWeights: []float64{1, 1}, Members: []float64{2, 1, math.NaN()},
	}
}

func TestHostileTreeEnsemblesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *tree.AttributesV5)
		says   string
	}{
		"no roots":              {func(a *tree.AttributesV5) { a.Roots = nil }, "no tree"},
		"root out of range":     {func(a *tree.AttributesV5) { a.Roots[0] = 1 }, "root of tree 0 is node 1"},
		"negative root":         {func(a *tree.AttributesV5) { a.Roots[0] = -1 }, "root of tree 0 is node -1"},
		"one root twice":        {func(a *tree.AttributesV5) { a.Roots = []int64{0, 0} }, "node 0 belongs to two trees"},
		"leaf out of range":     {func(a *tree.AttributesV5) { a.FalseIDs[0] = 2 }, "its false branch is leaf 2"},
		"node out of range":     {func(a *tree.AttributesV5) { a.TrueLeafs[0], a.TrueIDs[0] = 0, 5 }, "its true branch is node 5"},
		"negative leaf":         {func(a *tree.AttributesV5) { a.TrueIDs[0] = -1 }, "its true branch is leaf -1"},
		"self loop":             {func(a *tree.AttributesV5) { a.TrueLeafs[0] = 0 }, "leads back"},
		"leaf mode":             {func(a *tree.AttributesV5) { a.Modes[0] = tree.Leaf }, "mode 7 is not known"},
		"target out of range":   {func(a *tree.AttributesV5) { a.LeafTargets[1] = 2 }, "leaf 1 is for target 2"},
		"short leaf weights":    {func(a *tree.AttributesV5) { a.LeafWeights = a.LeafWeights[:1] }, "leaf_weights 1"},
		"short leaf flags":      {func(a *tree.AttributesV5) { a.TrueLeafs = nil }, "nodes_trueleafs 0"},
		"no members":            {func(a *tree.AttributesV5) { a.Members = nil }, "membership_values holds no set"},
		"NaN threshold":         {func(a *tree.AttributesV5) { a.Modes[0], a.Splits[0] = tree.BranchLEQ, math.NaN() }, "threshold is NaN"},
		"branch in two trees":   {sharedBranch, "node 2 belongs to two trees"},
		"cycle across roots":    {crossed, "belongs to two trees"},
		"aggregate not known":   {func(a *tree.AttributesV5) { a.Aggregate = 4 }, "aggregate_function 4"},
		"cycle without a root":  {ring5, "node 2, to which no root leads: one of its branches leads back"},
		"feature beyond input":  {func(a *tree.AttributesV5) { a.FeatureIDs[0], a.Columns = 4, 4 }, "use 5 features, but its input has 4"},
		"feature out of bounds": {func(a *tree.AttributesV5) { a.FeatureIDs[0] = 1 << 40 }, "feature id"},
	} {
		t.Run(name, func(t *testing.T) {
			a := stump5()
			c.change(&a)
			_, err := tree.CompileV5(a)
			if fault.KindOf(err) != fault.Content || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want content and %q", err, c.says)
			}
		})
	}
}

// widen gives a stump5 three branches.
func widen(a *tree.AttributesV5) {
	for _, s := range []*[]int64{&a.FeatureIDs, &a.TrueIDs, &a.FalseIDs, &a.TrueLeafs, &a.FalseLeafs} {
		*s = slices.Repeat(*s, 3)
	}
	a.Splits, a.Modes = make([]float64, 3), slices.Repeat([]tree.Mode{tree.BranchLEQ}, 3)
	a.Roots = []int64{0, 1}
}

func sharedBranch(a *tree.AttributesV5) {
	widen(a)
	a.TrueIDs[0], a.TrueLeafs[0] = 2, 0
	a.TrueIDs[1], a.TrueLeafs[1] = 2, 0
}

func crossed(a *tree.AttributesV5) {
	widen(a)
	a.TrueIDs[0], a.TrueLeafs[0] = 2, 0
	a.TrueIDs[1], a.TrueLeafs[1] = 0, 0
}

func ring5(a *tree.AttributesV5) {
	widen(a)
	a.TrueIDs[1], a.TrueLeafs[1] = 2, 0
	a.TrueIDs[2], a.TrueLeafs[2] = 1, 0
	a.Roots = []int64{0}
}

// TestBranchesWithoutARootAreIgnored has one, of a feature that no row needs
// to have, that leads into the tree.
func TestBranchesWithoutARootAreIgnored(t *testing.T) {
	a := stump5()
	widen(&a)
	a.Roots, a.Columns, a.FeatureIDs[2] = []int64{0, 1}, 1, 48
	a.TrueIDs[2], a.TrueLeafs[2] = 1, 0
	e, err := tree.CompileV5(a)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 2)
	if err := e.Run(t.Context(), []float32{0}, 1, scores, nil); err != nil {
		t.Fatal(err)
	}
	if want := []float32{2, 0}; e.Features() != 1 || !slices.Equal(scores, want) {
		t.Errorf("%d features, scores %v; want 1 and %v", e.Features(), scores, want)
	}
}

func TestMembersAreFound(t *testing.T) {
	e, err := tree.CompileV5(stump5())
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 8)
	if err := e.Run(t.Context(), []float32{1, 2, 1.5, float32(math.NaN())}, 4, scores, nil); err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 0, 1, 0, 0, 1, 0, 1}; !slices.Equal(scores, want) {
		t.Errorf("scores %v, want %v", scores, want)
	}
}

func TestInputThatDoesNotFitIsRefused(t *testing.T) {
	a := stump()
	a.FeatureIDs[0] = 2
	e, err := tree.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(t.Context(), make([]float32, 4), 2, make([]float32, 6), nil)
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "reads 3 features of each row, and the input has 2") {
		t.Errorf("two columns: %v", err)
	}
	if err := e.Run(t.Context(), make([]float32, 3), 1, make([]float32, 2), nil); fault.KindOf(err) != fault.Internal || err == nil {
		t.Errorf("too few scores: %v", err)
	}
	if err := e.Run(t.Context(), nil, 0, nil, nil); err != nil {
		t.Errorf("no rows: %v", err)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	e, err := tree.Compile(stump())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx, make([]float32, 1), 1, make([]float32, 3), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}
