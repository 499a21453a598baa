package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// dialect is how a language writes what JSON can say.
type dialect struct {
	array, object string // before the brace or bracket
	open, end     byte   // of an array
	yes, no, null string
	quote, key    func(string) string
	number        func(string) string
	enclose       func(string) string // the whole; nil leaves it
}

// The dialects.
var (
	shellDialect = dialect{open: '[', end: ']', yes: "true", no: "false", null: "null", quote: quoteJSON, key: quoteJSON, number: asItIs, enclose: quoteShell}

	pythonDialect = dialect{open: '[', end: ']', yes: "True", no: "False", null: "None", quote: quotePython, key: quotePython, number: asItIs}

	javaScriptDialect = dialect{open: '[', end: ']', yes: "true", no: "false", null: "null", quote: quoteJavaScript, key: keyJavaScript, number: numberJavaScript}

	goDialect = dialect{array: "[]any", object: "map[string]any", open: '{', end: '}', yes: "true", no: "false", null: "nil", quote: quoteGo, key: quoteGo, number: numberGo}
)

// literal writes a JSON text as the language does, on one line.
func (d *dialect) literal(text []byte) (string, error) {
	var b strings.Builder
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		kind := tok.Kind()
		// Counted behind the token: an end is no member.
		around, n := dec.StackIndex(dec.StackDepth())
		if kind == jsontext.KindBeginArray || kind == jsontext.KindBeginObject {
			around, n = dec.StackIndex(dec.StackDepth() - 1)
		}
		isEnd := kind == jsontext.KindEndArray || kind == jsontext.KindEndObject
		isKey := around == jsontext.KindBeginObject && n%2 == 1
		switch {
		case isEnd || n == 0 || dec.StackDepth() == 0:
		case around == jsontext.KindBeginObject && !isKey:
			b.WriteString(": ")
		case n > 1:
			b.WriteString(", ")
		}
		if err := d.write(&b, tok, isKey); err != nil {
			return "", err
		}
	}
	if d.enclose != nil {
		return d.enclose(b.String()), nil
	}
	return b.String(), nil
}

// write writes one token.
func (d *dialect) write(b *strings.Builder, tok jsontext.Token, isKey bool) error {
	switch tok.Kind() { //nolint:exhaustive // the decoder gives no other
	case jsontext.KindBeginArray:
		b.WriteString(d.array + string(d.open))
	case jsontext.KindEndArray:
		b.WriteByte(d.end)
	case jsontext.KindBeginObject:
		b.WriteString(d.object + "{")
	case jsontext.KindEndObject:
		b.WriteByte('}')
	case jsontext.KindTrue:
		b.WriteString(d.yes)
	case jsontext.KindFalse:
		b.WriteString(d.no)
	case jsontext.KindNull:
		b.WriteString(d.null)
	case jsontext.KindNumber:
		b.WriteString(d.number(tok.String()))
	case jsontext.KindString:
		if isKey {
			b.WriteString(d.key(tok.String()))
		} else {
			b.WriteString(d.quote(tok.String()))
		}
	default:
		return fmt.Errorf("a token of kind %v", tok.Kind())
	}
	return nil
}

func asItIs(text string) string { return text }

// quoteShell writes a word of a POSIX shell: nothing is special between single
// quotes, which therefore cannot stand there themselves.
func quoteShell(text string) string {
	plain := text != ""
	for _, r := range text {
		plain = plain && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@%+=,-", r))
	}
	if plain && text[0] != '-' {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// quoteGo writes an interpreted string literal, in which all that is not
// printable is escaped.
func quoteGo(text string) string { return strconv.Quote(text) }

// quotePython writes a string literal of Python, whose escapes are those of Go for
// text that is UTF-8.
func quotePython(text string) string { return strconv.Quote(text) }

// quoteJavaScript writes a string literal of ECMAScript, which JSON shares.
func quoteJavaScript(text string) string { return quoteJSON(text) }

// quoteJSON writes a string of JSON in which all that is not printable is escaped,
// and what would end a script in a page.
func quoteJSON(text string) string {
	b := []byte{'"'}
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '<' || !strconv.IsPrint(r):
			high, low := utf16.EncodeRune(r)
			if r > 0xffff {
				b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
			} else {
				b = fmt.Appendf(b, `\u%04x`, r)
			}
		default:
			b = append(b, string(r)...)
		}
	}
	return string(append(b, '"'))
}

// keyJavaScript writes the name of a property: of __proto__ so that it is one.
func keyJavaScript(name string) string {
	if name == "__proto__" {
		return `["__proto__"]`
	}
	return quoteJavaScript(name)
}

// numberJavaScript writes a number so that it keeps its value: integers beyond 2⁵³
// are given to JSON.stringify as they are written.
func numberJavaScript(text string) string {
	const safe = 1 << 53
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= -safe && n <= safe || strings.ContainsAny(text, ".eE") {
		return text
	}
	return "JSON.rawJSON(" + quoteJavaScript(text) + ")"
}

// numberGo writes a number so that a variable of no type of its own can hold it.
func numberGo(text string) string {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil || strings.ContainsAny(text, ".eE") {
		return text
	}
	return "json.Number(" + quoteGo(text) + ")"
}
