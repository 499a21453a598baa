package schema

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// notFinite is the warning of an answer in which null stands for a number that
// JSON does not have.
const notFinite = "a result is NaN or infinite and is shown as null"

// AppendResponse appends the whole JSON answer to the rows of b: outputs are
// the graph's, in its order, and version is that of the model. It allocates
// nothing but what dst needs. Where the graph gave something else than it declares, or
// not one result for each row, the fault is Content for several rows, as one at a time
// may be answered, and else Internal.
func (s *Schema) AppendResponse(dst []byte, b *Batch, outputs []*tensor.Tensor, version string) ([]byte, error) {
	e := encoder{response: &s.response, outputs: outputs, rows: b.Rows}
	if err := e.begin(); err != nil {
		return dst, err
	}
	if b.Single {
		dst = e.row(append(dst, '{'), 0)
	} else {
		dst = append(dst, `{"predictions":[`...)
		for i := range b.Rows {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(e.row(append(dst, '{'), i), '}')
		}
		dst = append(dst, ']')
	}
	dst = append(dst, s.response.tail...)
	dst = appendString(dst, version)
	if e.warned {
		dst = append(dst, `,"warnings":["`+notFinite+`"]`...)
	}
	return append(dst, '}'), nil
}

// encoder writes one answer.
type encoder struct {
	*response
	outputs []*tensor.Tensor
	rows    int
	warned  bool
}

// begin is check, for who asked for the answer.
func (e *encoder) begin() error {
	err := e.check()
	_, unlike := errors.AsType[rowsError](err)
	switch {
	case err == nil:
		return nil
	case e.rows > 1 && unlike:
		return fault.Newf(fault.Content, "the model cannot answer %d rows at once; send one at a time: %v", e.rows, err)
	default:
		return fault.Wrap(fault.Internal, "", fmt.Errorf("schema: %w", err))
	}
}

// rowsError is that of an output that has not one result for each row.
type rowsError struct{ error }

// check refuses outputs that the encoding below could not index.
func (e *encoder) check() error {
	if len(e.outputs) != len(e.specs) {
		return fmt.Errorf("the graph gave %d outputs, not %d", len(e.outputs), len(e.specs))
	}
	e.turn()
	for _, i := range e.answered {
		t, check := e.outputs[i], e.checkTensor
		if isList(&e.specs[i]) {
			check = e.checkList
		}
		if err := check(&e.specs[i], t); err != nil {
			return err
		}
	}
	if e.label >= 0 && e.outputs[e.label].Len() != e.rows {
		return rowsError{fmt.Errorf("output %q has shape %v for %s, not one label each", e.specs[e.label].Name, e.outputs[e.label].Shape(), count(e.rows, "row"))}
	}
	if len(e.targets) > 0 && e.width(0) != len(e.targets) {
		return fmt.Errorf("output %q has shape %v for %d targets", e.specs[0].Name, e.outputs[0].Shape(), len(e.targets))
	}
	if e.scores >= 0 {
		width := e.width(e.scores)
		if width == 0 || len(e.classes) > 0 && !e.dynamic && width != len(e.classes) {
			return fmt.Errorf("output %q has %d scores a row for %d classes", e.specs[e.scores].Name, width, len(e.classes))
		}
	}
	for i, keys := range e.columnKeys {
		if e.specs[i].Kind == tensor.KindMapSequence && e.outputs[i].Len() != e.rows*len(keys) {
			return fmt.Errorf("output %q has shape %v for %d keys", e.specs[i].Name, e.outputs[i].Shape(), len(keys))
		}
	}
	return nil
}

func (e *encoder) checkTensor(s *tensor.Spec, t *tensor.Tensor) error {
	if t == nil || t.DType() != s.DType {
		return fmt.Errorf("output %q has another type than declared", s.Name)
	}
	if e.rows == 1 && e.form == formOutputs {
		return nil // whatever its shape, it belongs to the one row
	}
	if shape := t.Shape(); e.rows != 1 && (len(shape) == 0 || shape[0] != e.rows) || t.Len()%max(e.rows, 1) != 0 {
		return rowsError{fmt.Errorf("output %q has shape %v for %s, not one result each", s.Name, shape, count(e.rows, "row"))}
	}
	return nil
}

// turn puts the rows of all outputs first.
func (e *encoder) turn() {
	given := e.outputs
	for _, i := range e.answered {
		axis, t := rowAxis(&e.specs[i]), given[i]
		if axis == 0 || t == nil || len(t.Shape()) <= axis || t.Shape()[axis] != e.rows {
			continue
		}
		if &e.outputs[0] == &given[0] {
			e.outputs = slices.Clone(given)
		}
		e.outputs[i] = rowsFirst(t, axis)
	}
}

