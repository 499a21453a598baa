package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// sliceOps takes parts of tensors.
var sliceOps = []Operator{
	{"", "Slice", 1, one, one, parseSliceAttributes},
	{"", "Slice", 10, span{3, 5}, one, parseSlice},
	{"", "Split", 2, one, span{1, variadic}, parseSplit},
	{"", "Split", 13, span{1, 2}, span{1, variadic}, parseSplit},
}

// slice is what Slice takes of each axis that it names.
type slice struct{ starts, ends, axes, steps integers }

// parseSliceAttributes reads Slice (ai.onnx 1).
func parseSliceAttributes(n *Node) Kernel {
	n.Need("starts")
	n.Need("ends")
	s := &slice{starts: fixedIntegers(n.Ints("starts")), ends: fixedIntegers(n.Ints("ends"))}
	if n.Given("axes") {
		s.axes = fixedIntegers(n.Ints("axes"))
	}
	return s.parse(n)
}

// parseSlice reads Slice (ai.onnx 10, 11, 13).
func parseSlice(n *Node) Kernel {
	n.Elem(1, indexElem...)
	n.Elem(2, indexElem...)
	s := &slice{
		starts: integersOf(n, 1, indexElem), ends: integersOf(n, 2, indexElem),
		axes: integersOf(n, 3, indexElem), steps: integersOf(n, 4, indexElem),
	}
	return s.parse(n)
}

func (s *slice) parse(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	moved(n, t.Dims, t.Ranked)
	if t.Ranked {
		s.setDims(n, n.Out[0].Type.Dims)
		if n.err == nil && n.setExtents(s.extents(n), 1) {
			return nil
		}
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		p, err := s.parts(f)
		if err != nil {
			return err
		}
		return p.run(ctx, f, m)
	}
}

// extents returns what is known of a slice of extents.
func (s *slice) extents(n *Node) []Extent {
	e, out := n.extents(0), n.Out[0].Type.Dims
	if e == nil || len(out) != 1 || out[0].Size < 0 || len(s.starts.fixed) != 1 {
		return nil
	}
	p := parts{s.starts.fixed, s.ends.fixed, s.axes.fixed, s.steps.fixed}
	from, count := clampSlice(p.starts[0], p.ends[0], p.step(0), len(e))
	picked := make([]Extent, count)
	for i := range picked {
		picked[i] = e[from+i*int(p.step(0))]
	}
	return picked
}

// setDims sets the extents that are known of a result, which are those of the
// input at first.
func (s *slice) setDims(n *Node, dims []tensor.Dim) {
	fixed := s.starts.known && s.ends.known && (s.axes.known || !s.axes.given) && (s.steps.known || !s.steps.given)
	if !fixed {
		for k := range dims {
			dims[k] = free
		}
		return
	}
	p := parts{s.starts.fixed, s.ends.fixed, s.axes.fixed, s.steps.fixed}
	if err := p.check(len(dims)); err != nil {
		n.Failf("%v", err)
		return
	}
	for i := range p.starts {
		start, end, step := p.starts[i], p.ends[i], p.step(i)
		switch d := &dims[p.axis(i, len(dims))]; {
		case d.Size >= 0:
			_, d.Size = clampSlice(start, end, step, d.Size)
		case start != 0 || end < tensor.MaxElements || step != 1:
			*d = free
		}
	}
}

// parts is a slice in a run.
type parts struct{ starts, ends, axes, steps []int64 }

func (s *slice) parts(f *Frame) (p parts, err error) {
	for _, x := range []struct {
		to   *[]int64
		from *integers
	}{{&p.starts, &s.starts}, {&p.ends, &s.ends}, {&p.axes, &s.axes}, {&p.steps, &s.steps}} {
		if *x.to, err = x.from.of(f); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *parts) axis(i, rank int) int {
	if p.axes == nil {
		return i
	}
	return axisIn(p.axes[i], rank)
}

func (p *parts) step(i int) int64 {
	if p.steps == nil {
		return 1
	}
	return p.steps[i]
}

// check fails unless the parts fit a tensor of the given rank.
func (p *parts) check(rank int) error {
	n := len(p.starts)
	if len(p.ends) != n || p.axes != nil && len(p.axes) != n || p.steps != nil && len(p.steps) != n {
		return fault.New(fault.Content, "starts, ends, axes and steps differ in length")
	}
	if n > rank {
		return fault.Newf(fault.Content, "%d axes are to be sliced of %d", n, rank)
	}
	for i := range n {
		k := p.axis(i, rank)
		if k < 0 {
			return axisFault(p.axes[i], rank)
		}
		for j := range i {
			if p.axis(j, rank) == k {
				return fault.Newf(fault.Content, "axis %d is to be sliced twice", k)
			}
		}
		if p.step(i) == 0 {
			return fault.New(fault.Content, "a step of 0 leads nowhere; steps are 1 or more, or negative")
		}
	}
	return nil
}

// clampSlice returns the first index and how many there are of an axis.
func clampSlice(start, end, step int64, extent int) (from, count int) {
	n := int64(extent)
	if n == 0 {
		return 0, 0
	}
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	step = min(max(step, -n), n) // a longer one comes to no other element
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		return int(start), int(max(0, (end-start+step-1)/step))
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	return int(start), int(max(0, (start-end-step-1)/-step))
}

func (p *parts) run(ctx context.Context, f *Frame, m mover) error {
	shape := f.In(0).Shape()
	if err := p.check(len(shape)); err != nil {
		return err
	}
	f.dims = append(f.dims[:0], shape...)
	for i := range p.starts {
		k := p.axis(i, len(shape))
		_, f.dims[k] = clampSlice(p.starts[i], p.ends[i], p.step(i), shape[k])
	}
	if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
		return err
	}
	v := f.view()
	v.over(f.dims)
	for k := range shape {
		v.axes[k].from = strideAt(shape, k)
	}
	for i := range p.starts {
		k := p.axis(i, len(shape))
		from, _ := clampSlice(p.starts[i], p.ends[i], p.step(i), shape[k])
		v.from += from * v.axes[k].from
		if v.axes[k].n > 1 { // else a step may be larger than all elements
			v.axes[k].from *= int(p.step(i))
		}
	}
	return m.walk(ctx, f.out[0], f.In(0), v)
}

