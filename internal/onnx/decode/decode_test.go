package decode_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// equal compares models, whose tensors are opaque, by content.
var equal = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.EquateNaNs(),
	cmp.Comparer(func(a, b *tensor.Tensor) bool {
		if a == nil || b == nil {
			return a == b
		}
		return cmp.Equal(Tensor("", a), Tensor("", b))
	}),
}

func newTensor[T tensor.Element](tb testing.TB, data ...T) *tensor.Tensor {
	tb.Helper()
	x, err := tensor.New(tensor.Shape{len(data), 1}, data)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// everything is a model with every message and field that is read.
func everything(tb testing.TB) *onnx.Model {
	tb.Helper()
	m := Model(
		Node("A", Names("x", "", "i"), Names("y"),
			Int("int", -5), Ints("ints", 1, -2, 1<<62), Floats("floats", 1.5, -2), String("string", "ü"), Strings("strings", "", "b"),
			onnx.Attribute{Name: "float", Type: onnx.FloatAttribute, Float: 0.25},
			onnx.Attribute{Name: "tensor", Type: onnx.TensorAttribute, Tensor: newTensor[int8](tb, -1)},
			onnx.Attribute{Name: "tensors", Type: onnx.TensorsAttribute, Tensors: []*tensor.Tensor{newTensor(tb, true), newTensor(tb, "s")}},
			onnx.Attribute{Name: "graphs", Type: onnx.GraphsAttribute, Graphs: []*onnx.Graph{{Name: "g", Nodes: []*onnx.Node{Node("B", nil, nil)}}}},
			onnx.Attribute{Name: "ref", Type: onnx.IntAttribute, Ref: "of the function"},
			Graph("graph", &onnx.Graph{Name: "inner"}),
		),
		&onnx.Node{Op: "F", Domain: "own", Overload: "1"},
	)
	m.Producer, m.ProducerVersion, m.Domain, m.Version = "p", "1.0", "d", 7
	m.Metadata = []onnx.Property{{Key: "k", Value: "v"}}
	m.Functions = []*onnx.Function{{
		Name: "F", Domain: "own", Overload: "1", Inputs: Names("a"), Outputs: Names("b"), Attributes: Names("alpha"),
		Nodes: []*onnx.Node{Node("C", Names("a"), Names("b"))}, Opsets: []onnx.Opset{{Version: 9}},
	}}
	maps := onnx.MapSequence(tensor.String)
	optional := onnx.Type{Of: onnx.OptionalType, Inner: &maps}
	scalar := onnx.TensorOf(tensor.Bool)
	m.Graph.Nodes[0].Attributes = append(m.Graph.Nodes[0].Attributes,
		onnx.Attribute{Name: "type", Type: onnx.TypeAttribute, OfType: &optional},
		onnx.Attribute{Name: "types", Type: onnx.TypesAttribute, Types: []*onnx.Type{&scalar, &maps}})
	m.Graph.Values = []*onnx.ValueInfo{{Name: "v", Type: &optional}, {Name: "w", Type: &scalar}}
	m.Graph.Initializers = []onnx.Initializer{
		{Name: "f32", Tensor: newTensor[float32](tb, 1, 2)},
		{Name: "f64", Tensor: newTensor(tb, 1.5)},
		{Name: "f16", Tensor: newTensor[tensor.Float16](tb, 0x3c00)},
		{Name: "bool", Tensor: newTensor(tb, true, false)},
		{Name: "i8", Tensor: newTensor[int8](tb, -1)},
		{Name: "i16", Tensor: newTensor[int16](tb, -2)},
		{Name: "i32", Tensor: newTensor[int32](tb, -3)},
		{Name: "i64", Tensor: newTensor[int64](tb, -4)},
		{Name: "u8", Tensor: newTensor[uint8](tb, 1)},
		{Name: "u16", Tensor: newTensor[uint16](tb, 2)},
		{Name: "u32", Tensor: newTensor[uint32](tb, 3)},
		{Name: "u64", Tensor: newTensor[uint64](tb, 1<<63)},
		{Name: "text", Tensor: newTensor(tb, "a", "")},
		{Name: "none", Tensor: newTensor[float32](tb)},
	}
	return m
}

func TestEveryFieldIsRead(t *testing.T) {
	want := everything(t)
	got, err := decode.Model(Encode(want), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTensorsThatStandAloneAreRead(t *testing.T) {
	for _, i := range everything(t).Graph.Initializers {
		data := Tensor(i.Name, i.Tensor)
		got, err := decode.Tensor(data, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(i.Tensor, got, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", i.Name, diff)
		}
		if _, err := decode.Tensor(data, onnx.Limits{Bytes: len(data) - 1}); fault.KindOf(err) != fault.Content {
			t.Errorf("%s above the limit: error %v, want Content", i.Name, err)
		}
		if _, err := decode.Tensor(append(data, 0xff), onnx.Limits{}); fault.KindOf(err) != fault.Content {
			t.Errorf("%s with a damaged end: error %v, want Content", i.Name, err)
		}
	}
}

// Every prefix of a file, and every file with one byte changed, is refused or
// read; the tests' race is against a panic.
func TestDamagedFilesDoNotPanic(t *testing.T) {
	data := Encode(everything(t))
	for n := range data {
		if _, err := decode.Model(data[:n], onnx.Limits{}); err != nil && fault.KindOf(err) != fault.Content {
			t.Errorf("cut at %d: %v", n, err)
		}
		for _, b := range []byte{0, 0x7f, 0x80, 0xff, data[n] ^ 1} {
			spoiled := append([]byte(nil), data...)
			spoiled[n] = b
			if _, err := decode.Model(spoiled, onnx.Limits{}); err != nil && fault.KindOf(err) != fault.Content {
				t.Errorf("byte %d made %#x: %v", n, b, err)
			}
		}
	}
}

// FuzzDecode holds that a file is refused as Content or read to a model that,
// written again, is read to the same.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("../exec/testdata/models/*.onnx")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 4<<10 { // small seeds: the fuzzer's time goes with their size
			f.Add(data)
		}
	}
	f.Add(Encode(everything(f)))
	f.Add(Encode(Model(Stump())))
	limits := onnx.Limits{Bytes: 1 << 20, Elements: 1 << 18}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode.Model(data, limits)
		if err != nil {
			if fault.KindOf(err) != fault.Content {
				t.Fatalf("%v: %v", fault.KindOf(err), err)
			}
			return
		}
		again, err := decode.Model(Encode(m), limits)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if !bytes.Equal(Encode(m), Encode(again)) {
			t.Fatalf("(-first +again):\n%s", cmp.Diff(m, again, equal))
		}
	})
}
