package schema

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/tensor"
)

// AppendTable appends the answer to the rows of b as a CSV table with a header:
// "prediction", or the names of the targets, and of a classifier "label" and a column for each class that
// has a probability; of several outputs their names, NAME_0, NAME_1, … where a
// row has several elements, NAME_KEY where they have names. What is no tensor
// stands in one cell, as JSON. NaN and infinities are NaN, Infinity and
// -Infinity. A text that a spreadsheet would take for a formula has an apostrophe
// before it (see plainCell). Errors are those of AppendResponse.
func (s *Schema) AppendTable(dst []byte, b *Batch, outputs []*tensor.Tensor) ([]byte, error) {
	e := encoder{response: &s.response, outputs: outputs, rows: b.Rows}
	if err := e.begin(); err != nil {
		return dst, err
	}
	names := e.tableHeader()
	l := line{b: dst}
	for _, name := range names {
		l.text(name)
	}
	l.end()
	for i := range b.Rows {
		e.tableRow(&l, i)
		l.end()
	}
	return l.b, nil
}

// line appends the cells of one line after the other.
type line struct {
	b     []byte
	begun bool
}

// next begins a cell, to which the caller appends what needs no quotation marks.
func (l *line) next() {
	if l.begun {
		l.b = append(l.b, ',')
	}
	l.begun = true
}

// text appends a cell, in quotation marks where RFC 4180 section 2 asks for them, and
// where a blank at its beginning could be lost.
func (l *line) text(text string) {
	l.next()
	text = plainCell(text)
	if !strings.ContainsAny(text, ",\"\r\n") && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\t") {
		l.b = append(l.b, text...)
		return
	}
	l.b = append(l.b, '"')
	for {
		before, after, more := strings.Cut(text, `"`)
		l.b = append(l.b, before...)
		l.b = append(l.b, '"')
		if !more {
			return
		}
		l.b, text = append(l.b, '"'), after
	}
}

func (l *line) end() { l.b, l.begun = append(l.b, '\n'), false }

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
		if len(e.targets) > 0 {
			return e.targets
		}
		names = e.columnNames(names, "prediction", 0)
	case formOutputs:
		for _, i := range e.answered {
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

func (e *encoder) tableRow(l *line, row int) {
	switch e.form {
	case formClass:
		own, name := e.named(row)
		l.text(own)
		l.text(name)
		if e.scores >= 0 && e.probable {
			e.cells(l, e.scores, row)
		}
	case formNumber:
		e.cells(l, 0, row)
	case formOutputs:
		for _, i := range e.answered {
			e.cells(l, i, row)
		}
	}
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
	if texts := tensor.Of[string](e.outputs[e.label]); texts != nil {
		own = texts[row]
		if k, ok := e.byText[own]; ok {
			return own, e.classes[k].name
		}
		return own, own
	}
	own = string(e.appendCell(nil, e.outputs[e.label], row))
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
func (e *encoder) cells(l *line, output, row int) {
	t := e.outputs[output]
	if isList(&e.specs[output]) {
		l.text(string(e.list(nil, &e.specs[output], t, row)))
		return
	}
	width, texts := e.width(output), tensor.Of[string](t)
	for k := range width {
		if texts != nil {
			l.text(texts[row*width+k])
			continue
		}
		l.next()
		l.b = e.appendCell(l.b, t, row*width+k)
	}
}

// appendCell appends an element that is no text.
func (e *encoder) appendCell(dst []byte, t *tensor.Tensor, at int) []byte {
	switch t.DType() { //nolint:exhaustive // the others are written as in JSON
	case tensor.Float32, tensor.Float64, tensor.Half:
		switch x := e.float(t, at); {
		case math.IsNaN(x):
			return append(dst, "NaN"...)
		case math.IsInf(x, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(x, -1):
			return append(dst, "-Infinity"...)
		}
	}
	return e.element(dst, t, at)
}

// plainCell returns a text as a spreadsheet shows it and does not compute it
// (CWE-1236): with an apostrophe before one that begins like a formula, unless it
// is a number. In quotation marks it would still be one. The full-width forms are
// taken for the plain ones where people write Chinese, Japanese or Korean.
func plainCell(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	if text == "" || !strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) || isNumeral(text) {
		return text
	}
	return "'" + text
}
