package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"syscall"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
)

// maxScrape bounds what is read of the metrics of the running server, in bytes.
const maxScrape = 16 << 20

// server looks at the running server, and says so. That none runs is no finding.
func (d *Doctor) server(ctx context.Context, cfg *config.Config) (found []Finding, looked string) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	local, err := NewLocal(cfg)
	if err != nil {
		return nil, "server at " + cfg.Addr + ": none was started with this data directory"
	}
	addr := cfg.Addr
	if cfg.ClientCert == "require" && cfg.AdminAddr != "" {
		addr = cfg.AdminAddr // the other listener lets nobody in without a certificate
	}
	resp, err := local.Get(ctx, addr, "/readyz", nil)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, "server at " + addr + ": none runs"
	}
	looked = "server at " + addr
	if err != nil {
		return []Finding{{serverUnreachable, Error, err.Error(), "is it another program, or a server with another data directory? Change ONNXGATE_ADDR, or name the server's own with --data-dir"}}, looked
	}
	all := d.readiness(ctx, cfg, resp, addr)
	if addr == cfg.Addr && !cfg.Docs {
		all = append(all, openDocs(ctx, local, addr)...)
	}
	if local.served != nil {
		all = append(all, d.expiry(local.served.PeerCertificates[0], "that "+addr+" shows", "renew its files; the server takes them over by itself")...)
	}
	return append(all, d.parts(ctx, cfg, local)...), looked
}

// openDocs looks whether the running server has other settings than these: it may
// have been started with another environment.
func openDocs(ctx context.Context, local *Local, addr string) []Finding {
	resp, err := local.Get(ctx, addr, "/openapi.json", nil)
	if err != nil {
		return nil
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read from it
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	return []Finding{{
		docsOn, Warning, "the server that runs on " + addr + " shows the documentation to everybody, otherwise than these settings say",
		"start it without ONNXGATE_DOCS=on in its own environment (make run sets it)",
	}}
}

// readiness judges the answer of /readyz, and closes it.
func (d *Doctor) readiness(ctx context.Context, cfg *config.Config, resp *http.Response, addr string) []Finding {
	defer resp.Body.Close() //nolint:errcheck // only read from
	var state struct{ Status string }
	err := json.NewDecoder(io.LimitReader(resp.Body, maxCertificate)).Decode(&state)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return []Finding{d.notReady(ctx, cfg, addr)}
	case resp.StatusCode != http.StatusOK || err != nil:
		return []Finding{{serverUnreachable, Error, fmt.Sprintf("%s answers %s for /readyz", addr, resp.Status), "is it an onnxgate server? Change ONNXGATE_ADDR"}}
	case state.Status == "degraded":
		return []Finding{d.degraded(ctx, cfg, addr)}
	}
	return nil
}

// degraded looks for what keeps a server from serving everything.
func (d *Doctor) degraded(ctx context.Context, cfg *config.Config, addr string) Finding {
	because, fix := d.auditAtFault(ctx, cfg, audit.BestEffort, "it is without its database", "reach the database with onnxgate db status")
	return Finding{serverDegraded, Error, "the server on " + addr + " refuses some requests: " + because, fix}
}

// notReady looks for what keeps a server from serving. It tells no client; but what it
// stands on is here to be looked at, too.
func (d *Doctor) notReady(ctx context.Context, cfg *config.Config, addr string) Finding {
	because, fix := d.auditAtFault(ctx, cfg, audit.Strict,
		"it stops, or could not keep a record a moment ago", "ask again; its log has the error, and docs/metrics.md a runbook")
	return Finding{serverNotReady, Error, "the server on " + addr + " refuses requests: " + because, fix}
}

// auditAtFault says what keeps the audit log from being written, and what to do about
// it; what it was given where the log can be written, or is kept in another mode.
func (d *Doctor) auditAtFault(ctx context.Context, cfg *config.Config, mode audit.Mode, because, fix string) (string, string) {
	if audit.Mode(cfg.Audit) != mode {
		return because, fix
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	dir := inDataDir(cfg, auditDir)
	if _, err := os.Stat(dir); err != nil {
		return "its audit log is gone: " + err.Error(), "put " + dir + " back, or move what is left away and start anew"
	}
	if _, err := verifyAudit(ctx, cfg); err != nil {
		return cutFix(err.Error())
	}
	if full := d.space(cfg); len(full) > 0 && full[0].Severity == Error {
		return full[0].Detail, full[0].Fix
	}
	if err := probeWrite(dir); err != nil {
		return "its audit log cannot be written: " + err.Error(), "let the server's user write to " + dir + "; it goes on by itself"
	}
	return because, fix
}

// parts reads the metrics of the running server, where they may be read.
func (d *Doctor) parts(ctx context.Context, cfg *config.Config, local *Local) []Finding {
	if cfg.AdminAddr == "" || d.Header == nil && !config.IsLoopback(cfg.AdminAddr) {
		return nil
	}
	resp, err := local.Get(ctx, cfg.AdminAddr, "/metrics", d.Header)
	if err != nil {
		return nil // the listener is another now; a restart would tell
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	if resp.StatusCode != http.StatusOK {
		return []Finding{{serverUnreachable, Warning, fmt.Sprintf("the metrics of the running server cannot be read: %s", resp.Status), "name a file with an access token or an API key that holds metrics:read with --token-file"}}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxScrape))
	if err != nil {
		return []Finding{{serverUnreachable, Warning, "the metrics of the running server cannot be read", "is it an onnxgate server? Change ONNXGATE_ADMIN_ADDR"}}
	}
	return partFindings(families)
}

// reloadFix says what to do about a part that was not taken over.
func reloadFix(part string) string {
	if part == signingKeysPart || part == certificatePart {
		return "its log says why; fix that, and it recovers by itself"
	}
	return "its log says why; fix that and send SIGHUP"
}

func partFindings(families map[string]*dto.MetricFamily) []Finding {
	var all []Finding
	// Then it cannot read its keys there either, and does so again by itself.
	away := slices.ContainsFunc(families["onnxgate_database_up"].GetMetric(), func(m *dto.Metric) bool { return m.GetGauge().GetValue() == 0 })
	for _, m := range families["onnxgate_reload_successful"].GetMetric() {
		part := m.GetLabel()[0].GetValue()
		if m.GetGauge().GetValue() == 0 && (!away || part != signingKeysPart) {
			all = append(all, Finding{reloadFailed, Warning, "the running server could not take over its " + part, reloadFix(part)})
		}
	}
	for _, m := range families["onnxgate_model_problems"].GetMetric() {
		if n := m.GetGauge().GetValue(); n > 0 {
			all = append(all, Finding{modelNotServed, Warning, fmt.Sprintf("the running server has %v models or versions that it does not serve as they are", n), "its log names them"})
		}
	}
	for _, m := range families["onnxgate_issuer_keys"].GetMetric() {
		if m.GetGauge().GetValue() == 0 {
			all = append(all, Finding{issuerUnreachable, Error, "the running server refuses every token of " + m.GetLabel()[0].GetValue(), "its log says why"})
		}
	}
	return all
}
