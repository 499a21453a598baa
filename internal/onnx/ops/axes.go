package ops

import (
	"context"
	"slices"

	"onnxgate/internal/tensor"
)

// reaxis appends the shape that a tensor of the given shape gets when the axes
// that the operator names are as given.
// Extents that are not known are negative, and those of the result; without a
// result not even its rank is known.
type reaxis func(dst []int, from tensor.Shape, axes []int64) ([]int, error)

// marked returns extents of which the free ones are negative, so that they can
// be told apart behind a reaxis: the one of axis k is -2-k.
func marked(dims []tensor.Dim) []int {
	out := make([]int, len(dims))
	for k, d := range dims {
		if out[k] = d.Size; d.Size < 0 {
			out[k] = -2 - k
		}
	}
	return out
}

// unmarked returns the extents that marked ones stand for; -1 is any extent.
func unmarked(shape []int, dims []tensor.Dim) []tensor.Dim {
	out := freeDims(len(shape))
	for i, v := range shape {
		if v >= 0 {
			out[i].Size = v
		} else if v < -1 {
			out[i] = dims[-2-v]
		}
	}
	return out
}

// joined returns the extent of axes that become one, which may be marked.
func joined(extents []int) int {
	var open int
	for _, v := range extents {
		if v < 0 {
			open = v
		}
	}
	if open == 0 {
		return product(extents)
	}
	for _, v := range extents {
		if v != 1 && v != open {
			return -1
		}
	}
	return open
}

// reshaped finishes the parsing of an operator that changes axes and no
// element. rank is that of the result when it is known, else -1.
func reshaped(n *Node, d tensor.DType, axes integers, rank int, to reaxis) Kernel {
	if n.err != nil {
		return nil
	}
	moved(n, freeDims(max(rank, 0)), rank >= 0)
	if t := &n.In[0].Type; t.Ranked && (axes.known || !axes.given) {
		shape, err := to([]int{}, marked(t.Dims), axes.fixed)
		if err != nil {
			n.Failf("%v", err)
			return nil
		}
		if shape != nil {
			moved(n, unmarked(shape, t.Dims), true)
		}
	}
	if out := &n.Out[0].Type; out.Ranked && n.setExtents(n.extents(0), len(out.Dims)) {
		return nil
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		named, err := axes.of(f)
		if err != nil {
			return err
		}
		shape, err := to(f.dims[:0], f.In(0).Shape(), named)
		if err != nil {
			return err
		}
		f.dims = shape
		return copyAs(ctx, f, m, shape)
	}
}

// parseFlatten reads Flatten (ai.onnx 1, 9, 11).
func parseFlatten(n *Node) Kernel {
	axis := n.Int("axis", 1)
	d := n.Elem(0, anyElem...)
	return reshaped(n, d, integers{}, 2, func(dst []int, from tensor.Shape, _ []int64) ([]int, error) {
		at := axis
		if at < 0 {
			at += int64(len(from))
		}
		if at < 0 || at > int64(len(from)) {
			return nil, shapeFault("it has no such axis to flatten at", from)
		}
		return append(dst, joined(from[:at]), joined(from[at:])), nil
	})
}

// axesOf returns the axes of Squeeze and Unsqueeze: an attribute before
// version 13, then an input.
func axesOf(n *Node) integers {
	switch {
	case n.Version >= 13:
		return integersOf(n, 1, int64Elem)
	case n.Given("axes"):
		return fixedIntegers(n.Ints("axes"))
	}
	return integers{}
}

// parseSqueeze reads Squeeze (ai.onnx 1, 11, 13).
func parseSqueeze(n *Node) Kernel {
	axes := axesOf(n)
	d := n.Elem(0, anyElem...)
	rank := -1
	if t := &n.In[0].Type; t.Ranked && axes.known {
		rank = max(0, len(t.Dims)-len(axes.fixed))
	}
	return reshaped(n, d, axes, rank, func(dst []int, from tensor.Shape, named []int64) ([]int, error) {
		for i, a := range named {
			k := axisIn(a, len(from))
			if k < 0 || from[k] != 1 && from[k] >= 0 || names(named[:i], k, len(from)) {
				return nil, shapeFault("an axis to remove is not there, named twice or not of extent 1", from)
			}
		}
		for k, v := range from {
			if v < 0 && !axes.given {
				return nil, nil // it may be an axis to remove
			}
			if axes.given && !names(named, k, len(from)) || !axes.given && v != 1 {
				dst = append(dst, v)
			}
		}
		return dst, nil
	})
}

// names reports whether axis k of a tensor is among the axes.
func names(axes []int64, k, rank int) bool {
	return slices.ContainsFunc(axes, func(a int64) bool { return axisIn(a, rank) == k })
}

// parseUnsqueeze reads Unsqueeze (ai.onnx 1, 11, 13).
func parseUnsqueeze(n *Node) Kernel {
	if n.Version < 13 {
		n.Need("axes")
	} else {
		n.Elem(1, int64Elem...)
	}
	axes := axesOf(n)
	d := n.Elem(0, anyElem...)
	rank := -1
	if t := &n.In[0].Type; t.Ranked {
		if added := axes.count(n); added >= 0 {
			rank = len(t.Dims) + added
		}
		if err := rankFault(rank); err != nil {
			n.Failf("%v", err)
		}
	}
	return reshaped(n, d, axes, rank, func(dst []int, from tensor.Shape, named []int64) ([]int, error) {
		rank := len(from) + len(named)
		if err := rankFault(rank); err != nil {
			return nil, err
		}
		for i, a := range named {
			if k := axisIn(a, rank); k < 0 || names(named[:i], k, rank) {
				return nil, shapeFault("an axis to add is out of range or named twice", from)
			}
		}
		next := 0
		for k := range rank {
			if names(named, k, rank) {
				dst = append(dst, 1)
				continue
			}
			dst = append(dst, from[next])
			next++
		}
		return dst, nil
	})
}
