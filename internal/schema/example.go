package schema

import (
	"context"
	"fmt"
	"regexp/syntax"
	"strings"

	"onnxgate/internal/fault"
)

// maxExampleElements is how large a nested array may be to be made up for an
// example.
const maxExampleElements = 1000

// compileExample makes one valid row, of the manifest's examples and of values
// made up from the rules. Decoding it proves it, and is what checks the
// examples of nested arrays. One row takes no time that is worth ending.
//
//nolint:contextcheck,nolintlint // see above; the first works at the callers
func (c *compiler) compileExample() {
	row := []byte{'{'}
	for i := range c.fields {
		f := &c.fields[i]
		if i > 0 {
			row = append(row, ',')
		}
		row = append(appendString(row, f.Name), ':')
		var ok bool
		if row, ok = f.appendExample(row, &c.inputs[f.in]); !ok {
			row = nil
			break
		}
	}
	if row == nil {
		return
	}
	row = append(row, '}')
	err := c.Decode(context.Background(), c.NewBatch(), row, 1)
	if err == nil {
		c.example = row
		return
	}
	e := fault.As(err)
	if len(e.Fields) == 0 {
		c.report(0, "the examples do not make a valid row: %s", e.Msg)
	}
	for _, f := range e.Fields {
		c.report(c.exampleLine(f.Pointer), "the examples do not make a valid row: %s %s", f.Pointer, f.Detail)
	}
}

// exampleLine returns the line of the example that a fault points into.
func (c *compiler) exampleLine(pointer string) int {
	for i := range c.fields {
		rest, ok := strings.CutPrefix(pointer, "#"+c.fields[i].pointer)
		if !ok || rest != "" && rest[0] != '/' || c.manifest == nil {
			continue
		}
		for k, f := range c.manifest.Features {
			if f.Name == c.fields[i].Name {
				return c.manifest.line(fmt.Sprintf("Features[%d].Example", k))
			}
		}
	}
	return 0
}

// appendExample appends a value of the feature, and false when it has none.
func (f *field) appendExample(dst []byte, in *input) ([]byte, bool) {
	if f.Array && f.Example != nil {
		return f.appendGiven(dst, f.Example), true
	}
	var v value
	if !f.exampleValue(&v) {
		return nil, false
	}
	switch {
	case in.list != nil:
		return appendListExample(dst, in.list, f.json(&v))
	case !f.Array:
		return append(dst, f.json(&v)...), true
	case in.anyShape:
		return appendArrayExample(dst, []int{1}, f.json(&v))
	}
	return appendArrayExample(dst, f.Shape, f.json(&v))
}

// appendArrayExample appends an array of equal elements, unless it is large.
func appendArrayExample(dst []byte, shape []int, element string) ([]byte, bool) {
	elements := 1
	for _, d := range shape {
		if elements *= max(d, 1); elements > maxExampleElements {
			return nil, false
		}
	}
	return appendFilled(dst, shape, element), true
}

func appendFilled(dst []byte, shape []int, element string) []byte {
	if len(shape) == 0 {
		return append(dst, element...)
	}
	dst = append(dst, '[')
	for i := range max(shape[0], 1) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFilled(dst, shape[1:], element)
	}
	return append(dst, ']')
}

// appendGiven appends an example of the manifest as JSON.
func (f *field) appendGiven(dst []byte, x any) []byte {
	items, list := x.([]any)
	if !list {
		var v value
		if f.coerce(x, &v) == "" {
			return append(dst, f.json(&v)...)
		}
		return appendString(dst, fmt.Sprint(x)) // of another type, which decoding will say
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = f.appendGiven(dst, item)
	}
	return append(dst, ']')
}

func (f *field) json(v *value) string {
	if f.info.class == classString {
		return string(appendString(nil, v.s))
	}
	return f.format(v)
}

// exampleValue finds a value that keeps the rules, a plain one where it can.
func (f *field) exampleValue(v *value) bool {
	given := f.Example
	if given == nil && len(f.Enum) > 0 {
		given = f.Enum[0]
	}
	if given != nil {
		return f.coerce(given, v) == ""
	}
	var candidates []value
	switch f.info.class {
	case classFloat:
		for _, x := range []float64{0, 1, f.flo/2 + f.fhi/2, f.flo, f.fhi} {
			candidates = append(candidates, value{f: x})
		}
	case classInt:
		for _, x := range []int64{0, 1, f.ilo/2 + f.ihi/2, f.ilo} {
			candidates = append(candidates, value{i: x})
		}
	case classUint:
		for _, x := range []uint64{0, 1, f.ulo/2 + f.uhi/2, f.ulo} {
			candidates = append(candidates, value{u: x})
		}
	case classString:
		for _, x := range []string{"text", "a", "A", "0", "", f.matching()} {
			if cleaned, detail := f.cleaner.clean(x); detail == "" {
				candidates = append(candidates, value{s: cleaned})
			}
		}
	case classBool:
		candidates = []value{{b: true}}
	}
	for i := range candidates {
		if f.fits(&candidates[i]) {
			*v = candidates[i]
			return true
		}
	}
	return false
}

// matching returns a short string that the pattern is likely to match.
func (f *field) matching() string {
	re, err := syntax.Parse(f.Pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	var b strings.Builder
	write(&b, re.Simplify())
	return b.String()
}

// maxMatching bounds the length of a string that is made up for a pattern.
const maxMatching = 4096

func write(b *strings.Builder, re *syntax.Regexp) {
	if b.Len() > maxMatching {
		return
	}
	switch { // what may be empty, is
	case re.Op == syntax.OpAnyChar, re.Op == syntax.OpAnyCharNotNL:
		b.WriteByte('a')
	case re.Op == syntax.OpCharClass && len(re.Rune) > 0:
		b.WriteRune(printable(re.Rune))
	case re.Op == syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case re.Op == syntax.OpCapture, re.Op == syntax.OpPlus, re.Op == syntax.OpAlternate:
		write(b, re.Sub[0])
	case re.Op == syntax.OpConcat:
		for _, sub := range re.Sub {
			write(b, sub)
		}
	}
}

// printable returns a rune of the ranges, from the letters, digits and other
// printable ones of ASCII where there is one.
func printable(ranges []rune) rune {
	for _, wanted := range [][2]rune{{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {' ', '~'}} {
		for i := 0; i < len(ranges); i += 2 {
			if lo := max(ranges[i], wanted[0]); lo <= min(ranges[i+1], wanted[1]) {
				return lo
			}
		}
	}
	return ranges[0]
}
