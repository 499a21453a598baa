package app

import (
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/certs"
	"onnxgate/internal/config"
	"onnxgate/internal/keys"
	"onnxgate/internal/oidc"
)

// provers are the parts that prove who calls: those of a server, or of a command that
// asks what one would say.
type provers struct {
	cfg      *config.Config
	accounts *accounts.Service
	roles    authz.Roles
	keys     *keys.Set
	issuers  *oidc.Issuers  // nil when there are no outside issuers
	clients  *certs.Clients // nil without client certificates
	now      func() time.Time
}

func (a *App) provers() *provers {
	return &provers{cfg: a.cfg, accounts: a.accounts, roles: a.roles, keys: a.keys, issuers: a.issuers, clients: a.clients, now: a.clock.Now}
}

// open returns what proves access tokens, and the chain of everything that proves who
// calls, that among it.
func (p *provers) open() (*authn.Bearer, authn.Authenticator, error) { //nolint:ireturn // a chain is an authenticator and nothing else
	cfg := authn.BearerConfig{
		Issuer: p.cfg.Issuer, Audience: p.cfg.Audience, Keys: p.keys, Issued: p.accounts, Roles: p.roles, Now: p.now,
	}
	if p.issuers != nil {
		cfg.Issuers = p.issuers
	}
	bearer, err := authn.NewBearer(cfg)
	if err != nil {
		return nil, nil, err
	}
	apiKeys, err := authn.NewAPIKey(authn.APIKeyConfig{Keys: p.accounts, Roles: p.roles, Now: p.now})
	if err != nil {
		return nil, nil, err
	}
	chain := []authn.Authenticator{bearer, apiKeys}
	if p.clients != nil {
		certificate, err := authn.NewCertificate(authn.CertificateConfig{Trust: p.clients, Clients: p.accounts, Roles: p.roles, Now: p.now})
		if err != nil {
			return nil, nil, err
		}
		chain = append(chain, certificate)
	}
	return bearer, authn.Chain(p.accounts, chain...), nil
}
