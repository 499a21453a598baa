package httpapi_test

import (
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
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
