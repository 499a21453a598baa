package httpapi_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/telemetry"
)

// recorderless is a ResponseWriter that keeps only what net/http keeps before
// it writes: the header map.
type recorderless struct {
	header http.Header
	status int
	n      int
}

func (w *recorderless) Header() http.Header         { return w.header }
func (w *recorderless) WriteHeader(status int)      { w.status = status }
func (w *recorderless) Write(b []byte) (int, error) { w.n += len(b); return len(b), nil }

// bare decodes the same JSON by encoding/json and sends the same bytes and
// headers, and does nothing else.
func bare(answer []byte, header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			SepalLength float32 `json:"sepal_length"`
			SepalWidth  float32 `json:"sepal_width"`
			PetalLength float32 `json:"petal_length"`
			PetalWidth  float32 `json:"petal_width"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.PetalWidth == 0 {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		h := w.Header()
		maps.Copy(h, header)
		_, _ = w.Write(answer)
	})
}

func BenchmarkPredict(b *testing.B) {
	f := newAPI(b, func(c *httpapi.Config) {
		c.Admission = predictions(perMinute(identity.MaxRequests))
		c.AccessLog = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
	})
	template := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/predict", http.NoBody)
	template.RemoteAddr = "127.0.0.1:4711"
	template.Host = "localhost:8443"
	template.Header = http.Header{"Authorization": {"Bearer admin"}, "Content-Type": {"application/json"}, "Content-Length": {"80"}, "User-Agent": {"bench"}, "Accept": {"*/*"}}
	template.ContentLength = int64(len(row))
	first := httptest.NewRecorder()
	send := func(h http.Handler, w http.ResponseWriter, body *strings.Reader) {
		body.Reset(row)
		r := *template
		r.Body = io.NopCloser(body)
		h.ServeHTTP(w, &r)
	}
	send(f.api.Public(), first, strings.NewReader(""))
	if first.Code != http.StatusOK {
		b.Fatal(first.Code, first.Body)
	}
	for name, h := range map[string]http.Handler{
		"onnxgate": f.api.Public(), "bare": bare(first.Body.Bytes(), first.Header()),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			body := strings.NewReader("")
			for b.Loop() {
				w := &recorderless{header: http.Header{}}
				send(h, w, body)
				if w.n == 0 || w.status > 200 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
