// Package onnxtest writes ONNX files for the engine's tests: what no exporter
// would write, among other things. Only tests use it.
package onnxtest

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// message is a protobuf message that is being written.
type message []byte

func (m *message) varint(num protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, num, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v)) //nolint:gosec // two's complement is what the wire has
}

func (m *message) bytes(num protowire.Number, b []byte) {
	*m = protowire.AppendTag(*m, num, protowire.BytesType)
	*m = protowire.AppendBytes(*m, b)
}

func (m *message) text(num protowire.Number, s string) {
	if s != "" {
		m.bytes(num, []byte(s))
	}
}

// texts writes every string, empty ones too.
func (m *message) texts(num protowire.Number, list []string) {
	for _, s := range list {
		m.bytes(num, []byte(s))
	}
}

// Encode returns the ModelProto of m, which need not be valid.
func Encode(m *onnx.Model) []byte {
	var b message
	b.varint(1, m.IRVersion)
	b.text(2, m.Producer)
	b.text(3, m.ProducerVersion)
	b.text(4, m.Domain)
	if m.Version != 0 {
		b.varint(5, m.Version)
	}
	if m.Graph != nil {
		b.bytes(7, graph(m.Graph))
	}
	for _, o := range m.Opsets {
		b.bytes(8, opset(o))
	}
	for _, p := range m.Metadata {
		var e message
		e.text(1, p.Key)
		e.text(2, p.Value)
		b.bytes(14, e)
	}
	for _, f := range m.Functions {
		b.bytes(25, function(f))
	}
	return b
}

func opset(o onnx.Opset) message {
	var b message
	b.text(1, o.Domain)
	b.varint(2, o.Version)
	return b
}

func function(f *onnx.Function) message {
	var b message
	b.text(1, f.Name)
	b.texts(4, f.Inputs)
	b.texts(5, f.Outputs)
	for _, name := range f.Attributes {
		if !slices.ContainsFunc(f.Defaults, func(a onnx.Attribute) bool { return a.Name == name }) {
			b.texts(6, []string{name})
		}
	}
	for i := range f.Defaults {
		b.bytes(11, attribute(&f.Defaults[i]))
	}
	for _, n := range f.Nodes {
		b.bytes(7, node(n))
	}
	for _, o := range f.Opsets {
		b.bytes(9, opset(o))
	}
	b.text(10, f.Domain)
	b.text(13, f.Overload)
	return b
}

func graph(g *onnx.Graph) message {
	var b message
	for _, n := range g.Nodes {
		b.bytes(1, node(n))
	}
	b.text(2, g.Name)
	for _, i := range g.Initializers {
		b.bytes(5, Tensor(i.Name, i.Tensor))
	}
	for k, list := range [][]*onnx.ValueInfo{g.Inputs, g.Outputs, g.Values} {
		for _, v := range list {
			b.bytes(protowire.Number(11+k), valueInfo(v))
		}
	}
	return b
}

func node(n *onnx.Node) message {
	var b message
	b.texts(1, n.Inputs)
	b.texts(2, n.Outputs)
	b.text(3, n.Name)
	b.text(4, n.Op)
	for i := range n.Attributes {
		b.bytes(5, attribute(&n.Attributes[i]))
	}
	b.text(7, n.Domain)
	b.text(8, n.Overload)
	return b
}

func attribute(a *onnx.Attribute) message {
	var b message
	b.text(1, a.Name)
	b.varint(20, int64(a.Type))
	if a.Ref != "" {
		b.text(21, a.Ref)
		return b
	}
	switch a.Type {
	case onnx.FloatAttribute:
		b = protowire.AppendTag(b, 2, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(a.Float))
	case onnx.IntAttribute:
		b.varint(3, a.Int)
	case onnx.StringAttribute:
		b.bytes(4, []byte(a.String))
	case onnx.TensorAttribute:
		b.bytes(5, Tensor("", a.Tensor))
	case onnx.GraphAttribute:
		b.bytes(6, graph(a.Graph))
	case onnx.FloatsAttribute:
		b.bytes(7, raw(a.Floats))
	case onnx.IntsAttribute:
		for _, v := range a.Ints {
			b.varint(8, v)
		}
	case onnx.StringsAttribute:
		b.texts(9, a.Strings)
	case onnx.TensorsAttribute:
		for _, t := range a.Tensors {
			b.bytes(10, Tensor("", t))
		}
	case onnx.GraphsAttribute:
		for _, g := range a.Graphs {
			b.bytes(11, graph(g))
		}
	case onnx.TypeAttribute:
		b.bytes(14, typ(a.OfType))
	case onnx.TypesAttribute:
		for _, t := range a.Types {
			b.bytes(15, typ(t))
		}
	case onnx.UndefinedAttribute:
	}
	return b
}

func valueInfo(v *onnx.ValueInfo) message {
	var b message
	b.text(1, v.Name)
	if v.Type != nil {
		b.bytes(2, typ(v.Type))
	}
	return b
}

// typ writes a TypeProto.
func typ(t *onnx.Type) message {
	fields := map[onnx.Constructor]protowire.Number{
		onnx.NoType: 0, onnx.TensorType: 1, onnx.SequenceType: 4, onnx.MapType: 5, onnx.OptionalType: 9,
		onnx.SparseTensorType: 8, onnx.OpaqueType: 7,
	}
	if t.Of == onnx.NoType {
		return nil
	}
	var inner, b message
	if t.Elem != tensor.Undefined {
		inner.varint(1, int64(t.Elem))
	}
	if t.Inner != nil {
		num := protowire.Number(1)
		if t.Of == onnx.MapType {
			num = 2
		}
		inner.bytes(num, typ(t.Inner))
	}
	if t.Ranked {
		inner.bytes(2, shape(t.Dims))
	}
	b.bytes(fields[t.Of], inner)
	return b
}

func shape(dims []tensor.Dim) message {
	var b message
	for _, d := range dims {
		var dim message
		if d.Size >= 0 {
			dim.varint(1, int64(d.Size))
		} else {
			dim.text(2, d.Name)
		}
		b.bytes(1, dim)
	}
	return b
}

// Tensor returns the TensorProto of t.
func Tensor(name string, t *tensor.Tensor) []byte {
	var b message
	for _, d := range t.Shape() {
		b.varint(1, int64(d))
	}
	b.varint(2, int64(t.DType()))
	b.text(8, name)
	if s := tensor.Of[string](t); s != nil {
		b.texts(6, s)
		return b
	}
	b.bytes(9, elements(t))
	return b
}

func elements(t *tensor.Tensor) []byte {
	for _, data := range []any{
		tensor.Of[float32](t), tensor.Of[float64](t), tensor.Of[int8](t), tensor.Of[int16](t), tensor.Of[int32](t),
		tensor.Of[int64](t), tensor.Of[uint8](t), tensor.Of[uint16](t), tensor.Of[uint32](t), tensor.Of[uint64](t),
		tensor.Of[bool](t), tensor.Of[tensor.Float16](t),
	} {
		if b := raw(data); len(b) > 0 {
			return b
		}
	}
	return nil
}

func raw(data any) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, data); err != nil {
		return nil
	}
	return b.Bytes()
}
