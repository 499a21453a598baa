package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/strictyaml"
)

// maxProblems bounds how much one broken manifest is told.
const maxProblems = 50

// parser walks the YAML nodes of a manifest, so that every problem has its
// line, and collects problems instead of stopping at the first.
type parser struct {
	file     string
	lines    map[string]int
	bad      map[string]bool // parts that could not be read, by path
	problems []problem
	more     bool // there were more problems than are told
}

// key is one key that a mapping may have, and who reads its value.
type key struct {
	name string
	read func(*yaml.Node)
}

func (p *parser) report(line int, format string, args ...any) {
	p.add([]problem{{line, fmt.Sprintf(format, args...)}})
}

func (p *parser) add(problems []problem) {
	if room := maxProblems - len(p.problems); len(problems) > room {
		problems, p.more = problems[:room], true
	}
	p.problems = append(p.problems, problems...)
}

func (p *parser) err() error {
	if p.more {
		p.problems = append(p.problems, problem{math.MaxInt, "and more"})
	}
	return faultOf(p.file, p.problems)
}

// misread reports that the part at path has a value of another type.
func (p *parser) misread(path string, n *yaml.Node, format string, args ...any) {
	p.bad[path] = true
	p.report(n.Line, format, args...)
}

// around returns the path of the part around a part, empty for those at the top.
func around(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// unread reports whether a part, or one around it, could not be read.
func (p *parser) unread(path string) bool {
	for ; path != ""; path = around(path) {
		if p.bad[path] {
			return true
		}
	}
	return false
}

// lineOf returns the line of a part, or of the nearest part around it.
func (p *parser) lineOf(path string) int {
	for ; path != ""; path = around(path) {
		if line, ok := p.lines[path]; ok {
			return line
		}
	}
	return 1
}

// document returns the mapping at the top, or nil after a report.
func (p *parser) document(data []byte) *yaml.Node {
	root := p.root(data)
	if root != nil && root.Kind != yaml.MappingNode {
		p.report(root.Line, "must be a mapping of keys such as features and access, not %s", show(root))
		return nil
	}
	return root
}

// root returns what the file holds, or nil after a report.
func (p *parser) root(data []byte) *yaml.Node {
	if len(data) > maxManifest {
		p.report(1, "larger than %d bytes", maxManifest)
		return nil
	}
	root, ok := strictyaml.Document(data, p.report)
	switch {
	case !ok:
		return nil
	case root == nil:
		p.report(1, "the file is empty")
	}
	return root
}

// mapping reads n, the part at path, by keys; what names it in reports, and is
// empty at the top.
func (p *parser) mapping(path string, n *yaml.Node, what string, keys []key) {
	if n.Kind != yaml.MappingNode {
		p.misread(path, n, "%s must be a mapping, not %s", what, show(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content) && !p.more; i += 2 { // what is behind is not told
		name := n.Content[i]
		k := findKey(keys, name.Value)
		switch {
		case name.Kind != yaml.ScalarNode || k == nil:
			p.report(name.Line, "%s", unknownKey(name, what, keys))
		case seen[name.Value]:
			p.report(name.Line, "key %s appears twice", show(name))
		default:
			seen[name.Value] = true
			k.read(n.Content[i+1])
		}
	}
}

func findKey(keys []key, name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func unknownKey(name *yaml.Node, what string, keys []key) string {
	text := "unknown key " + show(name)
	if what != "" {
		text += " in " + what
	}
	names, folded := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		names[i], folded[i] = k.name, fold(k.name)
	}
	if near := nearest(name.Value, folded, new(suggestWork)); near >= 0 {
		return text + fmt.Sprintf("; did you mean %q?", names[near])
	}
	return text + "; known are " + strings.Join(names, ", ")
}

// sequence reads the items of n, the part at path.
func (p *parser) sequence(path string, n *yaml.Node, each func(int, *yaml.Node)) {
	p.lines[path] = n.Line
	if n.Kind != yaml.SequenceNode {
		p.misread(path, n, "%s %s", partName(path), strictyaml.NoList(n, quoted))
		return
	}
	if len(n.Content) > maxFeatures {
		p.misread(path, n, "%s has more than %d items", partName(path), maxFeatures)
		return
	}
	for i, item := range n.Content {
		if p.more {
			return
		}
		each(i, item)
	}
}

// The functions below read one value: each notes the line of the part at path
// and returns what reads its node.

func (p *parser) text(path string, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		if !strictyaml.IsText(n) {
			p.misread(path, n, "%s must be a text, not %s; quotes make it one", partName(path), show(n))
			return
		}
		*into = n.Value
	}
}

func (p *parser) boolean(path string, into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		if n.ShortTag() != "!!bool" || n.Decode(into) != nil {
			p.misread(path, n, "%s must be true or false, not %s", partName(path), show(n))
		}
	}
}

func (p *parser) count(path string, into *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		if n.ShortTag() != "!!int" || n.Decode(into) != nil || *into < 1 {
			p.misread(path, n, "%s must be an integer of at least 1, not %s", partName(path), show(n))
		}
	}
}

