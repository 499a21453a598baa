package httpapi_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/testkit"
)

// tensorRow is the row of the other tests as a tensor, without its name.
const tensorRow = `"shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}`

// asTensors is a request to infer with the input of the name X.
func asTensors(rest string) string { return `{"inputs":[{"name":"X",` + rest + `]}` }

// floats are numbers as they travel in bytes.
func floats(numbers ...float32) string {
	var b []byte
	for _, f := range numbers {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return string(b)
}

// withBytes is a request whose JSON is followed by bytes.
func withBytes(path, text, raw string) request {
	header := http.Header{"Inference-Header-Content-Length": {strconv.Itoa(len(text))}, "Content-Type": {"application/octet-stream"}}
	return request{method: "POST", path: path, token: "admin", body: text + raw, header: header}
}

func TestTensorsAreAnsweredInTheFormThatIsAskedFor(t *testing.T) {
	f := newAPI(t, nil).serve()
	const (
		inBytes = `{"inputs":[{"name":"X","shape":[2,4],"datatype":"FP32","parameters":{"binary_data_size":32}}]`
		labels  = "\x00\x00\x00\x00\x00\x00\x00\x00"
	)
	two := floats(5.1, 3.5, 1.4, 0.2, 5.1, 3.5, 1.4, 0.2)
	scores := floats(1, 0, 0)
	for name, tc := range map[string]struct {
		q         request
		json, raw string
	}{
		"JSON": {
			request{path: "/v2/models/iris/infer", body: asTensors(tensorRow)},
			`{"model_name":"iris","model_version":"2","outputs":[{"name":"output_label","shape":[1],"datatype":"INT64","data":[0]},` +
				`{"name":"output_probability","shape":[1,3],"datatype":"FP32","data":[1,0,0]}]}` + "\n", "",
		},
		"a version, an id and one output": {
			request{path: "/v2/models/iris/versions/1/infer", body: `{"id":"a","outputs":[{"name":"output-0"}],` + asTensors(tensorRow)[1:]},
			`{"model_name":"iris","model_version":"1","id":"a","outputs":[{"name":"output_label","shape":[1],"datatype":"INT64","data":[0]}]}` + "\n", "",
		},
		"bytes for JSON": {
			withBytes("/v2/models/iris/infer", inBytes+`,"outputs":[{"name":"output_label"}]}`, two),
			`{"model_name":"iris","model_version":"2","outputs":[{"name":"output_label","shape":[2],"datatype":"INT64","data":[0,0]}]}` + "\n", "",
		},
		"bytes both ways, but for one": {
			withBytes("/v2/models/iris/infer", inBytes+`,"outputs":[{"name":"output_probability"},{"name":"output_label","parameters":{"binary_data":false}}],"parameters":{"binary_data_output":true}}`, two),
			`{"model_name":"iris","model_version":"2","outputs":[{"name":"output_probability","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}},` +
				`{"name":"output_label","shape":[2],"datatype":"INT64","data":[0,0]}]}` + "\n", scores + scores,
		},
		"a tensor alone": {
			withBytes("/v2/models/iris/infer", "", two),
			`{"model_name":"iris","model_version":"2","outputs":[{"name":"output_label","shape":[2],"datatype":"INT64","parameters":{"binary_data_size":16}},` +
				`{"name":"output_probability","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}]}` + "\n", labels + labels + scores + scores,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.q.method, tc.q.token = "POST", "admin"
			got := f.do(tc.q)
			media, header := "application/json", ""
			if tc.raw != "" {
				media, header = "application/octet-stream", strconv.Itoa(len(tc.json))
			}
			if diff := cmp.Diff(tc.json+tc.raw, got.body); diff != "" || got.StatusCode != http.StatusOK {
				t.Errorf("%d (-want +got):\n%s", got.StatusCode, diff)
			}
			if got.Header.Get("Inference-Header-Content-Length") != header || got.Header.Get("Content-Type") != media {
				t.Errorf("%v", got.Header)
			}
		})
	}
}

