package decode

import (
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// number is the number of a field.
type number = uint

// field is one field of a message as the wire has it: body for a
// length-delimited one, bits for the others.
type field struct {
	num  number
	typ  protowire.Type
	bits uint64
	body []byte
	// run is what follows, byte for byte, where a reader takes the entries of a
	// list all at once: so many more fields like this one, tags included.
	run  []byte
	more int
}

// set is a set of field numbers below 64.
type set uint64

func fields(nums ...number) set {
	var s set
	for _, n := range nums {
		s |= 1 << n
	}
	return s
}

func (s set) has(num number) bool { return num < 64 && s&(1<<num) != 0 }

// message calls read for each field of b. A field of singular that comes twice
// is an error: protobuf would merge or replace silently, and two readers that
// differ in which one wins see two models in one file.
func message(b []byte, singular set, read func(f field) error) error {
	return messageRuns(b, singular, 0, read)
}

// messageRuns is message where read takes the entries of the lists among runs
// all at once, as far as they stand one behind the other. Exporters write lists
// of millions of numbers with a tag before each.
func messageRuns(b []byte, singular, runs set, read func(f field) error) error {
	var seen set
	for len(b) > 0 {
		f, n, err := next(b)
		if err != nil {
			return err
		}
		if runs.has(f.num) {
			f.run, f.more = sameFields(b[n:], b[0], f.typ)
			n += len(f.run)
		}
		b = b[n:]
		if singular.has(f.num) {
			if seen.has(f.num) {
				return fmt.Errorf("field %d is there twice", f.num)
			}
			seen |= 1 << f.num
		}
		if err := read(f); err != nil {
			return err
		}
	}
	return nil
}

// next reads the first field of b and returns how many bytes it takes.
func next(b []byte) (field, int, error) {
	num, typ, head := protowire.ConsumeTag(b)
	if head < 0 {
		return field{}, 0, fmt.Errorf("damaged field tag: %w", protowire.ParseError(head))
	}
	f := field{num: number(num), typ: typ} //nolint:gosec // ConsumeTag gives positive numbers
	var n int
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(b[head:])
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b[head:])
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(b[head:])
	case protowire.BytesType:
		f.body, n = protowire.ConsumeBytes(b[head:])
	case protowire.StartGroupType, protowire.EndGroupType:
		return field{}, 0, fmt.Errorf("field %d is a group, which ONNX does not use", num)
	default:
		return field{}, 0, fmt.Errorf("field %d has unknown wire type %d", num, typ)
	}
	if n < 0 {
		err := protowire.ParseError(n)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return field{}, 0, fmt.Errorf("damaged field %d: it ends too early; copy the file again", num)
		}
		return field{}, 0, fmt.Errorf("damaged field %d: %w", num, err)
	}
	return f, head + n, nil
}

// stringList is the field of an attribute whose entries are strings. Those of the
// other lists that stand in bytes are packed lists.
const stringList = 9

// sameFields returns the fields at the beginning of b that have the given tag of
// one byte and are well formed, and how many they are: varints, numbers of four
// bytes and short texts alone.
func sameFields(b []byte, tag byte, typ protowire.Type) (run []byte, n int) {
	end := 0
	switch {
	case tag >= 0x80:
	case typ == protowire.Fixed32Type:
		for ; len(b)-end >= 5 && b[end] == tag; n++ {
			end += 5
		}
	case typ == protowire.BytesType && tag>>3 == stringList:
		for ; len(b)-end >= 2 && b[end] == tag; n++ {
			length := int(b[end+1])
			if length >= 0x80 || len(b)-end-2 < length {
				break
			}
			end += 2 + length
		}
	case typ == protowire.VarintType:
		for ; len(b)-end >= 2 && b[end] == tag; n++ {
			if b[end+1] < 0x80 {
				end += 2
				continue
			}
			if len(b)-end >= 3 && b[end+2] < 0x80 {
				end += 3
				continue
			}
			length := varintLength(b[end+1:])
			if length == 0 {
				break
			}
			end += 1 + length
		}
	}
	return b[:end], n
}

// varintLength returns how long the varint at the beginning of b is, 0 when it is
// cut off or may be too large.
func varintLength(b []byte) int {
	for i, c := range b[:min(len(b), protowire.SizeVarint(math.MaxUint64)-1)] {
		if c < 0x80 {
			return i + 1
		}
	}
	return 0
}

func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("field %d has wire type %d, not %d", f.num, f.typ, typ)
	}
	return nil
}

