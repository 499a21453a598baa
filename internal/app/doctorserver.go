package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"onnxgate/internal/config"
)

// maxScrape bounds what is read of the metrics of the running server, in bytes.
const maxScrape = 16 << 20

// server looks at the running server. That none runs is no finding.
func (d *Doctor) server(ctx context.Context, cfg *config.Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	local, err := NewLocal(cfg)
	if err != nil {
		return nil // there is no certificate, so that no server was started
	}
	addr := cfg.Addr
	if cfg.ClientCert == "require" && cfg.AdminAddr != "" {
		addr = cfg.AdminAddr // the other listener lets nobody in without a certificate
	}
	resp, err := local.Get(ctx, addr, "/readyz", nil)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // none runs
	}
	if err != nil {
		return []Finding{{serverUnreachable, Error, err.Error(), "is it another program, or a server with another data directory? Change ONNXGATE_ADDR, or name the server's own with --data-dir"}}
	}
	all := d.readiness(resp, addr)
	if local.served != nil {
		all = append(all, d.expiry(local.served.PeerCertificates[0], "that "+addr+" shows", "renew its files; the server takes them over by itself")...)
	}
	return append(all, d.parts(ctx, cfg, local)...)
}

// readiness judges the answer of /readyz, and closes it.
func (*Doctor) readiness(resp *http.Response, addr string) []Finding {
	defer resp.Body.Close() //nolint:errcheck // only read from
	var state struct{ Status string }
	err := json.NewDecoder(io.LimitReader(resp.Body, maxCertificate)).Decode(&state)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return []Finding{{serverNotReady, Error, "the server on " + addr + " refuses requests", "its log says why; docs/metrics.md has a runbook"}}
	case resp.StatusCode != http.StatusOK || err != nil:
		return []Finding{{serverUnreachable, Error, fmt.Sprintf("%s answers %s for /readyz", addr, resp.Status), "is it an onnxgate server? Change ONNXGATE_ADDR"}}
	case state.Status == "degraded":
		return []Finding{{serverDegraded, Error, "the server on " + addr + " is without its database", "reach the database with onnxgate db status"}}
	}
	return nil
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

func partFindings(families map[string]*dto.MetricFamily) []Finding {
	var all []Finding
	for _, m := range families["onnxgate_reload_successful"].GetMetric() {
		if m.GetGauge().GetValue() == 0 {
			all = append(all, Finding{reloadFailed, Warning, "the running server could not take over its " + m.GetLabel()[0].GetValue(), "its log says why; mend that and send SIGHUP"})
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
