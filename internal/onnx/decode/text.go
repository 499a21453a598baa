package decode

import (
	"unicode"
	"unicode/utf8"
)

// isText reports whether data begins like a text in UTF-8. A model may do so by
// chance, so that this only explains why one could not be read.
func isText(data []byte) bool {
	head := data[:min(len(data), 256)]
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		if r == utf8.RuneError && size == 1 {
			return len(head) < utf8.UTFMax && len(data) > 256 // cut within a character
		}
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
		head = head[size:]
	}
	return true
}