// sanitize reads a list of steps, of which truncate has a length.
func (p *parser) sanitize(path string, into *[]Step) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.sequence(path, n, func(i int, item *yaml.Node) {
			step, at := Step{}, fmt.Sprintf("%s[%d]", path, i)
			if item.Kind == yaml.MappingNode {
				step.Name = StepTruncate
				p.mapping(at, item, "a step of sanitize", []key{{string(StepTruncate), p.count(at+".Length", &step.Length)}})
			} else {
				p.text(at, (*string)(&step.Name))(item)
			}
			*into = append(*into, step)
			if reason := step.wrong(); reason != "" && !p.bad[at] {
				p.misread(at, item, "sanitize: %s", reason)
			}
		})
	}
}

func (p *parser) number(path string, into *any) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		v, ok := plainValue(n)
		switch v.(type) {
		case int64, uint64, float64:
			if ok {
				*into = v
				return
			}
		}
		p.misread(path, n, "%s must be a finite number, not %s", partName(path), show(n))
	}
}

// scalar reads an int64, a uint64 above that, a finite float64, a string or a
// bool.
func (p *parser) scalar(path string, into *any) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		v, ok := plainValue(n)
		if !ok || n.Kind != yaml.ScalarNode {
			p.misread(path, n, "%s must be a finite number, a text, true or false, not %s", partName(path), show(n))
			return
		}
		*into = v
	}
}

// value reads what scalar reads, or lists of that, nested.
func (p *parser) value(path string, into *any) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		v, ok := plainValue(n)
		if !ok {
			p.misread(path, n, "%s must be a value of the feature, not %s", partName(path), show(n))
			return
		}
		*into = v
	}
}

func plainValue(n *yaml.Node) (any, bool) {
	if n.Kind == yaml.SequenceNode {
		items := make([]any, len(n.Content))
		for i, item := range n.Content {
			v, ok := plainValue(item)
			if !ok {
				return nil, false
			}
			items[i] = v
		}
		return items, true
	}
	if n.Kind != yaml.ScalarNode {
		return nil, false
	}
	if n.ShortTag() == "!!timestamp" {
		return n.Value, true // an unquoted date is a text here
	}
	var v any
	if n.Decode(&v) != nil {
		return nil, false
	}
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64, uint64, string, bool:
		return v, true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	default:
		return nil, false
	}
}

// partName returns the manifest's key of a part: "max_length" of
// "Features[0].MaxLength", "labels" of "Labels[1].Name".
func partName(path string) string {
	if strings.HasPrefix(path, "Labels[") {
		return "labels: each"
	}
	return yamlName(path[strings.LastIndexByte(path, '.')+1:])
}

// show describes a node in a report, briefly.
func show(n *yaml.Node) string {
	return strictyaml.Show(n, quoted)
}

// quoted is a value in a report, at most so long.
func quoted(value string) string { return strconv.Quote(truncated(value)) }
