package tree

import (
	"math"
	"slices"
	"testing"
)

func TestMasksOfManyWordsAgreeWithTheWalk(t *testing.T) {
	for name, a := range map[string]Attributes{
		"two trees a word":     forestOf(100, 5, 10, 1),
		"a tree a word":        forestOf(40, 6, 5, 1),
		"trees of every size":  forestOf(90, 6, 7, 0.6),
		"one feature":          forestOf(70, 4, 1, 0.9),
		"five axes, two steps": forestOf(200, 2, 5, 1),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := build(&a)
			if err != nil {
				t.Fatal(err)
			}
			o := &options{targets: 1, aggregate: Sum}
			finish, axes := newFinisher[float32](f, o), f.axes()
			m := newMasks[float32](f, o, finish, axes)
			if m == nil || m.words < 2 {
				t.Fatal("the forest has no masks of several words")
			}
			const rows = 500
			x := randomRows(rows, f.features)
			for i := 0; i < len(x); i += 13 {
				x[i] = []float32{-1, 2, float32(math.NaN()), float32(math.Inf(-1)), float32(f.nodes[i%len(f.nodes)].value)}[i%5]
			}
			got, want := make([]float32, rows), make([]float32, rows)
			m.run(x, f.features, got, nil)
			newWalks[float32](f, o, finish).run(x, f.features, want, nil)
			if !slices.Equal(got, want) {
				t.Error("the scores are not the walk's")
			}
		})
	}
}

func TestAForestBetterWalkedHasNoMasks(t *testing.T) {
	for name, a := range map[string]Attributes{
		"a tree of more leaves than a word has bits": forestOf(10, 7, 3, 1),
		"many features for few steps":                forestOf(10, 6, 40, 1),
		"sets beyond their bound":                    forestOf(300, 6, 6, 1),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := build(&a)
			if err != nil {
				t.Fatal(err)
			}
			o := &options{targets: 1, aggregate: Sum}
			if m := newMasks[float32](f, o, newFinisher[float32](f, o), f.axes()); m != nil {
				t.Errorf("it has masks of %d words", m.words)
			}
		})
	}
}
