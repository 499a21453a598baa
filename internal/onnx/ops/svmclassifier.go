package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// parseSVMClassifier reads SVMClassifier (ai.onnx.ml 1). Where the
// specification says nothing, which is nearly everywhere, it follows ONNX
// Runtime: see svmClassifier.
func parseSVMClassifier(n *Node) Kernel {
	labels := classLabels(n, "classlabels_ints")
	c := &svmClassifier{probA: n.Floats("prob_a"), probB: n.Floats("prob_b")}
	supports := c.span(n)
	if n.err != nil {
		return nil
	}
	c.classes = labels.Len()
	c.pairs = c.classes * (c.classes - 1) / 2
	c.svm = parseSVM(n, supports, c.classes)
	if supports > 0 {
		c.checkPairs(n, supports)
	}
	if n.err != nil {
		return nil
	}
	c.columns = c.classes
	if !c.linear && len(c.probA) == 0 && c.classes > 2 {
		c.columns = c.pairs
	}
	c.allPositive = true
	for _, v := range c.coefficients {
		c.allPositive = c.allPositive && v >= 0
	}
	c.winners, c.votes, c.scores, c.coupling, c.shares = n.NeedScratch(), n.NeedScratch(), n.NeedScratch(), n.NeedScratch(), n.NeedScratch()
	c.label = labeller(labels)
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(labels.DType(), rows))
	n.SetOut(1, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: c.columns}))
	n.SetClasses(0, labels)
	if c.columns == c.classes && (c.linear || c.classes < 3 || len(c.probA) > 0) {
		n.SetClasses(1, labels)
	}
	n.Out[1].Decision = c.transform == tree.TransformNone && (c.linear || len(c.probA) == 0)
	return c.run
}

// svmClassifier decides between each pair of classes: the first of a pair gets
// a vote when the pair's score is positive, else the second; the class with
// the most votes wins, the first of equals. The scores are those of the pairs,
// or with prob_a and prob_b probabilities of the classes, coupled from those
// of the pairs. Without support vectors there is a score for each class.
type svmClassifier struct {
	*svm
	probA, probB []float32
	first        []int // where the support vectors of each class begin, and the end
	classes      int
	pairs        int
	columns      int
	allPositive  bool // no coefficient is negative
	label        labelFunc

	winners, votes, scores, coupling, shares int // scratch
}

// span reads how many support vectors each class has, and returns their
// number.
func (c *svmClassifier) span(n *Node) int {
	total := int64(0)
	c.first = []int{0}
	for _, v := range n.Ints("vectors_per_class") {
		if v < 0 || v > tensor.MaxElements || total+v > tensor.MaxElements {
			n.Failf("attribute \"vectors_per_class\" says %d", v)
			return 0
		}
		total += v
		c.first = append(c.first, int(total))
	}
	if len(c.probA) != len(c.probB) {
		n.Failf("prob_a has %d entries and prob_b %d; they must be as many", len(c.probA), len(c.probB))
	}
	return int(total)
}

// checkPairs refuses attributes that are too short for the pairs of classes.
func (c *svmClassifier) checkPairs(n *Node, supports int) {
	switch {
	case c.classes < 2:
		n.Failf("it has support vectors and one class; it needs two or more")
	case len(c.first) != c.classes+1:
		n.Failf("vectors_per_class has %d entries for %d classes", len(c.first)-1, c.classes)
	case len(c.coefficients)/(c.classes-1) < supports:
		n.Failf("it has %d coefficients for %d support vectors of %d classes", len(c.coefficients), supports, c.classes)
	case len(c.rho) < c.pairs:
		n.Failf("rho has %d entries for %d pairs of classes", len(c.rho), c.pairs)
	case len(c.probA) > 0 && len(c.probA) < c.pairs:
		n.Failf("prob_a has %d entries for %d pairs of classes", len(c.probA), c.pairs)
	}
}

func (c *svmClassifier) run(ctx context.Context, f *Frame) error {
	rows, err := c.rows(f.In(0).Shape())
	if err != nil {
		return err
	}
	winners, err := Scratch[int32](f, c.winners, rows)
	if err != nil {
		return err
	}
	dst, err := Output[float32](f, 1, rows, c.columns)
	if err != nil {
		return err
	}
	b := pairBuffers{}
	if err := b.take(c, f); err != nil {
		return err
	}
	err = c.each(ctx, f, rows, func(r int, kernels []float32) error {
		out := dst[r*c.columns : (r+1)*c.columns]
		if c.linear {
			winners[r] = c.byScore(out, kernels)
			return nil
		}
		var err error
		winners[r], err = c.byPairs(ctx, &b, out, kernels)
		return err
	})
	if err != nil {
		return err
	}
	return c.label(f, 0, winners)
}

