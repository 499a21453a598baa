package app_test

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"onnxgate/internal/config"
	"onnxgate/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the table of docs/metrics.md")

// instrumented is a server that has every part that shows metrics, and the files of
// those that a reload reads.
type instrumented struct {
	*server

	vars                      map[string]string
	issuers, authorities, kek string
}

func startInstrumented(t *testing.T) *instrumented {
	t.Helper()
	dir := t.TempDir()
	s := &instrumented{
		issuers: filepath.Join(dir, "issuers.yaml"), authorities: filepath.Join(dir, "ca.pem"), kek: filepath.Join(dir, "kek"),
	}
	testkit.WritePEM(t, s.authorities, testkit.NewCA(t, "clients"))
	write(t, s.issuers, "issuers:\n  - {issuer: https://idp.invalid, audience: [ml]}\n")
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	write(t, s.kek, base64.StdEncoding.EncodeToString(key)+"\n")
	s.vars = map[string]string{
		"ISSUERS_FILE": s.issuers, "CLIENT_CERT": "request", "CLIENT_CA_FILE": s.authorities, "KEK_FILE": s.kek,
		"REDIS_URL": "redis://127.0.0.1:1", "OTLP_ENDPOINT": "http://127.0.0.1:1", "SYSLOG_URL": "tls://127.0.0.1:1", // where nobody is
	}
	s.server = start(t, filepath.Join(dir, "data"), s.vars)
	return s
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// metrics returns what a scrape reads.
func (s *server) metrics(t *testing.T) string {
	t.Helper()
	status, text := s.call(t, http.MethodGet, "https://"+s.AdminAddr()+"/metrics", "", "", "")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, text)
	}
	return text
}

// families returns the metrics by name.
func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// used asks the server over both protocols.
func (s *instrumented) used(t *testing.T) *instrumented {
	t.Helper()
	token := s.token(t)
	if status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", token, "application/json", row); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if _, err := s.dialGRPC(t).ModelInfer(withToken(t.Context(), token), flowers(true, 5.1, 3.5, 1.4, 0.2)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMetricsPageIsTheRegistry(t *testing.T) {
	const page, begin, end = "../../docs/metrics.md", "<!-- begin metrics -->\n", "<!-- end metrics -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", page, begin, end)
	}
	want := metricsTable(families(t, startInstrumented(t).used(t).metrics(t)))
	if *update {
		write(t, page, head+begin+want+end+tail)
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("run go test ./internal/app -run MetricsPage -update (-registry +page):\n%s", diff)
	}
}

