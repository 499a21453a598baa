package otlp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/testkit"
	"onnxgate/internal/testkit/collector"
)

func lookup(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func read(t *testing.T, base string, pairs map[string]string) *otlp.Settings {
	t.Helper()
	s, err := otlp.ReadSettings(base, "v1", lookup(pairs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEndpointsAreThoseOfTheStandardNames(t *testing.T) {
	type where struct{ url, address, encrypted string }
	for name, tc := range map[string]struct {
		base         string
		env          map[string]string
		traces, logs where
	}{
		"nothing":            {},
		"HTTP":               {base: "http://c:4318", traces: where{url: "http://c:4318/v1/traces"}, logs: where{url: "http://c:4318/v1/logs"}},
		"HTTPS under a path": {base: "https://c/otel/", traces: where{"https://c/otel/v1/traces", "", "yes"}, logs: where{"https://c/otel/v1/logs", "", "yes"}},
		"gRPC":               {base: "grpc://c", traces: where{address: "c:4317"}, logs: where{address: "c:4317"}},
		"gRPC over TLS":      {base: "grpcs://c:1", traces: where{"", "c:1", "yes"}, logs: where{"", "c:1", "yes"}},
		"the standard name":  {env: map[string]string{"ENDPOINT": "http://c:4318"}, traces: where{url: "http://c:4318/v1/traces"}, logs: where{url: "http://c:4318/v1/logs"}},
		"ours goes before":   {base: "http://a", env: map[string]string{"ENDPOINT": "http://b"}, traces: where{url: "http://a/v1/traces"}, logs: where{url: "http://a/v1/logs"}},
		"our scheme decides": {base: "http://a", env: map[string]string{"PROTOCOL": "grpc"}, traces: where{url: "http://a/v1/traces"}, logs: where{url: "http://a/v1/logs"}},
		"one of its own":     {base: "http://a", env: map[string]string{"LOGS_ENDPOINT": "https://b/x"}, traces: where{url: "http://a/v1/traces"}, logs: where{"https://b/x", "", "yes"}},
		"traces alone":       {env: map[string]string{"TRACES_ENDPOINT": "http://b/x"}, traces: where{url: "http://b/x"}},
		"standard gRPC":      {env: map[string]string{"ENDPOINT": "http://c:4317", "PROTOCOL": "grpc"}, traces: where{address: "c:4317"}, logs: where{address: "c:4317"}},
		"without a scheme":   {env: map[string]string{"ENDPOINT": "c:4317", "PROTOCOL": "grpc"}, traces: where{"", "c:4317", "yes"}, logs: where{"", "c:4317", "yes"}},
		"insecure":           {env: map[string]string{"ENDPOINT": "c:4317", "PROTOCOL": "grpc", "INSECURE": "true"}, traces: where{address: "c:4317"}, logs: where{address: "c:4317"}},
		"two protocols":      {env: map[string]string{"ENDPOINT": "http://c:1", "TRACES_PROTOCOL": "grpc"}, traces: where{address: "c:1"}, logs: where{url: "http://c:1/v1/logs"}},
		"no logs":            {base: "http://a", env: map[string]string{"OTEL_LOGS_EXPORTER": "none"}, traces: where{url: "http://a/v1/traces"}},
		"no traces":          {base: "http://a", env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}, logs: where{url: "http://a/v1/logs"}},
		"all off":            {base: "http://a", env: map[string]string{"OTEL_SDK_DISABLED": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for k, v := range tc.env {
				if !strings.HasPrefix(k, "OTEL_") {
					k = "OTEL_EXPORTER_OTLP_" + k
				}
				env[k] = v
			}
			of := func(target *otlp.Target) (w where) {
				if target == nil {
					return w
				}
				w = where{url: target.URL, address: target.Address}
				if target.TLS != nil {
					w.encrypted = "yes"
				}
				return w
			}
			s := read(t, tc.base, env)
			if got := of(s.Traces); got != tc.traces {
				t.Errorf("traces: %+v, want %+v", got, tc.traces)
			}
			if got := of(s.Logs); got != tc.logs {
				t.Errorf("logs: %+v, want %+v", got, tc.logs)
			}
		})
	}
}

func TestWhatIsWrongIsNamedAndNotShown(t *testing.T) {
	for name, tc := range map[string]struct{ base, variable, value string }{
		"no URL":         {"collector", "", ""},
		"another scheme": {"ftp://hush", "", ""},
		"password":       {"https://user:hush@c", "", ""},
		"query":          {"https://c?key=hush", "", ""},
		"gRPC path":      {"grpc://c/path", "", ""},
		"protocol":       {"", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
		"exporter":       {"", "OTEL_TRACES_EXPORTER", "zipkin"},
		"headers":        {"http://c", "OTEL_EXPORTER_OTLP_HEADERS", "hush"},
		"header line":    {"http://c", "OTEL_EXPORTER_OTLP_HEADERS", "a=hush%0d%0ab"},
		"timeout":        {"http://c", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
		"compression":    {"http://c", "OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
		"authorities":    {"https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"},
		"client":         {"https://c", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nowhere"},
		"queue":          {"http://c", "OTEL_BSP_MAX_QUEUE_SIZE", "-1"},
		"queue of zero":  {"http://c", "OTEL_BSP_MAX_QUEUE_SIZE", "0"},
		"resource":       {"http://c", "OTEL_RESOURCE_ATTRIBUTES", "hush"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{tc.variable: tc.value}
			want := tc.variable
			if tc.base == "" {
				env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://c"
			}
			if want == "" {
				want = "ONNXGATE_OTLP_ENDPOINT"
			}
			_, err := otlp.ReadSettings(tc.base, "v1", lookup(env))
			if err == nil || !strings.Contains(err.Error(), want+": write ") || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v, want %s and what to write", err, want)
			}
		})
	}
}

func TestTheResourceNamesTheService(t *testing.T) {
	of := func(env map[string]string) map[string]string {
		all := map[string]string{}
		for _, a := range read(t, "", env).Resource {
			all[a.Key] = a.Text
		}
		return all
	}
	if got := of(nil); got["service.name"] != "onnxgate" || got["service.version"] != "v1" || got["telemetry.sdk.language"] != "go" {
		t.Errorf("%v", got)
	}
	got := of(map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=pro%64, host.name=h", "OTEL_SERVICE_NAME": "b"})
	if got["service.name"] != "b" || got["deployment.environment.name"] != "prod" || got["host.name"] != "h" {
		t.Errorf("%v", got)
	}
}

// send exports one span to a target.
func send(t *testing.T, target *otlp.Target) error {
	t.Helper()
	client, err := otlp.NewClient(target, otlp.Traces, "onnxgate/v1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	return client.Export(t.Context(), request())
}

func request() []byte {
	span := otlp.Span{TraceID: [16]byte{1}, ID: [8]byte{2}, Name: strings.Repeat("n", 1000), Kind: otlp.Server, Attributes: []otlp.Attribute{
		otlp.String("s", ""), otlp.Int("i", -1),
	}}
	return otlp.NewEnvelope([]otlp.Attribute{otlp.String("service.name", "x")}, "onnxgate", "v1").Request(otlp.AppendSpan(nil, &span))
}

func TestACollectorReadsASpanOverBothProtocols(t *testing.T) {
	ca := testkit.NewCA(t, "collector")
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	testkit.WritePEM(t, authorities, ca)
	client := ca.Issue(t, "")
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	secure := collector.Start(t, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.IssueServer(t, "127.0.0.1")}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	plain := collector.Start(t, nil)
	certFile, keyFile := writePair(t, client)
	for name, tc := range map[string]struct {
		to   *collector.Collector
		base string
		gzip string
	}{
		"HTTP": {plain, plain.URL, ""}, "HTTP, packed": {plain, plain.URL, "gzip"}, "gRPC": {plain, "grpc://" + plain.Address, ""}, "gRPC, packed": {plain, "grpc://" + plain.Address, "gzip"},
		"HTTPS": {secure, secure.URL, ""}, "gRPC over TLS": {secure, "grpcs://" + secure.Address, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := read(t, tc.base, map[string]string{
				"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20secret,x-tenant=acme", "OTEL_EXPORTER_OTLP_COMPRESSION": tc.gzip, "OTEL_EXPORTER_OTLP_CERTIFICATE": authorities,
				"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certFile, "OTEL_EXPORTER_OTLP_CLIENT_KEY": keyFile,
			})
			before := len(tc.to.Spans())
			if err := send(t, s.Traces); err != nil {
				t.Fatal(err)
			}
			got := tc.to.Spans()[before:]
			want := map[string]any{"s": "", "i": int64(-1)}
			if len(got) != 1 || len(got[0].GetName()) != 1000 || !cmp.Equal(got[0].Attributes(), want) || got[0].Resource["service.name"] != "x" {
				t.Errorf("got %v", got)
			}
			headers := tc.to.Headers()[len(tc.to.Headers())-1]
			if headers["api-key"] != "a secret" || headers["x-tenant"] != "acme" || !strings.HasPrefix(headers["user-agent"], "onnxgate/v1") {
				t.Errorf("headers %v", headers)
			}
		})
	}
}

func writePair(t *testing.T, c tls.Certificate) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	err = errors.Join(err,
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestARefusalSaysWhetherToTryAgain(t *testing.T) {
	c := collector.Start(t, nil)
	for name, target := range map[string]*otlp.Target{
		"HTTP": {URL: c.URL + "/v1/traces", Timeout: time.Minute}, "gRPC": {Address: c.Address, Timeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for _, code := range []codes.Code{codes.Unavailable, codes.Unauthenticated} {
				again := code == codes.Unavailable
				c.Refuse(status.Error(code, ""))
				refused, ok := errors.AsType[*otlp.RefusedError](send(t, target))
				if !ok || refused.Again != again {
					t.Errorf("%s: %v", code, refused)
				}
			}
			c.Refuse(nil)
			c.Reject(3)
			defer c.Reject(0)
			if partial, ok := errors.AsType[*otlp.PartialError](send(t, target)); !ok || partial.Rejected != 3 || partial.Reason != "no room" {
				t.Errorf("%v, want 3 rejected", partial)
			}
		})
	}
	if refused, ok := errors.AsType[*otlp.RefusedError](send(t, &otlp.Target{URL: "http://127.0.0.1:1/v1/traces", Timeout: time.Minute})); !ok || !refused.Again {
		t.Errorf("nobody there: %v", refused)
	}
}

func TestACollectorSaysHowLongToWaitInSecondsOrUntilATime(t *testing.T) {
	t.Parallel()
	const now = "Tue, 01 Jan 2030 10:00:00 GMT" // by its own clock
	for text, want := range map[string]time.Duration{
		"":                              0,
		"30":                            30 * time.Second,
		"86400":                         time.Hour,
		"99999999999999999999":          0,
		"-1":                            0,
		"soon":                          0,
		"Tue, 01 Jan 2030 10:00:20 GMT": 20 * time.Second,
		"Tue, 01 Jan 2030 09:00:00 GMT": 0,
		"Wed, 02 Jan 2030 10:00:00 GMT": time.Hour,
	} {
		away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", now)
			if text != "" {
				w.Header().Set("Retry-After", text)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		err := send(t, read(t, away.URL, nil).Traces)
		away.Close()
		if refused, ok := errors.AsType[*otlp.RefusedError](err); !ok || !refused.Again || refused.RetryAfter != want {
			t.Errorf("Retry-After: %s: %#v, want to wait %v", text, err, want)
		}
	}
}

func TestAPageIsNoAnswerOfACollector(t *testing.T) {
	t.Parallel()
	for contentType, taken := range map[string]bool{
		"text/html; charset=utf-8": false, "text/plain": false, "": true, "application/x-protobuf": true, "application/json": true,
	} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil // none is made up
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			_, _ = io.WriteString(w, "<html>sign in")
		}))
		err := send(t, read(t, other.URL, nil).Traces)
		other.Close()
		if refused, ok := errors.AsType[*otlp.RefusedError](err); taken != (err == nil) || !taken && (!ok || refused.Again) {
			t.Errorf("200 with %q: %v", contentType, err)
		}
	}
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") }))
	defer empty.Close()
	if err := send(t, read(t, empty.URL, nil).Traces); err != nil {
		t.Errorf("200 with nothing: %v", err)
	}
}

// exporter counts requests, and is away for as long as err is set.
type exporter struct {
	mu    sync.Mutex
	err   error
	sizes []int
}

func (e *exporter) Export(_ context.Context, request []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.sizes = append(e.sizes, strings.Count(string(request), "#"))
	}
	return e.err
}

func (e *exporter) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *exporter) got() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int(nil), e.sizes...)
}

