package ops

import (
	"context"
	"math"
)

// couple writes the probabilities of the classes that fit best those of the
// pairs: T.-F. Wu, C.-J. Lin, R. C. Weng, Probability estimates for multi-class
// classification by pairwise coupling (2004), their second method. It stops as
// early as libsvm and ONNX Runtime do, which shows in the third digit; so it
// computes in float32, step by step as they do.
func (c *svmClassifier) couple(ctx context.Context, p []float32, b *pairBuffers) error {
	n := c.classes
	r, q, qp := b.coupling[:n*n], b.coupling[n*n:2*n*n], b.coupling[2*n*n:]
	c.pairProbabilities(r, b.scores)
	quadraticForm(q, r, n)
	for i := range p {
		p[i] = 1 / float32(n)
	}
	const rounds = 100
	small, work := 0.005/float32(n), 0
	for range rounds {
		value, far := formValue(q, qp, p)
		if far < small {
			break
		}
		for i := range p {
			if err := watch(ctx, &work, n); err != nil {
				return err
			}
			value = adjust(q[i*n:(i+1)*n], qp, p, i, value)
		}
	}
	return nil
}

// pairProbabilities writes the probability of class i against class j to
// r[i, j], by the sigmoid that prob_a and prob_b give.
func (c *svmClassifier) pairProbabilities(r, scores []float32) {
	const least = 1e-7
	n, pair := c.classes, 0
	for i := range n {
		r[i*n+i] = 0
		for j := i + 1; j < n; j++ {
			v := float32(scores[pair]*c.probA[pair]) + c.probB[pair]
			probability := min(max(1-logistic32(v), least), 1-float32(least))
			r[i*n+j], r[j*n+i] = probability, 1-probability
			pair++
		}
	}
}

func logistic32(x float32) float32 {
	v := 1 / (1 + float32(math.Exp(-math.Abs(float64(x)))))
	if x < 0 {
		return 1 - v
	}
	return v
}

// quadraticForm writes the matrix Q of the form that the probabilities
// minimise.
func quadraticForm(q, r []float32, n int) {
	for i := range n {
		sum := float32(0)
		for j := range n {
			if j == i {
				continue
			}
			sum += float32(r[j*n+i] * r[j*n+i])
			q[i*n+j] = -float32(r[j*n+i] * r[i*n+j])
		}
		q[i*n+i] = sum
	}
}

// formValue writes Qp and returns pQp and the greatest distance of an entry of
// Qp from it.
func formValue(q, qp, p []float32) (value, far float32) {
	n := len(p)
	for i := range n {
		sum := float32(0)
		for j, v := range p {
			sum += float32(q[i*n+j] * v)
		}
		qp[i] = sum
		value += float32(p[i] * sum)
	}
	for _, v := range qp {
		if d := float32(math.Abs(float64(v - value))); d > far {
			far = d
		}
	}
	return value, far
}

// adjust improves the probability of class i, whose row of Q is given, and
// returns what pQp becomes.
func adjust(row, qp, p []float32, i int, value float32) float32 {
	diff := (value - qp[i]) / row[i]
	scale := 1 + diff
	p[i] += diff
	value = (value + float32(diff*(float32(diff*row[i])+2*qp[i]))) / scale / scale
	for j, v := range row {
		qp[j] = (qp[j] + float32(diff*v)) / scale
		p[j] /= scale
	}
	return value
}
