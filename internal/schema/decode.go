package schema

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
)

const (
	// maxDepth is how many arrays and objects may stand around a value.
	maxDepth = 32
	// maxUnknown is how many members an object may have beyond the features
	// before it is refused unread, so that remembering their names is bounded.
	maxUnknown = 1000
)

var (
	byteOrderMark = []byte("\xEF\xBB\xBF")
	repeatedNames = []jsontext.Options{jsontext.AllowDuplicateNames(true)}
)

// Decode reads the body of a prediction into b: one object, or an array of at
// most maxRows. It reads the body to its end, once, and reports every fault in
// it:
//
//   - fault.Syntax when it is not JSON (RFC 8259), is not UTF-8, names a member
//     twice or is nested too deep; Fields says where.
//   - fault.Content when it is JSON that does not fit. Fields holds the faults
//     row by row, in a row those of features in column order and then unknown
//     names; at most fault.MaxFields.
//
// A feature must be present; null stands for NaN where the feature is nullable.
// Numbers are exact: an integer may be written as 1.0 or 1e3 and never passes
// through floating point; a floating-point number is rounded once to float64,
// held against its rules, and then rounded to its type. A number whose
// magnitude the type cannot hold is refused, one too small for it becomes 0.
//
// A body of which much is left to check when ctx is done ends with the fault of
// that. Body is not kept, except that nothing may change it before Decode returns.
func (s *Schema) Decode(ctx context.Context, b *Batch, body []byte, maxRows int) error {
	if b.schema != s {
		return errors.New("schema: the batch belongs to another schema")
	}
	if bytes.HasPrefix(body, byteOrderMark) {
		return malformed("#", "it begins with a byte order mark, which JSON does not allow")
	}
	b.begin(ctx, body)
	err := b.document(maxRows)
	b.end()
	if err != nil {
		return err
	}
	return b.content()
}

func (b *Batch) fields() []field { return b.schema.fields }

func (b *Batch) begin(ctx context.Context, body []byte) {
	b.Release()
	b.meter = newMeter(ctx)
	b.body, b.Rows, b.Single, b.Beyond, b.texted = body, 0, false, b.Beyond[:0], 0
	b.rowFaults, b.faults, b.truncated, b.work = b.rowFaults[:0], b.faults[:0], false, suggestWork
	b.reader = *bytes.NewBuffer(body)
	b.decoder.Reset(&b.reader, repeatedNames...)
	for i := range b.schema.inputs {
		b.arrays[i].begin(b.schema.inputs[i].dims)
	}
}

// end lets go of the body.
func (b *Batch) end() {
	b.body, b.reader, b.meter = nil, bytes.Buffer{}, meter{}
	b.decoder.Reset(&b.reader, repeatedNames...)
	if b.segment.Cap() > 0 {
		b.segment = bytes.Buffer{}
		b.strict.Reset(&b.segment)
	}
}

func (b *Batch) document(maxRows int) error {
	var err error
	switch {
	case b.at(jsontext.KindBeginObject):
		b.Single, b.Rows = true, 1
		err = b.object(0)
	case b.at(jsontext.KindBeginArray):
		err = b.array(maxRows)
	default:
		if err = b.skip(); err == nil {
			b.refuseBody("must be an object, or an array of objects")
		}
	}
	if err != nil {
		return err
	}
	rest := b.body[b.decoder.InputOffset():]
	if i := bytes.IndexFunc(rest, func(r rune) bool { return r != ' ' && r != '\t' && r != '\n' && r != '\r' }); i >= 0 {
		return malformed("#", "something follows the value, at byte "+strconv.Itoa(len(b.body)-len(rest)+i))
	}
	if len(b.faults) > 0 {
		return nil
	}
	b.shape()
	return nil
}

// at reports whether the next token is of the kind.
func (b *Batch) at(kind jsontext.Kind) bool { return b.decoder.PeekKind() == kind }

func (b *Batch) array(maxRows int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	if b.schema.oneRow {
		maxRows = min(maxRows, 1)
	}
	n := 0
	for ; !b.at(jsontext.KindEndArray); n++ {
		err := b.meter.spend(len(b.fields()) + valueWork)
		switch {
		case err != nil:
		case n >= maxRows:
			err = b.skip()
		case b.at(jsontext.KindBeginObject):
			err = b.object(n)
		default:
			err = b.noObject(n)
		}
		if err != nil {
			return err
		}
	}
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	b.Rows = n
	switch {
	case n == 0:
		b.refuseBody("must hold at least one row")
	case n > maxRows && b.schema.oneRow:
		b.refuseBody("must hold one row, as the model takes one at a time, not %d", n)
	case n > maxRows:
		b.refuseBody("must hold at most %d rows, not %d", maxRows, n)
	}
	return nil
}

