package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
)

// NotAFeature is the detail of a name that no feature has, unless more is known
// of it.
const NotAFeature = "is not a feature of this model"

// IsRequired is the detail of a feature, or a column, that is not there.
const IsRequired = "is required"

// rowFault is a fault of the row being decoded, kept small until the row ends.
type rowFault struct {
	// order is the feature's index, or beyond all of them for a name that no
	// feature has: a row's faults are told in that order.
	order  int
	suffix string // pointer within the feature's value, such as "/0/3"
	name   string // the name that no feature has
	detail string
}

// full reports whether no more faults can be told, and notes that there are
// some.
func (b *Batch) full() bool {
	if len(b.faults)+len(b.rowFaults) <= fault.MaxFields {
		return false
	}
	b.truncated = true
	return true
}

// refuse notes that a feature's value does not fit.
func (b *Batch) refuse(i int, suffix, detail string) {
	b.faulty[i] = b.serial
	// The order of the answer is not that of the body, so one row is heard out
	// up to a bound that does not depend on it.
	if len(b.faults) >= fault.MaxFields || len(b.rowFaults) > len(b.fields())+fault.MaxFields {
		b.truncated = true
		return
	}
	b.rowFaults = append(b.rowFaults, rowFault{order: i, suffix: suffix, detail: detail})
}

// refuseName notes a name that no feature has.
func (b *Batch) refuseName(name string) {
	if len(b.unknown) > fault.MaxFields || b.full() {
		b.truncated = true
		return
	}
	b.rowFaults = append(b.rowFaults, rowFault{order: len(b.fields()) + len(b.unknown), name: name})
}

// refuseBody notes a fault of the body as a whole.
func (b *Batch) refuseBody(format string, args ...any) {
	b.faults = slices.Insert(b.faults, 0, fault.Field{Pointer: "#", Detail: fmt.Sprintf(format, args...)})
}

// flush tells the faults of a row that has ended.
func (b *Batch) flush(row int) {
	slices.SortStableFunc(b.rowFaults, func(x, y rowFault) int { return x.order - y.order })
	prefix := rowPointer(row, b.Single)
	for _, f := range b.rowFaults {
		if len(b.faults) >= fault.MaxFields {
			b.truncated = true
			break
		}
		if f.order < len(b.fields()) {
			pointer := prefix + b.fields()[f.order].pointer + f.suffix
			b.faults = append(b.faults, fault.Field{Pointer: pointer, Detail: f.detail})
			continue
		}
		b.faults = append(b.faults, fault.Field{
			Pointer: prefix + "/" + pointerToken(truncated(f.name)),
			Detail:  NotAFeature + envelopeHint(f.name) + b.suggestion(f.name),
		})
	}
	b.rowFaults = b.rowFaults[:0]
}

// envelopeHint says where a request goes that holds its rows in a member, as those
// of the inference protocols do.
func envelopeHint(name string) string {
	switch name {
	case "instances":
		return "; rows under \"instances\" go to /v1/models/{model}:predict, and here without it"
	case "inputs":
		return "; tensors under \"inputs\" go to /v2/models/{model}/infer"
	}
	return ""
}

func (b *Batch) suggestion(name string) string {
	s := b.schema
	if len(name) > maxSuggested {
		return ""
	}
	i, ok := s.byFold[fold(name)]
	if !ok {
		i = nearest(name, s.folded, &b.work)
	}
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", s.fields[i].Name)
}

// content returns the faults as one error, or nil when there are none.
func (b *Batch) content() error {
	if len(b.faults) == 0 {
		return nil
	}
	err := fault.New(fault.Content, "the input does not fit the model")
	if len(b.faults) > fault.MaxFields {
		b.faults, b.truncated = b.faults[:fault.MaxFields], true
	}
	err.Fields, err.Truncated = slices.Clone(b.faults), b.truncated
	return err
}

// syntaxFault classifies an error of the JSON decoder. offset and pointer say where
// its input stands in the body.
func syntaxFault(err error, body []byte, offset int64, pointer string) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return malformed("#", "the body is empty")
	case !errors.As(err, &at):
		return fault.Wrap(fault.Internal, "", err)
	}
	pointer = fragment(pointer + string(at.JSONPointer))
	var reason string
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return malformed(pointer, "appears twice")
	case errors.Is(err, jsontext.ErrNonStringName):
		reason = "the name of a member must be a string"
	case errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the JSON ends too early"
	default:
		reason = strings.TrimPrefix(at.Err.Error(), "jsontext: ")
	}
	place := offset + at.ByteOffset
	return malformed(pointer, fmt.Sprintf("%s, at byte %d%s", reason, place, insteadOf(body[min(place, int64(len(body))):])))
}

// insteadOf says what to write for a number that other languages have and JSON
// has not.
func insteadOf(text []byte) string {
	for _, word := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return fmt.Sprintf("; JSON has no %s: write null for a missing number", word)
		}
	}
	return ""
}

// malformed is a body that is not JSON as RFC 8259 and RFC 7493 (I-JSON) have it.
func malformed(pointer, detail string) error {
	err := fault.Newf(fault.Syntax, "the body is not valid JSON: %s", detail)
	if pointer != "#" {
		err.Msg = fmt.Sprintf("the body is not valid JSON: %s: %s", pointer, detail)
	}
	err.Fields = []fault.Field{{Pointer: pointer, Detail: detail}}
	return err
}
