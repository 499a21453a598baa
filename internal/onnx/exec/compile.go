package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// constantMemory is how many bytes a model's constants take beside what the file
// holds of them: results of nodes that are the same for every run, and matrices
// in the order in which they are read. foldTime is how long the making of the
// former takes, together, and a look at what the scores are. What finds no more of
// either is made in each run, under the bounds of a run, so that no file makes a
// load large or long.
const (
	constantMemory = 32 << 20
	foldTime       = 250 * time.Millisecond
)

// Compile checks a model and returns its program. Its errors are
// fault.Content.
func Compile(m *onnx.Model, limits onnx.Limits) (p *Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fault.Wrap(fault.Internal, "the engine failed on this model", recovered(r))
		}
	}()
	warnings, err := onnx.Check(m, limits)
	if err != nil {
		return nil, err
	}
	s := &shared{
		limits: limits.WithDefaults(), index: ops.NewIndex(), functions: functionsOf(m), warnings: warnings,
	}
	constants := min(constantMemory, s.limits.RunMemory)
	s.constants.Left = constants
	if err := resolve(m, s.functions, s.index); err != nil {
		return nil, err
	}
	var done context.CancelFunc
	s.folding, done = context.WithTimeout(context.Background(), foldTime)
	defer done()
	c := newCompiler(s, m.Graph, versions(m.Opsets))
	p = &Program{memory: s.limits.RunMemory, maxRank: s.limits.Depth}
	if err := c.main(p); err != nil {
		return nil, fault.Newf(fault.Content, "the ONNX model cannot be served: %v", err)
	}
	p.code, p.warnings, p.constants = c.code(), s.warnings, constants-s.constants.Left
	p.pool.New = func() any { return newState(p.code, &ops.Budget{}) }
	p.decide(s.folding)
	return p, nil
}

// shared is what the graphs of a model have in common while they are compiled.
type shared struct {
	limits    onnx.Limits
	index     ops.Index
	functions map[onnx.FunctionID]*onnx.Function
	warnings  []string
	constants ops.Budget      // what constantMemory leaves
	folding   context.Context //nolint:containedctx // ends with the one call of Compile that shared lives for
	trees     tree.Budget
	patterns  ops.Patterns
}

// maxWarnings keeps a file from making a log of its own.
const maxWarnings = 50

