// Package oauth is the authorization server: the token endpoint (RFC 6749
// section 3.2), one pipeline for every request and one file for every grant, the
// endpoints that revoke and introspect tokens, and what says where they are. It
// owns what a token says.
//
// It must not know how a request arrived, how passwords, clients and refresh
// tokens are kept, or how tokens are verified.
package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/audit"
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

// Request is a request to one of the endpoints.
type Request struct {
	// Form is the body, decoded, with every value of every parameter.
	Form url.Values
	// Basic is the pair of an Authorization: Basic header, as it stood there;
	// nil without the header.
	Basic *BasicCredentials
	// Proven is the id of the client that the connection's certificate proves
	// (RFC 8705 section 2.1); empty when there is none.
	Proven string
}

// BasicCredentials is a client's name and secret (RFC 6749 section 2.3.1).
type BasicCredentials struct{ Username, Password string }

// TokenResponse is the answer of RFC 6749 section 5.1.
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is in seconds.
	ExpiresIn int `json:"expires_in"`
	// RefreshToken is empty unless offline_access was granted.
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
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

// Clients verifies service clients.
type Clients interface {
	// VerifyClient returns the client of that id and secret. The error is a
	// fault: Unauthenticated for every wrong pair alike, Unavailable when it
	// could not be judged.
	VerifyClient(ctx context.Context, id, secret string) (*identity.Client, error)
	// ProvenClient returns the client of that id, which was proven otherwise.
	// Its errors are those of VerifyClient.
	ProvenClient(ctx context.Context, id string) (*identity.Client, error)
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
	// Passwords is asked in the password grant; nil closes it.
	Passwords Passwords
	// Clients is asked for whoever names a client; nil knows none.
	Clients Clients
	// Refresh keeps refresh tokens, Access judges access tokens and Revocations
	// ends them.
	Refresh     RefreshTokens
	Access      AccessTokens
	Revocations Revocations
	// Certificates says that clients may prove themselves by certificates.
	Certificates bool
	// Published says that the keys that verify tokens can be fetched.
	Published bool
	// Audit keeps a record of every answer of the token endpoint, or it is not
	// given; nil keeps none.
	Audit audit.Recorder
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of token ids; nil means crypto/rand.
	Rand io.Reader
}

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	issuer      issuer
	roles       authz.Roles
	grants      map[string]grant
	clients     Clients
	refresh     RefreshTokens
	access      AccessTokens
	revocations Revocations
	published   bool
	byCert      bool
	audit       audit.Recorder
}

// grant proves one kind of authorization grant (RFC 6749 section 1.3).
type grant interface {
	// authorize returns for whom a token is to be issued. It leaves it to the
	// pipeline which permissions are in it.
	authorize(ctx context.Context, req *request) (*subject, error)
}

// request is what the grants see of a request.
type request struct {
	form url.Values
	// client is nil when the request named none.
	client *identity.Client
	scope  scope
}

// subject is for whom, and on whose behalf, a token is issued.
type subject struct {
	grant identity.Grant
	// refreshToken is what goes out beside the access token.
	refreshToken string
	// offline asks for the first one.
	offline bool
}

// New returns the authorization server.
func New(cfg Config) (*Server, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || cfg.Keys == nil {
		return nil, errors.New("oauth: an issuer, an audience and keys are needed")
	}
	if cfg.Refresh == nil || cfg.Access == nil || cfg.Revocations == nil {
		return nil, errors.New("oauth: refresh tokens, access tokens and revocations are needed")
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
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard{}
	}
	return &Server{
		issuer: issuer{
			name: cfg.Issuer, audience: cfg.Audience, ttl: cfg.TTL.Truncate(time.Second),
			keys: cfg.Keys, now: cfg.Now, rand: cfg.Rand,
		},
		roles: cfg.Roles, grants: grants(&cfg), clients: cfg.Clients, refresh: cfg.Refresh,
		access: cfg.Access, revocations: cfg.Revocations, published: cfg.Published, byCert: cfg.Certificates, audit: cfg.Audit,
	}, nil
}

