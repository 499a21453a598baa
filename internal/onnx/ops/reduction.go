package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// reductionOps makes one element of all along some axes. Up to version 17 (of
// ReduceSum: 12) the axes are an attribute, then an input.
var reductionOps = []Operator{
	{"", "ReduceSum", 1, one, one, parseReduce(reduceSum)},
	{"", "ReduceSum", 13, span{1, 2}, one, parseReduce(reduceSum)},
	{"", "ReduceMean", 1, one, one, parseReduce(reduceMean)},
	{"", "ReduceMean", 18, span{1, 2}, one, parseReduce(reduceMean)},
	{"", "ReduceMax", 1, one, one, parseReduce(reduceMax)},
	{"", "ReduceMax", 18, span{1, 2}, one, parseReduce(reduceMax)},
	{"", "ReduceMin", 1, one, one, parseReduce(reduceMin)},
	{"", "ReduceMin", 18, span{1, 2}, one, parseReduce(reduceMin)},
	{"", "ReduceProd", 1, one, one, parseReduce(reduceProd)},
	{"", "ReduceProd", 18, span{1, 2}, one, parseReduce(reduceProd)},
	{"", "ReduceL1", 1, one, one, parseReduce(reduceL1)},
	{"", "ReduceL1", 18, span{1, 2}, one, parseReduce(reduceL1)},
	{"", "ReduceL2", 1, one, one, parseReduce(reduceL2)},
	{"", "ReduceL2", 18, span{1, 2}, one, parseReduce(reduceL2)},
	{"", "ReduceSumSquare", 1, one, one, parseReduce(reduceSumSquare)},
	{"", "ReduceSumSquare", 18, span{1, 2}, one, parseReduce(reduceSumSquare)},
	{"", "ReduceLogSum", 1, one, one, parseReduce(reduceLogSum)},
	{"", "ReduceLogSum", 18, span{1, 2}, one, parseReduce(reduceLogSum)},
	{"", "ReduceLogSumExp", 1, one, one, parseReduce(reduceLogSumExp)},
	{"", "ReduceLogSumExp", 18, span{1, 2}, one, parseReduce(reduceLogSumExp)},
}

type reduction uint8

const (
	reduceSum reduction = iota
	reduceMean
	reduceMax
	reduceMin
	reduceProd
	reduceL1
	reduceL2
	reduceSumSquare
	reduceLogSum
	reduceLogSumExp
)

// types returns the element types that the schema of a version allows.
func (kind reduction) types(version int64) []tensor.DType {
	extreme := kind == reduceMax || kind == reduceMin
	logarithm := kind == reduceLogSum || kind == reduceLogSumExp
	switch {
	case extreme && version >= 20:
		return append([]tensor.DType{tensor.Int8, tensor.Uint8, tensor.Bool}, wideElem...)
	case extreme && version >= 12:
		return append([]tensor.DType{tensor.Int8, tensor.Uint8}, wideElem...)
	case logarithm && version >= 28:
		return floatElem
	}
	return wideElem
}

// parseReduce returns the parse function of a reduction: ReduceSum (ai.onnx 1,
// 11, 13), ReduceMax and ReduceMin (1, 11, 12, 13, 18, 20), ReduceLogSum and
// ReduceLogSumExp (1, 11, 13, 18, 28) and the others (1, 11, 13, 18).
func parseReduce(kind reduction) func(*Node) Kernel {
	return func(n *Node) Kernel {
		d := n.Elem(0, kind.types(n.Version)...)
		r := &reducer{keep: n.Int("keepdims", 1) != 0}
		if n.Version >= 18 || kind == reduceSum && n.Version >= 13 {
			r.noop = n.Int("noop_with_empty_axes", 0) != 0
			r.input = n.Has(1)
			if r.input {
				r.axes, r.known = n.Ints64(1)
			}
		} else {
			r.axes = n.Ints("axes")
		}
		r.known = r.known || !r.input
		if n.err == nil {
			r.setOut(n, d)
		}
		if n.err != nil {
			return nil
		}
		r.wide, r.out, r.acc = n.NeedScratch(), n.NeedScratch(), n.NeedScratch()
		r.elem = d
		return kind.kernel(r, d)
	}
}

// reducer is what all reductions of one node share.
type reducer struct {
	axes           []int64
	input          bool // the axes are input 1
	known          bool // and constant, or an attribute
	keep, noop     bool
	elem           tensor.DType
	wide, out, acc int  // scratch tensors
	refuseEmpty    bool // the kernel cannot take the mean of nothing
}

