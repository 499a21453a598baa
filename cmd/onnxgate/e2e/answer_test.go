package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// answer is one response, whoever received it.
type answer struct {
	url    *url.URL // as it was asked for
	host   string   // Host header, when it is not that of url
	status int
	header http.Header
	body   []byte
	cors   bool // the server has CORS origins
	admin  bool // of the administration listener
	noBody bool // the request was HEAD
}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// seenIDs holds every request id that any server of this run gave out.
var seenIDs sync.Map

// check returns what is wrong with the answer whatever was asked: the promises
// that hold for every route and every status.
func (a *answer) check() []string {
	var wrong []string
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	for name, want := range map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "",
		"Content-Security-Policy":      "",
	} {
		if got := a.header.Get(name); got == "" || want != "" && got != want {
			fail("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"Set-Cookie", "Server", "X-Powered-By"} {
		if a.header.Get(name) != "" {
			fail("%s is sent", name)
		}
	}
	a.checkPolicy(fail)
	a.checkRequestID(fail)
	if a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified {
		fail("a redirect")
	}
	if !a.cors {
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				fail("%s is sent although CORS is closed", name)
			}
		}
	}
	if a.status >= 400 {
		a.checkError(fail)
	}
	return wrong
}

// checkPolicy holds the pages of the documentation to their own policy, and
// everything else to one that allows nothing.
func (a *answer) checkPolicy(fail func(string, ...any)) {
	csp := a.header.Get("Content-Security-Policy")
	docs := a.status == http.StatusOK && strings.HasPrefix(a.url.Path, "/docs")
	if !docs && (!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'")) {
		fail("Content-Security-Policy is %q", csp)
	}
	if docs && (!strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe-eval")) {
		fail("Content-Security-Policy of the documentation is %q", csp)
	}
	if !docs && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		fail("Cache-Control is %q", a.header.Get("Cache-Control"))
	}
	host := a.host
	if host == "" {
		host = a.url.Hostname()
	}
	hsts := a.header.Get("Strict-Transport-Security")
	switch {
	case isLoopbackName(host) && hsts != "":
		fail("Strict-Transport-Security for the loopback name %s", host)
	case !isLoopbackName(host) && a.url.Scheme == "https" && a.status != http.StatusMisdirectedRequest && hsts == "":
		fail("no Strict-Transport-Security for %s", host)
	}
}

func isLoopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func (a *answer) checkRequestID(fail func(string, ...any)) {
	ids := a.header.Values("X-Request-Id")
	if len(ids) != 1 || !requestIDPattern.MatchString(ids[0]) {
		fail("X-Request-Id is %q", ids)
		return
	}
	if _, again := seenIDs.LoadOrStore(ids[0], true); again {
		fail("X-Request-Id %s was given out before", ids[0])
	}
}

// problemMembers are all members that a problem may have.
var problemMembers = []string{"type", "title", "status", "detail", "request_id", "errors", "truncated"}

func (a *answer) checkError(fail func(string, ...any)) {
	switch a.status {
	case http.StatusUnauthorized:
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") &&
			!strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") {
			fail("WWW-Authenticate is %q", a.header.Get("WWW-Authenticate"))
		}
	case http.StatusMethodNotAllowed:
		if a.header.Get("Allow") == "" {
			fail("405 without Allow")
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
			fail("Retry-After is %q", a.header.Get("Retry-After"))
		}
	}
	if a.noBody {
		return
	}
	if (a.url.Path == "/token" || strings.HasPrefix(a.url.Path, "/oauth/") || strings.HasPrefix(a.url.Path, "/.well-known/")) && !a.admin {
		a.checkOAuthError(fail)
		return
	}
	if protocol, _, _ := strings.Cut(strings.TrimPrefix(a.url.Path, "/"), "/"); !a.admin && (protocol == "v1" || protocol == "v2") {
		a.checkInferenceError(fail)
		return
	}
	a.checkProblem(fail)
}

// checkInferenceError holds errors of the inference protocols to theirs: an object
// with one text. The media type is exact, because KServe's client compares it.
func (a *answer) checkInferenceError(fail func(string, ...any)) {
	if got := a.header.Get("Content-Type"); got != "application/json" {
		fail("Content-Type is %q with body %.100q", got, a.body)
	}
	var members map[string]string
	if err := json.Unmarshal(a.body, &members); err != nil || members["error"] == "" || len(members) != 1 {
		fail("the error of an inference protocol is %s (%v)", a.body, err)
	}
}

func (a *answer) checkProblem(fail func(string, ...any)) {
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		fail("Content-Type is %q with body %.100q", got, a.body)
		return
	}
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil {
		fail("the problem is not JSON: %v", err)
		return
	}
	for name := range members {
		if !slices.Contains(problemMembers, name) {
			fail("the problem has a member %q", name)
		}
	}
	slug, _ := members["type"].(string)
	if !strings.HasPrefix(slug, "/problems/") {
		fail("type is %q", slug)
	}
	for _, name := range []string{"title", "detail"} {
		if text, _ := members[name].(string); text == "" {
			fail("%s is %v", name, members[name])
		}
	}
	if members["status"] != float64(a.status) {
		fail("status is %v in the body of a %d", members["status"], a.status)
	}
	if members["request_id"] != a.header.Get("X-Request-Id") {
		fail("request_id is %v, X-Request-Id %s", members["request_id"], a.header.Get("X-Request-Id"))
	}
}

// checkOAuthError holds errors of the token endpoint to RFC 6749 section 5.2.
func (a *answer) checkOAuthError(fail func(string, ...any)) {
	if got := a.header.Get("Content-Type"); got != "application/json" {
		fail("Content-Type is %q", got)
	}
	var members map[string]string
	if err := json.Unmarshal(a.body, &members); err != nil {
		fail("the OAuth error is not an object of strings: %v", err)
		return
	}
	if members["error"] == "" || members["error_description"] == "" || len(members) != 2 {
		fail("the OAuth error is %s", a.body)
	}
}
