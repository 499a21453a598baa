package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// scatterOps changes elements that are named by their index.
var scatterOps = []Operator{
	{"", "Scatter", 9, span{3, 3}, one, parseScatterElements},
	{"", "ScatterElements", 11, span{3, 3}, one, parseScatterElements},
	{"", "ScatterND", 11, span{3, 3}, one, parseScatterND},
	{"", "TensorScatter", 24, span{2, 3}, one, parseTensorScatter},
}

// merge puts blocks of src, which follow each other, to places in dst, and
// reduces them with what is there.
type merge func(dst *tensor.Tensor, places []int64, src *tensor.Tensor, from, block int)

// mergeOf reads the attribute reduction, there from version 16 on.
func mergeOf(n *Node, d tensor.DType) merge {
	reduction := "none"
	if n.Version >= 16 {
		reduction = n.String("reduction", reduction)
	}
	if (reduction == "max" || reduction == "min") && n.Version < 18 {
		n.Failf("reduction %s is there from version 18 on", reduction)
	}
	if reduction == "none" {
		m := movers[d]
		return func(dst *tensor.Tensor, places []int64, src *tensor.Tensor, from, block int) {
			m.put(dst, places, src, from, block, block)
		}
	}
	f := merges[d][reduction]
	if f == nil && n.err == nil {
		n.Failf("reduction %q is not one of none, add, mul, max and min for elements of type %v", reduction, d)
	}
	return f
}

// merges are the reductions by element type.
var merges = [...]map[string]merge{
	tensor.Float32: numberMerges[float32](), tensor.Float64: numberMerges[float64](),
	tensor.Int8: numberMerges[int8](), tensor.Int16: numberMerges[int16](), tensor.Int32: numberMerges[int32](), tensor.Int64: numberMerges[int64](),
	tensor.Uint8: numberMerges[uint8](), tensor.Uint16: numberMerges[uint16](), tensor.Uint32: numberMerges[uint32](), tensor.Uint64: numberMerges[uint64](),
	tensor.Half: {
		"add": mergeBy(halfOp(func(a, b float32) float32 { return a + b })), "mul": mergeBy(halfOp(func(a, b float32) float32 { return a * b })),
		"max": mergeBy(halfOp(func(a, b float32) float32 { return max(a, b) })), "min": mergeBy(halfOp(func(a, b float32) float32 { return min(a, b) })),
	},
	tensor.Bool: {
		"add": mergeBy(func(a, b bool) bool { return a || b }), "mul": mergeBy(func(a, b bool) bool { return a && b }),
		"max": mergeBy(func(a, b bool) bool { return a || b }), "min": mergeBy(func(a, b bool) bool { return a && b }),
	},
}

func numberMerges[T interface {
	number
	tensor.Element
}]() map[string]merge {
	return map[string]merge{
		"add": mergeBy(func(a, b T) T { return a + b }), "mul": mergeBy(func(a, b T) T { return a * b }),
		"max": mergeBy(func(a, b T) T { return max(a, b) }), "min": mergeBy(func(a, b T) T { return min(a, b) }),
	}
}

func mergeBy[T tensor.Element](op func(a, b T) T) merge {
	return func(dst *tensor.Tensor, places []int64, src *tensor.Tensor, from, block int) {
		d, s := tensor.Of[T](dst), tensor.Of[T](src)[from:]
		for i, p := range places {
			to := d[p : int(p)+block]
			for k, v := range s[i*block : (i+1)*block] {
				to[k] = op(to[k], v)
			}
		}
	}
}

// scatter copies input 0 to output 0, and input 2 to the places in it.
func scatter(ctx context.Context, f *Frame, m mover, put merge, places []int64, block int) error {
	if err := m.move(ctx, f.out[0], 0, f.In(0), 0, f.In(0).Len()); err != nil {
		return err
	}
	if block == 0 {
		return nil
	}
	step := max(1, chunk/block)
	for at := 0; at < len(places); at += step {
		if at > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		put(f.out[0], places[at:min(at+step, len(places))], f.In(2), at*block, block)
	}
	return nil
}

// parseScatterElements reads Scatter (ai.onnx 9) and ScatterElements (ai.onnx
// 11, 13, 16, 18).
func parseScatterElements(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	n.Elem(2, d)
	l := lanesOf(n)
	put := mergeOf(n, d)
	if n.err != nil {
		return nil
	}
	if !n.In[1].Type.SameShape(&n.In[2].Type) {
		n.Failf("inputs 1 and 2 differ in shape; there must be an update for each index")
	}
	moved(n, n.In[0].Type.Dims, n.In[0].Type.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		if err := m.output(f, 0, f.In(0).Shape()); err != nil {
			return err
		}
		places, err := l.find(ctx, f)
		if err != nil {
			return err
		}
		if !slices.Equal(f.In(1).Shape(), f.In(2).Shape()) {
			return shapeFault("there must be an update for each index", f.In(2).Shape())
		}
		return scatter(ctx, f, m, put, places, 1)
	}
}