// TestEveryKindHasItsInferenceError holds the one table of the protocol's statuses.
func TestEveryKindHasItsInferenceError(t *testing.T) {
	var kind fault.Kind
	f := newAPIWith(t, testkit.Flower{OnRun: func(context.Context) error {
		return &fault.Error{Kind: kind, Msg: "what to fix", Err: errors.New("secret cause")}
	}}, nil).serve()
	for _, kind = range fault.Kinds() {
		want := statuses[kind].status
		if kind == fault.Content {
			want = http.StatusBadRequest
		}
		text := "What to fix"
		if kind == fault.Internal {
			text = "The server failed. The request id finds the reason in its log"
		}
		if kind == fault.NotFound {
			text = "Request for unknown model: 'iris' is not found"
		}
		for _, path := range []string{"/v2/models/iris/infer", "/v1/models/iris:predict"} {
			body := asTensors(tensorRow)
			if strings.HasPrefix(path, "/v1") {
				body = `{"instances":[[5.1,3.5,1.4,0.2]]}`
			}
			got := f.do(request{method: "POST", path: path, token: "admin", body: body})
			if diff := cmp.Diff(map[string]any{"error": text}, got.json(t)); diff != "" || got.StatusCode != want {
				t.Errorf("%s, %v: %d (-want +got):\n%s", path, kind, got.StatusCode, diff)
			}
			if got.Header.Get("Content-Type") != "application/json" || (got.Header.Get("Retry-After") != "") != (want == 503) || got.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s, %v: %v", path, kind, got.Header)
			}
		}
	}
}

