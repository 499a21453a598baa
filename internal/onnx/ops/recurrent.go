package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// recurrentOps carry a state along a sequence.
var recurrentOps = []Operator{
	{"", "RNN", 7, span{3, 6}, span{1, 2}, parseRNN},
}

// rnn is RNN's attributes. Each direction has an activation.
type rnn struct {
	activations []activation
	reverse     []bool
	clip        float64 // of what the activations are given, 0 for none
	hidden      int     // 0: as many as R says
	batchFirst  bool

	lengths      bool // of the sequences, input 4
	state, after int  // scratch
}

// parseRNN reads RNN (ai.onnx 7, 14, 22): H' = f(X·Wᵀ + H·Rᵀ + Wb + Rb) for each
// step of X [seq_length, batch_size, input_size], or [batch_size, seq_length,
// input_size] with layout 1. Output 0 has all states and output 1 the last. It
// is computed in doubles; each state is rounded to the type of X.
func parseRNN(n *Node) Kernel {
	d := n.Elem(0, tensor.Float32, tensor.Float64)
	for _, i := range []int{1, 2, 3, 5} {
		if i < 3 || n.Has(i) {
			if e := n.Elem(i, tensor.Float32, tensor.Float64); e != d {
				n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
			}
		}
	}
	r := rnn{clip: float64(n.Float("clip", 0)), lengths: n.Has(4)}
	if r.lengths {
		n.Elem(4, tensor.Int32)
	}
	r.directions(n)
	r.activations = parseActivations(n, len(r.reverse))
	hidden := n.Int("hidden_size", 0)
	if hidden < 0 || hidden > tensor.MaxElements {
		n.Failf("attribute \"hidden_size\" is %d", hidden)
		hidden = 0
	}
	r.hidden = int(hidden)
	if n.Version >= 14 {
		r.batchFirst = n.Int("layout", 0) != 0
	}
	if n.err != nil {
		return nil
	}
	r.setOut(n, d)
	r.state, r.after = n.NeedScratch(), n.NeedScratch()
	if d == tensor.Float32 {
		return func(ctx context.Context, f *Frame) error { return runRNN[float32](ctx, &r, f) }
	}
	return func(ctx context.Context, f *Frame) error { return runRNN[float64](ctx, &r, f) }
}

func (r *rnn) directions(n *Node) {
	switch direction := n.String("direction", "forward"); direction {
	case "forward":
		r.reverse = []bool{false}
	case "reverse":
		r.reverse = []bool{true}
	case "bidirectional":
		r.reverse = []bool{false, true}
	default:
		n.Failf("attribute \"direction\" is %s; it must be forward, reverse or bidirectional", onnx.Quote(direction))
	}
}

// setOut sets the types of the outputs, as far as that of X tells.
func (r *rnn) setOut(n *Node, d tensor.DType) {
	seq, batch, hidden, ways := free, free, free, tensor.Dim{Size: len(r.reverse)}
	if t := &n.In[0].Type; t.Ranked {
		if len(t.Dims) != 3 {
			n.Failf("input 0 has %d axes; it needs 3", len(t.Dims))
			return
		}
		seq, batch = t.Dims[0], t.Dims[1]
	}
	if r.hidden > 0 {
		hidden = tensor.Dim{Size: r.hidden}
	}
	if r.batchFirst {
		seq, batch = batch, seq
		n.SetOut(0, onnx.TensorOf(d, batch, seq, ways, hidden))
		n.SetOut(1, onnx.TensorOf(d, batch, ways, hidden))
		return
	}
	n.SetOut(0, onnx.TensorOf(d, seq, ways, batch, hidden))
	n.SetOut(1, onnx.TensorOf(d, ways, batch, hidden))
}

// rnnExtents are the extents of a run.
type rnnExtents struct{ seq, batch, input, hidden, ways int }

// extents returns the extents of a run, after checking that all inputs have
// theirs.
func (r *rnn) extents(f *Frame) (rnnExtents, error) {
	x, recurrence := f.In(0).Shape(), f.In(2).Shape()
	if len(x) != 3 {
		return rnnExtents{}, shapeFault("RNN needs three axes", x)
	}
	if len(recurrence) != 3 {
		return rnnExtents{}, shapeFault("RNN needs R of three axes", recurrence)
	}
	e := rnnExtents{seq: x[0], batch: x[1], input: x[2], hidden: r.hidden, ways: len(r.reverse)}
	if r.batchFirst {
		e.seq, e.batch = x[1], x[0]
	}
	if e.hidden == 0 {
		e.hidden = recurrence[2]
	}
	state := tensor.Shape{e.ways, e.batch, e.hidden}
	if r.batchFirst {
		state = tensor.Shape{e.batch, e.ways, e.hidden}
	}
	for i, want := range []tensor.Shape{
		1: {e.ways, e.hidden, e.input}, 2: {e.ways, e.hidden, e.hidden}, 3: {e.ways, 2 * e.hidden}, 4: {e.batch}, 5: state,
	} {
		if t := f.In(i); i > 0 && t != nil && !slices.Equal(t.Shape(), want) {
			return e, fault.Newf(fault.Content, "input %d of RNN has shape %s; it needs %s",
				i, onnx.FormatShape(t.Shape()), onnx.FormatShape(want))
		}
	}
	return e, nil
}

