package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// contraction is the kernel of Einsum. Operands are taken two by two: each is
// brought into the order batch, own, contracted axes, after the axes that it
// alone has and that nobody needs are summed, and the two are multiplied as
// matrices.
type contraction[T number] struct {
	equation
	out               result[T]
	wide              []int // scratch tensors, one for each operand
	left, right, pack int
	products          [2]int // in turn
}

func newContraction[T number](n *Node, eq equation, d tensor.DType) *contraction[T] {
	c := &contraction[T]{
		equation: eq, left: n.NeedScratch(), right: n.NeedScratch(), pack: n.NeedScratch(),
		products: [2]int{n.NeedScratch(), n.NeedScratch()},
		out:      result[T]{output: 0, scratch: n.NeedScratch(), elem: d},
	}
	for range eq.terms {
		c.wide = append(c.wide, n.NeedScratch())
	}
	return c
}

// axes is a list of labels.
type axes struct {
	labels [maxLabels]label
	n      int
}

func (a *axes) list() []label { return a.labels[:a.n] }

func (a *axes) add(l label) {
	if !slices.Contains(a.list(), l) {
		a.labels[a.n] = l
		a.n++
	}
}

// labelled is a tensor with labels, one for each axis; one label may be there
// several times.
type labelled[T number] struct {
	data    []T
	labels  [maxLabels]label
	extents [maxLabels]int
	rank    int
}

// sums is what the kernel knows of one run.
type sums struct {
	extent [maxLabels]int // -1 for labels that are not there
	last   [maxLabels]int // the last operand that has the label
	hidden int            // axes of an ellipsis
}

// always is the last use of the labels of the output.
const always = 1 << 30

// survey finds the extents of all labels.
func (c *contraction[T]) survey(f *Frame, s *sums) error {
	for l := range s.extent {
		s.extent[l], s.last[l] = -1, -1
	}
	for i, term := range c.terms {
		var buffer [maxLabels]label
		shape := f.In(i).Shape()
		labels, ok := expand(buffer[:0], term, len(shape))
		if !ok {
			return shapeFault("it does not have the axes of its term of the equation", shape)
		}
		if slices.Contains(term, ellipsis) {
			s.hidden = max(s.hidden, len(shape)-len(term)+1)
		}
		for k, l := range labels {
			switch have := s.extent[l]; {
			case have < 0 || have == 1:
				s.extent[l] = shape[k]
			case shape[k] != 1 && shape[k] != have:
				return shapeFault("axes of one label differ in extent", shape)
			}
			s.last[l] = i
		}
	}
	return nil
}

// outputLabels returns the labels of the result, marks them as needed to the
// end, and leaves the result's shape in the frame's memory.
func (c *contraction[T]) outputLabels(f *Frame, s *sums, out *axes) error {
	rank := len(c.output)
	if slices.Contains(c.output, ellipsis) {
		rank += s.hidden - 1
	}
	var buffer [maxLabels]label
	labels, ok := expand(buffer[:0], c.output, rank)
	if !ok || len(labels) > maxRank {
		return fault.New(fault.Content, "the result has too many axes")
	}
	f.dims = f.dims[:0]
	for _, l := range labels {
		out.add(l)
		s.last[l] = always
		f.dims = append(f.dims, s.extent[l])
	}
	return nil
}

func (c *contraction[T]) operand(ctx context.Context, f *Frame, i int, o *labelled[T]) error {
	shape := f.In(i).Shape()
	labels, _ := expand(o.labels[:0], c.terms[i], len(shape))
	o.rank = len(labels)
	copy(o.extents[:], shape)
	var err error
	o.data, err = widened[T](ctx, f, i, c.wide[i])
	return err
}

func (c *contraction[T]) run(ctx context.Context, f *Frame) error {
	var s sums
	if err := c.survey(f, &s); err != nil {
		return err
	}
	var out axes
	if err := c.outputLabels(f, &s, &out); err != nil {
		return err
	}
	dst, err := c.out.open(f, f.dims)
	if err != nil || len(dst) == 0 {
		return err
	}
	var left, right labelled[T]
	if err := c.operand(ctx, f, 0, &left); err != nil {
		return err
	}
	for i := 1; i < len(c.terms); i++ {
		if err := c.operand(ctx, f, i, &right); err != nil {
			return err
		}
		if err := c.multiply(ctx, f, &s, i, &left, &right); err != nil {
			return err
		}
	}
	var w arrangement
	if same := w.set(left.labels[:left.rank], left.extents[:left.rank], out.list(), &s); same {
		copy(dst, left.data)
	} else if err := arrange(ctx, &w, dst, left.data); err != nil {
		return err
	}
	return c.out.close(ctx, f, dst)
}

