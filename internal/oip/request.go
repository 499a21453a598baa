// Package oip reads and writes the JSON of the Open Inference Protocol, version
// 2: tensors by name, each with a shape, a datatype and its elements. It owns
// the form of requests and responses. It must not know transports, models or
// the engine: the caller says which inputs and outputs there are.
package oip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Request is a request to infer.
type Request struct {
	// ID is the client's name for the request; the response repeats it.
	ID string
	// Inputs are in the order of the specs.
	Inputs []*tensor.Tensor
	// Outputs are indexes into the specs of the outputs, in the order in which
	// the request asks for them. A request that asks for none gets all.
	Outputs []int
}

// entry is one member of "inputs", not yet understood.
type entry struct {
	name     string
	datatype string
	shape    []int
	data     jsontext.Value
}

// Parse reads one request for a model with these inputs and outputs. Shapes are
// checked against the data alone; whether they fit the model, the model says.
// Faults: Syntax for what is not JSON, Content for what does not fit.
func Parse(body []byte, inputs, outputs []tensor.Spec) (*Request, error) {
	p := &parser{body: body, dec: jsontext.NewDecoder(bytes.NewBuffer(body)), outputs: outputs}
	if err := p.request(); err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Syntax, "there is something behind the request; send one JSON object")
	}
	req := &Request{ID: p.id, Outputs: p.wanted, Inputs: make([]*tensor.Tensor, len(inputs))}
	if !p.named {
		for i := range outputs {
			req.Outputs = append(req.Outputs, i)
		}
	}
	given, err := newGiven(p.entries, inputs)
	if err != nil {
		return nil, err
	}
	for i := range inputs {
		if req.Inputs[i], err = given.value(&inputs[i], inputs[i].Name); err != nil {
			return nil, err
		}
	}
	return req, given.left()
}

// indexOf finds a spec by its name, or by prefix and number: "input-0".
func indexOf(name, prefix string, specs []tensor.Spec) int {
	i := slices.IndexFunc(specs, func(s tensor.Spec) bool { return s.Name == name })
	if number, ok := strings.CutPrefix(name, prefix); ok && i < 0 {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && int(n) < len(specs) {
			return int(n)
		}
	}
	return i
}

func list(specs []tensor.Spec) string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = strconv.Quote(s.Name)
	}
	return strings.Join(names, ", ")
}

// parser walks the objects of a request.
type parser struct {
	body    []byte
	dec     *jsontext.Decoder
	outputs []tensor.Spec
	id      string
	entries []entry
	wanted  []int
	named   bool // "outputs" is there and not empty
}

func (p *parser) request() error {
	return p.object("the request", map[string]func() error{
		"id":         func() (err error) { p.id, err = p.text("id"); return err },
		"parameters": p.skip,
		"inputs":     func() error { return p.array("inputs", p.input) },
		"outputs":    func() error { return p.array("outputs", p.output) },
	})
}

func (p *parser) input() error {
	var e entry
	err := p.object("an input", map[string]func() error{
		"name":     func() (err error) { e.name, err = p.text("name"); return err },
		"datatype": func() (err error) { e.datatype, err = p.text("datatype"); return err },
		"shape": func() error {
			e.shape = []int{}
			return p.array("shape", func() error { return p.extent(&e) })
		},
		"parameters": p.skip,
		"data": func() error {
			v, err := p.dec.ReadValue()
			e.data = v.Clone()
			return p.syntax(err)
		},
	})
	if err == nil && (e.name == "" || e.datatype == "" || e.shape == nil || e.data == nil) {
		return fault.New(fault.Content, "an input needs name, shape, datatype and data")
	}
	p.entries = append(p.entries, e)
	return err
}

func (p *parser) extent(e *entry) error {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return p.syntax(err)
	}
	n, err := strconv.ParseUint(tok.String(), 10, 31)
	if tok.Kind() != '0' || err != nil {
		return fault.Newf(fault.Content, "a shape has whole numbers from 0, not %s", tok)
	}
	e.shape = append(e.shape, int(n))
	return nil
}

func (p *parser) output() error {
	p.named = true
	name := ""
	err := p.object("an output", map[string]func() error{
		"name":       func() (err error) { name, err = p.text("name"); return err },
		"parameters": p.skip,
	})
	if err != nil {
		return err
	}
	i := indexOf(name, "output-", p.outputs)
	if i < 0 {
		return fault.Newf(fault.Content, "there is no output %q; there is %s", name, list(p.outputs))
	}
	if slices.Contains(p.wanted, i) {
		return fault.Newf(fault.Content, "output %q is asked for twice", name)
	}
	p.wanted = append(p.wanted, i)
	return nil
}

// object reads an object whose members are those of the table.
func (p *parser) object(what string, members map[string]func() error) error {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return p.syntax(err)
	}
	if tok.Kind() != '{' {
		return fault.Newf(fault.Content, "%s is not an object", what)
	}
	for p.dec.PeekKind() == '"' {
		tok, err := p.dec.ReadToken()
		if err != nil {
			return p.syntax(err)
		}
		name := tok.String()
		read := members[name]
		if read == nil {
			return fault.Newf(fault.Content, "%s has no member %q", what, name)
		}
		if err := read(); err != nil {
			return err
		}
	}
	_, err = p.dec.ReadToken()
	return p.syntax(err)
}

// array reads an array element by element.
func (p *parser) array(what string, element func() error) error {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return p.syntax(err)
	}
	if tok.Kind() != '[' {
		return fault.Newf(fault.Content, "%s is not an array", what)
	}
	for k := p.dec.PeekKind(); k != ']' && k != 0; k = p.dec.PeekKind() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err = p.dec.ReadToken() // the end, or the error that kind 0 announced
	return p.syntax(err)
}

func (p *parser) text(what string) (string, error) {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return "", p.syntax(err)
	}
	if tok.Kind() != '"' {
		return "", fault.Newf(fault.Content, "%s is not a string", what)
	}
	return tok.String(), nil
}

func (p *parser) skip() error { return p.syntax(p.dec.SkipValue()) }

// syntax classifies an error of the JSON reader.
func (p *parser) syntax(err error) error {
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
	return fault.New(fault.Syntax, "the request is not valid JSON: "+detail+insteadOf(p.body[min(at.ByteOffset, int64(len(p.body))):]))
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
