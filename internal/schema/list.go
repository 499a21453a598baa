package schema

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// leafOf returns what holds the elements of a value: a tensor or a map, which
// may be in sequences and optionals.
func leafOf(s *tensor.Spec) *tensor.Spec {
	for (s.Kind == tensor.KindSequence || s.Kind == tensor.KindOptional) && s.Elem != nil {
		s = s.Elem
	}
	return s
}

// typeName says what a value is: the type of its elements, and what holds them
// where that is no tensor. Maps that are scores are known by their role.
func typeName(s *tensor.Spec) string {
	switch s.Kind {
	case tensor.KindSequence, tensor.KindOptional:
		return s.Kind.String() + " of " + typeName(s.Elem)
	case tensor.KindMap:
		return fmt.Sprintf("map of %v to %v", s.Key, s.DType)
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return s.DType.String()
}

// list reads the value of a feature that is a map, a sequence or an optional.
// There is one row of it.
func (b *Batch) list(i int) error {
	f := &b.fields()[i]
	r := lister{Batch: b, field: f, feature: i}
	t, err := r.value(b.schema.inputs[f.in].list, "")
	if t != nil {
		b.Inputs[f.in] = t
	}
	return err
}

// maxHeld is how many tensors, lists, maps and keys of maps one feature may hold
// together. Each takes many times the memory of the two bytes that it can be
// written in.
const maxHeld = 1 << 16

// lister reads lists. Its results are nil where something was refused.
type lister struct {
	*Batch
	*field
	feature int
	held    int
}

// hold counts what is about to be read, and refuses what is too much.
func (l *lister) hold() error {
	if l.held++; l.held <= maxHeld {
		return nil
	}
	err := fault.New(fault.Content, "the input does not fit the model")
	err.Fields = []fault.Field{{
		Pointer: fragment(string(l.decoder.StackPointer())),
		Detail:  "is too much: at most " + strconv.Itoa(maxHeld) + " arrays, objects and members of objects are read",
	}}
	return err
}

// value reads what s describes. pointer is where it stands in the feature.
func (l *lister) value(s *tensor.Spec, pointer string) (*tensor.Tensor, error) {
	if err := l.hold(); err != nil {
		return nil, err
	}
	switch s.Kind {
	case tensor.KindSequence:
		return l.sequence(s, pointer)
	case tensor.KindMap:
		return l.mapping(s, pointer)
	case tensor.KindOptional:
		if l.at(jsontext.KindNull) {
			return tensor.NewOptional(nil), l.skip()
		}
		t, err := l.value(s.Elem, pointer)
		return tensor.NewOptional(t), err
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return l.array(s, pointer)
}

// array reads a tensor.
func (l *lister) array(s *tensor.Spec, pointer string) (*tensor.Tensor, error) {
	t := new(tensor.Tensor)
	a := nested{sink: newSink(t, s.DType)}
	for _, d := range s.Dims {
		a.shape = append(a.shape, d.Size)
	}
	n := nest{Batch: l.Batch, field: l.field, into: &a, feature: l.feature, open: !s.Ranked, prefix: pointer}
	if err := n.value(0); err != nil || l.refused() {
		return nil, err
	}
	a.sink.finish(a.shape)
	return t, nil
}

// refused reports whether anything in the request was.
func (l *lister) refused() bool { return len(l.faults)+len(l.rowFaults) > 0 }

func (l *lister) sequence(s *tensor.Spec, pointer string) (*tensor.Tensor, error) {
	if !l.at(jsontext.KindBeginArray) {
		return nil, l.unlike(pointer, "an array")
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	var items []*tensor.Tensor
	for !l.at(jsontext.KindEndArray) {
		t, err := l.value(s.Elem, pointer+"/"+strconv.Itoa(len(items)))
		if err != nil {
			return nil, err
		}
		items = append(items, t)
	}
	return tensor.NewSequence(items...), l.close()
}

// mapKey is a key of a map: a string or an integer.
type mapKey struct {
	s string
	i int64
}

// mapping reads an object. Names of members are the keys, as integers where
// the keys are.
func (l *lister) mapping(s *tensor.Spec, pointer string) (*tensor.Tensor, error) {
	if !l.at(jsontext.KindBeginObject) {
		return nil, l.unlike(pointer, "an object")
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	keys, values, n := new(tensor.Tensor), new(tensor.Tensor), 0
	names, elements := newSink(keys, s.Key), newSink(values, s.DType)
	seen := map[mapKey]struct{}{}
	for ; !l.at(jsontext.KindEndObject); n++ {
		if err := l.hold(); err != nil {
			return nil, err
		}
		tok, err := l.decoder.ReadToken()
		if err != nil {
			return nil, l.syntax(err)
		}
		name := tok.String()
		key, at := value{s: name}, pointer+"/"+pointerToken(truncated(name))
		if s.Key == tensor.Int64 {
			if key.i, err = strconv.ParseInt(name, 10, 64); err != nil || strconv.FormatInt(key.i, 10) != name {
				l.refuse(l.feature, at, "must be named by an integer")
			}
			key.s = ""
		}
		if detail := l.cleaner.refusal(key.s); detail != "" {
			l.refuse(l.feature, at, detail)
		}
		own := mapKey{key.s, key.i}
		if _, twice := seen[own]; twice {
			return nil, l.repeated()
		}
		seen[own] = struct{}{}
		names.put(n, &key)
		if err := l.entry(elements, n, at); err != nil {
			return nil, err
		}
	}
	names.finish([]int{n})
	elements.finish([]int{n})
	t := new(tensor.Tensor)
	tensor.ResetMap(t, keys, values)
	return t, l.close()
}

// entry reads the value of one key of a map.
func (l *lister) entry(into sink, n int, pointer string) error {
	detail, err := l.element(l.field)
	if err != nil {
		return err
	}
	if detail == "" && !l.fits(&l.Batch.value) {
		detail = l.broken(&l.Batch.value)
	}
	if detail != "" {
		l.refuse(l.feature, pointer, detail)
	}
	into.put(n, &l.Batch.value)
	return nil
}

// open reads the beginning of an array or object, and close its end.
func (l *lister) open() error {
	if _, err := l.decoder.ReadToken(); err != nil {
		return l.syntax(err)
	}
	if l.decoder.StackDepth() > maxDepth {
		return l.tooDeep()
	}
	return nil
}

func (l *lister) close() error {
	_, err := l.decoder.ReadToken()
	if err != nil {
		return l.syntax(err)
	}
	return nil
}

// unlike refuses a value that is not what it must be, and reads over it.
func (l *lister) unlike(pointer, want string) error {
	kind := l.decoder.PeekKind()
	if err := l.skip(); err != nil {
		return err
	}
	l.refuse(l.feature, pointer, "must be "+want+", not "+kindNames[kind])
	return nil
}

// appendListExample appends a value that s describes, all of whose elements
// are the given one; false when it would be large.
func appendListExample(dst []byte, s *tensor.Spec, element string) ([]byte, bool) {
	switch s.Kind {
	case tensor.KindSequence:
		dst, ok := appendListExample(append(dst, '['), s.Elem, element)
		return append(dst, ']'), ok
	case tensor.KindMap:
		key := `{"key":`
		if s.Key == tensor.Int64 {
			key = `{"0":`
		}
		return append(append(append(dst, key...), element...), '}'), true
	case tensor.KindOptional:
		return appendListExample(dst, s.Elem, element)
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	if !s.Ranked {
		return appendArrayExample(dst, []int{1}, element)
	}
	return appendArrayExample(dst, extents(s.Dims), element)
}

func extents(dims []tensor.Dim) []int {
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = d.Size
	}
	return shape
}

// listSchema is the JSON Schema of what s describes, with elements of the given
// one.
func listSchema(s *tensor.Spec, element object) object {
	switch s.Kind {
	case tensor.KindSequence:
		return object{"type": "array", "items": listSchema(s.Elem, element)}
	case tensor.KindMap:
		o := object{"type": "object", "additionalProperties": element}
		if s.Key == tensor.Int64 {
			o["propertyNames"] = object{"pattern": "^(0|-?[1-9][0-9]*)$"}
		}
		return o
	case tensor.KindOptional:
		return object{"anyOf": []any{object{"type": "null"}, listSchema(s.Elem, element)}}
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	if !s.Ranked {
		return anyArray()
	}
	return arraySchema(element, extents(s.Dims))
}
