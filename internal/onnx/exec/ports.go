package exec

import (
	"fmt"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// main compiles the main graph, and describes its inputs and outputs in p.
func (c *compiler) main(p *Program) error {
	for _, v := range c.graph.Parameters() {
		spec, err := c.inputSpec(v.Type)
		if err != nil {
			return fmt.Errorf("input %s %w", onnx.Quote(v.Name), err)
		}
		spec.Name = v.Name
		c.add(value{Value: ops.Value{Type: *v.Type}, name: v.Name, alias: -1, input: c.ports})
		p.inputs = append(p.inputs, spec)
		c.ports++
	}
	if err := c.nodes(c.graph.Nodes); err != nil {
		return err
	}
	for i, v := range c.leave(ops.Export) {
		spec, err := outputSpec(&c.values[v], c.graph.Outputs[i].Type)
		if err != nil {
			return fmt.Errorf("output %s %w", onnx.Quote(c.graph.Outputs[i].Name), err)
		}
		spec.Name = c.graph.Outputs[i].Name
		spec.Constant = c.values[c.root(v)].Const != nil
		p.outputs = append(p.outputs, spec)
	}
	return nil
}

// inputSpec describes an input, whose type the file declares.
func (c *compiler) inputSpec(t *onnx.Type) (tensor.Spec, error) {
	for inner := t; inner != nil; inner = inner.Inner {
		if len(inner.Dims) > c.limits.Depth {
			return tensor.Spec{}, fmt.Errorf("has %d axes; at most %d are allowed", len(inner.Dims), c.limits.Depth)
		}
	}
	s, ok := specOf(t)
	if !ok {
		return s, fmt.Errorf("is a %v, which cannot be given", t)
	}
	return s, nil
}

// specOf describes a value of a type, when it is one that a caller can hold.
func specOf(t *onnx.Type) (tensor.Spec, bool) {
	switch t.Of {
	case onnx.TensorType:
		return tensor.Spec{DType: t.Elem, Dims: slices.Clone(t.Dims), Ranked: t.Ranked}, t.Elem.Valid()
	case onnx.SequenceType, onnx.OptionalType:
		if t.Inner == nil {
			return tensor.Spec{}, false
		}
		kind := tensor.KindSequence
		if t.Of == onnx.OptionalType {
			kind = tensor.KindOptional
		}
		elem, ok := specOf(t.Inner)
		return tensor.Spec{Kind: kind, Elem: &elem}, ok
	case onnx.MapType:
		if v := t.Inner; v != nil && v.Of == onnx.TensorType && v.Elem.Valid() && (t.Elem == tensor.Int64 || t.Elem == tensor.String) {
			return tensor.Spec{Kind: tensor.KindMap, Key: t.Elem, DType: v.Elem}, true
		}
	case onnx.NoType, onnx.SparseTensorType, onnx.OpaqueType:
	}
	return tensor.Spec{}, false
}

// outputSpec describes an output. The declared extents are a hint where those
// of the value are not known.
func outputSpec(v *value, declared *onnx.Type) (tensor.Spec, error) {
	t := v.Type
	if v.columnar() {
		return tensor.Spec{
			Kind: tensor.KindMapSequence, DType: tensor.Float32, Dims: t.Dims, Ranked: t.Ranked, Keys: v.Keys, Decision: v.Decision,
		}, nil
	}
	s, ok := specOf(&t)
	if !ok {
		return s, fmt.Errorf("is a %v, which cannot be returned", &t)
	}
	if t.Of != onnx.TensorType {
		s.Items = v.Items
		return s, nil
	}
	s.Keys, s.Decision = v.Keys, v.Decision
	if !t.Ranked && declared != nil && declared.Ranked {
		s.Dims, s.Ranked = declared.Dims, true
	}
	return s, nil
}

// leave finds the graph's outputs, and adds copies of those that no step
// writes of its own: an input, a constant, another output's value, or a list
// whose elements the caller of a run is to own. It returns the values.
func (c *compiler) leave(copyKernel ops.Kernel) []int {
	written := map[int]bool{}
	for _, s := range c.steps {
		for _, v := range s.out {
			written[v] = true
		}
	}
	var values []int
	nested := c.scope.around != nil
	for _, o := range c.graph.Outputs {
		v := c.lookup(o.Name)
		if nested {
			if list := c.list(v); list != v {
				v, written[list] = list, true
			}
		}
		values = append(values, v)
		root := c.root(v)
		if !written[root] || !nested && isList(&c.values[root]) {
			root = c.copyOf(root, copyKernel)
		}
		delete(written, root)
		c.results = append(c.results, root)
	}
	return values
}

// isList reports whether a value travels as a list.
func isList(v *value) bool { return v.Type.Of != onnx.TensorType && !v.columnar() }

func (c *compiler) copyOf(v int, kernel ops.Kernel) int {
	source := c.values[v].Value
	source.Const = nil
	out := c.add(value{Value: source, alias: -1, input: -1})
	c.steps = append(c.steps, step{label: "copy of an output", kernel: kernel, in: []int{v}, out: []int{out}})
	return out
}

// reconcile compares what a node makes with what the file declares of it. The
// type must be the one declared. Declared extents of a graph output are hints,
// which exporters are known to get wrong; those of other values must fit.
func (c *compiler) reconcile(v *value) error {
	d := c.scope.declared[v.name]
	if d == nil || v.name == "" {
		return nil
	}
	if !d.SameKind(&v.Type) {
		return fmt.Errorf("it makes %s a %v, but the model declares %v%s", onnx.Quote(v.name), &v.Type, d, advice(d, &v.Type))
	}
	if !d.SameShape(&v.Type) {
		if !c.scope.leaving[v.name] {
			return fmt.Errorf("it makes %s a %v, but the model declares %v", onnx.Quote(v.name), &v.Type, d)
		}
		if d.Of == onnx.TensorType {
			c.warn("output %s is declared %v, but is %v: callers are told the latter", onnx.Quote(v.name), d, &v.Type)
		}
		return nil
	}
	nameDims(&v.Type, d)
	return nil
}

// advice says how an export goes right that was given columns of float64, of
// which the operators of ai.onnx.ml make float32, and others do not.
func advice(declared, made *onnx.Type) string {
	wide := declared.Elem == tensor.Float64 && made.Elem == tensor.Float32
	narrow := declared.Elem == tensor.Float32 && made.Elem == tensor.Float64
	if !wide && !narrow {
		return ""
	}
	return "; export the model with columns of float32, in Python X.astype(np.float32)"
}

// nameDims gives the free extents of t the names that d has for them.
func nameDims(t, d *onnx.Type) {
	if !t.Ranked || !d.Ranked {
		return
	}
	t.Dims = slices.Clone(t.Dims)
	for i := range t.Dims {
		if t.Dims[i].Size < 0 && d.Dims[i].Name != "" {
			t.Dims[i].Name = d.Dims[i].Name
		}
	}
}
