package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// reduceOps finds the place of one element among many.
var reduceOps = []Operator{
	{"", "ArgMax", 1, one, one, parseArgMax},
	{"", "ArgMin", 1, one, one, parseArgMin},
}

// parseArgMax reads ArgMax (ai.onnx 1, 11, 12, 13).
func parseArgMax(n *Node) Kernel { return parseArg(n, false) }

// parseArgMin reads ArgMin (ai.onnx 1, 11, 12, 13).
func parseArgMin(n *Node) Kernel { return parseArg(n, true) }

func parseArg(n *Node, least bool) Kernel {
	r := argExtreme{axis: n.Int("axis", 0), keep: n.Int("keepdims", 1) != 0, least: least}
	if n.Version >= 12 {
		r.last = n.Int("select_last_index", 0) != 0
	}
	d := n.Elem(0, numericElem...)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, r.outType(n))
	switch d {
	case tensor.Float32, tensor.Half:
		r.wide = n.NeedScratch()
		return argOf[float32](r)
	case tensor.Float64:
		return argOf[float64](r)
	case tensor.Int8:
		return argOf[int8](r)
	case tensor.Int16:
		return argOf[int16](r)
	case tensor.Int32:
		return argOf[int32](r)
	case tensor.Int64:
		return argOf[int64](r)
	case tensor.Uint8:
		return argOf[uint8](r)
	case tensor.Uint16:
		return argOf[uint16](r)
	case tensor.Uint32:
		return argOf[uint32](r)
	case tensor.Uint64:
		return argOf[uint64](r)
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

// argExtreme is ArgMax, or with least ArgMin.
type argExtreme struct {
	axis              int64
	keep, last, least bool
	wide              int // scratch for float16 as float32
}

func (r argExtreme) outType(n *Node) onnx.Type {
	t := &n.In[0].Type
	if !t.Ranked {
		return onnx.UnrankedTensor(tensor.Int64)
	}
	k := axisIn(r.axis, len(t.Dims))
	if k < 0 {
		n.Failf("axis %d is out of range for %d axes", r.axis, len(t.Dims))
		return onnx.UnrankedTensor(tensor.Int64)
	}
	dims := slices.Clone(t.Dims)
	if r.keep {
		dims[k] = tensor.Dim{Size: 1}
	} else {
		dims = slices.Delete(dims, k, k+1)
	}
	return onnx.TensorOf(tensor.Int64, dims...)
}

func argOf[T number](r argExtreme) Kernel {
	place := greatestAt[T]
	if r.least {
		place = leastAt[T]
	}
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		k := axisIn(r.axis, len(shape))
		if k < 0 || shape[k] == 0 {
			return shapeFault("it has no element on the axis to reduce", shape)
		}
		f.dims = append(f.dims[:0], shape...)
		if r.keep {
			f.dims[k] = 1
		} else {
			f.dims = slices.Delete(f.dims, k, k+1)
		}
		dst, err := Output[int64](f, 0, f.dims...)
		if err != nil || len(dst) == 0 {
			return err
		}
		x, err := widened[T](ctx, f, 0, r.wide)
		if err != nil {
			return err
		}
		return placesOf(ctx, dst, x, shape[k], product(shape[k+1:]), r.last, place)
	}
}

// placesOf sets each of dst to a place among its n elements of x, which are inner
// apart.
func placesOf[T number](
	ctx context.Context, dst []int64, x []T, n, inner int, last bool, place func(x []T, best, from, to, stride int, last bool) int,
) error {
	work := 0
	for o := range dst {
		if err := watch(ctx, &work, n); err != nil {
			return err
		}
		at := o * n
		if inner > 1 { // most often it is not, and divisions take long
			at = o/inner*n*inner + o%inner
		}
		first := min(n, chunk)
		best := place(x[at:], 0, 0, first, inner, last)
		for from := first; from < n; from += chunk {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			best = place(x[at:], best, from, min(from+chunk, n), inner, last)
		}
		dst[o] = int64(best)
	}
	return nil
}

// greatestAt returns the place of the greatest of the elements from to to, and of
// the one at best, at a stride: the last of equals or the first.
func greatestAt[T number](x []T, best, from, to, stride int, last bool) int {
	top := x[best*stride]
	if v, ok := any(x).([]float32); ok && stride == 1 && to-from >= fewElements {
		// Where there is NaN, the greatest is, and which is taken depends on where it stands.
		if greatest := linalg.Max(v[from], v[from:to]); greatest == greatest { //nolint:gocritic // no NaN
			return placeOf(T(greatest), x, best, from, to, last)
		}
	}
	for i := max(from, 1); i < to; i++ {
		if v := x[i*stride]; v > top || last && v == top {
			best, top = i, v
		}
	}
	return best
}

// fewElements are looked at one by one.
const fewElements = 64

// placeOf is greatestAt where top is known, which is no NaN.
func placeOf[T number](top T, x []T, best, from, to int, last bool) int {
	if v := x[best]; from > 0 {
		if better := top > v || last && top == v; !better {
			return best
		}
	}
	if !last {
		return from + slices.Index(x[from:to], top)
	}
	for to--; x[to] != top; to-- {
	}
	return to
}

// leastAt is greatestAt for the least.
func leastAt[T number](x []T, best, from, to, stride int, last bool) int {
	top := x[best*stride]
	for i := max(from, 1); i < to; i++ {
		if v := x[i*stride]; v < top || last && v == top {
			best, top = i, v
		}
	}
	return best
}
