package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// linearOps is linear models (ai.onnx.ml).
var linearOps = []Operator{
	{ML, "LinearRegressor", 1, one, one, parseLinearRegressor},
	{ML, "LinearClassifier", 1, one, two, parseLinearClassifier},
}

// linear is a matrix of coefficients, a row for each output, with intercepts.
type linear struct {
	coefficients []float32
	intercepts   []float32
	outputs      int
	features     int
	transform    tree.Transform
}

// parseLinear reads what LinearRegressor and LinearClassifier share.
func parseLinear(n *Node, outputs int) *linear {
	n.Need("coefficients")
	l := &linear{coefficients: n.Floats("coefficients"), intercepts: n.Floats("intercepts"), outputs: outputs}
	var err error
	if l.transform, err = tree.ParseTransform(n.String("post_transform", "NONE")); err != nil {
		n.Failf("%v", err)
	}
	switch {
	case n.err != nil:
		return l
	case outputs < 1 || len(l.coefficients) == 0 || len(l.coefficients)%outputs != 0:
		n.Failf("its %d coefficients do not make %d rows", len(l.coefficients), outputs)
		return l
	case len(l.intercepts) != 0 && len(l.intercepts) != outputs:
		n.Failf("it has %d intercepts for %d outputs", len(l.intercepts), outputs)
	}
	l.features = len(l.coefficients) / outputs
	if len(l.intercepts) == 0 {
		l.intercepts = make([]float32, outputs)
	}
	if _, columns := n.matrixType(); columns.Size >= 0 && columns.Size != l.features {
		n.Failf("it has coefficients for %d features, but its input has %d", l.features, columns.Size)
	}
	return l
}

// check returns the rows of an input.
func (l *linear) check(shape tensor.Shape) (int, error) {
	if len(shape) != 1 && len(shape) != 2 {
		return 0, matrixFault(shape)
	}
	rows, columns := matrix(shape)
	if columns != l.features {
		return 0, fault.Newf(fault.Content, "an input of shape %s does not have the %d features of the model", onnx.FormatShape(shape), l.features)
	}
	return rows, nil
}

// row computes one row of outputs, summed in float64.
func (l *linear) row(dst, x []float32) {
	for k := range dst {
		sum := 0.0
		for i, c := range l.coefficients[k*l.features : (k+1)*l.features] {
			sum += float64(c) * float64(x[i])
		}
		dst[k] = float32(sum + float64(l.intercepts[k]))
	}
}

// parseLinearRegressor reads LinearRegressor (ai.onnx.ml 1).
func parseLinearRegressor(n *Node) Kernel {
	targets := n.Int("targets", 1)
	if targets < 1 || targets > tensor.MaxElements {
		n.Failf("attribute \"targets\" is %d; it must be 1 or more", targets)
		targets = 1
	}
	read := floats[float32](n, 0)
	l := parseLinear(n, int(targets))
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: l.outputs}))
	return func(ctx context.Context, f *Frame) error {
		rows, err := l.check(f.In(0).Shape())
		if err != nil {
			return err
		}
		x, err := read(f)
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, rows, l.outputs)
		if err != nil {
			return err
		}
		for r := range rows {
			if err := poll(ctx, r); err != nil {
				return err
			}
			y := dst[r*l.outputs : (r+1)*l.outputs]
			l.row(y, x[r*l.features:])
			// ONNX Runtime transforms a single target by PROBIT alone.
			if l.outputs > 1 || l.transform == tree.TransformProbit {
				l.transform.Apply(y)
			}
		}
		return nil
	}
}

// parseLinearClassifier reads LinearClassifier (ai.onnx.ml 1). A single row of
// coefficients with two labels is a binary model: its score is that of the
// second class. multi_class has no effect on inference.
func parseLinearClassifier(n *Node) Kernel {
	n.Ignore("multi_class")
	labels := classLabels(n, "classlabels_ints")
	read := floats[float32](n, 0)
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
	c := &linearClassifier{linear: l, classes: classes, read: read, winners: n.NeedScratch(), label: labeller(labels)}
	return c.run
}

type linearClassifier struct {
	*linear
	classes int
	read    reader[float32]
	winners int
	label   labelFunc
}

func (c *linearClassifier) run(ctx context.Context, f *Frame) error {
	rows, err := c.check(f.In(0).Shape())
	if err != nil {
		return err
	}
	x, err := c.read(f)
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
	for r := range rows {
		if err := poll(ctx, r); err != nil {
			return err
		}
		winners[r] = c.scores(scores[r*c.classes:(r+1)*c.classes], x[r*c.features:])
	}
	return c.label(f, 0, winners)
}

// scores computes one row and returns the position of the winning class, which
// is decided before the transform.
func (c *linearClassifier) scores(dst, x []float32) int32 {
	if c.outputs == 1 {
		return c.binary(dst, x)
	}
	c.row(dst, x)
	best := 0
	for k, v := range dst {
		if v > dst[best] {
			best = k
		}
	}
	c.transform.Apply(dst)
	return int32(best)
}

// binary spreads the one score of a binary model over its classes, as ONNX
// Runtime does: SOFTMAX and SOFTMAX_ZERO have no effect here.
func (c *linearClassifier) binary(dst, x []float32) int32 {
	c.row(dst[:1], x)
	s := dst[0]
	if c.classes == 2 {
		dst[0], dst[1] = 1-s, s
	}
	switch c.transform {
	case tree.TransformLogistic:
		if c.classes == 2 {
			dst[0], dst[1] = -s, s
		}
		c.transform.Apply(dst)
	case tree.TransformProbit:
		c.transform.Apply(dst)
	case tree.TransformNone, tree.TransformSoftmax, tree.TransformSoftmaxZero:
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
