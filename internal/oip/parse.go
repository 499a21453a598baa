package oip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
)

const (
	// maxRank bounds the extents of a shape: more than any model's.
	maxRank = 64
	// maxParts bounds the outputs that a request names where it names a part of one: a
	// sequence may have any number, and each name is held against those before it.
	maxParts = 1 << 10
)

// document reads the one object that the JSON is.
func (r *Reader) document() error {
	if err := r.object("the request", r.member); err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Syntax, "there is something behind the request; send one JSON object")
	}
	return nil
}

// member reads a member of the request. Those that say which model is meant come
// from some clients; the path decides.
func (r *Reader) member(name []byte) error {
	switch string(name) {
	case "id":
		id, err := r.text("id")
		r.request.ID = string(id)
		return err
	case "parameters":
		return r.parameters(r.requestParameter)
	case "inputs":
		return r.array("inputs", r.input)
	case "outputs":
		if r.dec.PeekKind() == jsontext.KindNull {
			return r.skip()
		}
		return r.array("outputs", r.output)
	case "model_name", "model_version":
		return r.skip()
	}
	return noMember("the request", name)
}

func (r *Reader) input() error {
	e := entry{from: len(r.extents)}
	err := r.object("an input", func(name []byte) error { return r.inputMember(&e, name) })
	switch {
	case err != nil:
		return err
	case len(e.name) == 0 || len(e.datatype) == 0 || !e.shaped || e.data == nil && !e.binary:
		return fault.New(fault.Content, "an input needs name, shape, datatype and data, or binary_data_size in the place of data")
	case e.data != nil && e.binary:
		return fault.Newf(fault.Content, "input %q has data and binary_data_size; send one of them", cut(e.name))
	}
	if err := r.place(&e); err != nil {
		return err
	}
	r.entries = append(r.entries, e)
	return nil
}

func (r *Reader) inputMember(e *entry, name []byte) (err error) {
	switch string(name) {
	case "name":
		e.name, err = r.text("name")
	case "datatype":
		e.datatype, err = r.text("datatype")
	case "shape":
		e.shaped = true
		err = r.array("shape", func() error { return r.extent(e) })
		e.to = len(r.extents)
	case "parameters":
		err = r.parameters(func(name []byte) error { return r.inputParameter(e, name) })
	case "data":
		e.data, err = r.value()
	default:
		return noMember("an input", name)
	}
	return err
}

func (r *Reader) extent(e *entry) error {
	text, err := r.value()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fault.Newf(fault.Content, "a shape has whole numbers from 0, not %s", cut(text))
	}
	if len(r.extents)-e.from == maxRank {
		return fault.Newf(fault.Content, "a shape has at most %d extents", maxRank)
	}
	r.extents = append(r.extents, int(n))
	return nil
}

