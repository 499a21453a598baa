package oip

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// The numbers of the fields of ModelInferRequest and of what is in it. They are
// read here field by field and not by generated code, which would take memory for
// whatever a message claims, and copy the tensors once more.
const (
	reqModelName    protowire.Number = 1
	reqModelVersion protowire.Number = 2
	reqID           protowire.Number = 3
	reqParameters   protowire.Number = 4
	reqInputs       protowire.Number = 5
	reqOutputs      protowire.Number = 6
	reqRaw          protowire.Number = 7

	tensorName       protowire.Number = 1
	tensorDatatype   protowire.Number = 2
	tensorShape      protowire.Number = 3
	tensorParameters protowire.Number = 4
	tensorContents   protowire.Number = 5

	wantedName       protowire.Number = 1
	wantedParameters protowire.Number = 2

	mapKey protowire.Number = 1
)

// maxTensors bounds the inputs of one message: more than any model's.
const maxTensors = 1 << 14

// Target returns the model and the version that a ModelInferRequest is for; an
// empty one is not said. Faults: Syntax.
func Target(message []byte) (model, version string, err error) {
	w := wire{rest: message}
	var name, number []byte
	for w.next() {
		switch w.num { //nolint:exhaustive // the others are read later
		case reqModelName:
			name = w.bytes
		case reqModelVersion:
			number = w.bytes
		}
	}
	if !utf8.Valid(name) || !utf8.Valid(number) {
		return "", "", notProtobuf()
	}
	return string(name), string(number), w.err()
}

// ReadProtobuf reads a ModelInferRequest as Read reads JSON. Binary is true for
// each output of a request whose inputs came as raw_input_contents. Faults: as
// those of Read.
func (r *Reader) ReadProtobuf(message []byte, c Contract, into []*tensor.Tensor) (*Request, error) {
	r.begin(Message{}, c)
	defer r.end()
	if err := r.inferRequest(message); err != nil {
		return nil, err
	}
	if err := r.assignRaw(); err != nil {
		return nil, err
	}
	r.choose()
	r.request.Inputs = into
	return &r.request, r.fill(into)
}

func (r *Reader) inferRequest(message []byte) error {
	w := wire{rest: message}
	for w.next() {
		if err := r.requestField(&w); err != nil {
			return err
		}
	}
	return w.err()
}

func (r *Reader) requestField(w *wire) error {
	if w.num <= reqRaw && w.typ != protowire.BytesType {
		return notProtobuf() // all fields of the message are of that type
	}
	switch w.num { //nolint:exhaustive // what is not here is of a later version
	case reqID:
		if !utf8.Valid(w.bytes) {
			return notProtobuf()
		}
		r.request.ID = string(w.bytes)
	case reqParameters:
		return r.wireParameter(w.bytes)
	case reqInputs:
		return r.wireInput(w.bytes)
	case reqOutputs:
		return r.wireOutput(w.bytes)
	case reqRaw:
		if len(r.raws) == maxTensors {
			return tooManyTensors()
		}
		r.raws = append(r.raws, w.bytes)
	}
	return nil
}

func tooManyTensors() error {
	return fault.Newf(fault.Content, "a request has at most %d inputs", maxTensors)
}

func (r *Reader) wireInput(message []byte) error {
	e := entry{from: len(r.extents), wire: true}
	w := wire{rest: message}
	for w.next() {
		if err := r.inputField(&e, &w); err != nil {
			return err
		}
	}
	e.to = len(r.extents)
	switch {
	case w.broken || !utf8.Valid(e.name) || !utf8.Valid(e.datatype):
		return notProtobuf()
	case len(e.name) == 0 || len(e.datatype) == 0:
		return fault.New(fault.Content, "an input needs name, datatype and shape")
	case len(r.entries) == maxTensors:
		return tooManyTensors()
	}
	if err := r.place(&e); err != nil {
		return err
	}
	r.entries = append(r.entries, e)
	return nil
}

