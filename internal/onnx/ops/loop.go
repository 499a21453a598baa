package ops

import (
	"context"
	"math"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// loop is a parsed Loop. Its body takes the number of the pass, the condition
// and the states, and makes the condition, the states and an element of each
// scan output.
type loop struct {
	body         *Body
	states       []state
	index, going int   // scratch tensors
	made         int   // scratch tensor of the condition that the body makes
	elements     []int // scratch tensors
}

// parseLoop reads Loop (ai.onnx 1, 11, 13, 16). A state may change its extents
// from pass to pass unless the body declares them. As in ONNX Runtime and in
// ONNX's reference implementation, the condition that the body makes counts
// also when the node is given none.
func parseLoop(n *Node) Kernel {
	g := n.Graph("body")
	if n.err != nil {
		return nil
	}
	if n.Has(0) {
		n.Elem(0, tensor.Int64)
	}
	if n.Has(1) {
		n.Elem(1, tensor.Bool)
	}
	parameters := g.Parameters()
	states := max(0, len(n.In)-2)
	if len(parameters) != states+2 {
		n.Failf("the body has %d inputs; for %d states it needs %d", len(parameters), states, states+2)
		return nil
	}
	in := []Value{{Type: onnx.TensorOf(tensor.Int64)}, {Type: onnx.TensorOf(tensor.Bool)}}
	for k, p := range parameters[2:] {
		in = append(in, carried(n, 2+k, p.Type))
	}
	body := n.Body("body", in...)
	if n.err != nil {
		return nil
	}
	if len(body.Out) <= states {
		n.Failf("the body has %d outputs; it needs a condition and %d states", len(body.Out), states)
		return nil
	}
	return newLoop(n, body)
}

// carried returns what the body knows of the state that starts as input i.
func carried(n *Node, i int, declared *onnx.Type) Value {
	if !n.Has(i) {
		n.Failf("input %d is missing", i)
		return Value{}
	}
	n.lists = append(n.lists, i)
	t := &n.In[i].Type
	if declared == nil || declared.Of == onnx.NoType {
		return Value{Type: loose(t)}
	}
	if !declared.SameKind(t) {
		n.Failf("input %d is a %v; the body takes a %v", i, t, declared)
	}
	if t.Of == onnx.TensorType && t.SameShape(declared) {
		return Value{Type: *declared}
	}
	return Value{Type: loose(t)}
}

func newLoop(n *Node, body *Body) Kernel {
	if c := &body.Out[0].Type; c.Of != onnx.TensorType || c.Elem != tensor.Bool {
		n.Failf("the body makes a %v of its condition; it must be a tensor(bool)", c)
	}
	l := &loop{body: body, index: n.NeedScratch(), going: n.NeedScratch(), made: n.NeedScratch()}
	states := len(body.In) - 2
	for k := range states {
		out := &body.Out[1+k]
		l.states = append(l.states, newState(n, k, body.In[2+k], out))
		n.SetOut(k, loose(&out.Type))
	}
	for k := range body.Out[1+states:] {
		out := &body.Out[1+states+k]
		element(n, k, out)
		l.elements = append(l.elements, n.NeedScratch())
		n.SetOut(states+k, stacked(&out.Type, 0, free))
	}
	if n.err != nil || len(n.Out) == 0 {
		n.Failf("it has no output")
		return nil
	}
	return l.run
}

func (l *loop) run(ctx context.Context, f *Frame) error {
	trips, going := int64(math.MaxInt64), true
	var err error
	if f.In(0) != nil {
		if trips, err = single[int64](f, 0); err != nil {
			return err
		}
	}
	if f.In(1) != nil {
		if going, err = single[bool](f, 1); err != nil {
			return err
		}
	}
	in, out := f.ports(len(l.body.In), len(l.body.Out))
	defer clear(in) // which may hold what the caller gave
	l.start(f, in, out)
	p := f.budget.passes()
	var i int64
	for ; going && i < trips; i++ {
		if going, err = l.pass(ctx, f, in, out, i); err != nil {
			return err
		}
		if err := p.next(); err != nil {
			return err
		}
	}
	p.end()
	return l.finish(ctx, f, in, i)
}

func (l *loop) start(f *Frame, in, out []*tensor.Tensor) {
	in[0], in[1] = &f.scratch[l.index], &f.scratch[l.going]
	tensor.Reset[int64](in[0])
	tensor.Reset[bool](in[1])[0] = true
	for k := range l.states {
		in[2+k] = f.In(2 + k)
	}
	out[0] = &f.scratch[l.made]
	for k, e := range l.elements {
		out[1+len(l.states)+k] = &f.scratch[e]
	}
}

// pass runs the body once and reports whether another pass follows.
func (l *loop) pass(ctx context.Context, f *Frame, in, out []*tensor.Tensor, i int64) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	tensor.Of[int64](in[0])[0] = i
	for k := range l.states {
		if err := l.states[k].fits(k, in[2+k]); err != nil {
			return false, err
		}
		out[1+k] = l.states[k].target(f, k, i)
	}
	if err := f.run(ctx, l.body, in, out); err != nil {
		return false, err
	}
	for k := range l.states {
		var err error
		if in[2+k], err = l.states[k].next(ctx, f, out[1+k]); err != nil {
			return false, err
		}
	}
	for k := range l.elements {
		at := len(l.states) + k
		if err := f.gather(f.out[at], out[1+at], i == 0); err != nil {
			return false, err
		}
	}
	return onlyElement[bool](out[0])
}

func (l *loop) finish(ctx context.Context, f *Frame, in []*tensor.Tensor, passes int64) error {
	for k := range l.states {
		if err := l.states[k].finish(ctx, f, k, in[2+k]); err != nil {
			return err
		}
	}
	if passes > 0 {
		return nil
	}
	for k := range l.elements {
		at := len(l.states) + k
		if err := nothing(f, at, l.body.hint(1+at), 0); err != nil {
			return err
		}
	}
	return nil
}

// gather appends an element to dst along a new first axis.
func (f *Frame) gather(dst, elem *tensor.Tensor, first bool) error {
	m := movers[elem.DType()]
	if first {
		f.dims = append(append(f.dims[:0], 0), elem.Shape()...)
		if err := m.reset(f, dst, f.dims); err != nil {
			return err
		}
	}
	if !slices.Equal(dst.Shape()[1:], elem.Shape()) {
		return fault.Newf(fault.Content, "a scan output has elements of shapes %s and %s; they must agree",
			onnx.FormatShape(dst.Shape()[1:]), onnx.FormatShape(elem.Shape()))
	}
	if elem.Len() == 0 && dst.Shape()[0] >= tensor.MaxElements {
		return tooLarge(dst.Shape())
	}
	return f.budget.holding(func() error { return m.extend(f, dst, elem) })
}
