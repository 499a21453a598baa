package schema

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Admit holds the tensors in b.Inputs, which a protocol has put there in place
// of Decode, to the whole contract: that of the graph (kind, element type and
// shape of each input, as many rows in all), at most maxRows of them, and that
// of the features as Decode holds rows to it, of a graph without a manifest,
// too. A number that is missing (NaN) may stand where its feature is nullable,
// an infinity nowhere; a text is UTF-8. It sets b.Rows, to 1 for a model that
// takes one row at a time.
//
// What does not fit is a fault.Content; its Fields, if any, name rows and
// features. Once ctx is done, the error is the fault of that.
func (s *Schema) Admit(ctx context.Context, b *Batch, maxRows int) error {
	if b.schema != s {
		return errors.New("schema: the batch belongs to another schema")
	}
	if len(b.Inputs) != len(s.inputs) {
		return fault.Newf(fault.Content, "the model takes %s; %d were given", count(len(s.inputs), "input"), len(b.Inputs))
	}
	b.Rows, b.Single, b.Beyond = 0, false, b.Beyond[:0]
	for i, t := range b.Inputs {
		if err := conforms(s.specs[i].Name, &s.specs[i], t); err != nil {
			return err
		}
		if err := b.countRows(i, t); err != nil {
			return err
		}
	}
	b.Rows = max(b.Rows, 1)
	if b.Rows > maxRows {
		return fault.Newf(fault.Content, "the input must hold at most %d rows, not %d", maxRows, b.Rows)
	}
	return s.checkRules(ctx, b.Inputs)
}

// countRows notes the rows of one input, which are those of the others. Axes to
// which the graph gives different names need not agree.
func (b *Batch) countRows(i int, t *tensor.Tensor) error {
	in := &b.schema.inputs[i]
	if in.whole {
		return nil
	}
	rows := t.Shape()[0]
	if b.Rows == 0 || rows == b.Rows {
		b.Rows = rows
		return nil
	}
	for k := range i {
		if other := &b.schema.inputs[k]; !other.whole && !apart(&b.schema.specs[i], &b.schema.specs[k]) && rows != b.Inputs[k].Shape()[0] {
			return fault.Newf(fault.Content, "input %q has %s, input %q has %d: all take the same number",
				other.name, count(b.Inputs[k].Shape()[0], "row"), in.name, rows)
		}
	}
	b.Rows = max(b.Rows, rows)
	return nil
}

// apart reports whether the first axes of two inputs have names that differ.
func apart(a, b *tensor.Spec) bool {
	x, y := a.Dims[0].Name, b.Dims[0].Name
	return x != "" && y != "" && x != y
}

// conforms holds a value to what the graph declares. name is that of the input
// which it is, or is in.
func conforms(name string, s *tensor.Spec, t *tensor.Tensor) error {
	if t == nil || t.Kind() != s.Kind {
		return fault.Newf(fault.Content, "input %q must be of kind %v", name, s.Kind)
	}
	switch s.Kind {
	case tensor.KindSequence, tensor.KindOptional:
		for _, item := range t.Items() {
			if err := conforms(name, s.Elem, item); err != nil {
				return err
			}
		}
		return nil
	case tensor.KindMap:
		items := t.Items()
		if len(items) != 2 || items[0].DType() != s.Key || items[1].DType() != s.DType || items[0].Len() != items[1].Len() {
			return fault.Newf(fault.Content, "input %q must be a map of %v to %v", name, s.Key, s.DType)
		}
		return validText(name, items[0])
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return conformsTensor(name, s, t)
}

func conformsTensor(name string, s *tensor.Spec, t *tensor.Tensor) error {
	switch {
	case t.DType() != s.DType:
		return fault.Newf(fault.Content, "input %q must be of type %v, not %v", name, s.DType, t.DType())
	case !s.Fits(t.Shape()):
		return fault.Newf(fault.Content, "input %q must have shape %s, not %s", name, declaredShape(s.Dims), givenShape(t.Shape()))
	case t.Len() == 0:
		return fault.Newf(fault.Content, "input %q must not be empty", name)
	}
	return nil
}

// validText refuses keys that are no text.
func validText(name string, keys *tensor.Tensor) error {
	for _, key := range tensor.Of[string](keys) {
		if !utf8.ValidString(key) {
			return fault.Newf(fault.Content, "input %q: a key must be UTF-8", name)
		}
	}
	return nil
}

// declaredShape writes the extents of an input, -1 where any is accepted.
func declaredShape(dims []tensor.Dim) string {
	shape := make(tensor.Shape, len(dims))
	for i, d := range dims {
		shape[i] = d.Size
	}
	return givenShape(shape)
}

func givenShape(shape tensor.Shape) string {
	const shown = 16
	words := make([]string, 0, shown)
	for _, n := range shape[:min(len(shape), shown)] {
		words = append(words, strconv.Itoa(n))
	}
	text := strings.Join(words, ", ")
	if len(shape) > shown {
		text += fmt.Sprintf(" and %d more", len(shape)-shown)
	}
	return "[" + text + "]"
}
