package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

// office knows everybody as the one principal it has now, or refuses everybody.
type office struct {
	now    atomic.Pointer[identity.Principal]
	proofs atomic.Int64
	at     atomic.Pointer[time.Time] // when the last request was received
}

func (o *office) Authenticate(ctx context.Context, _ authn.Credentials) (*identity.Principal, error) {
	o.proofs.Add(1)
	p := o.now.Load() // before forgets learns of the request: what it waits for is to concern the next proof alone
	received := reqctx.From(ctx).Received
	o.at.Store(&received)
	if p != nil {
		return p, nil
	}
	return nil, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Msg: "The access token is no longer valid; get a new one"}
}

// forgets waits until the server has received a request for so long that it no
// longer believes the first proof.
func (o *office) forgets() {
	for received := o.at.Load(); received == nil || time.Since(*received) < 60*time.Millisecond; received = o.at.Load() {
		time.Sleep(time.Millisecond)
	}
}

func caller(tenant, role string, scopes ...string) *identity.Principal {
	return &identity.Principal{Subject: "alice", Issuer: "https://idp.example", Tenant: tenant, Roles: []string{role}, Scopes: scopes, Method: identity.Outside}
}

func employed() *identity.Principal {
	return caller("default", "admin", "models:read", "models:predict", "models:write", "crypto:use")
}

// slowly posts a body whose end is held back while something happens, and for
// longer than rights are believed.
func (f *fixture) slowly(l *httpapi.Listener, path, media, first, rest string, meanwhile func()) *reply {
	f.t.Helper()
	s := f.public
	if l == f.api.Admin() {
		s = f.admin
	}
	body, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, first)
		time.Sleep(60 * time.Millisecond)
		meanwhile()
		_, _ = io.WriteString(w, rest)
		_ = w.Close()
	}()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, s.URL+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	req.Header.Set("Content-Type", media)
	resp, err := s.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return &reply{resp, string(text)}
}

// Rights are those at the end of the body, and a fault of theirs goes before any
// of the body.
func TestRightsThatEndWhileTheBodyArrivesEnd(t *testing.T) {
	t.Parallel()
	const policy = "/admin/v1/models/iris/policy/test"
	for name, tc := range map[string]struct {
		path, rest string
		then       *identity.Principal
		want       int
	}{
		"nothing happens to a prediction":             {"/predict", "", employed(), http.StatusOK},
		"nothing happens to a text":                   {"/encrypt", "", employed(), http.StatusOK},
		"nothing happens to a question":               {policy, "", employed(), http.StatusOK},
		"nobody predicts any more":                    {"/predict", "", nil, http.StatusUnauthorized},
		"nobody predicts at a path any more":          {"/models/iris/versions/1/predict", "", nil, http.StatusUnauthorized},
		"nobody predicts, and sends no JSON":          {"/predict", "nonsense", nil, http.StatusUnauthorized},
		"nobody predicts, and sends too much":         {"/predict", strings.Repeat(" ", 2<<10), nil, http.StatusUnauthorized},
		"nobody seals":                                {"/encrypt", "", nil, http.StatusUnauthorized},
		"nobody opens":                                {"/decrypt", "", nil, http.StatusUnauthorized},
		"nobody administers":                          {policy, "", nil, http.StatusUnauthorized},
		"the permission to predict ends":              {"/predict", "", caller("default", "admin", "models:read"), http.StatusForbidden},
		"the permission to seal ends":                 {"/encrypt", "", caller("default", "admin", "models:read"), http.StatusForbidden},
		"the permission to read rules ends":           {policy, "", caller("default", "admin", "models:read"), http.StatusForbidden},
		"the role that the model wants ends":          {"/predict", "", caller("default", "guest", "models:predict"), http.StatusForbidden},
		"the role ends, and the body is no JSON":      {"/predict", "nonsense", caller("default", "guest", "models:predict"), http.StatusForbidden},
		"the model is of another tenant":              {"/models/iris/predict", "", caller("acme", "admin", "models:predict"), http.StatusNotFound},
		"the model is another's, the body too long":   {"/models/iris/predict", strings.Repeat(" ", 2<<10), caller("acme", "admin", "models:predict"), http.StatusNotFound},
		"nothing ends, but the body is no JSON":       {"/predict", "nonsense", employed(), http.StatusBadRequest},
		"nothing ends, but the body is much too long": {"/predict", strings.Repeat(" ", 2<<10), employed(), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &office{}
			o.now.Store(employed())
			f := newAPI(t, func(c *httpapi.Config) { c.Authenticator, c.MaxBody = o, 1<<10 }).serve()
			listener, body := f.api.Public(), row
			switch tc.path {
			case "/encrypt":
				body = `{"plaintext":"a"}`
			case "/decrypt":
				body = `{"ciphertext":"default:a"}`
			case policy:
				listener, body = f.api.Admin(), `{"principal":{"subject":"bob"}}`
			}
			begun := time.Now()
			got := f.slowly(listener, tc.path, "application/json", body[:5], body[5:]+tc.rest, func() {
				o.forgets()
				o.now.Store(tc.then)
			})
			if got.StatusCode != tc.want {
				t.Errorf("%d %s, want %d", got.StatusCode, got.body, tc.want)
			}
			if proofs := o.proofs.Load(); proofs != 2 {
				t.Errorf("proven %d times, want twice", proofs)
			}
			if late := o.at.Load().Sub(begun); late < 50*time.Millisecond {
				t.Errorf("proven as of %v after the begin, want the end of the body", late)
			}
		})
	}
}

