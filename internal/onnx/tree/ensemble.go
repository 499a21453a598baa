// Package tree evaluates ensembles of decision trees: the operators
// TreeEnsembleClassifier and TreeEnsembleRegressor (ai.onnx.ml, opsets 1, 3
// and 5) and TreeEnsemble (opset 5).
//
// Compile checks the attributes, so that nothing in a file can make a walk
// leave its arrays or go on for ever. It knows no file format and no graph.
//
// Node semantics: a branch compares a feature with its threshold, as IEEE 754
// does, so negative zero equals zero and infinities are ordered. A missing
// value, NaN, goes to the true branch where nodes_missing_value_tracks_true is
// 1; elsewhere a comparison with it is false, except BRANCH_NEQ. A NaN
// threshold is refused. Sums are made in the order of the trees, in float32 or
// for doubles in float64, as ONNX Runtime does on one thread: they agree to
// the last bit before a transform.
package tree

import (
	"context"

	"onnxgate/internal/fault"
)

// Ensemble is a compiled tree ensemble. It is safe for concurrent use.
type Ensemble struct {
	features, targets int
	single            *engine[float32] // nil when it computes in float64
	double            *engine[float64]
}

// Compile checks the attributes of a TreeEnsembleClassifier or
// TreeEnsembleRegressor and returns their ensemble. Errors are fault.Content
// and name the tree and the node.
func Compile(a Attributes) (*Ensemble, error) {
	if err := checkTargets(&a); err != nil {
		return nil, err
	}
	f, err := build(&a)
	if err != nil {
		return nil, err
	}
	if err := f.checkColumns(a.Columns); err != nil {
		return nil, err
	}
	o := options{
		targets: a.Targets, base: a.Base, transform: a.Transform, aggregate: a.Aggregate,
		classifier: a.Classifier, allPositive: true, budget: a.Budget, crew: a.Crew,
	}
	if a.Classifier {
		o.aggregate = Sum
		o.oneColumn = a.Targets == 2 && len(f.votes) > 0
	}
	for _, v := range f.votes {
		o.oneColumn = o.oneColumn && v.target == f.votes[0].target
		o.allPositive = o.allPositive && !(v.weight < 0)
	}
	return newEnsemble(f, &o, a.Double || a.ValuesDouble != nil || a.VoteWeightsDouble != nil), nil
}

// CompileV5 is Compile for a TreeEnsemble.
func CompileV5(a AttributesV5) (*Ensemble, error) {
	if err := checkEnums(a.Targets, a.Aggregate, a.Transform); err != nil {
		return nil, err
	}
	f, err := build5(&a)
	if err != nil {
		return nil, err
	}
	if err := f.checkColumns(a.Columns); err != nil {
		return nil, err
	}
	o := options{targets: a.Targets, transform: a.Transform, aggregate: a.Aggregate, budget: a.Budget, crew: a.Crew}
	return newEnsemble(f, &o, a.Double), nil
}

func checkTargets(a *Attributes) error {
	aggregate := a.Aggregate
	if a.Classifier {
		aggregate = Sum
	}
	if err := checkEnums(a.Targets, aggregate, a.Transform); err != nil {
		return err
	}
	n := len(a.Base)
	if n == 0 || n == a.Targets || a.Classifier && a.Targets <= 2 && n <= 2 {
		return nil
	}
	return refuse("base_values has %d entries for %d classes or targets", n, a.Targets)
}

func checkEnums(targets int, aggregate Aggregate, transform Transform) error {
	switch {
	case targets <= 0 || targets > MaxTargets:
		return refuse("the number of classes or targets is %d, not between 1 and %d", targets, MaxTargets)
	case aggregate > Max:
		return refuse("the aggregate_function %d is not known", aggregate)
	case transform > TransformProbit:
		return refuse("the post_transform %d is not known", transform)
	}
	return nil
}

// checkColumns refuses a forest that asks for more features than a row of the
// input has, where that is known: before any layout is made of it.
func (f *forest) checkColumns(columns int) error {
	if columns > 0 && f.features > columns {
		return refuse("its trees use %d features, but its input has %d", f.features, columns)
	}
	return nil
}

func newEnsemble(f *forest, o *options, double bool) *Ensemble {
	e := &Ensemble{features: f.features, targets: o.targets}
	if double {
		e.double = newEngine[float64](f, o)
	} else {
		e.single = newEngine[float32](f, o)
	}
	return e
}

// Features returns how many columns the input must have at least.
func (e *Ensemble) Features() int { return e.features }

// Outputs returns the number of scores of one row: the classes or targets.
func (e *Ensemble) Outputs() int { return e.targets }

// Double reports whether the ensemble computes in float64.
func (e *Ensemble) Double() bool { return e.double != nil }

// Run evaluates rows. x holds them one after the other, each of len(x)/rows
// features. scores receives rows × Outputs() values. labels receives for each
// row the position of its class, and is nil when it is not wanted, as for a
// regressor. An input that has too few columns is a fault.Content; ctx ending
// gives its error.
func (e *Ensemble) Run(ctx context.Context, x []float32, rows int, scores []float32, labels []int32) error {
	cols, err := checkInput(e, x, rows, scores, labels)
	switch {
	case err != nil || rows == 0:
		return err
	case e.single != nil:
		return e.single.run(ctx, x, cols, scores, labels, rows)
	default:
		return convert(ctx, e.double, x, cols, scores, labels, rows)
	}
}

// RunDouble is Run for an input of doubles. The ensemble must compute in
// float64; otherwise the input is rounded to float32 first.
func (e *Ensemble) RunDouble(ctx context.Context, x []float64, rows int, scores []float64, labels []int32) error {
	cols, err := checkInput(e, x, rows, scores, labels)
	switch {
	case err != nil || rows == 0:
		return err
	case e.double != nil:
		return e.double.run(ctx, x, cols, scores, labels, rows)
	default:
		return convert(ctx, e.single, x, cols, scores, labels, rows)
	}
}

// checkInput refuses slices that do not fit each other or the ensemble, and
// returns the number of columns of x.
func checkInput[T float](e *Ensemble, x []T, rows int, scores []T, labels []int32) (int, error) {
	if rows < 0 || rows > 0 && len(x)%rows != 0 || len(scores) != rows*e.targets || labels != nil && len(labels) != rows {
		return 0, fault.Newf(fault.Internal, "tree ensemble: %d values, %d scores and %d labels for %d rows of %d outputs",
			len(x), len(scores), len(labels), rows, e.targets)
	}
	if rows == 0 {
		return 0, nil
	}
	if cols := len(x) / rows; cols >= e.features {
		return cols, nil
	}
	return 0, fault.Newf(fault.Content, "the model reads %d features of each row, and the input has %d", e.features, len(x)/rows)
}
