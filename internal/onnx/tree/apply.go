package tree

import (
	"math"

	"onnxgate/internal/onnx/linalg"
)

// Apply transforms the scores of rows in place, width of each, one row after the
// other. The linear models of ai.onnx.ml have the same transforms as the tree
// ensembles.
func (t Transform) Apply(scores []float32, width int) {
	switch t {
	case TransformNone:
	case TransformLogistic:
		logistics(scores)
	case TransformSoftmax:
		softmaxes(scores, width)
	case TransformSoftmaxZero, TransformProbit:
		for ; len(scores) > 0; scores = scores[width:] {
			transform(t, scores[:width])
		}
	}
}

// logistics is logistic, with the exponentials of many at once.
func logistics(x []float32) {
	const atOnce, minus = 64, 1 << 31
	var block [atOnce]float32
	for len(x) > 0 {
		e := block[:min(len(x), atOnce)]
		for i := range e {
			e[i] = math.Float32frombits(math.Float32bits(x[i]) | minus)
		}
		linalg.Exponentials(e)
		for i, v := range e {
			negative := float32(math.Float32bits(x[i]) >> 31) // 1 or 0
			x[i] = math.Float32frombits(math.Float32bits(negative-1/(1+v)) &^ minus)
		}
		x = x[len(e):]
	}
}

// softmaxes is softmax of rows, with the exponentials of all at once.
func softmaxes(x []float32, width int) {
	for at := 0; at < len(x); at += width {
		row := x[at : at+width]
		top := highest(row)
		for i := range row {
			row[i] -= top
		}
	}
	linalg.Exponentials(x)
	for at := 0; at < len(x); at += width {
		row, sum := x[at:at+width], float32(0)
		for _, e := range row {
			sum += e
		}
		for i := range row {
			row[i] /= sum
		}
	}
}
