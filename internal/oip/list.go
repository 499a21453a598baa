package oip

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// The protocol carries tensors. A value of another kind goes as the tensors in
// it, each named by its place: the elements of a sequence X are X.0, X.1, …, the
// keys and values of a map X are X.keys and X.values, an optional X is X or is
// left out. Maps of the same keys in a sequence are one tensor [N, C].
const (
	keysOf   = ".keys"
	valuesOf = ".values"
)

func elementOf(name string, i int) string { return name + "." + strconv.Itoa(i) }

// Flat yields the tensors that a value of the given name goes as, with the name
// of each.
func Flat(name string, t *tensor.Tensor) iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) { flatten(name, t, yield) }
}

// flatten reports whether to go on.
func flatten(name string, t *tensor.Tensor, yield func(string, *tensor.Tensor) bool) bool {
	items := t.Items()
	switch t.Kind() {
	case tensor.KindMap:
		return yield(name+keysOf, items[0]) && yield(name+valuesOf, items[1])
	case tensor.KindOptional:
		return len(items) == 0 || flatten(name, items[0], yield)
	case tensor.KindSequence:
		if table := stack(items); table != nil {
			return yield(name, table)
		}
		for i, item := range items {
			if !flatten(elementOf(name, i), item, yield) {
				return false
			}
		}
		return true
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return yield(name, t)
}

// stack returns the values of float maps of the same keys as one tensor [N, C],
// and nil for anything else.
func stack(items []*tensor.Tensor) *tensor.Tensor {
	var table []float32
	for _, m := range items {
		if m.Kind() != tensor.KindMap || !sameKeys(items[0].Items()[0], m.Items()[0]) || m.Items()[1].DType() != tensor.Float32 {
			return nil
		}
		table = append(table, tensor.Of[float32](m.Items()[1])...)
	}
	if len(items) == 0 {
		return nil
	}
	t, err := tensor.New(tensor.Shape{len(items), items[0].Len()}, table)
	if err != nil {
		return nil
	}
	return t
}

func sameKeys(a, b *tensor.Tensor) bool {
	return a.DType() == b.DType() && slices.Equal(tensor.Of[int64](a), tensor.Of[int64](b)) && slices.Equal(tensor.Of[string](a), tensor.Of[string](b))
}

// PartSpec describes a tensor that a value travels as: its type, and its shape
// with -1 where any extent is accepted.
type PartSpec struct {
	DType tensor.DType
	Shape []int
}

// FlatSpec yields what Flat gives for values that s describes, or the parts that a
// request has of them. Of a sequence that may have any number of elements, it is
// the first; a tensor of any rank is described as one of a free extent.
func FlatSpec(s *tensor.Spec) iter.Seq2[string, PartSpec] {
	return func(yield func(string, PartSpec) bool) { flattenSpec(s.Name, s, yield) }
}

func flattenSpec(name string, s *tensor.Spec, yield func(string, PartSpec) bool) bool {
	switch s.Kind {
	case tensor.KindMapSequence:
		columns := -1
		if s.Keys != nil {
			columns = s.Keys.Len()
		}
		return yield(name, PartSpec{tensor.Float32, []int{-1, columns}})
	case tensor.KindMap:
		return yield(name+keysOf, PartSpec{s.Key, []int{-1}}) && yield(name+valuesOf, PartSpec{s.DType, []int{-1}})
	case tensor.KindOptional:
		return flattenSpec(name, s.Elem, yield)
	case tensor.KindSequence:
		for i := range max(1, s.Items) {
			if !flattenSpec(elementOf(name, i), s.Elem, yield) {
				return false
			}
		}
		return true
	case tensor.KindTensor:
	}
	shape := Extents(s)
	if shape == nil {
		shape = []int{-1}
	}
	return yield(name, PartSpec{s.DType, shape})
}

// findPart returns the spec of which name may name a tensor, as Flat does: -1 when
// there is none.
func findPart(name string, specs []tensor.Spec) int {
	return slices.IndexFunc(specs, func(s tensor.Spec) bool {
		rest, ok := strings.CutPrefix(name, s.Name)
		return ok && isPart(&s, rest)
	})
}

// isPart reports whether rest, behind the name of a value, names a tensor in it.
func isPart(s *tensor.Spec, rest string) bool {
	switch s.Kind {
	case tensor.KindMap:
		return rest == keysOf || rest == valuesOf
	case tensor.KindOptional:
		return isPart(s.Elem, rest)
	case tensor.KindSequence:
		after, ok := strings.CutPrefix(rest, ".")
		digits, _, _ := strings.Cut(after, ".")
		n, err := strconv.Atoi(digits)
		known := n >= 0 && (s.Items == 0 || n < s.Items)
		return ok && err == nil && known && strconv.Itoa(n) == digits && isPart(s.Elem, after[len(digits):])
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return rest == ""
}

// parts are the tensors of a request for a model of which some input is a list, by
// name. Those that became a part of an input are used.
type parts struct {
	specs   []tensor.Spec
	index   map[string]int // of entries
	entries []entry
	// places are the names of the lists that the entries are parts of.
	places map[string]bool
	used   map[string]bool
	order  []string
}

// maxNesting is how many lists may stand around a tensor: more than a model's
// types can.
const maxNesting = 34

func newParts(inputs []tensor.Spec) *parts {
	return &parts{specs: inputs, index: map[string]int{}, places: map[string]bool{}, used: map[string]bool{}}
}

// place notes what the entry of the number is for.
func (p *parts) place(number int, e *entry) error {
	name := string(e.name)
	if k := indexOf(e.name, "input-", p.specs); k >= 0 {
		name = p.specs[k].Name
	}
	if _, twice := p.index[name]; twice {
		return fault.Newf(fault.Content, "input %q is given twice", cut(e.name))
	}
	if !p.belongs(name) {
		return unknownInput(e, p.specs)
	}
	p.index[name] = number
	p.order = append(p.order, name)
	return nil
}

// belongs notes which lists a name is a part of, and reports whether it can be an
// input or a part of one.
func (p *parts) belongs(name string) bool {
	for i := range p.specs {
		s := &p.specs[i]
		if s.Name == name {
			return true
		}
		rest, ok := strings.CutPrefix(name, s.Name+".")
		if !ok || s.Kind == tensor.KindTensor {
			continue
		}
		end := len(s.Name)
		for range maxNesting {
			p.places[name[:end]] = true
			part, after, more := strings.Cut(rest, ".")
			if !more {
				return true
			}
			end, rest = end+1+len(part), after
		}
	}
	return false
}

// fill makes every input of its parts.
func (p *parts) fill(entries []entry, into []*tensor.Tensor) error {
	p.entries = entries
	for i := range p.specs {
		t, err := p.value(&p.specs[i], p.specs[i].Name)
		if err != nil {
			return err
		}
		*into[i] = *t
	}
	for _, name := range p.order {
		if !p.used[name] {
			return unknownInput(&entries[p.index[name]], p.specs)
		}
	}
	return nil
}

// has reports whether a tensor is there that is a value of the name or in it.
func (p *parts) has(name string) bool {
	_, there := p.index[name]
	return there || p.places[name]
}

// value makes what s describes of the tensors of its name.
func (p *parts) value(s *tensor.Spec, name string) (*tensor.Tensor, error) {
	switch s.Kind {
	case tensor.KindOptional:
		if !p.has(name) {
			return tensor.NewOptional(nil), nil
		}
		t, err := p.value(s.Elem, name)
		return tensor.NewOptional(t), err
	case tensor.KindSequence:
		var items []*tensor.Tensor
		for p.has(elementOf(name, len(items))) {
			t, err := p.value(s.Elem, elementOf(name, len(items)))
			if err != nil {
				return nil, err
			}
			items = append(items, t)
		}
		return tensor.NewSequence(items...), nil
	case tensor.KindMap:
		return p.mapping(s, name)
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return p.tensor(s.DType, name)
}

func (p *parts) mapping(s *tensor.Spec, name string) (*tensor.Tensor, error) {
	keys, err := p.tensor(s.Key, name+keysOf)
	if err != nil {
		return nil, err
	}
	values, err := p.tensor(s.DType, name+valuesOf)
	if err != nil {
		return nil, err
	}
	t, err := tensor.NewMap(keys, values)
	if err != nil {
		return nil, fault.Newf(fault.Content, "input %q: its keys are distinct and as many as its values, each in one array", name)
	}
	return t, nil
}

func (p *parts) tensor(d tensor.DType, name string) (*tensor.Tensor, error) {
	k, there := p.index[name]
	if !there {
		return nil, missing(name)
	}
	p.used[name] = true
	t := new(tensor.Tensor)
	return t, p.entries[k].decode(d, t)
}
