package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// queryOps says what shape a tensor has.
var queryOps = []Operator{
	{"", "Shape", 1, one, one, parseShape},
	{"", "Size", 1, one, one, parseSize},
}

// setConst says that output 0 is the same in every run.
func (n *Node) setConst(shape tensor.Shape, v []int64) {
	t, err := tensor.New(shape, v)
	if err != nil {
		n.Failf("%v", err)
		return
	}
	n.SetOut(0, onnx.TypeOf(t))
	n.Out[0].Const = t
}

// Extent is what is known at compile time of an extent that a model computes
// with: its value, or else the name of the axis that it is of.
type Extent struct {
	Value int64
	Known bool
	Name  string
}

// dim returns the extent as one of a type. What is negative is not known.
func (e Extent) dim() tensor.Dim {
	if e.Known && e.Value >= 0 && e.Value <= tensor.MaxElements {
		return tensor.Dim{Size: int(e.Value)}
	}
	return tensor.Dim{Size: -1, Name: e.Name}
}

// extents returns what is known of the elements of input i, a scalar or vector
// of int64; nil when it is nothing.
func (n *Node) extents(i int) []Extent {
	v := &n.In[i]
	if v.Const == nil || v.Type.Elem != tensor.Int64 || len(v.Type.Dims) > 1 || v.Const.Len() > maxRank {
		return v.Extents
	}
	out := make([]Extent, v.Const.Len())
	for k, x := range tensor.Of[int64](v.Const) {
		out[k] = Extent{Value: x, Known: true}
	}
	return out
}

// setExtents says what is known of the elements of output 0, a scalar when
// rank is 0. It reports whether that is all: the output is constant then.
func (n *Node) setExtents(e []Extent, rank int) bool {
	if e == nil || rank > 1 || rank == 0 && len(e) != 1 || len(e) > maxRank {
		return false
	}
	v := make([]int64, len(e))
	for i, x := range e {
		if v[i] = x.Value; !x.Known {
			n.Out[0].Extents = e
			return false
		}
	}
	n.setConst(tensor.Shape{len(v)}[:rank], v)
	return true
}

// parseShape reads Shape (ai.onnx 1, 13, 15): the extents from axis start up to
// end, int64 [K]. It is constant when they are.
func parseShape(n *Node) Kernel {
	n.Elem(0, anyElem...)
	start, end := int64(0), int64(tensor.MaxElements)
	if n.Version >= 15 {
		start, end = n.Int("start", start), n.Int("end", end)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.TensorOf(tensor.Int64, free))
	if t := &n.In[0].Type; t.Ranked {
		from, to := axisRange(start, end, len(t.Dims))
		n.SetOut(0, onnx.TensorOf(tensor.Int64, tensor.Dim{Size: to - from}))
		known := make([]Extent, to-from)
		for i, d := range t.Dims[from:to] {
			known[i] = Extent{Value: int64(d.Size), Known: d.Size >= 0, Name: d.Name}
		}
		if n.setExtents(known, 1) {
			return nil
		}
	}
	return func(_ context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		from, to := axisRange(start, end, len(shape))
		dst, err := Output[int64](f, 0, to-from)
		if err != nil {
			return err
		}
		for i, v := range shape[from:to] {
			dst[i] = int64(v)
		}
		return nil
	}
}

// axisRange clamps a range of axes, negative ones counted from the end.
func axisRange(start, end int64, rank int) (from, to int) {
	clamp := func(a int64) int {
		if a < 0 {
			a += int64(rank)
		}
		return int(min(max(a, 0), int64(rank)))
	}
	from, to = clamp(start), clamp(end)
	return from, max(from, to)
}

// parseSize reads Size (ai.onnx 1, 13): the number of elements, an int64
// scalar.
func parseSize(n *Node) Kernel {
	n.Elem(0, anyElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.TensorOf(tensor.Int64))
	if shape, ok := sizes(&n.In[0].Type); ok {
		if total, err := tensor.Shape(shape).Elements(); err == nil {
			n.setConst(tensor.Shape{}, []int64{int64(total)})
			return nil
		}
	}
	return func(_ context.Context, f *Frame) error {
		dst, err := Output[int64](f, 0)
		if err == nil {
			dst[0] = int64(f.In(0).Len())
		}
		return err
	}
}
