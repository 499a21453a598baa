//go:build ort && cgo

package ort

import (
	"cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/tensor"
)

// contract is what the graph says of a model's inputs and outputs.
type contract struct {
	inputs, outputs []tensor.Spec
	warnings        []string
	// sources are the tensors of the outputs, by their names in the library's
	// copy of the graph, which has no ZipMap.
	sources []string
	model   []byte
}

// inspect decodes and checks a file, and returns its contract. What the library
// could not be given or asked for is refused.
func inspect(data []byte, limits onnx.Limits) (*contract, error) {
	m, err := decode.Model(data, limits)
	if err != nil {
		return nil, err
	}
	c := &contract{}
	if c.warnings, err = onnx.Check(m, limits); err != nil {
		return nil, err
	}
	constant := map[string]bool{}
	for _, i := range m.Graph.Initializers {
		constant[i.Name] = true
	}
	for _, v := range m.Graph.Inputs {
		if constant[v.Name] {
			continue
		}
		s, err := spec(m.Graph, v)
		if err != nil {
			return nil, err
		}
		if s.Kind != tensor.KindTensor {
			return nil, fault.Newf(fault.Content, "input %s is a %v; ONNX Runtime can be given tensors only", onnx.Quote(v.Name), v.Type)
		}
		c.inputs = append(c.inputs, s)
	}
	unzipped, leaving := zipped(m.Graph), map[string]bool{}
	for _, v := range m.Graph.Outputs {
		s, err := spec(m.Graph, v)
		if err != nil {
			return nil, err
		}
		c.outputs = append(c.outputs, s)
		leaving[v.Name] = true
		c.sources = append(c.sources, cmp.Or(unzipped[v.Name], v.Name))
	}
	c.model = data
	if len(unzipped) > 0 {
		c.model = unzip(data, unzipped, leaving)
	}
	return c, nil
}

// spec describes an input or output by its declared type. Declared extents of
// outputs are hints, which some exporters give wrong: only their number is kept.
func spec(g *onnx.Graph, v *onnx.ValueInfo) (tensor.Spec, error) {
	s := tensor.Spec{Name: v.Name}
	switch {
	case v.Type == nil:
	case v.Type.Of == onnx.TensorType && carried(v.Type.Elem):
		s.DType, s.Dims, s.Ranked = v.Type.Elem, v.Type.Dims, v.Type.Ranked
		return s, nil
	default:
		if _, ok := v.Type.IsMapSequence(); !ok {
			break
		}
		if s.Keys = columns(g, v.Name); s.Keys != nil {
			s.Kind, s.DType = tensor.KindMapSequence, tensor.Float32
			return s, nil
		}
	}
	return s, fault.Newf(fault.Content, "%s is a %v, which cannot go to ONNX Runtime or come from it here", onnx.Quote(v.Name), v.Type)
}

// carried reports whether tensors of a type can be given to the library and
// taken from it.
func carried(d tensor.DType) bool { return d.Valid() && d != tensor.Half }

// columns returns the keys of the ZipMap that makes a value, nil when none does.
func columns(g *onnx.Graph, name string) *tensor.Tensor {
	for _, n := range g.Nodes {
		if n.Op != "ZipMap" || len(n.Outputs) == 0 || n.Outputs[0] != name {
			continue
		}
		for _, a := range n.Attributes {
			if keys := labels(&a); keys != nil {
				return keys
			}
		}
	}
	return nil
}

func labels(a *onnx.Attribute) *tensor.Tensor {
	var keys *tensor.Tensor
	switch a.Name {
	case "classlabels_int64s":
		keys, _ = tensor.New(tensor.Shape{len(a.Ints)}, a.Ints)
	case "classlabels_strings":
		keys, _ = tensor.New(tensor.Shape{len(a.Strings)}, a.Strings)
	}
	if keys == nil || keys.Len() == 0 {
		return nil
	}
	return keys
}
