package schema

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
)

// feature reads the value of feature i.
func (b *Batch) feature(i, row int) error {
	f := &b.fields()[i]
	switch {
	case f.Array:
		return b.nested(i)
	case b.schema.inputs[f.in].list != nil:
		return b.list(i)
	}
	detail, err := b.element(f)
	if err != nil {
		return err
	}
	if detail == "" && f.member >= 0 {
		if b.Single {
			b.setMember(f)
		} else if !f.fits(&b.value) {
			detail = b.unfit(f)
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

// unfit returns which rule the value breaks; nothing where such rows are taken.
func (b *Batch) unfit(f *field) string {
	if !b.Lenient {
		return f.broken(&b.value)
	}
	b.goBeyond(f, f.broken(&b.value))
	return ""
}

// mayLack reports whether a value that is missing becomes NaN.
func (b *Batch) mayLack(f *field) bool {
	if f.Nullable || !b.Lenient || f.info.class != classFloat {
		return f.Nullable
	}
	b.goBeyond(f, "must be "+f.info.words+", and is missing")
	return true
}

// goBeyond notes the first rule that a row breaks which is taken all the same.
func (b *Batch) goBeyond(f *field, detail string) {
	if b.beyond != b.serial {
		b.beyond = b.serial
		b.Beyond = append(b.Beyond, fault.Field{Pointer: rowPointer(b.number, false) + f.pointer, Detail: detail})
	}
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
	b.value.null = kind == jsontext.KindNull && b.mayLack(f)
	if kind != want && !b.value.null {
		if err := b.skip(); err != nil {
			return "", err
		}
		truth := want == jsontext.KindNumber && (kind == jsontext.KindTrue || kind == jsontext.KindFalse)
		return "must be " + f.info.words + ", not " + kindNames[kind] + truthHint(truth), nil
	}
	raw, err := b.decoder.ReadValue()
	if err != nil {
		return "", b.syntax(err)
	}
	if err := b.meter.spend(f.work(len(raw))); err != nil {
		return "", err
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
		if math.Abs(v.f) > f.info.reach {
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
		if known, ok := f.strings[string(raw)]; ok {
			v.s = known // which is clean
			return ""
		}
		var detail string
		v.s, detail = f.cleaner.clean(string(raw))
		return detail
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
		return f.typeRange()
	case f.info.class == classUint:
		if negative && magnitude > 0 {
			return f.typeRange()
		}
		v.u = magnitude
		return ""
	case negative && magnitude > 1<<63, !negative && magnitude > math.MaxInt64:
		return f.typeRange()
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
// Members of features that were refused, as missing ones are too, hold no value
// of this request and do not count.
func (b *Batch) checkRow() error {
	if b.schema.validate == nil {
		return nil
	}
	// A copy, because the validator copies each member of a struct that it is
	// given by its address.
	err := b.schema.validate.StructCtx(b.meter.ctx, b.row.Interface())
	if done := b.meter.ctx.Err(); done != nil {
		return fault.OfContext(done) // patterns were passed over
	}
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
		if b.faulty[i] != b.serial {
			f := &b.fields()[i]
			k := slices.IndexFunc(f.rules, func(r rule) bool { return r.tag == e.Tag() })
			var v value
			f.coerce(reflect.Indirect(reflect.ValueOf(e.Value())).Interface(), &v)
			b.refuse(i, "", f.against(&f.rules[k], &v))
		}
	}
	return nil
}
