package oip

import (
	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
)

// wire walks the fields of one message in Protocol Buffers' wire format. The
// value of the present field is in bytes, or in number for the other types.
type wire struct {
	rest   []byte
	num    protowire.Number
	typ    protowire.Type
	bytes  []byte
	number uint64
	broken bool
}

// next reports whether there is another field. It ends at one that is malformed,
// too: see err.
func (w *wire) next() bool {
	if len(w.rest) == 0 || w.broken {
		return false
	}
	num, typ, n := protowire.ConsumeTag(w.rest)
	if n < 0 {
		w.broken = true
		return false
	}
	w.num, w.typ, w.bytes, w.rest = num, typ, nil, w.rest[n:]
	switch typ { //nolint:exhaustive // the default is for all others
	case protowire.VarintType:
		w.number, n = protowire.ConsumeVarint(w.rest)
	case protowire.BytesType:
		w.bytes, n = protowire.ConsumeBytes(w.rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(w.rest)
		w.number = uint64(v)
	case protowire.Fixed64Type:
		w.number, n = protowire.ConsumeFixed64(w.rest)
	default:
		n = -1 // a group, which the protocol has not, or no type at all
	}
	if n < 0 {
		w.broken = true
		return false
	}
	w.rest = w.rest[n:]
	return true
}

// err is the fault of a message whose walk did not reach its end.
func (w *wire) err() error {
	if w.broken {
		return notProtobuf()
	}
	return nil
}

func notProtobuf() error {
	return fault.New(fault.Syntax, "the message is no valid Protocol Buffers message of its type")
}