// pairBuffers is what one row needs.
type pairBuffers struct {
	votes    []int32
	shares   []float64 // of the classes by each row of coefficients; see pairScores
	scores   []float32
	coupling []float32
}

func (b *pairBuffers) take(c *svmClassifier, f *Frame) (err error) {
	if c.linear {
		return nil
	}
	if b.shares, err = Scratch[float64](f, c.shares, c.classes*(c.classes-1)); err != nil {
		return err
	}
	if b.votes, err = Scratch[int32](f, c.votes, c.classes); err != nil || len(c.probA) == 0 {
		return err
	}
	if b.scores, err = Scratch[float32](f, c.scores, c.pairs); err != nil {
		return err
	}
	b.coupling, err = Scratch[float32](f, c.coupling, 2*c.classes*c.classes+c.classes)
	return err
}

// byScore finishes a row of a linear model. Of two classes the second wins
// when a score is positive: above one half where no coefficient is negative.
func (c *svmClassifier) byScore(dst, scores []float32) int32 {
	best := 0
	for k, s := range scores[:c.classes] {
		dst[k] = s
		if dst[k] > dst[best] {
			best = k
		}
	}
	top := dst[best]
	if c.classes > 1 || c.transform == tree.TransformProbit {
		c.transform.Apply(dst, len(dst))
	}
	if c.classes == 2 && len(c.probA) == 0 && (c.allPositive && top >= 0.5 || !c.allPositive && top > 0) {
		return 1
	}
	return int32(best)
}

// byPairs finishes a row from its kernel values.
func (c *svmClassifier) byPairs(ctx context.Context, b *pairBuffers, dst, kernels []float32) (int32, error) {
	scores := dst
	if b.scores != nil {
		scores = b.scores
	}
	winner, err := c.pairScores(ctx, scores, b, kernels)
	if err != nil {
		return 0, err
	}
	switch {
	case b.scores != nil:
		if err := c.couple(ctx, dst, b); err != nil {
			return 0, err
		}
		c.transform.Apply(dst, len(dst))
	case c.classes == 2:
		c.spread(dst)
	default:
		c.transform.Apply(dst, len(dst))
	}
	return winner, nil
}

// pairScores writes the score of each pair of classes and returns the class
// with the most votes. Row j-1 of the coefficients weighs the support vectors
// of class i against class j for i < j, and row i those of class j.
func (c *svmClassifier) pairScores(ctx context.Context, dst []float32, b *pairBuffers, kernels []float32) (int32, error) {
	var work linalg.Work
	for row := range c.classes - 1 {
		err := linalg.WeighParts(ctx, &work, b.shares[row*c.classes:(row+1)*c.classes],
			c.coefficients[row*c.supports:(row+1)*c.supports], kernels, c.first)
		if err != nil {
			return 0, err
		}
	}
	votes, pair := b.votes, 0
	clear(votes)
	for i := range c.classes {
		if err := poll(ctx, i); err != nil {
			return 0, err
		}
		for j := i + 1; j < c.classes; j++ {
			sum := b.shares[(j-1)*c.classes+i] + b.shares[i*c.classes+j] + float64(c.rho[pair])
			dst[pair] = float32(sum)
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
			pair++
		}
	}
	best := 0
	for k, v := range votes {
		if v > votes[best] {
			best = k
		}
	}
	return int32(best), nil
}

// spread makes two scores of the one in dst[0], as ONNX Runtime does: there
// the softmaxes have no other effect than this.
func (c *svmClassifier) spread(dst []float32) {
	s := dst[0]
	switch c.transform {
	case tree.TransformNone, tree.TransformLogistic:
		dst[0], dst[1] = -s, s
		c.transform.Apply(dst, len(dst))
	case tree.TransformProbit:
		dst[1] = 0 // ONNX Runtime leaves it as it finds it
		c.transform.Apply(dst[:1], 1)
	case tree.TransformSoftmax, tree.TransformSoftmaxZero:
		dst[0], dst[1] = 1-s, s
	}
}
