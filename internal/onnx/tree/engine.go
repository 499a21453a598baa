package tree

import (
	"context"
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
}

// engine evaluates rows of T.
type engine[T float] struct {
	f      *forest
	finish finisher[T]
}

func newEngine[T float](f *forest, o *options) *engine[T] {
	e := &engine[T]{f: f, finish: finisher[T]{
		targets: o.targets, trees: T(len(f.roots)), transform: o.transform, aggregate: o.aggregate,
		classifier: o.classifier, oneColumn: o.oneColumn, allPositive: o.allPositive,
	}}
	for _, b := range o.base {
		e.finish.base = append(e.finish.base, T(b))
	}
	return e
}

// row evaluates one row into its scores and returns its label.
func (e *engine[T]) row(row, scores []T) int32 {
	for i := range scores {
		scores[i] = unvoted[T]()
	}
	for _, root := range e.f.roots {
		leaf := walk(e.f, root, row)
		for _, v := range e.f.votes[leaf.first:leaf.last] {
			e.vote(&scores[v.target], T(v.weight)+0)
		}
	}
	return e.finish.finish(scores)
}

// vote adds a weight to a sum.
func (e *engine[T]) vote(s *T, w T) {
	switch e.finish.aggregate {
	case Min:
		if !voted(*s) || w < *s {
			*s = w
		}
	case Max:
		if !voted(*s) || w > *s {
			*s = w
		}
	case Sum, Average:
		*s += w
	}
}

// run evaluates rows of X with an ensemble that may compute in another type.
func run[X float](ctx context.Context, e *Ensemble, x []X, rows int, scores []X, labels []int32) error {
	cols, err := checkInput(e, x, rows, scores, labels)
	if err != nil || rows == 0 {
		return err
	}
	for r := range rows {
		if r&0xff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		in, out := x[r*cols:(r+1)*cols], scores[r*e.targets:(r+1)*e.targets]
		label := rowOf(e, in, out)
		if labels != nil {
			labels[r] = label
		}
	}
	return nil
}

func rowOf[X float](e *Ensemble, in, out []X) int32 {
	if e.double != nil {
		return convertRow(e.double, in, out)
	}
	return convertRow(e.single, in, out)
}

func convertRow[T, X float](e *engine[T], in, out []X) int32 {
	row, sums := make([]T, len(in)), make([]T, len(out))
	for i, v := range in {
		row[i] = T(v)
	}
	label := e.row(row, sums)
	for i, s := range sums {
		out[i] = X(s)
	}
	return label
}