// multiply replaces left by its product with right, operand i.
func (c *contraction[T]) multiply(ctx context.Context, f *Frame, s *sums, i int, left, right *labelled[T]) error {
	var batch, rows, depth, cols axes
	mine, theirs := left.labels[:left.rank], right.labels[:right.rank]
	for _, l := range mine {
		switch shared, needed := slices.Contains(theirs, l), s.last[l] > i; {
		case shared && needed:
			batch.add(l)
		case shared:
			depth.add(l)
		case needed:
			rows.add(l)
		}
	}
	for _, l := range theirs {
		if !slices.Contains(mine, l) && s.last[l] > i {
			cols.add(l)
		}
	}
	a, err := c.inOrder(ctx, f, s, left, c.left, &batch, &rows, &depth)
	if err != nil {
		return err
	}
	b, err := c.inOrder(ctx, f, s, right, c.right, &batch, &depth, &cols)
	if err != nil {
		return err
	}
	var result axes
	for _, part := range [...]*axes{&batch, &rows, &cols} {
		for _, l := range part.list() {
			result.add(l)
		}
	}
	size, err := s.size(result.list())
	if err != nil {
		return err
	}
	dst, err := Scratch[T](f, c.products[i%2], size)
	if err != nil {
		return err
	}
	if err := c.matrices(ctx, f, dst, a, b, s.product(rows.list()), s.product(depth.list()), s.product(cols.list())); err != nil {
		return err
	}
	left.data, left.labels, left.rank = dst, result.labels, result.n
	for k, l := range result.list() {
		left.extents[k] = s.extent[l]
	}
	return nil
}

// matrices multiplies matrix by matrix.
func (c *contraction[T]) matrices(ctx context.Context, f *Frame, dst, a, b []T, rows, depth, cols int) error {
	if len(dst) == 0 {
		return nil
	}
	for i := range len(dst) / (rows * cols) {
		if err := poll(ctx, i); err != nil {
			return err
		}
		x := linalg.RowMajor(a[i*rows*depth:][:rows*depth], rows, depth)
		y := linalg.RowMajor(b[i*depth*cols:][:depth*cols], depth, cols)
		pack, err := Scratch[T](f, c.pack, linalg.PackLen(x, y))
		if err != nil {
			return err
		}
		if err := linalg.Gemm(ctx, dst[i*rows*cols:][:rows*cols], x, y, pack); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the elements of o with its axes in the given order and all
// others summed: its own when they are so already, else in a scratch tensor.
func (*contraction[T]) inOrder(ctx context.Context, f *Frame, s *sums, o *labelled[T], scratch int, parts ...*axes) ([]T, error) {
	var order axes
	for _, part := range parts {
		for _, l := range part.list() {
			order.add(l)
		}
	}
	var w arrangement
	if w.set(o.labels[:o.rank], o.extents[:o.rank], order.list(), s) {
		return o.data, nil
	}
	size, err := s.size(order.list())
	if err != nil {
		return nil, err
	}
	dst, err := Scratch[T](f, scratch, size)
	if err != nil {
		return nil, err
	}
	return dst, arrange(ctx, &w, dst, o.data)
}

// size is the number of elements over labels; it fails when there are too
// many.
func (s *sums) size(labels []label) (int, error) {
	var buffer [maxLabels]int
	shape := buffer[:0]
	for _, l := range labels {
		shape = append(shape, s.extent[l])
	}
	n, err := tensor.Shape(shape).Elements()
	if err != nil {
		return 0, fault.New(fault.Content, "a product in between has more elements than a tensor may have")
	}
	return n, nil
}

// product is size for labels of which there are not too many.
func (s *sums) product(labels []label) int {
	n := 1
	for _, l := range labels {
		n *= s.extent[l]
	}
	return n
}

// arrangement says how to read a tensor: an odometer over the axes that stay,
// and one over those that are summed.
type arrangement struct{ kept, summed odometer }

type odometer struct {
	extent, stride, at [maxLabels]int
	n, offset          int
}

func (o *odometer) add(extent, stride int) {
	o.extent[o.n], o.stride[o.n], o.at[o.n] = extent, stride, 0
	o.n++
}

// next moves on by one; it reports false when it is back at the start.
func (o *odometer) next() bool {
	for k := o.n - 1; k >= 0; k-- {
		o.at[k]++
		o.offset += o.stride[k]
		if o.at[k] < o.extent[k] {
			return true
		}
		o.offset -= o.at[k] * o.stride[k]
		o.at[k] = 0
	}
	return false
}

// set prepares to bring a tensor, with a label for each axis, into an order of
// labels. It reports true when the tensor is in that order already.
func (w *arrangement) set(labels []label, extents []int, order []label, s *sums) bool {
	w.kept.n, w.kept.offset, w.summed.n, w.summed.offset = 0, 0, 0, 0
	same := slices.Equal(labels, order)
	var strides [maxLabels]int // by label: a diagonal steps along all its axes
	stride := 1
	for k, n := range slices.Backward(extents) {
		l := labels[k]
		if n > 1 {
			strides[l] += stride
		}
		same = same && n == s.extent[l]
		stride *= n
	}
	for _, l := range order {
		w.kept.add(s.extent[l], strides[l])
	}
	for k, l := range labels {
		if !slices.Contains(order, l) && !slices.Contains(labels[:k], l) {
			w.summed.add(s.extent[l], strides[l])
		}
	}
	return same
}

// arrange fills dst in the order of w.
func arrange[T number](ctx context.Context, w *arrangement, dst, src []T) error {
	work := 0
	if len(src) == 0 {
		clear(dst) // sums of nothing
		return nil
	}
	for i := range dst {
		sum := src[w.kept.offset+w.summed.offset]
		for w.summed.next() {
			sum += src[w.kept.offset+w.summed.offset]
			if err := watch(ctx, &work, 1); err != nil {
				return err
			}
		}
		dst[i] = sum
		if err := watch(ctx, &work, 1); err != nil {
			return err
		}
		w.kept.next()
	}
	return nil
}
