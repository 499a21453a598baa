package internal_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"onnxgate/internal/testkit"
)

const observability = "../deploy/observability"

// ruleGroups is a file of recording or alerting rules.
type ruleGroups struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Record, Alert, Expr, For string
			Labels, Annotations      map[string]string
		}
	}
}

func TestPrometheusTakesTheRulesAndTheConfiguration(t *testing.T) {
	promtool := testkit.Tool(t, "promtool", "prometheus")
	dir := repositoryForPrometheus(t)
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "recording-rules.yaml", "alert-rules.yaml"},
		{"test", "rules", "rules-test.yaml"},
		{"check", "config", "prometheus.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// pageFile is a file that the commands of docs/metrics.md make or read.
var pageFile = regexp.MustCompile(`--(?:secret-file|cacert) (\S+)`)

// repositoryForPrometheus returns the folder of the configuration in a copy of the
// repository that has no files beside it but those of the commands on the page.
func repositoryForPrometheus(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "deploy", "observability")
	if err := os.CopyFS(dir, os.DirFS(observability)); err != nil {
		t.Fatal(err)
	}
	for _, file := range pageFile.FindAllStringSubmatch(readPage(t, "../docs/metrics.md"), -1) {
		path := filepath.Join(root, file[1])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// heading is one of a runbook.
var heading = regexp.MustCompile(`(?m)^### (Onnxgate\w+)\n\n(\S.*)$`)

func TestEveryAlertHasARunbookAndATest(t *testing.T) {
	var alerts ruleGroups
	readYAML(t, &alerts, observability, "alert-rules.yaml")
	var names, runbooks []string
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			if want := "docs/metrics.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook_url"] != want || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: annotations %v, want a summary, a description and the runbook %s", rule.Alert, rule.Annotations, want)
			}
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
		}
	}
	for _, found := range heading.FindAllStringSubmatch(readPage(t, "../docs/metrics.md"), -1) {
		runbooks = append(runbooks, found[1])
	}
	if diff := cmp.Diff(names, runbooks); diff != "" || len(names) == 0 {
		t.Errorf("runbooks of docs/metrics.md (-alerts +runbooks):\n%s", diff)
	}
	var fired struct {
		Tests []struct {
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(readPage(t, observability+"/rules-test.yaml")), &fired); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, test := range fired.Tests {
		for _, a := range test.Alerts {
			tested[a.Name] = tested[a.Name] || len(a.Expect) > 0
		}
	}
	for _, name := range names {
		if !tested[name] {
			t.Errorf("no test of rules-test.yaml makes %s fire", name)
		}
	}
}

// metric is the name of one of ours in an expression.
var metric = regexp.MustCompile(`[a-z_:]*\bonnxgate_[a-z0-9_]+(?::[a-z0-9_]+)?`)

func TestRulesAndTheBoardAskForMetricsThatThereAre(t *testing.T) {
	var known []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(onnxgate_[a-z0-9_]+)` \\| (\\w+)").FindAllStringSubmatch(readPage(t, "../docs/metrics.md"), -1) {
		known = append(known, row[1])
		if row[2] == "histogram" {
			known = append(known, row[1]+"_bucket", row[1]+"_sum", row[1]+"_count")
		}
	}
	expressions := map[string][]string{}
	for _, file := range []string{"recording-rules.yaml", "alert-rules.yaml"} {
		var rules ruleGroups
		readYAML(t, &rules, observability, file)
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				expressions[file] = append(expressions[file], rule.Expr)
				if rule.Record != "" {
					known = append(known, rule.Record)
				}
			}
		}
	}
	expressions["onnxgate.json"] = boardExpressions(t)
	for file, all := range expressions {
		for _, expr := range all {
			for _, name := range metric.FindAllString(expr, -1) {
				if !slices.Contains(known, name) {
					t.Errorf("%s asks for %s, which there is not, in %s", file, name, expr)
				}
			}
		}
	}
}

// boardExpressions returns what the board asks Prometheus for, all of it from the
// data source that its reader chooses.
func boardExpressions(t *testing.T) []string {
	t.Helper()
	type source struct{ Type, UID string }
	var board struct {
		Templating struct {
			List []struct {
				Name, Type, Definition string
				Datasource             *source
			}
		}
		Panels []struct {
			Title, Type string
			Datasource  source
			Targets     []struct {
				Expr       string
				Datasource source
			}
		}
	}
	text, err := os.ReadFile(observability + "/grafana/onnxgate.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	chosen := source{"prometheus", "${datasource}"}
	var all []string
	for _, v := range board.Templating.List {
		if v.Type != "datasource" && (v.Datasource == nil || *v.Datasource != chosen) {
			t.Errorf("the variable %s asks %+v", v.Name, v.Datasource)
		}
		all = append(all, v.Definition)
	}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Datasource != chosen || len(p.Targets) == 0 {
			t.Errorf("the panel %s asks %+v for %d things", p.Title, p.Datasource, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.Datasource != chosen {
				t.Errorf("the panel %s asks %+v", p.Title, target.Datasource)
			}
			all = append(all, target.Expr)
		}
	}
	if len(all) < 20 || board.Templating.List[0].Type != "datasource" {
		t.Errorf("the board asks for %d things, and first for a %s", len(all), board.Templating.List[0].Type)
	}
	return all
}
