package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
)

// maxNesting is how many arrays and objects may stand around a value.
const maxNesting = 32

// maxMembers bounds an object, and with it the memory for finding a name that it
// has twice.
const maxMembers = 1000

// maxPointer bounds how much of a name of the client's own comes back.
const maxPointer = 64

// readMembers reads a body that is one JSON object into the struct that into
// points at, strictly: each member once, by its exact name, and none that the
// struct lacks. A field has a tag json with the name, want with what to write
// there, and validate with its rules; one that need not be there is a pointer. With
// the tag null:"none", null stands for an empty list or text, whatever the rules.
//
// Faults: those of readBody; Syntax for what is no JSON, Content for what does not
// fit, with every fault of it in Fields.
func (x *exchange) readMembers(ctx context.Context, into any) error {
	body, err := x.readBody(ctx, mediaJSON)
	if err != nil {
		return err
	}
	return x.parseMembers(body, into)
}

// parseMembers is readMembers for a body that has been read.
func (x *exchange) parseMembers(body []byte, into any) error {
	if err := checkSyntax(body); err != nil {
		return err
	}
	m := members{into: reflect.ValueOf(into).Elem()}
	if err := m.read(body); err != nil {
		return err
	}
	m.check(x.listener.api.rules)
	if len(m.faults) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Content, Msg: "The body is not valid", Fields: m.faults[:min(len(m.faults), fault.MaxFields)], Truncated: len(m.faults) > fault.MaxFields}
}

// newRules returns a validator that knows fields by the names of their members.
func newRules() *validator.Validate {
	rules := validator.New(validator.WithRequiredStructEnabled())
	rules.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("json") })
	_ = rules.RegisterValidation("whole", isWhole) // fails only without a name
	for tag, rule := range wordRules {
		_ = rules.RegisterValidation(tag, func(f validator.FieldLevel) bool { return rule(f.Field().String()) == nil })
	}
	return rules
}

// isWhole is for numbers: JSON Schema counts 60.0 among the integers, too.
func isWhole(f validator.FieldLevel) bool { return f.Field().Float() == math.Trunc(f.Field().Float()) }

// checkSyntax reads the whole body once. What it refuses is not JSON (RFC 8259)
// in UTF-8 with each name once (RFC 7493), or is nested too deep.
func checkSyntax(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	for {
		_, err := d.ReadToken()
		switch {
		case err == io.EOF && d.InputOffset() > 0: //nolint:errorlint // the value that readers return
			return nil
		case err != nil:
			return syntaxFault(err)
		case d.StackDepth() > maxNesting:
			return syntaxAt(string(d.StackPointer()), "is nested deeper than "+strconv.Itoa(maxNesting))
		case tooManyMembers(d):
			return syntaxAt(string(d.StackPointer().Parent()), "has more than "+strconv.Itoa(maxMembers)+" members")
		case d.StackDepth() == 0:
			// One value: what follows must be blank.
			rest := bytes.TrimLeft(body[d.InputOffset():], " \t\r\n")
			if len(rest) > 0 {
				return syntaxAt("", "something follows the value, at byte "+strconv.Itoa(len(body)-len(rest)))
			}
			return nil
		}
	}
}

func tooManyMembers(d *jsontext.Decoder) bool {
	kind, tokens := d.StackIndex(d.StackDepth())
	return kind == jsontext.KindBeginObject && tokens > 2*maxMembers
}

func syntaxFault(err error) error {
	at, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok:
		return syntaxAt("", "the body is empty, or ends too early")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return syntaxAt(string(at.JSONPointer), "appears twice")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return syntaxAt(string(at.JSONPointer), "the JSON ends too early")
	}
	reason := strings.TrimPrefix(at.Err.Error(), "jsontext: ")
	return syntaxAt(string(at.JSONPointer), fmt.Sprintf("%s, at byte %d", reason, at.ByteOffset))
}

func syntaxAt(pointer, detail string) error {
	return &fault.Error{
		Kind: fault.Syntax, Msg: "The body is not valid JSON: " + detail,
		Fields: []fault.Field{{Pointer: fragment(pointer), Detail: detail}},
	}
}

