package schema

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/fault"
)

// DecodeTable reads rows from a CSV table (RFC 4180) into b. The header names
// the features, in any order; a byte order mark before it is passed over. The
// values keep the rules that Decode holds them to. A cell of a number that is
// empty or a word of the list missing is so, as null is in JSON; that of a truth
// value may be 1 or 0; that of an array, a map or a sequence holds its JSON.
//
// aside names columns that are no features, whose texts are returned, a list for
// each row in the order of the names. A table that does not fit is a fault.Content,
// what is no CSV a fault.Syntax; Fields say where by line and column.
func (s *Schema) DecodeTable(b *Batch, body []byte, maxRows int, aside []string) ([][]string, error) {
	if b.schema != s {
		return nil, errors.New("schema: the batch belongs to another schema")
	}
	if err := CheckTable(body); err != nil {
		return nil, err
	}
	if !IsText(body) {
		return nil, fault.New(fault.Syntax, "the table "+NotUTF8)
	}
	body = bytes.TrimPrefix(body, byteOrderMark)
	b.begin(body)
	defer b.end()
	t := &tableReader{Batch: b, csv: csv.NewReader(bytes.NewReader(body)), body: body}
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	if s.oneRow {
		maxRows = min(maxRows, 1)
	}
	err := t.header(aside)
	if err == nil && len(b.faults) == 0 {
		err = t.rows(maxRows)
	}
	if err != nil {
		return nil, err
	}
	if err := b.content(); err != nil {
		return nil, err
	}
	b.shape()
	return t.texts, nil
}

// NotUTF8 says of what IsText refuses what to do.
const NotUTF8 = "is not UTF-8; save it as UTF-8, not as Latin-1 or UTF-16"

// IsText reports whether a body is text in UTF-8, in which no NUL is: UTF-16 is
// full of them.
func IsText(body []byte) bool { return utf8.Valid(body) && bytes.IndexByte(body, 0) < 0 }

// Columns returns how many of the names are features.
func (s *Schema) Columns(names []string) int {
	n := 0
	for _, name := range names {
		if _, known := s.byName[name]; known {
			n++
		}
	}
	return n
}

// tableReader reads one table.
type tableReader struct {
	*Batch
	csv     *csv.Reader
	columns []int    // the feature of each column; -1-k for name k aside
	names   []string // of the columns
	aside   int      // how many are aside
	texts   [][]string

	body    []byte
	counted int64 // bytes of it, in which line ends were counted
	line    int
}

// read returns the next line, io.EOF behind the last.
func (t *tableReader) read() ([]string, error) {
	record, err := t.csv.Read()
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		detail := fmt.Sprintf("line %d, byte %d: %v", at.Line, at.Column, at.Err)
		fail := fault.New(fault.Syntax, "the table is no CSV: "+detail)
		fail.Fields = []fault.Field{{Line: at.Line, Detail: at.Err.Error()}}
		return nil, fail
	}
	return record, err
}

func (t *tableReader) header(aside []string) error {
	record, err := t.read()
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Content, "the table is empty; its first line must name the columns")
	}
	if err != nil {
		return err
	}
	t.nextSerial()
	if t.schema.Columns(record) == 0 && holdsValues(record) {
		return fault.Newf(fault.Content, "line 1 holds values such as %q; it must name the columns: add a line with their names", record[0])
	}
	there := make(map[string]bool, len(record))
	t.aside = len(aside)
	for column, name := range record {
		name = strings.Clone(strings.TrimSpace(name))
		i, known := t.schema.byName[name]
		switch {
		case there[name]:
			t.report(1, column, name, "is there twice")
		case slices.Contains(aside, name):
			i = -1 - slices.Index(aside, name)
		case known:
			t.seen[i] = t.serial
		default:
			t.report(1, column, name, NotAFeature+indexHint(name)+t.suggestion(name))
		}
		there[name] = true
		t.names, t.columns = append(t.names, name), append(t.columns, i)
	}
	for i := range t.seen {
		if t.seen[i] != t.serial {
			t.report(1, -1, t.fields()[i].Name, "is required")
		}
	}
	for _, name := range aside {
		if !there[name] {
			t.report(1, -1, name, "is required")
		}
	}
	return nil
}

// indexHint says of a column that looks like the index of a pandas table how to
// leave it out.
func indexHint(name string) string {
	if name != "" && !strings.HasPrefix(name, "Unnamed: ") {
		return ""
	}
	return "; leave an index out (in pandas: index=False)"
}

// holdsValues reports whether a header looks like a row: it has a number with a
// fraction, or numbers alone that do not count the columns.
func holdsValues(header []string) bool {
	numbers, counted := 0, true
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !numeral.MatchString(name) {
			continue
		}
		if strings.ContainsAny(name, ".eE") {
			return true
		}
		numbers++
		counted = counted && name == strconv.Itoa(i)
	}
	return numbers == len(header) && !counted
}

// report notes a fault at a line and, unless it is -1, a column.
func (t *tableReader) report(line, column int, name, detail string) {
	if len(t.faults) >= fault.MaxFields {
		t.truncated = true
		return
	}
	t.faults = append(t.faults, fault.Field{Line: line, Column: column + 1, Name: truncated(name), Detail: detail})
}

