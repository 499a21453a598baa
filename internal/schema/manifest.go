package schema

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
	"go.yaml.in/yaml/v3"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

const (
	maxManifest = 1 << 20 // bytes
	maxFeatures = 1 << 16
	// maxColumns is how many columns of a matrix get names of their own where the
	// manifest has none; one of more is an array.
	maxColumns = 1 << 13
)

// Manifest is a model.yaml that has been read: well formed, with known keys
// only and rules that can hold. Whether it fits a graph is Compile's question.
type Manifest struct {
	Name        string    `validate:"max=128"`
	Description string    `validate:"max=4096"`
	Features    []Feature `validate:"max=65536,dive"`
	Labels      []Label   `validate:"max=65536,dive"`
	Outputs     OutputNames
	Engine      Engine  `validate:"omitempty,oneof=auto native ort"`
	Access      *Access `validate:"-"`
	// Versions is nil when the manifest does not speak of them.
	Versions *Versions `validate:"-"`
	// Limits is nil when the manifest has none.
	Limits *Limits `validate:"-"`

	file  string
	lines map[string]int // line of each part, by its Go path, such as "Features[0].Min"
	// instructions are those of all patterns.
	instructions int
}

// Engine is what runs a model.
type Engine string

// The engines. The zero value is EngineAuto.
const (
	// EngineAuto is the native engine unless it lacks an operator of the model.
	EngineAuto Engine = "auto"
	// EngineNative is the engine of this project.
	EngineNative Engine = "native"
	// EngineORT is ONNX Runtime.
	EngineORT Engine = "ort"
)

// Label names one class.
type Label struct {
	// Class is the model's own label, an int64 or a string; nil when the label
	// stands for the class at its position.
	Class any
	Name  string `validate:"required,max=256"`
}

// OutputNames says which graph output is what; an empty name leaves it to the
// graph.
type OutputNames struct {
	Label  string `validate:"max=1024"`
	Scores string `validate:"max=1024"`
	// Targets are what people call the numbers that a regressor answers for each row,
	// in their order.
	Targets []string `validate:"max=8192,dive,required,max=256"`
}

