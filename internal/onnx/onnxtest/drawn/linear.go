package drawn

import (
	"math"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// input draws what a linear model or a support vector machine is run on.
func (d *drawing) input(columns int) *tensor.Tensor {
	return d.features(pick(d, numeric...), pick(d, 0, 1, 1, 2, 2, 5, 5, 20), columns, nil, d.chance(4))
}

// singles is input for the operators that ONNX Runtime has for float32 alone.
func (d *drawing) singles(columns int) *tensor.Tensor {
	return d.features(tensor.Float32, pick(d, 0, 1, 1, 2, 2, 5, 5, 20), columns, nil, d.chance(4))
}

func linearClassifier(d *drawing) {
	classes, columns := pick(d, 2, 2, 3, 5), d.from(1, 9)
	rows := classes
	x := d.input(columns)
	transform := pick(d, transforms...)
	if classes == 2 && d.chance(2) {
		rows = 1
		if transform == "PROBIT" {
			transform = "NONE" // ONNX Runtime puts the scores of several rows at wrong places
		}
	}
	labels := d.labels("classlabels_ints", classes)
	list := []onnx.Attribute{
		labels, String("post_transform", transform), Floats("coefficients", d.weights(rows*columns)...),
		Floats("intercepts", d.weights(rows)...), // without which ONNX Runtime does not load it
	}
	list = d.optional(list, Int("multi_class", int64(d.IntN(2))))
	n := ML("LinearClassifier", Names("x"), Names("label", "y"), shuffled(d, list)...)
	d.classical(1, n, x, labelled(labels)...)
	d.out.Labels, d.out.Scores = "label", "y"
}

func linearRegressor(d *drawing) {
	targets, columns := pick(d, 1, 1, 2, 4), d.from(1, 9)
	list := []onnx.Attribute{Floats("coefficients", d.weights(targets*columns)...)}
	if targets > 1 || d.chance(2) {
		list = append(list, Int("targets", int64(targets)))
	}
	list = d.optional(list, Floats("intercepts", d.weights(targets)...))
	list = d.optional(list, String("post_transform", pick(d, transforms...)))
	n := ML("LinearRegressor", Names("x"), Names("y"), shuffled(d, list)...)
	d.classical(1, n, d.singles(columns), onnx.UnrankedTensor(tensor.Float32))
}

// kernel draws kernel_type and kernel_params, without which ONNX Runtime does
// not load a model of any kernel.
func (d *drawing) kernel() []onnx.Attribute {
	gamma := float32(pick(d, 0.125, 0.3, 1))
	return []onnx.Attribute{
		String("kernel_type", pick(d, "LINEAR", "POLY", "RBF", "SIGMOID")),
		Floats("kernel_params", gamma, float32(d.from(-1, 2)), float32(pick(d, 1, 2, 3))),
	}
}

func svmClassifier(d *drawing) {
	classes, columns := pick(d, 2, 2, 3, 4), d.from(1, 6)
	pairs := classes * (classes - 1) / 2
	labels := d.labels("classlabels_ints", classes)
	transform, fitted := pick(d, transforms...), d.chance(2)
	if classes == 2 && !fitted && transform == "PROBIT" {
		transform = "NONE" // ONNX Runtime leaves the second score as it finds it
	}
	if transform == "PROBIT" { // which magnifies the rounding of a kernel by the hundred
		d.out.Slack = 1e-3
	}
	if classes > 2 && fitted { // they are fitted until a step is small, which may be one step sooner or later
		d.out.Slack, transform = 2e-3, pick(d, transforms[:len(transforms)-1]...)
	}
	list := append(d.kernel(), labels, String("post_transform", transform))
	if d.chance(6) { // without support vectors it is a linear model
		list = append(list, Floats("coefficients", d.weights(classes*columns)...), Floats("rho", d.weights(1)...))
	} else {
		var spans []int64
		total := 0
		for range classes {
			n := d.from(1, 5)
			spans, total = append(spans, int64(n)), total+n
		}
		list = append(list, Ints("vectors_per_class", spans...), Floats("support_vectors", d.weights(total*columns)...),
			Floats("coefficients", d.weights(total*(classes-1))...), Floats("rho", d.weights(pairs)...))
		if fitted {
			list = append(list, Floats("prob_a", d.slopes(pairs)...), Floats("prob_b", d.weights(pairs)...))
		}
	}
	n := ML("SVMClassifier", Names("x"), Names("label", "y"), shuffled(d, list)...)
	d.classical(1, n, d.input(columns), labelled(labels)...)
	d.out.Labels, d.out.Scores = "label", "y"
}

// slopes draws the factors of fitted probabilities, which are negative.
func (d *drawing) slopes(n int) []float32 {
	w := d.weights(n)
	for i := range w {
		w[i] = -float32(math.Abs(float64(w[i]))) - 0.125
	}
	return w
}

func svmRegressor(d *drawing) {
	columns, supports := d.from(1, 6), pick(d, 0, 1, 2, 5, 9)
	list := append(d.kernel(), Int("n_supports", int64(supports)), Floats("rho", d.weights(1)...))
	if supports == 0 {
		list = append(list, Floats("coefficients", d.weights(columns)...))
	} else {
		list = append(list, Floats("coefficients", d.weights(supports)...), Floats("support_vectors", d.weights(supports*columns)...))
	}
	list = d.optional(list, Int("one_class", int64(d.IntN(2))))
	list = d.optional(list, String("post_transform", pick(d, transforms...)))
	n := ML("SVMRegressor", Names("x"), Names("y"), shuffled(d, list)...)
	d.classical(1, n, d.singles(columns), onnx.UnrankedTensor(tensor.Float32))
}
