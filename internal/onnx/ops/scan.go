package ops

import (
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// scan is a parsed Scan. Its body takes the states and a slice of each scan
// input, and makes the states and a slice of each scan output.
type scan struct {
	body    *Body
	states  []state
	inputs  []scanned
	outputs []scanned
	// first is the node's input that the first state is.
	first int
	// lead is 1 when axis 0 is that of a batch, whose entries are scanned one
	// by one, else 0.
	lead int
}

// scanned is a scan input or output.
type scanned struct {
	axis    int64
	reverse bool
	slice   int // scratch tensor
}

// plain reports whether the slices are along axis 0, from the first to the last.
func (s *scanned) plain() bool { return s.axis == 0 && !s.reverse }

// place returns which slice of n pass i has.
func (s *scanned) place(i, n int) int {
	if s.reverse {
		return n - 1 - i
	}
	return i
}

// parseScan reads Scan (ai.onnx 9, 11, 16).
func parseScan(n *Node) Kernel {
	s := &scan{}
	states, ok := s.count(n)
	if !ok {
		return nil
	}
	s.inputs = directed(n, len(n.In)-states, "scan_input_axes", "scan_input_directions")
	in := make([]Value, 0, len(n.In))
	for k := range states {
		in = append(in, plainState(n, k))
	}
	for k := range s.inputs {
		in = append(in, s.inputs[k].sliceOf(n, states+k))
	}
	out, ok := s.compile(n, in, states)
	if !ok {
		return nil
	}
	s.outputs = directed(n, out, "scan_output_axes", "scan_output_directions")
	extent := s.extent(n, states)
	for k := range s.states {
		n.SetOut(k, s.body.Out[k].Type)
	}
	for k := range s.outputs {
		elem := &s.body.Out[states+k].Type
		axis := 0
		if elem.Ranked {
			if axis = axisIn(s.outputs[k].axis, len(elem.Dims)+1); axis < 0 {
				n.Failf("axis %d of scan output %d is out of range", s.outputs[k].axis, k)
				return nil
			}
		}
		n.SetOut(states+k, stacked(elem, axis, extent))
	}
	if k := s.whole(n); k != nil {
		return k
	}
	return s.run
}

// whole returns the kernel of a Scan that is computed at once, or nil.
func (s *scan) whole(n *Node) Kernel {
	if n.err != nil || len(s.states) != 1 || len(s.inputs) != 1 || len(s.outputs) != 1 || !s.inputs[0].plain() || !s.outputs[0].plain() {
		return nil
	}
	if d := differencesOf(n.Graph("body")); d != nil {
		return d.kernel(n, s)
	}
	return nil
}

// count returns how many states the node has.
func (s *scan) count(n *Node) (int, bool) {
	n.Need("num_scan_inputs")
	scans := n.Int("num_scan_inputs", 0)
	if n.err != nil {
		return 0, false
	}
	if scans < 1 || scans > int64(len(n.In)-s.first) {
		n.Failf("num_scan_inputs is %d; it must be 1 to %d", scans, len(n.In)-s.first)
		return 0, false
	}
	return len(n.In) - s.first - int(scans), true
}

// directed returns count scan inputs or outputs, with the axes and directions
// that two attributes give.
func directed(n *Node, count int, axes, directions string) []scanned {
	a, d := n.Ints(axes), n.Ints(directions)
	if len(a) != 0 && len(a) != count || len(d) != 0 && len(d) != count {
		n.Failf("attributes %q and %q must have %d entries", axes, directions, count)
		return nil
	}
	list := make([]scanned, count)
	for k := range list {
		list[k].slice = n.NeedScratch()
		if len(a) > 0 {
			list[k].axis = a[k]
		}
		if len(d) > 0 {
			if d[k] != 0 && d[k] != 1 {
				n.Failf("a direction in %q is %d; it must be 0 or 1", directions, d[k])
			}
			list[k].reverse = d[k] == 1
		}
	}
	return list
}

// plainState returns what the body knows of a state, which keeps its extents.
func plainState(n *Node, i int) Value {
	d := n.Elem(i, anyElem...)
	if n.err != nil {
		return Value{}
	}
	t := n.In[i].Type
	if !t.Ranked {
		t = onnx.UnrankedTensor(d)
	}
	return Value{Type: t}
}

// sliceOf returns what the body knows of a slice of input i.
func (s *scanned) sliceOf(n *Node, i int) Value {
	d := n.Elem(i, anyElem...)
	if n.err != nil || !n.In[i].Type.Ranked {
		return Value{Type: onnx.UnrankedTensor(d)}
	}
	dims := n.In[i].Type.Dims
	axis := axisIn(s.axis, len(dims))
	if axis < 0 {
		n.Failf("axis %d is out of range for the %d axes of input %d", s.axis, len(dims), i)
		return Value{}
	}
	return Value{Type: onnx.TensorOf(d, slices.Delete(slices.Clone(dims), axis, axis+1)...)}
}

// compile compiles the body and returns how many scan outputs it makes.
func (s *scan) compile(n *Node, in []Value, states int) (int, bool) {
	if n.err != nil {
		return 0, false
	}
	s.body = n.Body("body", in...)
	if n.err != nil {
		return 0, false
	}
	if len(s.body.Out) < max(1, states) {
		n.Failf("the body has %d outputs for %d states", len(s.body.Out), states)
		return 0, false
	}
	for k := range s.body.Out {
		out := &s.body.Out[k]
		if k >= states {
			element(n, k-states, out)
			continue
		}
		s.states = append(s.states, newState(n, k, in[k], out))
		if n.err == nil && !in[k].Type.SameShape(&out.Type) {
			n.Failf("the body makes a %v of state %d, which is a %v", &out.Type, k, &in[k].Type)
		}
	}
	return len(s.body.Out) - states, n.err == nil
}

// extent returns the number of passes as far as it is known.
func (s *scan) extent(n *Node, states int) tensor.Dim {
	for k := range s.inputs {
		if t := &n.In[s.first+states+k].Type; t.Ranked {
			if axis := axisIn(s.inputs[k].axis, len(t.Dims)); axis >= 0 && t.Dims[axis].Size >= 0 {
				return t.Dims[axis]
			}
		}
	}
	return free
}
