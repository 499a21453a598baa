package audit_test

import (
	"slices"
	"testing"

	"onnxgate/internal/tensor"
)

func of[T tensor.Element](tb testing.TB, shape tensor.Shape, data ...T) *tensor.Tensor {
	tb.Helper()
	t, err := tensor.New(shape, data)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// The same input of the same tenant has one hash, under every key-encryption key, and
// nothing else has that.
func TestAnInputHasOneHash(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	hashes := l.InputHash()
	row := []float32{5.1, 3.5, 1.4, 0.2}
	long := make([]float32, 5000)
	inputs := map[string][]*tensor.Tensor{
		"a row":                 {of(t, tensor.Shape{1, 4}, row...)},
		"the same in two rows":  {of(t, tensor.Shape{2, 2}, row...)},
		"another":               {of(t, tensor.Shape{1, 4}, 5.1, 3.5, 1.4, float32(0.3))},
		"of another type":       {of(t, tensor.Shape{1, 4}, 5.1, 3.5, 1.4, 0.2)},
		"in two tensors":        {of(t, tensor.Shape{1, 2}, row[:2]...), of(t, tensor.Shape{1, 2}, row[2:]...)},
		"texts":                 {of(t, tensor.Shape{2}, "ab", "c")},
		"texts cut otherwise":   {of(t, tensor.Shape{2}, "a", "bc")},
		"a sequence":            {tensor.NewSequence(of(t, tensor.Shape{1}, row[:1]...))},
		"a sequence of nothing": {tensor.NewSequence()},
		"long":                  {of(t, tensor.Shape{1, 5000}, long...)},
		"nothing":               nil,
	}
	seen := map[string]string{}
	for name, input := range inputs {
		for _, tenant := range []string{"acme", "globex"} {
			hash, err := hashes.Sum(t.Context(), tenant, input)
			if err != nil || len(hash) != 64 {
				t.Fatalf("%q, %v", hash, err)
			}
			if other, ok := seen[hash]; ok {
				t.Errorf("%s of %s has the hash of %s", name, tenant, other)
			}
			seen[hash] = name + " of " + tenant
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, cfg).InputHash().Sum(t.Context(), "acme", inputs["a row"])
	if err != nil || seen[again] != "a row of acme" {
		t.Errorf("after a start it is %s, %v", again, err)
	}
}

func TestAllElementsAreHashed(t *testing.T) {
	hashes := open(t, config(t, t.TempDir())).InputHash()
	for name, build := range map[string]func(last int) *tensor.Tensor{
		"float32": lastOf[float32](t), "float64": lastOf[float64](t), "int8": lastOf[int8](t), "int16": lastOf[int16](t), "int32": lastOf[int32](t),
		"int64": lastOf[int64](t), "uint8": lastOf[uint8](t), "uint16": lastOf[uint16](t), "uint32": lastOf[uint32](t), "uint64": lastOf[uint64](t),
		"float16": lastOf[tensor.Float16](t),
		"bool":    func(last int) *tensor.Tensor { return of(t, tensor.Shape{3}, true, false, last > 0) },
	} {
		var got []string
		for _, last := range []int{0, 1, 1} {
			hash, err := hashes.Sum(t.Context(), "acme", []*tensor.Tensor{build(last)})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, hash)
		}
		if got[0] == got[1] || got[1] != got[2] {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func lastOf[T interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | tensor.Float16
}](tb testing.TB) func(last int) *tensor.Tensor {
	tb.Helper()
	return func(last int) *tensor.Tensor {
		return of(tb, tensor.Shape{300}, append(slices.Repeat([]T{1}, 299), T(last))...)
	}
}

// BenchmarkInputHash is what the hash of a row costs a prediction.
func BenchmarkInputHash(b *testing.B) {
	hashes := open(b, config(b, b.TempDir())).InputHash()
	input := []*tensor.Tensor{of(b, tensor.Shape{1, 4}, 5.1, 3.5, 1.4, float32(0.2))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hashes.Sum(b.Context(), "acme", input); err != nil {
			b.Fatal(err)
		}
	}
}
