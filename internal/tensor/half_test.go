package tensor_test

import (
	"math"
	"testing"

	"onnxgate/internal/tensor"
)

// Every binary16 converts there and back; between two of them the nearer one
// is chosen, and the even one half-way.
func TestHalfRoundsToNearestEven(t *testing.T) {
	for h := range tensor.Float16(0x7C00) {
		x := h.Float64()
		if back := tensor.NewFloat16(x); back != h {
			t.Fatalf("%#04x: %v converts to %#04x", h, x, back)
		}
		if back := tensor.NewFloat16(-x); back != h|0x8000 {
			t.Fatalf("%#04x: %v converts to %#04x", h|0x8000, -x, back)
		}
		if h == 0x7BFF {
			break
		}
		next := (h + 1).Float64()
		middle, even := (x+next)/2, h+h&1
		for y, want := range map[float64]tensor.Float16{
			middle: even, math.Nextafter(middle, 0): h, math.Nextafter(middle, next): h + 1,
		} {
			if got := tensor.NewFloat16(y); got != want {
				t.Fatalf("%v: %#04x, want %#04x", y, got, want)
			}
		}
	}
	if tensor.NewFloat16(math.NaN()) != 0x7E00 || !math.IsNaN(tensor.Float16(0x7E00).Float64()) || !math.IsInf(tensor.Float16(0xFC00).Float64(), -1) {
		t.Error("NaN or infinity is lost")
	}
}
