package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// impure returns iris with some leaves that vote for two classes, so that its
// sums depend on the order of the trees.
func impure(tb testing.TB) Attributes {
	tb.Helper()
	a := iris(tb)
	for i := 0; i < len(a.VoteWeights); i += 3 * 50 {
		copy(a.VoteWeights[i:i+3], []float32{0, 0.003, 0.007})
	}
	return a
}

func TestIrisIsTheSameInEveryLayout(t *testing.T) {
	for name, a := range map[string]Attributes{"pure": iris(t), "impure": impure(t)} {
		t.Run(name, func(t *testing.T) {
			f, err := build(&a)
			if err != nil {
				t.Fatal(err)
			}
			o := &options{targets: a.Targets, aggregate: Sum, classifier: true, allPositive: true}
			finish, axes := newFinisher[float32](f, o), f.axes()
			d := newDiagram[float32](f, o, finish, axes)
			if d == nil {
				t.Fatal("iris is no diagram")
			}
			const rows = 4000
			rng, x := rand.New(rand.NewPCG(10, 11)), make([]float32, 0, rows*f.features)
			for range rows {
				for i := range axes {
					x = append(x, float32(axes[i].value(rng.IntN(axes[i].cells()))))
				}
			}
			want, wantLabels := make([]float32, rows*3), make([]int32, rows)
			newWalks[float32](f, o, finish).run(x, f.features, want, wantLabels)
			for name, l := range map[string]layout[float32]{"diagram": d, "steps": newSteps[float32](f, o, finish, axes)} {
				got, labels := make([]float32, rows*3), make([]int32, rows)
				l.run(x, f.features, got, labels)
				if !slices.Equal(got, want) || !slices.Equal(labels, wantLabels) {
					t.Errorf("%s is not the walk", name)
				}
			}
		})
	}
}
