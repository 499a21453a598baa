// Package oauth is the token endpoint (RFC 6749 section 3.2): one pipeline for
// every request, one file for every grant. It owns what a token says.
//
// It must not know how a request arrived, how passwords are kept, or how
// tokens are verified.
package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/url"
	"time"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
)

// The error codes of RFC 6749 section 5.2, as fault.Error carries them in Code.
const (
	CodeInvalidRequest       = "invalid_request"
	CodeInvalidClient        = "invalid_client"
	CodeInvalidGrant         = "invalid_grant"
	CodeUnauthorizedClient   = "unauthorized_client"
	CodeUnsupportedGrantType = "unsupported_grant_type"
	CodeInvalidScope         = "invalid_scope"
)

// defaultTTL is how long a token holds when the configuration does not say.
const defaultTTL = 15 * time.Minute

// TokenRequest is a request to the token endpoint.
type TokenRequest struct {
	// Form is the body, decoded, with every value of every parameter.
	Form url.Values
	// Basic is the pair of an Authorization: Basic header, as it stood there;
	// nil without the header.
	Basic *BasicCredentials
}

// BasicCredentials is a client's name and secret (RFC 6749 section 2.3.1).
type BasicCredentials struct{ Username, Password string }

// TokenResponse is the answer of RFC 6749 section 5.1.
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is in seconds.
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
}

// SigningKeys gives the key that signs new tokens.
type SigningKeys interface{ Signer() *keys.Signer }

// Passwords verifies users.
type Passwords interface {
	// VerifyPassword returns the user with its tenant and roles, and the stamp
	// under which a token for it counts. The error is a fault: Unauthenticated
	// for every wrong pair alike, Unavailable when it could not be judged.
	VerifyPassword(ctx context.Context, name, password string) (principal *identity.Principal, stamp string, err error)
}

// Config says what tokens are issued.
type Config struct {
	// Issuer and Audience become the claims iss and aud.
	Issuer, Audience string
	// TTL is how long a token holds, in whole seconds; zero means 15 minutes.
	TTL  time.Duration
	Keys SigningKeys
	// Roles says which scopes each role may have.
	Roles authz.Roles
	// Passwords is asked in the password grant.
	Passwords Passwords
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of token ids; nil means crypto/rand.
	Rand io.Reader
}

// Server is the token endpoint. It is safe for concurrent use.
type Server struct {
	issuer issuer
	roles  authz.Roles
	grants map[string]grant
}

// grant proves one kind of authorization grant (RFC 6749 section 1.3).
type grant interface {
	// authorize returns for whom a token is to be issued. It does not look at
	// the scope.
	authorize(ctx context.Context, form url.Values) (*subject, error)
}

// subject is for whom, and on whose behalf, a token is issued.
type subject struct {
	principal *identity.Principal
	stamp     string
	clientID  string
}

// New returns the token endpoint.
func New(cfg Config) (*Server, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || cfg.Keys == nil || cfg.Passwords == nil {
		return nil, errors.New("oauth: an issuer, an audience, keys and passwords are needed")
	}
	if cfg.TTL == 0 {
		cfg.TTL = defaultTTL
	}
	if cfg.TTL < time.Second {
		return nil, errors.New("oauth: a token must hold for a second or more")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &Server{
		issuer: issuer{
			name: cfg.Issuer, audience: cfg.Audience, ttl: cfg.TTL.Truncate(time.Second),
			keys: cfg.Keys, now: cfg.Now, rand: cfg.Rand,
		},
		roles:  cfg.Roles,
		grants: map[string]grant{grantPassword: &passwordGrant{passwords: cfg.Passwords, validate: newValidator()}},
	}, nil
}

// Token answers one request. The error is a fault whose Code is one of RFC
// 6749 section 5.2: of kind BadRequest, or of kind Unauthenticated for a
// refused client and for a wrong password; or one of kind Unavailable,
// Timeout or Canceled without a Code.
func (s *Server) Token(ctx context.Context, req TokenRequest) (*TokenResponse, error) {
	if err := checkOnce(req.Form); err != nil {
		return nil, err
	}
	if err := checkClient(req); err != nil {
		return nil, err
	}
	grant, err := s.grant(req.Form)
	if err != nil {
		return nil, err
	}
	requested, err := parseScope(req.Form.Get("scope"))
	if err != nil {
		return nil, err
	}
	sub, err := grant.authorize(ctx, req.Form)
	if err != nil {
		return nil, err
	}
	scopes, err := s.grantScopes(requested, sub.principal)
	if err != nil {
		return nil, err
	}
	return s.issuer.issue(sub, scopes)
}

// checkOnce refuses a parameter that stands more than once (RFC 6749 section
// 3.2).
func checkOnce(form url.Values) error {
	for _, values := range form {
		if len(values) > 1 {
			return invalidRequest("A parameter may stand only once")
		}
	}
	return nil
}

// checkClient refuses a client that names itself, since none is registered
// here. Empty names count as no client: some forms always send the fields.
func checkClient(req TokenRequest) error {
	inBody := req.Form.Get("client_id") != "" || req.Form.Get("client_secret") != ""
	inHeader := req.Basic != nil && *req.Basic != (BasicCredentials{})
	switch {
	case inBody && inHeader: // RFC 6749 section 2.3
		return invalidRequest("Client credentials may stand in the header or in the body, not in both")
	case inBody || inHeader:
		return &fault.Error{
			Kind: fault.Unauthenticated, Code: CodeInvalidClient,
			Msg: "No such client; leave client_id and client_secret out",
		}
	}
	return nil
}

// grant chooses by grant_type. A missing one beside a user name or a password
// counts as password, as this API's first clients send it; which of the two is
// missing, that grant says.
func (s *Server) grant(form url.Values) (grant, error) { //nolint:ireturn // one of several grants
	name := form.Get("grant_type")
	if name == "" {
		if form.Get("username") == "" && form.Get("password") == "" {
			return nil, invalidRequest("The parameter grant_type is missing")
		}
		name = grantPassword
	}
	g, ok := s.grants[name]
	if !ok {
		return nil, &fault.Error{
			Kind: fault.BadRequest, Code: CodeUnsupportedGrantType, Msg: "This grant_type is not supported; use password",
		}
	}
	return g, nil
}

func invalidRequest(msg string) error {
	return &fault.Error{Kind: fault.BadRequest, Code: CodeInvalidRequest, Msg: msg}
}
