package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// sweep is one run of a Scan.
type sweep struct {
	*scan
	f       *Frame
	in, out []*tensor.Tensor
	passes  passes
	length  int // of the scan inputs
	batch   int // the entry of the batch, 0 without one
	batches int
	ready   bool // the scan outputs have their extents
}

func (s *scan) start(f *Frame) (sweep, error) {
	w := sweep{scan: s, f: f, passes: f.budget.passes(), length: -1, batches: 1}
	w.in, w.out = f.ports(len(s.body.In), len(s.body.Out))
	for k := range s.inputs {
		shape := w.scanInput(k).Shape()
		axis := axisIn(s.inputs[k].axis, len(shape))
		switch {
		case axis < s.lead:
			return w, shapeFault("it has no such axis to scan", shape)
		case w.length < 0:
			w.length = shape[axis]
		case w.length != shape[axis]:
			return w, shapeFault("inputs that are scanned together differ in length", shape)
		}
	}
	return w, nil
}

func (w *sweep) scanInput(k int) *tensor.Tensor { return w.f.In(w.first + len(w.states) + k) }

// run runs Scan from version 9 on.
func (s *scan) run(ctx context.Context, f *Frame) error {
	w, err := s.start(f)
	if err != nil {
		return err
	}
	defer clear(w.in) // which may hold what the caller gave
	for k := range s.states {
		w.in[k] = f.In(k)
	}
	for i := range w.length {
		if err := w.pass(ctx, i, w.length); err != nil {
			return err
		}
	}
	w.passes.end()
	for k := range s.states {
		if err := s.states[k].finish(ctx, f, k, w.in[k]); err != nil {
			return err
		}
	}
	return w.finish()
}

// pass runs the body on slice i of n.
func (w *sweep) pass(ctx context.Context, i, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, states := w.f, len(w.states)
	for k := range w.inputs {
		w.in[states+k] = &f.scratch[w.inputs[k].slice]
		if err := w.cut(ctx, w.in[states+k], w.scanInput(k), w.inputs[k].axis, w.inputs[k].place(i, n)); err != nil {
			return err
		}
	}
	for k := range w.states {
		if err := w.states[k].fits(k, w.in[k]); err != nil {
			return err
		}
		w.out[k] = w.states[k].target(f, k, int64(i))
	}
	for k := range w.outputs {
		w.out[states+k] = &f.scratch[w.outputs[k].slice]
	}
	if err := f.run(ctx, w.body, w.in, w.out); err != nil {
		return err
	}
	copy(w.in[:states], w.out)
	if err := w.paste(ctx, i, n); err != nil {
		return err
	}
	return w.passes.next()
}

// cut makes dst slice t along an axis of src, in the entry of the batch.
func (w *sweep) cut(ctx context.Context, dst, src *tensor.Tensor, axis int64, t int) error {
	m, shape := movers[src.DType()], src.Shape()
	along := axisIn(axis, len(shape))
	w.f.dims = append(append(w.f.dims[:0], shape[w.lead:along]...), shape[along+1:]...)
	if err := m.reset(w.f, dst, w.f.dims); err != nil {
		return err
	}
	outer, inner := product(shape[w.lead:along]), product(shape[along+1:])
	v := w.f.view()
	v.from = (w.batch*outer*shape[along] + t) * inner
	v.add(outer, inner, shape[along]*inner)
	v.add(inner, 1, 1)
	return m.walk(ctx, dst, src, v)
}

// paste brings the slices that pass i of n made to the scan outputs.
func (w *sweep) paste(ctx context.Context, i, n int) error {
	if !w.ready {
		w.ready = true
		if err := w.f.budget.holding(w.size); err != nil {
			return err
		}
	}
	for k := range w.outputs {
		elem, out := w.out[len(w.states)+k], w.f.out[len(w.states)+k]
		shape := out.Shape()[w.lead:]
		along := axisIn(w.outputs[k].axis, len(elem.Shape())+1)
		if along < 0 || len(shape) != len(elem.Shape())+1 ||
			!slices.Equal(shape[:along], elem.Shape()[:along]) || !slices.Equal(shape[along+1:], elem.Shape()[along:]) {
			return shapeFault("the slices of a scan output must agree", elem.Shape())
		}
		m, outer, inner := movers[elem.DType()], product(shape[:along]), product(shape[along+1:])
		v := w.f.view()
		v.to = (w.batch*outer*shape[along] + w.outputs[k].place(i, n)) * inner
		v.add(outer, shape[along]*inner, inner)
		v.add(inner, 1, 1)
		if err := m.walk(ctx, out, elem, v); err != nil {
			return err
		}
	}
	return nil
}

// size gives the scan outputs the extents that their first slices imply.
func (w *sweep) size() error {
	for k := range w.outputs {
		elem, at := w.out[len(w.states)+k], len(w.states)+k
		along := axisIn(w.outputs[k].axis, len(elem.Shape())+1)
		if along < 0 {
			return shapeFault("it has no such axis to put slices together on", elem.Shape())
		}
		dims := w.f.dims[:0]
		if w.lead > 0 {
			dims = append(dims, w.batches)
		}
		dims = append(append(append(dims, elem.Shape()[:along]...), w.length), elem.Shape()[along:]...)
		w.f.dims = dims
		m := movers[elem.DType()]
		if err := m.output(w.f, at, dims); err != nil {
			return err
		}
		if w.lead > 0 { // an entry may be shorter
			m.clear(w.f.out[at], 0, w.f.out[at].Len())
		}
	}
	return nil
}

// finish makes the scan outputs when no pass did.
func (w *sweep) finish() error {
	for k := range w.outputs {
		if w.ready {
			return nil
		}
		at := len(w.states) + k
		elem := w.body.hint(at)
		if err := nothing(w.f, at, elem, max(0, axisIn(w.outputs[k].axis, len(elem.Dims)+1))); err != nil {
			return err
		}
	}
	return nil
}

