package schema_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestAPatternThatIsTooLargeIsRefusedWhenItIsRead(t *testing.T) {
	feature := func(rules string) string { return "features:\n  - name: f\n    type: string\n" + rules }
	var many strings.Builder
	many.WriteString("features:\n")
	for i := range 150 {
		fmt.Fprintf(&many, "  - {name: f%d, pattern: '^x{1000}$'}\n", i)
	}
	const tooLarge, together = `model.yaml:4: feature "f": pattern is too large`, "the patterns of the features are too large together"
	for name, c := range map[string]struct{ text, want string }{
		"one that visits many states":  {feature("    pattern: '^" + strings.Repeat("(?:x?){1000}", 300) + "y$'"), tooLarge},
		"one that takes long to write": {feature("    pattern: '" + strings.Repeat("x{1000}", 580) + "'"), tooLarge},
		"one that takes long to read":  {feature(`    pattern: '(?i)` + strings.Repeat(`[B-\x{1e942}]`, 200) + "'"), together},
		"one without a type":           {"features:\n  - name: f\n    description: d\n    pattern: '" + strings.Repeat("x{1000}", 580) + "'", tooLarge},
		"many":                         {many.String(), together},
		"too long a text":              {feature("    pattern: '^[a-z]{1,500}$'\n    max_length: 5000"), `model.yaml:5: feature "f": max_length is 5000, but a pattern of this size`},
	} {
		_, err := schema.Parse("model.yaml", []byte(c.text))
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v, want %s", name, err, c.want)
		}
	}
}

