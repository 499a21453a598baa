package golden_test

import (
	"context"
	"slices"
	"testing"

	"onnxgate/internal/schema"
	"onnxgate/internal/schema/golden"
	"onnxgate/internal/tensor"
)

// classifier answers each row with its only feature as the score of the second class.
type classifier struct{}

var (
	features = []tensor.Spec{{Name: "x", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}}}
	answers  = []tensor.Spec{
		{Name: "label", DType: tensor.Int64, Ranked: true, Dims: []tensor.Dim{{Size: -1}}},
		{Name: "scores", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 2}}},
	}
)

func (classifier) Outputs() []tensor.Spec { return answers }

func (classifier) Run(_ context.Context, in, out []*tensor.Tensor) error {
	x := tensor.Of[float32](in[0])
	labels, scores := tensor.Reset[int64](out[0], len(x)), tensor.Reset[float32](out[1], len(x), 2)
	for i, v := range x {
		scores[2*i], scores[2*i+1] = 1-v, v
		if v > 0.5 {
			labels[i] = 1
		}
	}
	return nil
}

// Of two classes whose scores are equal but for rounding either may have been recorded.
func TestEitherOfTwoClassesThatTieIsRight(t *testing.T) {
	for name, manifest := range map[string]string{
		"numbers": "features: [{name: x, type: float32}]\n",
		"names":   "features: [{name: x, type: float32}]\nlabels: {0: no, 1: yes}\n",
	} {
		parsed, err := schema.Parse("model.yaml", []byte(manifest))
		if err != nil {
			t.Fatal(err)
		}
		contract, err := schema.Compile(parsed, "m", features, answers)
		if err != nil {
			t.Fatal(err)
		}
		table := "x,prediction\n0.5000001,0\n0.5000001,1\n0.5000001,0.0\n0.6,0\n0.6,1\n"
		rows, err := golden.ReadCSV(t.Context(), []byte(table), contract, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.Compare(t.Context(), classifier{})
		if err != nil || !slices.Equal(got, []string{"row 3: 1, and the training library said 0"}) {
			t.Errorf("%s: %q, %v, want that row 3 differs", name, got, err)
		}
	}
}
