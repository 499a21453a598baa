package tree

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// processors makes the runtime believe in n processors for one test.
func processors(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// manyAt makes an engine take so many rows for many.
func (e *Ensemble) manyAt(rows int) {
	if e.single != nil {
		e.single.least = rows
	} else {
		e.double.least = rows
	}
}

func TestTheNumberOfThreadsChangesNoBit(t *testing.T) {
	processors(t, 5)
	pure, large := iris(t), forestOf(120, 8, 9, 0.8)
	large.Aggregate = Average
	double := large
	double.Double = true
	for name, a := range map[string]*Attributes{"labels": &pure, "sums": &large, "doubles": &double} {
		for _, rows := range []int{99, 100, 200, 1023, 3000} {
			var want []float32
			var wantLabels []int32
			for _, threads := range []int{1, 2, 3, 5} {
				a.Crew = crew.New(threads)
				e, err := Compile(*a)
				if err != nil {
					t.Fatal(err)
				}
				e.manyAt(50)
				x := randomRows(rows, e.Features())
				x[0], x[len(x)-1] = float32(math.NaN()), float32(math.Inf(1))
				got, labels := make([]float32, rows*a.Targets), make([]int32, rows)
				if err := e.Run(t.Context(), x, rows, got, labels); err != nil {
					t.Fatal(err)
				}
				if threads == 1 {
					want, wantLabels = got, labels
				} else if !slices.Equal(got, want) || !slices.Equal(labels, wantLabels) {
					t.Errorf("%s, %d threads, %d rows: not what one thread gives", name, threads, rows)
				}
			}
		}
	}
}

func TestAnEndedContextStopsEveryThread(t *testing.T) {
	processors(t, 4)
	a := forestOf(120, 8, 9, 0.8)
	a.Crew = crew.New(4)
	e, err := Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 20_000
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	scores := make([]float32, rows)
	if err := e.Run(ctx, randomRows(rows, e.Features()), rows, scores, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	if i := slices.IndexFunc(scores, func(s float32) bool { return s != 0 }); i >= 0 {
		t.Errorf("row %d was evaluated", i)
	}
}

func TestOnlyManyRowsAreShared(t *testing.T) {
	processors(t, 4)
	small, large := iris(t), forestOf(500, 8, 9, 1)
	for name, c := range map[string]struct {
		a         *Attributes
		few, many int
	}{"small": {&small, 2000, 200_000}, "large": {&large, 100, 1000}} {
		c.a.Crew = crew.New(4)
		e, err := Compile(*c.a)
		if err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 16, c.few} {
			if part := e.single.part(rows); part != rows {
				t.Errorf("%s: of %d rows a thread takes %d", name, rows, part)
			}
		}
		if part := e.single.part(c.many); part > c.many/4+lanes || part%lanes != 0 {
			t.Errorf("%s: of %d rows a thread takes %d", name, c.many, part)
		}
	}
}

func TestDamageInALargeForestIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(a *Attributes, root, last int) // of a tree, and the last node of all
		want   string
	}{
		"a missing child": {func(a *Attributes, root, _ int) { a.TrueIDs[root] = 1 << 40 }, "tree 100, node 0: its true branch"},
		"two of them": {func(a *Attributes, root, _ int) {
			a.TrueIDs[0], a.TrueIDs[root] = 1<<40, 1<<40
		}, "tree 0, node 0: its true branch"},
		"a child of none":  {func(a *Attributes, root, _ int) { a.TrueIDs[root] = a.FalseIDs[root] }, "tree 100: node 1 is the child of no node"},
		"a vote elsewhere": {func(a *Attributes, _, last int) { a.VoteNodeIDs[0] = int64(last) }, "weight 0 is of node"},
	} {
		a := forestOf(120, 8, 9, 0.8)
		tc.damage(&a, slices.Index(a.TreeIDs, 100), len(a.Modes))
		if _, err := Compile(a); fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}