// mask returns a bit for each axis that axes reduces, of a tensor of the given
// rank. It reports false when one is out of range, or there are more than any
// tensor has.
func (r *reducer) mask(axes []int64, rank int) (uint32, bool) {
	switch {
	case rank > maxRank || len(axes) > maxRank:
		return 0, false
	case len(axes) == 0 && r.noop:
		return 0, true
	case len(axes) == 0:
		return 1<<rank - 1, true
	}
	var m uint32
	for _, a := range axes {
		k := axisIn(a, rank)
		if k < 0 {
			return 0, false
		}
		m |= 1 << k
	}
	return m, true
}

func (r *reducer) setOut(n *Node, d tensor.DType) {
	t := &n.In[0].Type
	switch {
	case !t.Ranked:
		n.SetOut(0, onnx.UnrankedTensor(d))
		return
	case !r.known && r.keep:
		n.SetOut(0, onnx.TensorOf(d, freeDims(len(t.Dims))...))
		return
	case !r.known:
		n.SetOut(0, onnx.UnrankedTensor(d))
		return
	}
	mask, ok := r.mask(r.axes, len(t.Dims))
	if !ok {
		n.Failf("axes %s are out of range for %d axes", onnx.FormatShape(r.axes), len(t.Dims))
		return
	}
	dims := make([]tensor.Dim, 0, len(t.Dims))
	for k, dim := range t.Dims {
		switch {
		case mask>>k&1 == 0:
			dims = append(dims, dim)
		case r.keep:
			dims = append(dims, tensor.Dim{Size: 1})
		}
	}
	n.SetOut(0, onnx.TensorOf(d, dims...))
}

// shape returns the mask of a run and the shape of its result, in the frame's
// memory.
func (r *reducer) shape(f *Frame) (uint32, []int, error) {
	from, axes := f.In(0).Shape(), r.axes
	if r.input {
		axes = Input[int64](f, 1)
	}
	mask, ok := r.mask(axes, len(from))
	if !ok {
		return 0, nil, shapeFault("an axis to reduce is out of range", from)
	}
	dims := f.dims[:0]
	for k, n := range from {
		switch {
		case mask>>k&1 == 0:
			dims = append(dims, n)
		case r.keep:
			dims = append(dims, 1)
		}
	}
	f.dims = dims
	return mask, dims, nil
}

// axisRun is some axes next to each other that are all reduced or all kept, walked
// as one.
type axisRun struct {
	extent, stride int
	reduced        bool
}

// walk is the axes of a tensor as runs, the innermost first. Axes of extent 1
// are in none.
type walk struct {
	runs  [maxRank]axisRun
	count int
}

func (w *walk) set(shape tensor.Shape, mask uint32) {
	w.count = 0
	stride := 1
	for k, n := range slices.Backward(shape) {
		reduced := mask>>k&1 == 1
		switch {
		case n == 1:
			continue
		case w.count > 0 && w.runs[w.count-1].reduced == reduced:
			w.runs[w.count-1].extent *= n
		default:
			w.runs[w.count] = axisRun{n, stride, reduced}
			w.count++
		}
		stride *= n
	}
}

// inner returns the length of the innermost run when it is reduced or kept, as
// asked, else 1.
func (w *walk) inner(reduced bool) int {
	if w.count > 0 && w.runs[0].reduced == reduced {
		return w.runs[0].extent
	}
	return 1
}

// offset returns where the i-th element over the reduced or over the kept runs
// is, the innermost run of all left out.
func (w *walk) offset(i int, reduced bool) int {
	at := 0
	for k := 1; k < w.count && i > 0; k++ {
		r := &w.runs[k]
		if r.reduced != reduced {
			continue
		}
		if k+2 >= w.count { // no more of this kind
			return at + i*r.stride
		}
		at += i % r.extent * r.stride
		i /= r.extent
	}
	return at
}

// fold says how elements of T become one, by way of accumulators of A: width
// for each, of which the k-th of n elements' are acc[k*n : (k+1)*n].
type fold[T, A number | bool] struct {
	width int
	start func(acc []A)
	// lanes takes as many of x as lane says into the accumulators of each element. x
	// begins at place at of the tensor.
	lanes func(acc []A, x []T, lane, at int)
	// row takes each of x into its own element's accumulators.
	row func(acc []A, x []T)
	// done gives the results of elements that took count each.
	done func(dst []T, acc []A, count int)
}

// columns is how many elements are accumulated side by side.
const columns = 512

