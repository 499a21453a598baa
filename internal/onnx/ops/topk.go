package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// sortOps puts elements in order.
var sortOps = []Operator{
	{"", "TopK", 1, one, two, parseTopKAttribute},
	{"", "TopK", 10, two, two, parseTopK},
	{"", "NonMaxSuppression", 10, span{2, 5}, one, parseNonMaxSuppression},
}

// topK takes the first k elements of an axis in order. NaN is above every
// number. Of equal elements the one with the lower index comes first.
type topK struct {
	axis  int64
	k     integers
	least bool

	keys, winners, places int // scratch
}

// parseTopKAttribute reads TopK (ai.onnx 1).
func parseTopKAttribute(n *Node) Kernel {
	n.Need("k")
	t := &topK{axis: n.Int("axis", -1), k: fixedIntegers([]int64{n.Int("k", 0)})}
	return t.parse(n)
}

// parseTopK reads TopK (ai.onnx 10, 11, 24). Results that need not be sorted
// are sorted all the same.
func parseTopK(n *Node) Kernel {
	n.Elem(1, int64Elem...)
	t := &topK{axis: n.Int("axis", -1), k: integersOf(n, 1, int64Elem)}
	if n.Version >= 11 {
		n.Int("sorted", 1)
		t.least = n.Int("largest", 1) == 0
	}
	return t.parse(n)
}

func (t *topK) parse(n *Node) Kernel {
	d := n.Elem(0, numericElem...)
	in := &n.In[0].Type
	along := n.axisOf(t.axis, in)
	t.keys, t.winners, t.places = n.NeedScratch(), n.NeedScratch(), n.NeedScratch()
	if n.err != nil {
		return nil
	}
	moved(n, in.Dims, in.Ranked)
	if along >= 0 {
		k, known := t.k.oneKnown()
		if extent := in.Dims[along].Size; known && (k < 0 || extent >= 0 && k > int64(extent)) {
			n.Failf("%v", kFault(k, extent))
		}
		n.Out[0].Type.Dims[along] = free
		if known {
			n.Out[0].Type.Dims[along] = tensor.Dim{Size: int(k)}
		}
	}
	out := n.Out[0].Type
	out.Dims, out.Elem = slices.Clone(out.Dims), tensor.Int64
	n.SetOut(1, out)
	return t.kernel(d)
}

func kFault(k int64, extent int) error {
	return fault.Newf(fault.Content, "the first %d elements are asked for of an axis of extent %d", k, extent)
}

