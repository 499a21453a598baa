package schema_test

import (
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestOneColumnTakesNoMemoryForTheOthers(t *testing.T) {
	const features, rows = 500, 2000
	s, err := schema.Compile(nil, "m", []tensor.Spec{spec("x", tensor.Float32, -1, features)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) string { return `"` + name + `":[1` + strings.Repeat(",1", rows-1) + "]" }
	b := s.NewBatch()
	body := "{" + column("x_499") + "}"
	if err := s.DecodeColumns(t.Context(), b, []byte(body), rows); fault.KindOf(err) != fault.Content {
		t.Fatal(err)
	}
	if size := b.Size(); size > 16*int64(len(body)) {
		t.Errorf("%d bytes are held for a body of %d", size, len(body))
	}
	whole := make([]string, features)
	for i, f := range s.Features() {
		whole[i] = column(f.Name)
	}
	if err := s.DecodeColumns(t.Context(), b, []byte("{"+strings.Join(whole, ",")+"}"), rows); err != nil || b.Rows != rows {
		t.Errorf("all columns: %d rows, %v", b.Rows, err)
	}
}
