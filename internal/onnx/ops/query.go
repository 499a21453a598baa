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

// extentsOf returns the extents of dims when all are fixed.
func extentsOf(dims []tensor.Dim) ([]int64, bool) {
	out := make([]int64, len(dims))
	for i, d := range dims {
		if d.Size < 0 {
			return nil, false
		}
		out[i] = int64(d.Size)
	}
	return out, true
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
		if v, ok := extentsOf(t.Dims[from:to]); ok {
			n.setConst(tensor.Shape{len(v)}, v)
			return nil
		}
		n.SetOut(0, onnx.TensorOf(tensor.Int64, tensor.Dim{Size: to - from}))
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
