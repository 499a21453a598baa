package schema

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/fault"
)

// tableHead is how much of a table tells what it is.
const tableHead = 4 << 10

// NotUTF8 says of what IsText refuses what to do.
const NotUTF8 = "is not UTF-8; save it as UTF-8, not as Latin-1 or UTF-16"

// IsText reports whether a body is text in UTF-8, in which no NUL is: UTF-16 is
// full of them.
func IsText(body []byte) bool { return utf8.Valid(body) && bytes.IndexByte(body, 0) < 0 }

// tableBuffers are what reading a table needs, used again by the next one of a
// batch. The zero value is ready.
type tableBuffers struct{ whole, checked *bufio.Reader }

// file returns a buffer over a table.
func (b *tableBuffers) file(r io.Reader) *bufio.Reader {
	b.whole = again(b.whole, r)
	return b.whole
}

// text returns a buffer over what of a table has been looked through.
func (b *tableBuffers) text(r io.Reader) *bufio.Reader {
	b.checked = again(b.checked, r)
	return b.checked
}

func again(buffer *bufio.Reader, r io.Reader) *bufio.Reader {
	if buffer == nil {
		return bufio.NewReaderSize(r, tableHead)
	}
	buffer.Reset(r)
	return buffer
}

// release lets go of the table.
func (b *tableBuffers) release() {
	b.whole.Reset(nil)
	b.checked.Reset(nil)
}

// errTableNotText ends the reading of a table of rows that is no UTF-8.
var errTableNotText = fault.New(fault.Syntax, "the table "+NotUTF8)

// tableText passes on the text of a table, and refuses before anything is made of
// it what is not UTF-8 and a line of more columns than any that is read: a cell
// takes many times the memory of its comma.
type tableText struct {
	from    io.Reader
	err     error
	notText error
	columns int // the greatest number

	line, commas int
	quoted       bool
	part         [utf8.UTFMax]byte // of a character, at the end of what was read last
	parts        int
}

// Read implements io.Reader.
func (r *tableText) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.part[:r.parts])
	more, err := r.from.Read(p[n:])
	n += more
	text := p[:n]
	if err == nil {
		text = wholeRunes(text)
		r.parts = copy(r.part[:], p[len(text):n])
	}
	switch {
	case err != nil && err != io.EOF:
		r.err = err
	case !IsText(text):
		r.err = r.notText
	case !r.narrow(text):
		fail := fault.Newf(fault.Content, "line %d of the table has more than %d columns%s", r.line, r.columns, r.lostEnds())
		fail.Fields = []fault.Field{{Line: r.line, Detail: "has too many columns"}}
		r.err = fail
	default:
		return len(text), err
	}
	return 0, r.err
}

// lostEnds says of a line that goes on and on why it may.
func (r *tableText) lostEnds() string {
	if r.line > 1 {
		return ""
	}
	return "; " + lineEndsHint
}

// lineEndsHint says how the lines of a table become one, and what to do.
const lineEndsHint = "curl takes the line ends out of a file with -d: send it with --data-binary"

// wholeRunes returns text without a character at its end that is not complete.
func wholeRunes(text []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		rest := text[len(text)-back:]
		if !utf8.RuneStart(rest[0]) {
			continue
		}
		if !utf8.FullRune(rest) {
			return text[:len(text)-back]
		}
		break
	}
	return text
}

// narrow reports whether no line has more columns than are read. A comma or a
// line end between quotation marks is none.
func (r *tableText) narrow(text []byte) bool {
	for _, c := range text {
		switch {
		case c == '"':
			r.quoted = !r.quoted
		case c == '\n':
			r.line++
			if !r.quoted {
				r.commas = 0
			}
		case c == ',' && !r.quoted:
			if r.commas++; r.commas >= r.columns {
				return false
			}
		}
	}
	return true
}

// isNumeral reports whether a text is a number as tables have it: JSON's form,
// with a sign and zeros in front and without digits before or behind the point.
func isNumeral(text string) bool {
	rest := text
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	whole := digits(rest)
	rest = rest[whole:]
	fraction := 0
	if rest != "" && rest[0] == '.' {
		fraction = digits(rest[1:])
		rest = rest[1+fraction:]
	}
	if whole+fraction == 0 {
		return false
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		exponent := digits(rest)
		return exponent > 0 && exponent == len(rest)
	}
	return rest == ""
}

// digits returns how many digits a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

// appendStandard appends a numeral as JSON writes it.
func appendStandard(dst []byte, text string) []byte {
	text = strings.TrimPrefix(text, "+")
	text, negative := strings.CutPrefix(text, "-")
	if negative {
		dst = append(dst, '-')
	}
	text = strings.TrimLeft(text, "0")
	whole := digits(text)
	if whole == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, text[:whole]...)
	if text = text[whole:]; text != "" && text[0] == '.' && digits(text[1:]) == 0 {
		text = text[1:]
	}
	return append(dst, text...)
}
