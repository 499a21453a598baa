package internal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authz"
	"onnxgate/internal/cli"
	"onnxgate/internal/config"
	"onnxgate/internal/schema"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documents")

func TestSettingsPageIsTheTableOfSettings(t *testing.T) {
	const page, begin, end = "../docs/settings.md", "<!-- begin settings -->\n", "<!-- end settings -->"
	head, rest, ok := strings.Cut(readPage(t, page), begin)
	table, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", page, begin, end)
	}
	want := settingsTable()
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("run go test ./internal -run SettingsPage -update (-want +have):\n%s", diff)
	}
}

// settingsTable returns the table of docs/settings.md.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| name | default | changes | what it is, and what to write |\n|---|---|---|---|\n")
	for _, s := range config.Settings() {
		name, value, changes := "`"+s.Name+"`", "", "restart"
		if s.Flag != "" {
			name += " (`--" + s.Flag + "`)"
		}
		if s.Secret {
			name += ", `" + s.Name + "_FILE`"
		}
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		if s.Live {
			changes = "at once"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s Write %s. |\n", name, value, changes, s.Doc, s.Want)
	}
	// A page reads <data dir> as an HTML tag unless it is escaped.
	return strings.ReplaceAll(b.String(), "<", "&lt;")
}

// moduleRow is a row of docs/dependencies.md about a Go module.
var moduleRow = regexp.MustCompile("(?m)^\\| `([^`]+/[^`]+)` \\| (v[^ ]+) \\|")

func TestDependenciesPageNamesEveryModuleThatWeImport(t *testing.T) {
	documented := map[string]string{}
	for _, row := range moduleRow.FindAllStringSubmatch(readPage(t, "../docs/dependencies.md"), -1) {
		documented[row[1]] = row[2]
	}
	mod := readPage(t, "../go.mod")
	for module, version := range documented {
		if !strings.Contains(mod, "\t"+module+" "+version) {
			t.Errorf("docs/dependencies.md names %s %s, which go.mod does not require", module, version)
		}
	}
	for module, version := range importedModules(t) {
		if documented[module] != version {
			t.Errorf("docs/dependencies.md has no row for %s %s", module, version)
		}
	}
}

// importedModules returns the version of each other module that a package of
// this one imports, tests included.
func importedModules(t *testing.T) map[string]string {
	t.Helper()
	type module struct {
		Path, Version string
		Main          bool
	}
	type pkg struct {
		ImportPath string
		Imports    []string
		Module     *module
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "-json=ImportPath,Imports,Module", "../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	home, direct := map[string]*module{}, map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		home[p.ImportPath] = p.Module
		if p.Module != nil && p.Module.Main {
			for _, path := range p.Imports {
				direct[path] = true
			}
		}
	}
	modules := map[string]string{}
	for path := range direct {
		if m := home[path]; m != nil && !m.Main {
			modules[m.Path] = m.Version
		}
	}
	return modules
}

func TestArchitectureDiagramMatchesTheImports(t *testing.T) {
	want := map[string][]string{}
	for _, p := range packages(t, "../...") {
		from := nodeOf(p.ImportPath)
		if from == "" {
			continue // a script: the diagram is the server's
		}
		for _, path := range p.Imports {
			to := nodeOf(path)
			if from != "" && to != "" && to != from && (layers[to] > 0 || !strings.HasPrefix(path, prefix)) && !slices.Contains(want[from], to) {
				want[from] = append(want[from], to)
			}
		}
	}
	drawn := map[string][]string{}
	for _, arrow := range arrows(t) {
		drawn[arrow[0]] = append(drawn[arrow[0]], arrow[1])
	}
	for _, m := range []map[string][]string{want, drawn} {
		for _, targets := range m {
			slices.Sort(targets)
		}
	}
	if diff := cmp.Diff(want, drawn); diff != "" {
		t.Errorf("docs/architecture.md (-imports +drawn):\n%s", diff)
	}
}

// nodeOf returns the name by which the diagram knows a package of this module:
// its folder under internal, or at the top. The words of layer 0, scripts and the
// packages of others have none.
func nodeOf(path string) string {
	if name, ok := layerOf(path); ok {
		return name
	}
	rest, ok := strings.CutPrefix(path, "onnxgate/")
	name, _, _ := strings.Cut(rest, "/")
	if !ok || name == "scripts" {
		return ""
	}
	return name
}

// arrows returns the edges of the mermaid diagram: "a --> b & c" is two.
func arrows(t *testing.T) [][2]string {
	t.Helper()
	_, rest, _ := strings.Cut(readPage(t, "../docs/architecture.md"), "```mermaid\n")
	diagram, _, _ := strings.Cut(rest, "```")
	var all [][2]string
	for line := range strings.Lines(diagram) {
		from, targets, ok := strings.Cut(line, "-->")
		if !ok {
			continue
		}
		for to := range strings.SplitSeq(targets, "&") {
			all = append(all, [2]string{strings.TrimSpace(from), strings.TrimSpace(to)})
		}
	}
	if len(all) == 0 {
		t.Fatal("docs/architecture.md has no diagram")
	}
	return all
}

func TestOperatorsPageIsWhatTheCommandPrints(t *testing.T) {
	var page bytes.Buffer
	code := cli.Run(t.Context(), &cli.Process{
		Args: []string{"onnxgate", "model", "ops", "--markdown"}, Stdout: &page, Stderr: t.Output(),
		Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return nil },
	})
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	const file = "../docs/operators.md"
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(page.String(), readPage(t, file)); diff != "" {
		t.Errorf("run go test ./internal -run OperatorsPage -update (-printed +page):\n%s", diff)
	}
}

func TestServingPageShowsAManifestThatParses(t *testing.T) {
	_, rest, _ := strings.Cut(readPage(t, "../docs/serve-your-own-model.md"), "```yaml\n")
	manifest, _, _ := strings.Cut(rest, "```")
	if _, err := schema.Parse("docs/serve-your-own-model.md", []byte(manifest)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(manifest, readPage(t, "../testdata/models/wine/model.yaml")); diff != "" {
		t.Errorf("run scripts/make_model.sh export_fixtures.py (-page +testdata):\n%s", diff)
	}
}

// yamlBlock is an example in YAML.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestRulesPageShowsRulesThatParse(t *testing.T) {
	manifests, tests := 0, 0
	for _, block := range yamlBlock.FindAllStringSubmatch(readPage(t, "../docs/rules.md")+readPage(t, "../docs/tenants.md"), -1) {
		var err error
		text := block[1]
		switch {
		case strings.HasPrefix(text, "access:"):
			manifests++
			_, err = schema.Parse("example", []byte(text))
		case strings.HasPrefix(text, "- {as:"):
			tests++
			_, err = schema.ParseAccessTest("example", []byte(text))
		default:
			_, err = authz.ParseRoles([]byte(text))
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	if manifests != 11 || tests != 1 {
		t.Errorf("%d manifests and %d tests, want an overview, a sharing, nine recipes with rules, and one test", manifests, tests)
	}
}

// link is a Markdown link to a file of the repository.
var link = regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`)

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md")
	targets := map[string]string{}
	for _, page := range pages {
		for _, match := range link.FindAllStringSubmatch(readPage(t, page), -1) {
			targets[filepath.Join(filepath.Dir(page), match[1])] = page
		}
	}
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		if _, err := os.Stat(target); err != nil {
			t.Errorf("%s links to %s, which is not there", targets[target], target)
		}
	}
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
