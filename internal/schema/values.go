package schema

import (
	"context"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// DecodeValues is Decode for an array whose rows may also be arrays of values, one
// for each feature in column order, or, of a model with one feature, its value.
func (s *Schema) DecodeValues(ctx context.Context, b *Batch, body []byte, maxRows int) error {
	b.values = true
	defer func() { b.values = false }()
	return s.Decode(ctx, b, body, maxRows)
}

// valuesRow reads a row that is no object, if it is taken.
func (b *Batch) valuesRow(kind jsontext.Kind, n int) (taken bool, err error) {
	if !b.values {
		return false, nil
	}
	b.beginRow(n)
	if kind == jsontext.KindBeginArray && !b.oneArray() {
		err = b.listed(n)
	} else if len(b.fields()) == 1 {
		err = b.feature(0, n)
	} else {
		return false, nil
	}
	if err == nil && len(b.rowFaults) > 0 {
		b.flush(n)
	}
	return true, err
}

// oneArray reports whether a row is one array or list of the graph's.
func (b *Batch) oneArray() bool {
	fields := b.fields()
	return len(fields) == 1 && (fields[0].Array || b.schema.inputs[fields[0].in].list != nil)
}

// listed reads one row that is an array of values.
func (b *Batch) listed(row int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	n := 0
	for ; !b.at(jsontext.KindEndArray); n++ {
		var err error
		if n < len(b.fields()) {
			b.seen[n] = b.serial
			err = b.feature(n, row)
		} else {
			err = b.skip()
		}
		if err != nil {
			return err
		}
	}
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	if want := len(b.fields()); n != want && !b.full() {
		b.faults = append(b.faults, fault.Field{Pointer: rowPointer(row, false), Detail: "must hold " + count(want, "value") + ", not " + strconv.Itoa(n)})
	}
	return nil
}

// DecodeColumns reads rows from an object of columns, each an array of one value
// for each row, by the names of the features. Otherwise it is as Decode.
func (s *Schema) DecodeColumns(ctx context.Context, b *Batch, body []byte, maxRows int) error {
	if b.schema != s {
		return errors.New("schema: the batch belongs to another schema")
	}
	if s.oneRow {
		maxRows = min(maxRows, 1)
	}
	b.begin(ctx, body)
	err := b.columns(maxRows)
	b.end()
	if err != nil {
		return err
	}
	return b.content()
}

func (b *Batch) columns(maxRows int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	b.beginRow(0)
	b.next, b.Rows = 0, -1
	for !b.at(jsontext.KindEndObject) {
		raw, err := b.decoder.ReadValue()
		if err != nil {
			return b.syntax(err)
		}
		i, name := b.lookup(raw)
		switch {
		case i < 0:
			err = b.unknownMember(name)
		case b.seen[i] == b.serial:
			err = b.repeated()
		default:
			b.seen[i] = b.serial
			err = b.column(i, maxRows)
		}
		if err != nil {
			return err
		}
	}
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	b.missing()
	b.flushColumns()
	if b.Rows = max(b.Rows, 0); b.Rows == 0 && len(b.faults) == 0 {
		b.refuseBody("must hold at least one row")
	}
	if len(b.faults) == 0 {
		b.shape()
	}
	return nil
}

// valueBytes is how many bytes of a body a value takes at least, with what ends it.
const valueBytes = 2

// column reads the values of one feature. Rows beyond the most, and beyond those that
// the body has room for in all columns, are counted alone: something is missing then,
// and one column must not take the memory of all.
func (b *Batch) column(i, maxRows int) error {
	kept := min(maxRows, len(b.body)/(valueBytes*len(b.fields())))
	pointer := "#" + b.fields()[i].pointer
	if kind := b.decoder.PeekKind(); kind != jsontext.KindBeginArray {
		b.faults = append(b.faults, fault.Field{Pointer: pointer, Detail: "must be an array, not " + kindNames[kind]})
		return b.skip()
	}
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	rows := 0
	for ; !b.at(jsontext.KindEndArray); rows++ {
		var err error
		if rows < kept {
			err = b.feature(i, rows)
		} else {
			err = b.skip()
		}
		if err != nil {
			return err
		}
		if len(b.rowFaults) > 0 {
			b.flushColumn(rows)
		}
	}
	_, err := b.decoder.ReadToken()
	switch {
	case err != nil:
		return b.syntax(err)
	case rows > maxRows:
		b.faults = append(b.faults, fault.Field{Pointer: pointer, Detail: "must hold at most " + count(maxRows, "row") + ", not " + strconv.Itoa(rows)})
	case b.Rows >= 0 && rows != b.Rows:
		b.faults = append(b.faults, fault.Field{Pointer: pointer, Detail: "must hold " + count(b.Rows, "row") + " as the columns before it, not " + strconv.Itoa(rows)})
	}
	b.Rows = rows
	return nil
}

// flushColumn tells the faults of one row of a column, which stands in the column.
func (b *Batch) flushColumn(row int) {
	for i := range b.rowFaults {
		b.rowFaults[i].suffix = "/" + strconv.Itoa(row) + b.rowFaults[i].suffix
	}
	b.flushColumns()
}

// flushColumns tells the faults that are of no row.
func (b *Batch) flushColumns() {
	b.Single = true // rows have no number in their pointers
	b.flush(0)
	b.Single = false
}

// AppendPredictions appends a JSON array of what is predicted for each row of b:
// a classifier's own label, a regressor's number, and of any other model an object
// of its outputs. Otherwise it is as AppendResponse.
func (s *Schema) AppendPredictions(dst []byte, b *Batch, outputs []*tensor.Tensor) ([]byte, error) {
	e := encoder{response: &s.response, outputs: outputs, rows: b.Rows}
	if err := e.begin(); err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i := range b.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.prediction(dst, i)
	}
	return append(dst, ']'), nil
}

func (e *encoder) prediction(dst []byte, row int) []byte {
	switch {
	case e.form == formClass && e.label >= 0:
		return e.element(dst, e.outputs[e.label], row)
	case e.form == formClass:
		return e.classValue(dst, e.best(row))
	case e.form == formNumber:
		return e.value(dst, 0, row)
	}
	return append(e.row(append(dst, '{'), row), '}')
}

// classValue appends the label of a class.
func (e *encoder) classValue(dst []byte, k int) []byte {
	switch {
	case k >= len(e.classes):
		return strconv.AppendInt(dst, int64(k), 10)
	case e.classes[k].isText:
		return appendString(dst, e.classes[k].text)
	}
	return strconv.AppendInt(dst, e.classes[k].number, 10)
}