func (s *shared) warn(format string, args ...any) {
	if len(s.warnings) >= maxWarnings {
		return
	}
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// value is one edge of the graph.
type value struct {
	ops.Value
	name string
	// alias is the value that this one is under another name, or -1.
	alias int
	// input is the place among the graph's inputs, captured values behind the
	// others, or -1.
	input int
}

// columnar reports whether v is what ZipMap makes: maps that travel as a
// tensor.
func (v *value) columnar() bool {
	_, maps := v.Type.IsMapSequence()
	return maps && v.Keys != nil
}

// step is a node that has something to compute.
type step struct {
	label   string
	kernel  ops.Kernel
	in      []int // values, -1 for an input that is left out
	out     []int
	scratch int
	over    bool // the first of out may be where the first of in was
	bodies  []*body
}

// body is a compiled subgraph of a step.
type body struct {
	code     *code
	captured []int // values of the graph around it
}

// compiler compiles one graph, and the functions that it calls as a part of
// it.
type compiler struct {
	*shared
	graph    *onnx.Graph
	scope    *scope
	values   []value
	steps    []step
	ports    int   // inputs, without captured values
	captured []int // values of the graph around this one
	results  []int // values of the outputs
}

// scope is what names mean: in a graph, or in one call of a function.
type scope struct {
	names  map[string]int // values, -1 for an input that a call leaves out
	opsets map[string]int64
	// bound are the attributes of a call.
	bound map[string]*onnx.Attribute
	// around compiles the graph around this one; nil for the main graph and in
	// a function.
	around   *compiler
	declared map[string]*onnx.Type
	leaving  map[string]bool // names of the graph's outputs
}

func newCompiler(s *shared, g *onnx.Graph, opsets map[string]int64) *compiler {
	c := &compiler{shared: s, graph: g, scope: &scope{
		names: make(map[string]int, len(g.Nodes)), opsets: opsets,
		declared: map[string]*onnx.Type{}, leaving: make(map[string]bool, len(g.Outputs)),
	}}
	c.values = make([]value, 0, len(g.Initializers)+len(g.Inputs)+len(g.Nodes))
	c.steps = make([]step, 0, len(g.Nodes))
	for _, v := range g.Outputs {
		c.scope.leaving[v.Name] = true
	}
	for _, list := range [][]*onnx.ValueInfo{g.Values, g.Outputs} {
		for _, v := range list {
			if v.Type != nil && v.Type.Of != onnx.NoType {
				c.scope.declared[v.Name] = v.Type
			}
		}
	}
	for _, i := range g.Initializers {
		c.add(value{Value: ops.Value{Type: onnx.TypeOf(i.Tensor), Const: i.Tensor}, name: i.Name, alias: -1, input: -1})
	}
	return c
}

func (c *compiler) add(v value) int {
	c.values = append(c.values, v)
	if v.name != "" {
		c.scope.names[v.name] = len(c.values) - 1
	}
	return len(c.values) - 1
}

// root returns the value that v is in the end.
func (c *compiler) root(v int) int {
	if a := c.values[v].alias; a >= 0 {
		return a // aliases are made of roots
	}
	return v
}

// lookup returns the value of a name, -1 when it is left out. One of the
// graphs around this one is captured: it becomes an input of this one.
func (c *compiler) lookup(name string) int {
	if name == "" {
		return -1
	}
	if v, ok := c.scope.names[name]; ok || c.scope.around == nil {
		return v
	}
	outer := c.scope.around.lookup(name)
	if outer < 0 {
		return outer
	}
	captured := value{Value: c.scope.around.values[outer].Value, name: name, alias: -1, input: -1}
	if captured.Const == nil {
		captured.input = c.ports + len(c.captured)
		c.captured = append(c.captured, outer)
	}
	return c.add(captured)
}

// nodes compiles nodes in the scope.
func (c *compiler) nodes(list []*onnx.Node) error {
	for i, n := range list {
		compile := c.node
		if c.functions[n.Callee()] != nil {
			compile = c.call
		}
		if err := compile(n); err != nil {
			return fmt.Errorf("%s: %w", n.Label(i), err)
		}
	}
	return nil
}

// call compiles what a function does in place of the node that calls it.
func (c *compiler) call(n *onnx.Node) error {
	f := c.functions[n.Callee()]
	if len(n.Inputs) > len(f.Inputs) || len(n.Outputs) > len(f.Outputs) {
		return fmt.Errorf("it has %d inputs and %d outputs; the function takes %d and makes %d",
			len(n.Inputs), len(n.Outputs), len(f.Inputs), len(f.Outputs))
	}
	bound, err := c.bind(n, f)
	if err != nil {
		return err
	}
	inside := &scope{names: make(map[string]int, len(f.Nodes)), opsets: versions(f.Opsets), bound: bound}
	for i, name := range f.Inputs {
		inside.names[name] = -1
		if i < len(n.Inputs) {
			inside.names[name] = c.lookup(n.Inputs[i])
		}
	}
	outside := c.scope
	c.scope = inside
	err = c.nodes(f.Nodes)
	c.scope = outside
	if err != nil {
		return err
	}
	for i, name := range n.Outputs {
		v := inside.names[f.Outputs[i]]
		if v < 0 {
			return fmt.Errorf("output %d is an input that is left out", i)
		}
		out := value{Value: c.values[v].Value, name: name, alias: c.root(v), input: -1}
		if err := c.reconcile(&out); err != nil {
			return err
		}
		c.add(out)
	}
	return nil
}

// bind returns the attributes of a call: those that it gives and the defaults
// of the others.
func (c *compiler) bind(n *onnx.Node, f *onnx.Function) (map[string]*onnx.Attribute, error) {
	given, err := onnx.Bind(n.Attributes, c.scope.bound)
	if err != nil {
		return nil, err
	}
	bound := make(map[string]*onnx.Attribute, len(f.Attributes))
	for _, name := range f.Attributes {
		bound[name] = nil
	}
	for i := range f.Defaults {
		bound[f.Defaults[i].Name] = &f.Defaults[i]
	}
	for i := range given {
		if _, defined := bound[given[i].Name]; !defined {
			return nil, fmt.Errorf("attribute %s is not defined for this function", onnx.Quote(given[i].Name))
		}
		bound[given[i].Name] = &given[i]
	}
	return bound, nil
}

// node parses one node and adds what it makes.
func (c *compiler) node(n *onnx.Node) error {
	s := step{label: operatorName(n), in: make([]int, len(n.Inputs))}
	in := make([]ops.Value, len(n.Inputs))
	for i, name := range n.Inputs {
		if s.in[i] = c.lookup(name); s.in[i] >= 0 {
			in[i] = c.values[s.in[i]].Value
		}
	}
	parsed, err := c.parse(n, &s, in)
	if err != nil {
		return err
	}
	folds := s.kernel != nil && !parsed.IsAlias() && len(s.bodies) == 0 && c.constant(s.in)
	if folds {
		if folds, err = c.fold(&s, parsed); err != nil {
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

// parse runs the operator's parse function on a node, which compiles the
// subgraphs that it has.
func (c *compiler) parse(n *onnx.Node, s *step, in []ops.Value) (*ops.Node, error) {
	bound := *n
	var err error
	if bound.Attributes, err = onnx.Bind(n.Attributes, c.scope.bound); err != nil {
		return nil, err
	}
	version := c.scope.opsets[n.Domain]
	parsed := ops.NewNode(&bound, version, in)
	parsed.Trees, parsed.Packing, parsed.Patterns = &c.trees, &c.constants, &c.patterns
	parsed.Crew = c.limits.Crew
	parsed.Compile = func(g *onnx.Graph, in []ops.Value) (*ops.Body, error) {
		made, compiled, err := c.subgraph(g, in)
		if err == nil {
			made.Index = len(s.bodies)
			s.bodies = append(s.bodies, compiled)
		}
		return made, err
	}
	op := c.index.Find(n.Domain, n.Op, version) // resolve has found them all
	if s.kernel, err = op.Parse(parsed, len(n.Outputs)); err != nil {
		return nil, err
	}
	if len(n.Outputs) > len(parsed.Out) {
		return nil, fmt.Errorf("it has %d outputs; it makes %d", len(n.Outputs), len(parsed.Out))
	}
	s.scratch, s.over = parsed.Scratches(), parsed.Overwrites()
	for _, i := range parsed.Lists() {
		s.in[i] = c.list(s.in[i])
	}
	return parsed, nil
}

// subgraph compiles a graph inside this one.
func (c *compiler) subgraph(g *onnx.Graph, in []ops.Value) (*ops.Body, *body, error) {
	inner := newCompiler(c.shared, g, c.scope.opsets)
	inner.scope.around, inner.scope.bound = c, c.scope.bound
	parameters := g.Parameters()
	if len(parameters) != len(in) {
		return nil, nil, fmt.Errorf("the graph has %d inputs; it is given %d", len(parameters), len(in))
	}
	inner.ports = len(in)
	for i, v := range parameters {
		if d := v.Type; d != nil && d.Of != onnx.NoType && !d.SameKind(&in[i].Type) {
			return nil, nil, fmt.Errorf("its input %s is declared %v, but is given a %v", onnx.Quote(v.Name), d, &in[i].Type)
		}
		inner.add(value{Value: in[i], name: v.Name, alias: -1, input: i})
	}
	if err := inner.nodes(g.Nodes); err != nil {
		return nil, nil, err
	}
	made := &ops.Body{In: in}
	for i, v := range inner.leave(ops.Copy) {
		made.Out = append(made.Out, inner.values[v].Value)
		made.Declared = append(made.Declared, g.Outputs[i].Type)
	}
	return made, &body{code: inner.code(), captured: inner.captured}, nil
}

// constant reports whether all of values are.
func (c *compiler) constant(values []int) bool {
	return !slices.ContainsFunc(values, func(v int) bool { return v >= 0 && c.values[v].Const == nil })
}

// list returns v as a list of maps when it is what ZipMap makes, else v.
func (c *compiler) list(v int) int {
	if v < 0 || !c.values[v].columnar() {
		return v
	}
	key, _ := c.values[v].Type.IsMapSequence()
	out := c.add(value{Value: ops.Value{Type: onnx.MapSequence(key)}, alias: -1, input: -1})
	c.steps = append(c.steps, step{label: "list of maps", kernel: ops.MapList(c.values[v].Keys), in: []int{v}, out: []int{out}})
	return out
}

// fold computes a node whose inputs are all constant, and reports whether it
// did: a node that takes more than there is for constants is left to the run. It
// fails when every run would.
func (c *compiler) fold(s *step, n *ops.Node) (bool, error) {
	in := make([]*tensor.Tensor, len(s.in))
	for i := range n.In {
		in[i] = n.In[i].Const
	}
	out := make([]*tensor.Tensor, len(n.Out))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	budget := ops.Budget{Left: c.constants.Left}
	f := ops.NewFrame(in, out, s.scratch, &budget)
	err := c.folding.Err()
	if err == nil {
		err = s.kernel(c.folding, &f)
		c.constants.Left = budget.Left // also when it failed: memory that was taken is not back yet
	}
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded), 0 < budget.Refused && budget.Refused <= c.limits.RunMemory:
		return false, nil
	default:
		return false, err
	}
	for i := range out {
		n.Out[i].Const = out[i]
		if n.Out[i].Type.Of == onnx.TensorType {
			n.Out[i].Type = onnx.TypeOf(out[i])
		}
	}
	return true, nil
}
