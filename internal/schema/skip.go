package schema

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// skip reads over a value that has no place, as strictly as over any other.
func (b *Batch) skip() error {
	kind := b.decoder.PeekKind()
	if kind != jsontext.KindBeginArray && kind != jsontext.KindBeginObject {
		if _, err := b.decoder.ReadValue(); err != nil {
			return b.syntax(err)
		}
		return nil
	}
	start, depth, repeatable := b.decoder.InputOffset(), b.decoder.StackDepth(), false
	for {
		if _, err := b.decoder.ReadToken(); err != nil {
			return b.syntax(err)
		}
		level := b.decoder.StackDepth()
		if level > maxDepth {
			return b.tooDeep()
		}
		if level == depth {
			break
		}
		if kind, n := b.decoder.StackIndex(level); kind == jsontext.KindBeginObject { // n counts names and values
			if n > 2*maxUnknown {
				return malformed(fragment(string(b.decoder.StackPointer().Parent())), "has more than "+strconv.Itoa(maxUnknown)+" members")
			}
			repeatable = repeatable || n > 2
		}
	}
	if !repeatable {
		return nil
	}
	return b.unique(start)
}

// unique refuses the composite value that was read over last when it names a
// member twice somewhere inside.
func (b *Batch) unique(start int64) error {
	segment := b.body[start:b.decoder.InputOffset()]
	lead := bytes.IndexAny(segment, "[{")
	b.segment = *bytes.NewBuffer(segment[lead:])
	b.strict.Reset(&b.segment)
	if _, err := b.strict.ReadValue(); err != nil {
		return syntaxFault(err, b.body, start+int64(lead), string(b.decoder.StackPointer()))
	}
	return nil
}

func (b *Batch) tooDeep() error {
	return malformed("#", "it is nested more than "+strconv.Itoa(maxDepth)+" deep, at byte "+strconv.FormatInt(b.decoder.InputOffset(), 10))
}

func (b *Batch) syntax(err error) error { return syntaxFault(err, b.body, 0, "") }

// kindNames names the JSON type that a token begins, as "not …" in a detail does.
var kindNames = [256]string{
	jsontext.KindNull:        "null",
	jsontext.KindTrue:        "a boolean",
	jsontext.KindFalse:       "a boolean",
	jsontext.KindString:      "a string",
	jsontext.KindNumber:      "a number",
	jsontext.KindBeginArray:  "an array",
	jsontext.KindBeginObject: "an object",
}
