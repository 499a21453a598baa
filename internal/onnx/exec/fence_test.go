package exec_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"onnxgate/internal/tensor"
)

// kind is what the tests below need of an element type.
type kind interface {
	clone(t *tensor.Tensor) *tensor.Tensor
	shuffle(r *rand.Rand, t *tensor.Tensor)
	// within puts a copy of t between canaries, and returns all of that memory.
	within(t *tensor.Tensor) (inside *tensor.Tensor, all any)
	same(a, b *tensor.Tensor) string
}

type kindOf[T tensor.Element] struct{ canary T }

var kinds = map[tensor.DType]kind{ //nolint:exhaustive // a tensor is of no other
	tensor.Float32: kindOf[float32]{-77}, tensor.Float64: kindOf[float64]{-77}, tensor.Half: kindOf[tensor.Float16]{0x7777},
	tensor.Int8: kindOf[int8]{77}, tensor.Int16: kindOf[int16]{77}, tensor.Int32: kindOf[int32]{77}, tensor.Int64: kindOf[int64]{77},
	tensor.Uint8: kindOf[uint8]{77}, tensor.Uint16: kindOf[uint16]{77}, tensor.Uint32: kindOf[uint32]{77}, tensor.Uint64: kindOf[uint64]{77},
	tensor.Bool: kindOf[bool]{true}, tensor.String: kindOf[string]{"canary"},
}

func (k kindOf[T]) clone(t *tensor.Tensor) *tensor.Tensor {
	c := &tensor.Tensor{}
	copy(tensor.Reset[T](c, t.Shape()...), tensor.Of[T](t))
	return c
}

func (k kindOf[T]) shuffle(r *rand.Rand, t *tensor.Tensor) {
	v := tensor.Of[T](t)
	r.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
}

// fenceWidth is how many canaries stand on either side: more than a vector
// instruction writes.
const fenceWidth = 32

func (k kindOf[T]) within(t *tensor.Tensor) (inside *tensor.Tensor, all any) {
	v := tensor.Of[T](t)
	memory := make([]T, len(v)+2*fenceWidth)
	for i := range memory {
		memory[i] = k.canary
	}
	copy(memory[fenceWidth:], v)
	inside, err := tensor.New(t.Shape(), memory[fenceWidth:fenceWidth+len(v)])
	if err != nil {
		panic(err)
	}
	return inside, memory
}

func (k kindOf[T]) same(a, b *tensor.Tensor) string {
	v, w := tensor.Of[T](a), tensor.Of[T](b)
	for i := range v {
		if v[i] != w[i] && (v[i] == v[i] || w[i] == w[i]) { // NaN alone differs from itself
			return fmt.Sprintf("element %d is %v, and %v before", i, w[i], v[i])
		}
	}
	return ""
}

// identical compares values exactly.
func identical(a, b *tensor.Tensor) string {
	if a.DType() != b.DType() || a.Kind() != b.Kind() || !reflect.DeepEqual(append(tensor.Shape{}, a.Shape()...), append(tensor.Shape{}, b.Shape()...)) {
		return fmt.Sprintf("%v of %v, and %v of %v before", b.DType(), b.Shape(), a.DType(), a.Shape())
	}
	if a.Kind() != tensor.KindTensor {
		for i := range a.Items() {
			if diff := identical(a.Items()[i], b.Items()[i]); diff != "" {
				return fmt.Sprintf("item %d: %s", i, diff)
			}
		}
		return ""
	}
	return kinds[a.DType()].same(a, b)
}

// shuffledTensor is t with its elements in another order; a list is left as it
// is.
func shuffledTensor(r *rand.Rand, t *tensor.Tensor) *tensor.Tensor {
	if t.Kind() != tensor.KindTensor {
		return t
	}
	k := kinds[t.DType()]
	c := k.clone(t)
	k.shuffle(r, c)
	return c
}

// fence is a tensor between canaries.
type fence struct {
	inside  *tensor.Tensor
	before  *tensor.Tensor // what it held
	all     any
	written bool // it is an output
}

// fenced puts a copy of t between canaries; a list is left as it is.
func fenced(t *tensor.Tensor) *fence {
	if t.Kind() != tensor.KindTensor || t.DType() == tensor.Undefined {
		return &fence{inside: t}
	}
	f := &fence{before: kinds[t.DType()].clone(t)}
	f.inside, f.all = kinds[t.DType()].within(t)
	return f
}

// broken says what was written that must not be.
func (f *fence) broken() string {
	if f.all == nil {
		return ""
	}
	all := reflect.ValueOf(f.all)
	_, fresh := kinds[f.before.DType()].within(f.before)
	want := reflect.ValueOf(fresh)
	for i := range fenceWidth {
		for _, at := range []int{i, all.Len() - 1 - i} {
			if all.Index(at).Interface() != want.Index(at).Interface() {
				return fmt.Sprintf("the canary at %d of %d is %v", at-fenceWidth, f.before.Len(), all.Index(at))
			}
		}
	}
	if f.written {
		return ""
	}
	return identical(f.before, f.inside)
}
