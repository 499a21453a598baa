package httpapi_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/authn"
	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/oauth"
	"onnxgate/internal/quota"
	"onnxgate/internal/schema"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens knows three callers by their tokens.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, c authn.Credentials) (*identity.Principal, error) {
	p := &identity.Principal{
		Subject: c.Bearer, Tenant: "default", Method: identity.Bearer,
		Scopes: []string{"models:read", "models:predict"},
	}
	switch c.Bearer {
	case "":
		return nil, fault.New(fault.Unauthenticated, "Authentication is required")
	case "admin":
		p.Roles, p.Scopes = []string{"admin"}, append(p.Scopes, "metrics:read", "debug:read")
	case "user":
		p.Roles = []string{"user"}
	case "writer":
		p.Roles, p.Scopes = []string{"admin"}, append(p.Scopes, "models:write")
	case "sealer", "acme":
		p.Tenant, p.Roles, p.Scopes = c.Bearer, []string{"admin"}, []string{"crypto:use"}
	case "noscope":
		p.Roles, p.Scopes = []string{"admin"}, nil
	case "panic":
		panic("a defect with a secret inside")
	case "broken":
		return nil, errors.New("dial tcp 10.0.0.1: secret reason")
	case "away":
		return nil, fault.Wrap(fault.Unavailable, "", errors.New("database is locked"))
	default:
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Msg: "The access token is not valid"}
	}
	return p, nil
}

// tokenServer gives the token "admin" for the password "right".
type tokenServer struct {
	mu   sync.Mutex
	last oauth.Request
}

func (s *tokenServer) Token(_ context.Context, req oauth.Request) (*oauth.TokenResponse, error) {
	s.mu.Lock()
	s.last = req
	s.mu.Unlock()
	if req.Form.Get("password") != "right" {
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_grant", Msg: "Incorrect username or password"}
	}
	return &oauth.TokenResponse{AccessToken: "admin", TokenType: "bearer", ExpiresIn: 900, Scope: "models:read models:predict"}, nil
}

// Revoke knows no client, and one token that it must not end.
func (*tokenServer) Revoke(_ context.Context, req oauth.Request) error {
	if req.Form.Get("token") == "" {
		return &fault.Error{Kind: fault.BadRequest, Code: "invalid_request", Msg: "The parameter token is missing"}
	}
	return nil
}

// Introspect knows the client app and the token admin.
func (*tokenServer) Introspect(_ context.Context, req oauth.Request) (*oauth.Introspection, error) {
	if req.Basic == nil || req.Basic.Username != "app" {
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Msg: "A client has to authenticate here"}
	}
	if req.Form.Get("token") != "admin" {
		return &oauth.Introspection{}, nil
	}
	return &oauth.Introspection{Active: true, Subject: "admin"}, nil
}

func (*tokenServer) Metadata() oauth.Metadata {
	return oauth.Metadata{Issuer: "https://ml.example", ResponseTypes: []string{}}
}

// ChangePassword knows the present password right.
func (*tokenServer) ChangePassword(_ context.Context, _ *identity.Principal, current, next string) error {
	switch {
	case current != "right":
		return fault.New(fault.Forbidden, "The present password is wrong")
	case next == "short":
		return fault.New(fault.Content, "the password has 5 characters")
	}
	return nil
}

func (*tokenServer) JWKS() []byte { return []byte(`{"keys":[]}`) }

// sealer marks a text with its tenant.
type sealer struct{}

func (sealer) Seal(_ context.Context, p *identity.Principal, text string) (string, error) {
	return p.Tenant + ":" + text, nil
}

func (sealer) Open(_ context.Context, p *identity.Principal, token string, maxAge int64) (string, error) {
	text, ok := strings.CutPrefix(token, p.Tenant+":")
	if !ok || maxAge == 0 {
		return "", fault.New(fault.Undecryptable, "Decryption failed")
	}
	return fmt.Sprintf("%s at most %d old", text, maxAge), nil
}

// usage is one call of everybody.
type usage struct{}

func (usage) Of(ctx context.Context, p *identity.Principal) (*quota.Report, error) {
	return usage{}.Tenant(ctx, p.Tenant, time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC))
}

func (usage) Key(ctx context.Context, tenant, id string, at time.Time) (*quota.Report, error) {
	r, err := usage{}.Tenant(ctx, tenant, at)
	r.Key = id
	return r, err
}