func TestABodyThatComesWithItsHeadIsProvenOnce(t *testing.T) {
	o := &office{}
	o.now.Store(employed())
	start := time.Now()
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator, c.Now = o, func() time.Time { return start } }).serve()
	if r := f.do(request{method: "POST", path: "/predict", token: "x", body: row}); r.StatusCode != http.StatusOK {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := f.do(request{method: "POST", path: "/predict", token: "x", body: "{}", header: http.Header{"Content-Type": {"text/plain"}}}); r.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if proofs := o.proofs.Load(); proofs != 2 {
		t.Errorf("two requests were proven %d times", proofs)
	}
}

func TestAnOutsideSubjectIsLoggedWithItsIssuer(t *testing.T) {
	o := &office{}
	o.now.Store(employed())
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator = o }).serve()
	f.do(request{method: "GET", path: "/models", token: "x"})
	ours := caller("default", "admin", "models:read")
	ours.Issuer = ""
	o.now.Store(ours)
	f.do(request{method: "GET", path: "/models", token: "x"})
	f.public.Close()
	var issuers []any
	for _, line := range f.accessLines() {
		if line["subject"] != "alice" {
			t.Errorf("the subject is %v", line["subject"])
		}
		issuers = append(issuers, line["issuer"])
	}
	if diff := cmp.Diff([]any{"https://idp.example", nil}, issuers); diff != "" {
		t.Error(diff)
	}
}

// Who holds the most requests over HTTP/2 loses one to a newcomer when all places are
// taken, however slowly its body comes.
func TestARequestIsResetForWhoHasNone(t *testing.T) {
	t.Parallel()
	places := limit.NewPlaces(2, 2, nil)
	o := &office{}
	o.now.Store(employed())
	f := newAPI(t, func(c *httpapi.Config) { c.Streams, c.Authenticator = places, o }).serve()
	ended := make(chan error, 2)
	var bodies []*io.PipeWriter
	for range 2 {
		body, w := io.Pipe()
		bodies = append(bodies, w)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.public.URL+"/predict", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer admin")
		req.Header.Set("Content-Type", "application/json")
		go func() {
			resp, err := f.public.Client().Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			ended <- err
		}()
		if _, err := io.WriteString(w, row); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "both requests are open", func() bool { return o.proofs.Load() == 2 })
	if _, ok := places.Enter("192.0.2.1:1", func() {}); !ok {
		t.Fatal("there is no place for a newcomer")
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
		t.Errorf("the first of the two that ended: %v", err)
	}
	for _, w := range bodies {
		_ = w.Close()
	}
	if err := <-ended; err != nil {
		t.Errorf("the other one: %v", err)
	}
}
