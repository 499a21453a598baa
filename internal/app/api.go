package app

import (
	"errors"
	"net"

	"onnxgate/internal/authn"
	"onnxgate/internal/config"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/limit"
	"onnxgate/internal/oauth"
)

// openAPI makes the API of every listener out of the parts, which are open.
func (a *App) openAPI() error {
	bearer, authenticator, err := a.provers().open()
	if err != nil {
		return err
	}
	tokens, err := a.newTokenServer(bearer)
	if err != nil {
		return err
	}
	if err := a.openDelivery(); err != nil {
		return err
	}
	var kept httpapi.AuditLog
	if a.auditLog != nil {
		kept = a.auditLog
	}
	var issuers httpapi.Issuers
	if a.issuers != nil {
		issuers = issuerList{a.issuers}
	}
	a.streams = limit.NewPlaces(limit.MaxStreams, limit.MaxAllStreams, a.cfg.TrustedProxies)
	memory := limit.NewBytes(max(httpapi.DefaultBodyMemory, 2*a.cfg.MaxBody), a.oneTenant.Load)
	a.api, err = httpapi.New(httpapi.Config{
		Admission: a.admission, Bodies: memory, Streams: a.streams,
		Catalog: a.catalog, Layers: a.catalog, Authenticator: authenticator, Trust: a.trust(), Tokens: tokens, Keys: a.keys, Passwords: a.accounts,
		Accounts: a.accounts, Delivery: a.delivery, Access: bearer, Usage: a.quotas, Sealer: a.sealing, Issuers: issuers, Roles: a.roles, Audit: a.trail, Records: kept, Ready: a.ready, Degraded: a.degraded,
		Metrics: a.metrics, AccessLog: a.access, Traces: a.traces, Log: a.log, Now: a.clock.Now,
		TrustedProxies: a.cfg.TrustedProxies,
		LoopbackHost:   config.IsLoopback(a.cfg.Addr) && len(a.cfg.TrustedProxies) == 0,
		AdminLoopback:  config.IsLoopback(a.cfg.AdminAddr),
		Docs:           a.cfg.Docs, Profiles: a.cfg.Pprof, MaxBody: a.cfg.MaxBody, MaxModel: a.cfg.MaxModel, MaxRows: a.cfg.MaxRows,
		Endpoint: a.endpoint(), Version: a.opts.Version, Settings: settings(a.cfg),
	})
	if err != nil {
		return err
	}
	return a.openGRPC(authenticator, memory)
}

// endpoint is how clients reach the public listener: at the URL that its tokens
// name as their issuer, but for one that is not told and without TLS.
func (a *App) endpoint() httpapi.Endpoint {
	e := httpapi.Endpoint{URL: a.cfg.Issuer}
	switch {
	case a.certs == nil:
		if _, port, _ := net.SplitHostPort(a.cfg.Addr); e.URL == "https://localhost:"+port {
			e.URL = "http://localhost:" + port
		}
	case a.certs.SelfSigned():
		e.CAFile = a.certs.CertFile()
	}
	return e
}

// trust returns what judges client certificates: nil where none are asked for, and
// not a nil *certs.Clients in an interface.
func (a *App) trust() authn.CertificateTrust { //nolint:ireturn // see above
	if a.clients == nil {
		return nil
	}
	return a.clients
}

func (a *App) newTokenServer(bearer *authn.Bearer) (*oauth.Server, error) {
	cfg := oauth.Config{
		Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, TTL: a.cfg.TokenTTL,
		Keys: a.keys, Published: !a.cfg.JWTSecret.IsSet(), Clients: a.accounts, Certificates: a.clients != nil, Roles: a.roles,
		Refresh: a.accounts, Access: bearer, Revocations: a.accounts, Audit: records{a}, Now: a.clock.Now,
	}
	if a.cfg.PasswordGrant {
		cfg.Passwords = a.accounts
	}
	return oauth.New(cfg)
}

// settings are those of the API that a reload takes over.
func settings(cfg *config.Config) httpapi.Settings {
	return httpapi.Settings{CORSOrigins: cfg.CORSOrigins}
}

// degraded says whether some requests are refused, or will be, for want of the
// database, or of the disk of an audit log that not everything waits for.
func (a *App) degraded() bool {
	_, err := a.accounts.Reached()
	return err != nil || a.auditLog != nil && a.auditLog.Err() != nil
}

// ready says whether the server wants requests.
func (a *App) ready() error {
	if a.draining.Load() {
		return errors.New("the server is stopping")
	}
	return a.trail.Err()
}
