package schema

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEcho bounds how much of a client's own text comes back in an answer.
const maxEcho = 64

// truncated returns s, cut to maxEcho bytes at a code point with a mark.
func truncated(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	cut := maxEcho
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// pointerToken escapes one reference token for a JSON pointer in a URI
// fragment: ~ and / by RFC 6901 section 3, then whatever RFC 3986 section 3.5
// does not allow in a fragment as percent-encoded UTF-8.
func pointerToken(name string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '~':
			b.WriteString("~0")
		case c == '/':
			b.WriteString("~1")
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			strings.IndexByte("-._!$&'()*+,;=:@?", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// fragment turns a plain JSON pointer (RFC 6901) into a URI fragment, with
// each token truncated.
func fragment(pointer string) string {
	if pointer == "" {
		return "#"
	}
	var b strings.Builder
	b.WriteByte('#')
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		b.WriteByte('/')
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		b.WriteString(pointerToken(truncated(token)))
	}
	return b.String()
}

// rowPointer returns the pointer of a row: "#" for one alone, "#/3" in an array.
func rowPointer(row int, single bool) string {
	if single {
		return "#"
	}
	return "#/" + strconv.Itoa(row)
}
