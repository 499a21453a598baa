package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// padOps puts something around tensors.
var padOps = []Operator{
	{"", "Pad", 1, one, one, parsePadAttributes},
	{"", "Pad", 11, span{2, 4}, one, parsePad},
}

// padding is how a tensor is padded. A negative number of elements to add
// removes them.
type padding struct {
	pads, axes integers
	// value is what a constant padding has: an input or a value. Neither means
	// zero, false or the empty string.
	value    *tensor.Tensor
	hasInput bool
	// wrapped maps an index beyond an axis of n elements to one of them, nil
	// for a constant padding.
	wrapped func(i, n int) int
}

// parsePadAttributes reads Pad (ai.onnx 1, 2).
func parsePadAttributes(n *Node) Kernel {
	name := "pads"
	if n.Version < 2 {
		name = "paddings"
	}
	n.Need(name)
	p := &padding{pads: fixedIntegers(n.Ints(name))}
	value := n.Float("value", 0)
	d := n.Elem(0, floatElem...)
	if n.err == nil && value != 0 {
		p.value = constantScalar(d, float64(value))
	}
	return p.parse(n, d)
}

// parsePad reads Pad (ai.onnx 11, 13, 18, 19, 21).
func parsePad(n *Node) Kernel {
	n.Elem(1, int64Elem...)
	p := &padding{pads: integersOf(n, 1, int64Elem), hasInput: n.Has(2)}
	d := n.Elem(0, anyElem...)
	if p.hasInput {
		n.Elem(2, d)
	}
	if n.Version >= 18 {
		p.axes = integersOf(n, 3, indexElem)
	} else if len(n.In) > 3 {
		n.Failf("it has 4 inputs; it takes 2 or 3")
	}
	return p.parse(n, d)
}

func (p *padding) parse(n *Node, d tensor.DType) Kernel {
	switch mode := n.String("mode", "constant"); {
	case mode == "constant":
	case mode == "edge":
		p.wrapped = func(i, n int) int { return min(max(i, 0), n-1) }
	case mode == "reflect":
		p.wrapped = reflected
	case mode == "wrap" && n.Version >= 19:
		p.wrapped = func(i, n int) int { return ((i % n) + n) % n }
	default:
		n.Failf("mode must be constant, reflect, edge or, from version 19 on, wrap")
	}
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	moved(n, t.Dims, t.Ranked)
	if t.Ranked {
		p.setDims(n, n.Out[0].Type.Dims)
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		pads, err := p.pads.of(f)
		if err != nil {
			return err
		}
		axes, err := p.axes.of(f)
		if err != nil {
			return err
		}
		return p.run(ctx, f, m, edges{pads, axes, p.axes.given})
	}
}

// reflected mirrors an index at the first and the last element.
func reflected(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = ((i % period) + period) % period
	return min(i, period-i)
}

func (p *padding) setDims(n *Node, dims []tensor.Dim) {
	if !p.pads.known || p.axes.given && !p.axes.known {
		for k := range dims {
			dims[k] = free
		}
		return
	}
	e := edges{p.pads.fixed, p.axes.fixed, p.axes.given}
	if err := e.check(len(dims)); err != nil {
		n.Failf("%v", err)
		return
	}
	for k := range dims {
		before, after := e.of(k, len(dims))
		switch {
		case before == 0 && after == 0:
		case dims[k].Size < 0:
			dims[k] = free
		case dims[k].Size+before+after < 0:
			n.Failf("more is to be removed from axis %d than its %d elements", k, dims[k].Size)
			return
		default:
			dims[k] = tensor.Dim{Size: dims[k].Size + before + after}
		}
	}
}

// edges is how many elements are added before and after each axis: all axes,
// or those that are named.
type edges struct {
	pads, axes []int64
	named      bool
}

