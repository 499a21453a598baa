package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// prometheus is a real one, with the rules of deploy/observability, that reads a
// server.
type prometheus struct{ url string }

// beginPrometheus runs Prometheus with the configuration that we ship, but for
// where things are and how often it looks.
func beginPrometheus(t *testing.T, target, ca, token string) *prometheus {
	t.Helper()
	program := testkit.Tool(t, "prometheus", "prometheus")
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config, err := os.ReadFile(source(t, "deploy", "observability", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"15s", "1s", "localhost:8444", target, "../../secrets/prometheus.key", token, "../../data/tls/cert.pem", ca,
		"recording-rules.yaml", source(t, "deploy", "observability", "recording-rules.yaml"),
		"alert-rules.yaml", source(t, "deploy", "observability", "alert-rules.yaml"),
	).Replace(string(config))
	// The same server, without the token and without trust in its certificate.
	text += fmt.Sprintf("  - job_name: nobody\n    scheme: https\n    tls_config: {ca_file: %s, server_name: localhost}\n    static_configs: [{targets: [%q]}]\n", ca, target) +
		fmt.Sprintf("  - job_name: stranger\n    scheme: https\n    authorization: {credentials_file: %s}\n    static_configs: [{targets: [%q]}]\n", token, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &testkit.Buffer{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program,
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", log)
		}
	})
	return &prometheus{url: "http://" + addr + "/api/v1/"}
}

// ask returns the data of an answer, and false when there is none yet.
func (p *prometheus) ask(t *testing.T, path string, into any) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // it does not listen yet
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", path, err, text)
	}
	return true
}

// value returns the value of an expression that has one, empty when there is none.
func (p *prometheus) value(t *testing.T, expr string) string {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	if !p.ask(t, "query?query="+url.QueryEscape(expr), &data) || len(data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(data.Result[0].Value[1])
}

// TestPrometheusReadsTheServerAndTheRules: over TLS and with a token that holds
// nothing but metrics:read, on a listener that is open to the network.
func TestPrometheusReadsTheServerAndTheRules(t *testing.T) {
	t.Parallel()
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.admin, ":")
	s.startFor(t, "ONNXGATE_ADMIN_ADDR=0.0.0.0:"+port, "ONNXGATE_RATE_PREDICT=off")
	token := filepath.Join(s.dir, "prometheus.key")
	runWith(t, s, nil, "apikey", "create", "prometheus", "--role", "auditor", "--scope", "metrics:read", "--secret-file", token)
	key, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(strings.TrimSpace(string(key)))
	admin := adminToken(t, s)
	predictOnce(t, s, admin)
	p := beginPrometheus(t, "localhost:"+port, s.cacert(), token)

	testkit.Eventually(t, "the server is read", func() bool { return p.value(t, `up{job="onnxgate"}`) == "1" })
	testkit.Eventually(t, "the prediction is counted", func() bool {
		return p.value(t, `onnxgate_predictions_total{job="onnxgate",model="iris"}`) == "1" &&
			p.value(t, `onnxgate_tenant_predictions_total{job="onnxgate",tenant="default"}`) == "1"
	})
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	testkit.Eventually(t, "the rules are evaluated", func() bool {
		evaluated := p.ask(t, "rules", &rules) && len(rules.Groups) > 0
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				evaluated = evaluated && r.Health == "ok"
			}
		}
		return evaluated
	})
	var targets struct {
		ActiveTargets []struct {
			Labels            map[string]string
			Health, LastError string
		}
	}
	testkit.Eventually(t, "every target is tried", func() bool {
		tried := p.ask(t, "targets", &targets) && len(targets.ActiveTargets) == 3
		for _, target := range targets.ActiveTargets {
			tried = tried && target.Health != "unknown"
		}
		return tried
	})
	want := map[string]string{"onnxgate": "", "nobody": "401", "stranger": "x509"}
	for _, target := range targets.ActiveTargets {
		if why := want[target.Labels["job"]]; (target.LastError == "") != (why == "") || !strings.Contains(target.LastError, why) {
			t.Errorf("%s: %s %q, want %q", target.Labels["job"], target.Health, target.LastError, why)
		}
	}
	p.takesTheBoard(t, func() { mixedLoad(t, s, admin) })
}

// mixedLoad predicts over two protocols, and is refused before and behind the door.
func mixedLoad(t *testing.T, s *server, token string) {
	t.Helper()
	predictOnce(t, s, token)
	overRPC(t, s, token, "")
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	for authorization, want := range map[string]int{"": http.StatusUnauthorized, "Bearer " + token: http.StatusUnprocessableEntity} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/predict", strings.NewReader(`{"sepal_length":-1}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Fatalf("%d, want %d", resp.StatusCode, want)
		}
	}
}

// takesTheBoard asks for everything that the board shows, under load: a panel that
// stays empty then asks for something that there is not.
func (p *prometheus) takesTheBoard(t *testing.T, load func()) {
	t.Helper()
	text, err := os.ReadFile(source(t, "deploy", "observability", "grafana", "onnxgate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "1m")
	var empty []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("empty panels: %q", empty)
		}
	})
	testkit.Eventually(t, "every panel shows something", func() bool {
		load()
		shown := 0
		empty = nil
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				shown++
				if p.value(t, variables.Replace(target.Expr)) == "" {
					empty = append(empty, panel.Title+": "+target.Expr)
				}
			}
		}
		return len(empty) == 0 && shown >= 20
	})
}
