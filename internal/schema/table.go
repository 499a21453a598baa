package schema

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
)

// DecodeTable reads rows from a CSV table (RFC 4180) into b, as they come and to
// the end: of the text it keeps no more than a line. The header names the
// features, in any order; a byte order mark before it is passed over. The
// values keep the rules that Decode holds them to. A cell of a number that is
// empty or a word of the list missing is so, as null is in JSON; that of a truth
// value may be 1 or 0; that of an array, a map or a sequence holds its JSON.
//
// aside names columns that are no features, whose texts are returned, a list for
// each row in the order of the names. A table that does not fit is a fault.Content,
// what is no CSV a fault.Syntax; Fields say where by line and column. Errors of
// the reader are returned as they are.
func (s *Schema) DecodeTable(ctx context.Context, b *Batch, table io.Reader, maxRows int, aside []string) ([][]string, error) {
	if b.schema != s {
		return nil, errors.New("schema: the batch belongs to another schema")
	}
	b.begin(ctx, nil)
	defer b.end()
	t, err := newTableReader(b, table, len(aside))
	if err != nil {
		return nil, err
	}
	defer b.tables.release()
	if s.oneRow {
		maxRows = min(maxRows, 1)
	}
	if err := t.table(maxRows, aside); err != nil {
		return nil, err
	}
	if err := b.content(); err != nil {
		return nil, err
	}
	b.shape()
	return t.texts, nil
}

// table reads all of it. What is no CSV goes before what does not fit, wherever
// they stand.
func (t *tableReader) table(maxRows int, aside []string) error {
	failure := t.header(aside)
	refused := failure == nil && len(t.faults) > 0
	if failure == nil && !refused {
		failure = t.rows(maxRows)
	}
	if failure != nil && fault.KindOf(failure) != fault.Content {
		return failure
	}
	for {
		_, err := t.read()
		switch {
		case errors.Is(err, io.EOF) && refused && t.text.line == 1:
			t.faults = slices.Insert(t.faults, 0, fault.Field{Line: 1, Detail: "is the only line; " + lineEndsHint})
			return nil
		case errors.Is(err, io.EOF):
			return failure
		case err != nil:
			return err
		}
	}
}

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
	text    *tableText
	csv     *csv.Reader
	columns []int    // the feature of each column; -1-k for name k aside
	names   []string // of the columns
	aside   int      // how many are aside
	texts   [][]string
	next    int // the line behind the last record, in a table of one column
}

// newTableReader begins a table. A fault says what the file is instead.
func newTableReader(b *Batch, table io.Reader, aside int) (*tableReader, error) {
	file := b.tables.file(table)
	head, err := file.Peek(tableHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := CheckTable(head); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		_, _ = file.Discard(len(byteOrderMark)) // they are in the buffer
	}
	t := &tableReader{Batch: b, aside: aside}
	t.text = &tableText{from: file, notText: errTableNotText, line: 1, columns: len(b.fields()) + aside + maxUnknown}
	t.csv = csv.NewReader(b.tables.text(t.text))
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	return t, nil
}

// read returns the next line, io.EOF behind the last.
func (t *tableReader) read() ([]string, error) {
	record, err := t.csv.Read()
	if t.text.err != nil {
		return nil, t.text.err // the rest of the line is not there
	}
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		detail := fmt.Sprintf("line %d, byte %d: %v", at.Line, at.Column, at.Err)
		fail := fault.New(fault.Syntax, "the table is not valid CSV: "+detail)
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
	t.beginRow(0)
	t.ends(record)
	if t.schema.Columns(record) == 0 && holdsValues(record) {
		return fault.Newf(fault.Content, "line 1 holds values such as %q; it must name the columns: add a line with their names", record[0])
	}
	there := make(map[string]bool, len(record))
	for column, name := range record {
		i, known := t.schema.byName[name]
		if !known { // blanks count where a feature has them
			name = strings.TrimSpace(name)
			i, known = t.schema.byName[name]
		}
		name = strings.Clone(name)
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
			t.report(1, -1, t.fields()[i].Name, IsRequired)
		}
	}
	for _, name := range aside {
		if !there[name] {
			t.report(1, -1, name, IsRequired)
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
		if !isNumeral(name) {
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
		record, err := t.read()
		if err == nil {
			t.blank(record)
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

// blank refuses an empty line before a record, in a table of one column: it may
// be a cell there, and the reader passes over it. In others it is none.
func (t *tableReader) blank(record []string) {
	if len(t.columns) != 1 {
		return
	}
	line, _ := t.csv.FieldPos(0)
	if line > t.next {
		t.report(t.next, 0, t.names[0], `is an empty line; write "" for an empty cell`)
	}
	t.ends(record)
}

// ends notes where a record ends that was read last.
func (t *tableReader) ends(record []string) {
	line, _ := t.csv.FieldPos(0)
	t.next = line + 1
	for _, text := range record {
		t.next += strings.Count(text, "\n")
	}
}

// row reads one line.
func (t *tableReader) row(record []string, n int) error {
	line, _ := t.csv.FieldPos(0)
	if len(record) != len(t.columns) {
		t.uneven(line, len(record))
		return nil
	}
	t.beginRow(n)
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

// uneven refuses a line that has other columns than the header, at the first that
// is missing or too many.
func (t *tableReader) uneven(line, columns int) {
	column, name := min(columns, len(t.columns)), ""
	if column < len(t.names) {
		name = t.names[column]
	}
	t.report(line, column, name, fmt.Sprintf("the line has %s, and the header has %d", count(columns, "column"), len(t.columns)))
}

// cell reads the value of feature i in row n.
func (t *tableReader) cell(i, n int, text string) error {
	f := &t.fields()[i]
	if err := t.meter.spend(f.work(len(text))); err != nil {
		return err
	}
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
	if len(t.faults) == 0 { // a row before it may be none, and its place is not kept
		t.sinks[f.in].put(n*t.schema.inputs[f.in].width+f.column, &t.value)
		t.texted += int64(len(t.value.s))
	}
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

// scalar reads a cell into t.value, and returns what is wrong with it in
// itself.
func (t *tableReader) scalar(f *field, text string) string {
	t.value.null = false
	if f.info.class == classString {
		if known, ok := f.strings[text]; ok {
			t.value.s = known // which is clean
			return ""
		}
		text, detail := f.cleaner.clean(text)
		t.value.s = strings.Clone(text) // without the rest of the line
		return detail
	}
	text = strings.TrimSpace(text)
	if f.info.class == classBool {
		return t.truth(text)
	}
	if isNumeral(text) {
		t.scratch = appendStandard(t.scratch[:0], text)
		return t.parse(f, t.scratch)
	}
	if !slices.Contains(missing, text) {
		return "must be " + f.info.words + notThat(text) + truthHint(isTruth(text))
	}
	if !t.mayLack(f) {
		return "must be " + f.info.words + ", and is missing"
	}
	t.value.null, t.value.f = true, math.NaN()
	return ""
}

// truth reads a truth value.
func (t *tableReader) truth(text string) string {
	switch strings.ToLower(text) {
	case "true", "1":
		t.value.b = true
	case "false", "0":
		t.value.b = false
	default:
		return "must be true or false" + notThat(text)
	}
	return ""
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
