package ops

import (
	"math"
	"testing"

	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

func TestEveryHalfSurvivesFloat32(t *testing.T) {
	for bits := range 1 << 16 {
		h := tensor.Float16(bits)
		x := fromHalf(h)
		if want := onnxtest.HalfValue(h); float64(x) != want && !math.IsNaN(want) || math.IsNaN(want) != math.IsNaN(float64(x)) {
			t.Fatalf("%#04x is %v, want %v", bits, x, want)
		}
		if math.IsNaN(float64(x)) {
			if !math.IsNaN(float64(fromHalf(toHalf(x)))) {
				t.Fatalf("%#04x does not stay NaN", bits)
			}
			continue
		}
		if got := toHalf(x); got != h {
			t.Fatalf("%#04x became %#04x", bits, got)
		}
	}
}

// Between two neighbours the nearer one is taken, and in the middle the even
// one.
func TestHalvesAreRoundedToTheNearestEven(t *testing.T) {
	for bits := range 0x7c00 {
		low, high := onnxtest.HalfValue(tensor.Float16(bits)), onnxtest.HalfValue(tensor.Float16(bits+1))
		if math.IsInf(high, 1) {
			high = 65536 // where the next would be
		}
		middle := float32((low + high) / 2)
		even := tensor.Float16(bits + bits&1)
		for x, want := range map[float32]tensor.Float16{
			middle:                      even,
			math.Nextafter32(middle, 0): tensor.Float16(bits),
			math.Nextafter32(middle, math.MaxFloat32): tensor.Float16(bits + 1),
		} {
			if got := toHalf(x); got != want {
				t.Fatalf("%v became %#04x, want %#04x", x, got, want)
			}
			if got := toHalf(-x); got != want|0x8000 {
				t.Fatalf("%v became %#04x, want %#04x", -x, got, want|0x8000)
			}
		}
	}
}

// A double is rounded once: what is a hair off the middle between two halves
// goes to its own side, although float32 cannot tell it from the middle.
func TestDoublesAreRoundedToHalvesOnce(t *testing.T) {
	for bits := range 0x7bff {
		low, high := onnxtest.HalfValue(tensor.Float16(bits)), onnxtest.HalfValue(tensor.Float16(bits+1))
		middle := (low + high) / 2
		for x, want := range map[float64]tensor.Float16{
			middle:                              tensor.Float16(bits + bits&1),
			middle * (1 - 0x1p-50):              tensor.Float16(bits),
			middle * (1 + 0x1p-50):              tensor.Float16(bits + 1),
			math.Nextafter(middle, math.Inf(1)): tensor.Float16(bits + 1),
		} {
			if got := halfFromReal(x); got != want {
				t.Fatalf("%v became %#04x, want %#04x", x, got, want)
			}
			if got := halfFromReal(-x); got != want|0x8000 {
				t.Fatalf("%v became %#04x, want %#04x", -x, got, want|0x8000)
			}
		}
	}
	for x, want := range map[float64]tensor.Float16{
		0: 0, 1e300: 0x7c00, math.Inf(1): 0x7c00, 65519.9999999999: 0x7bff, 65520: 0x7c00, 1e-300: 0,
	} {
		if got := halfFromReal(x); got != want {
			t.Errorf("%v became %#04x, want %#04x", x, got, want)
		}
	}
	if got := halfFromReal(math.NaN()); onnxtest.HalfValue(got) == onnxtest.HalfValue(got) {
		t.Errorf("NaN became %#04x", got)
	}
}
