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

func TestFaultsInColumnsPointIntoThem(t *testing.T) {
	s := fleetSchema(t)
	body := `{"speed":[1,301],"weight":["x",1],"doors":[1,1],"colour":["red","red"],"electric":[true,1],"track":[[[1],[2]],[[1],[true]]]}`
	want := "content: the input does not fit the model\n#/speed/1 must be at most 300\n#/weight/0 must be a number, not a string\n" +
		"#/electric/1 must be true or false, not a number\n#/track/1/1/0 must be an integer, not a boolean; write 1 or 0"
	if got := faultText(s.DecodeColumns(t.Context(), s.NewBatch(), []byte(body), 2)); got != want {
		t.Errorf("got %s", got)
	}
}
