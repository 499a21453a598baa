package testkit

import (
	"context"

	"onnxgate/internal/tensor"
)

// Flower is a program with the shape of the iris model as scikit-learn exports it:
// from X, float32 [N, 4], output_label, int64 [N], which is 0, and
// output_probability, a map of three classes for each row, which gives it all.
type Flower struct {
	// OnRun is called before each run, whose error it returns; nil: nothing goes
	// wrong.
	OnRun func(ctx context.Context) error
}

// Inputs describes X.
func (Flower) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "X", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 4}}}}
}

// Outputs describes the label and the probabilities.
func (Flower) Outputs() []tensor.Spec {
	keys, err := tensor.New(tensor.Shape{3}, []int64{0, 1, 2})
	if err != nil {
		panic(err)
	}
	return []tensor.Spec{
		{Name: "output_label", DType: tensor.Int64, Ranked: true, Dims: []tensor.Dim{{Size: -1}}},
		{Name: "output_probability", Kind: tensor.KindMapSequence, DType: tensor.Float32, Keys: keys},
	}
}

// Run gives every row the same answer.
func (f Flower) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	if f.OnRun != nil {
		if err := f.OnRun(ctx); err != nil {
			return err
		}
	}
	n := in[0].Shape()[0]
	clear(tensor.Reset[int64](out[0], n))
	scores := tensor.Reset[float32](out[1], n, 3)
	clear(scores)
	for i := range n {
		scores[3*i] = 1
	}
	return nil
}
