package oip_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

func specs(types ...tensor.DType) []tensor.Spec {
	all := make([]tensor.Spec, len(types))
	for i, d := range types {
		all[i] = tensor.Spec{Name: string(rune('a' + i)), DType: d}
	}
	return all
}

// answer writes a response of JSON alone.
func answer(r *oip.Response) string {
	text, _ := oip.AppendResponse(nil, r)
	return string(text)
}

// echo reads a request for one input of the type and writes it as the response.
func echo(t *testing.T, d tensor.DType, shape, data string) (string, error) {
	t.Helper()
	in := specs(d)
	body := `{"inputs":[{"name":"a","shape":` + shape + `,"datatype":"` + oip.Datatype(d) + `","data":` + data + `}]}`
	req, err := oip.Parse([]byte(body), in, in)
	if err != nil {
		return "", err
	}
	out, _ := oip.AppendResponse(nil, &oip.Response{Model: "m", Specs: in, Outputs: req.Inputs, Wanted: req.Outputs})
	var got struct {
		Outputs []struct {
			Shape, Data json.RawMessage
			Datatype    string
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if o := got.Outputs[0]; string(o.Shape) != shape || o.Datatype != oip.Datatype(d) {
		t.Errorf("came back as %s %s", o.Datatype, o.Shape)
	}
	return string(got.Outputs[0].Data), nil
}

func TestEveryDatatypeComesBackAsItWas(t *testing.T) {
	for name, tc := range map[string]struct {
		dtype             tensor.DType
		shape, data, want string
	}{
		"BOOL":               {tensor.Bool, "[2]", `[true,false]`, `[true,false]`},
		"BYTES":              {tensor.String, "[2]", `["a\"é\u0000","😀"]`, `["a\"é\u0000","😀"]`},
		"UINT8":              {tensor.Uint8, "[2]", `[0,255]`, `[0,255]`},
		"UINT16":             {tensor.Uint16, "[1]", `[65535]`, `[65535]`},
		"UINT32":             {tensor.Uint32, "[1]", `[4294967295]`, `[4294967295]`},
		"UINT64":             {tensor.Uint64, "[1]", `[18446744073709551615]`, `[18446744073709551615]`},
		"INT8":               {tensor.Int8, "[2]", `[-128,127]`, `[-128,127]`},
		"INT16":              {tensor.Int16, "[1]", `[-32768]`, `[-32768]`},
		"INT32":              {tensor.Int32, "[1]", `[-2147483648]`, `[-2147483648]`},
		"INT64":              {tensor.Int64, "[2]", `[-9223372036854775808,9223372036854775807]`, `[-9223372036854775808,9223372036854775807]`},
		"FP16":               {tensor.Half, "[6]", `[65504,0.1,-0,null,"Infinity",6e-8]`, `[65504,0.099975586,-0,null,"Infinity",5.9604645e-08]`},
		"FP32":               {tensor.Float32, "[5]", `[0.1,1e-45,3.4028235e38,"-Infinity",null]`, `[0.1,1e-45,3.4028235e+38,"-Infinity",null]`},
		"FP64":               {tensor.Float64, "[2]", `[0.1,-1.7976931348623157e308]`, `[0.1,-1.7976931348623157e+308]`},
		"flat":               {tensor.Int64, "[2,2]", `[1,2,3,4]`, `[1,2,3,4]`},
		"nested":             {tensor.Int64, "[2,2]", `[[1,2],[3,4]]`, `[1,2,3,4]`},
		"nested three deep":  {tensor.Int64, "[1,2,2]", `[[[1,2],[3,4]]]`, `[1,2,3,4]`},
		"scalar":             {tensor.Int64, "[]", `[7]`, `[7]`},
		"nothing":            {tensor.Int64, "[0,4]", `[]`, `[]`},
		"nothing, but twice": {tensor.Int64, "[2,0]", `[[],[]]`, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := echo(t, tc.dtype, tc.shape, tc.data)
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestDataThatDoesNotFitIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		dtype             tensor.DType
		shape, data, want string
	}{
		"too few":               {tensor.Int64, "[3]", `[1,2]`, "says 3"},
		"too few, flat":         {tensor.Int64, "[2,2]", `[1,2,3]`, "has 3 elements"},
		"too many":              {tensor.Int64, "[2,2]", `[1,2,3,4,5]`, "more than 4"},
		"ragged":                {tensor.Int64, "[2,2]", `[[1,2],[3]]`, "has 1 elements where"},
		"ragged, the same sum":  {tensor.Int64, "[2,2]", `[[1,2,3],[4]]`, "has 3 elements where"},
		"too deep":              {tensor.Int64, "[2]", `[[1,2]]`, "deeper"},
		"nested, then flat":     {tensor.Int64, "[2,1]", `[[1],2]`, "less deep"},
		"flat, then nested":     {tensor.Int64, "[2,1]", `[1,[2]]`, "deeper"},
		"a shape beyond memory": {tensor.Int64, "[2147483647,2147483647]", `[1]`, "too many elements"},
		"huge shape, few data":  {tensor.Int64, "[2147483647]", `[1]`, "says 2147483647"},
		"not an array":          {tensor.Int64, "[1]", `1`, "not an array"},
		"fraction for INT":      {tensor.Int64, "[1]", `[1.0]`, "element 0 is not a whole number"},
		"INT8 overflow":         {tensor.Int8, "[2]", `[0,128]`, "element 1 is not a whole number from -128 to 127"},
		"UINT8 negative":        {tensor.Uint8, "[1]", `[-1]`, "from 0 to 255"},
		"UINT64 overflow":       {tensor.Uint64, "[1]", `[18446744073709551616]`, "from 0 to 18446744073709551615"},
		"null for INT":          {tensor.Int64, "[1]", `[null]`, "not a whole number"},
		"string for INT":        {tensor.Int64, "[1]", `["1"]`, "not a whole number"},
		"string for FP":         {tensor.Float32, "[1]", `["1.5"]`, "not a number"},
		"NaN by name":           {tensor.Float32, "[1]", `["NaN"]`, "not a number"},
		"FP32 overflow":         {tensor.Float32, "[1]", `[1e39]`, "too large for FP32"},
		"FP64 overflow":         {tensor.Float64, "[1]", `[1e999]`, "too large for FP64"},
		"FP16 overflow":         {tensor.Half, "[1]", `[65520]`, "too large for FP16"},
		"number for BOOL":       {tensor.Bool, "[1]", `[1]`, "not true or false"},
		"number for BYTES":      {tensor.String, "[1]", `[1]`, "not a string"},
		"object as element":     {tensor.Float32, "[1]", `[{}]`, "not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := echo(t, tc.dtype, tc.shape, tc.data)
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestRequestsThatAreNotOneAreRefused(t *testing.T) {
	const a = `{"name":"a","shape":[1],"datatype":"INT64","data":[1]}`
	const b = `{"name":"b","shape":[1],"datatype":"FP32","data":[1]}`
	for name, tc := range map[string]struct {
		body string
		kind fault.Kind
		want string
	}{
		"empty":                  {``, fault.Syntax, "too early"},
		"cut off":                {`{"inputs":[` + a, fault.Syntax, "too early"},
		"not JSON":               {`{"inputs":[NaN]}`, fault.Syntax, "not valid JSON: invalid character 'N' at start of value, at byte 11; write null for NaN"},
		"infinite":               {`{"inputs":[{"data":[-Infinity]}]}`, fault.Syntax, `at byte 21; write "Infinity" or "-Infinity", with the quotes`},
		"trailing comma":         {`{"inputs":[` + a + `,]}`, fault.Syntax, "invalid character ','"},
		"two requests":           {`{"inputs":[` + a + `,` + b + `]} {}`, fault.Syntax, "behind"},
		"a name twice":           {`{"id":"1","id":"2"}`, fault.Syntax, "not valid JSON: a name appears twice, at byte 10"},
		"bad UTF-8":              {"{\"id\":\"\xff\"}", fault.Syntax, "not valid JSON"},
		"array":                  {`[]`, fault.Content, "the request is not an object"},
		"unknown member":         {`{"input":[]}`, fault.Content, `has no member "input"`},
		"unknown input member":   {`{"inputs":[{"nam":"a"}]}`, fault.Content, `has no member "nam"`},
		"id is a number":         {`{"id":1}`, fault.Content, "id is not a string"},
		"inputs is an object":    {`{"inputs":{}}`, fault.Content, "inputs is not an array"},
		"input is a number":      {`{"inputs":[1]}`, fault.Content, "an input is not an object"},
		"input without data":     {`{"inputs":[{"name":"a","shape":[1],"datatype":"INT64"}]}`, fault.Content, "needs name, shape"},
		"negative extent":        {`{"inputs":[{"name":"a","shape":[-1]}]}`, fault.Content, "whole numbers"},
		"extent is a string":     {`{"inputs":[{"name":"a","shape":["1"]}]}`, fault.Content, "whole numbers"},
		"extent is a fraction":   {`{"inputs":[{"name":"a","shape":[1.5]}]}`, fault.Content, "whole numbers"},
		"input missing":          {`{"inputs":[` + a + `]}`, fault.Content, `input "b" is missing`},
		"no inputs":              {`{}`, fault.Content, `input "a" is missing`},
		"input twice":            {`{"inputs":[` + a + `,` + a + `]}`, fault.Content, "given twice"},
		"input twice, by place":  {`{"inputs":[` + a + `,` + strings.Replace(a, `"a"`, `"input-0"`, 1) + `]}`, fault.Content, "given twice"},
		"unknown input":          {`{"inputs":[` + strings.Replace(a, `"a"`, `"c"`, 1) + `]}`, fault.Content, `there is "a", "b"`},
		"place beyond the last":  {`{"inputs":[` + strings.Replace(a, `"a"`, `"input-2"`, 1) + `]}`, fault.Content, `there is no input "input-2"`},
		"another datatype":       {`{"inputs":[` + strings.Replace(a, `INT64`, `FP32`, 1) + `]}`, fault.Content, `is INT64, not "FP32"`},
		"unknown output":         {`{"inputs":[],"outputs":[{"name":"z"}]}`, fault.Content, `there is no output "z"`},
		"parameter is an object": {`{"parameters":{"p":{}}}`, fault.Content, `parameter "p"`},
		"parameter is an array":  {`{"inputs":[{"parameters":{"p":[1]}}]}`, fault.Content, `parameter "p"`},
		"output twice":           {`{"inputs":[],"outputs":[{"name":"a"},{"name":"output-0"}]}`, fault.Content, "asked for twice"},
	} {
		t.Run(name, func(t *testing.T) {
			in := specs(tensor.Int64, tensor.Float32)
			_, err := oip.Parse([]byte(tc.body), in, in)
			if fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v (%v), want %v that says %q", err, fault.KindOf(err), tc.kind, tc.want)
			}
		})
	}
}

func TestAResponseHoldsWhatWasAskedForInThatOrder(t *testing.T) {
	in := specs(tensor.Int64, tensor.Float32)
	body := `{"id":"x\"1","parameters":{"p":1},
		"outputs":[{"name":"b","parameters":{"binary_data":false}},{"name":"output-0"}],
		"inputs":[{"data":[2.5],"name":"input-1","datatype":"FP32","shape":[1,1],"parameters":{}},{"name":"a","shape":[1],"datatype":"INT64","data":[7]}]}`
	req, err := oip.Parse([]byte(body), in, in)
	if err != nil {
		t.Fatal(err)
	}
	got := answer(&oip.Response{
		Model: "m", Version: "3", ID: req.ID, Specs: in, Outputs: req.Inputs, Wanted: req.Outputs,
	})
	want := `{"model_name":"m","model_version":"3","id":"x\"1","outputs":[` +
		`{"name":"b","shape":[1,1],"datatype":"FP32","data":[2.5]},` +
		`{"name":"a","shape":[1],"datatype":"INT64","data":[7]}]}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHalfRoundsToNearestEven(t *testing.T) {
	for in, want := range map[string]string{
		"1":                    "1",
		"2049":                 "2048", // half way, down to even
		"2051":                 "2052", // half way, up to even
		"65519.99":             "65504",
		"2.9802322387695e-08":  "0",             // just under half of the least
		"2.98023223876954e-08": "5.9604645e-08", // just over half of the least
		"6.1035e-05":           "6.1035156e-05", // the least normal number
		"6.0976e-05":           "6.097555e-05",  // the largest subnormal
		"0.33333333":           "0.33325195",
	} {
		got, err := echo(t, tensor.Half, "[1]", "["+in+"]")
		if err != nil || got != "["+want+"]" {
			t.Errorf("%s gives %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestEveryHalfComesBackThroughText(t *testing.T) {
	all := make([]tensor.Float16, 1<<16)
	for i := range all {
		all[i] = tensor.Float16(i)
	}
	x, err := tensor.New(tensor.Shape{len(all)}, all)
	if err != nil {
		t.Fatal(err)
	}
	in := specs(tensor.Half)
	text, _ := oip.AppendResponse(nil, &oip.Response{Specs: in, Outputs: []*tensor.Tensor{x}, Wanted: []int{0}})
	_, outputs, _ := strings.Cut(strings.TrimSpace(string(text)), `"outputs":`)
	req, err := oip.Parse([]byte(`{"inputs":`+outputs), in, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range tensor.Of[tensor.Float16](req.Inputs[0]) {
		want := i
		if i&0x7c00 == 0x7c00 && i&0x3ff != 0 { // there is one NaN in text
			want = 0x7e00
		}
		if int(h) != want {
			t.Fatalf("%04x came back as %04x", i, h)
		}
	}
}

func FuzzParseNeverPanicsAndWhatItTakesComesBack(f *testing.F) {
	f.Add([]byte(`{"id":"1","inputs":[{"name":"a","shape":[1,2],"datatype":"FP32","data":[[1,null]]},{"name":"b","shape":[],"datatype":"BYTES","data":["x"]}]}`))
	f.Add([]byte(`{"outputs":[{"name":"b"}],"inputs":[{"name":"input-1","shape":[1],"datatype":"BYTES","data":["x"]},{"name":"a","shape":[0],"datatype":"FP32","data":[]}]}`))
	in := specs(tensor.Float32, tensor.String)
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := oip.Parse(body, in, in)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Syntax && k != fault.Content && k != fault.Unsupported {
				t.Errorf("error %v is %v", err, k)
			}
			return
		}
		out, _ := oip.AppendResponse(nil, &oip.Response{Specs: in, Outputs: req.Inputs, Wanted: []int{0, 1}})
		_, outputs, _ := strings.Cut(string(out), `"outputs":`)
		again, err := oip.Parse([]byte(`{"inputs":`+outputs), in, in)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for i, v := range tensor.Of[float32](req.Inputs[0]) {
			w := tensor.Of[float32](again.Inputs[0])[i]
			if math.Float32bits(v) != math.Float32bits(w) && !(math.IsNaN(float64(v)) && math.IsNaN(float64(w))) {
				t.Errorf("element %d: %v came back as %v", i, v, w)
			}
		}
	})
}
