package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// refusal is an inference request that cannot be served.
type refusal struct {
	name   string
	level  level
	clause string
	what   string
	choose chooser
	edit   func(*probe, object) any // what to send instead of the valid request: []byte as it is
}

// refusals are requests in JSON. A case is MUST where no right answer exists, and
// SHOULD where a lenient server could guess what was meant.
func refusals() []refusal {
	const in, tin, data, types = "Inference Request JSON Object", "Request Input", "Tensor Data", "Tensor Data Types"
	return []refusal{
		{"empty-body", must, rest(in), "no body", anyModel, literal("")},
		{"bad-json", must, rest(in), "JSON that breaks off", anyModel, broken},
		{"not-an-object", must, rest(in), "an array instead of the request", anyModel, literal(`[]`)},
		{"null", must, rest(in), "null instead of the request", anyModel, literal(`null`)},
		{"trailing-data", should, "RFC 8259, 2 JSON Grammar", "a second value behind the request", anyModel, trailing},
		{"repeated-member", should, "RFC 8259, 4 Objects", "`inputs` twice in one object", anyModel, repeatedMember},
		{"nan-literal", should, "RFC 8259, 6 Numbers", "NaN as an element", numeric("float"), element0("NaN")},
		{"deep-nesting", should, rest(data), "data nested 100,000 deep", anyModel, deep},
		{"no-inputs", must, rest(in), "no `inputs`", anyModel, without("inputs")},
		{"empty-inputs", must, rest(in), "`inputs` that list none", anyModel, set("inputs", []any{})},
		{"inputs-object", must, rest(in), "`inputs` that are an object", anyModel, set("inputs", object{"name": "x"})},
		{"missing-input", must, rest(in), "one input of two", twoInputs, dropInput},
		{"unknown-input", should, rest(tin), "an input that the model does not have", anyModel, unknownInput},
		{"duplicate-input", should, rest(tin), "an input twice", anyModel, duplicateInput},
		{"wrong-name", must, rest(tin), "every input by a name of no input", anyModel, renameInputs},
		{"no-name", should, rest(tin), "an input without `name`", anyModel, inputWithout("name")},
		{"no-shape", must, rest(tin), "an input without `shape`", anyModel, inputWithout("shape")},
		{"no-datatype", should, rest(tin), "an input without `datatype`", anyModel, inputWithout("datatype")},
		{"no-data", must, rest(tin), "an input without `data`", anyModel, inputWithout("data")},
		{"null-data", must, rest(tin), "`data` that are null", anyModel, setInput("data", nil)},
		{"scalar-data", should, rest(data), "`data` that are no array", anyModel, setInput("data", 1)},
		{"too-few-elements", must, rest(tin), "an element less than the shape has", anyModel, resize(-1)},
		{"too-many-elements", must, rest(tin), "an element more than the shape has", anyModel, resize(1)},
		{"ragged-data", should, rest(data), "rows of different lengths", anyModel, ragged},
		{"shape-of-text", must, rest(tin), "text as a dimension", anyModel, setShape("x")},
		{"shape-fraction", must, rest(tin), "1.5 as a dimension", anyModel, setShape(1.5)},
		{"shape-negative", must, rest(tin), "-1 as a dimension", anyModel, setShape(-1)},
		{"shape-huge", must, rest(tin), "2⁶² as a dimension", anyModel, setShape(int64(1) << 62)},
		{"shape-beyond-64-bits", must, rest(tin), "10³⁰ as a dimension", anyModel, setShape(jsontext.Value("1" + strings.Repeat("0", 30)))},
		{"shape-overflow", must, rest(tin), "dimensions whose product is 2⁶⁴ times the number of elements", anyModel, overflowShape},
		{"shape-rank", should, rest("Model Metadata"), "a dimension more than in the metadata", anyModel, extraDimension},
		{"shape-fixed-dimension", should, rest("Model Metadata"), "a dimension of another size than in the metadata", fixedDimension, widen},
		{"unknown-datatype", must, rest(types), "FLOAT as a datatype", anyModel, setInput("datatype", "FLOAT")},
		{"other-datatype", should, rest("Model Metadata"), "a datatype other than in the metadata", anyModel, otherDatatype},
		{"datatype-number", should, rest(tin), "a number as datatype", anyModel, setInput("datatype", 32)},
		{"text-as-number", must, rest(data), "text without digits as an element of numbers", numeric("int", "uint", "float"), element0(`"abc"`)},
		{"null-element", should, rest(data), "null as an element", anyModel, element0("null")},
		{"object-element", must, rest(data), "an object as an element", anyModel, element0(`{}`)},
		{"integer-overflow", must, rest(types), "an integer that its datatype does not hold", numeric("int", "uint"), beyond},
		{"float-overflow", should, rest(types), "1e400 as a floating-point element", numeric("float"), element0("1e400")},
		{"unknown-output", should, rest("Request Output"), "an output that the model does not have", anyModel, set("outputs", []any{object{"name": "no-such-output"}})},
		{"outputs-text", should, rest(in), "text instead of the list of outputs", anyModel, set("outputs", "all")},
		{"id-number", should, rest(in), "a number as `id`", anyModel, set("id", 42)},
		{"parameters-array", should, rest("Parameters"), "an array as `parameters`", anyModel, set("parameters", []any{1})},
		{"parameter-object", should, rest("Parameters"), "an object as a parameter's value", anyModel, set("parameters", object{"x": object{}})},
	}
}