// width returns the number of elements of one row.
func (e *encoder) width(output int) int {
	if e.rows > 0 {
		return e.outputs[output].Len() / e.rows
	}
	width := 1
	for _, n := range e.outputs[output].Shape()[1:] { // check has seen that there is a first
		width *= n
	}
	return width
}

// row appends the members of one row's answer.
func (e *encoder) row(dst []byte, row int) []byte {
	switch e.form {
	case formClass:
		dst = e.class(dst, row)
		if e.scores >= 0 && e.probable {
			dst = e.probabilities(append(dst, `,"probabilities":{`...), row)
		}
	case formNumber:
		dst = append(dst, `"prediction":`...)
		if len(e.targets) > 0 {
			return e.byTarget(dst, row)
		}
		dst = e.value(dst, 0, row)
	case formOutputs:
		dst = append(dst, `"outputs":{`...)
		for k, i := range e.answered {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = e.value(append(dst, e.outputKeys[i]...), i, row)
		}
		dst = append(dst, '}')
	}
	return dst
}

// class appends the prediction and its label.
func (e *encoder) class(dst []byte, row int) []byte {
	if e.label < 0 {
		return e.bestClass(dst, row)
	}
	t := e.outputs[e.label]
	if texts := tensor.Of[string](t); texts != nil {
		if k, ok := e.byText[texts[row]]; ok {
			return append(dst, e.classes[k].head...)
		}
		dst = appendString(append(dst, `"prediction":`...), texts[row])
		return appendString(append(dst, `,"label":`...), texts[row])
	}
	if numbers := tensor.Of[int64](t); numbers != nil {
		if k := e.classOf(numbers[row]); k >= 0 {
			return append(dst, e.classes[k].head...)
		}
	}
	return e.numbered(dst, t, row)
}

// classOf returns the index of the class with a number, or -1. Classes are
// mostly numbered from 0.
func (e *encoder) classOf(number int64) int {
	if number >= 0 && number < int64(len(e.classes)) && e.classes[number].number == number && !e.classes[number].isText {
		return int(number)
	}
	if k, ok := e.byNumber[number]; ok {
		return k
	}
	return -1
}

// numbered appends a label that no class has, or of a rarer integer type.
func (e *encoder) numbered(dst []byte, t *tensor.Tensor, row int) []byte {
	dst = append(dst, `"prediction":`...)
	start := len(dst)
	dst = e.element(dst, t, row)
	number := dst[start:]
	if n, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		if k := e.classOf(n); k >= 0 {
			return append(dst[:start-len(`"prediction":`)], e.classes[k].head...)
		}
	}
	end := len(dst)
	dst = append(dst, `,"label":"`...)
	dst = append(dst, dst[start:end]...)
	return append(dst, '"')
}

// bestClass appends the class with the highest score, the first of equals, of
// a model that gives scores alone.
func (e *encoder) bestClass(dst []byte, row int) []byte {
	best := e.best(row)
	if best < len(e.classes) {
		return append(dst, e.classes[best].head...)
	}
	dst = strconv.AppendInt(append(dst, `"prediction":`...), int64(best), 10)
	dst = strconv.AppendInt(append(dst, `,"label":"`...), int64(best), 10)
	return append(dst, '"')
}

// best returns the column of a row's highest score, the first of equals.
func (e *encoder) best(row int) int {
	width := e.width(e.scores)
	best, highest := 0, math.Inf(-1)
	for k := range width {
		if x := e.float(e.outputs[e.scores], row*width+k); x > highest {
			best, highest = k, x
		}
	}
	return best
}

// probabilities appends the scores by class and the closing brace.
func (e *encoder) probabilities(dst []byte, row int) []byte {
	t, width := e.outputs[e.scores], e.width(e.scores)
	for k := range width {
		if k > 0 {
			dst = append(dst, ',')
		}
		if k < len(e.classes) {
			dst = append(dst, e.classes[k].key...)
		} else {
			dst = strconv.AppendInt(append(dst, '"'), int64(k), 10)
			dst = append(dst, `":`...)
		}
		dst = e.element(dst, t, row*width+k)
	}
	return append(dst, '}')
}

// byTarget appends the numbers of one row by the names of the targets.
func (e *encoder) byTarget(dst []byte, row int) []byte {
	dst = append(dst, '{')
	for k, key := range e.targetKeys {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = e.element(append(dst, key...), e.outputs[0], row*len(e.targetKeys)+k)
	}
	return append(dst, '}')
}

