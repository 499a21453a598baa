package tree

import "context"

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
}

func newEngine[T float](f *forest, o *options) *engine[T] {
	finish := newFinisher[T](f, o)
	steps := 1
	for _, h := range f.height {
		steps += int(h)
	}
	e := &engine[T]{block: min(max(lookSteps/steps, 1), maxBlock)}
	if len(f.members) > maxMembers {
		e.layout = newWalks[T](f, o, finish)
		return e
	}
	axes := f.axes()
	if d := newDiagram[T](f, o, finish, axes); d != nil {
		e.layout = d
	} else if m := newMasks[T](f, o, finish, axes); m != nil {
		e.layout = m
	} else if s := newSteps[T](f, o, finish, axes); s != nil {
		e.layout = s
	} else {
		e.layout = newWalks[T](f, o, finish)
	}
	return e
}

const (
	maxBlock = 1024
	// lookSteps are taken between two looks at the context at most: some ten
	// milliseconds.
	lookSteps = 1 << 23
	// maxMembers bounds the members of a forest that becomes more than itself:
	// the other layouts take some dozen times the memory of a set.
	maxMembers = 1 << 15
)

func (e *engine[T]) run(ctx context.Context, x []T, cols int, scores []T, labels []int32, rows int) error {
	k := len(scores) / rows
	for r := 0; r < rows; r += e.block {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(r+e.block, rows)
		var l []int32
		if labels != nil {
			l = labels[r:end]
		}
		e.layout.run(x[r*cols:end*cols], cols, scores[r*k:end*k], l)
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
