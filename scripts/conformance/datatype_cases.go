package main

import (
	"fmt"
	"slices"
	"strings"
)

// datatypeCases are about each datatype, sent as JSON and as binary data. The
// values themselves are held against the answer of a model of identities.
func datatypeCases() []testCase {
	var cases []testCase
	for _, d := range datatypes {
		name, lvl := "datatype/"+strings.ToLower(d), must
		if d == "FP16" {
			lvl = should // "problematic to communicate explicitly"
		}
		cases = append(cases,
			testCase{name + "-json", lvl, rest("Tensor Data Types"), d + " as JSON is answered", withDatatype(d), datatypeJSON},
			testCase{name + "-json-extremes", lvl, rest("Tensor Data Types"), "the least and greatest " + d + " come back as they were sent", identityWith(d), extremesJSON(d)},
			testCase{name + "-binary", may, binaryDoc("Binary Tensor Request"), d + " as binary data is answered as the same JSON is", extension(withDatatype(d), binaryTensors...), datatypeBinary(d)},
			testCase{name + "-binary-extremes", may, binaryDoc("Binary Tensor Request"), "the least and greatest " + d + " come back as the bytes that were sent", extension(identityWith(d), binaryTensors...), extremesBinary(d)},
		)
	}
	return cases
}

// binaryTensors are the names by which servers advertise binary data.
var binaryTensors = []string{"binary_tensor_data"}

// identityWith chooses a model of identities with an input of the datatype.
func identityWith(datatype string) chooser {
	return modelWith("the name and the tensors of `identity`, and "+datatype, func(m *model) bool {
		return m.isIdentity() && m.index(datatype) >= 0
	})
}

func datatypeJSON(p *probe) error {
	inputs := p.m.example(1, 0)
	a, err := p.infer(request(inputs))
	if err != nil || !p.m.isIdentity() {
		return err
	}
	return p.echoed(inputs, a)
}

// echoed holds every output to the input in its place.
func (p *probe) echoed(inputs []tensor, a *answer) error {
	for i, in := range inputs {
		out, err := a.output(p.m.Outputs[i].Name)
		if err != nil {
			return err
		}
		if err := differ(out, tensor{out.name, in.datatype, in.shape, in.values}, 0); err != nil {
			return err
		}
	}
	return nil
}

// withValues is the example with one input replaced by rows of certain values.
func (m *model) withValues(datatype string, values []any) ([]tensor, error) {
	rows := len(values)
	if !m.batched() {
		rows = 1
	}
	inputs := m.example(rows, 0)
	in := &inputs[m.index(datatype)]
	if len(in.values) < len(values) {
		return nil, missing("%s takes %d values of %s at once", m.Name, len(in.values), datatype)
	}
	for i := range in.values {
		in.values[i] = values[i%len(values)]
	}
	return inputs, nil
}

func extremesJSON(datatype string) func(*probe) error {
	return func(p *probe) error {
		inputs, err := p.m.withValues(datatype, extremes(datatype))
		if err != nil {
			return err
		}
		a, err := p.infer(request(inputs))
		if err != nil {
			return err
		}
		return p.echoed(inputs, a)
	}
}

// datatypeBinary holds the answer to binary inputs to the inputs themselves, or to
// the answer in JSON of a model that computes something else.
func datatypeBinary(datatype string) func(*probe) error {
	return func(p *probe) error {
		inputs := p.m.example(1, 0)
		body := newBinary(inputs, func(t tensor) bool { return t.datatype == datatype })
		if p.m.isIdentity() {
			body.json["parameters"] = object{"binary_data_output": true}
			a, err := p.inferBinary(body)
			return first(err, func() error { return p.echoed(inputs, a) })
		}
		want, err := p.infer(request(inputs))
		if err != nil {
			return err
		}
		a, err := p.inferBinary(body)
		return first(err, func() error { return differentOutputs(a.outputs, want.outputs, 0) })
	}
}

func extremesBinary(datatype string) func(*probe) error {
	return func(p *probe) error {
		inputs, err := p.m.withValues(datatype, extremes(datatype))
		if err != nil {
			return err
		}
		body := newBinary(inputs, always)
		body.json["parameters"] = object{"binary_data_output": true}
		a, err := p.inferBinary(body)
		if err != nil {
			return err
		}
		if i := slices.Index(a.binary, false); i >= 0 {
			return fmt.Errorf("%s as JSON", a.outputs[i].name)
		}
		return p.echoed(inputs, a)
	}
}
