package httpapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/oauth"
	"onnxgate/internal/testkit"
)

// verdicts is what the authorities say of every certificate.
type verdicts struct {
	mu         sync.Mutex
	generation uint64
	until      time.Time
	err        error
	asked      int
}

func (v *verdicts) Generation() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.generation
}

func (v *verdicts) Verify([]*x509.Certificate) (time.Time, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.until, v.err
}

func (v *verdicts) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

// guarded is an API whose public listener asks for certificates, and one client
// of it with one connection.
type guarded struct {
	*fixture
	*verdicts

	client *http.Client
	now    time.Time // guarded by verdicts.mu
}

func newGuarded(t *testing.T, http2 bool, shown ...tls.Certificate) *guarded {
	t.Helper()
	g := &guarded{now: time.Now()}
	g.verdicts = &verdicts{until: g.now.Add(time.Hour)}
	g.fixture = newAPI(t, func(c *httpapi.Config) {
		c.Trust = g.verdicts
		c.Now = func() time.Time {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.now
		}
	})
	g.clientAuth = tls.RequestClientCert
	g.serve()
	theirs, ok := g.public.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("not a transport of net/http")
	}
	transport := theirs.Clone()
	transport.TLSClientConfig.Certificates = shown
	transport.Protocols = &http.Protocols{}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	if !http2 {
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	g.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return g
}

// send reports the answer and whether the connection was open before.
func (g *guarded) send(t *testing.T, method, path, body string) (res *reply, reused bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), method, g.public.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if path == "/models" {
		req.Header.Set("Authorization", "Bearer admin")
	}
	answer, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &reply{answer, string(text)}, reused
}

func TestAConnectionEndsWithItsCertificate(t *testing.T) {
	cert := testkit.NewCA(t, "clients").Issue(t, "spiffe://example.org/a")
	ends := map[string]func(g *guarded){
		"revoked": func(g *guarded) { g.generation++ },
		"ended":   func(g *guarded) { g.now = g.until.Add(time.Second) },
	}
	for name, end := range ends {
		for _, route := range []struct{ method, path, body string }{
			{http.MethodGet, "/models", ""},
			{http.MethodPost, oauth.PathToken, "grant_type=password&username=admin&password=right"},
			{http.MethodPost, oauth.PathRevoke, "token=x"},
			{http.MethodPost, oauth.PathIntrospect, "token=x"},
		} {
			for _, http2 := range []bool{false, true} {
				t.Run(name+route.path, func(t *testing.T) {
					g := newGuarded(t, http2, cert)
					for range 5 {
						if res, _ := g.send(t, http.MethodGet, "/models", ""); res.StatusCode != http.StatusOK {
							t.Fatalf("%s before: %s %s", res.Proto, res.Status, res.body)
						}
					}
					g.set(func() {
						if g.asked != 1 {
							t.Errorf("judged %d times for one connection", g.asked)
						}
						g.err = errors.New("serial 4711 is revoked")
						end(g)
					})
					res, reused := g.send(t, route.method, route.path, route.body)
					if res.StatusCode != http.StatusUnauthorized || !reused {
						t.Errorf("%s, open before %t: %s %s", res.Proto, reused, res.Status, res.body)
					}
					if !strings.Contains(res.body, "certificate is no longer trusted") || strings.Contains(res.body, "4711") {
						t.Errorf("the client reads %s", res.body)
					}
					if res.Header.Get("Www-Authenticate") == "" {
						t.Error("without a challenge")
					}
					g.ended(t, res)
				})
			}
		}
	}
}

// ended checks that the next request comes over another connection. HTTP/2 says
// so in a frame (RFC 9113 section 6.8), which may come after the answer.
func (g *guarded) ended(t *testing.T, res *reply) {
	t.Helper()
	if res.ProtoMajor == 1 && !res.Close {
		t.Error("the answer does not close the connection")
	}
	g.set(func() { g.err = nil })
	testkit.Eventually(t, "another connection is in use", func() bool {
		_, reused := g.send(t, http.MethodGet, "/models", "")
		return !reused
	})
}

func TestACertificateIsJudgedAgainAndStaysGood(t *testing.T) {
	g := newGuarded(t, true, testkit.NewCA(t, "clients").Issue(t, "spiffe://example.org/a"))
	for i, change := range []func(){
		func() {}, func() { g.generation++ }, func() { g.now, g.until = g.until.Add(time.Second), g.until.Add(time.Hour) },
	} {
		g.set(change)
		for range 2 {
			if res, _ := g.send(t, http.MethodGet, "/models", ""); res.StatusCode != http.StatusOK {
				t.Errorf("change %d: %s %s", i, res.Status, res.body)
			}
		}
		if g.asked != i+1 {
			t.Errorf("change %d: judged %d times", i, g.asked)
		}
	}
}

func TestAConnectionWithoutACertificateIsNotJudged(t *testing.T) {
	g := newGuarded(t, true)
	g.set(func() { g.err = errors.New("nobody is trusted") })
	if res, _ := g.send(t, http.MethodGet, "/models", ""); res.StatusCode != http.StatusOK || g.asked != 0 {
		t.Errorf("%s %s, judged %d times", res.Status, res.body, g.asked)
	}
}
