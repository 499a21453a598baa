package ops

import (
	"context"
	"slices"

	"onnxgate/internal/tensor"
)

// view is a way through two tensors at once: for every combination of indices
// one element is copied. An axis that steps by 0 repeats elements, one that
// steps backwards reverses them.
type view struct {
	axes     []axis
	to, from int // the first elements
}

// axis is one index of a view.
type axis struct {
	n        int // how many steps
	to, from int // elements between two steps
	i        int // the present step
}

// view returns an empty view. It is the frame's own, and a kernel has one at a
// time.
func (f *Frame) view() *view {
	if f.way == nil {
		f.way = &view{}
	}
	f.way.axes, f.way.to, f.way.from = f.way.axes[:0], 0, 0
	return f.way
}

// add appends an axis, inside those that are there.
func (v *view) add(n, to, from int) { v.axes = append(v.axes, axis{n: n, to: to, from: from}) }

// over gives v the axes of a result that is written from its beginning to its
// end, all steps in the source being 0.
func (v *view) over(shape []int) {
	for _, n := range shape {
		v.add(n, 0, 0)
	}
	stride := 1
	for k := len(v.axes) - 1; k >= 0; k-- {
		v.axes[k].to = stride
		stride *= v.axes[k].n
	}
}

// same gives v the axes of a tensor that is read and written at the same
// places.
func (v *view) same(shape []int) {
	v.over(shape)
	for k := range v.axes {
		v.axes[k].from = v.axes[k].to
	}
}

// strideAt returns how far apart elements are that follow each other on axis k.
func strideAt(shape []int, k int) int { return product(shape[k+1:]) }