func (r *Reader) output() error {
	var name []byte
	form := unsaid
	err := r.object("an output", func(member []byte) (err error) {
		switch string(member) {
		case "name":
			name, err = r.text("name")
		case "parameters":
			err = r.parameters(func(name []byte) error { return r.outputParameter(&form, name) })
		default:
			return noMember("an output", member)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.want(name, form)
}

// want notes that an output is asked for.
func (r *Reader) want(name []byte, form choice) error {
	i, part := indexOf(name, "output-", r.contract.Outputs), ""
	if i < 0 {
		part = string(name)
		i = findPart(part, r.contract.Outputs)
	}
	if i < 0 {
		return fault.Newf(fault.Content, "there is no output %q; there is %s", cut(name), list(r.contract.Outputs))
	}
	if part != "" && len(r.request.Outputs) >= maxParts {
		return fault.Newf(fault.Content, "a request that names parts of an output names at most %d; name the output, and all of it comes", maxParts)
	}
	for k, asked := range r.request.Outputs {
		if before := r.request.part(k); asked == i && (part == "" || before == "" || part == before) {
			return fault.Newf(fault.Content, "output %q is asked for twice", cut(name))
		}
	}
	if part != "" || r.request.Parts != nil {
		r.request.Parts = append(append(r.request.Parts, make([]string, len(r.request.Outputs)-len(r.request.Parts))...), part)
	}
	r.request.Outputs, r.asked = append(r.request.Outputs, i), append(r.asked, form)
	return nil
}

// part returns the tensor that is asked for of the output of the number; empty for
// all of it.
func (q *Request) part(k int) string {
	if q.Parts == nil {
		return ""
	}
	return q.Parts[k]
}

// parameters reads an object of parameters, or null for none.
func (r *Reader) parameters(member func(name []byte) error) error {
	if r.dec.PeekKind() == jsontext.KindNull {
		return r.skip()
	}
	return r.object("parameters", member)
}

func (r *Reader) requestParameter(name []byte) error {
	if string(name) != "binary_data_output" {
		return r.ignored(name)
	}
	yes, err := r.truth("binary_data_output")
	r.binary = yes
	return err
}

func (r *Reader) outputParameter(form *choice, name []byte) error {
	switch string(name) {
	case "binary_data":
		yes, err := r.truth("binary_data")
		*form = asJSON
		if yes {
			*form = asBytes
		}
		return err
	case "classification":
		return noClassification()
	}
	return r.custom(name)
}

func (r *Reader) inputParameter(e *entry, name []byte) error {
	if string(name) != "binary_data_size" {
		return r.custom(name)
	}
	text, err := r.value()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return fault.Newf(fault.Content, "binary_data_size is a whole number of bytes, not %s", cut(text))
	}
	if left := len(r.message.Tensors) - r.used; n > uint64(left) { //nolint:gosec // G115: not negative
		return fault.Newf(fault.Content, "binary_data_size says %d bytes, and %d are left behind the JSON; its length goes into Inference-Header-Content-Length", n, left)
	}
	end := r.used + int(n)
	e.raw, e.binary, r.used = r.message.Tensors[r.used:end], true, end
	return nil
}

// custom reads over a parameter of the client's own, which has one value
// (inference_rest.md, Parameters). Those of Triton's shared memory say that the
// elements are elsewhere.
func (r *Reader) custom(name []byte) error {
	if bytes.HasPrefix(name, []byte(sharedMemory)) {
		return noSharedMemory()
	}
	return r.ignored(name)
}

// ignored reads over a parameter that means nothing here: a text, a number or a
// boolean (inference_rest.md, Parameters), or null for none.
func (r *Reader) ignored(name []byte) error {
	if k := r.dec.PeekKind(); k == jsontext.KindBeginObject || k == jsontext.KindBeginArray {
		return fault.Newf(fault.Content, "the parameter %q is a text, a number or a boolean", cut(name))
	}
	return r.skip()
}

// sharedMemory begins the names of the parameters of Triton's shared memory.
const sharedMemory = "shared_memory_"

func noSharedMemory() error {
	return fault.New(fault.Unsupported, "shared memory is not served: send the elements in the request")
}

func noClassification() error {
	return fault.New(fault.Unsupported, "classification is not served: ask for the output itself, and sort its elements")
}

func noMember(what string, name []byte) error {
	return fault.Newf(fault.Content, "%s has no member %q", what, cut(name))
}

// object reads an object. It calls member behind each name, to read the value.
func (r *Reader) object(what string, member func(name []byte) error) error {
	tok, err := r.dec.ReadToken()
	if err != nil {
		return r.syntax(err)
	}
	if tok.Kind() != jsontext.KindBeginObject {
		return fault.Newf(fault.Content, "%s is not an object", what)
	}
	for r.dec.PeekKind() == jsontext.KindString {
		name, err := r.value()
		if err != nil {
			return err
		}
		if err := member(unquote(name)); err != nil {
			return err
		}
	}
	_, err = r.dec.ReadToken() // the end, or what is wrong
	return r.syntax(err)
}

// array reads an array element by element.
func (r *Reader) array(what string, element func() error) error {
	tok, err := r.dec.ReadToken()
	if err != nil {
		return r.syntax(err)
	}
	if tok.Kind() != jsontext.KindBeginArray {
		return fault.Newf(fault.Content, "%s is not an array", what)
	}
	for k := r.dec.PeekKind(); k != jsontext.KindEndArray && k != jsontext.KindInvalid; k = r.dec.PeekKind() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err = r.dec.ReadToken() // the end, or the error that the kind announced
	return r.syntax(err)
}

// value reads one value and returns it as it stands in the message.
func (r *Reader) value() ([]byte, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntax(err)
	}
	end := r.dec.InputOffset()
	return r.message.JSON[end-int64(len(v)) : end], nil
}

// text reads a string, or null as an empty one.
func (r *Reader) text(what string) ([]byte, error) {
	v, err := r.value()
	switch {
	case err != nil || v[0] == 'n':
		return nil, err
	case v[0] != '"':
		return nil, fault.Newf(fault.Content, "%s is not a string", what)
	}
	return unquote(v), nil
}

// unquote returns what a valid JSON string says.
func unquote(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	said, _ := jsontext.AppendUnquote(nil, v) // the decoder has found it valid
	return said
}

func (r *Reader) truth(what string) (bool, error) {
	v, err := r.value()
	if err == nil && v[0] != 't' && v[0] != 'f' {
		err = fault.Newf(fault.Content, "%s is true or false, not %s", what, cut(v))
	}
	return err == nil && v[0] == 't', err
}

func (r *Reader) skip() error { return r.syntax(r.dec.SkipValue()) }

// syntax classifies an error of the JSON reader.
func (r *Reader) syntax(err error) error {
	at, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Syntax, "the JSON ends too early")
	case !ok:
		return fault.Wrap(fault.Syntax, "the request is not valid JSON", err)
	}
	detail := fmt.Sprintf("%s, at byte %d", strings.TrimPrefix(at.Err.Error(), "jsontext: "), at.ByteOffset)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		detail = fmt.Sprintf("a name appears twice, at byte %d", at.ByteOffset)
	}
	body := r.message.JSON
	return fault.New(fault.Syntax, "the request is not valid JSON: "+detail+insteadOf(body[min(at.ByteOffset, int64(len(body))):]))
}

// insteadOf says how a number is written that other languages have and JSON has
// not.
func insteadOf(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte("NaN")):
		return "; write null for NaN"
	case bytes.HasPrefix(text, []byte(posInf)):
		return fmt.Sprintf("; write %q or %q, with the quotes", posInf, negInf)
	}
	return ""
}
