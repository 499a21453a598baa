package schema

import (
	"bytes"
	"fmt"

	"onnxgate/internal/fault"
	"onnxgate/internal/filekind"
)

// separators are the characters that stand between columns in tables of other
// programs, and their names.
var separators = []struct {
	char rune
	name string
}{{';', "semicolons"}, {'\t', "tabs"}, {'|', "bars"}}

// Separator returns what stands between the columns that the first line of a
// table names, where that is not a comma; 0 otherwise.
func Separator(table []byte) rune {
	line, _, _ := bytes.Cut(table, []byte("\n"))
	quoted, most, found := false, 0, rune(0)
	counts := map[rune]int{}
	for _, r := range string(line) {
		if r == '"' {
			quoted = !quoted
		} else if !quoted {
			counts[r]++
		}
	}
	if counts[','] > 0 {
		return 0
	}
	for _, s := range separators {
		if counts[s.char] > most {
			most, found = counts[s.char], s.char
		}
	}
	return found
}

// CheckTable says what a file is that begins so and is no table with commas,
// and what to do about it. It is a fault.Content.
func CheckTable(head []byte) error {
	if what := filekind.Data(head); what != "" {
		return fault.New(fault.Content, "the table is not CSV but "+what)
	}
	separator := Separator(head)
	for _, s := range separators {
		if s.char == separator {
			return fault.New(fault.Content, fmt.Sprintf("the columns are separated by %s; write commas, and a point in numbers", s.name))
		}
	}
	return nil
}