func TestATextWithAPatternIsAsLongAsOneMatchMayTake(t *testing.T) {
	s := reviewSchema(t, "    pattern: '[a-z0-9._-]{1,64}@[a-z0-9.-]{1,255}'\n")
	most := s.Features()[0].MaxLength
	if most < 320 || most > 5000 {
		t.Fatalf("an address may have %d characters", most)
	}
	rest := "@" + strings.Repeat("b", most)
	for way, read := range ways {
		if err := read(t.Context(), s, s.NewBatch(), strings.Repeat("é", most-4)+"a@bc"); err != nil {
			t.Errorf("%s, as long as may be: %s", way, faultText(err))
		}
		err := read(t.Context(), s, s.NewBatch(), "a"+rest)
		if want := fmt.Sprintf("must be at most %d characters long", most); !strings.Contains(faultText(err), want) {
			t.Errorf("%s: %s, want %s", way, faultText(err), want)
		}
	}
	for pattern, want := range map[string]int{"^.+$": 174_762, "^[A-Z]{2}-[0-9]{1,6}$": 58_254, "^[a-z0-9._-]{1,64}@[a-z0-9.-]{1,255}$": 1_635} {
		if got := reviewSchema(t, "    pattern: '"+pattern+"'\n").Features()[0].MaxLength; got != want {
			t.Errorf("a text for %s has up to %d characters; docs/serve-your-own-model.md says %d", pattern, got, want)
		}
	}
	if own := reviewSchema(t, "    pattern: '^.+$'\n    max_length: 100000\n").Features()[0].MaxLength; own != 100000 {
		t.Errorf("with a length of the owner's it is %d", own)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := reviewSchema(t, "    pattern: '^(?:x?){900}$'\n")
	for way, read := range ways {
		if err := read(ctx, s, s.NewBatch(), strings.Repeat("x", 2000)); fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s: %v", way, err)
		}
	}
	rows := []byte(`["` + strings.Repeat(`x","`, 20000) + `x"]`)
	if err := s.DecodeValues(ctx, s.NewBatch(), rows, 1<<20); fault.KindOf(err) != fault.Canceled {
		t.Errorf("values: %v", err)
	}
	if err := s.DecodeColumns(ctx, s.NewBatch(), []byte(`{"review":`+string(rows)+`}`), 1<<20); fault.KindOf(err) != fault.Canceled {
		t.Errorf("columns: %v", err)
	}
	empty := []byte("[{}" + strings.Repeat(",{}", 20000) + "]")
	if err := s.Decode(ctx, s.NewBatch(), empty, 1<<20); fault.KindOf(err) != fault.Canceled {
		t.Errorf("rows without members: %v", err)
	}
	numbers, err := schema.Compile(nil, "m", []tensor.Spec{spec("x", tensor.Float32, -1, 3, -1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	array := []byte(`{"x":[[1` + strings.Repeat(",1", 20000) + `]]}`)
	if err := numbers.Decode(ctx, numbers.NewBatch(), array, 1); fault.KindOf(err) != fault.Canceled {
		t.Errorf("one array: %v", err)
	}
}

// TestSeveralPatternsOfOneRowEndWithTheirContext: package validator holds a row
// against all of them at once.
func TestSeveralPatternsOfOneRowEndWithTheirContext(t *testing.T) {
	m := "features:\n"
	row := "{"
	for i := range 40 {
		m += fmt.Sprintf("  - {name: f%d, pattern: '^(?:x?){900}$'}\n", i)
		row += fmt.Sprintf(`"f%d":"y",`, i)
	}
	manifest, err := schema.Parse("model.yaml", []byte(m))
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Compile(manifest, "m", []tensor.Spec{spec("x", tensor.String, -1, 40)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	row = strings.TrimSuffix(row, ",") + "}"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Decode(ctx, s.NewBatch(), []byte(row), 1); fault.KindOf(err) != fault.Canceled {
		t.Errorf("Decode = %v", err)
	}
	if err := s.Decode(t.Context(), s.NewBatch(), []byte(row), 1); len(fault.As(err).Fields) != 40 {
		t.Errorf("Decode in time = %v", err)
	}
}

func TestMemoryIsWhatAContractTakesOrMore(t *testing.T) {
	list := func(lines func(i int) string, n int) string {
		var b strings.Builder
		b.WriteString("features:\n")
		for i := range n {
			b.WriteString(lines(i))
		}
		return b.String()
	}
	var words []string
	for i := range 2000 {
		words = append(words, fmt.Sprint("v", i))
	}
	enum := strings.Join(words, ", ")
	for name, c := range map[string]struct {
		manifest string
		in       tensor.Spec
	}{
		"columns of the graph": {"", spec("a_matrix", tensor.Float32, -1, 8192)},
		"features with rules":  {list(func(i int) string { return fmt.Sprintf("  - {name: feature_%d, min: %d, nullable: true}\n", i, i) }, 4000), spec("x", tensor.Float32, -1, 4000)},
		"patterns":             {list(func(i int) string { return fmt.Sprintf("  - {name: f%d, pattern: '^(?:[a-z]?){900}$'}\n", i) }, 60), spec("x", tensor.String, -1, 60)},
		"enumerations":         {list(func(i int) string { return fmt.Sprintf("  - {name: f%d, enum: [%s]}\n", i, enum) }, 20), spec("x", tensor.String, -1, 20)},
	} {
		var m *schema.Manifest
		if c.manifest != "" {
			var err error
			if m, err = schema.Parse("model.yaml", []byte(c.manifest)); err != nil {
				t.Fatalf("%s: %.300v", name, err)
			}
		}
		in := []tensor.Spec{c.in}
		before := heap()
		s, err := schema.Compile(m, "m", in, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		b := s.NewBatch()
		if err := s.Decode(t.Context(), b, s.Example(), 1); s.Example() != nil && err != nil {
			t.Fatal(err)
		}
		took, said := heap()-before, m.Memory(in)
		runtime.KeepAlive(b)
		t.Logf("%s: %d bytes of %d", name, took, said)
		if took > said || said > 64<<20 {
			t.Errorf("%s: takes %d bytes, estimated as %d", name, took, said)
		}
	}
	if in := []tensor.Spec{spec("x", tensor.Float32, -1, 60000)}; (*schema.Manifest)(nil).Memory(in) > 1<<20 {
		t.Error("60,000 columns without names are one array")
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAWideMatrixWithoutNamesIsOneArray(t *testing.T) {
	s, err := schema.Compile(nil, "m", []tensor.Spec{spec("x", tensor.Float32, -1, 60000)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if features := s.Features(); len(features) != 1 || !features[0].Array || features[0].Shape[0] != 60000 {
		t.Errorf("it has %d features", len(features))
	}
	b := s.NewBatch()
	if err := s.Decode(t.Context(), b, []byte(`[{"x":[1`+strings.Repeat(",1", 59999)+`]}]`), 1); err != nil || b.Inputs[0].Len() != 60000 {
		t.Errorf("Decode = %v", err)
	}
}
