package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// reaxis appends the shape that a tensor of the given shape gets.
type reaxis func(dst []int, from tensor.Shape) ([]int, error)

// reshaped finishes the parsing of an operator that changes axes and no
// element.
func reshaped(n *Node, d tensor.DType, to reaxis, rank int) Kernel {
	if n.err != nil {
		return nil
	}
	out := onnx.UnrankedTensor(d)
	if rank >= 0 {
		out = onnx.TensorOf(d, freeDims(rank)...)
	}
	if from, ok := sizes(&n.In[0].Type); ok {
		shape, err := to(nil, from)
		if err != nil {
			n.Failf("%v", err)
			return nil
		}
		out = onnx.TensorOf(d, make([]tensor.Dim, len(shape))...)
		for i, v := range shape {
			out.Dims[i].Size = v
		}
	}
	n.SetOut(0, out)
	m := movers[d]
	return func(_ context.Context, f *Frame) error {
		shape, err := to(f.dims[:0], f.In(0).Shape())
		if err != nil {
			return err
		}
		f.dims = shape
		return copyAs(f, m, shape)
	}
}

// parseFlatten reads Flatten (ai.onnx 1, 9, 11).
func parseFlatten(n *Node) Kernel {
	axis := n.Int("axis", 1)
	d := n.Elem(0, anyElem...)
	return reshaped(n, d, func(dst []int, from tensor.Shape) ([]int, error) {
		at := axis
		if at < 0 {
			at += int64(len(from))
		}
		if at < 0 || at > int64(len(from)) {
			return nil, shapeFault("it has no such axis to flatten at", from)
		}
		return append(dst, product(from[:at]), product(from[at:])), nil
	}, 2)
}

// axesOf returns the axes of Squeeze and Unsqueeze: an attribute before
// version 13, then an input, which must be constant.
func axesOf(n *Node) []int64 {
	if n.Version < 13 {
		return n.Ints("axes")
	}
	if !n.Has(1) {
		return nil
	}
	axes, known := n.Ints64(1)
	if !known {
		n.Failf("input 1 (axes) must be constant")
	}
	return axes
}

// parseSqueeze reads Squeeze (ai.onnx 1, 11, 13).
func parseSqueeze(n *Node) Kernel {
	axes := axesOf(n)
	d := n.Elem(0, anyElem...)
	rank := -1
	if t := &n.In[0].Type; t.Ranked && axes != nil {
		rank = max(0, len(t.Dims)-len(axes))
	}
	return reshaped(n, d, func(dst []int, from tensor.Shape) ([]int, error) {
		for _, a := range axes {
			if k := axisIn(a, len(from)); k < 0 || from[k] != 1 {
				return nil, shapeFault("it has no such axis of extent 1 to remove", from)
			}
		}
		for k, v := range from {
			named := slices.ContainsFunc(axes, func(a int64) bool { return axisIn(a, len(from)) == k })
			if !named && (axes != nil || v != 1) {
				dst = append(dst, v)
			}
		}
		return dst, nil
	}, rank)
}

// parseUnsqueeze reads Unsqueeze (ai.onnx 1, 11, 13).
func parseUnsqueeze(n *Node) Kernel {
	if n.Version < 13 {
		n.Need("axes")
	}
	axes := axesOf(n)
	d := n.Elem(0, anyElem...)
	if len(axes) > maxRank {
		n.Failf("it adds %d axes; at most %d are allowed", len(axes), maxRank)
	}
	rank := -1
	if t := &n.In[0].Type; t.Ranked {
		rank = len(t.Dims) + len(axes)
	}
	return reshaped(n, d, func(dst []int, from tensor.Shape) ([]int, error) {
		rank := len(from) + len(axes)
		for i, a := range axes {
			k := axisIn(a, rank)
			again := slices.ContainsFunc(axes[:i], func(b int64) bool { return axisIn(b, rank) == k })
			if k < 0 || again {
				return nil, shapeFault("an axis to add is out of range or named twice", from)
			}
		}
		next := 0
		for k := range rank {
			if slices.ContainsFunc(axes, func(a int64) bool { return axisIn(a, rank) == k }) {
				dst = append(dst, 1)
				continue
			}
			dst = append(dst, from[next])
			next++
		}
		return dst, nil
	}, rank)
}
