package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// repeatOps makes larger tensors of smaller ones.
var repeatOps = []Operator{
	{"", "Expand", 8, two, one, parseExpand},
	{"", "Tile", 6, two, one, parseTile},
}

// checkExtents fails for what cannot be extents.
func checkExtents(v []int64) error {
	if err := rankFault(len(v)); err != nil {
		return err
	}
	for _, d := range v {
		if d < 0 || d > tensor.MaxElements {
			return fault.Newf(fault.Content, "the shape %s is not valid: extents are 0 or more", onnx.FormatShape(v))
		}
	}
	return nil
}

// parseExpand reads Expand (ai.onnx 8, 13): input 0 is broadcast together with
// the shape in input 1.
func parseExpand(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	n.Elem(1, int64Elem...)
	want := integersOf(n, 1, int64Elem)
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	if want.known {
		if err := checkExtents(want.fixed); err != nil {
			n.Failf("%v", err)
			return nil
		}
	}
	e, count := n.extents(1), want.count(n)
	switch {
	case !t.Ranked || count < 0 || count > maxRank:
		moved(n, nil, false)
	case len(e) != count:
		moved(n, freeDims(max(count, len(t.Dims))), true)
	default:
		moved(n, expandDims(n, t.Dims, e), true)
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape, err := want.of(f)
		if err != nil {
			return err
		}
		return expandTo(ctx, f, m, shape)
	}
}

// expandDims returns the extents of the result, as far as they are known.
func expandDims(n *Node, in []tensor.Dim, want []Extent) []tensor.Dim {
	dims := make([]tensor.Dim, max(len(in), len(want)))
	for k := range dims {
		have, to := dimFromEnd(in, len(dims)-k), tensor.Dim{Size: 1}
		if i := k - len(dims) + len(want); i >= 0 {
			to = want[i].dim()
		}
		switch {
		case have.Size == 1:
			dims[k] = to
		case to.Size == 1 || to.Size < 0 && have.Size >= 0:
			dims[k] = have
		case to.Size >= 0 && have.Size >= 0 && to.Size != have.Size:
			n.Failf("an extent of %d cannot be expanded to %d", have.Size, to.Size)
		case to.Size >= 0:
			dims[k] = to
		default:
			dims[k] = free
		}
	}
	return dims
}

func expandTo(ctx context.Context, f *Frame, m mover, want []int64) error {
	if err := checkExtents(want); err != nil {
		return err
	}
	from := f.In(0).Shape()
	rank := max(len(from), len(want))
	f.dims = f.dims[:0]
	for k := range rank {
		n := fromEnd(from, rank-k)
		if i := k - rank + len(want); i >= 0 && want[i] != 1 {
			if n != 1 && int64(n) != want[i] {
				return shapeFault("it cannot be expanded to "+onnx.FormatShape(want), from)
			}
			n = int(want[i])
		}
		f.dims = append(f.dims, n)
	}
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	v := f.view()
	v.over(f.dims)
	for i, n := range from {
		if n != 1 {
			v.axes[rank-len(from)+i].from = strideAt(from, i)
		}
	}
	return m.walk(ctx, f.out[0], f.In(0), v)
}

// parseTile reads Tile (ai.onnx 6, 13): axis k is repeated as often as entry k
// of input 1 says.
func parseTile(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	n.Elem(1, int64Elem...)
	repeats := integersOf(n, 1, int64Elem)
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	dims := freeDims(len(t.Dims))
	if repeats.known {
		if err := checkRepeats(repeats.fixed, len(t.Dims)); t.Ranked && err != nil {
			n.Failf("%v", err)
			return nil
		}
		for k := range dims {
			switch r := repeats.fixed[k]; {
			case r == 1:
				dims[k] = t.Dims[k]
			case t.Dims[k].Size >= 0:
				dims[k].Size = t.Dims[k].Size * int(r)
			}
		}
	}
	moved(n, dims, t.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		r, err := repeats.of(f)
		if err != nil {
			return err
		}
		return tile(ctx, f, m, r)
	}
}

func checkRepeats(repeats []int64, rank int) error {
	if len(repeats) != rank {
		return fault.Newf(fault.Content, "there are %d numbers of repeats for %d axes", len(repeats), rank)
	}
	return checkExtents(repeats)
}

func tile(ctx context.Context, f *Frame, m mover, repeats []int64) error {
	shape := f.In(0).Shape()
	if err := checkRepeats(repeats, len(shape)); err != nil {
		return err
	}
	f.dims = f.dims[:0]
	for k, n := range shape {
		f.dims = append(f.dims, n*int(repeats[k]))
	}
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	v := f.view()
	for k, n := range shape {
		to := strideAt(f.dims, k)
		v.add(int(repeats[k]), to*n, 0)
		v.add(n, to, strideAt(shape, k))
	}
	return m.walk(ctx, f.out[0], f.In(0), v)
}
