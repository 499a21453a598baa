package schema

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

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
// Body is not kept, except that nothing may change it before Decode returns.
func (s *Schema) Decode(b *Batch, body []byte, maxRows int) error {
	if b.schema != s {
		return errors.New("schema: the batch belongs to another schema")
	}
	if bytes.HasPrefix(body, byteOrderMark) {
		return malformed("#", "it begins with a byte order mark, which JSON does not allow")
	}
	b.begin(body)
	err := b.document(maxRows)
	b.end()
	if err != nil {
		return err
	}
	return b.content()
}

func (b *Batch) fields() []field { return b.schema.fields }

func (b *Batch) begin(body []byte) {
	b.body, b.Rows, b.Single = body, 0, false
	b.rowFaults, b.faults, b.truncated, b.work = b.rowFaults[:0], b.faults[:0], false, suggestWork
	b.reader = *bytes.NewBuffer(body)
	b.decoder.Reset(&b.reader, repeatedNames...)
	for i, in := range b.schema.inputs {
		b.shapes[i] = append(b.shapes[i][:0], in.dims...)
		b.filled[i] = 0
	}
}

// end lets go of the body.
func (b *Batch) end() {
	b.body, b.reader = nil, bytes.Buffer{}
	b.decoder.Reset(&b.reader, repeatedNames...)
}