// TestRequestsToInferAreRefused goes through the bodies that a stranger sends. The
// order is that of every route: who asks comes before what is asked, and that
// before the body.
func TestRequestsToInferAreRefused(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.MaxRows = 64<<10, 3 }).serve()
	media := func(value string) http.Header { return http.Header{"Content-Type": {value}} }
	input := func(text string) string { return asTensors(strings.TrimSuffix(text, "}") + "}") }
	const four = `"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}`
	for name, tc := range map[string]struct {
		q      request
		status int
		want   string
	}{
		"no credential":                   {request{token: "-", path: "/v2/models/nothing/infer"}, 401, "Authentication is required"},
		"no credential, at V1":            {request{token: "-", path: "/v1/models/nothing:predict"}, 401, "Authentication is required"},
		"no scope":                        {request{token: "noscope", path: "/v2/models/nothing/infer"}, 403, "not permitted"},
		"the model's own rule":            {request{token: "user", body: "{"}, 403, "not permitted"},
		"unknown model":                   {request{path: "/v2/models/nothing/infer", body: "{"}, 404, "Request for unknown model: 'nothing' is not found"},
		"unknown version":                 {request{path: "/v2/models/iris/versions/9/infer"}, 404, "Request for unknown model: 'iris' version 9 is not found"},
		"unknown model at V1":             {request{path: "/v1/models/nothing:predict"}, 404, "Request for unknown model: 'nothing' is not found"},
		"wrong method":                    {request{method: "GET"}, 405, "takes POST"},
		"a path that is none":             {request{path: "/v2/models/iris/explain"}, 404, "nothing at this path"},
		"an explanation":                  {request{path: "/v1/models/iris:explain"}, 501, "does not explain predictions; call :predict"},
		"a verb that is none, at V1":      {request{path: "/v1/models/iris:guess"}, 404, "nothing at this path"},
		"no name before the verb, at V1":  {request{path: "/v1/models/:predict"}, 404, "nothing at this path"},
		"a slash behind":                  {request{path: "/v2/models/iris/infer/"}, 400, "its one form"},
		"a name that climbs":              {request{path: "/v2/models/../../infer"}, 400, "its one form"},
		"a name that is encoded":          {request{path: "/v2/models/i%72is/infer"}, 400, "its one form"},
		"another host":                    {request{host: "evil.example"}, 421, "localhost"},
		"a form":                          {request{body: "{}", header: media("application/x-www-form-urlencoded")}, 415, "application/json"},
		"two types":                       {request{body: "{}", header: http.Header{"Content-Type": {"application/json", "text/plain"}}}, 415, "application/json"},
		"another charset":                 {request{body: "{}", header: media("application/json; charset=utf-16")}, 415, "application/json"},
		"brotli":                          {request{body: "{}", header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"br"}}}, 415, "gzip or deflate"},
		"two codings":                     {request{body: "{}", header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip, gzip"}}}, 415, "gzip or deflate"},
		"longer than is taken":            {request{body: strings.Repeat(" ", 64<<10+1)}, 413, "at most 65536 bytes"},
		"nothing":                         {request{}, 400, "ends too early"},
		"a byte order mark":               {request{body: "\ufeff" + asTensors(tensorRow)}, 400, "not valid JSON"},
		"bad UTF-8":                       {request{body: "{\"id\":\"\xff\"}"}, 400, "not valid JSON"},
		"a lone surrogate":                {request{body: `{"id":"\ud800"}`}, 400, "not valid JSON"},
		"a comment":                       {request{body: `{/**/}`}, 400, "not valid JSON"},
		"a member twice":                  {request{body: `{"id":"1","id":"2"}`}, 400, "a name appears twice"},
		"a member of another case":        {request{body: `{"Inputs":[]}`}, 400, `has no member "Inputs"`},
		"a member that nobody knows":      {request{body: `{"instances":[]}`}, 400, `has no member "instances"`},
		"something behind":                {request{body: asTensors(tensorRow) + "{}"}, 400, "behind the request"},
		"depth 10,000 of an id":           {request{body: `{"model_name":` + strings.Repeat("[", 20_000)}, 400, "not valid JSON"},
		"a parameter that is a list":      {request{body: `{"parameters":{"a":` + strings.Repeat("[", 20_000)}, 400, "a text, a number or a boolean"},
		"depth 10,000 of data":            {request{body: input(`"shape":[1,4],"datatype":"FP32","data":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000))}, 400, "nested deeper"},
		"NaN":                             {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[NaN]`)}, 400, "write null for NaN"},
		"null where it may not be":        {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[null,3.5,1.4,0.2]`)}, 400, "/0/sepal_length"},
		"an infinity":                     {request{body: input(`"shape":[1,4],"datatype":"FP32","data":["Infinity",3.5,1.4,0.2]`)}, 400, "/0/sepal_length"},
		"1e999":                           {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[1e999,3.5,1.4,0.2]`)}, 400, `input "X": element 0 is too large for FP32`},
		"1e39":                            {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[5.1,1e39,1.4,0.2]`)}, 400, `element 1 is too large for FP32`},
		"a number of 400 digits":          {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[` + strings.Repeat("9", 400) + `,1,1,1]`)}, 400, "too large"},
		"a text for a number":             {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[5.1,3.5,"1.4",0.2]`)}, 400, `input "X": element 2 is not a number`},
		"true for a number":               {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[[5.1,3.5,1.4,true]]`)}, 400, `element 3 is not a number`},
		"out of range":                    {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[5.1,3.5,31,0.2]`)}, 400, "/0/petal_length must be at most 30"},
		"another datatype":                {request{body: input(`"shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]`)}, 400, `is FP32, not "FP64"`},
		"a datatype that is none":         {request{body: input(`"shape":[1,4],"datatype":"BF16","data":[5.1,3.5,1.4,0.2]`)}, 400, `is FP32, not "BF16"`},
		"a negative extent":               {request{body: input(`"shape":[-1,4],` + four)}, 400, "whole numbers from 0, not -1"},
		"a product of 2^63":               {request{body: input(`"shape":[2147483647,2147483647,2147483647],` + four)}, 400, "must have shape"},
		"no rows":                         {request{body: input(`"shape":[0,4],"datatype":"FP32","data":[]`)}, 400, "must not be empty"},
		"10^9 by 10^9":                    {request{body: input(`"shape":[1000000000,1000000000],` + four)}, 400, "must have shape [-1,4]"},
		"10^9 rows":                       {request{body: input(`"shape":[1000000000,4],` + four)}, 400, "at most 3 rows"},
		"more rows than are taken":        {request{body: input(`"shape":[4,4],"datatype":"FP32","data":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`)}, 400, "at most 3 rows, not 4"},
		"fewer elements than the shape":   {request{body: input(`"shape":[2,4],` + four)}, 400, "data has 4 elements, and shape [2,4] holds 8"},
		"more elements than the shape":    {request{body: input(`"shape":[1,4],"datatype":"FP32","data":[1,1,1,1,1]`)}, 400, "more than 4"},
		"classification":                  {request{body: `{"outputs":[{"name":"output-0","parameters":{"classification":2}}]}`}, 501, "Classification is not served"},
		"shared memory":                   {request{body: input(`"shape":[1,4],"datatype":"FP32","parameters":{"shared_memory_region":"a"}`)}, 501, "Shared memory is not served"},
		"a header beyond the body":        {request{body: "{}", header: http.Header{"Content-Type": {"application/octet-stream"}, "Inference-Header-Content-Length": {"3"}}}, 400, "is 3, and the body has 2 bytes"},
		"a header that is negative":       {request{body: "{}", header: http.Header{"Content-Type": {"application/octet-stream"}, "Inference-Header-Content-Length": {"-1"}}}, 400, "number of bytes"},
		"two headers":                     {request{body: "{}", header: http.Header{"Content-Type": {"application/octet-stream"}, "Inference-Header-Content-Length": {"1", "2"}}}, 400, "twice"},
		"a tensor alone, cut off":         {withBytes("", "", floats(1, 2, 3)), 400, "12 bytes are no whole number of rows of 16"},
		"V1: no object":                   {request{path: "/v1/models/iris:predict", body: `[[1,2,3,4]]`}, 400, "the request is an object"},
		"V1: neither":                     {request{path: "/v1/models/iris:predict", body: `{}`}, 400, "neither instances nor inputs"},
		"V1: both":                        {request{path: "/v1/models/iris:predict", body: `{"instances":[],"inputs":[]}`}, 400, "send one of them"},
		"V1: twice":                       {request{path: "/v1/models/iris:predict", body: `{"instances":[],"instances":[]}`}, 400, "appears twice"},
		"V1: an unknown member":           {request{path: "/v1/models/iris:predict", body: `{"Instances":[]}`}, 400, `no member "Instances"`},
		"V1: columns under instances":     {request{path: "/v1/models/iris:predict", body: `{"instances":{}}`}, 400, "not an array of rows"},
		"V1: no rows":                     {request{path: "/v1/models/iris:predict", body: `{"instances":[]}`}, 400, "at least one row"},
		"V1: too many rows":               {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,1,1,1],[1,1,1,1],[1,1,1,1],[1,1,1,1]]}`}, 400, "at most 3 rows, not 4"},
		"V1: a short row":                 {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,1,1,1],[1,1,1]]}`}, 400, "/instances/1 must hold 4 values, not 3"},
		"V1: a long row":                  {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,1,1,1,[[1]]]]}`}, 400, "/instances/0 must hold 4 values, not 5"},
		"V1: a row that is a number":      {request{path: "/v1/models/iris:predict", body: `{"instances":[1]}`}, 400, "/instances/0 must be an object, or an array of values, not a number"},
		"V1: out of range":                {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,1,31,1]]}`}, 400, "/instances/0/petal_length must be at most 30"},
		"V1: a text for a number":         {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,"1",1,1]]}`}, 400, "/instances/0/sepal_width must be a number, not a string"},
		"V1: no columns":                  {request{path: "/v1/models/iris:predict", body: `{"inputs":{}}`}, 400, "/inputs/sepal_length is required"},
		"V1: columns of different length": {request{path: "/v1/models/iris:predict", body: `{"inputs":{"sepal_length":[1],"sepal_width":[1,1],"petal_length":[1],"petal_width":[1]}}`}, 400, "/inputs/sepal_width must hold 1 row as the columns before it, not 2"},
		"V1: long columns":                {request{path: "/v1/models/iris:predict", body: `{"inputs":{"sepal_length":[1,1,1,1],"sepal_width":[1,1,1,1],"petal_length":[1,1,1,1],"petal_width":[1,1,1,1]}}`}, 400, "at most 3 rows, not 4"},
		"V1: empty columns":               {request{path: "/v1/models/iris:predict", body: `{"inputs":{"sepal_length":[],"sepal_width":[],"petal_length":[],"petal_width":[]}}`}, 400, "at least one row"},
		"V1: an unknown column":           {request{path: "/v1/models/iris:predict", body: `{"inputs":{"sepal_lengt":[1],"sepal_length":[1],"sepal_width":[1],"petal_length":[1],"petal_width":[1]}}`}, 400, `did you mean "sepal_length"?`},
		"V1: a column that is a number":   {request{path: "/v1/models/iris:predict", body: `{"inputs":{"sepal_length":1}}`}, 400, "/inputs/sepal_length must be an array, not a number"},
		"V1: cut off":                     {request{path: "/v1/models/iris:predict", body: `{"instances":[[1,1,1`}, 400, "ends too early"},
		"V1: bytes":                       {request{path: "/v1/models/iris:predict", body: "x", header: media("application/octet-stream")}, 415, "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.q.path == "" {
				tc.q.path = "/v2/models/iris/infer"
			}
			if tc.q.method == "" {
				tc.q.method = "POST"
			}
			switch tc.q.token {
			case "":
				tc.q.token = "admin"
			case "-":
				tc.q.token = ""
			}
			got := f.do(tc.q)
			v := got.json(t)
			text, _ := v["error"].(string)
			if got.StatusCode != tc.status || !strings.Contains(strings.ToLower(text), strings.ToLower(tc.want)) {
				t.Errorf("%d %q, want %d that says %q", got.StatusCode, text, tc.status, tc.want)
			}
			if len(v) != 1 || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("X-Request-Id") == "" {
				t.Errorf("%v %v", got.Header, v)
			}
			if got.Header.Get("WWW-Authenticate") == "" && tc.status == http.StatusUnauthorized {
				t.Error("401 without a challenge")
			}
		})
	}
}

func TestRowsOfV1AreAnswered(t *testing.T) {
	f := newAPI(t, nil).serve()
	for name, body := range map[string]string{
		"rows":                 `{"instances":[[5.1,3.5,1.4,0.2],` + row + `],"signature_name":"serving_default"}`,
		"rows under inputs":    `{"inputs":[[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2]]}`,
		"columns, in no order": `{"inputs":{"petal_width":[0.2,0.2],"sepal_length":[5.1,5],"sepal_width":[3.5,3],"petal_length":[1.4,1]}}`,
	} {
		for _, path := range []string{"/v1/models/iris:predict", "/v1/models/iris/versions/1:predict"} {
			got := f.do(request{method: "POST", path: path, token: "admin", body: body})
			if got.StatusCode != http.StatusOK || got.body != `{"predictions":[0,0]}`+"\n" {
				t.Errorf("%s, %s: %d %s", path, name, got.StatusCode, got.body)
			}
		}
	}
}

func TestMetadataAndHealthOfTheProtocol(t *testing.T) {
	f := newAPI(t, nil).serve()
	tensors := `"inputs":[{"name":"X","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"output_label","datatype":"INT64","shape":[-1]},` +
		`{"name":"output_probability","datatype":"FP32","shape":[-1,3]}]`
	stats := `"last_inference":0,"inference_count":0,"execution_count":0,`
	for path, want := range map[string]string{
		"/v2/health/live":                    `{"live":true}`,
		"/v2/health/ready":                   `{"ready":true,"live":true}`,
		"/v2":                                `{"name":"onnxgate","version":"v1","extensions":["binary_tensor_data","model_configuration","model_repository","parameters","statistics"]}`,
		"/v2/":                               `{"name":"onnxgate","version":"v1","extensions":["binary_tensor_data","model_configuration","model_repository","parameters","statistics"]}`,
		"/v2/models":                         `{"models":["iris"]}`,
		"/v2/models/iris":                    `{"name":"iris","versions":["1","2"],"platform":"onnx_onnxv1",` + tensors + `}`,
		"/v2/models/iris/versions/1":         `{"name":"iris","versions":["1","2"],"platform":"onnx_onnxv1",` + tensors + `}`,
		"/v2/models/iris/ready":              `{"name":"iris","ready":true}`,
		"/v2/models/iris/versions/1/ready":   `{"name":"iris","ready":true}`,
		"/v2/models/iris/versions/2/config":  `{"name":"iris","platform":"onnx_onnxv1","backend":"onnxruntime","max_batch_size":0,"input":[{"name":"X","data_type":"TYPE_FP32","dims":[-1,4]}],`,
		"/v2/models/iris/versions/2/stats":   `{"model_stats":[{"name":"iris","version":"2",` + stats,
		"/v2/models/stats":                   `{"model_stats":[{"name":"iris","version":"1",` + stats,
		"/v1/models":                         `{"models":["iris"]}`,
		"/v1/models/iris":                    `{"name":"iris","ready":true}`,
		"/v2/models/nothing/ready":           `{"error":"Request for unknown model: 'nothing' is not found"}`,
		"/v2/models/iris/versions/9/ready":   `{"error":"Request for unknown model: 'iris' version 9 is not found"}`,
		"/v2/systemsharedmemory/status":      `{"error":"Shared memory, traces and log settings are not served over this protocol"}`,
		"/v2/models/iris/trace/setting":      `{"error":"Shared memory, traces and log settings are not served over this protocol"}`,
		"/v2/models/iris/versions/1/nothing": `{"error":"There is nothing at this path"}`,
	} {
		token := "admin"
		if strings.HasPrefix(path, "/v2/health") {
			token = ""
		}
		got := f.do(request{method: "GET", path: path, token: token})
		if !strings.HasPrefix(got.body, want) || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %s\nwant %s", path, got.StatusCode, got.body, want)
		}
		if strings.Contains(want, "error") == (got.StatusCode == http.StatusOK) {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
		if got := f.do(request{method: "GET", path: path}); token != "" && !strings.Contains(want, "nothing at") && !strings.Contains(want, "Shared") && got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d %s", path, got.StatusCode, got.body)
		}
	}
	away := newAPI(t, func(c *httpapi.Config) { c.Ready = func() error { return errors.New("the database is away") } }).serve()
	if got := away.do(request{method: "GET", path: "/v2/health/ready"}); got.StatusCode != http.StatusServiceUnavailable || got.body != `{"error":"Not ready"}`+"\n" {
		t.Errorf("not ready: %d %s", got.StatusCode, got.body)
	}
}

// outsider is proven by an outside issuer, and away are issuers of whom none can be
// reached.
type (
	outsider struct{}
	away     struct{}
)

func (outsider) Authenticate(context.Context, authn.Credentials) (*identity.Principal, error) {
	return employed(), nil
}

func (away) All() []httpapi.IssuerInfo { return nil }

func (away) Answers(context.Context, string) error {
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "The issuer cannot be reached"}
}

func TestNothingIsChangedOnTheWordOfAnIssuerThatIsAway(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator, c.Issuers = outsider{}, away{} }).serve()
	for path, want := range map[string]int{
		"/v2/repository/models/iris/unload": http.StatusServiceUnavailable,
		"/v2/repository/models/iris/load":   http.StatusServiceUnavailable,
		"/v2/repository/index":              http.StatusOK,
		"/v2/models/iris/infer":             http.StatusBadRequest, // for want of inputs
	} {
		if got := f.do(request{method: "POST", path: path, token: "outsider", body: "{}"}); got.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, got.StatusCode, got.body, want)
		}
	}
}
