package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// sequenceOps makes sequences and takes them apart, and optionals too.
var sequenceOps = []Operator{
	{"", "SequenceConstruct", 11, span{1, variadic}, one, parseSequenceConstruct},
	{"", "SequenceEmpty", 11, span{}, one, parseSequenceEmpty},
	{"", "SequenceAt", 11, two, one, parseSequenceAt},
	{"", "SequenceInsert", 11, span{2, 3}, one, parseSequenceInsert},
	{"", "SequenceErase", 11, span{1, 2}, one, parseSequenceErase},
	{"", "SequenceLength", 11, one, one, parseSequenceLength},
	{"", "SplitToSequence", 11, span{1, 2}, one, parseSplitToSequence},
	{"", "ConcatFromSequence", 11, one, one, parseConcatFromSequence},
	{"", "SequenceMap", 17, span{1, variadic}, span{1, variadic}, parseSequenceMap},
	{"", "Optional", 15, span{0, 1}, one, parseOptional},
	{"", "OptionalHasElement", 15, span{0, 1}, one, parseOptionalHasElement},
	{"", "OptionalGetElement", 15, one, one, parseOptionalGetElement},
}

// parseSequenceConstruct reads SequenceConstruct (ai.onnx 11).
func parseSequenceConstruct(n *Node) Kernel {
	d := n.Elem(0, anyElem...)
	for i := range n.In {
		if e := n.Elem(i, anyElem...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
	}
	if n.err != nil {
		return nil
	}
	elem := n.In[0].Type
	for i := range n.In {
		elem = union(&elem, &n.In[i].Type)
	}
	n.SetOut(0, onnx.SequenceOf(elem))
	n.Out[0].Items = len(n.In)
	return func(ctx context.Context, f *Frame) error {
		items, err := f.OutputList(0, tensor.KindSequence, f.Inputs())
		for i := 0; err == nil && i < len(items); i++ {
			items[i], err = f.Keep(ctx, f.In(i))
		}
		return err
	}
}

// parseSequenceEmpty reads SequenceEmpty (ai.onnx 11).
func parseSequenceEmpty(n *Node) Kernel {
	d := n.Int("dtype", int64(tensor.Float32))
	if d < 0 || d > 255 || !tensor.DType(d).Valid() {
		n.Failf("dtype %d is not supported", d)
		return nil
	}
	n.SetOut(0, onnx.SequenceOf(onnx.UnrankedTensor(tensor.DType(d))))
	return func(_ context.Context, f *Frame) error {
		_, err := f.OutputList(0, tensor.KindSequence, 0)
		return err
	}
}

// position reads the input that is a place in a sequence.
type position struct {
	input int
	int32 bool
}

func readPosition(n *Node, i int) position {
	return position{input: i, int32: n.Elem(i, tensor.Int32, tensor.Int64) == tensor.Int32}
}

// of returns the place that is meant among count, negative ones from the end.
func (p position) of(f *Frame, count int) (int, error) {
	var at int64
	var err error
	if p.int32 {
		var narrow int32
		narrow, err = single[int32](f, p.input)
		at = int64(narrow)
	} else {
		at, err = single[int64](f, p.input)
	}
	if err != nil {
		return 0, err
	}
	i := axisIn(at, count)
	if i < 0 {
		return 0, fault.Newf(fault.Content, "position %d is out of range for %d elements", at, count)
	}
	return i, nil
}

// parseSequenceAt reads SequenceAt (ai.onnx 11).
func parseSequenceAt(n *Node) Kernel {
	elem, p := n.Sequence(0), readPosition(n, 1)
	n.SetOut(0, elem)
	return func(ctx context.Context, f *Frame) error {
		items := f.Items(0)
		i, err := p.of(f, len(items))
		if err != nil {
			return err
		}
		return f.assign(ctx, f.out[0], items[i])
	}
}

// parseSequenceInsert reads SequenceInsert (ai.onnx 11). The position may be
// the one behind the last element, which is the default.
func parseSequenceInsert(n *Node) Kernel {
	elem := n.Sequence(0)
	if !n.Has(1) || n.err != nil {
		n.Failf("input 1 is missing")
		return nil
	}
	if !elem.SameKind(&n.In[1].Type) {
		n.Failf("a %v cannot be inserted into a sequence of %v", &n.In[1].Type, &elem)
	}
	var p position
	if n.Has(2) {
		p = readPosition(n, 2)
	}
	n.SetOut(0, onnx.SequenceOf(union(&elem, &n.In[1].Type)))
	return func(ctx context.Context, f *Frame) error {
		from := f.Items(0)
		at := len(from)
		if f.In(2) != nil {
			var err error
			if at, err = p.insertion(f, len(from)); err != nil {
				return err
			}
		}
		items, err := f.OutputList(0, tensor.KindSequence, len(from)+1)
		if err != nil {
			return err
		}
		copy(items, from[:at])
		copy(items[at+1:], from[at:])
		items[at], err = f.Keep(ctx, f.In(1))
		return err
	}
}

// insertion is of for a place to insert at, which may also be behind the last
// of count elements.
func (p position) insertion(f *Frame, count int) (int, error) {
	if p.int32 {
		if at, err := single[int32](f, p.input); err == nil && int(at) == count {
			return count, nil
		}
	} else if at, err := single[int64](f, p.input); err == nil && at == int64(count) {
		return count, nil
	}
	return p.of(f, count)
}

// parseSequenceErase reads SequenceErase (ai.onnx 11). By default the last
// element goes.
func parseSequenceErase(n *Node) Kernel {
	elem := n.Sequence(0)
	var p position
	if n.Has(1) {
		p = readPosition(n, 1)
	}
	n.SetOut(0, onnx.SequenceOf(elem))
	return func(_ context.Context, f *Frame) error {
		from := f.Items(0)
		at, err := len(from)-1, error(nil)
		if f.In(1) != nil {
			at, err = p.of(f, len(from))
		}
		switch {
		case err != nil:
			return err
		case at < 0:
			return fault.New(fault.Content, "the sequence has no element to erase")
		}
		items, err := f.OutputList(0, tensor.KindSequence, len(from)-1)
		if err == nil {
			copy(items, from[:at])
			copy(items[at:], from[at+1:])
		}
		return err
	}
}

// parseSequenceLength reads SequenceLength (ai.onnx 11).
func parseSequenceLength(n *Node) Kernel {
	n.Sequence(0)
	n.SetOut(0, onnx.TensorOf(tensor.Int64))
	return func(_ context.Context, f *Frame) error {
		dst, err := Output[int64](f, 0)
		if err == nil {
			dst[0] = int64(len(f.Items(0)))
		}
		return err
	}
}

// parseSequenceMap reads SequenceMap (ai.onnx 17): its body is run for each
// element of the first sequence, with the elements in the same place of the
// others, and with tensors as they are.
func parseSequenceMap(n *Node) Kernel {
	in := []Value{{Type: n.Sequence(0)}}
	for i := 1; i < len(n.In); i++ {
		v := Value{Type: n.In[i].Type}
		if !n.Has(i) {
			n.Failf("input %d is missing", i)
		}
		if v.Type.Of == onnx.SequenceType {
			v.Type = n.Sequence(i)
		}
		in = append(in, v)
	}
	body := n.Body("body", in...)
	if n.err != nil {
		return nil
	}
	for i := range body.Out {
		n.SetOut(i, onnx.SequenceOf(body.Out[i].Type))
	}
	if len(body.Out) == 0 {
		n.Failf("the body has no output")
		return nil
	}
	return func(ctx context.Context, f *Frame) error { return sequenceMap(ctx, f, body) }
}

func sequenceMap(ctx context.Context, f *Frame, body *Body) error {
	in, out := f.ports(len(body.In), len(body.Out))
	defer clear(in)
	count := len(f.Items(0))
	for k := range body.Out {
		if _, err := f.OutputList(k, tensor.KindSequence, count); err != nil {
			return err
		}
	}
	p := f.budget.passes()
	for i := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := mapPorts(f, in, out, i, count); err != nil {
			return err
		}
		if err := f.run(ctx, body, in, out); err != nil {
			return err
		}
		for _, t := range out {
			f.hold(t)
		}
		if err := p.next(); err != nil {
			return err
		}
	}
	p.end()
	return nil
}

