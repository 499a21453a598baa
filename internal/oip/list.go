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

// given are the tensors of a request, by name. Those that became a part of an
// input are used.
type given struct {
	specs   []tensor.Spec
	entries map[string]*entry
	// places are the names of the lists that the entries are parts of.
	places map[string]bool
	used   map[string]bool
	order  []string
}

// maxNesting is how many lists may stand around a tensor: more than a model's
// types can.
const maxNesting = 34

func newGiven(entries []entry, inputs []tensor.Spec) (*given, error) {
	g := &given{specs: inputs, entries: make(map[string]*entry, len(entries)), places: map[string]bool{}, used: make(map[string]bool, len(entries))}
	for i := range entries {
		e := &entries[i]
		name := e.name
		if k := indexOf(name, "input-", inputs); k >= 0 {
			name = inputs[k].Name
		}
		if g.entries[name] != nil {
			return nil, fault.Newf(fault.Content, "input %q is given twice", e.name)
		}
		if !g.place(name) {
			return nil, g.unknown(e)
		}
		g.entries[name] = e
		g.order = append(g.order, name)
	}
	return g, nil
}

// place notes which lists a name is a part of, and reports whether it can be an
// input or a part of one.
func (g *given) place(name string) bool {
	for i := range g.specs {
		s := &g.specs[i]
		if s.Name == name {
			return true
		}
		rest, ok := strings.CutPrefix(name, s.Name+".")
		if !ok || s.Kind == tensor.KindTensor {
			continue
		}
		end := len(s.Name)
		for range maxNesting {
			g.places[name[:end]] = true
			part, after, more := strings.Cut(rest, ".")
			if !more {
				return true
			}
			end, rest = end+1+len(part), after
		}
	}
	return false
}

func (g *given) unknown(e *entry) error {
	return fault.Newf(fault.Content, "there is no input %q; there is %s", e.name, list(g.specs))
}

// left refuses what is no part of any input.
func (g *given) left() error {
	for _, name := range g.order {
		if !g.used[name] {
			return g.unknown(g.entries[name])
		}
	}
	return nil
}

// has reports whether a tensor is there that is a value of the name or in it.
func (g *given) has(name string) bool { return g.entries[name] != nil || g.places[name] }

// value makes what s describes of the tensors of its name.
func (g *given) value(s *tensor.Spec, name string) (*tensor.Tensor, error) {
	switch s.Kind {
	case tensor.KindOptional:
		if !g.has(name) {
			return tensor.NewOptional(nil), nil
		}
		t, err := g.value(s.Elem, name)
		return tensor.NewOptional(t), err
	case tensor.KindSequence:
		var items []*tensor.Tensor
		for g.has(elementOf(name, len(items))) {
			t, err := g.value(s.Elem, elementOf(name, len(items)))
			if err != nil {
				return nil, err
			}
			items = append(items, t)
		}
		return tensor.NewSequence(items...), nil
	case tensor.KindMap:
		return g.mapping(s, name)
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return g.tensor(s.DType, name)
}

func (g *given) mapping(s *tensor.Spec, name string) (*tensor.Tensor, error) {
	keys, err := g.tensor(s.Key, name+keysOf)
	if err != nil {
		return nil, err
	}
	values, err := g.tensor(s.DType, name+valuesOf)
	if err != nil {
		return nil, err
	}
	t, err := tensor.NewMap(keys, values)
	if err != nil {
		return nil, fault.Newf(fault.Content, "input %q: its keys are distinct and as many as its values, each in one array", name)
	}
	return t, nil
}

func (g *given) tensor(d tensor.DType, name string) (*tensor.Tensor, error) {
	e := g.entries[name]
	switch {
	case e == nil:
		return nil, fault.Newf(fault.Content, "input %q is missing", name)
	case e.datatype != Datatype(d):
		return nil, fault.Newf(fault.Content, "input %q is %s, not %q", e.name, Datatype(d), e.datatype)
	}
	g.used[name] = true
	t, err := decode(d, e)
	if err != nil {
		return nil, fault.Newf(fault.Content, "input %q: %v", e.name, err)
	}
	return t, nil
}