// Parse reads a manifest. The error is a fault.Content whose message lists
// every problem that was found, one a line, as "file:line: reason"; file is
// only named there.
func Parse(file string, data []byte) (*Manifest, error) {
	p := &parser{file: file, lines: map[string]int{}, bad: map[string]bool{}}
	m := &Manifest{file: file, lines: p.lines}
	if root := p.document(data); root != nil {
		p.manifest(root, m)
		if !p.more { // what comes on top is not told
			p.constraints(m)
		}
		p.rules(m)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manifest) line(path string) int {
	if m == nil {
		return 0
	}
	return m.lines[path]
}

func (p *parser) manifest(root *yaml.Node, m *Manifest) {
	p.mapping("", root, "", []key{
		{"name", p.text("Name", &m.Name)},
		{"description", p.text("Description", &m.Description)},
		{"features", func(n *yaml.Node) { p.features(n, m) }},
		{"labels", func(n *yaml.Node) { p.labels(n, m) }},
		{"outputs", func(n *yaml.Node) {
			p.mapping("Outputs", n, "outputs", []key{
				{"label", p.text("Outputs.Label", &m.Outputs.Label)},
				{"scores", p.text("Outputs.Scores", &m.Outputs.Scores)},
				{"targets", func(n *yaml.Node) { p.targets(n, m) }},
			})
		}},
		{"engine", p.text("Engine", (*string)(&m.Engine))},
		{"access", func(n *yaml.Node) { p.access(n, m) }},
		{"versions", func(n *yaml.Node) { p.versions(n, m) }},
		{"limits", func(n *yaml.Node) { p.limits(n, m) }},
	})
}

func (p *parser) features(n *yaml.Node, m *Manifest) {
	p.sequence("Features", n, func(i int, item *yaml.Node) {
		m.Features = append(m.Features, Feature{})
		p.feature(item, fmt.Sprintf("Features[%d]", i), &m.Features[i])
	})
	if len(n.Content) == 0 && n.Kind == yaml.SequenceNode {
		p.report(n.Line, "features is empty; leave it out to take the features from the graph")
	}
}

func (p *parser) feature(n *yaml.Node, path string, f *Feature) {
	p.lines[path] = n.Line
	p.lines[path+".Name"] = n.Line // for a name that is not there
	var example *yaml.Node
	p.mapping(path, n, "a feature", []key{
		{"name", p.text(path+".Name", &f.Name)},
		{"type", p.text(path+".Type", &f.Type)},
		{"unit", p.text(path+".Unit", &f.Unit)},
		{"description", p.text(path+".Description", &f.Description)},
		{"input", p.text(path+".Input", &f.Input)},
		{"pattern", p.text(path+".Pattern", &f.Pattern)},
		{"example", func(n *yaml.Node) {
			if example = n; n.ShortTag() != "!!null" {
				p.value(path+".Example", &f.Example)(n)
			}
		}},
		{"min", p.number(path+".Min", &f.Min)},
		{"max", p.number(path+".Max", &f.Max)},
		{"exclusive_min", p.number(path+".ExclusiveMin", &f.ExclusiveMin)},
		{"exclusive_max", p.number(path+".ExclusiveMax", &f.ExclusiveMax)},
		{"sanitize", p.sanitize(path+".Sanitize", &f.Sanitize)},
		{"control", p.text(path+".Control", (*string)(&f.Control))},
		{"max_length", p.count(path+".MaxLength", &f.MaxLength)},
		{"nullable", p.boolean(path+".Nullable", &f.Nullable)},
		{"enum", func(n *yaml.Node) {
			p.sequence(path+".Enum", n, func(i int, item *yaml.Node) {
				var v any
				p.scalar(fmt.Sprintf("%s.Enum[%d]", path, i), &v)(item)
				f.Enum = append(f.Enum, v)
			})
			if len(n.Content) == 0 && n.Kind == yaml.SequenceNode {
				p.report(n.Line, "enum is empty, so that no value is allowed")
			}
		}},
	})
	// Null is a value of a nullable feature, and as an example shows nothing.
	if example != nil && example.ShortTag() == "!!null" && !f.Nullable {
		p.misread(path+".Example", example, "example must be a value of the feature, not null, as the feature is not nullable")
	}
}

// targets reads the names of what a regressor answers.
func (p *parser) targets(n *yaml.Node, m *Manifest) {
	const path = "Outputs.Targets"
	seen := map[string]bool{}
	p.sequence(path, n, func(i int, item *yaml.Node) {
		var name string
		p.text(fmt.Sprintf("%s[%d]", path, i), &name)(item)
		if name != "" && seen[name] {
			p.report(item.Line, "target %q appears twice", name)
		}
		seen[name] = true
		m.Outputs.Targets = append(m.Outputs.Targets, name)
	})
}

// labels reads the names of the classes: a list in class order, or a map from
// the model's own label to its name.
func (p *parser) labels(n *yaml.Node, m *Manifest) {
	if n.Kind != yaml.MappingNode {
		p.sequence("Labels", n, func(i int, item *yaml.Node) {
			var l Label
			p.text(fmt.Sprintf("Labels[%d].Name", i), &l.Name)(item)
			m.Labels = append(m.Labels, l)
		})
		return
	}
	p.lines["Labels"] = n.Line
	seen := map[any]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		var l Label
		class := n.Content[i]
		p.scalar(fmt.Sprintf("Labels[%d].Class", i/2), &l.Class)(class)
		switch l.Class.(type) {
		case int64, string:
		default:
			p.report(class.Line, "labels: %s must be an integer or a text, as the model's own labels are", show(class))
		}
		if seen[l.Class] {
			p.report(class.Line, "labels: %s appears twice", show(class))
		}
		seen[l.Class] = true
		p.text(fmt.Sprintf("Labels[%d].Name", i/2), &l.Name)(n.Content[i+1])
		m.Labels = append(m.Labels, l)
	}
}

