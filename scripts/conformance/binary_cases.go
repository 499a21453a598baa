package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// binaryBody is a request whose tensors may be bytes behind the JSON
// (extension_binary_data.md, Binary Tensor Request).
type binaryBody struct {
	json object
	tail []byte
}

func always(tensor) bool { return true }

// newBinary makes a request with those inputs as bytes for which asBytes holds.
func newBinary(inputs []tensor, asBytes func(tensor) bool) *binaryBody {
	b := &binaryBody{json: request(inputs)}
	for i, t := range inputs {
		if asBytes(t) {
			raw := t.raw()
			delete(input(b.json, i), "data")
			input(b.json, i)["parameters"] = object{"binary_data_size": len(raw)}
			b.tail = append(b.tail, raw...)
		}
	}
	return b
}

// bytes are the whole body, and its headers.
func (b *binaryBody) bytes() (http.Header, []byte) {
	head := encode(b.json)
	return binaryHeader(strconv.Itoa(len(head))), append(head, b.tail...)
}

func binaryHeader(length string) http.Header {
	return http.Header{"Content-Type": {"application/octet-stream"}, headerLength: {length}}
}

func (p *probe) inferBinary(b *binaryBody) (*answer, error) {
	header, body := b.bytes()
	return p.inferAt(p.m.path("/infer"), header, body)
}

func asBinary(next chooser) chooser { return extension(next, binaryTensors...) }

// rawInput chooses a model that a raw request fits: one input, of no BYTES, with at
// most one dimension of any size.
var rawInput = modelWith("a single input for a raw request", func(m *model) bool {
	variable := 0
	for _, d := range m.Inputs[0].Shape {
		if d == -1 {
			variable++
		}
	}
	return len(m.Inputs) == 1 && m.Inputs[0].Datatype != "BYTES" && variable <= 1
})

// binaryCases are about binary tensor data that must be answered.
func binaryCases() []testCase {
	const req, raw = "Binary Tensor Request", "Raw Binary Request"
	return []testCase{
		{"binary/inputs", may, binaryDoc(req), "binary inputs are answered as the same JSON is", asBinary(anyModel), binaryInputs},
		{"binary/mixed-inputs", may, binaryDoc(req), "one input as JSON, the others binary", asBinary(twoInputs), mixedInputs},
		{"binary/batch", may, binaryDoc(req), "five rows as bytes", asBinary(batchedModel), binaryRows},
		{"binary/json-answer", may, binaryDoc(req), "outputs as JSON unless binary ones are asked for", asBinary(anyModel), jsonAnswer},
		{"binary/output", may, binaryDoc(req), "`binary_data` gives the output as bytes, with the same values", asBinary(anyModel), binaryOutput},
		{"binary/output-default", may, binaryDoc(req), "`binary_data_output` gives all outputs as bytes", asBinary(anyModel), binaryOutputDefault},
		{"binary/output-override", may, binaryDoc(req), "`binary_data: false` of an output overrides `binary_data_output`", asBinary(anyModel), binaryOverride},
		{"binary/mixed-outputs", may, binaryDoc(req), "one output as bytes, the other as JSON", asBinary(twoOutputs), mixedOutputs},
		{"binary/output-order", may, binaryDoc(req), "bytes in the order of the outputs in the JSON", asBinary(twoOutputs), binaryOutputOrder},
		{"binary/response-header", may, binaryDoc(req), headerLength + " is the length of the JSON", asBinary(anyModel), binaryResponseHeader},
		{"binary/response-type", may, binaryDoc("Examples"), "Content-Type: application/octet-stream with bytes", asBinary(anyModel), binaryResponseType},
		{"binary/json-type", may, binaryDoc(req), "no " + headerLength + " when all outputs are JSON", asBinary(anyModel), jsonHasNoHeader},
		{"binary/id", may, binaryDoc(req), "the `id` comes back with binary data", asBinary(anyModel), binaryID},
		{"binary/bool-bytes", may, binaryDoc(req), "true is the byte 1, false the byte 0", asBinary(identityWith("BOOL")), extremesBinary("BOOL")},
		{"binary/model-name", may, binaryDoc("Examples"), "`model_name` in a request, as in the document's example, is no error", asBinary(anyModel), toleratesModelName},
		{"binary/raw", may, binaryDoc(raw), headerLength + ": 0 and only the tensor's bytes", asBinary(rawInput), rawRequest},
		{"binary/raw-outputs", may, binaryDoc(raw), "all outputs of a raw request come as bytes", asBinary(rawInput), rawOutputs},
	}
}

// binaryAgrees sends a binary request that must be answered as the JSON request for
// the same inputs is.
func (p *probe) binaryAgrees(inputs []tensor, asBytes func(tensor) bool) error {
	want, err := p.infer(request(inputs))
	if err != nil {
		return err
	}
	a, err := p.inferBinary(newBinary(inputs, asBytes))
	if err != nil {
		return err
	}
	return differentOutputs(a.outputs, want.outputs, 0)
}

