package npy

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// characters reads a text of one code point in each 4 bytes, filled up by NUL.
func (a *array) characters(b []byte) (string, error) {
	var text []byte
	end := 0 // behind the last character that is not NUL
	for ; len(b) > 0; b = b[4:] {
		c := a.order.Uint32(b)
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", errors.New("holds a character that Unicode does not have")
		}
		text = utf8.AppendRune(text, rune(c))
		if c != 0 {
			end = len(text)
		}
	}
	return string(text[:end]), nil
}

// octets reads a text of bytes, filled up by NUL, which must be UTF-8.
func octets(b []byte) (string, error) {
	b = bytes.TrimRight(b, "\x00")
	if !utf8.Valid(b) {
		return "", errors.New("is not UTF-8; decode it in Python with numpy.char.decode(X, 'latin-1')")
	}
	return string(b), nil
}
