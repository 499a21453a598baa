package tensor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/tensor"
)

func vector[T tensor.Element](t *testing.T, data ...T) *tensor.Tensor {
	t.Helper()
	v, err := tensor.New(tensor.Shape{len(data)}, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestListsAreNoTensors(t *testing.T) {
	a, b := vector[int64](t, 1, 2), vector(t, "x", "y")
	m, err := tensor.NewMap(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		list         *tensor.Tensor
		kind         tensor.Kind
		length, held int
	}{
		{tensor.NewSequence(a, b, a), tensor.KindSequence, 3, 3},
		{tensor.NewSequence(), tensor.KindSequence, 0, 0},
		{tensor.NewOptional(a), tensor.KindOptional, 1, 1},
		{tensor.NewOptional(nil), tensor.KindOptional, 0, 0},
		{m, tensor.KindMap, 2, 2},
	} {
		if c.list.Kind() != c.kind || c.list.Len() != c.length || len(c.list.Items()) != c.held || c.list.DType() != tensor.Undefined {
			t.Errorf("%v: a %v of %d, holding %d", c.kind, c.list.Kind(), c.list.Len(), len(c.list.Items()))
		}
		if tensor.Of[int64](c.list) != nil {
			t.Errorf("%v has elements of its own", c.kind)
		}
	}
	if a.Items() != nil || a.Kind() != tensor.KindTensor {
		t.Error("a tensor is a list")
	}
}

func TestMapsThatAreNoneAreRefused(t *testing.T) {
	one, two := vector[int64](t, 1), vector[int64](t, 1, 2)
	for name, c := range map[string][2]*tensor.Tensor{
		"lengths":        {one, two},
		"equal integers": {vector[int64](t, 3, 3), two},
		"equal strings":  {vector(t, "a", "a"), two},
		"keys of floats": {vector[float32](t, 1, 2), two},
		"keys of a list": {tensor.NewSequence(one), one},
		"values":         {one, tensor.NewSequence(one)},
	} {
		if _, err := tensor.NewMap(c[0], c[1]); err == nil {
			t.Errorf("%s: a map was made", name)
		}
	}
}

// A tensor is used again for another value, of another form too.
func TestAListIsUsedAgain(t *testing.T) {
	a := vector[int64](t, 1, 2)
	list := tensor.NewSequence(a, a, a)
	if n := testing.AllocsPerRun(10, func() { tensor.ResetList(list, tensor.KindOptional, 1)[0] = a }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tensor.Clear(list)
	if items := tensor.ResetList(list, tensor.KindSequence, 3); items[0] != nil || items[2] != nil {
		t.Error("a cleared list still holds what was in it")
	}
	copy(tensor.Reset[int64](list, 2), []int64{7, 8})
	if list.Kind() != tensor.KindTensor || list.DType() != tensor.Int64 {
		t.Errorf("a %v of %v", list.Kind(), list.DType())
	}
	tensor.ResetList(list, tensor.KindSequence, 0)
	if diff := cmp.Diff(tensor.Shape{0}, list.Shape()); diff != "" || list.DType() != tensor.Undefined {
		t.Errorf("a list of %v, shape (-want +got):\n%s", list.DType(), diff)
	}
}
