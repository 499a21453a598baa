package onnx

import (
	"fmt"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// The versions of the file format that are read (onnx.proto, Version).
const (
	OldestIR = 3
	NewestIR = 14
)

// Check proves what holds for every model whatever its operators mean: the
// format version is known; operator sets are named once; the graph is acyclic
// and in topological order; every value has one maker and every input a value;
// attributes are named once; functions do not recurse, and what their calls
// stand for keeps the limits. It returns warnings about what is odd but
// harmless. Its errors are fault.Content.
func Check(m *Model, limits Limits) (warnings []string, err error) {
	c := checker{limits: limits.WithDefaults()}
	for _, step := range []func(*Model) error{checkIR, c.checkOpsets, c.checkFunctions, c.checkMain} {
		if err := step(m); err != nil {
			return nil, fault.Newf(fault.Content, "the ONNX model is not valid: %v", err)
		}
	}
	return c.warnings, nil
}

type checker struct {
	limits   Limits
	warnings []string
}

// maxWarnings keeps a file from making a log of its own.
const maxWarnings = 20

func (c *checker) warn(format string, args ...any) {
	if len(c.warnings) == maxWarnings {
		return
	}
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func checkIR(m *Model) error {
	switch {
	case m.IRVersion < OldestIR:
		return fmt.Errorf("its format version (ir_version) is %d; %d to %d are read. Export it with a newer onnx package",
			m.IRVersion, OldestIR, NewestIR)
	case m.IRVersion > NewestIR:
		return fmt.Errorf("its format version (ir_version) is %d; %d to %d are read. Export it with an older target",
			m.IRVersion, OldestIR, NewestIR)
	}
	return nil
}

func (*checker) checkOpsets(m *Model) error {
	if len(m.Opsets) == 0 {
		return fmt.Errorf("it names no operator set (opset_import)")
	}
	if err := agreeingOpsets(m.Opsets); err != nil {
		return err
	}
	for _, f := range m.Functions {
		if err := agreeingOpsets(f.Opsets); err != nil {
			return fmt.Errorf("function %s: %w", Quote(f.Name), err)
		}
	}
	return nil
}

func agreeingOpsets(opsets []Opset) error {
	seen := make(map[string]int64, len(opsets))
	for _, o := range opsets {
		// skl2onnx writes some domains twice with one version.
		if v, ok := seen[o.Domain]; ok && v != o.Version {
			return fmt.Errorf("it imports versions %d and %d of the operator set of domain %s", v, o.Version, Quote(o.Domain))
		}
		seen[o.Domain] = o.Version
		if o.Version < 1 {
			return fmt.Errorf("the operator set of domain %s has version %d", Quote(o.Domain), o.Version)
		}
	}
	return nil
}

func (c *checker) checkMain(m *Model) error {
	if len(m.Graph.Outputs) == 0 {
		return fmt.Errorf("the graph has no output")
	}
	names := map[string]bool{}
	for i, n := range m.Graph.Nodes {
		if n.Name != "" && names[n.Name] {
			c.warn("%s has the same name as an earlier node", n.Label(i))
		}
		names[n.Name] = true
	}
	if err := checkIO(m.Graph); err != nil {
		return err
	}
	if err := checkReferences(m.Graph.Nodes, nil); err != nil {
		return err
	}
	return c.checkGraph(m.Graph, nil)
}

// checkIO proves that the inputs and outputs of the main graph have types that
// a caller can make and read.
func checkIO(g *Graph) error {
	for _, v := range g.Inputs {
		if v.Type == nil || v.Type.Of == NoType {
			return fmt.Errorf("input %s has no type", Quote(v.Name))
		}
		if v.Type.Of == TensorType && !v.Type.Elem.Valid() {
			return fmt.Errorf("input %s has no element type", Quote(v.Name))
		}
	}
	seen := map[string]bool{}
	for _, v := range g.Outputs {
		if seen[v.Name] {
			return fmt.Errorf("output %s is listed twice", Quote(v.Name))
		}
		seen[v.Name] = true
	}
	return nil
}

// scope is the set of values that a graph's nodes may use, within those of the
// graphs around it.
type scope struct {
	outer   *scope
	defined map[string]bool
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.defined[name] {
			return true
		}
	}
	return false
}

func (s *scope) define(name, what string) error {
	if name == "" {
		return fmt.Errorf("%s has no name", what)
	}
	if s.has(name) {
		return fmt.Errorf("%s %s: the name is already taken by another value", what, Quote(name))
	}
	s.defined[name] = true
	return nil
}

func (c *checker) checkGraph(g *Graph, outer *scope) error {
	s := &scope{outer: outer, defined: make(map[string]bool, len(g.Nodes))}
	for _, v := range g.Inputs {
		if err := s.define(v.Name, "input"); err != nil {
			return err
		}
	}
	if err := c.defineInitializers(g, s); err != nil {
		return err
	}
	for i, n := range g.Nodes {
		if err := c.checkNode(g, i, n, s); err != nil {
			return err
		}
	}
	for _, v := range g.Outputs {
		if v.Name == "" || !s.has(v.Name) {
			return fmt.Errorf("output %s is made by no node", Quote(v.Name))
		}
	}
	return nil
}

// defineInitializers lets an initializer stand for the default of an input of
// its name, as format versions before 4 demand; the main graph serves it as a
// constant.
func (*checker) defineInitializers(g *Graph, s *scope) error {
	inputs := make(map[string]*ValueInfo, len(g.Inputs))
	for _, v := range g.Inputs {
		inputs[v.Name] = v
	}
	for _, i := range g.Initializers {
		v, isInput := inputs[i.Name]
		if !isInput {
			if err := s.define(i.Name, "initializer"); err != nil {
				return err
			}
			continue
		}
		delete(inputs, i.Name) // so that a second initializer of the name is refused
		if v.Type != nil {
			if t := TypeOf(i.Tensor); !t.SameKind(v.Type) || !t.SameShape(v.Type) {
				return fmt.Errorf("initializer %s is a %v, but declared %v", Quote(i.Name), &t, v.Type)
			}
		}
	}
	return nil
}

// TypeOf returns the type of a tensor.
func TypeOf(t *tensor.Tensor) Type {
	dims := make([]tensor.Dim, len(t.Shape()))
	for i, n := range t.Shape() {
		dims[i].Size = n
	}
	return TensorOf(t.DType(), dims...)
}

// maxPorts bounds the inputs and the outputs of one node: a name of one is a few
// bytes of the file, what is known of it a hundred.
const maxPorts = 1 << 17

func (c *checker) checkNode(g *Graph, i int, n *Node, s *scope) error {
	if n.Op == "" {
		return fmt.Errorf("%s names no operator", n.Label(i))
	}
	if len(n.Inputs) > maxPorts || len(n.Outputs) > maxPorts {
		return fmt.Errorf("%s: it has %d inputs and %d outputs; at most %d of each are allowed", n.Label(i), len(n.Inputs), len(n.Outputs), maxPorts)
	}
	for _, name := range n.Inputs {
		if name != "" && !s.has(name) {
			return fmt.Errorf("%s: %w", n.Label(i), undefined(g, i, name))
		}
	}
	attributes := map[string]bool{}
	for k := range n.Attributes {
		a := &n.Attributes[k]
		if a.Name == "" || attributes[a.Name] {
			return fmt.Errorf("%s: attribute %s is unnamed or there twice", n.Label(i), Quote(a.Name))
		}
		attributes[a.Name] = true
		for _, sub := range a.Subgraphs() {
			if err := c.checkGraph(sub, s); err != nil {
				return fmt.Errorf("%s: attribute %s: %w", n.Label(i), Quote(a.Name), err)
			}
		}
	}
	for _, name := range n.Outputs {
		if name == "" {
			continue
		}
		if err := s.define(name, "output"); err != nil {
			return fmt.Errorf("%s: %w", n.Label(i), err)
		}
	}
	return nil
}

// undefined explains why node i of g cannot use the value name: nothing makes
// it, a later node does, or the two wait for each other.
func undefined(g *Graph, i int, name string) error {
	makers := map[string]int{}
	for k, n := range g.Nodes {
		for _, out := range n.Outputs {
			makers[out] = k
		}
	}
	maker, ok := makers[name]
	switch {
	case !ok:
		return fmt.Errorf("input %s is not made by any input, initializer or node", Quote(name))
	case dependsOn(g, makers, maker, i):
		return fmt.Errorf("input %s closes a cycle: it depends on this node's own output", Quote(name))
	}
	return fmt.Errorf("input %s is made only later, by %s; nodes must be in topological order",
		Quote(name), g.Nodes[maker].Label(maker))
}

// dependsOn reports whether node from needs a result of node on. It visits
// each node once, without recursion: chains can be as long as the file.
func dependsOn(g *Graph, makers map[string]int, from, on int) bool {
	seen := make([]bool, len(g.Nodes))
	todo := []int{from}
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if k == on {
			return true
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		for _, name := range g.Nodes[k].Inputs {
			if m, ok := makers[name]; ok && name != "" {
				todo = append(todo, m)
			}
		}
	}
	return false
}
