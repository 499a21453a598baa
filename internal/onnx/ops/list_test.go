package ops

import (
	"slices"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

func TestWhatPassesTakeCountsOnce(t *testing.T) {
	var b Budget
	b.Start(1000)
	p := b.passes()
	for range 50 { // each takes 100 to 300 and holds 10
		if err := b.holding(func() error { b.Left -= 10; return nil }); err != nil {
			t.Fatal(err)
		}
		b.Left -= 100 + 200*(b.held%20/10)
		if err := p.next(); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	if b.Left != 1000-50*10-300 {
		t.Errorf("%d left", b.Left)
	}
	p = b.passes()
	b.Left -= 150
	if err := p.next(); err != nil {
		t.Fatal(err)
	}
	if err := b.holding(func() error { b.Left -= 100; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.next(); fault.KindOf(err) != fault.Content {
		t.Errorf("100 held of 200, and a pass that takes 150: %v", err)
	}
}

func TestListsKeepWhatBuffersLose(t *testing.T) {
	var b Budget
	for range 2 {
		b.Start(1 << 20)
		source, list := &tensor.Tensor{}, &tensor.Tensor{}
		copy(tensor.Reset[float32](source, 2), []float32{1, 2})
		f := NewFrame([]*tensor.Tensor{source}, []*tensor.Tensor{list}, 0, &b)
		items, err := f.OutputList(0, tensor.KindSequence, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range items {
			if items[i], err = f.Keep(t.Context(), source); err != nil {
				t.Fatal(err)
			}
			tensor.Of[float32](source)[0]++
		}
		for i, want := range [][]float32{{1, 2}, {2, 2}} {
			if got := tensor.Of[float32](list.Items()[i]); !slices.Equal(got, want) {
				t.Errorf("item %d is %v, want %v", i, got, want)
			}
		}
		if len(b.items) != 2 {
			t.Errorf("%d tensors made for two items", len(b.items))
		}
		copied := &tensor.Tensor{}
		if err := f.assignDeep(t.Context(), copied, list); err != nil {
			t.Fatal(err)
		}
		if copied.Items()[0] == list.Items()[0] || tensor.Of[float32](copied.Items()[1])[0] != 2 {
			t.Error("a deep copy shares elements or lost them")
		}
	}
}

func TestListsBeyondTheBudgetAreRefused(t *testing.T) {
	var b Budget
	b.Start(200)
	source := &tensor.Tensor{}
	tensor.Reset[float32](source, 30)
	f := NewFrame([]*tensor.Tensor{source}, []*tensor.Tensor{{}}, 0, &b)
	if _, err := f.OutputList(0, tensor.KindSequence, 1<<40); fault.KindOf(err) != fault.Content {
		t.Errorf("a list of 2^40: %v", err)
	}
	if _, err := f.Keep(t.Context(), source); fault.KindOf(err) != fault.Content {
		t.Errorf("an element of 120 bytes and its head of %d: %v", itemBytes, err)
	}
	if _, _, err := Item[int8](&f, 1<<20); fault.KindOf(err) != fault.Content {
		t.Errorf("an element of 2^20: %v", err)
	}
}