func (r *Reader) inputField(e *entry, w *wire) error {
	if w.num == tensorShape {
		return r.wireExtents(e, w)
	}
	if w.num <= tensorContents && w.typ != protowire.BytesType {
		return notProtobuf()
	}
	switch w.num { //nolint:exhaustive // what is not here is of a later version
	case tensorName:
		e.name = w.bytes
	case tensorDatatype:
		e.datatype = w.bytes
	case tensorParameters:
		return r.wireParameter(w.bytes)
	case tensorContents:
		if e.typed {
			return fault.Newf(fault.Content, "input %q has contents twice", cut(e.name))
		}
		e.data, e.typed = w.bytes, true
	}
	return nil
}

// wireExtents reads one extent, or several that are packed.
func (r *Reader) wireExtents(e *entry, w *wire) error {
	switch w.typ { //nolint:exhaustive // no other type can be
	case protowire.VarintType:
		return r.wireExtent(e, w.number)
	case protowire.BytesType:
		for packed := w.bytes; len(packed) > 0; {
			v, n := protowire.ConsumeVarint(packed)
			if n < 0 {
				return notProtobuf()
			}
			if err := r.wireExtent(e, v); err != nil {
				return err
			}
			packed = packed[n:]
		}
		return nil
	}
	return notProtobuf()
}

func (r *Reader) wireExtent(e *entry, v uint64) error {
	switch {
	case v >= tensor.MaxElements:
		return fault.Newf(fault.Content, "a shape has whole numbers from 0 to %d, not %d", tensor.MaxElements-1, int64(v)) //nolint:gosec // G115: an int64 on the wire
	case len(r.extents)-e.from == maxRank:
		return fault.Newf(fault.Content, "a shape has at most %d extents", maxRank)
	}
	r.extents = append(r.extents, int(v))
	return nil
}

func (r *Reader) wireOutput(message []byte) error {
	w := wire{rest: message}
	var name []byte
	for w.next() {
		switch {
		case w.num <= wantedParameters && w.typ != protowire.BytesType:
			return notProtobuf()
		case w.num == wantedName:
			name = w.bytes
		case w.num == wantedParameters:
			if bytes.Equal(keyOf(w.bytes), []byte("classification")) {
				return noClassification()
			}
			if err := r.wireParameter(w.bytes); err != nil {
				return err
			}
		}
	}
	if w.broken || !utf8.Valid(name) {
		return notProtobuf()
	}
	return r.want(name, unsaid)
}

// wireParameter reads over an entry of a map of parameters, but for those that
// say that the elements are elsewhere.
func (r *Reader) wireParameter(entry []byte) error {
	if bytes.HasPrefix(keyOf(entry), []byte(sharedMemory)) {
		return noSharedMemory()
	}
	return nil
}

// keyOf returns the key of an entry of a map, nil when it has none.
func keyOf(entry []byte) []byte {
	w := wire{rest: entry}
	for w.next() {
		if w.num == mapKey {
			return w.bytes
		}
	}
	return nil
}

// assignRaw gives each input its bytes, when the request has any: then all have,
// in their order.
func (r *Reader) assignRaw() error {
	if len(r.raws) == 0 {
		return nil
	}
	if slices.ContainsFunc(r.entries, func(e entry) bool { return e.typed }) {
		return fault.New(fault.Content, "a request has raw_input_contents or contents, not both")
	}
	if len(r.raws) != len(r.entries) {
		return fault.Newf(fault.Content, "raw_input_contents has %d tensors, and there are %d inputs", len(r.raws), len(r.entries))
	}
	for i := range r.entries {
		r.entries[i].raw, r.entries[i].binary = r.raws[i], true
	}
	r.binary = true
	return nil
}

// UnknownModel is how Triton says that there is no such model, or no such version
// of it; its clients look for the words.
func UnknownModel(model, version string) string {
	text := "Request for unknown model: '" + cut([]byte(model)) + "'"
	if version != "" {
		text += " version " + cut([]byte(version))
	}
	return text + " is not found"
}
