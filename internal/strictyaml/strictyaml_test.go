package strictyaml_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"onnxgate/internal/strictyaml"
)

// read returns what a document is, and what is reported.
func read(text string) (root *yaml.Node, ok bool, problems []string) {
	root, ok = strictyaml.Document([]byte(text), func(line int, format string, args ...any) {
		problems = append(problems, strconv.Itoa(line)+": "+fmt.Sprintf(format, args...))
	})
	return root, ok, problems
}

func TestWhatStandsForSomethingElseIsReportedByItsLine(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"a mapping":                  {"a: [b]\n", nil},
		"nothing":                    {"# none\n", nil},
		"no YAML":                    {"a: [\n", []string{"1: not YAML: did not find expected node content; a bracket, a brace or a quotation mark is not closed, or a value is missing"}},
		"a tab":                      {"a:\n\tb: c\n", []string{"2: not YAML: found character that cannot start any token; a tab, @, ` or % cannot begin a value: indent with spaces, and quote such a text"}},
		"a tab behind a value":       {"a:\n  b: c\n\n\td: e\n", []string{"4: not YAML: found a tab character that violates indentation; indent with spaces"}},
		"a tab behind the first one": {"a: b\n\tc: d\n", []string{"2: not YAML: found a tab character that violates indentation; indent with spaces"}},
		"a tab in a block of text":   {"a: b\nc: |\n\td\n", []string{"3: not YAML: found a tab character where an indentation space is expected; indent with spaces"}},
		"tabs elsewhere, too":        {"a: |\n  x\n  \ty\nb:\n  c: d\n\te: f\n", []string{"6: not YAML: found a tab character that violates indentation; indent with spaces"}},
		"two documents":              {"a: b\n---\nc: d\n", []string{"2: a second document begins here; a file holds one"}},
		"no YAML behind one":         {"a: b\n---\nc: [\n", []string{"3: not YAML: did not find expected node content; a bracket, a brace or a quotation mark is not closed, or a value is missing"}},
		"anchor and alias":           {"a: &x b\nc: *x\n", []string{"1: anchors and aliases are not allowed", "2: anchors and aliases are not allowed"}},
		"a tag":                      {"a: !!str b\n", []string{"1: tags such as !!str are not allowed"}},
		"a merge key":                {"<<: {a: b}\n", []string{"1: merge keys are not allowed"}},
		"deep":                       {strings.Repeat("[", 33) + strings.Repeat("]", 33), []string{"1: nested more than 32 deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok, got := read(tc.text)
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != (len(tc.want) == 0) {
				t.Errorf("ok %t (-want +got):\n%s", ok, diff)
			}
		})
	}
}

// A file of aliases of aliases is refused before anything is expanded.
func TestABombOfAliasesIsNotExpanded(t *testing.T) {
	bomb := "a0: &a0 [x]\n"
	for i := range 40 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	if _, ok, problems := read(bomb); ok || len(problems) == 0 {
		t.Errorf("ok %t, %q", ok, problems)
	}
}

func TestAValueThatMustBeAListIsShownAsOne(t *testing.T) {
	for text, want := range map[string]string{
		"admin": `must be a list, not "admin"; as a list: [admin]`, "admin, analyst": `must be a list, not "admin, analyst"; as a list: [admin, analyst]`,
		"12": `must be a list, not "12"; as a list: [12]`, "{a: b}": "must be a list, not a mapping", "": "must be a list, not nothing", "null": `must be a list, not "null"`,
		`"a: b"`: `must be a list, not "a: b"`, `""`: `must be a list, not ""`, strings.Repeat("x", 61): "must be a list, not " + strconv.Quote(strings.Repeat("x", 61)),
	} {
		root, _, _ := read("a: " + text + "\n")
		if got := strictyaml.NoList(root.Content[1], strconv.Quote); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestNodesAreDescribed(t *testing.T) {
	for text, want := range map[string]string{"{}": "a mapping", "[]": "a list", "": "nothing", "12": `"12"`, "null": `"null"`} {
		root, _, _ := read("a: " + text + "\n")
		if got := strictyaml.Show(root.Content[1], strconv.Quote); got != want || strictyaml.IsText(root.Content[1]) {
			t.Errorf("%q is %q, want %q and no text", text, got, want)
		}
	}
}
