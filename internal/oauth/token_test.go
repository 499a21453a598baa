package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/oauth"
)

// people are users by name and password.
type people struct {
	roles map[string][]string
	asked int
	err   error
}

func (p *people) VerifyPassword(_ context.Context, name, pw string) (*identity.Principal, string, error) {
	p.asked++
	if p.err != nil {
		return nil, "", p.err
	}
	roles, ok := p.roles[name]
	if !ok || pw != password {
		return nil, "", fault.Wrap(fault.Unauthenticated, "Incorrect username or password", errors.New("secret reason"))
	}
	return &identity.Principal{Subject: name, Tenant: "default", Roles: roles}, "stamp-of-" + name, nil
}

func newPeople() *people {
	return &people{roles: map[string][]string{"root": {"admin"}, "ada": {"user"}, "grace": {"analyst", "admin"}}}
}

// state is nothing: for what these tests do not ask.
type state struct {
	oauth.RefreshTokens
	oauth.AccessTokens
	oauth.Revocations
}

// Refresh knows no token.
func (state) Refresh(context.Context, string, string) (*identity.Grant, string, error) {
	return nil, "", fault.New(fault.BadRequest, "The refresh token is not valid any more")
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 900_000_000, time.UTC)

func newServer(t *testing.T, p *people, overrides ...func(*oauth.Config)) *oauth.Server {
	t.Helper()
	set, err := keys.Open(t.Context(), keys.Config{Dir: filepath.Join(t.TempDir(), "keys")})
	if err != nil {
		t.Fatal(err)
	}
	cfg := oauth.Config{
		Issuer: issuer, Audience: issuer + "/api", Keys: set, Passwords: p, Now: func() time.Time { return start },
		Refresh: state{}, Access: state{}, Revocations: state{},
	}
	for _, o := range overrides {
		o(&cfg)
	}
	s, err := oauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// form reads "a=b&c=d".
func form(t *testing.T, query string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

const (
	ada  = "username=ada&password=" + password
	root = "username=root&password=" + password
)

func TestRequestsThatAreGranted(t *testing.T) {
	const everyone, everything = "models:read models:predict", "models:read models:predict models:write users:write keys:write tenants:write audit:read metrics:read debug:read crypto:use"
	for name, tc := range map[string]struct {
		form, scope string
		basic       *oauth.BasicCredentials
	}{
		"the password grant":            {"grant_type=password&" + ada, everyone, nil},
		"no grant_type":                 {ada, everyone, nil},
		"an empty grant_type":           {"grant_type=&" + ada, everyone, nil},
		"an administrator":              {"grant_type=password&" + root, everything, nil},
		"an administrator among others": {"grant_type=password&username=grace&password=" + password, everything, nil},
		"an empty scope":                {"scope=&grant_type=password&" + ada, everyone, nil},
		"one scope":                     {"scope=models:predict&grant_type=password&" + ada, "models:predict", nil},
		"scopes in another order":       {"scope=models:predict+models:read&grant_type=password&" + ada, everyone, nil},
		"a scope twice":                 {"scope=models:read+models:read&grant_type=password&" + ada, "models:read", nil},
		"a scope of administration":     {"scope=metrics:read&grant_type=password&" + root, "metrics:read", nil},
		"an empty client":               {"client_id=&client_secret=&grant_type=password&" + ada, everyone, nil},
		"an empty Basic pair":           {"grant_type=password&" + ada, everyone, &oauth.BasicCredentials{}},
		"both empty":                    {"client_id=&grant_type=password&" + ada, everyone, &oauth.BasicCredentials{}},
		"a parameter nobody knows":      {"x=y&grant_type=password&" + ada, everyone, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, newPeople())
			got, err := s.Token(t.Context(), oauth.Request{Form: form(t, tc.form), Basic: tc.basic})
			if err != nil {
				t.Fatal(err)
			}
			want := &oauth.TokenResponse{TokenType: "bearer", ExpiresIn: 900, Scope: tc.scope}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(oauth.TokenResponse{}, "AccessToken")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for params, want := range map[string]string{
		"":                                "The parameter grant_type is missing",
		"scope=models:read":               "The parameter grant_type is missing",
		"username=ada":                    "The parameter password is missing",
		"password=x":                      "The parameter username is missing",
		"grant_type=password&password=x":  "The parameter username is missing",
		"grant_type=password&username=ad": "The parameter password is missing",
	} {
		_, err := newServer(t, newPeople()).Token(t.Context(), oauth.Request{Form: form(t, params)})
		if f := fault.As(err); f == nil || f.Code != "invalid_request" || f.Msg != want {
			t.Errorf("%q: %v, want %q", params, err, want)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	const grant = "grant_type=password&"
	for name, tc := range map[string]struct {
		form  string
		basic *oauth.BasicCredentials
		kind  fault.Kind
		code  string
		asked int // how often a password may be looked at
	}{
		"an empty form":              {"", nil, fault.BadRequest, "invalid_request", 0},
		"a grant without a user":     {grant, nil, fault.BadRequest, "invalid_request", 0},
		"no username":                {grant + "password=" + password, nil, fault.BadRequest, "invalid_request", 0},
		"an empty username":          {grant + "username=&password=" + password, nil, fault.BadRequest, "invalid_request", 0},
		"no password":                {grant + "username=ada", nil, fault.BadRequest, "invalid_request", 0},
		"an empty password":          {grant + "username=ada&password=", nil, fault.BadRequest, "invalid_request", 0},
		"no grant_type, no password": {"username=ada", nil, fault.BadRequest, "invalid_request", 0},
		"no grant_type, no username": {"password=" + password, nil, fault.BadRequest, "invalid_request", 0},
		"username twice":             {grant + ada + "&username=root", nil, fault.BadRequest, "invalid_request", 0},
		"grant_type twice":           {grant + grant + ada, nil, fault.BadRequest, "invalid_request", 0},
		"scope twice":                {grant + ada + "&scope=models:read&scope=models:read", nil, fault.BadRequest, "invalid_request", 0},
		"an unknown one twice":       {grant + ada + "&x=1&x=2", nil, fault.BadRequest, "invalid_request", 0},
		"one twice, once empty":      {grant + ada + "&password=", nil, fault.BadRequest, "invalid_request", 0},
		"another grant":              {"grant_type=client_credentials", nil, fault.BadRequest, "unsupported_grant_type", 0},
		"no refresh token":           {"grant_type=refresh_token&" + ada, nil, fault.BadRequest, "invalid_request", 0},
		"an unknown refresh token":   {"grant_type=refresh_token&refresh_token=x", nil, fault.BadRequest, "invalid_grant", 0},
		"a grant in capitals":        {"grant_type=Password&" + ada, nil, fault.BadRequest, "unsupported_grant_type", 0},
		"a client in the body":       {grant + ada + "&client_id=x&client_secret=y", nil, fault.Unauthenticated, "invalid_client", 0},
		"a client without a secret":  {grant + ada + "&client_id=x", nil, fault.Unauthenticated, "invalid_client", 0},
		"a secret without a client":  {grant + ada + "&client_secret=y", nil, fault.Unauthenticated, "invalid_client", 0},
		"a client in the header":     {grant + ada, &oauth.BasicCredentials{Username: "x", Password: "y"}, fault.Unauthenticated, "invalid_client", 0},
		"a name in the header":       {grant + ada, &oauth.BasicCredentials{Username: "x"}, fault.Unauthenticated, "invalid_client", 0},
		"a client in both": {
			grant + ada + "&client_id=x&client_secret=y", &oauth.BasicCredentials{Username: "x", Password: "y"},
			fault.BadRequest, "invalid_request", 0,
		},
		"an unknown scope":          {grant + ada + "&scope=models:fly", nil, fault.BadRequest, "invalid_scope", 0},
		"one unknown scope of two":  {grant + ada + "&scope=models:read+x", nil, fault.BadRequest, "invalid_scope", 0},
		"a scope in capitals":       {grant + ada + "&scope=Models:read", nil, fault.BadRequest, "invalid_scope", 0},
		"two blanks":                {grant + ada + "&scope=models:read++models:predict", nil, fault.BadRequest, "invalid_scope", 0},
		"a blank behind":            {grant + ada + "&scope=models:read+", nil, fault.BadRequest, "invalid_scope", 0},
		"a blank alone":             {grant + ada + "&scope=+", nil, fault.BadRequest, "invalid_scope", 0},
		"a tab":                     {grant + ada + "&scope=models:read%09models:predict", nil, fault.BadRequest, "invalid_scope", 0},
		"a comma":                   {grant + ada + "&scope=models:read,models:predict", nil, fault.BadRequest, "invalid_scope", 0},
		"a quote":                   {grant + ada + "&scope=%22", nil, fault.BadRequest, "invalid_scope", 0},
		"a scope of administration": {grant + ada + "&scope=metrics:read", nil, fault.BadRequest, "invalid_scope", 1},
		"more than allowed":         {grant + ada + "&scope=models:read+metrics:read", nil, fault.BadRequest, "invalid_scope", 1},
		"a wrong password":          {grant + "username=ada&password=x", nil, fault.Unauthenticated, "invalid_grant", 1},
		"an unknown user":           {grant + "username=bob&password=" + password, nil, fault.Unauthenticated, "invalid_grant", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeople()
			got, err := newServer(t, p).Token(t.Context(), oauth.Request{Form: form(t, tc.form), Basic: tc.basic})
			f := fault.As(err)
			if got != nil || f == nil || f.Kind != tc.kind || f.Code != tc.code || f.Msg == "" {
				t.Fatalf("Token = %+v, %+v, want %s", got, f, tc.code)
			}
			if tc.code == "invalid_grant" && tc.asked > 0 && f.Msg != "Incorrect username or password" {
				t.Errorf("the client is told %q", f.Msg)
			}
			// RFC 6749 section 5.2 limits error_description to these.
			if strings.ContainsFunc(f.Msg, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
				t.Errorf("%q has characters that error_description must not have", f.Msg)
			}
			if strings.Contains(f.Msg, password) {
				t.Errorf("%q shows the password", f.Msg)
			}
			if p.asked != tc.asked {
				t.Errorf("a password was looked at %d times, want %d", p.asked, tc.asked)
			}
		})
	}
}

func TestAScopeThatIsRefusedIsNamed(t *testing.T) {
	for scope, want := range map[string]string{
		"models:read+models:fly":      "There is no scope models:fly; name scopes with one blank between them",
		"models:read++models:predict": "There is no scope without a name; name scopes with one blank between them",
		"%22x%22":                     "There is no scope of such a form; name scopes with one blank between them",
		"%C3%A4":                      "There is no scope of such a form; name scopes with one blank between them",
		strings.Repeat("x", 65):       "There is no scope of such a form; name scopes with one blank between them",
		"models:read+metrics:read":    "The scope metrics:read is not allowed here",
	} {
		_, err := newServer(t, newPeople()).Token(t.Context(), oauth.Request{Form: form(t, "grant_type=password&"+ada+"&scope="+scope)})
		if f := fault.As(err); f == nil || f.Code != "invalid_scope" || f.Msg != want {
			t.Errorf("%s: %+v, want %q", scope, f, want)
		}
	}
}

func TestOtherFaultsStayWhatTheyAre(t *testing.T) {
	want := &fault.Error{Kind: fault.Unavailable, Msg: "later", RetryAfter: time.Second}
	p := newPeople()
	p.err = want
	_, err := newServer(t, p).Token(t.Context(), oauth.Request{Form: form(t, ada)})
	if !errors.Is(err, want) {
		t.Errorf("Token = %v, want %v", err, want)
	}
}

func TestATokenSaysWhatTheProfileAsks(t *testing.T) {
	s := newServer(t, newPeople(), func(c *oauth.Config) {
		c.TTL = 10 * time.Minute
		c.Rand = strings.NewReader("0123456789abcdef")
	})
	res, err := s.Token(t.Context(), oauth.Request{Form: form(t, "grant_type=password&scope=models:read&"+root)})
	if err != nil {
		t.Fatal(err)
	}
	header, claims := decode(t, res.AccessToken)
	kid, ok := header["kid"].(string)
	if !ok || len(kid) != 43 {
		t.Errorf("kid = %v, want a thumbprint", header["kid"])
	}
	if diff := cmp.Diff(map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": kid}, header); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{
		"iss": issuer, "aud": issuer + "/api", "sub": "root", "client_id": "onnxgate",
		"iat": float64(start.Unix()), "exp": float64(start.Unix() + 600),
		"jti": base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef")), "scope": "models:read",
		"roles": []any{"admin"}, "tenant": "default", "onnxgate_stamp": "stamp-of-root",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if res.ExpiresIn != 600 {
		t.Errorf("expires_in = %d", res.ExpiresIn)
	}
}

func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestTokenIdsDiffer(t *testing.T) {
	s := newServer(t, newPeople())
	seen := map[any]bool{}
	const n = 2000
	for range n {
		res, err := s.Token(t.Context(), oauth.Request{Form: form(t, ada)})
		if err != nil {
			t.Fatal(err)
		}
		_, claims := decode(t, res.AccessToken)
		seen[claims["jti"]] = true
	}
	if len(seen) != n {
		t.Errorf("%d different ids of %d", len(seen), n)
	}
}

func TestNoTokenWithoutRandomness(t *testing.T) {
	s := newServer(t, newPeople(), func(c *oauth.Config) { c.Rand = strings.NewReader("short") })
	if res, err := s.Token(t.Context(), oauth.Request{Form: form(t, ada)}); err == nil {
		t.Errorf("Token = %+v", res)
	}
}

func TestTheResponseIsTheRFCs(t *testing.T) {
	data, err := json.Marshal(oauth.TokenResponse{AccessToken: "t", TokenType: "bearer", ExpiresIn: 900, Scope: "models:read"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"access_token":"t","token_type":"bearer","expires_in":900,"scope":"models:read"}`; string(data) != want {
		t.Errorf("%s, want %s", data, want)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	set, err := keys.Open(t.Context(), keys.Config{Secret: []byte("an unguessable secret of 32 bytes or more")})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*oauth.Config){
		"no issuer":      func(c *oauth.Config) { c.Issuer = "" },
		"no audience":    func(c *oauth.Config) { c.Audience = "" },
		"no keys":        func(c *oauth.Config) { c.Keys = nil },
		"no refresh":     func(c *oauth.Config) { c.Refresh = nil },
		"no access":      func(c *oauth.Config) { c.Access = nil },
		"no revocations": func(c *oauth.Config) { c.Revocations = nil },
		"too short":      func(c *oauth.Config) { c.TTL = time.Millisecond },
		"a negative TTL": func(c *oauth.Config) { c.TTL = -time.Minute },
	} {
		cfg := oauth.Config{
			Issuer: issuer, Audience: issuer, Keys: set, Passwords: newPeople(),
			Refresh: state{}, Access: state{}, Revocations: state{},
		}
		change(&cfg)
		if _, err := oauth.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