func batcher(t *testing.T, e otlp.Exporter) *otlp.Batcher {
	t.Helper()
	b := otlp.NewBatcher(otlp.BatcherConfig{
		Exporter: e, Envelope: otlp.NewEnvelope(nil, "onnxgate", ""), Batch: otlp.Batch{Queue: 100, Size: 10, Delay: 5 * time.Second}, Now: time.Now,
	})
	go b.Run(t.Context())
	return b
}

func add(b *otlp.Batcher, items int) {
	for range items {
		b.Add(1, func(b []byte) []byte { return append(b, '#') })
	}
}

func TestABatchIsSentWhenItIsFullOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{}
		b := batcher(t, e)
		add(b, 25)
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 10}, e.got()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 10, 5}, e.got()); diff != "" {
			t.Error(diff)
		}
		add(b, 3)
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		add(b, 1) // too late
		if diff := cmp.Diff([]int{10, 10, 5, 3}, e.got()); diff != "" || b.Counts() != (otlp.Counts{Sent: 28, Dropped: 1}) {
			t.Errorf("%+v %s", b.Counts(), diff)
		}
	})
}

// busy is an exporter during each request of which another item comes, of so many.
type busy struct {
	exporter

	batcher *otlp.Batcher
	more    int
}

func (e *busy) Export(ctx context.Context, request []byte) error {
	if e.more--; e.more >= 0 {
		add(e.batcher, 1)
	}
	return e.exporter.Export(ctx, request)
}