// runBatch runs Scan of version 8. initial are the scratch tensors of an
// entry's states.
func (s *scan) runBatch(ctx context.Context, f *Frame, initial []int) error {
	w, err := s.start(f)
	if err != nil {
		return err
	}
	defer clear(w.in)
	w.batches = w.scanInput(0).Shape()[0]
	for i := 1; i < f.Inputs(); i++ {
		if shape := f.In(i).Shape(); len(shape) == 0 || shape[0] != w.batches {
			return shapeFault("states and scan inputs must have the same batch as axis 0", shape)
		}
	}
	for w.batch = range w.batches {
		n, err := w.entryLength()
		if err != nil {
			return err
		}
		for k := range initial {
			w.in[k] = &f.scratch[initial[k]]
			if err := entry(f, w.in[k], f.In(1+k), w.batch); err != nil {
				return err
			}
		}
		for i := range n {
			if err := w.pass(ctx, i, n); err != nil {
				return err
			}
		}
		for k := range s.states {
			if err := w.putState(k); err != nil {
				return err
			}
		}
	}
	w.passes.end()
	return w.finishBatch()
}

// entryLength returns how many slices the current entry of the batch has.
func (w *sweep) entryLength() (int, error) {
	if w.f.In(0) == nil {
		return w.length, nil
	}
	lengths := Input[int64](w.f, 0)
	if len(lengths) != w.batches || lengths[w.batch] < 0 || lengths[w.batch] > int64(w.length) {
		return 0, fault.Newf(fault.Content, "sequence_lens must have a length of at most %d for each of %d sequences", w.length, w.batches)
	}
	return int(lengths[w.batch]), nil
}

// entry makes dst entry b of the batch src.
func entry(f *Frame, dst, src *tensor.Tensor, b int) error {
	m, shape := movers[src.DType()], src.Shape()[1:]
	err := m.reset(f, dst, shape)
	if err == nil {
		m.copy(dst, 0, src, b*product(shape), product(shape))
	}
	return err
}

// putState brings a state to its entry of the output.
func (w *sweep) putState(k int) error {
	last, out := w.in[k], w.f.out[k]
	m := movers[last.DType()]
	if w.batch == 0 {
		w.f.dims = append(append(w.f.dims[:0], w.batches), last.Shape()...)
		if err := w.f.budget.holding(func() error { return m.output(w.f, k, w.f.dims) }); err != nil {
			return err
		}
	}
	if !slices.Equal(out.Shape()[1:], last.Shape()) {
		return shapeFault("a state must have the same shape for every sequence", last.Shape())
	}
	m.copy(out, w.batch*last.Len(), last, 0, last.Len())
	return nil
}

// finishBatch makes the outputs of a batch that has no entry or no slice.
func (w *sweep) finishBatch() error {
	for k := range w.f.out {
		switch {
		case k < len(w.states) && w.batches == 0:
			if err := nothing(w.f, k, w.body.hint(k), 0); err != nil {
				return err
			}
		case k >= len(w.states) && !w.ready:
			if err := w.zeros(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// zeros makes output k what a scan output of no slice is.
func (w *sweep) zeros(k int) error {
	elem := w.body.hint(k)
	w.f.dims = append(w.f.dims[:0], w.batches, w.length)
	for _, d := range elem.Dims {
		w.f.dims = append(w.f.dims, max(0, d.Size))
	}
	m := movers[elem.Elem]
	err := m.output(w.f, k, w.f.dims)
	if err == nil {
		m.clear(w.f.out[k], 0, w.f.out[k].Len())
	}
	return err
}

// parseScan8 reads Scan (ai.onnx 8), which has a batch: every state and scan
// input has it as axis 0, every scan input has its sequence as axis 1, and
// input 0 may say how long each entry's sequence is. Scan outputs have zeros
// behind the end of a shorter sequence.
func parseScan8(n *Node) Kernel {
	s := &scan{first: 1, lead: 1}
	if n.Has(0) {
		n.Elem(0, tensor.Int64)
	}
	states, ok := s.count(n)
	if !ok {
		return nil
	}
	if s.inputs = directed(n, len(n.In)-1-states, "", "directions"); n.err != nil {
		return nil
	}
	in := make([]Value, 0, len(n.In))
	for k := range n.In[1:] {
		v := (&scanned{}).sliceOf(n, 1+k) // one entry of the batch
		if k >= states {
			s.inputs[k-states].axis = 1
			v = behind(n, 1+k, v)
		}
		in = append(in, v)
	}
	out, ok := s.compile(n, in, states)
	if !ok {
		return nil
	}
	s.outputs = directed(n, out, "", "")
	for k := range s.body.Out {
		t := &s.body.Out[k].Type
		if k >= states {
			inner := stacked(t, 0, s.extent(n, states))
			t = &inner
		}
		n.SetOut(k, stacked(t, 0, free))
	}
	initial := make([]int, states)
	for k := range initial {
		initial[k], s.states[k].home = n.NeedScratch(), n.NeedScratch()
	}
	return func(ctx context.Context, f *Frame) error { return s.runBatch(ctx, f, initial) }
}

// behind returns what the body knows of a slice of input i, of which v is an
// entry of the batch: without its first axis.
func behind(n *Node, i int, v Value) Value {
	if !v.Type.Ranked {
		return v
	}
	if len(v.Type.Dims) == 0 {
		n.Failf("input %d has no sequence to scan", i)
		return v
	}
	return Value{Type: onnx.TensorOf(v.Type.Elem, v.Type.Dims[1:]...)}
}