// fragment writes a JSON pointer as a URI fragment (RFC 6901 section 6), cut
// where a client made it long.
func fragment(pointer string) string {
	if len(pointer) > maxPointer {
		pointer = strings.ToValidUTF8(pointer[:maxPointer], "") + "…"
	}
	var b strings.Builder
	b.WriteByte('#')
	for i := range len(pointer) {
		// What RFC 3986 section 3.5 allows in a fragment as it is.
		if c := pointer[i]; pathByte(c) || strings.IndexByte("/!$&'()*+,;=:@?", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// members reads one object. Its syntax has been checked.
type members struct {
	into   reflect.Value
	at     string // the pointer of the object
	faults []fault.Field
	// none are the members that null emptied.
	none []string
}

func (m *members) read(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	if d.PeekKind() != jsontext.KindBeginObject {
		m.refuse("", "must be an object")
		return nil
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := m.member(d, name.String()); err != nil {
			return err
		}
	}
	return nil
}

// member reads one value.
func (m *members) member(d *jsontext.Decoder, name string) error {
	field, ok := fieldOf(m.into.Type(), func(known string) bool { return known == name })
	if !ok {
		m.unknown(string(d.StackPointer()), name)
		return d.SkipValue()
	}
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	into := m.into.FieldByIndex(field.Index)
	if value.Kind() == jsontext.KindBeginObject && isObject(field.Type) {
		into.Set(reflect.New(field.Type.Elem()))
		inner := members{into: into.Elem(), at: m.at + "/" + name, faults: m.faults}
		err := inner.read(value)
		m.faults = inner.faults
		return err
	}
	if value.Kind() == jsontext.KindNull && field.Tag.Get("null") == "none" {
		into.Set(empty(field.Type))
		m.none = append(m.none, name)
		return nil
	}
	if value.Kind() == jsontext.KindNull || json.Unmarshal(value, into.Addr().Interface()) != nil {
		m.refuse("/"+name, "must be "+field.Tag.Get("want"))
	}
	return nil
}

// empty returns a list without elements, or a pointer to the zero value: not nil,
// which means that nothing was said.
func empty(t reflect.Type) reflect.Value {
	if t.Kind() == reflect.Slice {
		return reflect.MakeSlice(t, 0, 0)
	}
	return reflect.New(t.Elem())
}

// isObject reports whether a field is an object with members of its own.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

func (m *members) unknown(pointer, name string) {
	detail := "is not known here"
	if near, ok := fieldOf(m.into.Type(), func(known string) bool { return strings.EqualFold(known, name) }); ok {
		detail += fmt.Sprintf("; did you mean %q?", near.Tag.Get("json"))
	}
	m.refuse(pointer, detail)
}

// fieldOf returns the first field whose member's name is the one.
func fieldOf(t reflect.Type, is func(name string) bool) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if is(f.Tag.Get("json")) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// refuse notes a fault, of the first one of a member the one that counts.
func (m *members) refuse(pointer, detail string) {
	at := fragment(m.at + pointer)
	for i := range m.faults {
		if m.faults[i].Pointer == at {
			return
		}
	}
	if len(m.faults) <= fault.MaxFields {
		m.faults = append(m.faults, fault.Field{Pointer: at, Detail: detail})
	}
}

// check holds what was read against the rules of its fields.
func (m *members) check(rules *validator.Validate) {
	broken, _ := errors.AsType[validator.ValidationErrors](rules.Struct(m.into.Interface()))
	for _, f := range broken {
		_, path, _ := strings.Cut(f.Namespace(), ".")
		if slices.Contains(m.none, path) {
			continue
		}
		m.refuse("/"+strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(path), brokenRule(m.into.Type(), path, f))
	}
}

// brokenRule says what to write into the field at a path such as "roles[1]", or
// what is wrong with a word.
func brokenRule(t reflect.Type, path string, f validator.FieldError) string {
	if f.Tag() == "required" {
		return "is required"
	}
	word, isText := f.Value().(string)
	if rule, ok := wordRules[f.Tag()]; ok && isText {
		return fault.As(rule(word)).Msg
	}
	var field reflect.StructField
	for name := range strings.SplitSeq(path, ".") {
		name, _, _ = strings.Cut(name, "[")
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		field, _ = fieldOf(t, func(known string) bool { return known == name })
		t = field.Type
	}
	return "must be " + field.Tag.Get("want")
}
