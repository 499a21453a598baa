package decode

import (
	"fmt"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

func (d *decoder) deeper(depth int) error {
	if depth > d.limits.Depth {
		return fmt.Errorf("it nests more than %d deep", d.limits.Depth)
	}
	return nil
}

// graph decodes a GraphProto that stands depth graphs deep.
func (d *decoder) graph(b []byte, depth int) (*onnx.Graph, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	if depth > 1 {
		if err := d.take(subgraphSize); err != nil {
			return nil, err
		}
	}
	g := &onnx.Graph{}
	err := message(b, fields(2, 10), func(f field) error {
		switch f.num {
		case 1:
			return element(f, "node", len(g.Nodes), func(b []byte) error { return d.node(b, depth, &g.Nodes) })
		case 2:
			return d.text(f, &g.Name)
		case 5:
			return element(f, "initializer", len(g.Initializers), func(b []byte) error {
				return d.initializer(b, &g.Initializers)
			})
		case 11:
			return element(f, "input", len(g.Inputs), func(b []byte) error { return d.value(b, &g.Inputs) })
		case 12:
			return element(f, "output", len(g.Outputs), func(b []byte) error { return d.value(b, &g.Outputs) })
		case 13:
			return element(f, "value_info", len(g.Values), func(b []byte) error { return d.value(b, &g.Values) })
		case 14:
			return fmt.Errorf("quantization_annotation is not supported; export the model without it")
		case 15:
			return fmt.Errorf("sparse initializers are not supported; export the model with dense ones")
		}
		return nil
	})
	return g, err
}

func (d *decoder) initializer(b []byte, dst *[]onnx.Initializer) error {
	if d.initializers++; d.initializers > d.limits.Initializers {
		return fmt.Errorf("the model has more than %d initializers", d.limits.Initializers)
	}
	if err := d.take(initializerSize); err != nil {
		return err
	}
	name, t, err := d.tensor(b)
	*dst = append(*dst, onnx.Initializer{Name: name, Tensor: t})
	return err
}

// maxAttributes bounds the attributes of one node. Operators have twenty or
// so.
const maxAttributes = 1 << 10

func (d *decoder) node(b []byte, depth int, dst *[]*onnx.Node) error {
	if d.nodes++; d.nodes > d.limits.Nodes {
		return fmt.Errorf("the model has more than %d nodes", d.limits.Nodes)
	}
	if err := d.take(nodeSize); err != nil {
		return err
	}
	n := &onnx.Node{}
	err := message(b, fields(3, 4, 6, 7, 8), func(f field) error {
		switch f.num {
		case 1:
			return d.texts(f, &n.Inputs)
		case 2:
			return d.texts(f, &n.Outputs)
		case 3:
			return d.text(f, &n.Name)
		case 4:
			return d.text(f, &n.Op)
		case 5:
			return element(f, "attribute", len(n.Attributes), func(b []byte) error { return d.nodeAttribute(b, depth, n) })
		case 7:
			return d.domain(f, &n.Domain)
		case 8:
			return d.text(f, &n.Overload)
		}
		return nil
	})
	*dst = append(*dst, n)
	return err
}

func (d *decoder) value(b []byte, dst *[]*onnx.ValueInfo) error {
	if err := d.take(valueSize); err != nil {
		return err
	}
	v := &onnx.ValueInfo{}
	err := message(b, fields(1, 2, 3), func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, &v.Name)
		case 2:
			return within(f, "type", func(b []byte) (err error) {
				v.Type, err = d.typ(b, 1)
				return err
			})
		}
		return nil
	})
	*dst = append(*dst, v)
	return err
}

// typ decodes a TypeProto, whose value is a oneof.
func (d *decoder) typ(b []byte, depth int) (*onnx.Type, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	if err := d.take(valueSize); err != nil {
		return nil, err
	}
	t := &onnx.Type{}
	err := message(b, fields(1, 4, 5, 6, 7, 8, 9), func(f field) error {
		of, ok := constructors[f.num]
		if !ok {
			return nil
		}
		if t.Of != onnx.NoType {
			return fmt.Errorf("it has two values")
		}
		t.Of = of
		return within(f, "value", func(b []byte) error { return d.typeValue(b, t, depth) })
	})
	return t, err
}

var constructors = map[number]onnx.Constructor{
	1: onnx.TensorType, 4: onnx.SequenceType, 5: onnx.MapType,
	7: onnx.OpaqueType, 8: onnx.SparseTensorType, 9: onnx.OptionalType,
}

// typeValue decodes the message of t's constructor. Its fields 1 and 2 mean
// something else in each.
func (d *decoder) typeValue(b []byte, t *onnx.Type, depth int) error {
	return message(b, fields(1, 2), func(f field) error {
		inner := func(b []byte) (err error) {
			t.Inner, err = d.typ(b, depth+1)
			return err
		}
		switch t.Of {
		case onnx.TensorType, onnx.SparseTensorType:
			switch f.num {
			case 1:
				return elementType(f, &t.Elem)
			case 2:
				t.Ranked = true
				return within(f, "shape", func(b []byte) error { return d.shape(b, &t.Dims) })
			}
		case onnx.SequenceType, onnx.OptionalType:
			if f.num == 1 {
				return within(f, "element", inner)
			}
		case onnx.MapType:
			switch f.num {
			case 1:
				return elementType(f, &t.Elem)
			case 2:
				return within(f, "value", inner)
			}
		case onnx.OpaqueType, onnx.NoType:
		}
		return nil
	})
}

// elementType reads a TensorProto.DataType that the engine can hold.
func elementType(f field, dst *tensor.DType) error {
	var v int64
	if err := f.int64(&v); err != nil {
		return err
	}
	if v < 0 || v > 255 || !tensor.DType(v).Valid() {
		return fmt.Errorf("element type %s is not supported", dataTypeName(v))
	}
	*dst = tensor.DType(v)
	return nil
}

// unheld are the ONNX element types that package tensor does not hold, from
// TensorProto.DataType 14 on.
var unheld = [...]string{
	"complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
	"float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2",
}

func dataTypeName(v int64) string {
	if v >= 14 && v < int64(14+len(unheld)) {
		return unheld[v-14]
	}
	return fmt.Sprint(v)
}

// shape decodes a TensorShapeProto. An extent without a value is free.
func (d *decoder) shape(b []byte, dst *[]tensor.Dim) error {
	return message(b, 0, func(f field) error {
		if f.num != 1 {
			return nil
		}
		if err := d.take(valueSize / 4); err != nil {
			return err
		}
		return element(f, "dim", len(*dst), func(b []byte) error {
			dim, err := d.dim(b)
			*dst = append(*dst, dim)
			return err
		})
	})
}

// dim decodes TensorShapeProto.Dimension. Older exporters write -1 for a free
// extent; other negative ones are errors.
func (d *decoder) dim(b []byte) (tensor.Dim, error) {
	dim := tensor.Dim{Size: -1}
	err := message(b, fields(1, 2, 3), func(f field) error {
		switch f.num {
		case 1:
			var v int64
			if err := f.int64(&v); err != nil {
				return err
			}
			if v < -1 || v > tensor.MaxElements {
				return fmt.Errorf("extent %d is out of range", v)
			}
			dim.Size = int(v)
		case 2:
			return d.text(f, &dim.Name)
		}
		return nil
	})
	if err == nil && dim.Size >= 0 && dim.Name != "" {
		err = fmt.Errorf("it has both an extent and a name")
	}
	return dim, err
}
