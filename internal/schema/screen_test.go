package schema_test

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// TestATensorIsDecidedAsItsNumbersAreInJSON takes the numbers about each limit,
// where rounding could tell the two apart.
func TestATensorIsDecidedAsItsNumbersAreInJSON(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Half} {
		for _, limit := range []float64{0.1, 0.6638, 7.9, -3, 1e-3, -2.3e-5, 16777217, 0, 65504} {
			for _, rule := range []string{"min", "max", "exclusive_min", "exclusive_max"} {
				text := fmt.Sprintf("features: [{name: a, %s: %v}, {name: b, nullable: true}]\n", rule, limit)
				m, err := schema.Parse("m.yaml", []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				s, err := schema.Compile(m, "m", []tensor.Spec{spec("x", d, -1, 2)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
				if err != nil {
					continue // a limit that the type does not hold
				}
				b := s.NewBatch()
				for step := -4; step <= 4; step++ {
					in, number := near(t, d, limit, step)
					decoded := s.Decode(t.Context(), s.NewBatch(), fmt.Appendf(nil, `{"a": %s, "b": null}`, number), 1)
					b.Inputs[0] = in
					admitted := s.Admit(t.Context(), b, 1)
					if (decoded == nil) != (admitted == nil) {
						t.Errorf("%v, %s %v: %s is decided %v in JSON, %v as a tensor", d, rule, limit, number, decoded, admitted)
					}
				}
			}
		}
	}
}

// near returns a row with the number so many steps of its type from limit, beside
// NaN, and the number as JSON.
func near(t *testing.T, d tensor.DType, limit float64, step int) (*tensor.Tensor, string) {
	t.Helper()
	towards := float64(step) * math.Inf(1)
	steps := max(step, -step)
	if d == tensor.Float32 {
		x := float32(limit)
		for range steps {
			x = math.Nextafter32(x, float32(towards))
		}
		return newTensor(t, []float32{x, float32(math.NaN())}, 1, 2), strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	if d == tensor.Half {
		h := tensor.NewFloat16(limit)
		return newTensor(t, []tensor.Float16{h, tensor.NewFloat16(math.NaN())}, 1, 2), strconv.FormatFloat(h.Float64(), 'g', -1, 64)
	}
	x := limit
	for range steps {
		x = math.Nextafter(x, towards)
	}
	return newTensor(t, []float64{x, math.NaN()}, 1, 2), strconv.FormatFloat(x, 'g', -1, 64)
}

func TestIntegersOfATensorAreHeldToTheirRanges(t *testing.T) {
	s := compile(t, "features: [{name: a, min: -2, max: 7}, {name: b}]\n", []tensor.Spec{spec("x", tensor.Int8, -1, 2)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	b := s.NewBatch()
	for x := -128; x <= 127; x++ {
		b.Inputs[0] = newTensor(t, []int8{int8(x), int8(x)}, 1, 2)
		if got, want := s.Admit(t.Context(), b, 1) == nil, -2 <= x && x <= 7; got != want {
			t.Errorf("%d: admitted %v", x, got)
		}
	}
}

func TestTheGreatestHalfStandsForItself(t *testing.T) {
	s := compile(t, "features: [{name: a, min: 65504}]\n", []tensor.Spec{spec("x", tensor.Half, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	b := s.NewBatch()
	b.Inputs[0] = newTensor(t, []tensor.Float16{tensor.NewFloat16(65504)}, 1, 1)
	if err := s.Admit(t.Context(), b, 1); err != nil {
		t.Error(err)
	}
}

// BenchmarkAdmit measures the check of 100,000 rows of four numbers.
func BenchmarkAdmit(b *testing.B) {
	const rows = 100_000
	m, err := schema.Parse("m.yaml", []byte("features: [{name: a, min: 0, max: 9.9}, {name: b, min: 0}, {name: c, max: 8.1}, {name: d, nullable: true}]\n"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := schema.Compile(m, "m", []tensor.Spec{spec("x", tensor.Float32, -1, 4)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		b.Fatal(err)
	}
	batch := s.NewBatch()
	data := tensor.Reset[float32](batch.Inputs[0], rows, 4)
	for i := range data {
		data[i] = float32(i%80) / 10
	}
	b.SetBytes(4 * 4 * rows)
	for b.Loop() {
		if err := s.Admit(b.Context(), batch, rows); err != nil {
			b.Fatal(err)
		}
	}
}
