package ops

import (
	"context"
	"math"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// differences is what the body of a Scan does by which skl2onnx compares rows: the
// state x [N, F] stays what it is, and each slice v [F] of the scan input gives [N],
// the sums over the features of the squares of x-v, of their magnitudes, or of powers
// of these. Such a Scan is computed at once, not pass by pass.
type differences struct {
	squared bool
	power   float64 // of the magnitudes
}

// differencesOf returns what the body of a Scan with one state and one scan input
// does, nil when that is something else.
func differencesOf(g *onnx.Graph) *differences {
	b := bodyReader{makers: map[string]*onnx.Node{}, constants: map[string]*tensor.Tensor{}}
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			b.makers[name] = n
		}
	}
	for _, i := range g.Initializers {
		b.constants[i.Name] = i.Tensor
	}
	in := g.Parameters()
	if len(in) != 2 || len(g.Outputs) != 2 || b.source(g.Outputs[0].Name) != in[0].Name {
		return nil
	}
	d := &differences{power: 1}
	at := ""
	if n := b.maker(g.Outputs[1].Name, "ReduceSumSquare"); b.sumsColumns(n) {
		d.squared, at = true, n.Inputs[0]
	} else if n := b.maker(g.Outputs[1].Name, "ReduceSum"); b.sumsColumns(n) {
		at = b.magnitudes(n.Inputs[0], d)
	}
	sub := b.maker(at, "Sub")
	if sub == nil || len(sub.Attributes) > 0 || b.source(sub.Inputs[0]) != in[0].Name || b.source(sub.Inputs[1]) != in[1].Name {
		return nil
	}
	return d
}

// bodyReader follows the values of a graph back to what they are made of.
type bodyReader struct {
	makers    map[string]*onnx.Node
	constants map[string]*tensor.Tensor
}

// source returns the name of the value that a name stands for, behind Identity.
func (b *bodyReader) source(name string) string {
	for {
		n := b.makers[name]
		if n == nil || n.Domain != "" || n.Op != "Identity" {
			return name
		}
		name = n.Inputs[0]
	}
}

// maker returns the node of ONNX's own operator op that makes a value, or nil.
func (b *bodyReader) maker(name, op string) *onnx.Node {
	n := b.makers[b.source(name)]
	if n == nil || n.Domain != "" || n.Op != op {
		return nil
	}
	return n
}

// sumsColumns reports whether a node reduces axis 1 and leaves it out.
func (b *bodyReader) sumsColumns(n *onnx.Node) bool {
	if n == nil {
		return false
	}
	keep, axes := int64(1), []int64(nil)
	for i := range n.Attributes {
		switch a := &n.Attributes[i]; a.Name {
		case "keepdims":
			keep = a.Int
		case "axes":
			axes = a.Ints
		}
	}
	if len(n.Inputs) == 2 {
		if t := b.constants[n.Inputs[1]]; t != nil && t.DType() == tensor.Int64 {
			axes = tensor.Of[int64](t)
		}
	}
	return keep == 0 && slices.Equal(axes, []int64{1})
}

// magnitudes returns of what a value is the magnitudes, raised to a power that it
// sets in d; "" when it is not.
func (b *bodyReader) magnitudes(name string, d *differences) string {
	if n := b.maker(name, "Pow"); n != nil {
		exponent, ok := b.number(n.Inputs[1])
		if !ok || len(n.Attributes) > 0 {
			return ""
		}
		name, d.power = n.Inputs[0], exponent
	}
	if n := b.maker(name, "Abs"); n != nil {
		return n.Inputs[0]
	}
	return ""
}

// number returns the only element of a constant of floats.
func (b *bodyReader) number(name string) (float64, bool) {
	t := b.constants[name]
	switch {
	case t == nil || t.Len() != 1 || len(t.Shape()) > 1:
		return 0, false
	case t.DType() == tensor.Float32:
		return float64(tensor.Of[float32](t)[0]), true
	case t.DType() == tensor.Float64:
		return tensor.Of[float64](t)[0], true
	}
	return 0, false
}

// kernel returns the kernel of the node, or nil for elements of another type than
// float32 and float64.
func (d *differences) kernel(n *Node, s *scan) Kernel {
	if n.In[0].Type.Elem != n.In[1].Type.Elem {
		return nil
	}
	switch n.In[0].Type.Elem { //nolint:exhaustive // the body computes the others
	case tensor.Float32:
		return compareRows(n, s, d, differenceSums(d, func(x []float32) { linalg.Powers(x, x, d.power) }))
	case tensor.Float64:
		return compareRows(n, s, d, differenceSums(d, func(x []float64) {
			for i, v := range x {
				x[i] = powerOf(v, d.power)
			}
		}))
	}
	return nil
}

// differenceSums returns what makes the sum for two rows, in room for a third, which
// would stand at place at of the differences. It has the bits of the body's operators,
// one after the other.
func differenceSums[T floating](d *differences, raise func([]T)) func(room, x, v []T, at int) T {
	if d.squared {
		return func(room, x, v []T, at int) T {
			subRow(room, x, v)
			var sum [1]T
			squaresInOrder(sum[:], room, len(room), at)
			return sum[0]
		}
	}
	return func(room, x, v []T, at int) T {
		if !singles(linalg.Apart, room, x, v) {
			for i, v := range v {
				room[i] = T(math.Abs(float64(x[i] - v)))
			}
		}
		if d.power != 1 {
			raise(room)
		}
		var sum [1]T
		alignedLanes(sum[:], room, len(room), at)
		return sum[0]
	}
}

// compareRows returns the kernel that compares rows: many side by side where linalg does
// so, else by sum. Where rows have not the features of the slices, as broadcasting
// allows, or there are none, the body runs.
func compareRows[T floating](n *Node, s *scan, d *differences, sum func(room, x, v []T, at int) T) Kernel {
	scratch := n.NeedScratch()
	measure := linalg.SumOfMagnitudes
	if d.squared {
		measure = linalg.SumOfSquares
	}
	return func(ctx context.Context, f *Frame) error {
		from, to := f.In(0).Shape(), f.In(1).Shape()
		if len(from) != 2 || len(to) != 2 || from[1] != to[1] || f.In(0).Len() == 0 || to[0] == 0 {
			return s.run(ctx, f)
		}
		features := from[1]
		if err := s.states[0].fits(0, f.In(0)); err != nil {
			return err
		}
		dst, err := Output[T](f, 1, to[0], from[0])
		if err != nil {
			return err
		}
		x, v := Input[T](f, 0), Input[T](f, 1)
		needs, aside := features, d.power == 1 && features <= linalg.MaxFeatures
		if aside {
			needs = linalg.DifferencesLen[T](measure, from[0], features)
		}
		room, err := Scratch[T](f, scratch, needs)
		if err != nil {
			return err
		}
		if aside {
			err = linalg.Differences(ctx, measure, dst, v, x, features, room)
		} else {
			err = compareOneByOne(ctx, dst, v, x, room, sum)
		}
		if err != nil {
			return err
		}
		return s.states[0].finish(ctx, f, 0, f.In(0))
	}
}

// compareOneByOne sets dst to the sum for each row of v and each of x, which are as long
// as the room.
func compareOneByOne[T floating](ctx context.Context, dst, v, x, room []T, sum func(room, x, v []T, at int) T) error {
	work, features := 0, len(room)
	for ; len(v) > 0; v = v[features:] {
		for at := 0; at < len(x); at += features {
			if err := watch(ctx, &work, features); err != nil {
				return err
			}
			dst[0] = sum(room, x[at:at+features], v[:features], at)
			dst = dst[1:]
		}
	}
	return nil
}
