package audit

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
)

// Formats of an export.
const (
	// JSON is one object a line.
	JSON = "json"
	// CSV is that of RFC 4180, with a header.
	CSV = "csv"
)

// Export writes entries for others.
type Export struct {
	out   *bufio.Writer
	table *csv.Writer // nil for JSON
	line  []byte
	begun bool
}

// NewExport returns an export in a format: CSV, or else JSON.
func NewExport(w io.Writer, format string) *Export {
	x := &Export{out: bufio.NewWriter(w)}
	if format == CSV {
		x.table = csv.NewWriter(x.out)
		x.table.UseCRLF = true
	}
	return x
}

// Write writes one entry.
func (x *Export) Write(e *Entry) error {
	if x.table == nil {
		x.line = append(e.AppendJSON(x.line[:0]), '\n')
		_, err := x.out.Write(x.line)
		return err
	}
	return errors.Join(x.header(), x.table.Write(e.CSVRow()))
}

func (x *Export) header() error {
	if x.begun {
		return nil
	}
	x.begun = true
	return x.table.Write(CSVHeader())
}

// Close writes what is left, and the header where there was no entry. It does not
// close the writer.
func (x *Export) Close() error {
	if x.table == nil {
		return x.out.Flush()
	}
	err := x.header()
	x.table.Flush()
	return errors.Join(err, x.table.Error(), x.out.Flush())
}