// rules checks what the manifest alone can tell: names that repeat, and the
// rules of features whose type is given. Compile checks the others.
func (p *parser) rules(m *Manifest) {
	if p.more {
		return
	}
	p.patterns(m)
	features := map[string]bool{}
	for i := range m.Features {
		if p.more {
			return
		}
		f := &m.Features[i]
		path := fmt.Sprintf("Features[%d]", i)
		if f.Name != "" && features[f.Name] {
			p.report(p.lines[path+".Name"], "feature %q appears twice", f.Name)
		}
		features[f.Name] = true
		if problems := f.contradictions(); len(problems) > 0 {
			p.add(m.located(path, problems))
		}
	}
	labels := map[string]bool{}
	for i, l := range m.Labels {
		if l.Name != "" && labels[l.Name] {
			p.report(p.lines[fmt.Sprintf("Labels[%d].Name", i)], "label %q appears twice", l.Name)
		}
		labels[l.Name] = true
	}
}

// contradictions returns the rules that cannot stand as far as the manifest
// tells. Without a type, which the graph then gives, they are those of float64
// that hold for any type: no other has values where it has none.
func (f *Feature) contradictions() []ruleProblem {
	d := dtypeNamed(f.Type)
	if f.Type == "" {
		d = tensor.Float64
	}
	if _, known := typeOf(d); !known {
		return nil
	}
	_, problems := compileField(*f, d, formUnknown)
	if f.Type == "" {
		problems = slices.DeleteFunc(problems, func(p ruleProblem) bool { return !p.anyType })
	}
	return problems
}

// located gives the problems of one feature their lines.
func (m *Manifest) located(path string, problems []ruleProblem) []problem {
	out := make([]problem, len(problems))
	for i, p := range problems {
		line, ok := m.lines[path+"."+p.part]
		if !ok {
			line = m.lines[path]
		}
		out[i] = problem{line, "feature " + strconv.Quote(m.featureName(path)) + ": " + p.reason}
	}
	return out
}

func (m *Manifest) featureName(path string) string {
	i, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, "Features["), "]"))
	if err != nil || i >= len(m.Features) {
		return path
	}
	return m.Features[i].Name
}

// constraints applies the validate tags of Manifest.
func (p *parser) constraints(m *Manifest) {
	v := validator.New(validator.WithRequiredStructEnabled())
	invalid, _ := errors.AsType[validator.ValidationErrors](v.Struct(m))
	for _, e := range invalid {
		if p.more {
			return
		}
		if path := strings.TrimPrefix(e.StructNamespace(), "Manifest."); !p.unread(path) {
			p.report(p.lineOf(path), "%s", constraint(e))
		}
	}
}

// constraint says in words what a validate tag of Manifest asks for.
func constraint(e validator.FieldError) string {
	what := yamlName(e.StructField())
	switch e.Tag() {
	case "required":
		return ordinal(e.StructNamespace()) + what + " is required"
	case "oneof":
		return fmt.Sprintf("%s must be one of %s, not %q", what, strings.ReplaceAll(e.Param(), " ", ", "), e.Value())
	case "min":
		return fmt.Sprintf("%s must be at least %s", what, e.Param())
	default:
		if e.Kind() == reflect.Slice {
			return fmt.Sprintf("%s must have at most %s items", what, e.Param())
		}
		return fmt.Sprintf("%s must be at most %s characters long", what, e.Param())
	}
}

var listItem = regexp.MustCompile(`\.(Feature|Label)s\[(\d+)\]`)

// ordinal says which item of a list a path leads into, as "feature 2: "; it is
// empty for a path into none.
func ordinal(path string) string {
	parts := listItem.FindStringSubmatch(path)
	if parts == nil {
		return ""
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d: ", strings.ToLower(parts[1]), n+1)
}

// yamlName turns a Go field name into the manifest's key: "MaxLength" or
// "Roles[2]" into "max_length" or "roles".
func yamlName(field string) string {
	var b strings.Builder
	for i, r := range field {
		if r == '[' {
			break
		}
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// problem is one thing that is wrong with a manifest.
type problem struct {
	line   int
	reason string
}

// faultOf turns problems into one error, or nil when there are none.
func faultOf(file string, problems []problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b problem) int { return a.line - b.line })
	lines := make([]string, len(problems))
	for i, p := range problems {
		if p.line > 0 && p.line < math.MaxInt {
			lines[i] = fmt.Sprintf("%s:%d: %s", file, p.line, p.reason)
		} else {
			lines[i] = file + ": " + p.reason
		}
	}
	return fault.New(fault.Content, strings.Join(slices.Compact(lines), "\n"))
}
