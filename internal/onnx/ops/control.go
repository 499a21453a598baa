package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// controlOps runs subgraphs.
var controlOps = []Operator{
	{"", "If", 1, one, span{1, variadic}, parseIf},
	{"", "Loop", 1, span{0, variadic}, span{1, variadic}, parseLoop},
	{"", "Scan", 8, span{2, variadic}, span{1, variadic}, parseScan8},
	{"", "Scan", 9, span{1, variadic}, span{1, variadic}, parseScan},
}

// single returns the one element of input i.
func single[T tensor.Element](f *Frame, i int) (T, error) { return onlyElement[T](f.In(i)) }

func onlyElement[T tensor.Element](t *tensor.Tensor) (T, error) {
	if x := tensor.Of[T](t); len(x) == 1 {
		return x[0], nil
	}
	var none T
	return none, shapeFault("it must have one element", t.Shape())
}

// parseIf reads If (ai.onnx 1, 11, 13, 16). Of a condition that is constant
// only the branch that is taken is compiled.
func parseIf(n *Node) Kernel {
	n.Elem(0, tensor.Bool)
	n.Graph("then_branch") // both must be there
	n.Graph("else_branch")
	if n.err != nil {
		return nil
	}
	if c := n.In[0].Const; c != nil {
		return ifConstant(n, c)
	}
	then, other := n.Body("then_branch"), n.Body("else_branch")
	if n.err != nil {
		return nil
	}
	if len(then.Out) != len(other.Out) {
		n.Failf("then_branch has %d outputs, else_branch %d; they must agree", len(then.Out), len(other.Out))
		return nil
	}
	for i := range then.Out {
		a, b := &then.Out[i], &other.Out[i]
		if !a.Type.SameKind(&b.Type) {
			n.Failf("output %d is a %v of then_branch and a %v of else_branch; they must agree", i, &a.Type, &b.Type)
			return nil
		}
		n.SetOut(i, union(&a.Type, &b.Type))
		if a.Keys == b.Keys {
			n.SetClasses(i, a.Keys)
		}
	}
	return func(ctx context.Context, f *Frame) error {
		taken := other
		if cond, err := single[bool](f, 0); err != nil {
			return err
		} else if cond {
			taken = then
		}
		return f.run(ctx, taken, nil, f.out)
	}
}

func ifConstant(n *Node, cond *tensor.Tensor) Kernel {
	taken, err := onlyElement[bool](cond)
	if err != nil {
		n.Failf("its condition must have one element")
		return nil
	}
	name := "else_branch"
	if taken {
		name = "then_branch"
	}
	b := n.Body(name)
	if n.err != nil {
		return nil
	}
	for i := range b.Out {
		n.SetOut(i, b.Out[i].Type)
		n.SetClasses(i, b.Out[i].Keys)
		n.Out[i].Decision = b.Out[i].Decision
	}
	return func(ctx context.Context, f *Frame) error { return f.run(ctx, b, nil, f.out) }
}

// union returns the type of what is of type a or of type b, which differ in
// extents alone.
func union(a, b *onnx.Type) onnx.Type {
	t := *a
	if t.Inner != nil && b.Inner != nil {
		inner := union(a.Inner, b.Inner)
		t.Inner = &inner
	}
	if !a.Ranked || !b.Ranked || len(a.Dims) != len(b.Dims) {
		t.Dims, t.Ranked = nil, false
		return t
	}
	t.Dims = make([]tensor.Dim, len(a.Dims))
	for i := range t.Dims {
		t.Dims[i] = free
		if a.Dims[i] == b.Dims[i] {
			t.Dims[i] = a.Dims[i]
		}
	}
	return t
}

// loose returns t without extents.
func loose(t *onnx.Type) onnx.Type {
	l := *t
	l.Dims, l.Ranked = nil, false
	if t.Inner != nil {
		inner := loose(t.Inner)
		l.Inner = &inner
	}
	return l
}

// state is a value that a loop carries from one pass to the next.
type state struct {
	in Value // of the body
	// spare is the scratch tensor that takes turns with the output, or with the
	// scratch tensor home when that is not -1.
	spare, home int
	// wraps says that an optional is carried of which the body makes the
	// value; wrapped is the scratch tensor for it.
	wraps   bool
	wrapped int
}