func (f field) int64(dst *int64) error {
	*dst = int64(f.bits) //nolint:gosec // protobuf's int64 is the two's complement of the varint
	return f.want(protowire.VarintType)
}

func (f field) float32(dst *float32) error {
	*dst = math.Float32frombits(uint32(f.bits)) //nolint:gosec // want refuses all but 32 bits
	return f.want(protowire.Fixed32Type)
}

var errUTF8 = errors.New("text is not valid UTF-8")

// string reads text. The file's memory is not kept.
func (f field) string(dst *string) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if !utf8.Valid(f.body) {
		return fmt.Errorf("field %d: %w", f.num, errUTF8)
	}
	*dst = string(f.body)
	return nil
}

// scalars counts the entries that a repeated scalar field adds, packed or not.
// width is their size on the wire in bytes, 0 for varints.
func (f field) scalars(width int) (int, error) {
	switch {
	case f.typ != protowire.BytesType:
		return 1 + f.more, nil
	case width > 0 && len(f.body)%width != 0:
		return 0, fmt.Errorf("field %d: %d bytes do not hold entries of %d", f.num, len(f.body), width)
	case width > 0:
		return len(f.body) / width, nil
	}
	return ends(f.body), nil
}

// ends counts the bytes that end a varint: their top bit is clear.
func ends(b []byte) int {
	n := 0
	for _, c := range b {
		n += int(^c >> 7)
	}
	return n
}

// eachVarint calls do for each entry of a repeated varint field, packed or not.
func eachVarint(f field, do func(bits uint64) error) error {
	if f.typ == protowire.VarintType {
		return f.eachInRun(do)
	}
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	for b := f.body; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return fmt.Errorf("damaged field %d: %w", f.num, protowire.ParseError(n))
		}
		if err := do(v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// eachInRun calls do for the field and the run behind it.
func (f field) eachInRun(do func(bits uint64) error) error {
	if err := do(f.bits); err != nil {
		return err
	}
	for b := f.run; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b[1:])
		if err := do(v); err != nil {
			return err
		}
		b = b[1+n:]
	}
	return nil
}

// eachText calls do for the field and the run behind it, which are texts.
func (f field) eachText(do func(text field) error) error {
	err := do(f)
	for b := f.run; len(b) > 0 && err == nil; {
		end := 2 + int(b[1])
		err = do(field{num: f.num, typ: f.typ, body: b[2:end:end]})
		b = b[end:]
	}
	return err
}

// varints appends a repeated varint field, packed or not.
func varints[T int64 | uint64](dst []T, f field) ([]T, error) {
	if f.typ == protowire.VarintType {
		return run(append(dst, T(f.bits)), f.run), nil
	}
	err := eachVarint(f, func(bits uint64) error {
		dst = append(dst, T(bits))
		return nil
	})
	return dst, err
}

// run appends the varints of fields that sameFields has found. Most are of one
// or two bytes.
func run[T int64 | uint64](dst []T, b []byte) []T {
	for len(b) > 0 {
		v, n := uint64(b[1]), 1
		switch {
		case v < 0x80:
		case b[2] < 0x80:
			v, n = v&0x7f|uint64(b[2])<<7, 2
		default:
			v, n = protowire.ConsumeVarint(b[1:])
		}
		dst = append(dst, T(v))
		b = b[1+n:]
	}
	return dst
}

// float32s appends a repeated float field, packed or not.
func float32s(dst []float32, f field) ([]float32, error) {
	if f.typ == protowire.Fixed32Type {
		dst = append(dst, math.Float32frombits(uint32(f.bits))) //nolint:gosec // 32 bits by its wire type
		for b := f.run; len(b) >= 5; b = b[5:] {
			v, _ := protowire.ConsumeFixed32(b[1:])
			dst = append(dst, math.Float32frombits(v))
		}
		return dst, nil
	}
	if err := f.want(protowire.BytesType); err != nil {
		return nil, err
	}
	for b := f.body; len(b) >= 4; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		dst = append(dst, math.Float32frombits(v))
	}
	return dst, nil
}

// float64s appends a repeated double field, packed or not.
func float64s(dst []float64, f field) ([]float64, error) {
	if f.typ == protowire.Fixed64Type {
		return append(dst, math.Float64frombits(f.bits)), nil
	}
	if err := f.want(protowire.BytesType); err != nil {
		return nil, err
	}
	for b := f.body; len(b) >= 8; b = b[8:] {
		v, _ := protowire.ConsumeFixed64(b)
		dst = append(dst, math.Float64frombits(v))
	}
	return dst, nil
}
