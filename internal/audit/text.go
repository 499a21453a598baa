package audit

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is how many bytes of one value are kept: more than any name has that
// this program gives out, and less than what would make a stranger's name costly.
const maxText = 512

// appendString appends a JSON string (RFC 8259 section 7) in which nothing steers
// a terminal, a log viewer or the direction of text: what Unicode does not call
// graphic is escaped, as is every blank but the space, and bytes that are no UTF-8
// become U+FFFD. A longer value than maxText bytes is cut, and says so.
func appendString(dst []byte, s string) []byte { return appendBounded(dst, s, maxText) }

// appendBounded is appendString with another bound, in bytes.
func appendBounded(dst []byte, s string, bound int) []byte {
	whole := len(s)
	s = cutAt(s, bound)
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; plain(c) {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) && unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, r)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	if cut := whole - len(s); cut > 0 {
		dst = append(dst, "…["...)
		dst = strconv.AppendInt(dst, int64(cut), 10)
		dst = append(dst, " bytes more]"...)
	}
	return append(dst, '"')
}

// appendText is appendString of a text that is in memory.
func appendText(dst, text []byte) []byte {
	for _, c := range text {
		if !plain(c) {
			return appendString(dst, string(text))
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

// plain reports whether a byte stands for itself within a JSON string.
func plain(c byte) bool { return ' ' <= c && c < 0x7F && c != '"' && c != '\\' }

func appendEscaped(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r > 0xFFFF:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	default:
		return appendUnit(dst, r)
	}
}

// appendUnit appends \uXXXX.
func appendUnit(dst []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}

// bounded returns what of a name counts where names are compared: valid UTF-8 of at
// most maxText bytes, so that it is the same name wherever it was written and read.
func bounded(name string) string {
	name = cutText(name)
	if utf8.ValidString(name) {
		return name
	}
	return cutText(strings.ToValidUTF8(name, string(utf8.RuneError)))
}

// appendOwner appends whose key it is: the issuer that vouches for a subject, empty
// for our own, and the subject. Keys of before are of a subject alone, which has no
// NUL.
func appendOwner(dst []byte, issuer, subject string) []byte {
	dst = append(dst, withoutNUL(bounded(issuer))...)
	dst = append(dst, 0)
	return append(dst, withoutNUL(bounded(subject))...)
}

// ownerOfAll is whose key seals what of a tenant's records concerns nobody alone.
var ownerOfAll = []byte{0, 0}

func withoutNUL(name string) string {
	if strings.IndexByte(name, 0) < 0 {
		return name
	}
	return strings.ReplaceAll(name, "\x00", string(utf8.RuneError))
}

// cutText cuts a text that is longer than maxText bytes before a character.
func cutText(s string) string { return cutAt(s, maxText) }

func cutAt(s string, bound int) string {
	if len(s) <= bound {
		return s
	}
	end := bound
	for end > max(bound-utf8.UTFMax, 0) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
