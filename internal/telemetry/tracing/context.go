package tracing

import (
	"encoding/hex"
	"strings"
)

// The headers of W3C Trace Context, as they are in HTTP; gRPC's metadata has them in
// lower case.
const (
	HeaderParent = "Traceparent"
	HeaderState  = "Tracestate"
)

// parent is what a caller says about its trace.
type parent struct {
	trace [16]byte
	span  [8]byte
	flags byte
}

// The lengths of a traceparent and of its parts (W3C Trace Context section 3.2.2).
const (
	parentLength = 55
	traceAt      = 3
	spanAt       = 36
	flagsAt      = 53
)

// readParent reads the values of traceparent. What is not exactly one of its form,
// or has an id of zeros, is as if it were not there (section 3.2.2). Of a later
// version what is known of this one is read (section 4.3 "Versioning").
func readParent(values []string) (p parent, ok bool) {
	if len(values) != 1 || len(values[0]) < parentLength {
		return p, false
	}
	s := values[0]
	var version [1]byte
	if !readHex(version[:], s[:2]) || version[0] == 0xFF || s[2] != '-' || s[spanAt-1] != '-' || s[flagsAt-1] != '-' {
		return p, false
	}
	if len(s) > parentLength && (version[0] == 0 || s[parentLength] != '-') {
		return p, false
	}
	var flags [1]byte
	if !readHex(p.trace[:], s[traceAt:spanAt-1]) || !readHex(p.span[:], s[spanAt:flagsAt-1]) || !readHex(flags[:], s[flagsAt:parentLength]) {
		return p, false
	}
	p.flags = flags[0]
	return p, p.trace != [16]byte{} && p.span != [8]byte{}
}

// readHex fills dst from hexadecimal digits in lower case.
func readHex(dst []byte, s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// The bounds of a tracestate (W3C Trace Context section 3.3.1): how many members a
// list has at most, and how many characters of it are handed on at least.
const (
	maxMembers = 32
	maxState   = 512
)

// readState joins the values of tracestate, empty when they are not what the header
// may hold: then they are not handed on (section 3.3.1.1). The caller's own order is
// kept, because nothing is added.
func readState(values []string) string {
	if len(values) == 0 {
		return ""
	}
	state := strings.Join(values, ",")
	if len(state) > maxState {
		return ""
	}
	n := 0
	for member := range strings.SplitSeq(state, ",") {
		member = strings.Trim(member, " \t")
		if member == "" {
			continue
		}
		if n++; n > maxMembers || !isMember(member) {
			return ""
		}
	}
	return state
}

// isMember reports whether s is key=value (section 3.3.1.3).
func isMember(s string) bool {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || len(key) > 256 || value == "" || len(value) > 256 {
		return false
	}
	tenant, system, multi := strings.Cut(key, "@")
	if !isKey(tenant) || multi && (len(tenant) > 241 || len(system) > 14 || !isKey(system)) {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return true
}

func isKey(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/'):
		default:
			return false
		}
	}
	return s != ""
}