// mapPorts finds what place i of count takes, and makes what it gives.
func mapPorts(f *Frame, in, out []*tensor.Tensor, i, count int) error {
	for k := range in {
		if in[k] = f.In(k); in[k].Kind() != tensor.KindSequence {
			continue
		}
		if n := len(f.Items(k)); n != count {
			return fault.Newf(fault.Content, "input %d is a sequence of %d, input 0 one of %d; they must agree", k, n, count)
		}
		in[k] = f.Items(k)[i]
	}
	for k := range out {
		var err error
		if out[k], err = f.blank(); err != nil {
			return err
		}
		f.out[k].Items()[i] = out[k]
	}
	return nil
}

// parseOptional reads Optional (ai.onnx 15).
func parseOptional(n *Node) Kernel {
	declared := n.attribute("type", onnx.TypeAttribute)
	if !n.Has(0) {
		if declared == nil || declared.OfType == nil {
			n.Failf("it needs an input or the attribute %q", "type")
			return nil
		}
		n.SetOut(0, onnx.OptionalOf(*declared.OfType))
		return func(_ context.Context, f *Frame) error {
			_, err := f.OutputList(0, tensor.KindOptional, 0)
			return err
		}
	}
	t := &n.In[0].Type
	if t.Of == onnx.SequenceType {
		n.Sequence(0)
	}
	if declared != nil && !t.SameKind(declared.OfType) {
		n.Failf("its input is a %v, but attribute %q says %v", t, "type", declared.OfType)
	}
	n.SetOut(0, onnx.OptionalOf(loose(t)))
	return func(ctx context.Context, f *Frame) error {
		items, err := f.OutputList(0, tensor.KindOptional, 1)
		if err == nil {
			items[0], err = f.Keep(ctx, f.In(0))
		}
		return err
	}
}

