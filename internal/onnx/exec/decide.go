package exec

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"onnxgate/internal/tensor"
)

// The rows on which a classifier's scores are looked at, and the memory that may take.
const (
	decideRows   = 16
	decideMemory = 16 << 20
	decideInput  = 1 << 16 // elements
)

// decide marks scores that stand beside a label and are no probabilities of its
// classes, where the graph's nodes do not say so: distances, as of clusters, and
// what linear models of other losses give. Some random rows are run, small ones
// and large ones; a probability is from 0 to 1 for any of them.
func (p *Program) decide(ctx context.Context) {
	var scores []int
	label := false
	for i := range p.outputs {
		s := &p.outputs[i]
		switch {
		case s.Kind == tensor.KindTensor && (s.DType == tensor.Int64 || s.DType == tensor.String):
			label = true
		case s.Decision || !oneForEachClass(s):
		default:
			scores = append(scores, i)
		}
	}
	if !label || len(scores) == 0 {
		return
	}
	out, ok := p.runRandom(ctx)
	if !ok {
		return
	}
	for _, i := range scores {
		s := &p.outputs[i]
		s.Decision = slices.ContainsFunc(tensor.Of[float32](out[i]), improbable[float32]) ||
			slices.ContainsFunc(tensor.Of[float64](out[i]), improbable[float64])
	}
}

// oneForEachClass reports whether an output may hold several scores a row.
func oneForEachClass(s *tensor.Spec) bool {
	switch s.Kind {
	case tensor.KindMapSequence:
		return true
	case tensor.KindTensor:
		return (s.DType == tensor.Float32 || s.DType == tensor.Float64) && s.Ranked && len(s.Dims) == 2 && s.Dims[1].Size != 1
	case tensor.KindSequence, tensor.KindMap, tensor.KindOptional:
	}
	return false
}

// improbable reports whether a score is too far from 0 to 1 for rounding alone.
func improbable[T float32 | float64](score T) bool { return score < -0.01 || score > 1.01 }

// runRandom returns the outputs for some random rows, if the model takes them.
func (p *Program) runRandom(ctx context.Context) ([]*tensor.Tensor, bool) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: numbers that repeat
	in, out := make([]*tensor.Tensor, len(p.inputs)), make([]*tensor.Tensor, len(p.outputs))
	for i := range in {
		if in[i] = randomRows(&p.inputs[i], r); in[i] == nil {
			return nil, false
		}
	}
	for i := range out {
		out[i] = new(tensor.Tensor)
	}
	_, err := p.run(ctx, in, out, min(p.memory, decideMemory))
	return out, err == nil
}

// randomRows returns rows of the type and the shape of an input, or nil.
func randomRows(s *tensor.Spec, r *rand.Rand) *tensor.Tensor {
	if s.Kind != tensor.KindTensor || !s.Ranked {
		return nil
	}
	shape := s.Shape(decideRows)
	n, err := shape.Elements()
	if err != nil || n > decideInput {
		return nil
	}
	row := max(1, n/decideRows)
	switch s.DType { //nolint:exhaustive // the types of features
	case tensor.Float32:
		return randomTensor(shape, n, func(i int) float32 { return float32(randomNumber(r, i/row)) })
	case tensor.Float64:
		return randomTensor(shape, n, func(i int) float64 { return randomNumber(r, i/row) })
	case tensor.Int64:
		return randomTensor(shape, n, func(int) int64 { return r.Int64N(10) })
	case tensor.Bool:
		return randomTensor(shape, n, func(int) bool { return r.IntN(2) == 1 })
	case tensor.String:
		return randomTensor(shape, n, func(int) string { return "" })
	}
	return nil
}

// randomNumber is from about -1 to 1 in a row, from -10 to 10 in the next, and so
// on up to thousands.
func randomNumber(r *rand.Rand, row int) float64 { return r.NormFloat64() * math.Pow10(row%4) }

func randomTensor[T tensor.Element](shape tensor.Shape, n int, next func(i int) T) *tensor.Tensor {
	data := make([]T, n)
	for i := range data {
		data[i] = next(i)
	}
	t, err := tensor.New(shape, data)
	if err != nil {
		return nil
	}
	return t
}