// noObject reads a row that is something else.
func (b *Batch) noObject(row int) error {
	kind := b.decoder.PeekKind()
	if taken, err := b.valuesRow(kind, row); taken || err != nil {
		return err
	}
	if err := b.skip(); err != nil || b.full() {
		return err
	}
	want := "an object"
	if b.values {
		want = "an object, or an array of values"
	}
	b.faults = append(b.faults, fault.Field{Pointer: rowPointer(row, false), Detail: "must be " + want + ", not " + kindNames[kind]})
	return nil
}

// object reads one row.
func (b *Batch) object(row int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	b.beginRow(row)
	b.next = 0
	present := 0
	for !b.at(jsontext.KindEndObject) {
		raw, err := b.decoder.ReadValue()
		if err != nil {
			return b.syntax(err)
		}
		i, name := b.lookup(raw)
		if i < 0 {
			err = b.unknownMember(name)
		} else if b.seen[i] == b.serial {
			err = b.repeated()
		} else {
			b.seen[i] = b.serial
			present++
			err = b.feature(i, row)
		}
		if err != nil {
			return err
		}
	}
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	if present < len(b.fields()) {
		b.missing()
	}
	if b.Single {
		if err := b.checkRow(); err != nil {
			return err
		}
	}
	if len(b.rowFaults) > 0 {
		b.flush(row)
	}
	return nil
}

// beginRow makes every feature of the row unseen.
func (b *Batch) beginRow(row int) {
	b.number = row
	if b.serial++; b.serial == 0 {
		clear(b.seen)
		clear(b.faulty)
		b.serial = 1
	}
	const kept = 64 // do not hold on to the memory of a strange row
	if len(b.unknown) > kept {
		b.unknown = nil
	}
	clear(b.unknown)
}

// lookup returns the index of the feature that a raw JSON string names, or -1
// and the name. Features are expected in column order first.
func (b *Batch) lookup(raw []byte) (int, []byte) {
	name := raw[1 : len(raw)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		// The decoder has found the string valid, so that this cannot fail.
		b.scratch, _ = jsontext.AppendUnquote(b.scratch[:0], raw)
		name = b.scratch
	}
	fields := b.fields()
	if b.next < len(fields) && fields[b.next].Name == string(name) {
		b.next++
		return b.next - 1, nil
	}
	if i, ok := b.schema.byName[string(name)]; ok {
		b.next = i + 1
		return i, nil
	}
	return -1, name
}

// unknownMember refuses a member that is no feature and reads over its value.
func (b *Batch) unknownMember(raw []byte) error {
	name := string(raw)
	if _, repeated := b.unknown[name]; repeated {
		return b.repeated()
	}
	if len(b.unknown) >= maxUnknown {
		return malformed(fragment(string(b.decoder.StackPointer().Parent())), "has more than "+strconv.Itoa(maxUnknown)+" members that are no features")
	}
	b.refuseName(name)
	if b.unknown == nil {
		b.unknown = make(map[string]struct{})
	}
	b.unknown[name] = struct{}{}
	return b.skip()
}

// repeated refuses a name that the object already has.
func (b *Batch) repeated() error {
	return malformed(fragment(string(b.decoder.StackPointer())), "appears twice")
}

func (b *Batch) missing() {
	for i := range b.seen {
		if b.seen[i] != b.serial {
			if len(b.faults) >= fault.MaxFields {
				b.truncated = true
				return
			}
			b.refuse(i, "", IsRequired)
		}
	}
}

// shape gives the input tensors their shapes.
func (b *Batch) shape() {
	for i := range b.schema.inputs {
		in := &b.schema.inputs[i]
		if in.list != nil {
			continue // it came as a whole
		}
		shape := b.dims[:0]
		if !in.whole {
			shape = append(shape, b.Rows)
		}
		switch {
		case in.array:
			shape = append(shape, b.arrays[i].shape...)
		case !in.flat:
			shape = append(shape, in.width)
		}
		b.dims = shape
		b.sinks[i].finish(shape)
	}
}
