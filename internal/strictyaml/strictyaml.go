// Package strictyaml reads files of one YAML document as nodes, so that every
// problem has its line. It refuses what our files have no use for and what can be
// made to expand without bound: anchors, aliases, merge keys, tags, deep nesting and
// further documents.
//
// It must not know what the files mean.
package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNesting is how deep a document may be.
const maxNesting = 32

// Report takes one problem of a file: its line, from 1, and a format of package fmt.
type Report func(line int, format string, args ...any)

// Document returns the root of the one document in data. It is nil for a file with
// no document; ok is false after a report.
func Document(data []byte, report Report) (root *yaml.Node, ok bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, true
	case err != nil:
		syntax(err, data, report)
		return nil, false
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		report(more.Line, "a second document begins here; a file holds one")
		return nil, false
	case !errors.Is(err, io.EOF):
		syntax(err, data, report)
		return nil, false
	}
	return doc.Content[0], plain(&doc, 0, report)
}

var errorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntax(err error, data []byte, report Report) {
	line, text := 1, err.Error()
	if parts := errorLine.FindStringSubmatch(text); parts != nil {
		text = parts[2]
		if n, err := strconv.Atoi(parts[1]); err == nil {
			line = n
		}
	}
	if strings.HasPrefix(text, "found a tab character ") {
		line = tabLine(data, line)
	}
	if fix := fixes[text]; fix != "" {
		text += "; " + fix
	}
	report(line, "not YAML: %s", text)
}

// tabLine returns the first line, from one on, that is indented by a tab: the library
// names the line on which the value before it begins. It is that one without any.
func tabLine(data []byte, from int) int {
	line := 0
	for text := range bytes.Lines(data) {
		if line++; line >= from && bytes.ContainsRune(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t') {
			return line
		}
	}
	return from
}

// fixes say what to do about errors of the library that do not.
//
//nolint:gosec // no credentials
var fixes = map[string]string{
	"found character that cannot start any token":                  "a tab, @, ` or % cannot begin a value: indent with spaces, and quote such a text",
	"found a tab character that violates indentation":              "indent with spaces",
	"found a tab character where an indentation space is expected": "indent with spaces",
	"mapping values are not allowed in this context":               "a text with a colon and a blank is quoted, and keys of one mapping stand under each other",
	"did not find expected key":                                    "keys of one mapping stand under each other: look at the indentation of this line and the one before",
	"did not find expected node content":                           "a bracket, a brace or a quotation mark is not closed, or a value is missing",
}

// plain reports what stands for something else, once for each node.
func plain(n *yaml.Node, depth int, report Report) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		report(n.Line, "anchors and aliases are not allowed")
	case n.Style&yaml.TaggedStyle != 0:
		report(n.Line, "tags such as %s are not allowed", n.Tag)
	case n.Tag == "!!merge":
		report(n.Line, "merge keys are not allowed")
	case depth > maxNesting:
		report(n.Line, "nested more than %d deep", maxNesting)
	default:
		ok := true
		for _, c := range n.Content {
			ok = plain(c, depth+1, report) && ok
		}
		return ok
	}
	return false
}

// IsText reports whether a node is a text.
func IsText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

// Show describes a node in a report: its kind, or its value as quote has it.
func Show(n *yaml.Node, quote func(string) string) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null" && n.Value == "":
		return "nothing"
	}
	return quote(n.Value)
}

// NoList says that a node must be a list, and how a short value is written as one.
func NoList(n *yaml.Node, quote func(string) string) string {
	text := "must be a list, not " + Show(n, quote)
	const most = 60
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.Value == "" || len(n.Value) > most || strings.ContainsAny(n.Value, "[]{}#:&*!|>'\"%@`\n") {
		return text
	}
	return text + "; as a list: [" + n.Value + "]"
}
