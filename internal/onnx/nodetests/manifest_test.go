package nodetests

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const manifestFile = "testdata/later.txt"

// manifest is what the engine does not pass. A line of it is one of
//
//	DOMAIN OPERATOR later      every case whose model applies the operator
//	type NAME later            every case in which the element type occurs
//	case NAME later: REASON    one case that the engine refuses when it loads it
//	case NAME REASON           one case that contradicts the specification
//
// and # begins a comment. What is listed for later must be refused at load; a
// listed case that passes is an error, and so is a line without a case.
type manifest struct{ lines []*line }

type line struct {
	text         string
	kind, object string // such as "ai.onnx", "Conv"
	reason       string
}

// later reports whether the engine has to refuse the cases of the line.
func (l *line) later() bool { return l.reason == "later" || strings.HasPrefix(l.reason, "later: ") }

func (l *line) covers(c *testCase) bool {
	switch l.kind {
	case "case":
		return c.Name == l.object
	case "type":
		return slices.Contains(c.Types, l.object)
	}
	return slices.Contains(c.Operators, l.kind+" "+l.object)
}

// find returns the line that lists a case, or nil.
func (m *manifest) find(c *testCase) *line {
	for _, l := range m.lines {
		if l.covers(c) {
			return l
		}
	}
	return nil
}

func readManifest(t *testing.T) *manifest {
	t.Helper()
	data, err := os.ReadFile(manifestFile)
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest{}
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		f := strings.Fields(text)
		if len(f) < 3 {
			t.Fatalf("%s: %q is no line of the manifest", manifestFile, text)
		}
		m.lines = append(m.lines, &line{text: text, kind: f[0], object: f[1], reason: strings.Join(f[2:], " ")})
	}
	return m
}

func TestManifestSaysWhyAndListsNoClassicalOperator(t *testing.T) {
	for _, l := range readManifest(t).lines {
		if l.kind == "ai.onnx.ml" {
			t.Errorf("%s: the operators of ai.onnx.ml are all in scope", l.text)
		}
		if l.kind != "case" && l.reason != "later" {
			t.Errorf("%s: what is listed as a whole is listed for later", l.text)
		}
	}
}

func TestEveryLineOfTheManifestHasACase(t *testing.T) {
	cases := readIndex(t)
	for _, l := range readManifest(t).lines {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return l.covers(&c) }) {
			t.Errorf("%s: no case is like this", l.text)
		}
	}
}
