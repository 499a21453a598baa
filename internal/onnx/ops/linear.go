package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// linearOps is linear models (ai.onnx.ml).
var linearOps = []Operator{
	{ML, "LinearRegressor", 1, one, one, parseLinearRegressor},
	{ML, "LinearClassifier", 1, one, two, parseLinearClassifier},
}

// linear is a row of coefficients for each output, with intercepts.
type linear struct {
	likeness
	outputs   int
	transform tree.Transform
}

// parseLinear reads what LinearRegressor and LinearClassifier share.
func parseLinear(n *Node, outputs int) *linear {
	n.Need("coefficients")
	coefficients := n.Floats("coefficients")
	intercepts := n.Floats("intercepts")
	l := &linear{outputs: outputs}
	var err error
	if l.transform, err = tree.ParseTransform(n.String("post_transform", "NONE")); err != nil {
		n.Failf("%v", err)
	}
	switch {
	case n.err != nil:
		return l
	case outputs < 1 || len(coefficients) == 0 || len(coefficients)%outputs != 0:
		n.Failf("its %d coefficients do not make %d rows", len(coefficients), outputs)
		return l
	case len(intercepts) == 1 && intercepts[0] == 0:
		intercepts = nil // skl2onnx writes one zero for all targets of a model without intercepts
	case len(intercepts) != 0 && len(intercepts) != outputs:
		n.Failf("it has %d intercepts for %d outputs", len(intercepts), outputs)
		return l
	}
	if len(intercepts) == 0 {
		intercepts = make([]float32, outputs)
	}
	l.likeness = newLikeness(n, linalg.NewLinear(coefficients, intercepts))
	return l
}

// finish transforms rows of scores. LOGISTIC is rounded once, so that the small
// probabilities of OneVsRest, which are divided by their sum, keep their digits.
func finish(t tree.Transform, scores []float32, width int) {
	if t == tree.TransformLogistic {
		linalg.Sigmoids(scores)
		return
	}
	t.Apply(scores, width)
}

// parseLinearRegressor reads LinearRegressor (ai.onnx.ml 1).
func parseLinearRegressor(n *Node) Kernel {
	targets := n.Int("targets", 1)
	if targets < 1 || targets > tensor.MaxElements {
		n.Failf("attribute \"targets\" is %d; it must be 1 or more", targets)
		targets = 1
	}
	l := parseLinear(n, int(targets))
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: l.outputs}))
	return func(ctx context.Context, f *Frame) error {
		rows, err := l.rows(f.In(0).Shape())
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, rows, l.outputs)
		if err != nil {
			return err
		}
		width := l.vectors.Width()
		return l.groups(ctx, f, rows, func(from, n int, products []float32) error {
			y := dst[from*l.outputs : (from+n)*l.outputs]
			for r := range n {
				copy(y[r*l.outputs:(r+1)*l.outputs], products[r*width:])
			}
			// ONNX Runtime transforms a single target by PROBIT alone.
			if l.outputs > 1 || l.transform == tree.TransformProbit {
				finish(l.transform, y, l.outputs)
			}
			return nil
		})
	}
}

// parseLinearClassifier reads LinearClassifier (ai.onnx.ml 1). A single row of
// coefficients with two labels is a binary model: its score is that of the
// second class. multi_class has no effect on inference.
func parseLinearClassifier(n *Node) Kernel {
	n.Ignore("multi_class")
	labels := classLabels(n, "classlabels_ints")
	if n.err != nil {
		return nil
	}
	classes := labels.Len()
	outputs := classes
	if k := len(n.Floats("intercepts")); k > 0 {
		outputs = k
	}
	l := parseLinear(n, outputs)
	if outputs != classes && (outputs != 1 || classes != 2) {
		n.Failf("it has %d labels for %d rows of coefficients", classes, outputs)
	}
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(labels.DType(), rows))
	n.SetOut(1, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: classes}))
	n.SetClasses(0, labels)
	n.SetClasses(1, labels)
	n.Out[1].Decision = l.untransformed()
	c := &linearClassifier{linear: l, classes: classes, winners: n.NeedScratch(), label: labeller(labels)}
	return c.run
}

type linearClassifier struct {
	*linear
	classes int
	winners int
	label   labelFunc
}

func (c *linearClassifier) run(ctx context.Context, f *Frame) error {
	rows, err := c.rows(f.In(0).Shape())
	if err != nil {
		return err
	}
	winners, err := Scratch[int32](f, c.winners, rows)
	if err != nil {
		return err
	}
	scores, err := Output[float32](f, 1, rows, c.classes)
	if err != nil {
		return err
	}
	width, transform := c.vectors.Width(), c.lastStep()
	err = c.groups(ctx, f, rows, func(from, n int, products []float32) error {
		some := scores[from*c.classes : (from+n)*c.classes]
		for r := range n {
			winners[from+r] = c.scores(some[r*c.classes:(r+1)*c.classes], products[r*width:])
		}
		finish(transform, some, c.classes)
		return nil
	})
	if err != nil {
		return err
	}
	return c.label(f, 0, winners)
}

// lastStep is the transform of the scores: of a binary model, as in ONNX Runtime,
// SOFTMAX and SOFTMAX_ZERO have no effect.
func (c *linearClassifier) lastStep() tree.Transform {
	if c.outputs == 1 && (c.transform == tree.TransformSoftmax || c.transform == tree.TransformSoftmaxZero) {
		return tree.TransformNone
	}
	return c.transform
}

// scores computes one row but for the transform, and returns the position of the
// winning class.
func (c *linearClassifier) scores(dst, products []float32) int32 {
	if c.outputs == 1 {
		return c.binary(dst, products)
	}
	copy(dst, products)
	best := 0
	for k, v := range dst {
		if v > dst[best] {
			best = k
		}
	}
	return int32(best)
}

// binary spreads the one score of a binary model over its classes.
func (c *linearClassifier) binary(dst, products []float32) int32 {
	s := products[0]
	dst[0] = s
	switch {
	case c.classes != 2:
	case c.transform == tree.TransformLogistic:
		dst[0], dst[1] = -s, s
	default:
		dst[0], dst[1] = 1-s, s
	}
	if s > 0 && c.classes == 2 {
		return 1
	}
	return 0
}

// untransformed reports whether the scores of a classifier stay what the
// hyperplanes give; see binary.
func (l *linear) untransformed() bool {
	switch l.transform {
	case tree.TransformNone:
		return true
	case tree.TransformSoftmax, tree.TransformSoftmaxZero:
		return l.outputs == 1
	case tree.TransformLogistic, tree.TransformProbit:
	}
	return false
}

// labelFunc writes the labels of the winning classes to output i.
type labelFunc func(f *Frame, i int, winners []int32) error

func labeller(labels *tensor.Tensor) labelFunc {
	if labels.DType() == tensor.String {
		return labelAs(tensor.Of[string](labels))
	}
	return labelAs(tensor.Of[int64](labels))
}

func labelAs[T int64 | string](labels []T) labelFunc {
	return func(f *Frame, i int, winners []int32) error {
		f.dims = append(f.dims[:0], len(winners))
		return pick(f, i, f.dims, labels, winners)
	}
}

// pick writes to output i the values that stand at the given positions.
func pick[T tensor.Element](f *Frame, i int, shape []int, values []T, at []int32) error {
	dst, err := Output[T](f, i, shape...)
	if err != nil {
		return err
	}
	for k, p := range at {
		dst[k] = values[p]
	}
	return nil
}
