package tensor_test

import (
	"errors"
	"runtime"
	"testing"

	"onnxgate/internal/tensor"
)

func TestElementsRefusesWhatCannotBeHeld(t *testing.T) {
	for name, tc := range map[string]struct {
		shape tensor.Shape
		want  int
		bad   bool
	}{
		"scalar":          {tensor.Shape{}, 1, false},
		"matrix":          {tensor.Shape{3, 4}, 12, false},
		"zero rows":       {tensor.Shape{0, 4}, 0, false},
		"negative":        {tensor.Shape{-1, 4}, 0, true},
		"product wraps":   {tensor.Shape{1 << 32, 1 << 32}, 0, true},
		"wraps to small":  {tensor.Shape{1 << 33, 1 << 31}, 0, true},
		"above the limit": {tensor.Shape{1 << 16, 1 << 16}, 0, true},
		"zero and huge":   {tensor.Shape{0, 1 << 62, 1 << 62}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.shape.Elements()
			if (err != nil) != tc.bad || got != tc.want {
				t.Errorf("Elements = %d, %v; want %d, error %v", got, err, tc.want, tc.bad)
			}
		})
	}
}

func TestNewRefusesALengthThatContradictsTheShape(t *testing.T) {
	if _, err := tensor.New(tensor.Shape{2, 2}, []float32{1, 2, 3}); err == nil {
		t.Error("three elements in a 2×2 tensor were accepted")
	}
	if _, err := tensor.New(tensor.Shape{1 << 40, 1 << 40}, []int64{}); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("error = %v, want ErrTooLarge", err)
	}
}

func TestResetUsesMemoryAgain(t *testing.T) {
	var x tensor.Tensor
	tensor.Reset[float32](&x, 10, 4)
	allocs := testing.AllocsPerRun(100, func() {
		if s := tensor.Reset[float32](&x, 5, 4); len(s) != 20 {
			t.Errorf("len = %d, want 20", len(s))
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestTypeIsNeverMistaken(t *testing.T) {
	x, err := tensor.New(tensor.Shape{2}, []tensor.Float16{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if x.DType() != tensor.Half || x.Len() != 2 {
		t.Errorf("got %v of %d", x.DType(), x.Len())
	}
	if tensor.Of[uint16](x) != nil {
		t.Error("float16 elements were given out as uint16")
	}
	tensor.Reset[string](x, 1)
	if x.DType() != tensor.String || tensor.Of[tensor.Float16](x) != nil {
		t.Error("Reset left the old type behind")
	}
}

// What grows bit by bit takes memory of a few times its size in all, and not of
// its square.
func TestGrowthIsAmortised(t *testing.T) {
	const n = 1 << 12
	for name, grow := range map[string]func() *tensor.Tensor{
		"Extend": func() *tensor.Tensor {
			var x tensor.Tensor
			tensor.Reset[float64](&x, 0, 1)
			for i := range n {
				if err := tensor.Extend(&x, []float64{float64(i)}); err != nil {
					t.Fatal(err)
				}
			}
			return &x
		},
		"Reset": func() *tensor.Tensor {
			var x tensor.Tensor
			for i := range n {
				tensor.Reset[float64](&x, i+1)[i] = float64(i)
			}
			return &x
		},
	} {
		t.Run(name, func(t *testing.T) {
			if x := grow(); x.Len() != n || tensor.Of[float64](x)[n-1] != n-1 {
				t.Fatalf("%d elements, the last %v", x.Len(), tensor.Of[float64](x)[n-1])
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			grow()
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 6*8*n {
				t.Errorf("%d bytes for %d", got, 8*n)
			}
		})
	}
}

func TestRoomIsAPowerOfTwo(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 1 << 20: 1 << 20, 1<<20 + 1: 1 << 21} {
		if got := tensor.Room(n); got != want {
			t.Errorf("Room(%d) = %d, want %d", n, got, want)
		}
	}
}
