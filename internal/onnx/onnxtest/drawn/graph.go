package drawn

import (
	"fmt"
	"math"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

// value is a tensor of a graph that is being drawn. Its elements are multiples
// of grain of at most bound, so that results are the same in any order and
// rounding as long as the one goes into the other often enough. A grain of 0
// says that rounding shows: such a value goes where a small difference stays one,
// and not where it decides between two answers.
type value struct {
	name         string
	typ          tensor.DType
	shape        tensor.Shape
	bound, grain float64
	wild         bool // NaN and infinities are among the elements
	ended        bool // nothing more is made of it
}

func (v *value) len() int {
	n, err := v.shape.Elements()
	if err != nil {
		panic(err)
	}
	return n
}

func (v *value) float() bool { return v.typ == tensor.Float32 || v.typ == tensor.Float64 }
func (v *value) exact() bool { return v.grain > 0 }
func (v *value) tame() bool  { return v.exact() && !v.wild }
func (v *value) whole() bool { return v.typ == tensor.Int64 || v.typ == tensor.Int32 }

// number is an element type that all of the arithmetic is for.
func (v *value) number() bool { return v.float() || v.whole() }

// grapher draws a graph node by node.
type grapher struct {
	*drawing
	g       *onnx.Graph
	version int64
	values  []value
	made    int
}

// graph draws inputs, some nodes on them and on each other's results, and which
// results leave the graph: those that nobody reads, and some of the others.
func graph(d *drawing) {
	p := &grapher{drawing: d, g: &onnx.Graph{Name: "drawn"}, version: int64(d.from(11, 22))}
	wild := d.chance(4)
	shape := make(tensor.Shape, d.from(1, 3))
	for i := range shape {
		shape[i] = d.from(1, 5)
	}
	for range d.from(1, 3) {
		p.input(p.like(shape), wild)
	}
	for tries, nodes := 0, d.from(2, 14); len(p.g.Nodes) < nodes && tries < 200; tries++ {
		pick(d, operators...)(p)
	}
	p.leave()
	d.out.Model = &onnx.Model{IRVersion: 8, Graph: p.g, Opsets: []onnx.Opset{{Version: p.version}}}
	if p.version > 19 {
		d.out.Model.IRVersion = 10
	}
}

// like returns a shape that broadcasts with another: some extents are 1, and some
// of the first are not there.
func (p *grapher) like(shape tensor.Shape) tensor.Shape {
	s := slices.Clone(shape)
	for i := range s {
		if p.chance(4) {
			s[i] = 1
		}
	}
	if len(s) > 1 && p.chance(4) {
		s = s[1:]
	}
	return s
}

var ordinary = []tensor.DType{tensor.Float32, tensor.Float32, tensor.Float64, tensor.Int64, tensor.Int32, tensor.Bool}

func (p *grapher) input(shape tensor.Shape, wild bool) {
	v := value{name: fmt.Sprint("x", len(p.g.Inputs)), typ: pick(p.drawing, ordinary...), shape: shape, bound: 4, grain: 1}
	if v.float() {
		v.grain, v.wild = 0.25, wild
	}
	dims := make([]tensor.Dim, len(shape))
	for i, n := range shape {
		dims[i] = pick(p.drawing, tensor.Dim{Size: n}, tensor.Dim{Size: -1, Name: fmt.Sprint("d", n)}, tensor.Dim{Size: -1})
	}
	t := onnx.TensorOf(v.typ, dims...)
	if p.chance(5) {
		t = onnx.UnrankedTensor(v.typ)
	}
	p.g.Inputs = append(p.g.Inputs, &onnx.ValueInfo{Name: v.name, Type: &t})
	p.out.Inputs = append(p.out.Inputs, numbers(v.typ, shape, p.elements(&v)))
	p.values = append(p.values, v)
}

// elements draws what a value holds.
func (p *grapher) elements(v *value) []float64 {
	steps := int(v.bound / v.grain)
	data := make([]float64, v.len())
	for i := range data {
		data[i] = float64(p.from(-steps, steps)) * v.grain
		if v.wild && p.chance(6) {
			data[i] = pick(p.drawing, math.NaN(), math.Inf(1), math.Inf(-1))
		}
	}
	return data
}

// constant makes an initializer of numbers.
func (p *grapher) constant(typ tensor.DType, shape tensor.Shape, data ...float64) value {
	v := value{name: fmt.Sprint("c", len(p.g.Initializers)), typ: typ, shape: shape, grain: 0.25}
	for _, x := range data {
		v.bound = max(v.bound, math.Abs(x))
	}
	p.g.Initializers = append(p.g.Initializers, onnx.Initializer{Name: v.name, Tensor: numbers(typ, shape, data)})
	return v
}

// list makes an initializer of whole numbers with one axis.
func (p *grapher) list(v ...int) value {
	data := make([]float64, len(v))
	for i, n := range v {
		data[i] = float64(n)
	}
	return p.constant(tensor.Int64, tensor.Shape{len(v)}, data...)
}

// choose returns a value for which all of the conditions hold.
func (p *grapher) choose(conditions ...func(*value) bool) (value, bool) {
	var fit []value
	for i := range p.values {
		if !p.values[i].ended && !slices.ContainsFunc(conditions, func(c func(*value) bool) bool { return !c(&p.values[i]) }) {
			fit = append(fit, p.values[i])
		}
	}
	if len(fit) == 0 {
		return value{}, false
	}
	return pick(p.drawing, fit...), true
}

// mostElements keeps the graphs small.
const mostElements = 2000

// node appends a node of one output. out has the type, shape, bound and grain of
// what it makes; a grain that the type cannot hold any more becomes 0.
func (p *grapher) node(op string, in []value, out value, attributes ...onnx.Attribute) {
	p.nodeOf(op, in, []value{out}, attributes...)
}

func (p *grapher) nodeOf(op string, in, outs []value, attributes ...onnx.Attribute) {
	n := onnxtest.Node(op, nil, nil, attributes...)
	n.Name = fmt.Sprint(op, p.made)
	for _, v := range in {
		n.Inputs = append(n.Inputs, v.name)
		for i := range outs {
			outs[i].wild = outs[i].wild || v.wild
		}
	}
	for _, v := range outs {
		if v.len() > mostElements || v.bound > 1e6 {
			return
		}
	}
	for _, v := range outs {
		p.made++
		v.name = fmt.Sprint("v", p.made)
		if v.float() && v.grain > 0 && v.bound/v.grain > 1<<20 {
			v.grain = 0
		}
		v.wild = v.wild && v.float()
		n.Outputs = append(n.Outputs, v.name)
		p.values = append(p.values, v)
	}
	p.g.Nodes = append(p.g.Nodes, n)
}

// leave chooses the outputs.
func (p *grapher) leave() {
	read := map[string]bool{}
	for _, n := range p.g.Nodes {
		for _, name := range n.Inputs {
			read[name] = true
		}
	}
	for i := range p.values {
		v := &p.values[i]
		if v.name[0] != 'v' || read[v.name] && !p.chance(4) {
			continue
		}
		if v.typ == tensor.Float64 && !v.exact() {
			p.out.Coarse = true // some of them were float32 once
		}
		t := onnx.UnrankedTensor(v.typ)
		if len(v.shape) == 0 {
			t = onnx.TensorOf(v.typ) // which the second engine has to know before a run
		}
		p.g.Outputs = append(p.g.Outputs, &onnx.ValueInfo{Name: v.name, Type: &t})
	}
}

// broadcast returns the shape of two values together.
func broadcast(a, b tensor.Shape) (tensor.Shape, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, n := range b {
		at := len(a) - len(b) + i
		switch {
		case out[at] == 1:
			out[at] = n
		case n != 1 && n != out[at]:
			return nil, false
		}
	}
	return out, true
}
