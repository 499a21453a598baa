package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Versions says which versions of a model are served, and by which names. It
// stands in the manifest beside all versions.
type Versions struct {
	// Latest serves the newest version alone.
	Latest bool
	// Only, unless nil, are the numbers of the versions that are served.
	Only []string
	// Labels are names of versions, to their numbers.
	Labels map[string]string
}

// Serves reports whether a version may be served; whether it is the newest one is
// the caller's to know. Nil serves all.
func (v *Versions) Serves(id string) bool {
	return v == nil || v.Only == nil || slices.Contains(v.Only, id)
}

const (
	maxVersions = 10_000
	maxLabel    = 63 // bytes
)

var (
	labelPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	likeNumber   = regexp.MustCompile(`^[vV][0-9]+$`)
)

func (p *parser) versions(n *yaml.Node, m *Manifest) {
	v := &Versions{}
	m.Versions = v
	p.lines["Versions"] = n.Line
	p.mapping("Versions", n, "versions", []key{
		{"serve", func(n *yaml.Node) { p.serve(n, v) }},
		{"labels", func(n *yaml.Node) { p.versionLabels(n, v) }},
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.report(n.Line, "versions is empty; leave it out to serve all, or write {serve: latest}")
	}
}

// serve reads latest, all, or a list of numbers.
func (p *parser) serve(n *yaml.Node, v *Versions) {
	if n.Kind == yaml.SequenceNode {
		v.Only = []string{}
		p.sequence("Versions.Serve", n, func(_ int, item *yaml.Node) {
			if len(v.Only) < maxVersions {
				v.Only = append(v.Only, p.versionNumber("serve", item))
			}
		})
		p.notEmpty(n, "serve is empty, so that no version is served; name at least one, or write latest or all")
		if repeated := firstRepeated(v.Only); repeated != "" {
			p.report(n.Line, "serve names version %s twice", repeated)
		}
		return
	}
	v.Latest = n.Kind == yaml.ScalarNode && n.Value == "latest"
	if !v.Latest && (n.Kind != yaml.ScalarNode || n.Value != "all") {
		p.misread("Versions.Serve", n, "serve must be latest, all, or a list of version numbers such as [1, 3], not %s", show(n))
	}
}

// versionNumber reads the number of a version, as its folder is called.
func (p *parser) versionNumber(what string, n *yaml.Node) string {
	number, err := strconv.ParseInt(n.Value, 10, 64)
	if n.ShortTag() != "!!int" || err != nil || number < 1 || strconv.FormatInt(number, 10) != n.Value {
		p.report(n.Line, "%s: a version is a whole number from 1, without leading zeros, not %s", what, show(n))
	}
	return n.Value
}

// versionLabels reads names, each with the number of a version.
func (p *parser) versionLabels(n *yaml.Node, v *Versions) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxWords {
		p.misread("Versions.Labels", n, "labels must be up to %d names with version numbers, such as {stable: 1, canary: 3}, not %s", maxWords, show(n))
		return
	}
	v.Labels = make(map[string]string, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i]
		if reason := checkVersionLabel(name); reason != "" {
			p.report(name.Line, "labels: %s", reason)
			continue
		}
		if _, twice := v.Labels[name.Value]; twice {
			p.report(name.Line, "labels: %s appears twice", show(name))
		}
		p.lines["Versions.Labels."+name.Value] = name.Line
		v.Labels[name.Value] = p.versionNumber("labels: "+name.Value, n.Content[i+1])
	}
}

// checkVersionLabel refuses a name that cannot stand in a path, or that could be
// taken for a number.
func checkVersionLabel(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || len(n.Value) > maxLabel || !labelPattern.MatchString(n.Value):
		return fmt.Sprintf("%s must be a text of up to 63 letters, digits, '_', '.' and '-', beginning with a letter", show(n))
	case likeNumber.MatchString(n.Value):
		return fmt.Sprintf("%s could be taken for the version %s; choose a name such as stable", show(n), n.Value[1:])
	}
	return ""
}

// CheckVersions holds the versions section to what there is: the versions that
// are served must be among ids, and each label must name one that is served. The
// newest of ids is the last. It is a fault.Content that lists every problem with
// its line, nil when there is none.
func (m *Manifest) CheckVersions(ids []string) error {
	if m == nil || m.Versions == nil {
		return nil
	}
	there := make(map[string]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	var problems []problem
	for _, id := range m.Versions.Only {
		if !there[id] {
			problems = append(problems, problem{m.line("Versions.Serve"), fmt.Sprintf("serve: there is no version %s", id)})
		}
	}
	for label, id := range m.Versions.Labels {
		line := m.line("Versions.Labels." + label)
		switch {
		case !there[id]:
			problems = append(problems, problem{line, fmt.Sprintf("labels: %s is version %s, which is not there", label, id)})
		case !m.Versions.Serves(id) || m.Versions.Latest && id != ids[len(ids)-1]:
			problems = append(problems, problem{line, fmt.Sprintf("labels: %s is version %s, which serve leaves out", label, id)})
		}
	}
	return faultOf(m.file, problems)
}

// Serving returns the versions section, nil when there is none.
func (m *Manifest) Serving() *Versions {
	if m == nil {
		return nil
	}
	return m.Versions
}

// Misplaced refuses a versions section in the manifest of one version. beside is
// the file that such a section belongs in.
func (m *Manifest) Misplaced(beside string) error {
	if m == nil || m.Versions == nil {
		return nil
	}
	return faultOf(m.file, []problem{{m.line("Versions"), "versions concerns all versions of the model: move it to " + beside}})
}
