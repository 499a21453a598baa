package schema

import (
	"context"
	"math"
	"strconv"
	"unicode/utf8"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// CheckTensors holds the inputs of a model to the rules of the features that
// its manifest lists, as Decode holds rows to them; those of a graph without
// such a list have none. A number of the tensor stands for the shortest decimal
// that it is nearest to, since limits hold for what was sent. Texts are cleaned in
// their place. A tensor whose
// type or shape is not the input's is passed over: the engine refuses it.
//
// What breaks a rule is a fault.Content, whose Fields name the row and the
// feature. Once ctx is done, the error is the fault of that.
func (s *Schema) CheckTensors(ctx context.Context, inputs []*tensor.Tensor) error {
	if !s.declared || len(inputs) != len(s.inputs) {
		return nil
	}
	return s.checkRules(ctx, inputs)
}

// checkRules is CheckTensors for any features.
func (s *Schema) checkRules(ctx context.Context, inputs []*tensor.Tensor) error {
	c := &columnChecker{schema: s, meter: newMeter(ctx)}
	for i, t := range inputs {
		if err := c.input(i, t); err != nil {
			return err
		}
	}
	if len(c.faults) == 0 {
		return nil
	}
	err := fault.New(fault.Content, "the input does not fit the model")
	err.Fields, err.Truncated = c.faults, c.truncated
	return err
}

type columnChecker struct {
	schema    *Schema
	faults    []fault.Field
	truncated bool
	meter     meter
}

// input checks one input, of which t is the whole or a part.
func (c *columnChecker) input(i int, t *tensor.Tensor) error {
	in := &c.schema.inputs[i]
	switch t.Kind() {
	case tensor.KindMap:
		c.keys(i, t.Items()[0])
		return c.input(i, t.Items()[1])
	case tensor.KindSequence, tensor.KindOptional:
		for _, item := range t.Items() {
			if err := c.input(i, item); err != nil {
				return err
			}
		}
		return nil
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	if in.screen != nil && t.DType() == in.dtype && in.screen.passes(t) {
		return nil
	}
	columns := c.schema.columns(i)
	shape := t.Shape()
	rows := 1
	if !in.whole && len(shape) > 0 {
		rows = shape[0]
	}
	perRow := t.Len() / max(1, rows)
	whole := in.array || in.list != nil // one feature takes all elements
	if t.DType() != in.dtype || !whole && perRow != len(columns) {
		return nil
	}
	at, texts := reading(t), tensor.Of[string](t)
	for k := range t.Len() {
		f := columns[0]
		if !whole {
			f = columns[k%perRow]
		}
		size := 0
		if texts != nil {
			size = len(texts[k])
		}
		if err := c.meter.spend(f.work(size)); err != nil {
			return err
		}
		if detail := f.inTensor(texts, at, k); detail != "" && !c.report(f, k/perRow, t, k, detail) {
			return nil
		}
	}
	return nil
}

// inTensor cleans and checks element k, and returns what is wrong with it.
func (f *field) inTensor(texts []string, at func(int, *value), k int) (detail string) {
	if texts != nil {
		if texts[k], detail = f.cleanBytes(texts[k]); detail != "" {
			return detail
		}
	}
	var v value
	if at(k, &v); f.fits(&v) {
		return ""
	}
	return f.unmet(&v)
}

// cleanBytes is clean for a text that may not even be one.
func (f *field) cleanBytes(text string) (cleaned, detail string) {
	if !utf8.ValidString(text) {
		return text, "must be UTF-8"
	}
	return f.cleaner.clean(text)
}

// unmet says which rule a number or a text breaks.
func (f *field) unmet(v *value) string {
	if v.null {
		return "must be " + f.info.words + ", and is missing"
	}
	return f.broken(v)
}

// keys checks the keys of a map, which are texts or integers.
func (c *columnChecker) keys(i int, keys *tensor.Tensor) {
	f := c.schema.columns(i)[0]
	for k, key := range tensor.Of[string](keys) {
		detail := "must be UTF-8"
		if utf8.ValidString(key) {
			detail = f.cleaner.refusal(key)
		}
		if detail != "" && !c.report(f, 0, keys, k, "of which a key "+detail) {
			return
		}
	}
}

// columns returns the features of an input in their order.
func (s *Schema) columns(i int) []*field {
	var fields []*field
	for k := range s.fields {
		if f := &s.fields[k]; f.in == i {
			fields = append(fields, f)
		}
	}
	return fields
}

// report notes what is wrong with element k of a tensor, and says whether there is
// room for more.
func (c *columnChecker) report(f *field, row int, t *tensor.Tensor, k int, detail string) bool {
	if len(c.faults) == fault.MaxFields {
		c.truncated = true
		return false
	}
	pointer := rowPointer(row, c.schema.inputs[f.in].whole) + f.pointer
	if f.Array {
		pointer += within(t.Shape(), k, c.schema.inputs[f.in].whole)
	}
	c.faults = append(c.faults, fault.Field{Pointer: pointer, Detail: detail})
	return true
}

// within says where element k stands in the array of a row.
func within(shape tensor.Shape, k int, whole bool) string {
	text, first := "", 1
	if whole {
		first = 0
	}
	for axis := len(shape) - 1; axis >= first; axis-- {
		text = "/" + strconv.Itoa(k%shape[axis]) + text
		k /= shape[axis]
	}
	return text
}

// reading returns what reads the elements of a tensor.
func reading(t *tensor.Tensor) func(int, *value) {
	switch t.DType() {
	case tensor.Float32:
		return floats(t, func(x float32) float64 { return shortest(float64(x)) })
	case tensor.Float64:
		return floats(t, func(x float64) float64 { return x })
	case tensor.Half:
		return floats(t, shortestHalf)
	case tensor.Int8:
		return integers[int8](t)
	case tensor.Int16:
		return integers[int16](t)
	case tensor.Int32:
		return integers[int32](t)
	case tensor.Int64:
		return integers[int64](t)
	case tensor.Uint8:
		return integers[uint8](t)
	case tensor.Uint16:
		return integers[uint16](t)
	case tensor.Uint32:
		return integers[uint32](t)
	case tensor.Uint64:
		data := tensor.Of[uint64](t)
		return func(k int, v *value) { v.u = data[k] }
	case tensor.String:
		data := tensor.Of[string](t)
		return func(k int, v *value) { v.s = data[k] }
	case tensor.Bool, tensor.Undefined:
	}
	return func(int, *value) {} // no rule is for a truth value
}

func floats[T tensor.Element](t *tensor.Tensor, number func(T) float64) func(int, *value) {
	data := tensor.Of[T](t)
	return func(k int, v *value) {
		v.f = number(data[k])
		v.null = math.IsNaN(v.f)
	}
}

func integers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](t *tensor.Tensor) func(int, *value) {
	data := tensor.Of[T](t)
	return func(k int, v *value) { v.i = int64(data[k]) }
}

// shortest returns the number with the fewest digits among those whose nearest
// in 32 bits is x.
func shortest(x float64) float64 {
	if x == math.Trunc(x) || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	var digits [32]byte
	v, err := strconv.ParseFloat(string(strconv.AppendFloat(digits[:0], x, 'g', -1, 32)), 64)
	if err != nil {
		return x
	}
	return v
}

// shortestHalf is shortest for 16 bits, which five digits tell apart.
func shortestHalf(h tensor.Float16) float64 {
	x := h.Float64()
	if x == math.Trunc(x) {
		return x
	}
	for digits := 1; digits < 5; digits++ {
		v, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
		if err == nil && tensor.NewFloat16(v) == h {
			return v
		}
	}
	return x
}
