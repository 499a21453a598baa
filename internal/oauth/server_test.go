package oauth_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/oauth"
)

// credentials are a client's id and secret.
type credentials struct{ id, secret string }

func (p *parts) client(t *testing.T, change func(*accounts.NewClient)) credentials {
	t.Helper()
	add := accounts.NewClient{Name: "app", Roles: []string{"owner"}}
	if change != nil {
		change(&add)
	}
	client, secret, err := p.users.AddClient(t.Context(), accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}, add)
	if err != nil {
		t.Fatal(err)
	}
	return credentials{client.ID, secret}
}

// with is a request of the client, which authenticates in its body.
func (c credentials) with(form url.Values) oauth.Request {
	form.Set("client_id", c.id)
	form.Set("client_secret", c.secret)
	return request(form)
}

func request(form url.Values) oauth.Request { return oauth.Request{Form: form} }

func wired(t *testing.T) *parts {
	t.Helper()
	p := wire(t, keys.Config{Dir: filepath.Join(t.TempDir(), "keys")})
	p.add(t, "root", "admin")
	p.add(t, "ada", "user")
	return p
}

func ofAda(scope string) url.Values {
	form := url.Values{"grant_type": {"password"}, "username": {"ada"}, "password": {password}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return form
}

func ofRefresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func (p *parts) get(t *testing.T, req oauth.Request) *oauth.TokenResponse {
	t.Helper()
	res, err := p.server.Token(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// code is the error code of RFC 6749 section 5.2, or the kind without one.
func code(err error) string {
	f := fault.As(err)
	switch {
	case f == nil:
		return ""
	case f.Code == "":
		return f.Kind.String()
	}
	return f.Code
}

func (p *parts) accepts(token string) bool {
	_, err := p.bearer.Authenticate(context.Background(), authn.Credentials{Bearer: token})
	return err == nil
}

func TestAClientGetsTokensForItself(t *testing.T) {
	p := wired(t)
	c := p.client(t, func(n *accounts.NewClient) { n.Scopes = []string{identity.ModelsPredict, identity.AuditRead} })
	res := p.get(t, c.with(url.Values{"grant_type": {"client_credentials"}}))
	if res.Scope != "models:predict" || res.RefreshToken != "" {
		t.Errorf("%+v, want what its roles and its scopes have in common", res)
	}
	got, err := p.bearer.Authenticate(t.Context(), authn.Credentials{Bearer: res.AccessToken})
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != c.id || got.Claims["client_id"] != c.id || !slices.Equal(got.Roles, []string{"owner"}) {
		t.Errorf("%+v", got)
	}
}

func TestAClientAuthenticatesInOneWay(t *testing.T) {
	p := wired(t)
	c := p.client(t, nil)
	// RFC 6749 section 2.3.1 encodes both as in a form: every character may be.
	var encoded strings.Builder
	for _, b := range []byte(c.id) {
		encoded.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[b>>4])+string("0123456789abcdef"[b&15])))
	}
	for name, tc := range map[string]struct {
		form  url.Values
		basic *oauth.BasicCredentials
		want  string
	}{
		"in the header":              {url.Values{}, &oauth.BasicCredentials{Username: c.id, Password: c.secret}, ""},
		"in the header, encoded":     {url.Values{}, &oauth.BasicCredentials{Username: encoded.String(), Password: c.secret}, ""},
		"in the header, badly":       {url.Values{}, &oauth.BasicCredentials{Username: "%zz", Password: c.secret}, "invalid_request"},
		"in the body":                {url.Values{"client_id": {c.id}, "client_secret": {c.secret}}, nil, ""},
		"in both":                    {url.Values{"client_id": {c.id}}, &oauth.BasicCredentials{Username: c.id, Password: c.secret}, "invalid_request"},
		"a wrong secret":             {url.Values{}, &oauth.BasicCredentials{Username: c.id, Password: "x"}, "invalid_client"},
		"an encoded wrong secret":    {url.Values{}, &oauth.BasicCredentials{Username: c.id, Password: "%3A%C3%A9"}, "invalid_client"},
		"no secret":                  {url.Values{"client_id": {c.id}}, nil, "invalid_client"},
		"an unknown client":          {url.Values{"client_id": {"ogc_x"}, "client_secret": {c.secret}}, nil, "invalid_client"},
		"nobody":                     {url.Values{}, nil, "invalid_client"},
		"the public client":          {url.Values{"client_id": {"onnxgate"}}, nil, "invalid_client"},
		"the public one with secret": {url.Values{"client_id": {"onnxgate"}, "client_secret": {"x"}}, nil, "invalid_client"},
	} {
		tc.form.Set("grant_type", "client_credentials")
		_, err := p.server.Token(t.Context(), oauth.Request{Form: tc.form, Basic: tc.basic})
		if got := code(err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestAClientUsesItsGrantsAndScopesAlone(t *testing.T) {
	p := wired(t)
	itself := p.client(t, nil)
	forUsers := p.client(t, func(n *accounts.NewClient) {
		n.Grants, n.Scopes = []string{"password"}, []string{identity.ModelsRead}
	})
	client := func(scope string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	}
	for name, tc := range map[string]struct {
		req  oauth.Request
		want string
	}{
		"a user's password":              {itself.with(ofAda("")), "unauthorized_client"},
		"a refresh token":                {itself.with(ofRefresh("x")), "unauthorized_client"},
		"its own token":                  {forUsers.with(client("models:read")), "unauthorized_client"},
		"a scope of its role":            {itself.with(client("models:write")), ""},
		"a scope beyond its role":        {itself.with(client("users:write")), "invalid_scope"},
		"offline access":                 {itself.with(client("models:read offline_access")), "invalid_scope"},
		"offline access for a user":      {forUsers.with(ofAda("offline_access")), "invalid_scope"},
		"a scope that the client lacks":  {forUsers.with(ofAda("models:predict")), "invalid_scope"},
		"a scope that the client has":    {forUsers.with(ofAda("models:read")), ""},
		"a grant that nobody has":        {itself.with(url.Values{"grant_type": {"authorization_code"}}), "unsupported_grant_type"},
		"a scope twice in two parameter": {request(url.Values{"scope": {"models:read", "models:read"}, "username": {"ada"}}), "invalid_request"},
	} {
		_, err := p.server.Token(t.Context(), tc.req)
		if got := code(err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if res := p.get(t, forUsers.with(ofAda(""))); res.Scope != "models:read" {
		t.Errorf("through the client ada gets %q", res.Scope)
	}
}

func TestAClientSignsInUsersOfItsTenantAlone(t *testing.T) {
	p := wired(t)
	actor := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	if _, err := p.users.AddTenant(t.Context(), actor, accounts.NewTenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	c := p.client(t, func(n *accounts.NewClient) { n.Tenant, n.Grants = "acme", []string{"password"} })
	if _, err := p.server.Token(t.Context(), c.with(ofAda(""))); code(err) != "invalid_grant" {
		t.Errorf("%v", err)
	}
}

func TestARefreshTokenIsGivenWhenAskedForAndGivesNoMore(t *testing.T) {
	p := wired(t)
	if res := p.get(t, request(ofAda(""))); res.RefreshToken != "" {
		t.Error("a refresh token that nobody asked for")
	}
	first := p.get(t, request(ofAda("models:read offline_access")))
	if first.Scope != "models:read offline_access" || first.RefreshToken == "" {
		t.Fatalf("%+v", first)
	}
	more := ofRefresh(first.RefreshToken)
	more.Set("scope", "models:read models:predict")
	if _, err := p.server.Token(t.Context(), request(more)); code(err) != "invalid_scope" {
		t.Errorf("more than was granted: %v", err)
	}
	second := p.get(t, request(ofRefresh(first.RefreshToken)))
	if second.Scope != first.Scope || !p.accepts(second.AccessToken) {
		t.Errorf("%+v", second)
	}
	if _, err := p.server.Token(t.Context(), request(ofRefresh(first.RefreshToken))); code(err) != "invalid_grant" {
		t.Errorf("the second use: %v", err)
	}
	for name, token := range map[string]string{"first": first.AccessToken, "second": second.AccessToken} {
		if p.accepts(token) {
			t.Errorf("the %s access token outlives its family", name)
		}
	}
	if p.accepts(second.RefreshToken) {
		t.Error("a refresh token is accepted as an access token")
	}
}

func TestWithoutPermissionsOfflineAccessMeansAll(t *testing.T) {
	p := wired(t)
	if res := p.get(t, request(ofAda("offline_access"))); res.Scope != "models:read models:predict offline_access" {
		t.Errorf("scope %q", res.Scope)
	}
}

func TestWhoMayRevokeWhat(t *testing.T) {
	for name, tc := range map[string]struct {
		mine  bool // the client's that asks; else one that a user got without
		token func(*oauth.TokenResponse) string
		as    string // nobody, owner, other
		want  string
		ends  bool
	}{
		"a user's access token":            {false, access, "nobody", "", true},
		"a user's refresh token":           {false, refresh, "nobody", "", true},
		"a user's access token, a client":  {false, access, "other", "unauthorized_client", false},
		"a user's refresh token, a client": {false, refresh, "other", "unauthorized_client", false},
		"a client's access token":          {true, access, "owner", "", true},
		"a client's refresh token":         {true, refresh, "owner", "", true},
		"another's access token":           {true, access, "other", "unauthorized_client", false},
		"another's refresh token":          {true, refresh, "other", "unauthorized_client", false},
		"a client's access token, nobody":  {true, access, "nobody", "invalid_client", false},
		"a client's refresh token, nobody": {true, refresh, "nobody", "invalid_client", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := wired(t)
			every := func(n *accounts.NewClient) { n.Grants = []string{"password", "refresh_token"} }
			owner, other := p.client(t, every), p.client(t, every)
			signIn := request(ofAda("offline_access"))
			if tc.mine {
				signIn = owner.with(ofAda("offline_access"))
			}
			res := p.get(t, signIn)
			req := request(url.Values{"token": {tc.token(res)}, "token_type_hint": {"nonsense"}})
			switch tc.as {
			case "owner":
				req = owner.with(req.Form)
			case "other":
				req = other.with(req.Form)
			}
			if got := code(p.server.Revoke(t.Context(), req)); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if p.accepts(res.AccessToken) == tc.ends {
				t.Errorf("accepted: %t", tc.ends)
			}
		})
	}
}

func access(r *oauth.TokenResponse) string  { return r.AccessToken }
func refresh(r *oauth.TokenResponse) string { return r.RefreshToken }

func TestRevokingWhatIsNoTokenIsNoFailure(t *testing.T) {
	p := wired(t)
	for _, token := range []string{"x", "ogr_x.y", "a.b.c", strings.Repeat("x", 1<<14)} {
		if err := p.server.Revoke(t.Context(), request(url.Values{"token": {token}})); err != nil {
			t.Errorf("%.20s: %v", token, err)
		}
	}
	for name, req := range map[string]oauth.Request{
		"no token":       request(url.Values{}),
		"an empty one":   request(url.Values{"token": {""}}),
		"one twice":      request(url.Values{"token": {"x", "x"}}),
		"an empty query": {},
	} {
		if got := code(p.server.Revoke(t.Context(), req)); got != "invalid_request" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestIntrospectionTellsTheTokensOfTheTenantAlone(t *testing.T) {
	p := wired(t)
	actor := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	if _, err := p.users.AddTenant(t.Context(), actor, accounts.NewTenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	mine := p.client(t, func(n *accounts.NewClient) { n.Grants = []string{"password", "refresh_token"} })
	foreign := p.client(t, func(n *accounts.NewClient) { n.Tenant = "acme" })
	users := p.get(t, request(ofAda("offline_access")))
	own := p.get(t, mine.with(ofAda("offline_access")))
	revoked := p.get(t, request(ofAda("")))
	if err := p.server.Revoke(t.Context(), request(url.Values{"token": {revoked.AccessToken}})); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		as     credentials
		token  string
		active bool
	}{
		"a user's access token":       {mine, users.AccessToken, true},
		"its own refresh token":       {mine, own.RefreshToken, true},
		"another's refresh token":     {mine, users.RefreshToken, false},
		"of another tenant":           {foreign, users.AccessToken, false},
		"a refresh token, a stranger": {foreign, own.RefreshToken, false},
		"revoked":                     {mine, revoked.AccessToken, false},
		"nonsense":                    {mine, "x.y.z", false},
		"a refresh token of nobody":   {mine, "ogr_x.y", false},
		"far too long":                {mine, strings.Repeat("x", 1<<14), false},
	} {
		got, err := p.server.Introspect(t.Context(), tc.as.with(url.Values{"token": {tc.token}}))
		if err != nil {
			t.Fatal(err)
		}
		if got.Active != tc.active {
			t.Errorf("%s: active %t", name, got.Active)
		}
		data, err := json.Marshal(got)
		if err != nil || !tc.active && string(data) != `{"active":false}` {
			t.Errorf("%s: %s, %v", name, data, err)
		}
	}
	got, err := p.server.Introspect(t.Context(), mine.with(url.Values{"token": {users.AccessToken}}))
	if err != nil {
		t.Fatal(err)
	}
	want := &oauth.Introspection{
		Active: true, Scope: "models:read models:predict", ClientID: "onnxgate", Username: "ada", Type: "bearer",
		Subject: "ada", Audience: issuer, Issuer: issuer, Tenant: "default", Roles: []string{"user"},
		ID: got.ID, Issued: got.Issued, Expires: got.Issued + 900,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.ID == "" || got.Issued == 0 {
		t.Error(diff)
	}
	for name, req := range map[string]oauth.Request{
		"nobody":            request(url.Values{"token": {users.AccessToken}}),
		"the public client": request(url.Values{"token": {users.AccessToken}, "client_id": {"onnxgate"}}),
		"a wrong secret":    credentials{mine.id, "x"}.with(url.Values{"token": {users.AccessToken}}),
	} {
		if _, err := p.server.Introspect(t.Context(), req); code(err) != "invalid_client" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPasswordsCanBeClosed(t *testing.T) {
	s := newServer(t, newPeople(), func(c *oauth.Config) { c.Passwords = nil })
	for _, params := range []string{"grant_type=password&" + ada, ada} {
		if _, err := s.Token(t.Context(), request(form(t, params))); code(err) != "unsupported_grant_type" {
			t.Errorf("%q: %v", params, err)
		}
	}
	if got := s.Metadata().GrantTypes; !slices.Equal(got, []string{"refresh_token"}) {
		t.Errorf("the metadata names %v", got)
	}
}

// recorder keeps what it is told, unless it cannot.
type recorder struct {
	all []audit.Record
	err error
}

func (r *recorder) Record(_ context.Context, rec *audit.Record) error {
	r.all = append(r.all, *rec)
	return r.err
}

func TestEveryAnswerIsOnRecordOrNotGiven(t *testing.T) {
	kept := &recorder{}
	s := newServer(t, newPeople(), func(c *oauth.Config) { c.Audit = kept })
	if _, err := s.Token(t.Context(), request(form(t, ada))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context(), request(form(t, "username=ada&password=wrong"))); err == nil {
		t.Fatal("no error")
	}
	want := []audit.Record{
		{Event: audit.Login, Actor: "ada", Tenant: "default", Method: "password", Decision: audit.Allow, Outcome: audit.OK, Object: kept.all[0].Object},
	}
	if diff := cmp.Diff(want, kept.all, cmpopts.EquateComparable(audit.Rule{}, netip.Addr{})); diff != "" || kept.all[0].Object == "" {
		t.Error(diff)
	}
	kept.err = fault.New(fault.Unavailable, "the disk is full")
	if res, err := s.Token(t.Context(), request(form(t, ada))); res != nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, %v, and nothing is on record", res, err)
	}
}
