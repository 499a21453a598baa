package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/keys"
)

func TestABodyThatDripsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		var dripping sync.WaitGroup
		dripping.Go(func() { drip(there) })
		c := newClient(&entry{})
		transport, ok := c.http.Transport.(*http.Transport)
		if !ok {
			t.Fatalf("the transport is a %T", c.http.Transport)
		}
		transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return here, nil }
		begun := time.Now()
		_, err := c.get(t.Context(), "https://idp.example/keys")
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || !unreachable(err) {
			t.Errorf("%v, want a timeout", err)
		}
		if took := time.Since(begun); took > requestTime {
			t.Errorf("it took %s, want at most %s", took, requestTime)
		}
		_ = here.Close()
		dripping.Wait()
	})
}

// drip answers a request with a byte a second, for ever.
func drip(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a test's own end
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		return
	}
	for _, part := range []string{"HTTP/1.1 200 OK\r\n", "Content-Length: 1000\r\n", "\r\n"} {
		if _, err := conn.Write([]byte(part)); err != nil {
			return
		}
	}
	for {
		time.Sleep(time.Second)
		if _, err := conn.Write([]byte(" ")); err != nil {
			return
		}
	}
}

// entryOf trusts a server of this machine.
func entryOf(idp *httptest.Server) *entry {
	e := &entry{roots: x509.NewCertPool()}
	e.roots.AddCert(idp.Certificate())
	e.origin.networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return e
}

func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", proxy.URL)
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer idp.Close()
	e := entryOf(idp)
	if got, err := newClient(e).get(t.Context(), idp.URL); err != nil || string(got) != "{}" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	idp := httptest.NewUnstartedServer(http.NotFoundHandler())
	idp.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	idp.Config.ErrorLog = discard()
	idp.StartTLS()
	defer idp.Close()
	e := entryOf(idp)
	if _, err := newClient(e).get(t.Context(), idp.URL); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

// answering is a transport that answers without a network.
type answering func() (string, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := a()
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	_, _ = w.WriteString(body)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func TestKeysAreRenewedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fetched []time.Duration
		begun, up := time.Now(), false
		e := &entry{maxStale: time.Hour, policy: authn.Issuer{Name: "https://idp.example", Algorithms: []keys.Algorithm{keys.ES256}}}
		e.origin.jwksURI = "https://idp.example/keys"
		s := newSource(e, time.Now, func(Event) {})
		s.client.http.Transport = answering(func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			fetched = append(fetched, time.Since(begun))
			if !up {
				return "", errors.New("down")
			}
			return `{"keys":[]}`, nil
		})
		// after checks when they were fetched in the time until now, and whether the
		// issuer answers from now on.
		after := func(pass time.Duration, answers bool, want ...time.Duration) {
			t.Helper()
			time.Sleep(pass)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, fetched); diff != "" {
				t.Errorf("fetched at (-want +got):\n%s", diff)
			}
			fetched, up = nil, answers
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.run(ctx)
		// No keys: soon again, and then every 30 s.
		after(64*time.Second, true, 0, time.Second, 3*time.Second, 7*time.Second, 15*time.Second, 31*time.Second, 61*time.Second)
		after(7*time.Minute, false, 91*time.Second, 391*time.Second)
		// Keys that are known: every 30 s.
		after(4*time.Minute+30*time.Second, false, 691*time.Second, 721*time.Second, 751*time.Second)
	})
}