// refusalCases are refusals and what they have in common.
func refusalCases() []testCase {
	var cases []testCase
	for _, r := range refusals() {
		cases = append(cases, testCase{"refuse/" + r.name, r.level, r.clause, `an error status and {"error": text} for ` + r.what, r.choose, r.run})
	}
	const object = "Inference Response JSON Error Object"
	return append(cases,
		testCase{"refuse/unknown-model", must, rest(object), `an error status and {"error": text} for an unknown model`, anyModel, inferUnknownModel},
		testCase{"refuse/unknown-version", must, rest(object), `an error status and {"error": text} for an unknown version`, anyModel, inferUnknownVersion},
		testCase{"refuse/client-error", should, rest(object), "4xx for each of these requests (\"typically 400\")", anyModel, noneIsServerError},
		testCase{"refuse/unknown-model-404", should, rfc9110("15.5.5 404 Not Found"), "404 for an unknown model", anyModel, unknownModel404},
		testCase{"refuse/content-type", should, openAPI("400"), "Content-Type: application/json with an error", anyModel, errorContentType},
		testCase{"refuse/then-serves", must, rest("Server Live"), "a valid request is answered after each of these", anyModel, servesAfterwards},
	)
}

// send makes the request of the probe's model and sends it.
func (r refusal) send(p *probe) (*exchange, error) {
	body, isBytes := r.edit(p, p.valid()).([]byte)
	if !isBytes {
		body = encode(r.edit(p, p.valid()))
	}
	return p.post(p.m.path("/infer"), body)
}

func (r refusal) run(p *probe) error {
	x, err := r.send(p)
	if err != nil {
		return err
	}
	return x.refused()
}

// each sends every refusal that a model can be found for.
func each(p *probe, visit func(refusal, *exchange) error) error {
	for _, r := range refusals() {
		m, err := r.choose(p.t)
		if err != nil {
			continue
		}
		p.m = m
		x, err := r.send(p)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := visit(r, x); err != nil {
			return err
		}
	}
	return nil
}

func noneIsServerError(p *probe) error {
	var bad []string
	err := each(p, func(r refusal, x *exchange) error {
		if x.status >= http.StatusInternalServerError {
			bad = append(bad, r.name)
		}
		return nil
	})
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("5xx for %s", strings.Join(bad, ", "))
	}
	return err
}

func servesAfterwards(p *probe) error {
	return each(p, func(r refusal, _ *exchange) error {
		if _, err := p.baseline(); err != nil {
			return fmt.Errorf("after %s: %w", r.name, err)
		}
		return nil
	})
}

func inferUnknownModel(p *probe) error {
	x, err := p.post("/v2/models/"+noModel+"/infer", encode(p.valid()))
	return first(err, func() error { return x.refused() })
}

func inferUnknownVersion(p *probe) error {
	x, err := p.post(p.m.versionPath("987654321", "/infer"), encode(p.valid()))
	return first(err, func() error { return x.refused() })
}

func unknownModel404(p *probe) error {
	x, err := p.post("/v2/models/"+noModel+"/infer", encode(p.valid()))
	if err == nil && x.status != http.StatusNotFound {
		err = fmt.Errorf("%s", x.summary())
	}
	return err
}

func errorContentType(p *probe) error {
	x, err := p.post(p.m.path("/infer"), []byte("{"))
	return first(err, func() error { return first(x.refused(), x.isJSON) })
}

type edit = func(*probe, object) any

func literal(s string) edit { return func(*probe, object) any { return []byte(s) } }

func broken(_ *probe, b object) any { return encode(b)[:len(encode(b))-2] }

func trailing(_ *probe, b object) any { return append(encode(b), `{"inputs":[]}`...) }

func repeatedMember(_ *probe, b object) any {
	return []byte(`{"inputs":[],` + string(encode(b))[1:])
}

// deep nests the data without an end, which tempts a recursive reader.
func deep(_ *probe, b object) any {
	input(b, 0)["data"] = "HERE"
	return []byte(strings.Replace(string(encode(b)), `"HERE"`, strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), 1))
}

func without(member string) edit {
	return func(_ *probe, b object) any {
		delete(b, member)
		return b
	}
}

func set(member string, v any) edit {
	return func(_ *probe, b object) any {
		b[member] = v
		return b
	}
}