func (t *tableReader) rows(maxRows int) error {
	for n := 0; ; n++ {
		from := t.csv.InputOffset()
		record, err := t.read()
		if err == nil {
			t.blank(from)
		}
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return fault.New(fault.Content, "the table has no row, only a header")
		case errors.Is(err, io.EOF):
			t.Rows = n
			return nil
		case err != nil:
			return err
		case n >= maxRows:
			return fault.Newf(fault.Content, "the table must hold at most %s", count(maxRows, "row"))
		}
		if err := t.row(record, n); err != nil {
			return err
		}
	}
}

// blank refuses an empty line before the record that was read last, which begins
// behind from, in a table of one column: it may be a cell there, and the reader
// passes over it. In others it is none.
func (t *tableReader) blank(from int64) {
	if len(t.columns) != 1 {
		return
	}
	t.line += bytes.Count(t.body[t.counted:from], []byte{'\n'})
	t.counted = from
	if line, _ := t.csv.FieldPos(0); line > t.line+1 {
		t.report(t.line+1, 0, t.names[0], `is an empty line; write "" for an empty cell`)
	}
}

// row reads one line.
func (t *tableReader) row(record []string, n int) error {
	line, _ := t.csv.FieldPos(0)
	if len(record) != len(t.columns) {
		t.report(line, -1, "", fmt.Sprintf("has %s, and the header has %d", count(len(record), "column"), len(t.columns)))
		return nil
	}
	t.nextSerial()
	aside := make([]string, t.aside)
	for column, text := range record {
		if k := -1 - t.columns[column]; k >= 0 {
			aside[k] = strings.Clone(text)
			continue
		}
		if err := t.cell(t.columns[column], n, text); err != nil {
			return err
		}
		for _, f := range t.rowFaults {
			line, _ := t.csv.FieldPos(column)
			t.report(line, column, t.names[column], strings.TrimSpace(f.suffix+" "+f.detail))
		}
		t.rowFaults = t.rowFaults[:0]
	}
	if t.aside > 0 {
		t.texts = append(t.texts, aside)
	}
	return nil
}

// cell reads the value of feature i in row n.
func (t *tableReader) cell(i, n int, text string) error {
	f := &t.fields()[i]
	if f.Array || t.schema.inputs[f.in].list != nil {
		return t.document(i, n, text)
	}
	if detail := t.scalar(f, text); detail != "" {
		t.refuse(i, "", detail)
		return nil
	}
	if !f.fits(&t.value) {
		if detail := t.unfit(f); detail != "" {
			t.refuse(i, "", detail)
			return nil
		}
	}
	t.sinks[f.in].put(n*t.schema.inputs[f.in].width+f.column, &t.value)
	return nil
}

// document reads a cell that holds JSON.
func (t *tableReader) document(i, n int, text string) error {
	t.body = []byte(text)
	t.reader = *bytes.NewBuffer(t.body)
	t.decoder.Reset(&t.reader, repeatedNames...)
	err := t.feature(i, n)
	if err == nil && len(bytes.TrimSpace(t.body[t.decoder.InputOffset():])) > 0 {
		err = malformed("#", "something follows the value")
	}
	if fault.KindOf(err) != fault.Syntax {
		return err
	}
	t.rowFaults = t.rowFaults[:0]
	detail := "must be JSON"
	if fields := fault.As(err).Fields; len(fields) > 0 {
		detail += ": " + fields[0].Detail
	}
	t.refuse(i, "", detail)
	return nil
}

// numeral is a number as tables have it: JSON's form, with a sign and zeros in
// front and without digits before or behind the point.
var numeral = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// scalar reads a cell into t.value, and returns what is wrong with it in
// itself.
func (t *tableReader) scalar(f *field, text string) string {
	t.value.null = false
	if f.info.class == classString {
		t.value.s = strings.Clone(text)
		if known, ok := f.strings[text]; ok {
			t.value.s = known
		}
		return ""
	}
	text = strings.TrimSpace(text)
	switch {
	case f.info.class == classBool:
		switch strings.ToLower(text) {
		case "true", "1":
			t.value.b = true
		case "false", "0":
			t.value.b = false
		default:
			return "must be true or false" + notThat(text)
		}
		return ""
	case slices.Contains(missing, text):
		if !t.mayLack(f) {
			return "must be " + f.info.words + ", and is missing"
		}
		t.value.null, t.value.f = true, math.NaN()
		return ""
	case !numeral.MatchString(text):
		return "must be " + f.info.words + notThat(text) + truthHint(isTruth(text))
	}
	return t.parse(f, standard(text))
}

// isTruth reports whether a text is a truth value as Python or JSON write it.
func isTruth(text string) bool {
	text = strings.ToLower(text)
	return text == "true" || text == "false"
}

// truthHint says what stands for a truth value where a number must.
func truthHint(truth bool) string {
	if !truth {
		return ""
	}
	return "; write 1 or 0"
}

// notThat shows a short text that is refused.
func notThat(text string) string {
	const shown = 40
	if len(text) > shown {
		return ""
	}
	return fmt.Sprintf(", not %q", text)
}

// standard writes a numeral as JSON does.
func standard(text string) []byte {
	text = strings.TrimPrefix(text, "+")
	text, negative := strings.CutPrefix(text, "-")
	digits := strings.TrimLeft(text, "0")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		digits = "0" + digits
	}
	if whole, rest, ok := strings.Cut(digits, "."); ok && (rest == "" || rest[0] == 'e' || rest[0] == 'E') {
		digits = whole + rest
	}
	if negative {
		digits = "-" + digits
	}
	return []byte(digits)
}
