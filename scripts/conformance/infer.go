package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object that cases change at will.
type object = map[string]any

// encode is a value as JSON with its members in one order.
func encode(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err) // what cases build can always be written
	}
	return b
}

// as is a value that is known to be of a type; of another, it is that type's zero.
func as[T any](v any) T {
	t, _ := v.(T)
	return t
}

// request is an inference request for inputs as flat JSON.
func request(inputs []tensor) object {
	list := make([]any, len(inputs))
	for i, t := range inputs {
		list[i] = object{"name": t.name, "shape": t.shape, "datatype": t.datatype, "data": t.flat()}
	}
	return object{"inputs": list}
}

// valid is an inference request that the probe's model takes.
func (p *probe) valid() object { return request(p.m.example(1, 0)) }

// input is the n-th input of a request.
func input(b object, n int) object {
	return as[object](as[[]any](b["inputs"])[n])
}

// answerTensor is an output as JSON.
type answerTensor struct {
	Name       *string        `json:"name"`
	Datatype   *string        `json:"datatype"`
	Shape      []int64        `json:"shape"`
	Parameters map[string]any `json:"parameters"`
	Data       jsontext.Value `json:"data"`
}

// answer is an inference response (inference_rest.md, Inference Response JSON
// Object), its outputs read and held to their shapes.
type answer struct {
	ModelName    *string        `json:"model_name"`
	ModelVersion *string        `json:"model_version"`
	ID           *string        `json:"id"`
	Parameters   map[string]any `json:"parameters"`
	Raw          []answerTensor `json:"outputs"`

	outputs []tensor
	binary  []bool // whether each output came as binary data
	head    int    // bytes of JSON
}

// readAnswer reads an inference response with or without binary data.
func readAnswer(x *exchange) (*answer, error) {
	head, tail, err := split(x)
	if err != nil {
		return nil, err
	}
	a := &answer{head: len(head)}
	if err := json.Unmarshal(head, a); err != nil {
		return nil, fmt.Errorf("200 and no inference response: %w in %s", err, shortened(string(head)))
	}
	if a.Raw == nil {
		return nil, fmt.Errorf("200 without outputs: %s", shortened(string(head)))
	}
	for _, raw := range a.Raw {
		out, rest, err := raw.read(tail)
		if err != nil {
			return nil, err
		}
		a.outputs, a.binary = append(a.outputs, out), append(a.binary, raw.Parameters["binary_data_size"] != nil)
		tail = rest
	}
	if len(tail) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last output", len(tail))
	}
	return a, nil
}

// split parts the JSON of an answer from its binary data.
func split(x *exchange) (head, tail []byte, err error) {
	text := x.answerHeader.Get(headerLength)
	if text == "" {
		return x.answer, nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(x.answer) {
		return nil, nil, fmt.Errorf("%s: %s for a body of %d bytes", headerLength, text, len(x.answer))
	}
	return x.answer[:n], x.answer[n:], nil
}

// read reads an output, whose binary data are at the beginning of tail.
func (r answerTensor) read(tail []byte) (out tensor, rest []byte, err error) {
	if r.Name == nil || r.Datatype == nil || r.Shape == nil {
		return out, nil, errors.New("an output without name, datatype or shape")
	}
	out = tensor{name: *r.Name, datatype: *r.Datatype, shape: r.Shape}
	if _, known := sizes[out.datatype]; !known {
		return out, nil, fmt.Errorf("%s with the datatype %q", out.name, out.datatype)
	}
	if !sane(out.shape) {
		return out, nil, fmt.Errorf("%s with shape %v", out.name, out.shape)
	}
	if size, ok := r.Parameters["binary_data_size"].(float64); ok {
		if size < 0 || int(size) > len(tail) || r.Data != nil {
			return out, nil, fmt.Errorf("%s with binary_data_size %v, data %t and %d bytes left", out.name, size, r.Data != nil, len(tail))
		}
		out.values, err = parseRaw(out.datatype, out.shape, tail[:int(size)])
		tail = tail[int(size):]
	} else {
		out.values, err = parseJSON(out.datatype, r.Data)
	}
	if err != nil {
		return out, nil, fmt.Errorf("%s with %w", out.name, err)
	}
	if len(out.values) != elements(out.shape) {
		return out, nil, fmt.Errorf("%s with %d elements for shape %v", out.name, len(out.values), out.shape)
	}
	return out, tail, nil
}

// output is the output of that name.
func (a *answer) output(name string) (tensor, error) {
	for _, t := range a.outputs {
		if t.name == name {
			return t, nil
		}
	}
	return tensor{}, fmt.Errorf("no output %s", name)
}

// names are the names of the outputs, in the order of the answer.
func (a *answer) names() []string {
	var names []string
	for _, t := range a.outputs {
		names = append(names, t.name)
	}
	return names
}

// infer sends a JSON request that must be answered.
func (p *probe) infer(b object) (*answer, error) {
	return p.inferAt(p.m.path("/infer"), jsonHeader(), encode(b))
}

// inferAt sends a request that must be answered.
func (p *probe) inferAt(path string, header http.Header, body []byte) (*answer, error) {
	x, err := p.do(http.MethodPost, path, header, body)
	if err != nil {
		return nil, err
	}
	if err := x.ok(); err != nil {
		return nil, err
	}
	a, err := readAnswer(x)
	if err == nil && len(a.outputs) == 0 {
		err = errors.New("200 with no output")
	}
	return a, err
}

// differentOutputs says where the outputs of two answers to the same inputs differ.
func differentOutputs(got, want []tensor, tolerance float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, not %d", len(got), len(want))
	}
	for i := range want {
		if got[i].name != want[i].name {
			return fmt.Errorf("output %s, not %s", got[i].name, want[i].name)
		}
		if err := differ(got[i], want[i], tolerance); err != nil {
			return err
		}
	}
	return nil
}

// refused says what is wrong with the answer to a request that cannot be served:
// it must be an error status with {"error": text} (inference_rest.md, Inference
// Response JSON Error Object).
func (x *exchange) refused() error {
	if x.status < http.StatusBadRequest {
		return errors.New(x.summary())
	}
	var body struct {
		Error *string `json:"error"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(x.answer), &body); err != nil || body.Error == nil || *body.Error == "" {
		return fmt.Errorf(`no {"error": text}: %s`, x.summary())
	}
	return nil
}
