package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
)

// Header values that never change. They are shared between answers: nobody may
// append to them.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	typeOctets  = []string{mediaOctets}
	typeText    = []string{"text/plain; charset=utf-8"}

	retrySoon = []string{"1"}
	noCache   = []string{"no-cache"}
	closing   = []string{"close"}

	cacheSeconds = []string{"public, max-age=2"}
	cacheMinutes = []string{"public, max-age=300"}

	challengeBearer      = []string{`Bearer realm="onnxgate"`}
	challengeBearerPlain = []string{"Bearer"}
	challengeBasic       = []string{`Basic realm="onnxgate", charset="UTF-8"`}

	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	noStore    = []string{"no-store"}
	sameOrigin = []string{"same-origin"}
	cspNothing = []string{"default-src 'none'; frame-ancestors 'none'"}
	hsts       = []string{"max-age=63072000"}
)

// secure sets the headers that every answer has, whatever it is. The names are
// in canonical form, so that they can be assigned as they are.
func secure(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = cspNothing
	h["Referrer-Policy"] = noReferrer
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	h["Cache-Control"] = noStore
}

// isLoopbackHost reports whether the value of Host names this machine itself:
// localhost, an address of 127.0.0.0/8, or [::1], with any port or none. A page
// of another site that rebinds its own name to us cannot send such a Host.
func isLoopbackHost(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if name = host[:i]; !isPort(host[i+1:]) {
			return false
		}
	}
	if name == "localhost" || name == "127.0.0.1" || name == "[::1]" || strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Is4() && addr.IsLoopback()
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ambiguousEnd reports whether whoever is in front may see another end of the
// request than net/http does, so that what follows on the connection is nobody's
// request and must not be read (RFC 9112 section 6.1). Of a chunked request
// net/http has dropped a Content-Length that stood beside; of one of HTTP/1.0 it
// has dropped a Transfer-Encoding.
func ambiguousEnd(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || r.ProtoMajor == 1 && r.ProtoMinor == 0
}

// oversized reports whether a header has too many fields or bytes. net/http
// counts with some slack, and no fields.
func oversized(h http.Header) bool {
	fields, size := 0, 0
	for name, values := range h {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return fields > maxFields || size > maxHeader
}

// canonicalPath returns the path of a request target, and whether it is in the
// one form that is served: absolute, made of letters, digits and "-._~@:", without an
// empty, "." or ".." segment, without a slash at its end, and nothing
// percent-encoded. Routing and every check see this path and no other.
func canonicalPath(target string) (string, bool) {
	path, _, _ := strings.Cut(target, "?")
	if path == "" || path[0] != '/' {
		return path, false
	}
	start := 1 // of the segment
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if !pathByte(path[i]) {
				return path, false
			}
			continue
		}
		if segment := path[start:i]; segment == "." || segment == ".." || segment == "" && len(path) > 1 {
			return path, false
		}
		start = i + 1
	}
	return path, true
}

func pathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~' || c == '@' || c == ':'
}
