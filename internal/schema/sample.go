package schema

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/fault"
)

// maxDistinct is how many different values of a column are remembered.
const maxDistinct = 50

// Sample is what a table of training data shows of its columns.
type Sample struct {
	Columns []SampleColumn
	Rows    int
}

// SampleColumn is what the sample shows of one column.
type SampleColumn struct {
	Name string
	// First is the first value that is not missing; empty when all are.
	First string
	// Missing counts the values that are not there.
	Missing int
	// gaps are the words that stand for them, sorted.
	gaps []string

	word     string // the first value that is no number
	fraction string // the first value that is no integer
	min, max float64
	longest  int      // in code points
	distinct []string // sorted; nil when there are more than maxDistinct
	many     bool
}

// missing are the words for a value that is not there: those that pandas'
// read_csv takes so by default.
var missing = []string{
	"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
	"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
}

// sampleHead is how much of a sample tells what it is.
const sampleHead = 64 << 10

// ReadSample reads a CSV table (RFC 4180) with a header. The error is a
// fault.Content with the line.
func ReadSample(r io.Reader) (*Sample, error) {
	text := bufio.NewReaderSize(r, sampleHead)
	head, err := text.Peek(sampleHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := CheckTable(head); err != nil {
		return nil, err
	}
	table := csv.NewReader(&tableText{from: text, notText: errNotText, columns: math.MaxInt, line: 1})
	table.ReuseRecord = true
	header, err := table.Read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Content, "the sample is empty; its first line must name the columns")
	}
	if err != nil {
		return nil, noTable(err)
	}
	s := &Sample{Columns: make([]SampleColumn, len(header))}
	if header[0] = strings.TrimPrefix(header[0], "\ufeff"); holdsValues(header) {
		return nil, fault.Newf(fault.Content, "the first line of the sample holds values such as %q; it must name the columns: add a line with their names", header[0])
	}
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch hint := indexHint(name); {
		case name == "":
			return nil, fault.Newf(fault.Content, "column %d of the sample has no name%s", i+1, hint)
		case hint != "":
			return nil, fault.Newf(fault.Content, "column %q of the sample is not training data%s", name, hint)
		}
		if slices.ContainsFunc(s.Columns[:i], func(c SampleColumn) bool { return c.Name == name }) {
			return nil, fault.Newf(fault.Content, "the sample has two columns named %q; its first line must name each once", name)
		}
		s.Columns[i] = SampleColumn{Name: strings.Clone(name), min: math.Inf(1), max: math.Inf(-1)}
	}
	for {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, noTable(err)
		}
		s.Rows++
		for i, text := range record {
			s.Columns[i].add(strings.TrimSpace(text))
		}
	}
}

func noTable(err error) error {
	if errors.Is(err, errNotText) {
		return errNotText
	}
	return fault.Newf(fault.Content, "the sample is not a valid CSV table: %v", err)
}

// errNotText ends the reading of a sample that is no UTF-8.
var errNotText = fault.New(fault.Content, "the sample "+NotUTF8)

func (c *SampleColumn) add(text string) {
	if slices.Contains(missing, text) {
		c.Missing++
		if at, found := slices.BinarySearch(c.gaps, text); !found {
			c.gaps = slices.Insert(c.gaps, at, strings.Clone(text))
		}
		return
	}
	if c.First == "" {
		c.First = strings.Clone(text)
	}
	c.longest = max(c.longest, utf8.RuneCountInString(text))
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsInf(v, 0):
		if c.word == "" {
			c.word = strings.Clone(text)
		}
	default:
		c.min, c.max = min(c.min, v), max(c.max, v)
		if v != math.Trunc(v) && c.fraction == "" {
			c.fraction = strings.Clone(text)
		}
	}
	if c.many {
		return
	}
	at, found := slices.BinarySearch(c.distinct, text)
	switch {
	case found:
	case len(c.distinct) == maxDistinct:
		c.many, c.distinct = true, nil
	default:
		c.distinct = slices.Insert(c.distinct, at, strings.Clone(text))
	}
}

// targets are the usual names of the column that a model was trained to say.
var targets = []string{"target", "label", "class", "y", "species", "outcome"}

// assign gives each feature of the graph its column: by name where the graph
// has names of its own, else in order. target may be empty. It returns the
// targets' columns, and whether they are a guess.
func (s *Sample) assign(features []Feature, target []string) (columns, targets []int, guessed bool, err error) {
	for _, name := range target {
		at := slices.IndexFunc(s.Columns, func(c SampleColumn) bool { return c.Name == name })
		if at < 0 {
			return nil, nil, false, fault.Newf(fault.Content, "the sample has no column %q; it has %s", name, s.names())
		}
		targets = append(targets, at)
	}
	if columns := s.named(features); columns != nil {
		return columns, targets, false, nil
	}
	if len(target) == 0 && len(s.Columns) == len(features)+1 {
		targets, guessed = []int{s.likelyTarget()}, true
	}
	for i := range s.Columns {
		if !slices.Contains(targets, i) {
			columns = append(columns, i)
		}
	}
	if len(features) == 1 && features[0].Array {
		return nil, nil, false, fault.Newf(fault.Content, "the model takes %q, an array, and not columns with names, of which a matrix has up to %d: run it without a sample",
			features[0].Name, maxColumns)
	}
	if len(columns) != len(features) {
		return nil, nil, false, fault.Newf(fault.Content, "the model takes %s, the sample has %s besides the target; "+
			"name the target with --target, several as --target a,b, and leave out the columns that the model does not see",
			count(len(features), "feature", "features"), count(len(columns), "column", "columns"))
	}
	return columns, targets, guessed, nil
}

// named returns the columns that have the features' own names, nil unless all
// do.
func (s *Sample) named(features []Feature) []int {
	columns := make([]int, len(features))
	for i := range features {
		columns[i] = slices.IndexFunc(s.Columns, func(c SampleColumn) bool { return c.Name == features[i].Name })
		if columns[i] < 0 {
			return nil
		}
	}
	return columns
}

// likelyTarget is a column with a usual name, else the last.
func (s *Sample) likelyTarget() int {
	for i, c := range s.Columns {
		if slices.Contains(targets, strings.ToLower(c.Name)) {
			return i
		}
	}
	return len(s.Columns) - 1
}

// names are those of the columns, at most 20 of them.
func (s *Sample) names() string {
	const shown = 20
	var names []string
	for _, c := range s.Columns[:min(shown, len(s.Columns))] {
		names = append(names, fmt.Sprintf("%q", c.Name))
	}
	if more := len(s.Columns) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
