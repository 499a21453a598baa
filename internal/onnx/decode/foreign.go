package decode

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// signatures are the beginnings of files that people take for models.
var signatures = []struct{ prefix, what string }{
	{"\x80\x02", pickle},
	{"\x80\x03", pickle},
	{"\x80\x04", pickle},
	{"\x80\x05", pickle},
	{"PK\x03\x04", "a ZIP archive; unpack it and give the .onnx file in it"},
	{"\x1f\x8b", "a gzip archive; unpack it first"},
	{"<", "an HTML or XML page; was a download refused?"},
	{"version https://git-lfs", "a Git LFS pointer; run git lfs pull"},
	{"\x89HDF", "an HDF5 file; convert the model with tf2onnx"},
	{"{", "JSON; give the binary .onnx file"},
}

const pickle = "a Python pickle; export the model with skl2onnx.to_onnx or its library's own ONNX exporter"

// foreign says what data is when it is clearly no ONNX file.
func foreign(data []byte) string {
	if len(data) == 0 {
		return "an empty file"
	}
	text := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n\ufeff")
	for _, s := range signatures {
		if bytes.HasPrefix(data, []byte(s.prefix)) || bytes.HasPrefix(text, []byte(s.prefix)) && s.prefix[0] >= ' ' {
			return s.what
		}
	}
	return ""
}

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