// value appends one row of an output: a number or a text where there is one
// element, an object for a sequence of maps, and else a nested array.
func (e *encoder) value(dst []byte, output, row int) []byte {
	t := e.outputs[output]
	if isList(&e.specs[output]) {
		return e.list(dst, &e.specs[output], t, row)
	}
	if e.specs[output].Kind == tensor.KindMapSequence {
		keys := e.columnKeys[output]
		dst = append(dst, '{')
		for k, key := range keys {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = e.element(append(dst, key...), t, row*len(keys)+k)
		}
		return append(dst, '}')
	}
	return e.array(dst, t, row)
}

// array appends one row of a tensor, or all of it where it has none.
func (e *encoder) array(dst []byte, t *tensor.Tensor, row int) []byte {
	shape := t.Shape()
	if len(shape) > 0 && shape[0] == e.rows {
		shape = shape[1:]
	} else {
		row = 0 // the whole tensor belongs to the one row
	}
	if len(shape) == 1 && shape[0] == 1 {
		shape = shape[1:]
	}
	elements := 1
	for _, d := range shape {
		elements *= d
	}
	dst, _ = e.nested(dst, t, shape, row*elements)
	return dst
}

func (e *encoder) nested(dst []byte, t *tensor.Tensor, shape []int, at int) ([]byte, int) {
	if len(shape) == 0 {
		return e.element(dst, t, at), at + 1
	}
	dst = append(dst, '[')
	for i := range shape[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, at = e.nested(dst, t, shape[1:], at)
	}
	return append(dst, ']'), at
}

// element appends one element of a tensor.
func (e *encoder) element(dst []byte, t *tensor.Tensor, at int) []byte {
	switch t.DType() {
	case tensor.Float32:
		return e.number(dst, float64(tensor.Of[float32](t)[at]), 32)
	case tensor.Float64:
		return e.number(dst, tensor.Of[float64](t)[at], 64)
	case tensor.Half:
		return e.number(dst, tensor.Of[tensor.Float16](t)[at].Float64(), 32)
	case tensor.Int8:
		return strconv.AppendInt(dst, int64(tensor.Of[int8](t)[at]), 10)
	case tensor.Int16:
		return strconv.AppendInt(dst, int64(tensor.Of[int16](t)[at]), 10)
	case tensor.Int32:
		return strconv.AppendInt(dst, int64(tensor.Of[int32](t)[at]), 10)
	case tensor.Int64:
		return strconv.AppendInt(dst, tensor.Of[int64](t)[at], 10)
	case tensor.Uint8:
		return strconv.AppendUint(dst, uint64(tensor.Of[uint8](t)[at]), 10)
	case tensor.Uint16:
		return strconv.AppendUint(dst, uint64(tensor.Of[uint16](t)[at]), 10)
	case tensor.Uint32:
		return strconv.AppendUint(dst, uint64(tensor.Of[uint32](t)[at]), 10)
	case tensor.Uint64:
		return strconv.AppendUint(dst, tensor.Of[uint64](t)[at], 10)
	case tensor.String:
		return appendString(dst, tensor.Of[string](t)[at])
	case tensor.Bool:
		return strconv.AppendBool(dst, tensor.Of[bool](t)[at])
	case tensor.Undefined: // no tensor with elements has it
	}
	return append(dst, "null"...)
}

func (e *encoder) float(t *tensor.Tensor, at int) float64 {
	if x := tensor.Of[float32](t); x != nil {
		return float64(x[at])
	}
	if x := tensor.Of[tensor.Float16](t); x != nil {
		return x[at].Float64()
	}
	return tensor.Of[float64](t)[at]
}

func (e *encoder) number(dst []byte, x float64, bits int) []byte {
	if x-x != 0 { // NaN or infinite
		e.warned = true
		return append(dst, "null"...)
	}
	return appendFloat(dst, x, bits)
}

// appendFloat appends the shortest decimal that rounds to x as a float of the
// given bits, in the notation of ECMAScript's Number::toString, but that -0
// keeps its sign. x is finite.
func appendFloat(dst []byte, x float64, bits int) []byte {
	if n := int64(x); float64(n) == x && n > -1e6 && n < 1e6 && (n != 0 || !math.Signbit(x)) {
		return strconv.AppendInt(dst, n, 10)
	}
	format := byte('f')
	if a := math.Abs(x); a < 1e-6 || a >= 1e21 {
		if a != 0 {
			format = 'e'
		}
	}
	dst = strconv.AppendFloat(dst, x, format, -1, bits)
	if n := len(dst); format == 'e' && dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	_ = err // it says only that something became U+FFFD
	return dst
}