// What comes while an old batch is on its way is another batch, and waits until that is
// full or old.
func TestWhatComesWhileABatchIsSentWaitsForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &busy{more: 3}
		e.batcher = batcher(t, e)
		add(e.batcher, 3)
		for _, want := range [][]int{{3}, {3, 1}, {3, 1, 1}} {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff(want, e.got()); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestACollectorThatIsAwayCostsSpansAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{err: &otlp.RefusedError{Again: true, Err: errors.New("away")}}
		b := batcher(t, e)
		for range 1000 {
			add(b, 10)
			synctest.Wait()
		}
		if got := b.Counts().Dropped; got < 10_000-120 {
			t.Errorf("%d of 10,000 dropped: more wait than the queue has room for", got)
		}
		time.Sleep(10 * time.Minute)
		e.set(nil)
		before := b.Counts().Dropped
		add(b, 50)
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := b.Counts(); c.Sent < 50 || c.Dropped != before {
			t.Errorf("after it came back %+v, want 50 sent", c)
		}
		e.set(&otlp.RefusedError{Again: true, Err: errors.New("away")})
		add(b, 35)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if err := b.Close(ctx); err != nil || time.Since(begun) > time.Second {
			t.Errorf("Close took %s: %v", time.Since(begun), err)
		}
		if c := b.Counts(); c.Sent+c.Dropped != 10_085 {
			t.Errorf("%+v, want 10,085 in all", c)
		}
	})
}
