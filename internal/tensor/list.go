package tensor

import (
	"errors"
	"fmt"
)

// A value of ONNX that is no tensor travels in a Tensor all the same, as a list
// of others: the elements of a sequence, the one value of an optional or none,
// the keys and the values of a map. Its element type is Undefined, its shape
// the number of elements or entries, and Of gives nil for it. What is in a list
// may be in others too, and is not written again while it is.

// NewSequence returns a sequence of the given elements, which it keeps.
func NewSequence(items ...*Tensor) *Tensor {
	t := &Tensor{}
	copy(ResetList(t, KindSequence, len(items)), items)
	return t
}

// NewOptional returns an optional that holds value, which it keeps, or that
// holds nothing when value is nil.
func NewOptional(value *Tensor) *Tensor {
	t := &Tensor{}
	if value == nil {
		ResetList(t, KindOptional, 0)
		return t
	}
	ResetList(t, KindOptional, 1)[0] = value
	return t
}

// NewMap returns a map with an entry for each of keys, which are distinct
// integers (int64) or strings; the values stand in the order of the keys. It
// keeps both tensors, which have one axis.
func NewMap(keys, values *Tensor) (*Tensor, error) {
	if len(keys.shape) != 1 || len(values.shape) != 1 || keys.shape[0] != values.shape[0] || values.kind != KindTensor {
		return nil, fmt.Errorf("tensor: a map of keys of shape %v and values of shape %v", keys.shape, values.shape)
	}
	if keys.dtype != Int64 && keys.dtype != String {
		return nil, fmt.Errorf("tensor: a map with keys of %v", keys.dtype)
	}
	if !distinct(Of[int64](keys)) || !distinct(Of[string](keys)) { // one of them is nil
		return nil, errors.New("tensor: a key of a map is there twice")
	}
	t := &Tensor{}
	ResetMap(t, keys, values)
	return t, nil
}

func distinct[K comparable](keys []K) bool {
	seen := make(map[K]struct{}, len(keys))
	for _, k := range keys {
		seen[k] = struct{}{}
	}
	return len(seen) == len(keys)
}

// ResetList makes t a sequence or an optional of n elements and returns them,
// for the caller to set each. They are those of an earlier use, or nil.
func ResetList(t *Tensor, kind Kind, n int) []*Tensor {
	p, ok := t.data.(*[]*Tensor)
	if !ok {
		p = new([]*Tensor)
		t.dtype, t.data, t.room = Undefined, p, 0
	}
	if cap(*p) < n {
		*p = append((*p)[:cap(*p)], make([]*Tensor, n-cap(*p))...)
		t.room = cap(*p)
	}
	t.kind, t.shape, *p = kind, append(t.shape[:0], n), (*p)[:n]
	return *p
}

// ResetMap makes t a map of keys and values, which have one axis of the same
// extent. Unlike NewMap it does not look at the keys.
func ResetMap(t, keys, values *Tensor) {
	items := ResetList(t, KindMap, 2)
	items[0], items[1] = keys, values
	t.shape[0] = keys.Len()
}

// Clear drops what a list holds, and keeps room for as much. It has no effect
// on a tensor.
func Clear(t *Tensor) {
	if p, ok := t.data.(*[]*Tensor); ok {
		clear((*p)[:cap(*p)])
		t.shape, *p = append(t.shape[:0], 0), (*p)[:0]
	}
}

// Kind returns what t carries: a tensor, a sequence, an optional or a map.
func (t *Tensor) Kind() Kind { return t.kind }

// Items returns the elements of a sequence, the value of an optional if there
// is one, or the keys and the values of a map; nil for a tensor. The caller
// must not change them.
func (t *Tensor) Items() []*Tensor {
	if p, ok := t.data.(*[]*Tensor); ok {
		return *p
	}
	return nil
}
