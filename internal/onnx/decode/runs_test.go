package decode_test

import (
	"math"
	"slices"
	words "strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
)

// attributeModel encodes a model of one node with one attribute, whose value
// fields come last.
func attributeModel(typ onnx.AttributeType, values []byte) []byte {
	embed := func(field protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
	}
	attribute := embed(1, []byte("list"))
	attribute = protowire.AppendVarint(protowire.AppendTag(attribute, 20, protowire.VarintType), uint64(typ))
	attribute = append(attribute, values...)
	node := append(embed(4, []byte("A")), embed(5, attribute)...)
	opset := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 21)
	model := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 9)
	model = append(model, embed(8, opset)...)
	return append(model, embed(7, append(embed(2, []byte("g")), embed(1, node)...))...)
}

func ints(values ...int64) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendVarint(protowire.AppendTag(b, 8, protowire.VarintType), uint64(v))
	}
	return b
}

func packedInts(values ...int64) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), b)
}

func floats(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendFixed32(protowire.AppendTag(b, 7, protowire.Fixed32Type), math.Float32bits(v))
	}
	return b
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestListsAreReadHoweverTheirEntriesStand(t *testing.T) {
	ref := protowire.AppendBytes(protowire.AppendTag(nil, 13, protowire.BytesType), []byte("a comment"))
	values := []int64{1, 127, 128, -1, 0, math.MaxInt64, math.MinInt64, 1 << 40, 2}
	for name, tc := range map[string][]byte{
		"one by one":           ints(values...),
		"packed":               packedInts(values...),
		"packed in between":    join(ints(values[:2]...), packedInts(values[2:5]...), ints(values[5:]...)),
		"with another between": join(ints(values[:6]...), ref, ints(values[6:]...)),
	} {
		m, err := decode.Model(attributeModel(onnx.IntsAttribute, tc), onnx.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(values, m.Graph.Nodes[0].Attributes[0].Ints); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	numbers := []float32{1.5, -2, 0, float32(math.Inf(1))}
	m, err := decode.Model(attributeModel(onnx.FloatsAttribute, join(floats(numbers[:3]...), ref, floats(numbers[3:]...))), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(numbers, m.Graph.Nodes[0].Attributes[0].Floats); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func strings(values ...string) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendString(protowire.AppendTag(b, 9, protowire.BytesType), v)
	}
	return b
}

func TestTextsAreReadHoweverTheyStand(t *testing.T) {
	long := string(make([]byte, 300))
	values := []string{"LEAF", "BRANCH_LEQ", "", "LEAF", long, "", "é", long[:127], long[:128]}
	ref := protowire.AppendBytes(protowire.AppendTag(nil, 13, protowire.BytesType), []byte("a comment"))
	for name, tc := range map[string][]byte{
		"one by one":           strings(values...),
		"with another between": join(strings(values[:3]...), ref, strings(values[3:]...)),
	} {
		m, err := decode.Model(attributeModel(onnx.StringsAttribute, tc), onnx.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(values, m.Graph.Nodes[0].Attributes[0].Strings); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDamagedListsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		typ    onnx.AttributeType
		values []byte
	}{
		"cut off in a number":      {onnx.IntsAttribute, append(ints(1, 2), 8<<3, 0x80)},
		"cut off in a float":       {onnx.FloatsAttribute, floats(1, 2)[:8]},
		"a number of 11 bytes":     {onnx.IntsAttribute, append(append(ints(1, 2), 8<<3), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1)},
		"a number above 64 bits":   {onnx.IntsAttribute, append(append(ints(1, 2), 8<<3), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)},
		"cut off in a text":        {onnx.StringsAttribute, strings("a", "bc")[:6]},
		"cut off before a text":    {onnx.StringsAttribute, append(strings("a", "bc"), 9<<3|2)},
		"no text":                  {onnx.StringsAttribute, strings("a", "\xff", "b")},
		"a text without its end":   {onnx.StringsAttribute, append(strings("a", "b"), 9<<3|2, 0xff, 0xff)},
		"floats among the numbers": {onnx.IntsAttribute, join(ints(1), floats(1))},
		"numbers as floats":        {onnx.FloatsAttribute, protowire.AppendVarint(protowire.AppendTag(floats(1), 7, protowire.VarintType), 1)},
	} {
		if _, err := decode.Model(attributeModel(tc.typ, tc.values), onnx.Limits{}); fault.KindOf(err) != fault.Content {
			t.Errorf("%s: %v: %v", name, fault.KindOf(err), err)
		}
	}
	for _, model := range [][]byte{
		attributeModel(onnx.IntsAttribute, ints(make([]int64, 100)...)),
		attributeModel(onnx.StringsAttribute, strings(make([]string, 100)...)),
	} {
		if _, err := decode.Model(model, onnx.Limits{AttributeLength: 99}); fault.KindOf(err) != fault.Content {
			t.Errorf("a list that is too long: %v", err)
		}
	}
}

// Lists of many numbers are read last, and as well as short ones.
func TestLongListsAreRead(t *testing.T) {
	numbers, reals := make([]int64, 40_000), make([]float32, 20_000)
	for i := range numbers {
		numbers[i] = int64(i) << (i % 48)
	}
	for i := range reals {
		reals[i] = float32(i) / 3
	}
	for name, values := range map[string][]byte{
		"one by one": ints(numbers...), "packed": packedInts(numbers...), "both": join(ints(numbers[:100]...), packedInts(numbers[100:]...)),
	} {
		m, err := decode.Model(attributeModel(onnx.IntsAttribute, values), onnx.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Equal(numbers, m.Graph.Nodes[0].Attributes[0].Ints) {
			t.Errorf("%s: other numbers were read", name)
		}
	}
	texts := make([]string, 20_000)
	for i := range texts {
		texts[i] = [...]string{"LEAF", "BRANCH_LEQ", "", "é"}[i%4]
	}
	m, err := decode.Model(attributeModel(onnx.StringsAttribute, strings(texts...)), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(texts, m.Graph.Nodes[0].Attributes[0].Strings) {
		t.Error("other texts were read")
	}
	if m, err = decode.Model(attributeModel(onnx.FloatsAttribute, floats(reals...)), onnx.Limits{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(reals, m.Graph.Nodes[0].Attributes[0].Floats) {
		t.Error("other floats were read")
	}
	endless := packedInts(numbers...)
	for i := range 11 {
		endless[len(endless)-20+i] = 0xff
	}
	for name, model := range map[string][]byte{
		"a number without end": attributeModel(onnx.IntsAttribute, endless),
		"numbers as floats":    attributeModel(onnx.FloatsAttribute, protowire.AppendVarint(protowire.AppendTag(floats(reals...), 7, protowire.VarintType), 1)),
		"no text":              attributeModel(onnx.StringsAttribute, strings(slices.Concat(texts, []string{"\xff"})...)),
		"of another type":      attributeModel(onnx.GraphAttribute, ints(numbers...)),
		"of two types":         attributeModel(onnx.IntsAttribute, join(ints(numbers...), floats(1))),
	} {
		if _, err := decode.Model(model, onnx.Limits{}); fault.KindOf(err) != fault.Content || !words.Contains(err.Error(), `node 0: attribute 0: "list"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
