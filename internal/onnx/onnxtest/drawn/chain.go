package drawn

import (
	"fmt"
	"math"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// stage is a matrix [N, width] on its way through a chain.
type stage struct {
	name  string
	typ   tensor.DType
	width int
}

// plumber builds a chain of preprocessing.
type plumber struct {
	*drawing
	g    *onnx.Graph
	made int
	rows int
	wild bool
}

// chain draws columns of numbers, whole numbers and texts, what prepares each,
// their concatenation, and now and then a model on it.
func chain(d *drawing) {
	p := &plumber{drawing: d, g: &onnx.Graph{Name: "drawn"}, rows: pick(d, 1, 2, 6, 17), wild: d.chance(3)}
	d.out.Rows = true
	var parts []stage
	for range d.from(1, 3) {
		s := p.input(pick(d, numeric...), d.from(1, 5))
		for range d.from(0, 3) {
			s = p.prepare(s)
		}
		parts = append(parts, p.cast(s, tensor.Float32))
	}
	for range d.from(0, 2) {
		parts = append(parts, p.category())
	}
	y := p.join(parts)
	for range d.from(0, 2) {
		y = p.prepare(y)
	}
	d.out.Model = &onnx.Model{
		IRVersion: 8, Graph: p.g,
		Opsets: []onnx.Opset{{Version: pick[int64](d, 11, 13, 15, 18)}, {Domain: "ai.onnx.ml", Version: pick[int64](d, 2, 3)}},
	}
	if y.typ == tensor.Float32 && d.chance(2) {
		p.model(y)
		return
	}
	p.output(y.name, y.typ)
	d.out.Coarse = y.typ == tensor.Float64 // which were float32 on their way
}

func (p *plumber) output(name string, typ tensor.DType) {
	t := onnx.UnrankedTensor(typ)
	p.g.Outputs = append(p.g.Outputs, &onnx.ValueInfo{Name: name, Type: &t})
}

// add appends a node of one output and returns what it makes.
func (p *plumber) add(n *onnx.Node, typ tensor.DType, width int) stage {
	p.made++
	s := stage{fmt.Sprint("v", p.made), typ, width}
	n.Outputs = Names(s.name)
	n.Name = fmt.Sprint(n.Op, p.made)
	p.g.Nodes = append(p.g.Nodes, n)
	return s
}

func (p *plumber) input(typ tensor.DType, width int) stage {
	s := stage{fmt.Sprint("x", len(p.g.Inputs)), typ, width}
	p.accept(s)
	p.out.Inputs = append(p.out.Inputs, p.features(typ, p.rows, width, nil, p.wild))
	return s
}

// accept declares an input, its rows as a name or as any number.
func (p *plumber) accept(s stage) {
	t := onnx.TensorOf(s.typ, tensor.Dim{Size: -1, Name: pick(p.drawing, "N", "")}, tensor.Dim{Size: s.width})
	p.g.Inputs = append(p.g.Inputs, &onnx.ValueInfo{Name: s.name, Type: &t})
}

var words = []string{"", "a", "b", "red", "green", "é", "a b", "A"}

// category draws a column of texts or of whole numbers, encoded.
func (p *plumber) category() stage {
	d := p.drawing
	width := d.from(1, 2)
	if d.chance(3) {
		s := p.input(tensor.Int64, width)
		if d.chance(2) {
			return p.hot(s, Ints("cats_int64s", -1, 0, 1, 2))
		}
		return p.add(ML("LabelEncoder", Names(s.name), nil, Ints("keys_int64s", 0, 1, -2), Floats("values_floats", d.weights(3)...), Float("default_float", 0.5)), tensor.Float32, width)
	}
	s := stage{fmt.Sprint("x", len(p.g.Inputs)), tensor.String, width}
	p.accept(s)
	texts := make([]string, p.rows*width)
	for i := range texts {
		texts[i] = pick(d, words...)
	}
	t, err := tensor.New(tensor.Shape{p.rows, width}, texts)
	if err != nil {
		panic(err)
	}
	p.out.Inputs = append(p.out.Inputs, t)
	keys := shuffled(d, words)[:d.from(1, len(words))]
	switch d.IntN(3) {
	case 0:
		return p.hot(s, Strings("cats_strings", keys...))
	case 1:
		return p.add(ML("LabelEncoder", Names(s.name), nil, Strings("keys_strings", keys...), Floats("values_floats", d.weights(len(keys))...)), tensor.Float32, width)
	}
	numbers := make([]int64, len(keys))
	for i := range numbers {
		numbers[i] = int64(d.from(-2, 2))
	}
	s = p.add(ML("LabelEncoder", Names(s.name), nil, Strings("keys_strings", keys...), Ints("values_int64s", numbers...), Int("default_int64", 2)), tensor.Int64, width)
	return p.hot(s, Ints("cats_int64s", -2, -1, 0, 1, 2))
}

// hot encodes a column at a time: [N, 1] becomes [N, 1, C], then [N, C]. All of
// its categories are known, or those that are not are zeros.
func (p *plumber) hot(s stage, cats onnx.Attribute) stage {
	n := max(len(cats.Ints), len(cats.Strings))
	one := p.add(ML("OneHotEncoder", Names(s.name), nil, cats, Int("zeros", 1)), tensor.Float32, n)
	p.g.Initializers = append(p.g.Initializers, Tensor64(one.name+"_shape", tensor.Shape{2}, -1, int64(n*s.width)))
	return p.add(Node("Reshape", Names(one.name, one.name+"_shape"), nil), tensor.Float32, n*s.width)
}

func (p *plumber) cast(s stage, to tensor.DType) stage {
	if s.typ == to {
		return s
	}
	return p.add(Node("Cast", Names(s.name), nil, Int("to", int64(to))), to, s.width)
}

// join concatenates all parts, by either of two operators.
func (p *plumber) join(parts []stage) stage {
	if len(parts) == 1 {
		return parts[0]
	}
	var names []string
	var widths []int64
	total := 0
	for _, s := range parts {
		names, widths, total = append(names, s.name), append(widths, int64(s.width)), total+s.width
	}
	if p.chance(3) {
		return p.add(ML("FeatureVectorizer", names, nil, Ints("inputdimensions", widths...)), tensor.Float32, total)
	}
	return p.add(Node("Concat", names, nil, Int("axis", pick[int64](p.drawing, 1, -1))), tensor.Float32, total)
}

// prepare applies one operator that takes rows of numbers.
func (p *plumber) prepare(s stage) stage {
	d := p.drawing
	switch d.IntN(6) {
	case 0:
		k := pick(d, 1, s.width)
		return p.add(ML("Scaler", Names(s.name), nil, Floats("offset", d.weights(k)...), Floats("scale", d.weights(k)...)), tensor.Float32, s.width)
	case 1:
		return p.impute(s)
	case 2:
		norm := pick(d, "MAX", "L1", "L2")
		if p.wild {
			norm = pick(d, "L1", "L2") // ONNX Runtime takes a finite number for the maximum of infinities below 0
		}
		return p.add(ML("Normalizer", Names(s.name), nil, String("norm", norm)), tensor.Float32, s.width)
	case 3:
		if p.wild { // ONNX Runtime fails on NaN
			return s
		}
		s = p.cast(s, tensor.Float32) // ONNX Runtime has it for float32 alone
		return p.add(ML("Binarizer", Names(s.name), nil, Float("threshold", pick[float32](d, 0, 0.5, 1, -1))), tensor.Float32, s.width)
	case 4:
		columns := make([]int64, d.from(1, 4))
		for i := range columns {
			columns[i] = int64(d.IntN(s.width))
		}
		name := fmt.Sprint("columns", p.made)
		p.g.Initializers = append(p.g.Initializers, Tensor64(name, tensor.Shape{len(columns)}, columns...))
		return p.add(ML("ArrayFeatureExtractor", Names(s.name, name), nil), s.typ, len(columns))
	}
	return p.cast(s, pick(d, tensor.Float32, tensor.Float64))
}

// impute replaces NaN or a number, for the types that ONNX Runtime has.
func (p *plumber) impute(s stage) stage {
	d := p.drawing
	k := pick(d, 1, s.width)
	if s.typ == tensor.Int64 {
		values := make([]int64, k)
		for i := range values {
			values[i] = int64(d.from(-3, 3))
		}
		return p.add(ML("Imputer", Names(s.name), nil, Ints("imputed_value_int64s", values...), Int("replaced_value_int64", int64(d.from(-1, 1)))), s.typ, s.width)
	}
	s = p.cast(s, tensor.Float32)
	replaced := pick(d, float32(math.NaN()), 0, 1)
	return p.add(ML("Imputer", Names(s.name), nil, Floats("imputed_value_floats", d.weights(k)...), Float("replaced_value_float", replaced)), s.typ, s.width)
}

// model ends the chain in a linear or a tree model, with ZipMap now and then.
func (p *plumber) model(s stage) {
	d := p.drawing
	classes := pick(d, 2, 3)
	labels := d.labels("classlabels_ints", classes)
	n := ML("LinearClassifier", Names(s.name), Names("label", "scores"), labels,
		Floats("coefficients", d.weights(classes*s.width)...), Floats("intercepts", d.weights(classes)...), String("post_transform", pick(d, transforms...)))
	if d.chance(3) {
		n = ML("LinearRegressor", Names(s.name), Names("y"), Floats("coefficients", d.weights(s.width)...))
		p.g.Nodes = append(p.g.Nodes, n)
		p.output("y", tensor.Float32)
		return
	}
	p.g.Nodes = append(p.g.Nodes, n)
	types := labelled(labels)
	p.output("label", types[0].Elem)
	d.out.Labels, d.out.Scores = "label", "scores"
	if d.chance(2) {
		p.output("scores", tensor.Float32)
		return
	}
	keys := labels
	if keys.Type == onnx.IntsAttribute {
		keys.Name = "classlabels_int64s"
	}
	p.g.Nodes = append(p.g.Nodes, ML("ZipMap", Names("scores"), Names("maps"), keys))
	maps := onnx.MapSequence(types[0].Elem)
	p.g.Outputs = append(p.g.Outputs, &onnx.ValueInfo{Name: "maps", Type: &maps})
	d.out.Scores = "maps"
}
