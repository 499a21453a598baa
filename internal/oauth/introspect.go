package oauth

import (
	"context"
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Introspection is the answer of RFC 7662 section 2.2. A token that does not
// count is {"active":false} and nothing else.
type Introspection struct {
	Active   bool     `json:"active"`
	Scope    string   `json:"scope,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Username string   `json:"username,omitempty"`
	Type     string   `json:"token_type,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Issued   int64    `json:"iat,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Audience string   `json:"aud,omitempty"`
	Issuer   string   `json:"iss,omitempty"`
	ID       string   `json:"jti,omitempty"`
	Tenant   string   `json:"tenant,omitempty"`
	Roles    []string `json:"roles,omitempty"`
}

// Introspect tells a client what a token of its own tenant is good for (RFC
// 7662). Of a refresh token it tells the client that it was issued to: whoever
// else asks, asks whether to serve its bearer. Faults are those of Token.
func (s *Server) Introspect(ctx context.Context, req Request) (*Introspection, error) {
	if err := checkOnce(req.Form); err != nil {
		return nil, err
	}
	client, err := s.mustAuthenticate(ctx, req)
	if err != nil {
		return nil, err
	}
	found, err := s.introspect(ctx, req.Form.Get("token"), client)
	if err != nil {
		return nil, named(recordOf(audit.ClientIntrospect, client), err)
	}
	if err := s.audit.Record(ctx, recordOf(audit.ClientIntrospect, client)); err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Server) introspect(ctx context.Context, token string, client *identity.Client) (*Introspection, error) {
	if token == "" {
		return nil, invalidRequest("The parameter token is missing")
	}
	inspect := s.inspectAccess
	if strings.HasPrefix(token, identity.RefreshPrefix) {
		inspect = s.inspectRefresh
	}
	found, err := inspect(ctx, token, client)
	switch kind := fault.KindOf(err); {
	case err != nil && kind != fault.Unauthenticated && kind != fault.BadRequest:
		return nil, err
	case found == nil:
		found = &Introspection{}
	}
	return found, nil
}

func (s *Server) inspectAccess(ctx context.Context, token string, client *identity.Client) (*Introspection, error) {
	t, err := s.access.Inspect(ctx, token)
	if err != nil || t.Tenant != client.Tenant {
		return nil, err
	}
	found := s.introspection(t.Principal, t.ClientID, strings.Join(t.Scopes, " "))
	found.Type, found.Audience, found.ID = tokenType, s.issuer.audience, t.ID
	found.Issued, found.Expires = t.IssuedAt.Unix(), t.ExpiresAt.Unix()
	return found, nil
}

func (s *Server) inspectRefresh(ctx context.Context, token string, client *identity.Client) (*Introspection, error) {
	g, err := s.refresh.InspectRefreshToken(ctx, token)
	if err != nil || g.ClientID != client.Subject || g.Tenant != client.Tenant {
		return nil, err
	}
	found := s.introspection(g.Principal, g.ClientID, g.Scope)
	found.Issued, found.Expires = g.IssuedAt.Unix(), g.ExpiresAt.Unix()
	return found, nil
}

func (s *Server) introspection(p *identity.Principal, clientID, scope string) *Introspection {
	found := &Introspection{
		Active: true, Scope: scope, ClientID: clientID, Subject: p.Subject, Issuer: s.issuer.name, Tenant: p.Tenant, Roles: p.Roles,
	}
	if p.Subject != clientID { // a user, and not a client for itself
		found.Username = p.Subject
	}
	return found
}
