package oauth_test

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/oauth"
	"onnxgate/internal/sqlstore"
)

const (
	issuer   = "https://localhost:8443"
	password = "lamp-violet-orbit-42"
)

// parts are the real packages, wired as the server wires them.
type parts struct {
	users  *accounts.Service
	keys   *keys.Set
	server *oauth.Server
	bearer authn.Authenticator
}

// administrator may change everything.
var administrator = accounts.Actor{Name: "administrator", Tenant: accounts.AnyTenant}

func wire(t *testing.T, keyConfig keys.Config) *parts {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	users, err := accounts.New(accounts.Config{
		Store: store, Params: accounts.Params{Memory: 64, Time: 1, Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.Open(t.Context(), keyConfig)
	if err != nil {
		t.Fatal(err)
	}
	bearer, err := authn.NewBearer(authn.BearerConfig{Issuer: issuer, Audience: issuer, Keys: set, Issued: users})
	if err != nil {
		t.Fatal(err)
	}
	server, err := oauth.New(oauth.Config{
		Issuer: issuer, Audience: issuer, Keys: set, Passwords: users, Clients: users,
		Refresh: users, Access: bearer, Revocations: users, Published: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &parts{users: users, keys: set, server: server, bearer: authn.Chain(users, bearer)}
}

func (p *parts) add(t *testing.T, name string, roles ...string) {
	t.Helper()
	if _, _, err := p.users.Add(t.Context(), administrator, accounts.NewUser{Name: name, Password: password, Roles: roles}); err != nil {
		t.Fatal(err)
	}
}

func (p *parts) token(t *testing.T, name string) *oauth.TokenResponse {
	t.Helper()
	res, err := p.server.Token(t.Context(), oauth.Request{Form: url.Values{
		"grant_type": {"password"}, "username": {name}, "password": {password},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestATokenGotByPasswordAuthenticatesItsUser(t *testing.T) {
	for name, cfg := range map[string]keys.Config{
		"EdDSA": {Dir: filepath.Join(t.TempDir(), "keys")},
		"ES256": {Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: keys.ES256},
		"RS256": {Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: keys.RS256},
		"HS256": {Secret: []byte("an unguessable secret of 32 bytes or more")},
	} {
		t.Run(name, func(t *testing.T) {
			p := wire(t, cfg)
			p.add(t, "ada", "analyst", "user")
			res := p.token(t, "Ada")
			got, err := p.bearer.Authenticate(t.Context(), authn.Credentials{Bearer: res.AccessToken})
			if err != nil {
				t.Fatal(err)
			}
			if id, ok := got.Claims["jti"].(string); !ok || len(id) != 22 {
				t.Errorf("jti = %v, want 128 bits in base64url", got.Claims["jti"])
			}
			got.Claims = nil
			want := &identity.Principal{
				Subject: "ada", Tenant: "default", Roles: []string{"analyst", "user"},
				Scopes: []string{"models:read", "models:predict"}, Method: identity.Bearer,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATokenEndsWithAnyChangeOfItsUser(t *testing.T) {
	for name, change := range map[string]func(*accounts.Service) error{
		"password": func(s *accounts.Service) error {
			return s.SetPassword(t.Context(), administrator, "ada", "another-lamp-violet-orbit")
		},
		"roles": func(s *accounts.Service) error {
			return s.SetRoles(t.Context(), administrator, "ada", []string{"analyst"})
		},
		"disabled": func(s *accounts.Service) error { return s.Disable(t.Context(), administrator, "ada") },
		"deleted":  func(s *accounts.Service) error { return s.Delete(t.Context(), administrator, "ada") },
	} {
		t.Run(name, func(t *testing.T) {
			p := wire(t, keys.Config{Dir: filepath.Join(t.TempDir(), "keys")})
			p.add(t, "root", "admin")
			p.add(t, "ada", "user")
			c := authn.Credentials{Bearer: p.token(t, "ada").AccessToken}
			for range 2 { // verified, then remembered
				if _, err := p.bearer.Authenticate(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			if err := change(p.users); err != nil {
				t.Fatal(err)
			}
			for range 2 { // remembered, then forgotten
				_, err := p.bearer.Authenticate(t.Context(), c)
				if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "invalid_token" {
					t.Errorf("Authenticate = %v, want invalid_token", err)
				}
			}
		})
	}
}

func TestATokenIsShortLivedByDefault(t *testing.T) {
	p := wire(t, keys.Config{Dir: filepath.Join(t.TempDir(), "keys")})
	p.add(t, "root", "admin")
	res := p.token(t, "root")
	want := oauth.TokenResponse{
		TokenType: "bearer", ExpiresIn: int((15 * time.Minute).Seconds()), Scope: "models:read models:predict models:write users:write keys:write tenants:write audit:read metrics:read debug:read crypto:use",
		AccessToken: res.AccessToken,
	}
	if diff := cmp.Diff(want, *res); diff != "" {
		t.Error(diff)
	}
}
