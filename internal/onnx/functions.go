package onnx

import (
	"fmt"
)

// FunctionID is what a node calls a model-local function by.
type FunctionID struct{ Domain, Name, Overload string }

// Callee returns what n calls: a function of that identity when the model has
// one, else the operator.
func (n *Node) Callee() FunctionID { return FunctionID{n.Domain, n.Op, n.Overload} }

// ID returns what nodes call f by.
func (f *Function) ID() FunctionID { return FunctionID{f.Domain, f.Name, f.Overload} }

// checkFunctions proves that functions have distinct names and do not call
// themselves, through others or through subgraphs either.
func checkFunctions(m *Model) error {
	byID := make(map[FunctionID]int, len(m.Functions))
	for i, f := range m.Functions {
		id := f.ID()
		if _, dup := byID[id]; dup || f.Name == "" {
			return fmt.Errorf("function %s is unnamed or there twice", Quote(f.Name))
		}
		byID[id] = i
	}
	w := callWalk{m: m, byID: byID, state: make([]walkState, len(m.Functions))}
	for i := range m.Functions {
		if err := w.visit(i); err != nil {
			return err
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
