package tree

import (
	"math"

	"onnxgate/internal/onnx/linalg"
)

type float interface{ float32 | float64 }

// unvoted is where sums start: negative zero. Weights are never negative zero,
// so a sum stays it exactly as long as no leaf has voted, and adding a weight
// to it gives the weight.
func unvoted[T float]() T { return T(math.Copysign(0, -1)) }

// voted reports whether a sum that began at unvoted has met a vote.
func voted[T float](s T) bool { return s != 0 || !math.Signbit(float64(s)) }

// finisher turns a row's sums into its scores and its label, by the rules that
// ONNX Runtime made of the vague parts of the operators' text.
type finisher[T float] struct {
	trees       T
	base        []T
	transform   Transform
	aggregate   Aggregate
	classifier  bool
	oneColumn   bool // two classes, and all weights are for one of them
	allPositive bool // no weight is negative
}

func newFinisher[T float](f *forest, o *options) *finisher[T] {
	p := &finisher[T]{
		trees: T(len(f.roots)), transform: o.transform, aggregate: o.aggregate,
		classifier: o.classifier, oneColumn: o.oneColumn, allPositive: o.allPositive,
	}
	for _, b := range o.base {
		p.base = append(p.base, T(b))
	}
	return p
}

// finishRows finishes rows of k sums, and sets their labels where they are wanted.
func (p *finisher[T]) finishRows(sums []T, k int, labels []int32) {
	for r := range len(sums) / k {
		label := p.finish(sums[r*k : (r+1)*k])
		if labels != nil {
			labels[r] = label
		}
	}
}

// finish turns sums into scores in place and returns the label: the position
// of the winning class, 0 for a regressor.
func (p *finisher[T]) finish(s []T) int32 {
	switch {
	case !p.classifier:
		p.finishRegressor(s)
		return 0
	case len(s) == 1:
		for _, b := range p.base {
			s[0] += b
		}
		s[0] += 0 // negative zero becomes zero
		if p.transform == TransformProbit {
			s[0] = probit(s[0])
		}
		return 0
	case len(s) == 2:
		return p.finishTwoClasses(s)
	default:
		return p.finishClasses(s)
	}
}

// finishRegressor leaves a target that no leaf has voted for at zero, whatever
// its base value, unless it is the only one.
func (p *finisher[T]) finishRegressor(s []T) {
	for i := range s {
		has := voted(s[i])
		s[i] += 0
		if p.aggregate == Average {
			s[i] /= p.trees
		}
		if len(p.base) > 0 && (has || len(s) == 1) {
			s[i] += p.base[i]
		}
	}
	// One target is transformed by PROBIT alone.
	if len(s) > 1 || p.transform == TransformProbit {
		transform(p.transform, s)
	}
}

// finishClasses labels by the first highest score among the classes that have
// one: by a vote or a base value.
func (p *finisher[T]) finishClasses(s []T) int32 {
	best := int32(-1)
	for i := range s {
		has := voted(s[i])
		s[i] += 0
		if len(p.base) > 0 {
			s[i] += p.base[i]
			has = true
		}
		if has && (best < 0 || s[i] > s[best]) {
			best = int32(i)
		}
	}
	transform(p.transform, s)
	return max(best, 0)
}

// finishTwoClasses follows ONNX Runtime where the specification is silent. A
// model of one column, as boosted trees are exported, votes for class 0 to
// mean class 1: its score is spread to both. A class without a vote has score
// zero, and takes no base value that it does not share.
func (p *finisher[T]) finishTwoClasses(s []T) int32 {
	has0, has1 := voted(s[0]), voted(s[1])
	s[0] += 0
	s[1] += 0
	switch {
	case len(p.base) == 2 && has1:
		s[1] = p.base[1] + s[0]
		s[0] = -s[1]
	case len(p.base) > 0:
		s[0] += p.base[0]
	}
	if !has0 {
		s[0] = 0
	}
	positive := s[0]
	if has1 {
		positive = s[1]
	}
	threshold := T(0)
	if p.oneColumn && p.allPositive {
		threshold = 0.5
	}
	label := int32(0)
	if positive > threshold {
		label = 1
	}
	if !has1 && len(p.base) < 2 {
		p.spread(s)
	} else {
		transform(p.transform, s)
	}
	return label
}

// spread makes two scores of the one in s[0].
func (p *finisher[T]) spread(s []T) {
	one := s[0]
	switch {
	case p.transform == TransformProbit:
		s[0], s[1] = probit(one), 0
	case !p.oneColumn && len(p.base) == 1:
		s[0], s[1] = one, 0 // ONNX Runtime leaves the second as it finds it
	case p.transform == TransformLogistic:
		s[0], s[1] = logistic(-one), logistic(one)
	case p.oneColumn && p.allPositive:
		s[0], s[1] = 1-one, one
	default:
		s[0], s[1] = -one, one
	}
}

// transform applies t to all scores of a row.
func transform[T float](t Transform, s []T) {
	switch t {
	case TransformNone:
	case TransformSoftmax:
		softmax(s)
	case TransformLogistic:
		for i := range s {
			s[i] = logistic(s[i])
		}
	case TransformSoftmaxZero:
		softmaxZero(s)
	case TransformProbit:
		for i := range s {
			s[i] = probit(s[i])
		}
	}
}

// highest passes over NaN.
func highest[T float](s []T) float32 {
	m := float32(-math.MaxFloat32)
	for _, v := range s {
		if float32(v) > m {
			m = float32(v)
		}
	}
	return m
}

func exp32(x float32) float32 { return linalg.Exponential(x) }

func softmax[T float](s []T) {
	top, sum := highest(s), float32(0)
	for i, v := range s {
		e := exp32(float32(v) - top)
		s[i] = T(e)
		sum += e
	}
	for i, v := range s {
		s[i] = T(float32(v) / sum)
	}
}

// softmaxZero is softmax that leaves a score of zero at zero.
func softmaxZero[T float](s []T) {
	const nearZero = 0.0000001
	top, sum := highest(s), float32(0)
	rest := exp32(-top)
	for i, v := range s {
		if float32(v) > nearZero || float32(v) < -nearZero {
			e := exp32(float32(v) - top)
			s[i] = T(e)
			sum += e
		} else {
			s[i] = v * T(rest)
		}
	}
	for i, v := range s {
		s[i] = v / T(sum)
	}
}

func logistic[T float](x T) T {
	v := 1 / (1 + exp32(-float32(math.Abs(float64(x)))))
	if x < 0 {
		v = 1 - v
	}
	return T(v)
}

// probit is the inverse of the normal distribution's error function, by the
// approximation of S. Winitzki.
func probit[T float](x T) T {
	y := 2*float32(x) - 1
	sign := float32(1)
	if y < 0 {
		sign = -1
	}
	const a = 0.147
	log := float32(math.Log(float64((1 - y) * (1 + y))))
	v := 2/(float32(math.Pi)*a) + 0.5*log
	w := 1 / float32(a) * log
	root := float32(math.Sqrt(float64(v*v - w)))
	return T(float32(math.Sqrt2) * sign * float32(math.Sqrt(float64(root-v))))
}
