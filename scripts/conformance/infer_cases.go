package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// inferCases are about inference requests in JSON that must be answered.
func inferCases() []testCase {
	const answer, out, data, in = "Inference Response JSON Object", "Response Output", "Tensor Data", "Inference Request JSON Object"
	return []testCase{
		{"infer/flat", must, rest(data), "200 and an inference response to data in one dimension", anyModel, inferFlat},
		{"infer/nested", must, rest(data), "the same outputs for data in all dimensions", anyModel, inferNested},
		{"infer/model-name", must, rest(answer), "`model_name` is the model's", anyModel, answersModelName},
		{"infer/model-version", must, rest(answer), "`model_version`, if there, is one of the metadata's `versions`", anyModel, answersVersion},
		{"infer/version-route", must, rest("HTTP/REST"), "each of `versions` answers on its route, with its `model_version`", versioned, versionRoute},
		{"infer/id", must, rest(in), "the `id` comes back", anyModel, echoesID("42")},
		{"infer/id-text", must, rest(in), "an `id` of quotes, escapes and Unicode comes back", anyModel, echoesID("q\" \\ /é ☃ 𝄞 \n")},
		{"infer/id-long", should, rest(in), "an `id` of 200 characters comes back", anyModel, echoesID(strings.Repeat("0123456789", 20))},
		{"infer/all-outputs", must, rest(in), "without `outputs`, all outputs of the metadata", anyModel, allOutputs},
		{"infer/empty-outputs", should, rest(in), "`outputs` that list none: all of them, or an error", anyModel, emptyOutputs},
		{"infer/output-datatypes", must, rest(out), "each output has the datatype of the metadata", anyModel, outputDatatypes},
		{"infer/output-shapes", must, rest(out), "each output has the shape of the metadata", anyModel, outputShapes},
		{"infer/one-output", must, rest("Request Output"), "only the output that `outputs` names", twoOutputs, oneOutput},
		{"infer/output-order", should, rest("Request Output"), "outputs in the order in which they were asked for", twoOutputs, outputOrder},
		{"infer/input-order", should, rest("Request Input"), "the same outputs for inputs in another order", twoInputs, inputOrder},
		{"infer/parameters", should, rest("Parameters"), "unknown parameters of the request are no error", anyModel, withParameters(requestParameters)},
		{"infer/input-parameters", should, rest("Parameters"), "unknown parameters of an input are no error", anyModel, withParameters(inputParameters)},
		{"infer/output-parameters", should, rest("Parameters"), "unknown parameters of an output are no error", anyModel, withParameters(outputParameters)},
		{"infer/member-order", must, "RFC 8259, 4 Objects", "the same outputs for members in any order", anyModel, memberOrder},
		{"infer/whitespace", must, "RFC 8259, 2 JSON Grammar", "the same outputs with white space between tokens", anyModel, whitespace},
		{"infer/escapes", must, "RFC 8259, 7 Strings", "the same outputs for names written with \\u escapes", anyModel, escapedStrings},
		{"infer/exponents", should, "RFC 8259, 6 Numbers", "the same outputs for numbers written with an exponent", numeric("float"), exponents},
		{"infer/integral-floats", should, rest(data), "numbers written as 1.0 and as 1 are the same element", numeric("float"), integers},
		{"infer/repeats", should, rest("Inference"), "the same outputs for the same request", anyModel, repeats},
		{"infer/simple-arithmetic", must, rest("Inference"), "OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 − INPUT1", simpleModel, simpleArithmetic},
		{"infer/simple-negative", must, rest(data), "the sums of negative numbers", simpleModel, simpleNegative},
		{"infer/iris-classes", must, rest("Inference"), "three known flowers get three different classes, each time the same", irisModel, irisClasses},
	}
}

// baseline is the answer to the model's example in flat JSON.
func (p *probe) baseline() (*answer, error) { return p.infer(p.valid()) }

// sameAsBaseline sends a body that means the same as the example.
func (p *probe) sameAsBaseline(body []byte) error {
	want, err := p.baseline()
	if err != nil {
		return err
	}
	got, err := p.inferAt(p.m.path("/infer"), jsonHeader(), body)
	if err != nil {
		return err
	}
	return differentOutputs(got.outputs, want.outputs, 0)
}

func inferFlat(p *probe) error {
	_, err := p.baseline()
	return err
}

func inferNested(p *probe) error {
	inputs := p.m.example(1, 0)
	body := request(inputs)
	for i, t := range inputs {
		input(body, i)["data"] = t.nested()
	}
	return p.sameAsBaseline(encode(body))
}

func answersModelName(p *probe) error {
	a, err := p.baseline()
	if err != nil {
		return err
	}
	if a.ModelName == nil || *a.ModelName != p.m.Name {
		return fmt.Errorf("model_name: %s", orNil(a.ModelName))
	}
	return nil
}