// split is how an axis is divided: into the given extents, or equally.
type split struct {
	axis   int64
	sizes  integers
	parts  int
	uneven bool // the last part may be smaller
}

// parseSplit reads Split (ai.onnx 2, 11, 13, 18).
func parseSplit(n *Node) Kernel {
	s := &split{axis: n.Int("axis", 0), parts: n.Outs, uneven: n.Version >= 18}
	switch {
	case n.Version < 13 && n.Given("split"):
		s.sizes = fixedIntegers(n.Ints("split"))
	case n.Version >= 13:
		s.sizes = integersOf(n, 1, int64Elem)
	}
	if s.uneven && n.Given("num_outputs") {
		if s.sizes.given {
			n.Failf("both the input split and the attribute num_outputs are given; one is allowed")
		}
		if want := n.Int("num_outputs", 0); want != int64(s.parts) {
			n.Failf("num_outputs is %d, but it has %d outputs", want, s.parts)
		}
	}
	d := n.Elem(0, anyElem...)
	t := &n.In[0].Type
	along := n.axisOf(s.axis, t)
	if n.err != nil {
		return nil
	}
	s.setTypes(n, along)
	if n.err != nil {
		return nil
	}
	m := movers[d]
	return func(ctx context.Context, f *Frame) error { return s.run(ctx, f, m) }
}

func (s *split) setTypes(n *Node, along int) {
	t := n.In[0].Type
	for i := range s.parts {
		out := t
		if along >= 0 {
			out.Dims = slices.Clone(t.Dims)
			out.Dims[along] = free
			if extent := t.Dims[along].Size; extent >= 0 && (s.sizes.known || !s.sizes.given) {
				if err := s.check(s.sizes.fixed, extent); err != nil {
					n.Failf("%v", err)
					return
				}
				out.Dims[along].Size = s.size(s.sizes.fixed, i, extent)
			}
		}
		n.SetOut(i, out)
		n.Out[i].Decision = n.In[0].Decision
	}
}

// size returns the extent of part i.
func (s *split) size(given []int64, i, extent int) int {
	if given != nil {
		return int(given[i])
	}
	each := (extent + s.parts - 1) / s.parts
	if i == s.parts-1 {
		return extent - each*(s.parts-1)
	}
	return each
}

// check fails unless the parts make up the extent.
func (s *split) check(given []int64, extent int) error {
	if !s.sizes.given {
		if extent%s.parts != 0 && !s.uneven || s.size(nil, s.parts-1, extent) < 0 {
			return fault.Newf(fault.Content, "an extent of %d cannot be split into %d parts", extent, s.parts)
		}
		return nil
	}
	if len(given) != s.parts {
		return fault.Newf(fault.Content, "%d extents are given for %d outputs", len(given), s.parts)
	}
	left := int64(extent)
	for _, v := range given {
		if v < 0 || v > left {
			return fault.Newf(fault.Content, "the parts do not make up the extent %d", extent)
		}
		left -= v
	}
	if left != 0 {
		return fault.Newf(fault.Content, "the parts do not make up the extent %d", extent)
	}
	return nil
}

func (s *split) run(ctx context.Context, f *Frame, m mover) error {
	shape := f.In(0).Shape()
	along := axisIn(s.axis, len(shape))
	if along < 0 {
		return axisFault(s.axis, len(shape))
	}
	given, err := s.sizes.of(f)
	if err != nil {
		return err
	}
	if err := s.check(given, shape[along]); err != nil {
		return err
	}
	f.dims = append(f.dims[:0], shape...)
	outer, inner, at := product(shape[:along]), strideAt(shape, along), 0
	for i := range s.parts {
		size := s.size(given, i, shape[along])
		f.dims[along] = size
		if err := m.output(f, i, f.dims); err != nil {
			return err
		}
		v := f.view()
		v.from = at
		v.add(outer, size*inner, shape[along]*inner)
		v.add(size*inner, 1, 1)
		if err := m.walk(ctx, f.out[i], f.In(0), v); err != nil {
			return err
		}
		at += size * inner
	}
	return nil
}
