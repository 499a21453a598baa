package onnx

import (
	"fmt"
	"slices"
)

// FunctionID is what a node calls a model-local function by.
type FunctionID struct{ Domain, Name, Overload string }

// Callee returns what n calls: a function of that identity when the model has
// one, else the operator.
func (n *Node) Callee() FunctionID { return FunctionID{n.Domain, n.Op, n.Overload} }

// ID returns what nodes call f by.
func (f *Function) ID() FunctionID { return FunctionID{f.Domain, f.Name, f.Overload} }

// checkFunctions proves that functions have distinct names and do not call
// themselves, through others or through subgraphs either; that the nodes of
// each are sound; and that what all calls stand for keeps the limits.
func (c *checker) checkFunctions(m *Model) error {
	byID := make(map[FunctionID]int, len(m.Functions))
	for i, f := range m.Functions {
		id := f.ID()
		if _, dup := byID[id]; dup || f.Name == "" {
			return fmt.Errorf("function %s is unnamed or there twice", Quote(f.Name))
		}
		byID[id] = i
	}
	w := callWalk{m: m, byID: byID, state: make([]walkState, len(m.Functions))}
	for i, f := range m.Functions {
		if err := w.visit(i); err != nil {
			return err
		}
		if err := c.checkFunction(f); err != nil {
			return fmt.Errorf("function %s: %w", Quote(f.Name), err)
		}
	}
	return c.checkExpansion(m, &w)
}

// checkFunction checks the body of a function as a graph that nothing is
// around.
func (c *checker) checkFunction(f *Function) error {
	g := &Graph{Nodes: f.Nodes}
	for _, name := range f.Inputs {
		g.Inputs = append(g.Inputs, &ValueInfo{Name: name})
	}
	for _, name := range f.Outputs {
		g.Outputs = append(g.Outputs, &ValueInfo{Name: name})
	}
	if err := c.checkGraph(g, nil); err != nil {
		return err
	}
	known := make(map[string]bool, len(f.Attributes))
	for _, name := range f.Attributes {
		if known[name] || name == "" {
			return fmt.Errorf("attribute %s is unnamed or there twice", Quote(name))
		}
		known[name] = true
	}
	return checkReferences(f.Nodes, known)
}

// checkReferences proves that attributes refer to those of the function.
func checkReferences(nodes []*Node, known map[string]bool) error {
	for i, n := range nodes {
		for k := range n.Attributes {
			a := &n.Attributes[k]
			if a.Ref != "" && !known[a.Ref] {
				return fmt.Errorf("%s: attribute %s refers to %s, which is no attribute of a function around it", n.Label(i), Quote(a.Name), Quote(a.Ref))
			}
			for _, g := range a.Subgraphs() {
				if err := checkReferences(g.Nodes, known); err != nil {
					return fmt.Errorf("%s: %w", n.Label(i), err)
				}
			}
		}
	}
	return nil
}

type walkState uint8

const (
	unvisited walkState = iota
	active
	finished
)

// callWalk looks for cycles in the calls between functions. Its stack is its
// own, since a file can chain more functions than a goroutine's stack likes.
type callWalk struct {
	m     *Model
	byID  map[FunctionID]int
	state []walkState
	order []int // functions behind all that they call
	bound int   // the size of the largest attribute that a call can hand on
}

type callFrame struct {
	function int
	callees  []int
}

func (w *callWalk) visit(root int) error {
	if w.state[root] != unvisited {
		return nil
	}
	stack := []callFrame{w.enter(root)}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.callees) == 0 {
			w.state[top.function] = finished
			w.order = append(w.order, top.function)
			stack = stack[:len(stack)-1]
			continue
		}
		callee := top.callees[0]
		top.callees = top.callees[1:]
		switch w.state[callee] {
		case active:
			return fmt.Errorf("function %s calls itself, by way of %s",
				Quote(w.m.Functions[callee].Name), Quote(w.m.Functions[top.function].Name))
		case unvisited:
			stack = append(stack, w.enter(callee))
		case finished:
		}
	}
	return nil
}

func (w *callWalk) enter(i int) callFrame {
	w.state[i] = active
	return callFrame{function: i, callees: w.callees(w.m.Functions[i].Nodes, nil)}
}