func (e *edges) check(rank int) error {
	count := rank
	if e.named {
		count = len(e.axes)
	}
	if len(e.pads) != 2*count {
		return fault.Newf(fault.Content, "there are %d numbers of elements to pad with; %d axes need two each", len(e.pads), count)
	}
	for _, v := range e.pads {
		if v < -tensor.MaxElements || v > tensor.MaxElements {
			return fault.Newf(fault.Content, "%d elements cannot be added to an axis", v)
		}
	}
	for i, a := range e.axes {
		k := axisIn(a, rank)
		if k < 0 {
			return axisFault(a, rank)
		}
		if names(e.axes[:i], k, rank) {
			return fault.Newf(fault.Content, "axis %d is to be padded twice", k)
		}
	}
	return nil
}

// of returns what is added before and after axis k.
func (e *edges) of(k, rank int) (before, after int) {
	if !e.named {
		return int(e.pads[k]), int(e.pads[rank+k])
	}
	for i, a := range e.axes {
		if axisIn(a, rank) == k {
			return int(e.pads[i]), int(e.pads[len(e.axes)+i])
		}
	}
	return 0, 0
}

func (p *padding) run(ctx context.Context, f *Frame, m mover, e edges) error {
	shape := f.In(0).Shape()
	if err := e.check(len(shape)); err != nil {
		return err
	}
	f.dims = f.dims[:0]
	for k, n := range shape {
		before, after := e.of(k, len(shape))
		if n+before+after < 0 {
			return shapeFault("more is to be removed from it than there is", shape)
		}
		if kept := n + min(before, 0) + min(after, 0); p.wrapped != nil && kept <= 0 && max(before, after) > 0 {
			return shapeFault("an axis without elements has none to repeat", shape)
		}
		f.dims = append(f.dims, n+before+after)
	}
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	if p.wrapped == nil {
		if err := p.fill(ctx, f, m); err != nil {
			return err
		}
	}
	core := f.view()
	core.over(f.dims)
	for k, n := range shape {
		before, after := e.of(k, len(shape))
		a := &core.axes[k]
		a.from, a.n = strideAt(shape, k), max(0, n+min(before, 0)+min(after, 0))
		core.to += max(before, 0) * a.to
		core.from += max(-before, 0) * a.from
	}
	if err := m.walk(ctx, f.out[0], f.In(0), core); err != nil || p.wrapped == nil {
		return err
	}
	for k := range shape {
		if err := p.repeat(ctx, f, m, e, k); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the constant everywhere.
func (p *padding) fill(ctx context.Context, f *Frame, m mover) error {
	value := p.value
	if p.hasInput {
		if value = f.In(2); value.Len() != 1 {
			return shapeFault("the value to pad with must have one element", value.Shape())
		}
	}
	if value == nil {
		return m.zero(ctx, f.out[0], 0, f.out[0].Len())
	}
	return m.fill(ctx, f, value)
}

// repeat writes the padding of axis k from what is there: all of the axes
// before it, and the elements of the input of the others.
func (p *padding) repeat(ctx context.Context, f *Frame, m mover, e edges, k int) error {
	shape := f.In(0).Shape()
	before, after := e.of(k, len(shape))
	kept := shape[k] + min(before, 0) + min(after, 0)
	stride := strideAt(f.dims, k)
	for i := range f.dims[k] {
		at := i - max(before, 0) // counted from the first element that is kept
		if at >= 0 && at < kept {
			continue
		}
		v := f.view()
		v.same(f.dims)
		v.to = i * stride
		v.from = (max(before, 0) + p.wrapped(at, kept)) * stride
		v.axes[k].n = 1
		for j := k + 1; j < len(shape); j++ {
			first, last := e.of(j, len(shape))
			v.axes[j].n = shape[j] + min(first, 0) + min(last, 0)
			skip := max(first, 0) * v.axes[j].to
			v.to, v.from = v.to+skip, v.from+skip
		}
		if err := m.walk(ctx, f.out[0], f.out[0], v); err != nil {
			return err
		}
		if err := poll(ctx, i); err != nil {
			return err
		}
	}
	return nil
}
