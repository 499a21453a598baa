package schema

import (
	"fmt"
	"strconv"

	"onnxgate/internal/tensor"
)

// isList reports whether a value travels as a list: as a map, a sequence or an
// optional, not as a tensor.
func isList(s *tensor.Spec) bool {
	return s.Kind != tensor.KindTensor && s.Kind != tensor.KindMapSequence
}

// checkList refuses a list of which list could not make one result for each
// row. One row may have any.
func (e *encoder) checkList(s *tensor.Spec, t *tensor.Tensor) error {
	switch {
	case t == nil || t.Kind() != s.Kind:
		return fmt.Errorf("output %q is not a %s", s.Name, typeName(s))
	case e.rows != 1 && !e.byRows(s, t):
		return rowsError{fmt.Errorf("output %q, a %s, has not one result for each of %d rows", s.Name, typeName(s), e.rows)}
	}
	return nil
}

// byRows reports whether a value holds one result for each row: a tensor along
// its first axis, a sequence in each of its elements, and one of maps by its
// elements themselves.
func (e *encoder) byRows(s *tensor.Spec, t *tensor.Tensor) bool {
	switch s.Kind {
	case tensor.KindTensor, tensor.KindMapSequence:
		shape := t.Shape()
		return len(shape) > 0 && shape[0] == e.rows
	case tensor.KindSequence:
		if s.Elem.Kind == tensor.KindMap {
			return t.Len() == e.rows
		}
	case tensor.KindMap:
		return false
	case tensor.KindOptional:
	}
	for _, item := range t.Items() {
		if !e.byRows(s.Elem, item) {
			return false
		}
	}
	return true
}

// list appends one row of a list: of a sequence an array of that row in each
// element, or the row's own map; of an optional its value, or null.
func (e *encoder) list(dst []byte, s *tensor.Spec, t *tensor.Tensor, row int) []byte {
	items := t.Items()
	switch s.Kind {
	case tensor.KindMap:
		return e.mapping(dst, items[0], items[1])
	case tensor.KindOptional:
		if len(items) == 0 {
			return append(dst, "null"...)
		}
		return e.list(dst, s.Elem, items[0], row)
	case tensor.KindSequence:
		if s.Elem.Kind == tensor.KindMap && len(items) == e.rows {
			return e.list(dst, s.Elem, items[row], row)
		}
		dst = append(dst, '[')
		for i, item := range items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.list(dst, s.Elem, item, row)
		}
		return append(dst, ']')
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return e.array(dst, t, row)
}

func (e *encoder) mapping(dst []byte, keys, values *tensor.Tensor) []byte {
	texts, numbers := tensor.Of[string](keys), tensor.Of[int64](keys)
	dst = append(dst, '{')
	for i := range values.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if texts != nil {
			dst = appendString(dst, texts[i])
		} else {
			dst = append(strconv.AppendInt(append(dst, '"'), numbers[i], 10), '"')
		}
		dst = e.element(append(dst, ':'), values, i)
	}
	return append(dst, '}')
}