func inputWithout(member string) edit {
	return func(_ *probe, b object) any {
		delete(input(b, 0), member)
		return b
	}
}

func setInput(member string, v any) edit {
	return func(_ *probe, b object) any {
		input(b, 0)[member] = v
		return b
	}
}

// setShape puts a dimension before those of the first input.
func setShape(first any) edit {
	return func(p *probe, b object) any {
		shape := []any{first}
		for _, d := range p.m.example(1, 0)[0].shape[1:] {
			shape = append(shape, d)
		}
		input(b, 0)["shape"] = shape
		return b
	}
}

// overflowShape has the right number of elements, modulo 2⁶⁴.
func overflowShape(p *probe, b object) any {
	shape := slices.Clone(p.m.example(1, 0)[0].shape)
	input(b, 0)["shape"] = append([]int64{1 << 32, 1 << 32}, shape...)
	return b
}

func extraDimension(p *probe, b object) any {
	input(b, 0)["shape"] = append(slices.Clone(p.m.example(1, 0)[0].shape), 1)
	return b
}

func dropInput(_ *probe, b object) any {
	b["inputs"] = as[[]any](b["inputs"])[1:]
	return b
}

func unknownInput(_ *probe, b object) any {
	extra := object{"name": "no-such-input", "shape": []int64{1, 1}, "datatype": "FP32", "data": []float32{1}}
	b["inputs"] = append(as[[]any](b["inputs"]), extra)
	return b
}

func duplicateInput(_ *probe, b object) any {
	b["inputs"] = append(as[[]any](b["inputs"]), input(b, 0))
	return b
}

func renameInputs(p *probe, b object) any {
	for i := range p.m.Inputs {
		input(b, i)["name"] = fmt.Sprintf("no-such-input-%c", 'a'+i)
	}
	return b
}

func resize(by int) edit {
	return func(p *probe, b object) any {
		t := p.m.example(1, 0)[0]
		if by > 0 {
			t.values = append(t.values, t.values[0])
		} else {
			t.values = t.values[1:]
		}
		input(b, 0)["data"] = t.flat()
		return b
	}
}

// ragged has as many elements as the shape, in rows of which one lacks an element
// that the next has too many.
func ragged(p *probe, b object) any {
	for i, t := range p.m.example(2, 0) {
		input(b, i)["shape"], input(b, i)["data"] = t.shape, t.nested()
		if v := t.flat(); i == 0 {
			input(b, i)["data"] = []any{v[:len(v)-len(v)/2-1], append([]any{}, v[len(v)-len(v)/2-1:]...)}
		}
	}
	return b
}

// fixedDimension chooses a model whose first input has a fixed dimension.
var fixedDimension = modelWith("a fixed dimension in its first input", func(m *model) bool {
	return slices.ContainsFunc(m.Inputs[0].Shape, func(d int64) bool { return d > 0 })
})

// widen sends the first input with its fixed dimension one wider, and as many
// elements.
func widen(p *probe, b object) any {
	t := p.m.example(1, 0)[0]
	t.shape[slices.IndexFunc(p.m.Inputs[0].Shape, func(d int64) bool { return d > 0 })]++
	for len(t.values) < elements(t.shape) {
		t.values = append(t.values, t.values[0])
	}
	input(b, 0)["shape"], input(b, 0)["data"] = t.shape, t.flat()
	return b
}

func otherDatatype(p *probe, b object) any {
	other := "INT64"
	if p.m.Inputs[0].Datatype == other {
		other = "FP64"
	}
	t := p.m.example(1, 0)[0]
	for i := range t.values {
		t.values[i] = int64(i)
	}
	input(b, 0)["datatype"], input(b, 0)["data"] = other, t.values
	return b
}

// element0 replaces an element of the first input of numbers, or else of the first.
func element0(text string) edit {
	return func(p *probe, b object) any {
		n := 0
		if text != "null" && text != "{}" {
			n = max(0, p.m.indexOf("int", "uint", "float"))
		}
		if text == "NaN" || text == "1e400" {
			n = p.m.indexOf("float")
		}
		data := p.m.example(1, 0)[n].flat()
		data[0] = "HERE"
		input(b, n)["data"] = data
		return []byte(strings.Replace(string(encode(b)), `"HERE"`, text, 1))
	}
}

// beyond is one more than the first input of integers holds.
func beyond(p *probe, b object) any {
	n := p.m.indexOf("int", "uint")
	greatest := map[string]string{
		"INT8": "128", "INT16": "32768", "INT32": "2147483648", "INT64": "9223372036854775808",
		"UINT8": "256", "UINT16": "65536", "UINT32": "4294967296", "UINT64": "18446744073709551616",
	}[p.m.Inputs[n].Datatype]
	data := p.m.example(1, 0)[n].flat()
	data[0] = jsontext.Value(greatest)
	input(b, n)["data"] = data
	return b
}