func (b *Batch) document(maxRows int) error {
	var err error
	switch b.decoder.PeekKind() {
	case jsontext.KindBeginObject:
		b.Single, b.Rows = true, 1
		err = b.object(0)
	case jsontext.KindBeginArray:
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

func (b *Batch) array(maxRows int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	if b.schema.oneRow {
		maxRows = min(maxRows, 1)
	}
	n := 0
	for ; b.decoder.PeekKind() != jsontext.KindEndArray; n++ {
		var err error
		switch {
		case n >= maxRows:
			err = b.skip()
		case b.decoder.PeekKind() == jsontext.KindBeginObject:
			err = b.object(n)
		default:
			kind := b.decoder.PeekKind()
			if err = b.skip(); err == nil && !b.full() {
				b.faults = append(b.faults, fault.Field{Pointer: rowPointer(n, false), Detail: "must be an object, not " + kindName(kind)})
			}
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

// object reads one row.
func (b *Batch) object(row int) error {
	if _, err := b.decoder.ReadToken(); err != nil {
		return b.syntax(err)
	}
	b.nextSerial()
	b.next = 0
	present := 0
	for b.decoder.PeekKind() != jsontext.KindEndObject {
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

// nextSerial makes every feature of the next row unseen.
func (b *Batch) nextSerial() {
	if b.serial++; b.serial == 0 {
		clear(b.seen)
		clear(b.faulty)
		b.serial = 1
	}
	if len(b.unknown) > 0 {
		b.unknown = nil
	}
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
		return malformed(fragment(string(b.decoder.StackPointer().Parent())), "has more than "+strconv.Itoa(maxUnknown)+" members too many")
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
			b.refuse(i, "", "is required")
		}
	}
}

// feature reads the value of feature i.
func (b *Batch) feature(i, row int) error {
	f := &b.fields()[i]
	if f.Array {
		return b.nested(i)
	}
	detail, err := b.element(f)
	if err != nil {
		return err
	}
	if detail == "" && f.member >= 0 {
		if b.Single {
			b.setMember(f)
		} else if !f.fits(&b.value) {
			detail = f.broken(&b.value)
		}
	}
	switch {
	case detail != "":
		b.refuse(i, "", detail)
	case len(b.faults) == 0:
		b.sinks[f.in].put(row*b.schema.inputs[f.in].width+f.column, &b.value)
	}
	return nil
}

// element reads a value of the feature's type into b.value. It returns what is
// wrong with it in itself, not by the feature's rules.
func (b *Batch) element(f *field) (string, error) {
	kind := b.decoder.PeekKind()
	want := jsontext.KindNumber
	switch f.info.class {
	case classString:
		want = jsontext.KindString
	case classBool:
		if kind == jsontext.KindTrue {
			want = kind
		} else {
			want = jsontext.KindFalse
		}
	case classFloat, classInt, classUint:
	}
	b.value.null = kind == jsontext.KindNull && f.Nullable
	if kind != want && !b.value.null {
		if err := b.skip(); err != nil {
			return "", err
		}
		return "must be " + f.info.json + ", not " + kindName(kind), nil
	}
	raw, err := b.decoder.ReadValue()
	if err != nil {
		return "", b.syntax(err)
	}
	if b.value.null {
		b.value.f = math.NaN()
		return "", nil
	}
	return b.parse(f, raw), nil
}

// parse converts a raw value of the right JSON type.
func (b *Batch) parse(f *field, raw []byte) string {
	v := &b.value
	switch f.info.class {
	case classFloat:
		v.f = parseFloat(raw)
		if math.Abs(v.f) > f.info.maximum {
			return f.broken(v)
		}
	case classInt, classUint:
		return f.parseInteger(raw, v)
	case classString:
		if bytes.IndexByte(raw, '\\') >= 0 {
			b.scratch, _ = jsontext.AppendUnquote(b.scratch[:0], raw)
			raw = b.scratch
		} else {
			raw = raw[1 : len(raw)-1]
		}
		known, ok := f.strings[string(raw)]
		if !ok {
			known = string(raw)
		}
		v.s = known
	case classBool:
		v.b = raw[0] == 't'
	}
	return ""
}

func (f *field) parseInteger(raw []byte, v *value) string {
	negative, magnitude, status := parseInt(raw)
	switch {
	case status == intFraction:
		return "must be an integer, without a fraction"
	case status == intOverflow:
		return f.range_()
	case f.info.class == classUint:
		if negative && magnitude > 0 {
			return f.range_()
		}
		v.u = magnitude
		return ""
	case negative && magnitude > 1<<63, !negative && magnitude > math.MaxInt64:
		return f.range_()
	}
	v.i = int64(magnitude) //nolint:gosec // 2⁶³ wraps to its own negative, which is what is meant
	if negative {
		v.i = -v.i
	}
	if v.i < f.info.lo || v.i > f.info.hi {
		return f.broken(v)
	}
	return ""
}

// setMember puts the value into the row struct.
func (b *Batch) setMember(f *field) {
	member, store := b.members[f.member], b.storage[f.member]
	if f.Nullable {
		if b.value.null {
			member.SetZero()
			return
		}
		member.Set(store.Addr())
	}
	switch f.info.class {
	case classFloat:
		store.SetFloat(b.value.f)
	case classInt:
		store.SetInt(b.value.i)
	case classUint:
		store.SetUint(b.value.u)
	case classString:
		store.SetString(b.value.s)
	case classBool:
		store.SetBool(b.value.b)
	}
}

// checkRow has package validator hold the row struct against the rules.
// Members of features that are missing or were refused hold no value of this
// request and do not count.
func (b *Batch) checkRow() error {
	if b.row == nil {
		return nil
	}
	err := b.schema.validate.Struct(b.row)
	if err == nil {
		return nil
	}
	var invalid validator.ValidationErrors
	if !errors.As(err, &invalid) {
		return err
	}
	for _, e := range invalid {
		i, err := strconv.Atoi(e.StructField()[len(memberPrefix):])
		if err != nil || i >= len(b.fields()) {
			return fault.Wrap(fault.Internal, "", e)
		}
		if b.seen[i] == b.serial && b.faulty[i] != b.serial {
			rules := b.fields()[i].rules
			k := slices.IndexFunc(rules, func(r rule) bool { return r.tag == e.Tag() })
			b.refuse(i, "", rules[k].detail)
		}
	}
	return nil
}

// shape gives the input tensors their shapes.
func (b *Batch) shape() {
	var dims [maxDepth + 1]int
	for i := range b.schema.inputs {
		in := &b.schema.inputs[i]
		shape := dims[:0]
		if !in.whole {
			shape = append(shape, b.Rows)
		}
		switch {
		case in.array:
			shape = append(shape, b.shapes[i]...)
		case !in.flat:
			shape = append(shape, in.width)
		}
		b.sinks[i].finish(shape)
	}
}

// skip reads over a value that has no place, as strictly as over any other.
func (b *Batch) skip() error {
	kind := b.decoder.PeekKind()
	if kind != jsontext.KindBeginArray && kind != jsontext.KindBeginObject {
		if _, err := b.decoder.ReadValue(); err != nil {
			return b.syntax(err)
		}
		return nil
	}
	pointer, start, depth := b.decoder.StackPointer(), b.decoder.InputOffset(), b.decoder.StackDepth()
	for {
		if _, err := b.decoder.ReadToken(); err != nil {
			return b.syntax(err)
		}
		level := b.decoder.StackDepth()
		if level > maxDepth {
			return b.tooDeep()
		}
		if kind, n := b.decoder.StackIndex(level); kind == jsontext.KindBeginObject && n > 2*maxUnknown {
			return malformed(fragment(string(b.decoder.StackPointer().Parent())), "has more than "+strconv.Itoa(maxUnknown)+" members")
		}
		if level == depth {
			break
		}
	}
	return b.unique(string(pointer), start)
}

// unique refuses a composite value that was read over and names a member twice
// somewhere inside.
func (b *Batch) unique(pointer string, start int64) error {
	segment := b.body[start:b.decoder.InputOffset()]
	lead := bytes.IndexAny(segment, "[{")
	strict := jsontext.NewDecoder(bytes.NewBuffer(segment[lead:]))
	if _, err := strict.ReadValue(); err != nil {
		return syntaxFault(err, start+int64(lead), pointer)
	}
	return nil
}

func (b *Batch) tooDeep() error {
	return malformed("#", "it is nested more than "+strconv.Itoa(maxDepth)+" deep, at byte "+strconv.FormatInt(b.decoder.InputOffset(), 10))
}

func (b *Batch) syntax(err error) error { return syntaxFault(err, 0, "") }

// kindName names a JSON type as "not …" in a detail does.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray:
		return "an array"
	default:
		return "an object"
	}
}
