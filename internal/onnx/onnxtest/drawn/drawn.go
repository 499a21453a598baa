// Package drawn draws valid models with inputs at random, each from a number:
// ensembles of trees, linear models and support vector machines with every
// attribute, chains of preprocessing, and graphs of ordinary operators. One
// engine is compared with another on them. Only tests use it.
//
// A model is drawn so that its answer is one: where the specification leaves
// a choice, or ONNX Runtime is known to depart from it (docs/engine.md), the
// rule that keeps a drawing clear of it stands at its place, with the reason.
package drawn

import (
	"math"
	"math/rand/v2"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Case is a model and what it is run on.
type Case struct {
	Family string
	Model  *onnx.Model
	Inputs []*tensor.Tensor
	// Runtime is the same for ONNX Runtime, where that reads an attribute by
	// another meaning; else nil.
	Runtime *onnx.Model
	// Uncompared are outputs that ONNX Runtime gives otherwise, as it is known.
	Uncompared map[string]bool
	// Coarse says that doubles among the outputs are made of float32.
	Coarse bool
	// Slack is how much more than rounding may move floats.
	Slack float64
	// Rows says that row i of each output depends on row i of each input alone.
	Rows bool
	// Scores and Labels name the outputs of a classifier: of rows whose best two
	// scores are equal but for rounding, either label is right.
	Scores, Labels string
}

// families are what is drawn from; one that stands here twice is drawn as often.
var families = []struct {
	name string
	make func(*drawing)
}{
	{"tree classifier", treeClassifier},
	{"tree classifier", treeClassifier},
	{"tree regressor", treeRegressor},
	{"tree ensemble", treeEnsemble},
	{"linear classifier", linearClassifier},
	{"linear regressor", linearRegressor},
	{"SVM classifier", svmClassifier},
	{"SVM regressor", svmRegressor},
	{"chain", chain},
	{"chain", chain},
	{"graph", graph},
	{"graph", graph},
	{"graph", graph},
}

// New draws the case of a number. The same number gives the same case.
func New(seed uint64) *Case {
	d := &drawing{Rand: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // no secret
	f := families[seed%uint64(len(families))]
	d.out = &Case{Family: f.name, Uncompared: map[string]bool{}}
	f.make(d)
	return d.out
}

// drawing is a case that is being drawn.
type drawing struct {
	*rand.Rand
	out *Case
}

// chance is true once in n times.
func (d *drawing) chance(n int) bool { return d.IntN(n) == 0 }

// from returns a number between two, these included.
func (d *drawing) from(least, most int) int { return least + d.IntN(most-least+1) }

func pick[T any](d *drawing, list ...T) T { return list[d.IntN(len(list))] }

// weights draws n floats: multiples of a quarter, so that sums of some are equal,
// or of any fraction.
func (d *drawing) weights(n int) []float32 {
	whole, w := d.chance(2), make([]float32, n)
	for i := range w {
		if w[i] = float32(d.NormFloat64()); whole {
			w[i] = float32(d.from(-8, 8)) / 4
		}
	}
	return w
}

// labels returns an attribute of n distinct labels.
func (d *drawing) labels(ints string, n int) onnx.Attribute {
	a := onnx.Attribute{Name: ints, Type: onnx.IntsAttribute}
	if d.chance(2) {
		a = onnx.Attribute{Name: "classlabels_strings", Type: onnx.StringsAttribute}
	}
	at := d.from(-2, 2)
	for i := range n {
		if a.Type == onnx.IntsAttribute {
			a.Ints = append(a.Ints, int64(at))
			at += d.from(1, 3)
		} else {
			a.Strings = append(a.Strings, pick(d, "", "é ", "label ", "x")+string(rune('a'+i)))
		}
	}
	if d.chance(3) {
		d.Shuffle(len(a.Ints), func(i, k int) { a.Ints[i], a.Ints[k] = a.Ints[k], a.Ints[i] })
	}
	return a
}

var numeric = []tensor.DType{tensor.Float32, tensor.Float32, tensor.Float64, tensor.Int64, tensor.Int32}

// features draws a matrix whose columns have values on and beside points.
// wild is whether NaN and infinities are among them.
func (d *drawing) features(typ tensor.DType, rows, columns int, points [][]float64, wild bool) *tensor.Tensor {
	values := make([]float64, 0, rows*columns)
	for range rows {
		for c := range columns {
			var near []float64
			if c < len(points) {
				near = points[c]
			}
			values = append(values, d.feature(typ, near, wild))
		}
	}
	return numbers(typ, tensor.Shape{rows, columns}, values)
}

func (d *drawing) feature(typ tensor.DType, near []float64, wild bool) float64 {
	v := d.NormFloat64() * 2
	switch k := d.IntN(12); {
	case k < 6 && len(near) > 0:
		v = d.beside(typ, pick(d, near...))
	case k == 6 && wild && (typ == tensor.Float32 || typ == tensor.Float64):
		return pick(d, math.NaN(), math.NaN(), math.Inf(1), math.Inf(-1))
	case k == 7:
		v = pick(d, 0, math.Copysign(0, -1), 1, -1)
	}
	if typ == tensor.Int32 || typ == tensor.Int64 {
		return math.Round(v)
	}
	return v
}

// beside returns a value on a threshold or a step to its side.
func (d *drawing) beside(typ tensor.DType, t float64) float64 {
	side := d.from(-1, 1)
	switch {
	case typ != tensor.Float32 && typ != tensor.Float64:
		return math.Floor(t) + float64(side)
	case side == 0:
		return t
	case typ == tensor.Float32:
		return float64(math.Nextafter32(float32(t), float32(math.Inf(side))))
	}
	return math.Nextafter(t, math.Inf(side))
}

// numbers returns a tensor of any type of numbers, or of bool.
func numbers(typ tensor.DType, shape tensor.Shape, values []float64) *tensor.Tensor {
	t := &tensor.Tensor{}
	switch typ { //nolint:exhaustive // the types that are drawn
	case tensor.Float32:
		fill(t, shape, values, func(v float64) float32 { return float32(v) })
	case tensor.Float64:
		fill(t, shape, values, func(v float64) float64 { return v })
	case tensor.Int64:
		fill(t, shape, values, func(v float64) int64 { return int64(v) })
	case tensor.Int32:
		fill(t, shape, values, func(v float64) int32 { return int32(v) })
	default:
		fill(t, shape, values, func(v float64) bool { return v > 0 })
	}
	return t
}

func fill[T tensor.Element](t *tensor.Tensor, shape tensor.Shape, values []float64, conv func(float64) T) {
	data := tensor.Reset[T](t, shape...)
	for i := range data {
		data[i] = conv(values[i])
	}
}

// classical makes the model of one node of ai.onnx.ml on a matrix. What the node
// makes is of the types of outs, "label" before "y" where there are two.
func (d *drawing) classical(version int64, n *onnx.Node, x *tensor.Tensor, outs ...onnx.Type) {
	typ := onnx.TensorOf(x.DType(), tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: x.Shape()[1]})
	if d.chance(4) {
		typ = onnx.UnrankedTensor(x.DType())
	}
	g := &onnx.Graph{Name: "drawn", Nodes: []*onnx.Node{n}, Inputs: []*onnx.ValueInfo{{Name: "x", Type: &typ}}}
	for i := range outs {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: n.Outputs[i], Type: &outs[i]})
	}
	d.out.Model = &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 15}, {Domain: "ai.onnx.ml", Version: version}}, Graph: g}
	d.out.Inputs, d.out.Rows = []*tensor.Tensor{x}, true
}

// labelled are the types of a classifier's outputs.
func labelled(labels onnx.Attribute) []onnx.Type {
	typ := tensor.Int64
	if labels.Type == onnx.StringsAttribute {
		typ = tensor.String
	}
	return []onnx.Type{onnx.UnrankedTensor(typ), onnx.UnrankedTensor(tensor.Float32)}
}

// optional appends an attribute half of the time.
func (d *drawing) optional(list []onnx.Attribute, a onnx.Attribute) []onnx.Attribute {
	if d.chance(2) {
		list = append(list, a)
	}
	return list
}

var transforms = []string{"NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}

func widened(v []float32) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

func shuffled[T any](d *drawing, list []T) []T {
	list = slices.Clone(list)
	d.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	return list
}
