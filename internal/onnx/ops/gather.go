package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// gatherOps takes elements by their index.
var gatherOps = []Operator{
	{"", "Gather", 1, two, one, parseGather},
	{"", "GatherElements", 11, two, one, parseGatherElements},
	{"", "GatherND", 11, two, one, parseGatherND},
	{"", "Compress", 9, two, one, parseCompress},
}

// parseGather reads Gather (ai.onnx 1, 11, 13): the axis becomes the axes of
// the indices.
func parseGather(n *Node) Kernel {
	along := n.Int("axis", 0)
	d := n.Elem(0, anyElem...)
	n.Elem(1, indexElem...)
	t, it := &n.In[0].Type, &n.In[1].Type
	k := n.axisOf(along, t)
	x := indicesOf(n, 1, indexElem)
	if n.err != nil {
		return nil
	}
	if k >= 0 && it.Ranked {
		dims := slices.Concat(t.Dims[:k], it.Dims, t.Dims[k+1:])
		if err := rankFault(len(dims)); err != nil {
			n.Failf("%v", err)
			return nil
		}
		moved(n, dims, true)
	} else {
		moved(n, nil, false)
	}
	if k >= 0 && x.known && t.Dims[k].Size >= 0 {
		for _, i := range x.fixed[:min(len(x.fixed), checkedEarly)] {
			if axisIn(i, t.Dims[k].Size) < 0 {
				n.Failf("%v", indexFault(i, t.Dims[k].Size))
				return nil
			}
		}
	}
	if x.known && it.Ranked && n.setExtents(pickedExtents(n.extents(0), x.fixed), len(it.Dims)) {
		return nil
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		k := axisIn(along, len(shape))
		if k < 0 {
			return axisFault(along, len(shape))
		}
		places, err := x.within(ctx, f, shape[k])
		if err != nil {
			return err
		}
		f.dims = append(append(append(f.dims[:0], shape[:k]...), f.In(1).Shape()...), shape[k+1:]...)
		if err := rankFault(len(f.dims)); err != nil {
			return err
		}
		return gather(ctx, f, m, k, places)
	}
}

// pickedExtents returns what is known of the extents that the indices name: nil when
// that is nothing, or when there are more indices than a shape has extents.
func pickedExtents(e []Extent, indices []int64) []Extent {
	if e == nil || len(indices) > maxRank {
		return nil
	}
	out := make([]Extent, 0, len(indices))
	for _, i := range indices {
		k := axisIn(i, len(e))
		if k < 0 {
			return nil
		}
		out = append(out, e[k])
	}
	return out
}

// gather gives output 0 the shape in f.dims, and copies the places along axis k
// of input 0 to it.
func gather(ctx context.Context, f *Frame, m mover, k int, places []int64) error {
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	shape := f.In(0).Shape()
	outer, inner := product(shape[:k]), strideAt(shape, k)
	if len(places) == 1 {
		v := f.view()
		v.from = int(places[0]) * inner
		v.add(outer, inner, shape[k]*inner)
		v.add(inner, 1, 1)
		return m.walk(ctx, f.out[0], f.In(0), v)
	}
	for o := range outer {
		if err := poll(ctx, o); err != nil {
			return err
		}
		if err := m.take(ctx, f.out[0], o*len(places)*inner, f.In(0), o*shape[k]*inner, places, inner); err != nil {
			return err
		}
	}
	return nil
}

// laneIndex finds elements of data by an index along one axis; the other indices
// are those of the index itself.
type laneIndex struct {
	indices
	axis   int64
	places int // scratch
}

func lanesOf(n *Node) laneIndex {
	l := laneIndex{axis: n.Int("axis", 0)}
	n.Elem(1, indexElem...)
	if d, x := &n.In[0].Type, &n.In[1].Type; n.err == nil && d.Ranked && x.Ranked && len(d.Dims) != len(x.Dims) {
		n.Failf("input 1 has %d axes, input 0 has %d; they must agree", len(x.Dims), len(d.Dims))
	}
	if n.err == nil {
		n.axisOf(l.axis, &n.In[0].Type)
	}
	l.indices = indicesOf(n, 1, indexElem)
	l.places = n.NeedScratch()
	return l
}