// parseOptionalHasElement reads OptionalHasElement (ai.onnx 15, 18). What is no
// optional has an element, what is left out has none.
func parseOptionalHasElement(n *Node) Kernel {
	n.SetOut(0, onnx.TensorOf(tensor.Bool))
	if n.Has(0) && n.In[0].Type.Of != onnx.OptionalType || !n.Has(0) {
		has := n.Has(0)
		return func(_ context.Context, f *Frame) error {
			dst, err := Output[bool](f, 0)
			if err == nil {
				dst[0] = has
			}
			return err
		}
	}
	return func(_ context.Context, f *Frame) error {
		dst, err := Output[bool](f, 0)
		if err == nil {
			dst[0] = len(f.Items(0)) > 0
		}
		return err
	}
}

// parseOptionalGetElement reads OptionalGetElement (ai.onnx 15, 18).
func parseOptionalGetElement(n *Node) Kernel {
	if !n.Has(0) {
		n.Failf("input 0 is missing")
		return nil
	}
	t := &n.In[0].Type
	if t.Of != onnx.OptionalType || t.Inner == nil {
		n.SetAlias()
		return nil
	}
	n.SetOut(0, *t.Inner)
	return func(ctx context.Context, f *Frame) error {
		items := f.Items(0)
		if len(items) != 1 {
			return fault.New(fault.Content, "the optional has no value to get")
		}
		return f.assign(ctx, f.out[0], items[0])
	}
}
