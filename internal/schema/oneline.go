package schema

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
)

// Header returns roughly the names in the first line of a table.
func Header(body []byte) []string {
	line, _, _ := bytes.Cut(bytes.TrimPrefix(body, []byte("\ufeff")), []byte("\n"))
	separator := ","
	if other := Separator(line); other != 0 {
		separator = string(other)
	}
	names := strings.Split(string(line), separator)
	for i := range names {
		names[i] = strings.Trim(names[i], " \r\"")
	}
	return names
}

// InOneLine writes what is wrong with an input in one line: the first place,
// and how many others there are.
func InOneLine(err error) error {
	if err == nil {
		return nil
	}
	e := fault.As(err)
	if e.Kind != fault.Content || len(e.Fields) == 0 {
		return err
	}
	text := placed(&e.Fields[0])
	switch more := len(e.Fields) - 1; {
	case e.Truncated:
		text += fmt.Sprintf("; and more than %d others", more)
	case more == 1:
		text += "; and 1 other"
	case more > 1:
		text += fmt.Sprintf("; and %d others", more)
	}
	return fault.New(e.Kind, text)
}

// placed writes where a fault is, and what.
func placed(f *fault.Field) string {
	switch {
	case f.Line == 0 && f.Pointer == "#":
		return "the request " + f.Detail
	case f.Line == 0:
		return f.Pointer + " " + f.Detail
	}
	text := fmt.Sprintf("line %d", f.Line)
	if f.Column > 0 {
		text += fmt.Sprintf(", column %d", f.Column)
	}
	if f.Name != "" {
		text += fmt.Sprintf(" (%s)", plainOrQuoted(f.Name))
	}
	return text + ": " + f.Detail
}

// plainOrQuoted quotes a name that a terminal could take for more than text.
func plainOrQuoted(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
