package exec_test

import (
	"context"
	"math"
	"testing"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// watched counts how often it is asked whether it has ended.
type watched struct {
	context.Context

	looks int
}

func (w *watched) Err() error {
	w.looks++
	return nil
}

// A step on many elements looks at the clock again and again, also where they are
// all in one row: a deadline then ends it soon, however much it was asked for. The
// looks are counted, since times say little on a machine that others use too.
func TestLongStepsLookAtTheClock(t *testing.T) {
	const many, apart = 1 << 22, 1 << 20
	x := func() *tensor.Tensor { return blankTensor(tensor.Float32, tensor.Shape{many}) }
	matrix := func(rows, columns int) *tensor.Tensor {
		return blankTensor(tensor.Float32, tensor.Shape{rows, columns})
	}
	one := blankTensor(tensor.Float32, tensor.Shape{1})
	flags, texts := blankTensor(tensor.Bool, tensor.Shape{many}), blankTensor(tensor.String, tensor.Shape{many})
	places := blankTensor(tensor.Int64, tensor.Shape{many})
	ml := func(op string, attributes ...onnx.Attribute) call {
		c := calling(op, inputs(x()), attributes...)
		c.node.Domain = "ai.onnx.ml"
		return c
	}
	for name, c := range map[string]call{
		"Expand":                 calling("Expand", inputs(one, wholes(many))),
		"Tile":                   calling("Tile", inputs(one, wholes(many))),
		"ConstantOfShape":        calling("ConstantOfShape", inputs(wholes(many))),
		"Range":                  calling("Range", inputs(wholes(0), wholes(many), wholes(1))),
		"Pad":                    calling("Pad", inputs(one, wholes(0, many))),
		"Pad edge":               calling("Pad", inputs(one, wholes(0, many)), String("mode", "edge")),
		"Concat":                 calling("Concat", inputs(x(), x()), Int("axis", 0)),
		"Gather":                 calling("Gather", inputs(x(), places)),
		"GatherElements":         calling("GatherElements", inputs(x(), places)),
		"ScatterElements":        calling("ScatterElements", inputs(x(), places, x())),
		"Compress":               calling("Compress", inputs(x(), flags)),
		"Transpose":              calling("Transpose", inputs(matrix(1<<11, 1<<11))),
		"Slice backwards":        calling("Slice", inputs(x(), wholes(-1), wholes(-many-1), wholes(0), wholes(-1))),
		"Split":                  calling("Split", inputs(x(), wholes(many/2, many/2))).outputs(2),
		"Trilu":                  calling("Trilu", inputs(matrix(1<<11, 1<<11))),
		"OneHot":                 calling("OneHot", inputs(places, wholes(2), floats(t, tensor.Shape{2}, 0, 1))),
		"NonZero":                calling("NonZero", inputs(x())),
		"Unique":                 calling("Unique", inputs(x())),
		"Cast":                   calling("Cast", inputs(x()), Int("to", 11)),
		"Cast to bool":           calling("Cast", inputs(x()), Int("to", 9)),
		"Cast to text":           calling("Cast", inputs(x()), Int("to", 8)),
		"Equal":                  calling("Equal", inputs(x(), one)),
		"Where":                  calling("Where", inputs(flags, x(), one)),
		"And":                    calling("And", inputs(flags, flags)),
		"Add":                    calling("Add", inputs(x(), x())),
		"Pow":                    calling("Pow", inputs(x(), one)),
		"Sum":                    calling("Sum", inputs(x(), x(), one)),
		"Exp":                    calling("Exp", inputs(x())),
		"Clip":                   calling("Clip", inputs(x())),
		"Dropout":                calling("Dropout", inputs(x())).outputs(2),
		"CumSum":                 calling("CumSum", inputs(x(), wholes(0))),
		"ArgMax":                 calling("ArgMax", inputs(x())),
		"TopK":                   calling("TopK", inputs(x(), wholes(10))).outputs(2),
		"ReduceMax":              calling("ReduceMax", inputs(x())),
		"ReduceLogSumExp":        calling("ReduceLogSumExp", inputs(x())),
		"Softmax":                calling("Softmax", inputs(x())),
		"LogSoftmax":             calling("LogSoftmax", inputs(x())),
		"Hardmax":                calling("Hardmax", inputs(x())),
		"LpNormalization":        calling("LpNormalization", inputs(x())),
		"LayerNormalization":     calling("LayerNormalization", inputs(x(), one)),
		"MatMul":                 calling("MatMul", inputs(x(), x())),
		"MatMul of a column":     calling("MatMul", inputs(matrix(many, 1), matrix(1, 1))),
		"Einsum":                 calling("Einsum", inputs(x(), x()), String("equation", "i,i->")),
		"StringNormalizer":       calling("StringNormalizer", inputs(texts), String("case_change_action", "UPPER")),
		"StringConcat":           calling("StringConcat", inputs(texts, texts)),
		"Normalizer":             ml("Normalizer", String("norm", "L2")),
		"Scaler":                 ml("Scaler"),
		"Imputer":                ml("Imputer", Floats("imputed_value_floats", 1)),
		"Binarizer":              ml("Binarizer"),
		"LabelEncoder":           ml("LabelEncoder", Floats("keys_floats", 1), Floats("values_floats", 2)),
		"LinearRegressor":        ml("LinearRegressor", Floats("coefficients", make([]float32, many)...)),
		"TreeEnsembleRegressor":  trees(matrix(many, 1)),
		"ArrayFeatureExtractor":  {ML("ArrayFeatureExtractor", Names("a", "b"), Names("y")), inputs(x(), places)},
		"SequenceConstruct":      calling("SequenceConstruct", inputs(x())),
		"ScatterND":              calling("ScatterND", inputs(x(), blankTensor(tensor.Int64, tensor.Shape{many, 1}), x())),
		"BitShift":               calling("BitShift", inputs(blankTensor(tensor.Uint8, tensor.Shape{many}), blankTensor(tensor.Uint8, tensor.Shape{1})), String("direction", "LEFT")),
		"MeanVarianceNormalized": calling("MeanVarianceNormalization", inputs(x()), Ints("axes", 0)),
	} {
		t.Run(name, func(t *testing.T) {
			m, in := c.model(func(int) bool { return false }, true)
			p := loadModel(t, m, onnx.Limits{})
			w := &watched{Context: t.Context()}
			if err := p.Run(w, in, results(len(p.Outputs()))); err != nil {
				t.Fatal(err)
			}
			if w.looks < many/apart-1 {
				t.Errorf("%d looks at the clock on %d elements", w.looks, many)
			}
		})
	}
}

// trees is a stump on rows of one feature.
func trees(x *tensor.Tensor) call {
	n := Stump()
	n.Inputs[0] = "a"
	return call{n, inputs(x)}
}

// A row that is taken in pieces is still one row.
func TestRowsOfManyPiecesAreOne(t *testing.T) {
	const n, peak, twin = 200_000, 70_000, 150_000
	data := make([]float32, n)
	data[peak], data[twin] = 3, 3
	places := make([]float32, n)
	places[peak] = 1
	soft, log := make([]float32, n), make([]float32, n)
	sum := (n-2)*math.Exp(-3) + 2
	for i, v := range data {
		soft[i], log[i] = float32(math.Exp(float64(v)-3)/sum), float32(float64(v)-3-math.Log(sum))
	}
	shared := make([]float32, n)
	shared[peak], shared[twin] = 0.5, 0.5
	length := make([]float32, n)
	length[peak], length[twin] = float32(math.Sqrt2/2), float32(math.Sqrt2/2)
	x := floats(t, tensor.Shape{1, n}, data...)
	normalizer := func(norm string) call {
		return call{ML("Normalizer", Names("a"), Names("y"), String("norm", norm)), inputs(x)}
	}
	for name, c := range map[string]struct {
		call call
		want *tensor.Tensor
	}{
		"ArgMax":        {calling("ArgMax", inputs(x), Int("axis", 1)), array64(tensor.Shape{1, 1}, peak)},
		"ArgMax, last":  {calling("ArgMax", inputs(x), Int("axis", 1), Int("select_last_index", 1)), array64(tensor.Shape{1, 1}, twin)},
		"ArgMin":        {calling("ArgMin", inputs(x), Int("axis", 1), Int("select_last_index", 1)), array64(tensor.Shape{1, 1}, n-1)},
		"Hardmax":       {calling("Hardmax", inputs(x)), floats(t, tensor.Shape{1, n}, places...)},
		"Softmax":       {calling("Softmax", inputs(x)), floats(t, tensor.Shape{1, n}, soft...)},
		"LogSoftmax":    {calling("LogSoftmax", inputs(x)), floats(t, tensor.Shape{1, n}, log...)},
		"Normalizer L1": {normalizer("L1"), floats(t, tensor.Shape{1, n}, shared...)},
		"Normalizer L2": {normalizer("L2"), floats(t, tensor.Shape{1, n}, length...)},
	} {
		t.Run(name, func(t *testing.T) {
			m, in := c.call.model(func(int) bool { return false }, true)
			out := results(1)
			if err := loadModel(t, m, onnx.Limits{}).Run(t.Context(), in, out); err != nil {
				t.Fatal(err)
			}
			if diff := differences(c.want, out[0]); diff != "" {
				t.Error(diff)
			}
		})
	}
}