// grants returns those that are open.
func grants(cfg *Config) map[string]grant {
	validate := newValidator()
	open := map[string]grant{grantRefreshToken: &refreshGrant{tokens: cfg.Refresh, validate: validate}}
	if cfg.Passwords != nil {
		open[grantPassword] = &passwordGrant{passwords: cfg.Passwords, validate: validate, refresh: true}
	}
	if cfg.Clients != nil {
		open[grantClientCredentials] = clientCredentialsGrant{}
	}
	return open
}

// Token answers one request. The error is a fault whose Code is one of RFC
// 6749 section 5.2: of kind BadRequest, or of kind Unauthenticated for a
// refused client and for a wrong password; or one of kind RateLimited,
// Unavailable, Timeout or Canceled without a Code.
func (s *Server) Token(ctx context.Context, req Request) (*TokenResponse, error) {
	record := &audit.Record{Event: audit.Login, Decision: audit.Allow, Outcome: audit.OK}
	res, err := s.token(ctx, req, record)
	if err != nil {
		return nil, named(record, err)
	}
	if err := s.audit.Record(ctx, record); err != nil {
		return nil, err
	}
	return res, nil
}

// named says for the record of a refusal which client asked, or user, unless the
// error knows better.
func named(record *audit.Record, err error) error {
	if _, known := errors.AsType[*audit.DenialError](err); known || record.Actor == "" {
		return err
	}
	return &audit.DenialError{Actor: record.Actor, Tenant: record.Tenant, Method: record.Method, Err: err}
}

// token is the pipeline: client, grant, subject, scope, token.
func (s *Server) token(ctx context.Context, in Request, record *audit.Record) (*TokenResponse, error) {
	if err := checkOnce(in.Form); err != nil {
		return nil, err
	}
	client, err := s.authenticate(ctx, in)
	if err != nil {
		return nil, err
	}
	grant, name, err := s.grant(in.Form)
	if err != nil {
		return nil, err
	}
	record.Method = name
	if client != nil {
		record.Actor, record.Tenant = client.Subject, client.Tenant
	}
	if err := mayUse(client, name); err != nil {
		return nil, err
	}
	req := &request{form: in.Form, client: client}
	if req.scope, err = parseScope(in.Form.Get("scope")); err != nil {
		return nil, err
	}
	sub, err := grant.authorize(ctx, req)
	if err != nil {
		return nil, err
	}
	record.Actor, record.Tenant = sub.grant.Subject, sub.grant.Tenant
	return s.issue(ctx, req, sub, record)
}

// issue gives the subject what was asked for, as far as it may have it.
func (s *Server) issue(ctx context.Context, req *request, sub *subject, record *audit.Record) (*TokenResponse, error) {
	scopes, err := s.narrow(req.scope.permissions, sub, req.client)
	if err != nil {
		return nil, err
	}
	if sub.offline {
		sub.grant.Scope = strings.Join(scopes, " ")
		if sub.refreshToken, sub.grant.Family, err = s.refresh.NewFamily(ctx, &sub.grant); err != nil {
			return nil, invalidGrant(err)
		}
	}
	res, id, err := s.issuer.issue(sub, scopes)
	if err != nil {
		return nil, err
	}
	record.Object = id
	return res, nil
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

// grant chooses by grant_type. A missing one beside a user name or a password
// counts as password, as this API's first clients send it; which of the two is
// missing, that grant says.
func (s *Server) grant(form url.Values) (grant, string, error) { //nolint:ireturn // one of several grants
	name := form.Get("grant_type")
	if name == "" {
		if form.Get("username") == "" && form.Get("password") == "" {
			return nil, "", invalidRequest("The parameter grant_type is missing")
		}
		name = grantPassword
	}
	g, ok := s.grants[name]
	if !ok {
		return nil, "", &fault.Error{
			Kind: fault.BadRequest, Code: CodeUnsupportedGrantType,
			Msg: "This grant_type is not supported; use " + strings.Join(slices.Sorted(maps.Keys(s.grants)), " or "),
		}
	}
	return g, name, nil
}

func invalidRequest(msg string) error {
	return &fault.Error{Kind: fault.BadRequest, Code: CodeInvalidRequest, Msg: msg}
}