func orNil(s *string) string {
	if s == nil {
		return "(not there)"
	}
	return shortened(fmt.Sprintf("%q", *s))
}

func answersVersion(p *probe) error {
	a, err := p.baseline()
	if err != nil || a.ModelVersion == nil {
		return err
	}
	if len(p.m.Versions) > 0 && !slices.Contains(p.m.Versions, *a.ModelVersion) {
		return fmt.Errorf("model_version: %s of %v", orNil(a.ModelVersion), p.m.Versions)
	}
	return nil
}

func versionRoute(p *probe) error {
	for _, v := range p.m.Versions {
		a, err := p.inferAt(p.m.versionPath(v, "/infer"), jsonHeader(), encode(p.valid()))
		if err != nil {
			return err
		}
		if a.ModelVersion == nil || *a.ModelVersion != v {
			return fmt.Errorf("model_version: %s on the route of %s", orNil(a.ModelVersion), v)
		}
	}
	return nil
}

func echoesID(id string) func(*probe) error {
	return func(p *probe) error {
		body := p.valid()
		body["id"] = id
		a, err := p.infer(body)
		if err != nil {
			return err
		}
		if a.ID == nil || *a.ID != id {
			return fmt.Errorf("id: %s", orNil(a.ID))
		}
		return nil
	}
}

func specNames(specs []spec) []string {
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	return names
}

func allOutputs(p *probe) error {
	a, err := p.baseline()
	if err != nil {
		return err
	}
	got, want := a.names(), specNames(p.m.Outputs)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the outputs %v, not %v", got, want)
	}
	return nil
}

func emptyOutputs(p *probe) error {
	body := p.valid()
	body["outputs"] = []any{}
	x, err := p.post(p.m.path("/infer"), encode(body))
	if err != nil || x.status != http.StatusOK {
		return first(err, x.clientError)
	}
	a, err := readAnswer(x)
	if err == nil && len(a.outputs) != len(p.m.Outputs) {
		err = fmt.Errorf("the outputs %v", a.names())
	}
	return err
}

// first is err, or else what next says.
func first(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func outputDatatypes(p *probe) error {
	a, err := p.baseline()
	if err != nil {
		return err
	}
	for _, s := range p.m.Outputs {
		t, err := a.output(s.Name)
		if err != nil {
			return err
		}
		if t.datatype != s.Datatype {
			return fmt.Errorf("%s as %s, in the metadata %s", t.name, t.datatype, s.Datatype)
		}
	}
	return nil
}

func outputShapes(p *probe) error {
	a, err := p.baseline()
	if err != nil {
		return err
	}
	for _, s := range p.m.Outputs {
		t, err := a.output(s.Name)
		if err != nil {
			return err
		}
		if !fits(t.shape, s.Shape) {
			return fmt.Errorf("%s with shape %v, in the metadata %v", t.name, t.shape, s.Shape)
		}
	}
	return nil
}

// fits says whether a shape is one of those that a description allows.
func fits(shape, described []int64) bool {
	return slices.EqualFunc(shape, described, func(d, want int64) bool { return want == -1 || d == want })
}

// asking is the example with a list of outputs.
func (p *probe) asking(names ...string) object {
	body := p.valid()
	var list []any
	for _, n := range names {
		list = append(list, object{"name": n})
	}
	body["outputs"] = list
	return body
}

func oneOutput(p *probe) error {
	for _, s := range p.m.Outputs {
		a, err := p.infer(p.asking(s.Name))
		if err != nil {
			return err
		}
		if got := a.names(); !slices.Equal(got, []string{s.Name}) {
			return fmt.Errorf("the outputs %v for %s", got, s.Name)
		}
	}
	return nil
}

func outputOrder(p *probe) error {
	names := specNames(p.m.Outputs)
	for range 2 {
		a, err := p.infer(p.asking(names...))
		if err != nil {
			return err
		}
		if got := a.names(); !slices.Equal(got, names) {
			return fmt.Errorf("the outputs %v for %v", got, names)
		}
		slices.Reverse(names)
	}
	return nil
}

func inputOrder(p *probe) error {
	inputs := p.m.example(1, 0)
	slices.Reverse(inputs)
	return p.sameAsBaseline(encode(request(inputs)))
}

var unknownParameters = object{"x-text": "a", "x-integer": 1, "x-number": 1.5, "x-boolean": true}

func requestParameters(_ *probe, b object) { b["parameters"] = unknownParameters }

func inputParameters(_ *probe, b object) { input(b, 0)["parameters"] = unknownParameters }

func outputParameters(p *probe, b object) {
	var list []any
	for _, s := range p.m.Outputs {
		list = append(list, object{"name": s.Name, "parameters": unknownParameters})
	}
	b["outputs"] = list
}

func withParameters(add func(*probe, object)) func(*probe) error {
	return func(p *probe) error {
		body := p.valid()
		add(p, body)
		return p.sameAsBaseline(encode(body))
	}
}

// memberOrder writes data before shape and datatype, which a reader in one pass
// does not know yet.
func memberOrder(p *probe) error {
	var b strings.Builder
	b.WriteString(`{"inputs":[`)
	for i, t := range p.m.example(1, 0) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"data":%s,"shape":%s,"datatype":%q,"name":%s}`, encode(t.flat()), encode(t.shape), t.datatype, encode(t.name))
	}
	b.WriteString(`],"id":"last"}`)
	return p.sameAsBaseline([]byte(b.String()))
}

func whitespace(p *probe) error {
	body := string(encode(p.valid()))
	body = strings.NewReplacer("[", "[ \r\n\t", "{", "\n{\t", "}", " \r\n}\t").Replace(body) // no name of a model's has these
	return p.sameAsBaseline([]byte(body))
}

func escapedStrings(p *probe) error {
	name := p.m.Inputs[0].Name
	letter, size := utf8.DecodeRuneInString(name)
	if letter > 0xffff {
		return missing("the name %s begins with a character of two escapes", name)
	}
	escaped := fmt.Sprintf(`"\u%04x%s`, letter, string(encode(name[size:]))[1:])
	body := strings.ReplaceAll(string(encode(p.valid())), `"name":`+string(encode(name)), `"name":`+escaped)
	return p.sameAsBaseline([]byte(strings.ReplaceAll(body, `"datatype"`, `"\u0064atatype"`)))
}