// reduceAs returns the kernel of a fold over elements of T; those of float16
// are folded as float32.
func reduceAs[T number, A number](r *reducer, fd fold[T, A]) Kernel {
	out := result[T]{output: 0, scratch: r.out, elem: r.elem}
	return func(ctx context.Context, f *Frame) error {
		mask, shape, err := r.shape(f)
		if err != nil {
			return err
		}
		dst, err := out.open(f, shape)
		if err != nil {
			return err
		}
		x, err := widened[T](ctx, f, 0, r.wide)
		if err != nil {
			return err
		}
		if err := reduceInto(ctx, f, r, fd, dst, x, mask); err != nil {
			return err
		}
		return out.close(ctx, f, dst)
	}
}

// reduceBools is reduceAs for bool.
func reduceBools(r *reducer, fd fold[bool, bool]) Kernel {
	return func(ctx context.Context, f *Frame) error {
		mask, shape, err := r.shape(f)
		if err != nil {
			return err
		}
		dst, err := Output[bool](f, 0, shape...)
		if err != nil {
			return err
		}
		return reduceInto(ctx, f, r, fd, dst, Input[bool](f, 0), mask)
	}
}

// reduceInto folds x into dst, every element of which it writes.
func reduceInto[T, A interface {
	tensor.Element
	number | bool
}](ctx context.Context, f *Frame, r *reducer, fd fold[T, A], dst, x []T, mask uint32) error {
	if len(dst) == 0 {
		return nil
	}
	var w walk
	w.set(f.In(0).Shape(), mask)
	width, lane := w.inner(false), w.inner(true)
	count := len(x) / len(dst)
	if count == 0 {
		width, lane = len(dst), 1
		if r.refuseEmpty {
			return shapeFault("there is no element to take the mean of", f.In(0).Shape())
		}
	}
	if lane > 1 && w.count <= 2 {
		return reduceLanes(ctx, f, r, fd, dst, x, lane)
	}
	acc, err := Scratch[A](f, r.acc, fd.width*min(width, columns))
	if err != nil {
		return err
	}
	work := 0
	for o := range len(dst) / width {
		base := w.offset(o, false)
		for at := 0; at < width; at += columns {
			n := min(columns, width-at)
			a := acc[:fd.width*n]
			fd.start(a)
			for i := range count / lane {
				from := base + at + w.offset(i, true)
				if lane > 1 {
					err = longLane(ctx, &work, fd, a, x[from:from+lane], from)
				} else {
					err = watch(ctx, &work, n)
					fd.row(a, x[from:from+n])
				}
				if err != nil {
					return err
				}
			}
			if err := watch(ctx, &work, n); err != nil {
				return err
			}
			fd.done(dst[o*width+at:][:n], a, count)
		}
	}
	return nil
}

// reduceLanes is reduceInto for lanes of x one after the other, of which it takes
// many at once.
func reduceLanes[T, A interface {
	tensor.Element
	number | bool
}](ctx context.Context, f *Frame, r *reducer, fd fold[T, A], dst, x []T, lane int) error {
	atOnce := min(columns, len(dst), max(1, chunk/lane))
	acc, err := Scratch[A](f, r.acc, fd.width*atOnce)
	if err != nil {
		return err
	}
	work, from := 0, 0
	for len(dst) > 0 {
		n := min(atOnce, len(dst))
		a := acc[:fd.width*n]
		fd.start(a)
		if n > 1 {
			fd.lanes(a, x[:n*lane], lane, from)
			err = watch(ctx, &work, n*lane)
		} else {
			err = longLane(ctx, &work, fd, a, x[:lane], from)
		}
		if err != nil {
			return err
		}
		fd.done(dst[:n], a, lane)
		dst, x, from = dst[n:], x[n*lane:], from+n*lane
	}
	return nil
}

// longLane takes one lane chunk by chunk.
func longLane[T, A interface {
	tensor.Element
	number | bool
}](ctx context.Context, work *int, fd fold[T, A], acc []A, x []T, at int) error {
	for len(x) > chunk {
		fd.lanes(acc, x[:chunk], chunk, at)
		x, at = x[chunk:], at+chunk
		if err := watch(ctx, work, chunk); err != nil {
			return err
		}
	}
	fd.lanes(acc, x, len(x), at)
	return watch(ctx, work, len(x))
}

// watch adds to the work done, and looks at ctx each time that it makes a
// chunk.
func watch(ctx context.Context, work *int, n int) error {
	if *work += n + 8; *work < chunk {
		return nil
	}
	*work = 0
	return ctx.Err()
}