func (usage) DaysOf(ctx context.Context, p *identity.Principal, from, to time.Time) (*quota.DayByDay, error) {
	return usage{}.Days(ctx, p.Tenant, "", from, to)
}

func (usage) Days(_ context.Context, tenant, key string, from, to time.Time) (*quota.DayByDay, error) {
	if to.IsZero() {
		to = from
	}
	days := &quota.DayByDay{Tenant: tenant, Key: key}
	for ; !from.After(to); from = from.AddDate(0, 0, 1) {
		days.Days = append(days.Days, quota.Period{Start: from, Calls: 1, Rows: 2, Bytes: 300, ComputeMS: 4})
	}
	return days, nil
}

// goneTenant is deleted when its usage is asked for.
const goneTenant = "abroad"

func (usage) Tenant(_ context.Context, name string, at time.Time) (*quota.Report, error) {
	if name == goneTenant {
		return nil, fault.New(fault.NotFound, "there is no tenant "+name)
	}
	used := quota.Period{Start: at, Calls: 1, Rows: 2, Bytes: 300, ComputeMS: 4}
	return &quota.Report{Tenant: name, Day: used, Month: used, Quotas: []quota.Line{{Unit: "calls", Per: "day", Limit: 5, Used: 1, Hard: true}}}, nil
}

// accessTokens knows one token of each tenant.
type accessTokens struct{}

func (accessTokens) Inspect(_ context.Context, token string) (*identity.AccessToken, error) {
	tenant, ok := map[string]string{"of-alice": "default", "of-uma": "acme"}[token]
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "The access token is not valid")
	}
	p := &identity.Principal{Subject: strings.TrimPrefix(token, "of-"), Tenant: tenant}
	return &identity.AccessToken{Principal: p, ID: "jti-" + token, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

// fixture is a running API with fakes behind it.
type fixture struct {
	t         testing.TB
	api       *httpapi.API
	admission *admission.Control
	access    *telemetry.AccessLog
	lines     *testkit.Buffer // access lines
	log       *testkit.Buffer
	metrics   *telemetry.Metrics
	tokens    *tokenServer

	public, admin *httptest.Server
	readTimeout   time.Duration // of the servers, when it is not their own
	clientAuth    tls.ClientAuthType
}

func newAPI(tb testing.TB, change func(*httpapi.Config)) *fixture {
	tb.Helper()
	return newAPIWith(tb, testkit.Flower{}, change)
}

func newAPIWith(tb testing.TB, program inference.Program, change func(*httpapi.Config)) *fixture {
	tb.Helper()
	f := &fixture{t: tb, lines: &testkit.Buffer{}, log: &testkit.Buffer{}, metrics: telemetry.NewMetrics("v1"), tokens: &tokenServer{}}
	f.access = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: f.lines, Format: telemetry.JSON})
	catalog := irisCatalog(tb, program, func(label string, _ *schema.Limits) inference.Admission { return door{f, label} })
	deliver, err := delivery.New(delivery.Config{Catalog: catalog})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := httpapi.Config{
		Catalog: catalog, Authenticator: tokens{}, Tokens: f.tokens, Keys: f.tokens, Passwords: f.tokens, Sealer: sealer{}, Accounts: &accounts.Service{}, Delivery: deliver, Access: accessTokens{}, Usage: usage{}, Admission: admit(admission.Rates{}),
		Metrics: f.metrics, AccessLog: f.access, Now: time.Now, Version: "v1",
		Log: slog.New(telemetry.NewHandler(f.log, telemetry.JSON, slog.LevelDebug)), LoopbackHost: true, AdminLoopback: true,
	}
	if change != nil {
		change(&cfg)
	}
	f.admission = cfg.Admission
	if f.api, err = httpapi.New(cfg); err != nil {
		tb.Fatal(err)
	}
	return f
}

// door admits to a model by the fixture's admission.
type door struct {
	f     *fixture
	model string
}

func (d door) of() *admission.Model { return d.f.admission.Model(d.model, admission.Limits{}) }

func (d door) Open(ctx context.Context, p *identity.Principal) error { return d.of().Open(ctx, p) }

func (d door) Enter(ctx context.Context, p *identity.Principal, bytes int64) (inference.Passage, error) {
	passage, err := d.of().Enter(ctx, p, bytes)
	if err != nil {
		return nil, err
	}
	return passage, nil
}