// parseScatterND reads ScatterND (ai.onnx 11, 13, 16, 18).
func parseScatterND(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	n.Elem(2, d)
	t := tuplesOf(n, 0)
	put := mergeOf(n, d)
	if n.err != nil {
		return nil
	}
	moved(n, n.In[0].Type.Dims, n.In[0].Type.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		shape, at := f.In(0).Shape(), f.In(1).Shape()
		size, err := t.check(shape, at)
		if err != nil {
			return err
		}
		f.dims = append(append(f.dims[:0], at[:len(at)-1]...), shape[size:]...)
		if !slices.Equal(f.dims, f.In(2).Shape()) {
			return shapeFault("there must be an update for each tuple of indices", f.In(2).Shape())
		}
		if err := m.output(f, 0, shape); err != nil {
			return err
		}
		places, block, err := t.find(ctx, f)
		if err != nil {
			return err
		}
		return scatter(ctx, f, m, put, places, block)
	}
}

// parseTensorScatter reads TensorScatter (ai.onnx 24): of each entry of the
// batch, input 1 replaces steps of input 0 from a step of its own on.
func parseTensorScatter(n *Node) Kernel {
	along := n.Int("axis", -2)
	mode := n.String("mode", "linear")
	if mode != "linear" && mode != "circular" {
		n.Failf("mode must be linear or circular")
	}
	d := n.Elem(0, anyElem...)
	n.Elem(1, d)
	starts := integersOf(n, 2, int64Elem)
	if n.axisOf(along, &n.In[0].Type) == 0 {
		n.Failf("axis 0 is the batch; another must be named")
	}
	if n.err != nil {
		return nil
	}
	moved(n, n.In[0].Type.Dims, n.In[0].Type.Ranked)
	m := movers[d]
	return func(ctx context.Context, f *Frame) error {
		at, err := starts.of(f)
		if err != nil {
			return err
		}
		shape := f.In(0).Shape()
		k := axisIn(along, len(shape))
		if k < 1 {
			return axisFault(along, len(shape))
		}
		if err := checkUpdate(shape, f.In(1).Shape(), k); err != nil {
			return err
		}
		if starts.given && len(at) != shape[0] {
			return fault.Newf(fault.Content, "there are %d indices to write at for a batch of %d", len(at), shape[0])
		}
		if err := m.output(f, 0, shape); err != nil || f.out[0].Len() == 0 {
			return err
		}
		if err := m.move(ctx, f.out[0], 0, f.In(0), 0, f.In(0).Len()); err != nil {
			return err
		}
		return writeSteps(ctx, f, m, at, k, mode == "circular")
	}
}

func checkUpdate(cache, update tensor.Shape, along int) error {
	if len(cache) != len(update) {
		return shapeFault("the update and what it changes differ in rank", update)
	}
	for k, n := range update {
		if k == along && n > cache[k] || k != along && n != cache[k] {
			return shapeFault("the update does not fit what it changes", update)
		}
	}
	return nil
}

// writeSteps copies the steps of input 1 to output 0, those of batch entry b
// from step at[b] on.
func writeSteps(ctx context.Context, f *Frame, m mover, at []int64, along int, circular bool) error {
	shape, update := f.In(0).Shape(), f.In(1).Shape()
	outer, inner := product(shape[1:along]), strideAt(shape, along)
	steps, most := update[along], shape[along]
	for b := range shape[0] {
		if err := poll(ctx, b); err != nil {
			return err
		}
		first := int64(0)
		if at != nil {
			first = at[b]
		}
		if circular {
			first = (first%int64(most) + int64(most)) % int64(most)
		}
		if first < 0 || first > int64(most) || !circular && int(first)+steps > most {
			return indexFault(first, most)
		}
		straight := min(steps, most-int(first)) // the others begin again at 0
		for _, part := range [2]struct{ to, from, n int }{{int(first), 0, straight}, {0, straight, steps - straight}} {
			v := f.view()
			v.to, v.from = (b*outer*most+part.to)*inner, (b*outer*steps+part.from)*inner
			v.add(outer, most*inner, steps*inner)
			v.add(part.n*inner, 1, 1)
			if err := m.walk(ctx, f.out[0], f.In(1), v); err != nil {
				return err
			}
		}
	}
	return nil
}