// find returns the elements of input 0 that input 1 names.
func (l *laneIndex) find(ctx context.Context, f *Frame) ([]int64, error) {
	shape, at := f.In(0).Shape(), f.In(1).Shape()
	k := axisIn(l.axis, len(shape))
	if k < 0 {
		return nil, axisFault(l.axis, len(shape))
	}
	if len(at) != len(shape) {
		return nil, shapeFault("indices and data differ in rank", at)
	}
	for j, n := range at {
		if j != k && n > shape[j] {
			return nil, shapeFault("its indices reach beyond the data", at)
		}
	}
	index, err := l.within(ctx, f, shape[k])
	if err != nil {
		return nil, err
	}
	places, err := Scratch[int64](f, l.places, len(index))
	if err != nil {
		return nil, err
	}
	v := f.view()
	v.over(at)
	for j := range at {
		v.axes[j].from = strideAt(shape, j)
	}
	stride := int64(v.axes[k].from)
	v.axes[k].from = 0
	if err := v.places(ctx, places); err != nil {
		return nil, err
	}
	return places, pieces(ctx, len(index), func(at, size int) {
		sum := places[at : at+size]
		for i, p := range index[at : at+size] {
			sum[i] += p * stride
		}
	})
}

// parseGatherElements reads GatherElements (ai.onnx 11, 13).
func parseGatherElements(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	l := lanesOf(n)
	if n.err != nil {
		return nil
	}
	moved(n, n.In[1].Type.Dims, n.In[1].Type.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		if err := m.output(f, 0, f.In(1).Shape()); err != nil {
			return err
		}
		places, err := l.find(ctx, f)
		if err != nil {
			return err
		}
		return m.take(ctx, f.out[0], 0, f.In(0), 0, places, 1)
	}
}

// tuples finds blocks of data by indices along its first axes: the last axis
// of the indices holds one for each. The first batch axes are common to both.
type tuples struct {
	batch  int
	places int // scratch
}

func tuplesOf(n *Node, batch int64) tuples {
	n.Elem(1, int64Elem...)
	if batch < 0 || batch >= maxRank {
		n.Failf("batch_dims %d is out of range", batch)
	}
	return tuples{batch: int(batch), places: n.NeedScratch()}
}

// check returns how many indices make up a tuple.
func (t *tuples) check(data, at tensor.Shape) (int, error) {
	if len(at) == 0 {
		return 0, shapeFault("indices need an axis of tuples", at)
	}
	n := at[len(at)-1]
	if t.batch >= len(at) || t.batch+n > len(data) {
		return 0, shapeFault("its tuples of indices are longer than the data has axes", at)
	}
	for k, extent := range at[:t.batch] {
		if extent != data[k] {
			return 0, shapeFault("indices and data differ in the batch", at)
		}
	}
	return n, nil
}

// find returns where the blocks begin and how large they are.
func (t *tuples) find(ctx context.Context, f *Frame) (places []int64, block int, err error) {
	shape, at := f.In(0).Shape(), f.In(1).Shape()
	n, err := t.check(shape, at)
	if err != nil {
		return nil, 0, err
	}
	index := Input[int64](f, 1)
	block = product(shape[t.batch+n:])
	count, err := at[:len(at)-1].Elements()
	if err != nil {
		return nil, 0, shapeFault("it has too many tuples", at)
	}
	if places, err = Scratch[int64](f, t.places, count); err != nil {
		return nil, 0, err
	}
	each := max(1, product(at[t.batch:len(at)-1])) // tuples of one entry of the batch
	for i := range places {
		if err := poll(ctx, i); err != nil {
			return nil, 0, err
		}
		place := i / each
		for k := range n {
			extent := shape[t.batch+k]
			p := axisIn(index[i*n+k], extent)
			if p < 0 {
				return nil, 0, indexFault(index[i*n+k], extent)
			}
			place = place*extent + p
		}
		places[i] = int64(place * block)
	}
	return places, block, nil
}