func irisCatalog(tb testing.TB, program inference.Program, admit inference.Admit) *inference.Catalog {
	tb.Helper()
	manifest, err := os.ReadFile("../../models/iris/model.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	loaded := false
	catalog, err := inference.New(tb.Context(), inference.Config{
		FS: fstest.MapFS{
			"iris/model.yaml":   {Data: manifest},
			"iris/1/model.onnx": {Data: []byte("one")},
			"iris/2/model.onnx": {Data: []byte("two")},
		},
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) {
			return afterLoad{program, &loaded}, nil, nil
		},
		Admit: admit,
		Now:   time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	loaded = true
	return catalog
}

// afterLoad is a program that does what it does to requests alone, and warms up
// as any other.
type afterLoad struct {
	inference.Program
	loaded *bool
}

func (p afterLoad) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	if !*p.loaded {
		return testkit.Flower{}.Run(ctx, in, out)
	}
	return p.Program.Run(ctx, in, out)
}

// serve starts both listeners on real sockets, over TLS.
func (f *fixture) serve() *fixture {
	f.t.Helper()
	f.public, f.admin = f.listen(f.api.Public()), f.listen(f.api.Admin())
	f.t.Cleanup(func() {
		if err := f.access.Close(); err != nil && !errors.Is(err, telemetry.ErrClosed) {
			f.t.Error(err)
		}
	})
	return f
}

func (f *fixture) listen(l *httpapi.Listener) *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.Config = httpapi.NewServer(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, ClientAuth: f.clientAuth}, slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.TLS = s.Config.TLSConfig
	if f.readTimeout > 0 {
		s.Config.ReadTimeout, s.Config.ReadHeaderTimeout = f.readTimeout, f.readTimeout
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	f.t.Cleanup(s.Close)
	return s
}

// reply is an answer, read whole.
type reply struct {
	*http.Response

	body string
}

func (r *reply) json(tb testing.TB) map[string]any {
	tb.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		tb.Fatalf("%v in %q", err, r.body)
	}
	return v
}

// request is one to the public listener.
type request struct {
	method, path, token, body, host string
	header                          http.Header
}

func (f *fixture) do(q request) *reply { f.t.Helper(); return f.doAt(f.public, q) }

func (f *fixture) doAt(s *httptest.Server, q request) *reply {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), q.method, s.URL, strings.NewReader(q.body))
	if err != nil {
		f.t.Fatal(err)
	}
	path, query, _ := strings.Cut(q.path, "?")
	req.URL = &url.URL{Scheme: "https", Host: req.URL.Host, Opaque: "//" + req.URL.Host + path, RawQuery: query}
	if !strings.ContainsAny(path, "%") {
		req.URL = &url.URL{Scheme: "https", Host: req.URL.Host, Path: path, RawQuery: query}
	}
	maps.Copy(req.Header, q.header)
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.body != "" && req.Header["Content-Type"] == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Host = q.host
	res, err := s.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return &reply{res, string(body)}
}

// raw sends bytes over one TLS connection of HTTP/1.1, each part a while after
// the other, and returns what comes back until the server closes it.
func (f *fixture) raw(parts ...string) string {
	f.t.Helper()
	transport, ok := f.public.Client().Transport.(*http.Transport)
	if !ok {
		f.t.Fatal("not a transport of net/http")
	}
	roots := transport.TLSClientConfig.RootCAs
	conn, err := tls.Dial("tcp", f.public.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	for i, text := range parts {
		if i > 0 {
			time.Sleep(2 * f.readTimeout)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			f.t.Fatal(err)
		}
	}
	out, err := io.ReadAll(conn)
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		f.t.Fatalf("the connection stays open after %q", out)
	}
	return string(out)
}

// accessLines closes the access log and returns its lines.
func (f *fixture) accessLines() []map[string]any {
	f.t.Helper()
	if err := f.access.Close(); err != nil {
		f.t.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(f.lines.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			f.t.Fatalf("%v in %q", err, line)
		}
		lines = append(lines, v)
	}
	return lines
}

const row = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

func perMinute(n int64) identity.Rate { return identity.Rate{Requests: n, Window: time.Minute} }

// admit returns what admits requests at the rates.
func admit(rates admission.Rates) *admission.Control {
	control, err := admission.New(admission.Config{Rates: rates, Now: time.Now})
	if err != nil {
		panic(err)
	}
	return control
}

// predictions admits predictions at one rate, and everything else at any.
func predictions(rate identity.Rate) *admission.Control {
	return admit(admission.Rates{Predict: identity.Rates{rate}})
}

// form is the header of a body that is a form.
func form() http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}