// newState checks what the body makes of a state and returns it.
func newState(n *Node, k int, in Value, out *Value) state {
	s := state{in: in, spare: n.NeedScratch(), home: -1}
	if !in.Type.SameKind(&out.Type) {
		s.wraps = in.Type.Of == onnx.OptionalType && in.Type.Inner.SameKind(&out.Type)
		if !s.wraps {
			n.Failf("the body makes a %v of state %d, which is a %v", &out.Type, k, &in.Type)
		}
		s.wrapped = n.NeedScratch()
	}
	return s
}

// fits checks the extents of a state, which the body was compiled for.
func (s *state) fits(k int, t *tensor.Tensor) error {
	if !s.in.Type.Ranked || s.in.Type.Of != onnx.TensorType {
		return nil
	}
	shape, dims := t.Shape(), s.in.Type.Dims
	ok := len(shape) == len(dims)
	for i := 0; ok && i < len(dims); i++ {
		ok = dims[i].Size < 0 || dims[i].Size == shape[i]
	}
	if !ok {
		return fault.Newf(fault.Content, "state %d has shape %s; the body takes %s", k, onnx.FormatShape(shape), onnx.FormatDims(dims))
	}
	return nil
}

// target returns where pass i writes the state: to the node's output and to
// the spare tensor in turns, so that it never writes what it reads.
func (s *state) target(f *Frame, out int, i int64) *tensor.Tensor {
	switch {
	case i%2 != 0:
		return &f.scratch[s.spare]
	case s.home >= 0:
		return &f.scratch[s.home]
	}
	return f.out[out]
}

// next returns what the next pass reads, of what a pass has written.
func (s *state) next(ctx context.Context, f *Frame, made *tensor.Tensor) (*tensor.Tensor, error) {
	if !s.wraps {
		return made, nil
	}
	value, err := f.Keep(ctx, made)
	if err != nil {
		return nil, err
	}
	list, err := f.resetList(&f.scratch[s.wrapped], tensor.KindOptional, 1)
	if err == nil {
		list[0] = value
	}
	return &f.scratch[s.wrapped], err
}

// finish brings the state of the last pass to the output.
func (s *state) finish(ctx context.Context, f *Frame, out int, last *tensor.Tensor) error {
	if s.wraps {
		if items := last.Items(); len(items) == 1 {
			last = items[0]
		} else {
			return fault.New(fault.Content, "an optional without a value leaves the loop as one")
		}
	}
	var err error
	if last != f.out[out] {
		err = f.assign(ctx, f.out[out], last)
	}
	tensor.Clear(&f.scratch[s.spare])
	return err
}

// element checks that a body makes a tensor to be put together with those of
// other passes.
func element(n *Node, k int, out *Value) {
	if out.Type.Of != onnx.TensorType {
		n.Failf("the body makes a %v of scan output %d; it must be a tensor", &out.Type, k)
	}
}

// stacked returns the type of elements put together along a new axis.
func stacked(elem *onnx.Type, axis int, extent tensor.Dim) onnx.Type {
	if !elem.Ranked || axis < 0 || axis > len(elem.Dims) {
		return onnx.UnrankedTensor(elem.Elem)
	}
	dims := append(append(append([]tensor.Dim{}, elem.Dims[:axis]...), extent), elem.Dims[axis:]...)
	return onnx.TensorOf(elem.Elem, dims...)
}

// nothing makes output i what no element at all gives along axis, with the
// extents of an element as far as they are known.
func nothing(f *Frame, i int, elem *onnx.Type, axis int) error {
	f.dims = f.dims[:0]
	for _, d := range elem.Dims {
		f.dims = append(f.dims, max(0, d.Size))
	}
	if axis > len(f.dims) {
		axis = 0
	}
	f.dims = append(f.dims, 0)
	copy(f.dims[axis+1:], f.dims[axis:])
	f.dims[axis] = 0
	return movers[elem.Elem].output(f, i, f.dims)
}
