package tree

// walks is the layout of last resort: the definition itself. It serves a
// forest whose slots and cells are too many for the words of steps.
type walks[T float] struct {
	f      *forest
	number []uint32
	tally  *tally[T]
	final  *finisher[T]
}

func newWalks[T float](f *forest, o *options, finish *finisher[T]) *walks[T] {
	leaves, number := f.leafNumbers()
	return &walks[T]{f: f, number: number, tally: newTally[T](f, o, leaves), final: finish}
}

// run evaluates rows: see layout.
func (w *walks[T]) run(x []T, cols int, scores []T, labels []int32) {
	for i := range scores {
		scores[i] = unvoted[T]()
	}
	k := w.tally.targets
	for r := range len(scores) / k {
		row, sums := x[r*cols:(r+1)*cols], scores[r*k:(r+1)*k]
		for _, root := range w.f.roots {
			leaf := [1]uint32{w.number[walk(w.f, root, row)]}
			w.tally.add(leaf[:], sums)
		}
	}
	w.final.finishRows(scores, k, labels)
}
