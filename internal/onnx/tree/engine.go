package tree

import (
	"context"

	"onnxgate/internal/onnx/crew"
)

// options are what an ensemble does with its leaves' votes.
type options struct {
	targets     int
	base        []float64
	transform   Transform
	aggregate   Aggregate
	classifier  bool
	oneColumn   bool
	allPositive bool
	budget      *Budget
	crew        *crew.Crew
}

// layout is an ensemble in the form that suits its size.
type layout[T float] interface {
	// run evaluates rows of cols features each.
	run(x []T, cols int, scores []T, labels []int32)
}

// engine evaluates rows of T.
type engine[T float] struct {
	layout layout[T]
	block  int // rows between two looks at the context
	least  int // rows that are worth a thread of their own
	crew   *crew.Crew
}

func newEngine[T float](f *forest, o *options) *engine[T] {
	finish := newFinisher[T](f, o)
	steps := 1
	for _, h := range f.height {
		steps += int(h)
	}
	e := &engine[T]{block: min(max(lookSteps/steps, 1), maxBlock), crew: o.crew}
	if len(f.members) > maxMembers {
		e.layout = newWalks[T](f, o, finish)
	} else {
		e.layout, steps = newLayout[T](f, o, finish, steps)
	}
	e.least = max(threadSteps/steps, leastRows)
	return e
}

// newLayout returns the layout that suits f, and how many steps a row takes as
// long as, which would be some in a walk.
func newLayout[T float](f *forest, o *options, finish *finisher[T], steps int) (layout[T], int) {
	axes := f.axes()
	d := newDirect[T](f, o, finish, cellsCost+len(axes)*cellCost)
	if d != nil && d.cost <= len(axes)*cellCost {
		return d, d.cost
	}
	if l, steps := newByCells[T](f, o, finish, axes); l != nil {
		return l, steps
	}
	if d != nil {
		return d, d.cost
	}
	if s := newSteps[T](f, o, finish, axes); s != nil {
		return s, steps
	}
	return newWalks[T](f, o, finish), steps
}

// newByCells is newLayout for a forest whose cells say all, or nil.
func newByCells[T float](f *forest, o *options, finish *finisher[T], axes []axis) (layout[T], int) {
	if d := newDiagram[T](f, o, finish, axes); d != nil {
		return d, axisSteps*len(axes) + 1
	}
	if m := newMasks[T](f, o, finish, axes); m != nil {
		return mix(m, newSteps[T](f, o, finish, axes)), m.words*len(axes)/wordsAStep + len(f.roots)
	}
	return nil, 0
}

const (
	maxBlock = 1024
	// lookSteps are taken between two looks at the context at most: some ten
	// milliseconds.
	lookSteps = 1 << 23
	// threadSteps are worth another thread: some hundred microseconds.
	threadSteps = 1 << 17
	axisSteps   = 3 // that finding a cell takes as long as
	leastRows   = 64
	// maxMembers bounds the members of a forest that becomes more than itself:
	// the other layouts take some dozen times the memory of a set.
	maxMembers = 1 << 15
)

// run evaluates rows, on several threads when they are many. Which thread takes
// a row makes no difference to its scores.
func (e *engine[T]) run(ctx context.Context, x []T, cols int, scores []T, labels []int32, rows int) error {
	part := e.part(rows)
	if part == rows {
		return e.some(ctx, x, cols, scores, labels, rows)
	}
	k := len(scores) / rows
	return e.crew.Share((rows+part-1)/part, func(i int) error {
		from, to := i*part, min((i+1)*part, rows)
		return e.some(ctx, x[from*cols:to*cols], cols, scores[from*k:to*k], between(labels, from, to), to-from)
	})
}

// part returns how many rows one thread takes at a time: all of them when they
// are few.
func (e *engine[T]) part(rows int) int {
	threads := min(e.crew.Threads(), rows/e.least)
	if threads <= 1 {
		return rows
	}
	each := (rows + threads - 1) / threads
	return min((each+lanes-1)/lanes*lanes, maxBlock)
}

// between returns a part of labels, when they are wanted.
func between(labels []int32, from, to int) []int32 {
	if labels == nil {
		return nil
	}
	return labels[from:to]
}

// some evaluates rows on one thread.
func (e *engine[T]) some(ctx context.Context, x []T, cols int, scores []T, labels []int32, rows int) error {
	k := len(scores) / rows
	for r := 0; r < rows; r += e.block {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(r+e.block, rows)
		e.layout.run(x[r*cols:end*cols], cols, scores[r*k:end*k], between(labels, r, end))
	}
	return nil
}

// convert is run for rows of another type than the engine's.
func convert[T, X float](ctx context.Context, e *engine[T], x []X, cols int, scores []X, labels []int32, rows int) error {
	in, out := make([]T, len(x)), make([]T, len(scores))
	for i, v := range x {
		in[i] = T(v)
	}
	if err := e.run(ctx, in, cols, out, labels, rows); err != nil {
		return err
	}
	for i, s := range out {
		scores[i] = X(s)
	}
	return nil
}