// spelled sends the example with whole numbers in its floating-point inputs, once
// as Go writes them and once as spell does.
func (p *probe) spelled(spell func(float64) string) error {
	inputs := p.m.example(1, 0)
	body := request(inputs)
	for i, t := range inputs {
		if class(t.datatype) != "float" {
			continue
		}
		data := make([]any, len(t.values))
		for k, v := range t.values {
			whole := math.Trunc(as[float64](v))
			t.values[k], data[k] = whole, jsontext.Value(spell(whole))
		}
		input(body, i)["data"] = data
	}
	want, err := p.infer(request(inputs))
	if err != nil {
		return err
	}
	got, err := p.infer(body)
	if err != nil {
		return err
	}
	return differentOutputs(got.outputs, want.outputs, 0)
}

func exponents(p *probe) error {
	return p.spelled(func(v float64) string { return strconv.FormatFloat(v*10, 'f', -1, 64) + "E-01" })
}

func integers(p *probe) error {
	return p.spelled(func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) })
}

func repeats(p *probe) error {
	for range 5 {
		if err := p.sameAsBaseline(encode(p.valid())); err != nil {
			return err
		}
	}
	return nil
}

// simpleRow holds `simple` to the sums and differences of numbers that begin at from.
func simpleRow(p *probe, from, step int64) error {
	inputs := p.m.example(1, 0)
	for i := range inputs {
		for k := range inputs[i].values {
			inputs[i].values[k] = from + int64(i+1)*step*int64(k)
		}
	}
	a, err := p.infer(request(inputs))
	if err != nil {
		return err
	}
	return arithmetic(inputs, a)
}

// arithmetic holds the answer of `simple` to its inputs.
func arithmetic(inputs []tensor, a *answer) error {
	x, y := inputs[0], inputs[1]
	if x.name != "INPUT0" {
		x, y = y, x
	}
	for n, sign := range []int64{1, -1} {
		got, err := a.output("OUTPUT" + strconv.Itoa(n))
		if err != nil {
			return err
		}
		want := tensor{name: got.name, datatype: "INT32", shape: x.shape}
		for k := range x.values {
			want.values = append(want.values, as[int64](x.values[k])+sign*as[int64](y.values[k]))
		}
		if err := differ(got, want, 0); err != nil {
			return err
		}
	}
	return nil
}

func simpleArithmetic(p *probe) error { return simpleRow(p, 0, 3) }

func simpleNegative(p *probe) error { return simpleRow(p, 7, -1_000_003) }

// flowers are measures of a setosa, a versicolor and a virginica that no classifier
// confuses.
var flowers = [][]any{{5.1, 3.5, 1.4, 0.2}, {5.8, 2.7, 4.1, 1.0}, {7.7, 2.6, 6.9, 2.3}}

func irisClasses(p *probe) error {
	seen := map[any]int{}
	for i := range 6 {
		in := p.m.example(1, 0)
		in[0].values = flowers[i%3]
		a, err := p.infer(request(in))
		if err != nil {
			return err
		}
		if len(a.outputs) == 0 || len(a.outputs[0].values) == 0 {
			return errors.New("no class")
		}
		class := a.outputs[0].values[0]
		if before, ok := seen[class]; ok && before != i%3 {
			return fmt.Errorf("the class %v for flowers %d and %d", class, before, i%3)
		}
		seen[class] = i % 3
	}
	if len(seen) != len(flowers) {
		return fmt.Errorf("%d classes for three flowers, each sent twice", len(seen))
	}
	return nil
}
