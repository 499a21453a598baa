package httpapi

import (
	"net/http"
	"strings"
)

// cors lets pages of some other origins call the API (the Fetch standard,
// section "CORS protocol"). It is closed when it holds no origin: then no
// answer has a header of it.
type cors map[string][]string // origin to the value that allows it

func newCORS(origins []string) cors {
	c := make(cors, len(origins))
	for _, o := range origins {
		c[o] = []string{o}
	}
	return c
}

var (
	varyOrigin    = []string{"Origin"}
	varyPreflight = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	exposed       = []string{"Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"}
	allowedHeader = []string{"Authorization, Content-Type, Content-Encoding, X-API-Key, Api-Key, X-Request-Id, Request-Timeout, Inference-Header-Content-Length, Traceparent, Tracestate"}
	corsMaxAge    = []string{"600"}
	crossOrigin   = []string{"cross-origin"}
)

// allow adds to an answer what lets a page of an allowed origin read it, and
// reports whether the request came from one.
func (c cors) allow(h http.Header, r *http.Request) bool {
	if len(c) == 0 {
		return false
	}
	h["Vary"] = varyOrigin
	origin := r.Header["Origin"]
	if len(origin) != 1 {
		return false
	}
	value, ok := c[origin[0]]
	if !ok {
		return false
	}
	h["Access-Control-Allow-Origin"] = value
	h["Access-Control-Expose-Headers"] = exposed
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	return true
}

// isPreflight reports whether a request of an allowed origin asks what it may
// send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) == 1
}

// preflight answers what may be sent to a path that has the methods.
func (x *exchange) preflight(methods []string) {
	h := x.Header()
	h["Vary"] = varyPreflight
	h["Access-Control-Allow-Methods"] = []string{strings.Join(methods, ", ")}
	h["Access-Control-Allow-Headers"] = allowedHeader
	h["Access-Control-Max-Age"] = corsMaxAge
	delete(h, "Access-Control-Expose-Headers")
	x.WriteHeader(http.StatusNoContent)
}
