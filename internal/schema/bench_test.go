package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

const fourMeasures = `
features:
  - {name: stem_length, exclusive_min: 0, max: 30}
  - {name: stem_width, exclusive_min: 0, max: 30}
  - {name: leaf_length, exclusive_min: 0, max: 30}
  - {name: leaf_width, exclusive_min: 0, max: 30}
labels: [alder, birch, cedar]
`

// fourRow is what a handler without this package would decode into.
type fourRow struct {
	StemLength float32 `json:"stem_length"`
	StemWidth  float32 `json:"stem_width"`
	LeafLength float32 `json:"leaf_length"`
	LeafWidth  float32 `json:"leaf_width"`
}

func fourSchema(tb testing.TB) *schema.Schema {
	tb.Helper()
	return compile(tb, fourMeasures,
		[]tensor.Spec{spec("X", tensor.Float32, -1, 4)},
		[]tensor.Spec{spec("label", tensor.Int64, -1), maps[int64](tb, "scores", 0, 1, 2)})
}

const oneFourRow = `{"stem_length":5.1,"stem_width":3.5,"leaf_length":1.4,"leaf_width":0.2}`

func BenchmarkDecodeOneRow(b *testing.B) {
	body := []byte(oneFourRow)
	b.Run("schema", func(b *testing.B) { benchmarkDecode(b, fourSchema(b), body) })
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var row fourRow
			if err := json.Unmarshal(body, &row); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeThousandRows(b *testing.B) {
	body := []byte("[" + strings.TrimSuffix(strings.Repeat(oneFourRow+",", 1000), ",") + "]")
	b.Run("schema", func(b *testing.B) { benchmarkDecode(b, fourSchema(b), body) })
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var rows []fourRow
			if err := json.Unmarshal(body, &rows); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeWideRow(b *testing.B) {
	const width = 784
	var body strings.Builder
	for i := range width {
		fmt.Fprintf(&body, `,"pixel_%d":%d`, i, i%256)
	}
	text := []byte("{" + body.String()[1:] + "}")
	b.Run("schema", func(b *testing.B) {
		s := compile(b, "", []tensor.Spec{spec("pixel", tensor.Float32, -1, width)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
		benchmarkDecode(b, s, text)
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var row map[string]float32
			if err := json.Unmarshal(text, &row); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkDecode(b *testing.B, s *schema.Schema, body []byte) {
	b.Helper()
	b.ReportAllocs()
	batch := s.NewBatch()
	for b.Loop() {
		if err := s.Decode(b.Context(), batch, body, 1<<20); err != nil {
			b.Fatal(faultText(err))
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	s := fourSchema(b)
	batch := s.NewBatch()
	if err := s.Decode(b.Context(), batch, []byte(oneFourRow), 1); err != nil {
		b.Fatal(faultText(err))
	}
	outputs := []*tensor.Tensor{newTensor(b, []int64{1}, 1), newTensor(b, []float32{0.07, 0.93, 0}, 1, 3)}
	b.Run("schema", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		var err error
		for b.Loop() {
			if dst, err = s.AppendResponse(dst[:0], batch, outputs, "1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		answer := struct {
			Prediction    int64              `json:"prediction"`
			Label         string             `json:"label"`
			Probabilities map[string]float32 `json:"probabilities"`
			Model         string             `json:"model"`
			Version       string             `json:"version"`
		}{1, "birch", map[string]float32{"alder": 0.07, "birch": 0.93, "cedar": 0}, "pond", "1"}
		for b.Loop() {
			if _, err := json.Marshal(&answer); err != nil {
				b.Fatal(err)
			}
		}
	})
}
