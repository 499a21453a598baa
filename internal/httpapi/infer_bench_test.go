package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/telemetry"
)

// BenchmarkInfer is BenchmarkPredict over the inference protocols: the same row, and
// 100,000 rows as JSON and as bytes.
func BenchmarkInfer(b *testing.B) {
	const many = 100_000
	f := newAPI(b, func(c *httpapi.Config) {
		c.Admission = predictions(perMinute(identity.MaxRequests))
		c.AccessLog = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
		c.MaxRows, c.MaxBody = many, 64<<20
	})
	numbers := make([]float32, 4*many)
	for i := range numbers {
		numbers[i] = float32(i%70)/10 + 0.1
	}
	text, err := json.Marshal(numbers)
	if err != nil {
		b.Fatal(err)
	}
	rows := strconv.Itoa(many)
	head := `{"inputs":[{"name":"X","shape":[` + rows + `,4],"datatype":"FP32","parameters":{"binary_data_size":` + strconv.Itoa(16*many) + `}}],"parameters":{"binary_data_output":true}}`
	for _, c := range []struct {
		name, path, body string
		json             int
		rows             int
	}{
		{"predict", "/models/iris/predict", row, 0, 1},
		{"V2", "/v2/models/iris/infer", asTensors(tensorRow), 0, 1},
		{"V1", "/v1/models/iris:predict", `{"instances":[[5.1,3.5,1.4,0.2]]}`, 0, 1},
		{"V2-100000-JSON", "/v2/models/iris/infer", asTensors(`"shape":[` + rows + `,4],"datatype":"FP32","data":` + string(text) + `}`), 0, many},
		{"V2-100000-bytes", "/v2/models/iris/infer", head + floats(numbers...), len(head), many},
	} {
		b.Run(c.name, func(b *testing.B) {
			template := httptest.NewRequestWithContext(b.Context(), http.MethodPost, c.path, http.NoBody)
			template.RemoteAddr, template.Host = "127.0.0.1:4711", "localhost:8443"
			template.Header = http.Header{"Authorization": {"Bearer admin"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}}
			template.ContentLength = int64(len(c.body))
			if c.json > 0 {
				template.Header["Inference-Header-Content-Length"] = []string{strconv.Itoa(c.json)}
			}
			body := strings.NewReader("")
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(c.body)
				r := *template
				r.Body = io.NopCloser(body)
				w := &recorderless{header: http.Header{}}
				f.api.Public().ServeHTTP(w, &r)
				if w.n == 0 || w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(c.rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
