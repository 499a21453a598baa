package tensor_test

import (
	"testing"

	"onnxgate/internal/tensor"
)

func TestMemoryOfOneExtraordinaryRunIsNotKept(t *testing.T) {
	const large, small = 32 << 20, 1 << 10
	var r tensor.Retention
	if !r.Keep(small, small) {
		t.Error("small memory is not kept")
	}
	if r.Keep(large, large) {
		t.Error("the memory of the first large run is kept")
	}
	if r.Keep(4*large, 4*large) {
		t.Error("128 MiB are kept")
	}
	if !r.Keep(large, large) {
		t.Error("the memory of the second large run in succession is not kept")
	}
	runs := 0
	for ; r.Keep(small, large); runs++ {
		if runs == 1_000 {
			t.Fatal("large memory is kept though runs need little")
		}
	}
	if runs < 8 {
		t.Errorf("large memory is let go of after %d small runs between large ones", runs)
	}
	for range 1_000 {
		if !r.Keep(small, small) {
			t.Fatal("small memory is not kept after large runs")
		}
	}
	if r.Keep(small, large) {
		t.Error("large memory is kept long after a large run")
	}
}

func TestATensorKnowsWhatItsMemoryTakes(t *testing.T) {
	var x tensor.Tensor
	want := func(what string, n int) {
		t.Helper()
		if got := x.Memory(); got != n {
			t.Errorf("%s: %d bytes, want %d", what, got, n)
		}
	}
	want("of nothing", 0)
	tensor.Reset[float64](&x, 10, 10)
	want("100 of float64", 800)
	tensor.Reset[float64](&x, 1)
	want("one in the memory of 100", 800)
	tensor.Reset[int8](&x, 3)
	want("of another type", cap(tensor.Of[int8](&x)))
	if err := tensor.Extend(&x, []int8{1}); err != nil {
		t.Fatal(err)
	}
	want("extended", cap(tensor.Of[int8](&x)))
	tensor.ResetList(&x, tensor.KindSequence, 5)
	want("a list of five", 8*cap(x.Items()))
	y, err := tensor.New(tensor.Shape{2}, []string{"a", "b"})
	if err != nil || y.Memory() != 32 {
		t.Errorf("two texts: %d bytes, %v; want 32", y.Memory(), err)
	}
}