// callees lists the functions that nodes call, those in subgraphs too, whose
// nesting the decoder has bounded.
func (w *callWalk) callees(nodes []*Node, list []int) []int {
	for _, n := range nodes {
		if i, ok := w.byID[n.Callee()]; ok {
			list = append(list, i)
		}
		for k := range n.Attributes {
			for _, g := range n.Attributes[k].Subgraphs() {
				list = w.callees(g.Nodes, list)
			}
		}
	}
	return list
}

// size is what nodes are with every call of a function replaced by what it
// stands for. Sums stop at a bound that no limit reaches.
type size struct{ nodes, bytes, depth int }

func (s *size) add(t size) {
	const most = 1 << 48
	s.nodes = min(s.nodes+t.nodes, most)
	s.bytes = min(s.bytes+t.bytes, most)
	s.depth = max(s.depth, t.depth)
}

// What a node, compiled, and one of its names or attributes take, about, in bytes.
const (
	nodeBytes  = 640
	entryBytes = 32
)

// expandedSlack and expandedGrowth bound the bytes of a model with its calls
// replaced: so many, and so many times its own.
const (
	expandedSlack  = 8 << 20
	expandedGrowth = 4
)

// checkExpansion computes the size of the model with its calls replaced,
// without replacing them: each function is looked at once.
func (c *checker) checkExpansion(m *Model, w *callWalk) error {
	plain := w.size(m.Graph.Nodes, nil)
	for _, f := range m.Functions {
		plain.add(w.size(f.Nodes, nil))
		for k := range f.Defaults {
			w.bound = max(w.bound, f.Defaults[k].bytes())
		}
	}
	functions := make([]size, len(m.Functions))
	for _, i := range w.order { // when w.bound is known
		functions[i] = w.size(m.Functions[i].Nodes, functions)
	}
	total := w.size(m.Graph.Nodes, functions)
	switch {
	case total.nodes > c.limits.Nodes:
		return fmt.Errorf("with its functions it has more than %d nodes", c.limits.Nodes)
	case total.depth > c.limits.Depth:
		return fmt.Errorf("with its functions it nests more than %d deep", c.limits.Depth)
	case total.bytes > expandedSlack+expandedGrowth*plain.bytes:
		return fmt.Errorf("with its functions it is more than %d times its size and %d MiB", expandedGrowth, expandedSlack>>20)
	}
	return nil
}

// size adds up nodes. Without functions it is what the file holds: a call of one
// is one node, and a reference nothing.
func (w *callWalk) size(nodes []*Node, functions []size) size {
	var sum size
	for _, n := range nodes {
		sum.add(size{1, nodeBytes + entryBytes*(len(n.Inputs)+len(n.Outputs)+len(n.Attributes)), 0})
		i, called := w.byID[n.Callee()]
		if called && functions != nil {
			sum.add(functions[i])
		}
		for k := range n.Attributes {
			a := &n.Attributes[k]
			sum.add(size{0, a.bytes(), 0})
			if called {
				w.bound = max(w.bound, a.bytes())
			} else if a.Ref != "" && functions != nil {
				sum.add(size{0, w.bound, 0})
			}
			for _, g := range a.Subgraphs() {
				sum.add(size{0, entryBytes * (len(g.Inputs) + len(g.Outputs) + len(g.Initializers)), 0})
				sum.add(w.size(g.Nodes, functions))
			}
		}
	}
	sum.depth++
	return sum
}

// bytes is about what the values of a take: an operator reads them all wherever
// it is applied.
func (a *Attribute) bytes() int {
	const number, text = 8, 32
	n := number*(len(a.Ints)+len(a.Floats)) + text*len(a.Strings) + len(a.String)
	for _, t := range a.Tensors {
		n += number * t.Len()
	}
	if a.Tensor != nil {
		n += number * a.Tensor.Len()
	}
	return n
}

// Bind returns the attributes of a node in a call of a function: references are
// replaced by what bound has for them, and left out where it has nothing.
func Bind(attributes []Attribute, bound map[string]*Attribute) ([]Attribute, error) {
	if !slices.ContainsFunc(attributes, func(a Attribute) bool { return a.Ref != "" }) {
		return attributes, nil
	}
	list := make([]Attribute, 0, len(attributes))
	for _, a := range attributes {
		if a.Ref == "" {
			list = append(list, a)
			continue
		}
		value := bound[a.Ref]
		switch {
		case value == nil:
			continue
		case len(value.Subgraphs()) > 0:
			return nil, fmt.Errorf("attribute %s refers to a graph; only values can be referred to", Quote(a.Name))
		}
		named := *value
		named.Name = a.Name
		list = append(list, named)
	}
	return list, nil
}