func (t *topK) kernel(d tensor.DType) Kernel {
	switch d {
	case tensor.Float32:
		return topKOf(t, sameKeys[float32])
	case tensor.Float64:
		return topKOf(t, sameKeys[float64])
	case tensor.Half:
		return topKOf(t, t.halfKeys)
	case tensor.Int8:
		return topKOf(t, sameKeys[int8])
	case tensor.Int16:
		return topKOf(t, sameKeys[int16])
	case tensor.Int32:
		return topKOf(t, sameKeys[int32])
	case tensor.Int64:
		return topKOf(t, sameKeys[int64])
	case tensor.Uint8:
		return topKOf(t, sameKeys[uint8])
	case tensor.Uint16:
		return topKOf(t, sameKeys[uint16])
	case tensor.Uint32:
		return topKOf(t, sameKeys[uint32])
	case tensor.Uint64:
		return topKOf(t, sameKeys[uint64])
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

func sameKeys[T interface {
	number
	tensor.Element
}](f *Frame) ([]T, error) { //nolint:unparam // halfKeys in its place can fail
	return Input[T](f, 0), nil
}

// halfKeys gives the elements as float32, which has the same order.
func (t *topK) halfKeys(f *Frame) ([]float32, error) {
	x := Input[tensor.Float16](f, 0)
	keys, err := Scratch[float32](f, t.keys, len(x))
	if err != nil {
		return nil, err
	}
	for i, h := range x {
		keys[i] = fromHalf(h)
	}
	return keys, nil
}

// topKOf is the kernel for elements whose order is that of keys.
func topKOf[T number](t *topK, keys func(f *Frame) ([]T, error)) Kernel {
	return func(ctx context.Context, f *Frame) error {
		along, k, err := t.shape(f)
		if err != nil || f.out[1].Len() == 0 {
			return err
		}
		all, err := keys(f)
		if err != nil {
			return err
		}
		shape := f.In(0).Shape()
		extent, inner := shape[along], strideAt(shape, along)
		memory, err := Scratch[int64](f, t.winners, 2*extent)
		if err != nil {
			return err
		}
		places, err := Scratch[int64](f, t.places, f.out[1].Len())
		if err != nil {
			return err
		}
		h := heap[T]{keys: all, stride: inner, least: t.least, places: memory[:k], rest: memory[k:]}
		if err := h.lanes(ctx, extent, tensor.Of[int64](f.out[1]), places); err != nil {
			return err
		}
		m := &movers[f.In(0).DType()]
		return m.take(ctx, f.out[0], 0, f.In(0), 0, places, 1)
	}
}

// shape gives the outputs their shape, and returns the axis and k.
func (t *topK) shape(f *Frame) (along, k int, err error) {
	x := f.In(0)
	if along = axisIn(t.axis, len(x.Shape())); along < 0 {
		return 0, 0, axisFault(t.axis, len(x.Shape()))
	}
	first, err := t.k.one(f, "k")
	if err != nil {
		return 0, 0, err
	}
	f.dims = append(f.dims[:0], x.Shape()...)
	if first < 0 || first > int64(f.dims[along]) {
		return 0, 0, kFault(first, f.dims[along])
	}
	f.dims[along] = int(first)
	if err := movers[x.DType()].output(f, 0, f.dims); err != nil {
		return 0, 0, err
	}
	_, err = Output[int64](f, 1, f.dims...)
	return along, int(first), err
}

// heap holds the places of the best keys so far, the worst of them first.
type heap[T number] struct {
	keys   []T
	stride int
	least  bool
	places []int64
	rest   []int64 // memory behind places, for as many as there are keys, twice
}

// lanes chooses from all lanes, of n keys each, and writes the indices along the
// axis and the places in memory.
func (h *heap[T]) lanes(ctx context.Context, n int, index, places []int64) error {
	all, inner, k, work := h.keys, h.stride, len(h.places), 0
	for outer := range len(all) / (n * inner) {
		for lane := range inner {
			if work += n; work >= chunk {
				if work = 0; ctx.Err() != nil {
					return ctx.Err()
				}
			}
			at, to := outer*n*inner+lane, outer*k*inner+lane
			h.keys = all[at:]
			if err := h.choose(ctx, n); err != nil {
				return err
			}
			for _, p := range h.places {
				index[to], places[to] = p, int64(at)+p*int64(inner)
				to += inner
			}
		}
	}
	return nil
}

func (h *heap[T]) key(place int64) T { return h.keys[int(place)*h.stride] }

// beats reports whether a comes strictly before b.
func (h *heap[T]) beats(a, b T) bool {
	if h.least {
		return a < b || a == a && b != b // NaN alone differs from itself
	}
	return a > b || a != a && b == b
}

// before reports whether place p comes before place q.
func (h *heap[T]) before(p, q int64) bool {
	a, b := h.key(p), h.key(q)
	return h.beats(a, b) || p < q && !h.beats(b, a)
}

// compare orders two places.
func (h *heap[T]) compare(p, q int64) int {
	if h.least {
		return nanLast(h.key(p), h.key(q))
	}
	return nanLast(h.key(q), h.key(p))
}

// choose leaves the best of n keys in order.
func (h *heap[T]) choose(ctx context.Context, n int) error {
	k := len(h.places)
	if k > max(1, n/8) { // then it is faster to sort them all
		all := h.places[:n]
		return sortPlaces(ctx, all, h.rest[n-k:], 1, h.compare)
	}
	for i := range h.places {
		h.places[i] = int64(i)
	}
	for i := k/2 - 1; i >= 0; i-- {
		if err := poll(ctx, i); err != nil {
			return err
		}
		h.sink(i, k)
	}
	for i := k; i < n; {
		end := min(i+chunk, n)
		if i = h.next(i, end); i < end {
			h.places[0] = int64(i)
			h.sink(0, k)
			i++
		}
		if i == end && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for end := k - 1; end > 0; end-- {
		if err := poll(ctx, end); err != nil {
			return err
		}
		h.places[0], h.places[end] = h.places[end], h.places[0]
		h.sink(0, end)
	}
	return nil
}

// next returns the first of the keys from i up to end that comes before the
// worst so far, or end. Of equal ones the earlier stays.
func (h *heap[T]) next(i, end int) int {
	worst := h.key(h.places[0])
	i = h.passed(i, end, worst)
	switch {
	case h.stride == 1 && h.least:
		for k, v := range h.keys[i:end] {
			if v >= worst { // the usual case
				continue
			}
			if h.beats(v, worst) {
				return i + k
			}
		}
	case h.stride == 1:
		for k, v := range h.keys[i:end] {
			if v <= worst {
				continue
			}
			if h.beats(v, worst) {
				return i + k
			}
		}
	default:
		for ; i < end; i++ {
			if h.beats(h.keys[i*h.stride], worst) {
				return i
			}
		}
		return i
	}
	return end
}

// passed returns from where on a key from i up to end may come before the worst: keys of
// float32 are passed over many at a time.
func (h *heap[T]) passed(i, end int, worst T) int {
	keys, ok := any(h.keys).([]float32)
	if !ok || h.stride != 1 {
		return i
	}
	if h.least {
		return i + linalg.UntilLess(keys[i:end], float32(worst))
	}
	return i + linalg.UntilMore(keys[i:end], float32(worst))
}

// sink moves the place at i down to where it belongs among the first n.
func (h *heap[T]) sink(i, n int) {
	for {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < n && h.before(h.places[worst], h.places[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		h.places[i], h.places[worst] = h.places[worst], h.places[i]
		i = worst
	}
}
