package httpapi_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"onnxgate/internal/httpapi"
)

func TestProfilesAreForThoseWhoMayDebugAlsoOnLoopback(t *testing.T) {
	off := newAPI(t, nil).serve()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		got := off.doAt(off.admin, request{method: "GET", path: path, token: "admin"})
		if got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, "ONNXGATE_PPROF=on") {
			t.Errorf("%s while they are off: %d %s", path, got.StatusCode, got.body)
		}
	}
	const contract = "/admin/v1/openapi.json"
	if got := off.doAt(off.admin, request{method: "GET", path: contract, token: "admin"}); got.StatusCode != http.StatusOK || strings.Contains(got.body, "pprof") {
		t.Errorf("the contract while they are off: %d %s", got.StatusCode, got.body)
	}
	f := newAPI(t, func(c *httpapi.Config) { c.Profiles, c.AdminLoopback = true, true }).serve()
	for path, tc := range map[string]struct {
		token string
		want  int
	}{
		contract:                             {"admin", 200},
		"/debug/pprof/":                      {"", 401},
		"/debug/pprof/heap":                  {"", 401},
		"/debug/pprof/profile":               {"", 401},
		"/debug/pprof/goroutine":             {"user", 403},
		"/debug/pprof/allocs":                {"noscope", 403},
		"/debug/pprof":                       {"admin", 404},
		"/debug/pprof/cmdline":               {"admin", 404},
		"/debug/pprof/symbol":                {"admin", 404},
		"/debug/pprof/heap/":                 {"admin", 400},
		"/debug/pprof/?debug=1":              {"admin", 400},
		"/debug/pprof/heap?debug=2":          {"admin", 400},
		"/debug/pprof/heap?seconds=5":        {"admin", 400},
		"/debug/pprof/profile?seconds=0":     {"admin", 400},
		"/debug/pprof/profile?seconds=31":    {"admin", 400},
		"/debug/pprof/profile?seconds=1e1":   {"admin", 400},
		"/debug/pprof/profile?debug=1":       {"admin", 400},
		"/debug/pprof/heap?debug=1&token=ab": {"admin", 400},
	} {
		if got := f.doAt(f.admin, request{method: "GET", path: path, token: tc.token}); got.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", path, got.StatusCode, got.body, tc.want)
		}
	}
	if got := f.do(request{method: "GET", path: "/debug/pprof/heap", token: "admin"}); got.StatusCode != http.StatusNotFound {
		t.Errorf("on the public listener: %d", got.StatusCode)
	}
}

func TestProfilesAreThoseOfTheRuntime(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Profiles = true }).serve()
	get := func(path string) *reply { return f.doAt(f.admin, request{method: "GET", path: path, token: "admin"}) }
	if got := get("/debug/pprof/"); got.body != `{"profiles":["allocs","goroutine","heap","profile","threadcreate"]}`+"\n" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	for _, name := range []string{"allocs", "goroutine", "heap", "threadcreate", "profile?seconds=1"} {
		got := get("/debug/pprof/" + name)
		packed, err := gzip.NewReader(strings.NewReader(got.body)) // the form of all profiles
		if err == nil {
			_, err = io.Copy(io.Discard, packed)
		}
		if err != nil || got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s: %d %v: %v", name, got.StatusCode, got.Header, err)
		}
	}
	if got := get("/debug/pprof/goroutine?debug=1"); !strings.HasPrefix(got.body, "goroutine profile: total ") || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("as text: %d %.100s", got.StatusCode, got.body)
	}
}

func TestOneProfileOfTheProcessorsIsTakenAtATime(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Profiles = true })
	ask := func(ctx context.Context) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/pprof/profile?seconds=30", http.NoBody)
		r.Host, r.RemoteAddr = "localhost:8444", "127.0.0.1:4711"
		r.Header.Set("Authorization", "Bearer admin")
		w := httptest.NewRecorder()
		f.api.Admin().ServeHTTP(w, r)
		return w
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var both sync.WaitGroup
	var codes [2]int
	for i := range codes { // whoever comes second is refused, and ends the other
		both.Go(func() {
			codes[i] = ask(ctx).Code
			cancel()
		})
	}
	both.Wait()
	if codes[0] != http.StatusConflict && codes[1] != http.StatusConflict || codes[0] == codes[1] {
		t.Errorf("answered %v, want one of them 409", codes)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if got := ask(ended).Code; got == http.StatusConflict {
		t.Error("a profile of somebody who went away goes on")
	}
}