func binaryInputs(p *probe) error { return p.binaryAgrees(p.m.example(1, 0), always) }

func mixedInputs(p *probe) error {
	for i := range p.m.Inputs {
		if err := p.binaryAgrees(p.m.example(1, 0), func(t tensor) bool { return t.name != p.m.Inputs[i].Name }); err != nil {
			return err
		}
	}
	return nil
}

func binaryRows(p *probe) error { return p.binaryAgrees(p.m.example(5, 0), always) }

func jsonAnswer(p *probe) error {
	a, err := p.inferBinary(newBinary(p.m.example(1, 0), always))
	if err == nil && slices.Contains(a.binary, true) {
		err = fmt.Errorf("bytes that nobody asked for: %v", a.names())
	}
	return err
}

// wantBinary sends a JSON request and holds each output to its form and to the
// values of the answer in JSON.
func (p *probe) wantBinary(b object, want func(name string) bool) error {
	plain, err := p.baseline()
	if err != nil {
		return err
	}
	a, err := p.infer(b)
	if err != nil {
		return err
	}
	for i, t := range a.outputs {
		if a.binary[i] != want(t.name) {
			return fmt.Errorf("%s as bytes: %t", t.name, a.binary[i])
		}
		same, err := plain.output(t.name)
		if err != nil {
			return err
		}
		if err := differ(t, same, 0); err != nil {
			return err
		}
	}
	return nil
}

// askingBinary is the example that asks for every output with its own binary_data.
func (p *probe) askingBinary(want func(name string) bool) object {
	body := p.valid()
	var list []any
	for _, s := range p.m.Outputs {
		list = append(list, object{"name": s.Name, "parameters": object{"binary_data": want(s.Name)}})
	}
	body["outputs"] = list
	return body
}

func every(string) bool { return true }

func none(string) bool { return false }

func binaryOutput(p *probe) error { return p.wantBinary(p.askingBinary(every), every) }

func allBinary(p *probe) object {
	body := p.valid()
	body["parameters"] = object{"binary_data_output": true}
	return body
}

func binaryOutputDefault(p *probe) error { return p.wantBinary(allBinary(p), every) }

func binaryOverride(p *probe) error {
	body := p.askingBinary(none)
	body["parameters"] = object{"binary_data_output": true}
	return p.wantBinary(body, none)
}

func mixedOutputs(p *probe) error {
	for _, s := range p.m.Outputs {
		only := func(name string) bool { return name == s.Name }
		if err := p.wantBinary(p.askingBinary(only), only); err != nil {
			return err
		}
	}
	return nil
}

func binaryOutputOrder(p *probe) error {
	body := p.askingBinary(every)
	slices.Reverse(as[[]any](body["outputs"]))
	return p.wantBinary(body, every)
}

func binaryResponseHeader(p *probe) error {
	a, err := p.infer(allBinary(p))
	if err != nil {
		return err
	}
	if text := p.last.answerHeader.Get(headerLength); text != strconv.Itoa(a.head) || !slices.Contains(a.binary, true) {
		return fmt.Errorf("%s: %q", headerLength, text)
	}
	return nil
}

func binaryResponseType(p *probe) error {
	if _, err := p.infer(allBinary(p)); err != nil {
		return err
	}
	if got := p.last.answerHeader.Get("Content-Type"); got != "application/octet-stream" {
		return fmt.Errorf("Content-Type: %s", got)
	}
	return nil
}

func jsonHasNoHeader(p *probe) error {
	if err := jsonAnswer(p); err != nil {
		return err
	}
	if got := p.last.answerHeader.Get(headerLength); got != "" {
		return fmt.Errorf("%s: %s", headerLength, got)
	}
	return p.last.isJSON()
}

func binaryID(p *probe) error {
	b := newBinary(p.m.example(1, 0), always)
	b.json["id"], b.json["parameters"] = "binary-7", object{"binary_data_output": true}
	a, err := p.inferBinary(b)
	if err == nil && (a.ID == nil || *a.ID != "binary-7") {
		err = fmt.Errorf("id: %s", orNil(a.ID))
	}
	return err
}

func toleratesModelName(p *probe) error {
	b := newBinary(p.m.example(1, 0), always)
	b.json["model_name"] = p.m.Name
	_, err := p.inferBinary(b)
	return err
}

// rawAnswer sends the only input's bytes and nothing else. A raw request to a model
// that counts rows is one row.
func (p *probe) rawAnswer() (*answer, error) {
	return p.inferAt(p.m.path("/infer"), binaryHeader("0"), p.m.example(1, 0)[0].raw())
}

func rawRequest(p *probe) error {
	want, err := p.baseline()
	if err != nil {
		return err
	}
	a, err := p.rawAnswer()
	if err != nil {
		return err
	}
	return differentOutputs(a.outputs, want.outputs, 0)
}

func rawOutputs(p *probe) error {
	a, err := p.rawAnswer()
	if err == nil && slices.Contains(a.binary, false) {
		err = fmt.Errorf("as bytes: %v of %v", a.binary, a.names())
	}
	return err
}
