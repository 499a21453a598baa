package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// centerOps brings tensors to other extents around their middle.
var centerOps = []Operator{
	{"", "CenterCropPad", 18, two, one, parseCenterCropPad},
}

// centering is how long some axes become.
type centering struct {
	axes    []int64 // all of them unless given
	given   bool
	extents integers
}

// parseCenterCropPad reads CenterCropPad (ai.onnx 18). Of a longer axis the middle
// is kept; a shorter one is put in the middle of zeros. What cannot be halved is
// one more at the end.
func parseCenterCropPad(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	n.Elem(1, indexElem...)
	c := &centering{axes: n.Ints("axes"), given: n.Given("axes"), extents: integersOf(n, 1, indexElem)}
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	moved(n, t.Dims, t.Ranked)
	if t.Ranked {
		c.setDims(n, n.Out[0].Type.Dims)
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error { return c.run(ctx, f, m) }
}

func (c *centering) setDims(n *Node, dims []tensor.Dim) {
	rank := len(dims)
	if c.extents.known {
		if err := c.check(c.extents.fixed, rank); err != nil {
			n.Failf("%v", err)
			return
		}
	}
	for k := range dims {
		i := c.place(k, rank)
		switch {
		case i < 0:
		case c.extents.known:
			dims[k] = tensor.Dim{Size: int(c.extents.fixed[i])}
		default:
			dims[k] = free
		}
	}
}

// check refuses extents that do not fit a tensor of the given rank.
func (c *centering) check(extents []int64, rank int) error {
	count := rank
	if c.given {
		count = len(c.axes)
	}
	if len(extents) != count {
		return fault.Newf(fault.Content, "there are %d extents for %d axes", len(extents), count)
	}
	for i, a := range c.axes {
		k := axisIn(a, rank)
		if k < 0 {
			return axisFault(a, rank)
		}
		if names(c.axes[:i], k, rank) {
			return fault.Newf(fault.Content, "axis %d is named twice", k)
		}
	}
	for _, v := range extents {
		if v < 0 || v > tensor.MaxElements {
			return fault.Newf(fault.Content, "an axis cannot have %d elements", v)
		}
	}
	return nil
}

// place returns which of the extents is that of axis k, -1 for none.
func (c *centering) place(k, rank int) int {
	if !c.given {
		return k
	}
	for i, a := range c.axes {
		if axisIn(a, rank) == k {
			return i
		}
	}
	return -1
}

func (c *centering) run(ctx context.Context, f *Frame, m mover) error {
	shape := f.In(0).Shape()
	if len(f.In(1).Shape()) != 1 {
		return fault.Newf(fault.Content, "the extents are of shape %s; they must be a vector", onnx.FormatShape(f.In(1).Shape()))
	}
	extents, err := c.extents.of(f)
	if err != nil {
		return err
	}
	if err := c.check(extents, len(shape)); err != nil {
		return err
	}
	f.dims = append(f.dims[:0], shape...)
	whole := true // nothing is zero
	for k, n := range shape {
		if i := c.place(k, len(shape)); i >= 0 {
			f.dims[k] = int(extents[i])
			whole = whole && f.dims[k] <= n
		}
	}
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	if !whole {
		if err := m.zero(ctx, f.out[0], 0, f.out[0].Len()); err != nil {
			return err
		}
	}
	v := f.view()
	v.over(f.dims)
	for k, n := range shape {
		a := &v.axes[k]
		made := a.n
		a.from, a.n = strideAt(shape, k), min(n, made)
		v.from += (n - a.n) / 2 * a.from
		v.to += (made - a.n) / 2 * a.to
	}
	return m.walk(ctx, f.out[0], f.In(0), v)
}
