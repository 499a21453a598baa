package exec

import (
	"context"
	"fmt"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// packedMemory is how many bytes a model's constant matrices take beside their
// initializers, so that they are in the order in which they are read. Those
// that find no more are put in order in each run.
const packedMemory = 32 << 20

// Compile checks a model and returns its program. Its errors are
// fault.Content.
func Compile(m *onnx.Model, limits onnx.Limits) (*Program, error) {
	warnings, err := onnx.Check(m)
	if err != nil {
		return nil, err
	}
	operators, err := resolve(m)
	if err != nil {
		return nil, err
	}
	c := &compiler{
		limits: limits.WithDefaults(), graph: m.Graph, byName: map[string]int{},
		declared: map[string]*onnx.Type{}, leaving: map[string]bool{}, warnings: warnings,
		packing: ops.Budget{Left: packedMemory},
	}
	if err := c.compile(operators); err != nil {
		return nil, fault.Newf(fault.Content, "the ONNX model cannot be served: %v", err)
	}
	return c.program(), nil
}

// value is one edge of the graph.
type value struct {
	ops.Value
	name string
	// alias is the value that this one is under another name, or -1.
	alias int
	// input is the place among the program's inputs, or -1.
	input int
}

// step is a node that has something to compute.
type step struct {
	label   string
	kernel  ops.Kernel
	in      []int // values, -1 for an input that is left out
	out     []int
	scratch int
}

type compiler struct {
	limits   onnx.Limits
	graph    *onnx.Graph
	values   []value
	byName   map[string]int
	declared map[string]*onnx.Type
	leaving  map[string]bool // names of the graph's outputs
	steps    []step
	inputs   []tensor.Spec
	outputs  []tensor.Spec
	results  []int // values of the outputs
	warnings []string
	folded   int // bytes of folded constants
	trees    tree.Budget
	packing  ops.Budget
	patterns ops.Patterns
}

func (c *compiler) compile(operators []resolved) error {
	c.declare()
	c.values = make([]value, 0, len(c.graph.Initializers)+len(c.graph.Inputs)+len(c.graph.Nodes))
	c.steps = make([]step, 0, len(c.graph.Nodes))
	if err := c.enter(); err != nil {
		return err
	}
	for i, n := range c.graph.Nodes {
		if err := c.node(n, operators[i]); err != nil {
			return fmt.Errorf("%s: %w", n.Label(i), err)
		}
	}
	return c.leave()
}

// declare collects the declared types of what nodes make.
func (c *compiler) declare() {
	for _, v := range c.graph.Outputs {
		c.leaving[v.Name] = true
	}
	for _, list := range [][]*onnx.ValueInfo{c.graph.Values, c.graph.Outputs} {
		for _, v := range list {
			if v.Type != nil && v.Type.Of != onnx.NoType {
				c.declared[v.Name] = v.Type
			}
		}
	}
}

func (c *compiler) add(v value) int {
	c.values = append(c.values, v)
	if v.name != "" {
		c.byName[v.name] = len(c.values) - 1
	}
	return len(c.values) - 1
}

// enter adds initializers and inputs.
func (c *compiler) enter() error {
	for _, i := range c.graph.Initializers {
		c.add(value{
			Value: ops.Value{Type: onnx.TypeOf(i.Tensor), Const: i.Tensor},
			name:  i.Name, alias: -1, input: -1,
		})
	}
	for _, v := range c.graph.Inputs {
		if _, constant := c.byName[v.Name]; constant {
			continue
		}
		if v.Type.Of != onnx.TensorType {
			return fmt.Errorf("input %s is a %v; only tensors can be given", onnx.Quote(v.Name), v.Type)
		}
		if len(v.Type.Dims) > c.limits.Depth {
			return fmt.Errorf("input %s has %d axes; at most %d are allowed", onnx.Quote(v.Name), len(v.Type.Dims), c.limits.Depth)
		}
		c.add(value{Value: ops.Value{Type: *v.Type}, name: v.Name, alias: -1, input: len(c.inputs)})
		c.inputs = append(c.inputs, tensor.Spec{
			Name: v.Name, DType: v.Type.Elem, Dims: slices.Clone(v.Type.Dims), Ranked: v.Type.Ranked,
		})
	}
	return nil
}

// node parses one node and adds what it makes.
func (c *compiler) node(n *onnx.Node, r resolved) error {
	s := step{label: operatorName(n), in: make([]int, len(n.Inputs))}
	in := make([]ops.Value, len(n.Inputs))
	constant := true
	for i, name := range n.Inputs {
		s.in[i] = -1
		if name == "" {
			continue
		}
		s.in[i] = c.byName[name]
		in[i] = c.values[s.in[i]].Value
		constant = constant && in[i].Const != nil
	}
	parsed := ops.NewNode(n, r.version, in)
	parsed.Trees, parsed.Patterns, parsed.Packing = &c.trees, &c.patterns, &c.packing
	var err error
	if s.kernel, err = r.op.Parse(parsed, len(n.Outputs)); err != nil {
		return err
	}
	s.scratch = parsed.Scratches()
	folds := constant && s.kernel != nil && !parsed.IsAlias()
	if folds {
		if err := c.fold(&s, parsed); err != nil {
			return err
		}
	}
	for i := range parsed.Out {
		v := value{Value: parsed.Out[i], alias: -1, input: -1}
		if i < len(n.Outputs) {
			v.name = n.Outputs[i]
		}
		if parsed.IsAlias() && i == 0 {
			v.alias = c.root(s.in[0])
		}
		if err := c.reconcile(&v); err != nil {
			return err
		}
		s.out = append(s.out, c.add(v))
	}
	if s.kernel != nil && !parsed.IsAlias() && !folds {
		c.steps = append(c.steps, s)
	}
	return nil
}

// root returns the value that v is in the end.
func (c *compiler) root(v int) int {
	if a := c.values[v].alias; a >= 0 {
		return a // aliases are made of roots
	}
	return v
}

// fold computes a node whose inputs are all constant.
func (c *compiler) fold(s *step, n *ops.Node) error {
	in := make([]*tensor.Tensor, len(s.in))
	for i := range n.In {
		in[i] = n.In[i].Const
	}
	out := make([]*tensor.Tensor, len(n.Out))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	budget := ops.Budget{Left: c.limits.RunMemory - c.folded}
	f := ops.NewFrame(in, out, s.scratch, &budget)
	if err := s.kernel(context.Background(), &f); err != nil {
		return err
	}
	c.folded = c.limits.RunMemory - budget.Left
	for i := range out {
		n.Out[i].Const = out[i]
		if n.Out[i].Type.Of == onnx.TensorType {
			n.Out[i].Type = onnx.TypeOf(out[i])
		}
	}
	return nil
}

// reconcile compares what a node makes with what the file declares of it. The
// type must be the one declared. Declared extents of a graph output are hints,
// which exporters are known to get wrong; those of other values must fit.
func (c *compiler) reconcile(v *value) error {
	d := c.declared[v.name]
	if d == nil || v.name == "" {
		return nil
	}
	if !d.SameKind(&v.Type) {
		return fmt.Errorf("it makes %s a %v, but the model declares %v%s", onnx.Quote(v.name), &v.Type, d, advice(d, &v.Type))
	}
	if !d.SameShape(&v.Type) {
		if !c.leaving[v.name] {
			return fmt.Errorf("it makes %s a %v, but the model declares %v", onnx.Quote(v.name), &v.Type, d)
		}
		if d.Of == onnx.TensorType {
			c.warn("output %s is declared %v, but is %v", onnx.Quote(v.name), d, &v.Type)
		}
		return nil
	}
	nameDims(&v.Type, d)
	return nil
}

// advice says how an export goes right that was given columns of float64, of
// which the operators of ai.onnx.ml make float32.
func advice(declared, made *onnx.Type) string {
	if declared.Elem != tensor.Float64 || made.Elem != tensor.Float32 {
		return ""
	}
	return "; export the model with columns of float32, in Python X.astype(np.float32)"
}

// maxWarnings keeps a file from making a log of its own.
const maxWarnings = 50

func (c *compiler) warn(format string, args ...any) {
	if len(c.warnings) >= maxWarnings {
		return
	}
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// nameDims gives the free extents of t the names that d has for them.
func nameDims(t, d *onnx.Type) {
	if !t.Ranked || !d.Ranked {
		return
	}
	t.Dims = slices.Clone(t.Dims)
	for i := range t.Dims {
		if t.Dims[i].Size < 0 && d.Dims[i].Name != "" {
			t.Dims[i].Name = d.Dims[i].Name
		}
	}
}

// leave finds the graph's outputs, and adds copies of those that no step
// writes of its own: an input, a constant, or another output's value.
func (c *compiler) leave() error {
	written := map[int]bool{}
	for _, s := range c.steps {
		for _, v := range s.out {
			written[v] = true
		}
	}
	for _, o := range c.graph.Outputs {
		v := c.byName[o.Name]
		spec, err := c.spec(o, &c.values[v])
		if err != nil {
			return err
		}
		c.outputs = append(c.outputs, spec)
		root := c.root(v)
		if !written[root] {
			root = c.copyOf(root)
		}
		delete(written, root)
		c.results = append(c.results, root)
	}
	return nil
}

func (c *compiler) copyOf(v int) int {
	source := c.values[v].Value
	source.Const = nil
	out := c.add(value{Value: source, alias: -1, input: -1})
	c.steps = append(c.steps, step{
		label: "copy of an output", kernel: ops.Copy(bufferType(&source.Type)), in: []int{v}, out: []int{out},
	})
	return out
}

// spec describes an output.
func (c *compiler) spec(o *onnx.ValueInfo, v *value) (tensor.Spec, error) {
	t := v.Type
	s := tensor.Spec{Name: o.Name, Kind: tensor.KindTensor, DType: t.Elem, Dims: t.Dims, Ranked: t.Ranked, Keys: v.Keys, Decision: v.Decision}
	if _, ok := t.IsMapSequence(); ok {
		s.Kind, s.DType = tensor.KindMapSequence, tensor.Float32
		return s, nil
	}
	if t.Of != onnx.TensorType {
		return s, fmt.Errorf("output %s is a %v, which cannot be returned", onnx.Quote(o.Name), &t)
	}
	if d := o.Type; !t.Ranked && d != nil && d.Ranked {
		s.Dims, s.Ranked = d.Dims, true
	}
	return s, nil
}
