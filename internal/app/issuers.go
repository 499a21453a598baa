package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/oidc"
)

func (a *App) openIssuers() (err error) {
	a.issuers, err = newIssuers(a.cfg, a.issuerNews, a.clock.Now)
	return err
}

// newIssuers returns nil without an error when there are no outside issuers.
func newIssuers(cfg *config.Config, report func(oidc.Event), now func() time.Time) (*oidc.Issuers, error) {
	if cfg.IssuersFile == "" {
		return nil, nil //nolint:nilnil // none were asked for
	}
	issuers, err := oidc.New(oidc.Config{File: cfg.IssuersFile, Own: cfg.Issuer, Now: now, Report: report})
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_ISSUERS_FILE: %w", err)
	}
	return issuers, nil
}

func checkIssuers(cfg *config.Config) error {
	_, err := newIssuers(cfg, nil, time.Now)
	return err
}

// TrustedIssuer is an outside issuer as its file has it.
type TrustedIssuer struct {
	Issuer   string   `json:"issuer"`
	Audience []string `json:"audience"`
	// Keys is where they come from: a URL, or a file.
	Keys string `json:"keys"`
	// Tenant is that of its tokens, empty where they name it.
	Tenant string `json:"tenant"`
	// Roles gives our word for each of the issuer's that grants something.
	Roles map[string]string `json:"roles"`
}

// TrustedIssuers returns the outside issuers of a configuration, by their names,
// without asking them.
func TrustedIssuers(cfg *config.Config) ([]TrustedIssuer, error) {
	issuers, err := newIssuers(cfg, nil, time.Now)
	if err != nil || issuers == nil {
		return nil, err
	}
	var all []TrustedIssuer
	for _, status := range issuers.Status() {
		issuer, _ := issuers.Issuer(status.Issuer)
		trusted := TrustedIssuer{Issuer: issuer.Name, Audience: issuer.Audience, Keys: status.From, Tenant: issuer.Tenant, Roles: issuer.Roles}
		if issuer.Claims.Tenant != "" {
			trusted.Tenant = ""
		}
		all = append(all, trusted)
	}
	return all, nil
}

// issuerNews logs what the operator should know of an outside issuer.
func (a *App) issuerNews(e oidc.Event) {
	ctx, name := context.Background(), slog.String("issuer", e.Issuer)
	switch {
	case e.Err != nil && e.Cached:
		a.log.WarnContext(ctx, "the keys of an outside issuer cannot be fetched; the known ones serve on", name, slog.Any("error", e.Err))
	case e.Err != nil:
		a.log.ErrorContext(ctx, "the keys of an outside issuer cannot be fetched; its tokens are refused", name, slog.Any("error", e.Err))
	default:
		a.log.InfoContext(ctx, "took over the keys of an outside issuer", name, slog.Int("keys", e.Keys))
	}
	for _, reason := range e.LeftOut {
		a.log.WarnContext(ctx, "left out a key of an outside issuer", name, slog.String("reason", reason))
	}
}

// reloadIssuers reads the file of the outside issuers again.
func (a *App) reloadIssuers(ctx context.Context) {
	if a.issuers == nil {
		return
	}
	if err := a.reloads.note(issuersPart, a.issuers.Reload()); err != nil {
		a.log.ErrorContext(ctx, "the outside issuers stay as they were", slog.Any("error", err))
	}
}

// issuerList tells the administrators of the outside issuers.
type issuerList struct{ *oidc.Issuers }

// All returns them by their names.
func (l issuerList) All() []httpapi.IssuerInfo {
	var all []httpapi.IssuerInfo
	for _, status := range l.Status() {
		if issuer, ok := l.Issuer(status.Issuer); ok { // else a reload took it away
			all = append(all, httpapi.IssuerInfo{Issuer: issuer, Live: status.Keys, Fetched: status.Fetched, Failing: status.Err != nil})
		}
	}
	return all
}
