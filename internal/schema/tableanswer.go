package schema

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"

	"onnxgate/internal/tensor"
)

// AppendTable appends the answer to the rows of b as a CSV table with a header:
// "prediction", and of a classifier "label" and a column for each class that
// has a probability; of several outputs their names, NAME_0, NAME_1, … where a
// row has several elements, NAME_KEY where they have names. What is no tensor
// stands in one cell, as JSON. NaN and infinities are NaN, Infinity and
// -Infinity. Errors are those of AppendResponse.
func (s *Schema) AppendTable(dst []byte, b *Batch, outputs []*tensor.Tensor) ([]byte, error) {
	e := encoder{response: &s.response, outputs: outputs, rows: b.Rows}
	if err := e.check(); err != nil {
		return dst, err
	}
	text := bytes.NewBuffer(dst)
	w := csv.NewWriter(text)
	if err := w.Write(e.tableHeader()); err != nil {
		return dst, err
	}
	var record []string
	for i := range b.Rows {
		record = e.tableRow(record[:0], i)
		if err := w.Write(record); err != nil {
			return dst, err
		}
	}
	w.Flush()
	return text.Bytes(), w.Error()
}

func (e *encoder) tableHeader() []string {
	var names []string
	switch e.form {
	case formClass:
		names = append(names, "prediction", "label")
		if e.scores >= 0 && e.probable {
			for k := range e.width(e.scores) {
				names = append(names, e.className(k))
			}
		}
	case formNumber:
		names = e.columnNames(names, "prediction", 0)
	case formOutputs:
		for i := range e.outputs {
			names = e.columnNames(names, e.specs[i].Name, i)
		}
	}
	return names
}

func (e *encoder) className(k int) string {
	if k < len(e.classes) {
		return e.classes[k].name
	}
	return strconv.Itoa(k)
}

// columnNames appends the names of the columns of an output.
func (e *encoder) columnNames(names []string, name string, output int) []string {
	if isList(&e.specs[output]) {
		return append(names, name)
	}
	if e.specs[output].Kind == tensor.KindMapSequence {
		for _, class := range classesOf(e.specs[output].Keys) {
			names = append(names, name+"_"+class.name)
		}
		return names
	}
	width := e.width(output)
	if width == 1 {
		return append(names, name)
	}
	for k := range width {
		names = append(names, name+"_"+strconv.Itoa(k))
	}
	return names
}

func (e *encoder) tableRow(record []string, row int) []string {
	switch e.form {
	case formClass:
		own, name := e.named(row)
		record = append(record, own, name)
		if e.scores >= 0 && e.probable {
			record = e.cells(record, e.scores, row)
		}
	case formNumber:
		record = e.cells(record, 0, row)
	case formOutputs:
		for i := range e.outputs {
			record = e.cells(record, i, row)
		}
	}
	return record
}

// named returns the model's own label of a row, and its name.
func (e *encoder) named(row int) (own, name string) {
	if e.label < 0 {
		best := e.best(row)
		if best >= len(e.classes) {
			return strconv.Itoa(best), strconv.Itoa(best)
		}
		return e.classes[best].ownText(), e.classes[best].name
	}
	own = e.cell(e.outputs[e.label], row)
	if tensor.Of[string](e.outputs[e.label]) != nil {
		if k, ok := e.byText[own]; ok {
			return own, e.classes[k].name
		}
		return own, own
	}
	if n, err := strconv.ParseInt(own, 10, 64); err == nil {
		if k := e.classOf(n); k >= 0 {
			return own, e.classes[k].name
		}
	}
	return own, own
}

func (k classInfo) ownText() string {
	if k.isText {
		return k.text
	}
	return strconv.FormatInt(k.number, 10)
}

// cells appends the elements of one row of an output.
func (e *encoder) cells(record []string, output, row int) []string {
	t := e.outputs[output]
	if isList(&e.specs[output]) {
		return append(record, string(e.list(nil, &e.specs[output], t, row)))
	}
	width := e.width(output)
	for k := range width {
		record = append(record, e.cell(t, row*width+k))
	}
	return record
}

// cell returns an element as text.
func (e *encoder) cell(t *tensor.Tensor, at int) string {
	switch t.DType() { //nolint:exhaustive // the others are written as in JSON
	case tensor.String:
		return tensor.Of[string](t)[at]
	case tensor.Float32, tensor.Float64, tensor.Half:
		switch x := e.float(t, at); {
		case math.IsNaN(x):
			return "NaN"
		case math.IsInf(x, 1):
			return "Infinity"
		case math.IsInf(x, -1):
			return "-Infinity"
		}
	}
	return string(e.element(nil, t, at))
}
