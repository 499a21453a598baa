package oidc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/strictyaml"
)

const (
	maxFile     = 1 << 20 // bytes
	maxIssuers  = 1000
	maxItems    = 1000
	maxProblems = 50
)

// reader walks the YAML nodes of the issuers' file, so that every problem has
// its line, and collects problems instead of stopping at the first.
type reader struct {
	file     string
	problems []error
}

func (r *reader) report(line int, format string, args ...any) {
	switch {
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
	case len(r.problems) == maxProblems:
		r.problems = append(r.problems, errors.New(r.file+": and more"))
	}
}

// key is one key that a mapping may have, and who reads its value.
type key struct {
	name string
	read func(what string, n *yaml.Node)
}

// document returns the one document of the file, or nil after a report.
func (r *reader) document(data []byte) *yaml.Node {
	root, ok := strictyaml.Document(data, r.report)
	switch {
	case !ok:
		return nil
	case root == nil:
		r.report(1, "the file is empty; write issuers: and a list")
	}
	return root
}

// each calls the function for the pairs of a mapping, no key twice.
func (r *reader) each(what string, n *yaml.Node, pair func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.report(n.Line, "%s must be a mapping, not %s", what, show(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case name.Kind != yaml.ScalarNode:
			r.report(name.Line, "a key of %s must be a text, not %s", what, show(name))
		case seen[name.Value]:
			r.report(name.Line, "key %s appears twice in %s", show(name), what)
		default:
			seen[name.Value] = true
			pair(name, n.Content[i+1])
		}
	}
}

// mapping reads a mapping of known keys.
func (r *reader) mapping(what string, n *yaml.Node, keys []key) {
	r.each(what, n, func(name, value *yaml.Node) {
		for _, k := range keys {
			if k.name == name.Value {
				k.read(k.name, value)
				return
			}
		}
		names := make([]string, len(keys))
		for i, k := range keys {
			names[i] = k.name
		}
		r.report(name.Line, "unknown key %s in %s; known are %s", show(name), what, strings.Join(names, ", "))
	})
}

// sequence reads the items of a list that is not empty.
func (r *reader) sequence(what string, n *yaml.Node, item func(*yaml.Node)) {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.report(n.Line, "%s %s", what, strictyaml.NoList(n, shown))
	case len(n.Content) == 0:
		r.report(n.Line, "%s is an empty list", what)
	case len(n.Content) > maxItems:
		r.report(n.Line, "%s has more than %d items", what, maxItems)
	default:
		for _, c := range n.Content {
			item(c)
		}
	}
}

// scalar returns a text; one that is empty only where that means something.
func (r *reader) scalar(what string, n *yaml.Node, empty bool) (string, bool) {
	switch {
	case !strictyaml.IsText(n):
		r.report(n.Line, "%s must be a text, not %s; quotes make it one", what, show(n))
	case n.Value == "" && !empty:
		r.report(n.Line, "%s is empty", what)
	default:
		return n.Value, true
	}
	return "", false
}

// text returns what reads a text that check accepts; nil accepts any.
func (r *reader) text(into *string, check func(string) error) func(string, *yaml.Node) {
	return func(what string, n *yaml.Node) {
		if s, ok := r.scalar(what, n, false); ok {
			if check != nil {
				if err := check(s); err != nil {
					r.report(n.Line, "%s: %s", what, err)
					return
				}
			}
			*into = s
		}
	}
}

// list returns what reads a list of different texts, each made into a value.
func list[T any](r *reader, into *[]T, empty bool, parse func(string) (T, error)) func(string, *yaml.Node) {
	return func(what string, n *yaml.Node) {
		*into = nil
		seen := map[string]bool{}
		r.sequence(what, n, func(item *yaml.Node) {
			s, ok := r.scalar(what+": each item", item, empty)
			if !ok {
				return
			}
			v, err := parse(s)
			switch {
			case err != nil:
				r.report(item.Line, "%s: %s", what, err)
			case seen[s]:
				r.report(item.Line, "%s holds %s twice", what, shown(s))
			default:
				seen[s] = true
				*into = append(*into, v)
			}
		})
	}
}

// show describes a node in a report, briefly.
func show(n *yaml.Node) string { return strictyaml.Show(n, shown) }

// shown quotes what comes from outside, up to a length.
func shown(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