// metricsTable returns the table of docs/metrics.md.
func metricsTable(found map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString("| name | type | labels | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		f := found[name]
		if !strings.HasPrefix(name, "onnxgate_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		slices.Sort(labels)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	return b.String()
}

func TestMetricsPassPrometheusOwnRules(t *testing.T) {
	promtool := testkit.Tool(t, "promtool", "prometheus")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(startInstrumented(t).used(t).metrics(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// gauge returns the value of a gauge, and whether there is one with the value of
// its label.
func gauge(found map[string]*dto.MetricFamily, name, labelled string) (float64, bool) {
	for _, m := range found[name].GetMetric() {
		if len(m.GetLabel()) == 0 && labelled == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == labelled {
			return m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

func TestMetricsShowTheStateOfTheServersParts(t *testing.T) {
	s := startInstrumented(t)
	cert, _ := s.Certificate()
	found := families(t, s.metrics(t))
	for _, tc := range []struct {
		name, labelled string
		want           float64
	}{
		{"onnxgate_ready", "", 1},
		{"onnxgate_database_up", "", 1},
		{"onnxgate_model_versions", "", 1},
		{"onnxgate_certificate_expiry_timestamp_seconds", "", float64(cert.Leaf.NotAfter.Unix())},
		{"onnxgate_issuer_keys", "https://idp.invalid", 0},
		{"onnxgate_signing_keys", "active", 1},
	} {
		if got, ok := gauge(found, tc.name, tc.labelled); !ok || got != tc.want {
			t.Errorf("%s %s = %v (%t), want %v", tc.name, tc.labelled, got, ok, tc.want)
		}
	}
	now := float64(time.Now().Unix())
	if got, _ := gauge(found, "onnxgate_database_read_timestamp_seconds", ""); got < now-60 || got > now+1 {
		t.Errorf("the database was last read at %v, and now is %v", got, now)
	}
	if got, _ := gauge(found, "onnxgate_signing_key_rotation_due_timestamp_seconds", ""); got < now+80*86400 || got > now+100*86400 {
		t.Errorf("the next key is due at %v, and now is %v", got, now)
	}
}

func TestWhatAReloadCouldNotTakeOverIsShownUntilItCan(t *testing.T) {
	s := startInstrumented(t)
	good := load(t, s.dir, s.vars)
	states := func() map[string]float64 {
		got := map[string]float64{}
		for _, m := range families(t, s.metrics(t))["onnxgate_reload_successful"].GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
		return got
	}
	want := map[string]float64{
		"configuration": 1, "models": 1, "certificate": 1, "client_authorities": 1, "signing_keys": 1, "key_encryption_key": 1, "issuers": 1,
	}
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("at the start (-want +got):\n%s", diff)
	}
	files := map[string]string{"client_authorities": s.authorities, "key_encryption_key": s.kek, "issuers": s.issuers}
	kept := map[string]string{}
	for part, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept[part], want[part] = string(text), 0
		write(t, file, "broken")
	}
	s.Reload(t.Context(), func() (*config.Config, error) { return good, nil })
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("with broken files (-want +got):\n%s", diff)
	}
	for part, file := range files {
		write(t, file, kept[part])
		want[part] = 1
	}
	s.Reload(t.Context(), func() (*config.Config, error) { return good, nil })
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("when they are mended (-want +got):\n%s", diff)
	}
	want["configuration"] = 0
	s.Reload(t.Context(), func() (*config.Config, error) { return nil, errors.New("ONNXGATE_TLS: write on or off") })
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("with a bad setting (-want +got):\n%s", diff)
	}
}

// What is wrong with a model ends with a call that takes it out of service, not with the
// next look at its folder.
func TestAProblemThatIsUnloadedIsNoneAnyMore(t *testing.T) {
	folder := copyModels(t)
	if err := os.MkdirAll(filepath.Join(folder, "bad", "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "bad", "1", "model.onnx"), "nothing")
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": folder, "SKIP_BAD_MODELS": "true"})
	problems := func() float64 {
		got, _ := gauge(families(t, s.metrics(t)), "onnxgate_model_problems", "")
		return got
	}
	testkit.Eventually(t, "a problem is shown", func() bool { return problems() == 1 })
	if status, body := s.call(t, http.MethodPost, "https://"+s.AdminAddr()+"/admin/v1/models/bad/unload", s.token(t), "application/json", "{}"); status != http.StatusOK && status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	if got := problems(); got != 0 {
		t.Errorf("%v problems after the unload", got)
	}
}

// A database that another process has locked serves readers and no writers: the
// server says so, and goes on with those it knows.
func TestALockedDatabaseIsDegradedUntilItIsFree(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"REVOCATION_MAX_AGE": "1s"})
	other, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "onnxgate.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	lock, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await := func(state string, up float64) {
		t.Helper()
		want := `{"status":"` + state + `"}` + "\n"
		testkit.Eventually(t, "the server is "+state, func() bool {
			status, body := s.call(t, http.MethodGet, "https://"+s.Addr()+"/readyz", "", "", "")
			shown, _ := gauge(families(t, s.metrics(t)), "onnxgate_database_up", "")
			return status == http.StatusOK && body == want && shown == up
		})
	}
	await("ok", 1)
	if _, err := lock.ExecContext(t.Context(), "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	await("degraded", 0)
	if _, err := lock.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	await("ok", 1)
}