// states returns where the state of a step stands in output 0, and where that
// before the first and after the last do, in elements.
func (r *rnn) states(e *rnnExtents, t, way, b int) (step, whole int) {
	if r.batchFirst {
		return ((b*e.seq+t)*e.ways + way) * e.hidden, (b*e.ways + way) * e.hidden
	}
	return ((t*e.ways+way)*e.batch + b) * e.hidden, (way*e.batch + b) * e.hidden
}

func runRNN[T float32 | float64](ctx context.Context, r *rnn, f *Frame) error {
	e, err := r.extents(f)
	if err != nil {
		return err
	}
	c := rnnCell[T]{rnn: r, e: &e, ctx: ctx, x: Input[T](f, 0), w: Input[T](f, 1), r: Input[T](f, 2)}
	all, last := []int{e.seq, e.ways, e.batch, e.hidden}, []int{e.ways, e.batch, e.hidden}
	if r.batchFirst {
		all, last = []int{e.batch, e.seq, e.ways, e.hidden}, []int{e.batch, e.ways, e.hidden}
	}
	if c.y, err = Output[T](f, 0, all...); err != nil {
		return err
	}
	if c.last, err = Output[T](f, 1, last...); err != nil {
		return err
	}
	if c.state, err = Scratch[T](f, r.state, e.hidden); err != nil {
		return err
	}
	if c.after, err = Scratch[T](f, r.after, e.hidden); err != nil {
		return err
	}
	if e.hidden == 0 {
		return nil // nothing to compute, however long the sequences are
	}
	if f.In(3) != nil {
		c.bias = Input[T](f, 3)
	}
	if f.In(5) != nil {
		c.initial = Input[T](f, 5)
	}
	clear(c.y) // what is beyond a sequence
	for way := range e.ways {
		for b := range e.batch {
			length := e.seq
			if r.lengths {
				length = int(Input[int32](f, 4)[b])
			}
			if length < 0 || length > e.seq {
				return fault.Newf(fault.Content, "sequence %d of RNN is said to have %d steps; it needs 0 to %d", b, length, e.seq)
			}
			if err := c.sequence(way, b, length); err != nil {
				return err
			}
		}
	}
	return nil
}

// rnnCell is what the steps of one run share.
type rnnCell[T float32 | float64] struct {
	*rnn

	e             *rnnExtents
	ctx           context.Context //nolint:containedctx // of one run
	x, w, r       []T
	bias, initial []T // nil for zeros
	y, last       []T
	state, after  []T
	work          poller
}

// sequence runs one sequence in one direction.
func (c *rnnCell[T]) sequence(way, b, length int) error {
	_, whole := c.states(c.e, 0, way, b)
	clear(c.state)
	if c.initial != nil {
		copy(c.state, c.initial[whole:whole+c.e.hidden])
	}
	for s := range length {
		t := s
		if c.reverse[way] {
			t = length - 1 - s
		}
		at := t*c.e.batch + b
		if c.batchFirst {
			at = b*c.e.seq + t
		}
		if err := c.step(way, c.x[at*c.e.input:(at+1)*c.e.input]); err != nil {
			return err
		}
		step, _ := c.states(c.e, t, way, b)
		copy(c.y[step:], c.state)
	}
	copy(c.last[whole:], c.state)
	return nil
}

// step replaces the state by the one after x.
func (c *rnnCell[T]) step(way int, x []T) error {
	h, f := c.e.hidden, c.activations[way]
	for i := range h {
		if err := c.work.spend(c.ctx, len(x)+h); err != nil {
			return err
		}
		row := way*h + i
		sum := dot64(c.w[row*len(x):(row+1)*len(x)], x) + dot64(c.r[row*h:(row+1)*h], c.state)
		if c.bias != nil {
			sum += float64(c.bias[2*way*h+i]) + float64(c.bias[2*way*h+h+i])
		}
		if c.clip > 0 {
			sum = max(-c.clip, min(c.clip, sum))
		}
		c.after[i] = T(f.of(sum, f.alpha, f.beta))
	}
	copy(c.state, c.after)
	return nil
}

func dot64[T float32 | float64](a, b []T) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}