// simplify removes axes of one step, joins those that continue each other, and
// puts a long one inside. It reports false when there is nothing to copy.
func (v *view) simplify() bool {
	out := v.axes[:0]
	for _, a := range v.axes {
		if a.n == 0 {
			return false
		}
		a.i = 0
		last := len(out) - 1
		switch {
		case a.n == 1:
		case last >= 0 && out[last].to == a.n*a.to && out[last].from == a.n*a.from:
			out[last] = axis{n: out[last].n * a.n, to: a.to, from: a.from}
		default:
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		out = append(out, axis{n: 1})
	}
	v.axes = out
	if last := len(out) - 1; out[last].n < shortRun && !turns(out) {
		longest := last
		for k, a := range out {
			if a.n > out[longest].n {
				longest = k
			}
		}
		out[last], out[longest] = out[longest], out[last]
	}
	return true
}

// shortRun is how many elements are too few to be copied as one run.
const shortRun = 8

func walkView[T any](ctx context.Context, dst, src []T, v *view) error {
	if !v.simplify() {
		return nil
	}
	outer, rows, inner := v.axes, axis{n: 1}, v.axes[len(v.axes)-1]
	if outer = outer[:len(outer)-1]; len(outer) > 0 {
		outer, rows = outer[:len(outer)-1], outer[len(outer)-1]
	}
	turned := turns(v.axes)
	to, from, work := v.to, v.from, 0
	for {
		for at := 0; at < inner.n; at += chunk {
			n := min(chunk, inner.n-at)
			for r := 0; r < rows.n; {
				d, s, done := to+at*inner.to+r*rows.to, from+at*inner.from+r*rows.from, 1
				if turned && r+turnWidth <= rows.n {
					turn(dst, d, rows.to, src, s, inner.from, n)
					done = turnWidth
				} else {
					copyRun(dst, d, inner.to, src, s, inner.from, n)
				}
				r += done
				if work += done * n; work >= chunk {
					if work = 0; ctx.Err() != nil {
						return ctx.Err()
					}
				}
			}
		}
		if !advance(outer, &to, &from) {
			return nil
		}
	}
}

// turns reports whether the last two axes make columns of rows.
func turns(axes []axis) bool {
	last := len(axes) - 1
	return last > 0 && axes[last-1].from == 1 && axes[last-1].n >= turnWidth && axes[last].to == 1
}

// advance goes on to the next combination of indices, and reports whether
// there is one.
func advance(axes []axis, to, from *int) bool {
	for k := len(axes) - 1; k >= 0; k-- {
		a := &axes[k]
		*to, *from = *to+a.to, *from+a.from
		if a.i++; a.i < a.n {
			return true
		}
		*to, *from, a.i = *to-a.n*a.to, *from-a.n*a.from, 0
	}
	return false
}

// turnWidth is how many columns become rows at a time, so that what lies next
// to each other in memory is read together.
const turnWidth = 4

// turn copies n elements each of so many columns to rows, which are stride
// apart.
func turn[T any](dst []T, to, stride int, src []T, from, step, n int) {
	a, b := dst[to:to+n], dst[to+stride:][:n]
	c, d := dst[to+2*stride:][:n], dst[to+3*stride:][:n]
	for i := range a {
		s := src[from : from+turnWidth : from+turnWidth]
		a[i], b[i], c[i], d[i] = s[0], s[1], s[2], s[3]
		from += step
	}
}

// copyRun copies n elements, at steps of their own in each slice.
func copyRun[T any](dst []T, to, toStep int, src []T, from, fromStep, n int) {
	switch {
	case toStep == 1 && fromStep == 1 && n >= shortRun:
		copy(dst[to:to+n], src[from:from+n])
	case toStep == 1 && fromStep == 0:
		v, part := src[from], dst[to:to+n]
		for i := range part {
			part[i] = v
		}
	case toStep == 1:
		part := dst[to : to+n]
		for i := range part {
			part[i] = src[from]
			from += fromStep
		}
	default:
		for range n {
			dst[to] = src[from]
			to, from = to+toStep, from+fromStep
		}
	}
}

// places writes the elements of the source that v comes to, in the order of
// the result.
func (v *view) places(ctx context.Context, dst []int64) error {
	if len(dst) == 0 {
		return nil
	}
	if len(v.axes) == 0 {
		v.add(1, 0, 0)
	}
	outer, inner := v.axes[:len(v.axes)-1], v.axes[len(v.axes)-1]
	to, from := 0, v.from
	for row := 0; ; row++ {
		if err := poll(ctx, row); err != nil {
			return err
		}
		at := from
		for i := range dst[:inner.n] {
			dst[i] = int64(at)
			at += inner.from
		}
		dst = dst[inner.n:]
		if !advance(outer, &to, &from) {
			return nil
		}
	}
}

// move copies n elements in pieces, so that ctx is seen in time.
func (m *mover) move(ctx context.Context, dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int) error {
	return pieces(ctx, n, func(at, size int) { m.copy(dst, to+at, src, from+at, size) })
}

// zero sets n elements in pieces.
func (m *mover) zero(ctx context.Context, dst *tensor.Tensor, to, n int) error {
	return pieces(ctx, n, func(at, size int) { m.clear(dst, to+at, size) })
}

// fill sets all of output 0 to the first element of src.
func (m *mover) fill(ctx context.Context, f *Frame, src *tensor.Tensor) error {
	v := f.view()
	v.add(f.out[0].Len(), 1, 0)
	return m.walk(ctx, f.out[0], src, v)
}

// pieces calls do for n elements, chunk by chunk.
func pieces(ctx context.Context, n int, do func(at, size int)) error {
	for at := 0; at < n; at += chunk {
		if at > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		do(at, min(chunk, n-at))
	}
	return nil
}

// take copies the blocks of src at places, counted in blocks from the element
// from on, to dst.
func (m *mover) take(ctx context.Context, dst *tensor.Tensor, to int, src *tensor.Tensor, from int, places []int64, block int) error {
	if block > chunk {
		for i, p := range places {
			if err := m.move(ctx, dst, to+i*block, src, from+int(p)*block, block); err != nil {
				return err
			}
		}
		return nil
	}
	for step := chunk / max(block, 1); len(places) > 0; {
		n := min(step, len(places))
		m.pick(dst, to, src, from, places[:n], block)
		if to, places = to+n*block, places[n:]; len(places) > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// moved says that the elements of output 0 are elements of input 0.
func moved(n *Node, dims []tensor.Dim, ranked bool) {
	t := n.In[0].Type
	t.Dims, t.Ranked = slices.Clone(dims), ranked
	n.SetOut(0, t)
	n.Out[0].Decision = n.In[0].Decision
}

// movedAlong says that output 0 has some of the elements of input 0: as a list
// when whole, else along axis k, which is negative when the rank is not known.
func movedAlong(n *Node, k int, whole bool) {
	switch {
	case whole:
		moved(n, freeDims(1), true)
	case k >= 0:
		moved(n, n.In[0].Type.Dims, true)
		n.Out[0].Type.Dims[k] = free
	default:
		moved(n, nil, false)
	}
}
