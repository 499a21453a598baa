package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/limit"
)

// gate is a body that stops in its middle until it is opened.
type gate struct {
	first, rest   io.Reader
	reached, open chan struct{}
	stopped       bool
}

func newGate(first, rest string) *gate {
	return &gate{first: strings.NewReader(first), rest: strings.NewReader(rest), reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Read(p []byte) (int, error) {
	if n, err := g.first.Read(p); err == nil {
		return n, nil
	}
	if !g.stopped {
		g.stopped = true
		close(g.reached)
		<-g.open
	}
	return g.rest.Read(p)
}

// send posts a body of a length, -1 for one that is not announced.
func (f *fixture) send(ctx context.Context, body io.Reader, length int64) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://localhost/predict", body)
	r.RequestURI, r.ContentLength = "/predict", length
	r.Header.Set("Authorization", "Bearer admin")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.api.Public().ServeHTTP(w, r)
	return w
}

func padded(n int) string { return row + strings.Repeat(" ", n-len(row)) }

func TestLargeBodiesShareABoundedMemory(t *testing.T) {
	const large = 200 << 10
	for name, length := range map[string]int64{"announced": large, "of unknown length": -1} {
		t.Run(name, func(t *testing.T) {
			f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.Bodies = large, limit.NewBytes(2*large, nil) })
			held := newGate(padded(150<<10), strings.Repeat(" ", 50<<10))
			done := make(chan *httptest.ResponseRecorder)
			go func() { done <- f.send(t.Context(), held, length) }()
			<-held.reached

			got := f.send(t.Context(), strings.NewReader(padded(large)), length)
			if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "1" || !strings.Contains(got.Body.String(), "/problems/unavailable") {
				t.Errorf("a second large body: %d %v %s", got.Code, got.Header(), got.Body)
			}
			if got := f.send(t.Context(), strings.NewReader(padded(64<<10)), 64<<10); got.Code != http.StatusOK {
				t.Errorf("a small body: %d %s", got.Code, got.Body)
			}
			close(held.open)
			if got := <-done; got.Code != http.StatusOK {
				t.Errorf("the first large body: %d %s", got.Code, got.Body)
			}
			for range 3 { // each gives back what it took, good or bad
				f.send(t.Context(), strings.NewReader(padded(large)+" "), -1)
				f.send(t.Context(), io.MultiReader(strings.NewReader(padded(large-1)), broken{}), large)
				if got := f.send(t.Context(), strings.NewReader(padded(large)), length); got.Code != http.StatusOK {
					t.Fatalf("afterwards: %d %s", got.Code, got.Body)
				}
			}
		})
	}
}

// However many keys a tenant has, half of the memory is there for the others.
func TestKeysOfOneTenantLeaveMemoryToAnother(t *testing.T) {
	const large = 1 << 20
	memory := limit.NewBytes(2*large, nil)
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.Bodies = large, memory })
	post := func(token string, body io.Reader, length int64) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/predict", body)
		r.RequestURI, r.ContentLength = "/predict", length
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		w := httptest.NewRecorder()
		f.api.Public().ServeHTTP(w, r)
		return w
	}
	var stalled sync.WaitGroup
	held := newGate(padded(100<<10), strings.Repeat(" ", large-100<<10))
	stalled.Go(func() { post("admin", held, large) })
	<-held.reached
	if got := post("writer", strings.NewReader(padded(large)), large); got.Code != http.StatusServiceUnavailable {
		t.Errorf("the tenant's second key: %d %s, want it refused", got.Code, got.Body)
	}
	if !memory.Take(limit.Holder{Principal: "guest", Tenant: "acme"}, large) {
		t.Error("nothing is left for another tenant's largest body")
	}
	close(held.open)
	stalled.Wait()
}

func TestRefusalOfALargeBodyArrives(t *testing.T) {
	const large = 4 << 20
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.Bodies = large, limit.NewBytes(2*large, nil) }).serve()
	held := newGate(padded(100<<10), strings.Repeat(" ", large-100<<10))
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- f.send(t.Context(), held, large) }()
	<-held.reached
	for range 5 {
		if got := f.do(request{method: "POST", path: "/predict", token: "admin", body: padded(large)}); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
	close(held.open)
	<-done
}

func TestBodiesOfAllLengthsArriveWhole(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 3 << 20 })
	for _, n := range []int{len(row), 4095, 4096, 4097, 64<<10 - 1, 64 << 10, 64<<10 + 1, 64<<10 + 2, 100 << 10, 1 << 20, 1<<20 + 1, 3<<20 - 1, 3 << 20, 3<<20 + 1} {
		// The row stands at the end: a lost byte anywhere is an error.
		body := "[" + strings.Repeat(" ", max(0, n-len(row)-2)) + row + "]"
		if n == len(row) {
			body = row
		}
		want := http.StatusOK
		if n > 3<<20 {
			want = http.StatusRequestEntityTooLarge
		}
		for _, length := range []int64{int64(n), -1} {
			if got := f.send(t.Context(), strings.NewReader(body), length); got.Code != want {
				t.Errorf("%d bytes, announced as %d: %d %.200s", n, length, got.Code, got.Body)
			}
		}
	}
}

func TestAnnouncedBodyIsCopiedOnce(t *testing.T) {
	const large = 8 << 20
	f := newAPI(t, nil)
	body := padded(large)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.send(t.Context(), strings.NewReader(body), large)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > large+large/8 {
		t.Errorf("a body of %d bytes took %d", large, took)
	}
}

func BenchmarkLargeBody(b *testing.B) {
	f := newAPI(b, nil)
	for _, n := range []int{32 << 10, 128 << 10, 2 << 20} {
		body := padded(n)
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.send(b.Context(), strings.NewReader(body), int64(n))
			}
		})
	}
}