// blockDims returns the extents of what the tuples of type at name, when the
// types tell.
func (t *tuples) blockDims(data, at *onnx.Type) ([]tensor.Dim, bool) {
	if !data.Ranked || !at.Ranked || len(at.Dims) == 0 {
		return nil, false
	}
	last := len(at.Dims) - 1
	n := at.Dims[last].Size
	if n < 0 || t.batch+n > len(data.Dims) {
		return nil, false
	}
	return slices.Concat(at.Dims[:last], data.Dims[t.batch+n:]), true
}

// parseGatherND reads GatherND (ai.onnx 11, 12, 13).
func parseGatherND(n *Node) Kernel {
	batch := int64(0)
	if n.Version >= 12 {
		batch = n.Int("batch_dims", 0)
	}
	d := n.Elem(0, anyElem...)
	t := tuplesOf(n, batch)
	if n.err != nil {
		return nil
	}
	dims, known := t.blockDims(&n.In[0].Type, &n.In[1].Type)
	if err := rankFault(len(dims)); err != nil {
		n.Failf("%v", err)
		return nil
	}
	moved(n, dims, known)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape, at := f.In(0).Shape(), f.In(1).Shape()
		size, err := t.check(shape, at)
		if err != nil {
			return err
		}
		f.dims = append(append(f.dims[:0], at[:len(at)-1]...), shape[t.batch+size:]...)
		if err := rankFault(len(f.dims)); err != nil {
			return err
		}
		if err := m.output(f, 0, f.dims); err != nil {
			return err
		}
		places, block, err := t.find(ctx, f)
		if err != nil || f.out[0].Len() == 0 {
			return err
		}
		for i := range places {
			places[i] /= int64(block)
		}
		return m.take(ctx, f.out[0], 0, f.In(0), 0, places, block)
	}
}

// parseCompress reads Compress (ai.onnx 9, 11): what input 1 has true for, along
// an axis or of all elements.
func parseCompress(n *Node) Kernel {
	along, whole := n.Int("axis", 0), !n.Given("axis")
	d := n.Elem(0, anyElem...)
	n.Elem(1, tensor.Bool)
	t := &n.In[0].Type
	k := 0
	if !whole {
		k = n.axisOf(along, t)
	}
	if n.err != nil {
		return nil
	}
	movedAlong(n, k, whole)
	m, scratch := movers[d], n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		places, err := chosen(ctx, f, scratch)
		if err != nil {
			return err
		}
		shape, k := f.In(0).Shape(), 0
		if !whole {
			if k = axisIn(along, len(shape)); k < 0 {
				return axisFault(along, len(shape))
			}
		}
		extent := f.In(0).Len()
		if !whole {
			extent = shape[k]
		}
		if last := len(places) - 1; last >= 0 && places[last] >= int64(extent) {
			return indexFault(places[last], extent)
		}
		if whole {
			if err := m.output(f, 0, append(f.dims[:0], len(places))); err != nil {
				return err
			}
			return m.take(ctx, f.out[0], 0, f.In(0), 0, places, 1)
		}
		f.dims = append(f.dims[:0], shape...)
		f.dims[k] = len(places)
		return gather(ctx, f, m, k, places)
	}
}

// chosen returns where input 1 is true.
func chosen(ctx context.Context, f *Frame, scratch int) ([]int64, error) {
	condition := f.In(1)
	if len(condition.Shape()) != 1 {
		return nil, fault.New(fault.Content, "the condition must have one axis")
	}
	n := condition.Len()
	places, err := Scratch[int64](f, scratch, n)
	if err != nil {
		return nil, err
	}
	m, found := &movers[tensor.Bool], 0
	err = pieces(ctx, n, func(at, size int) {
		found += m.nonzero(condition, at, at+size, places[found:])
	})
	return places[:found], err
}
