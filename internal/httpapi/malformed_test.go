package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/testkit"
)

// TestMalformedRequestsDoNoHarm sends requests of every protocol that are wrong
// somewhere. MALFORMED is how many, SEED the number of the first: each request can
// be made again alone. None is answered by 5xx, but for what is not served, or
// makes a handler panic; each refusal is JSON; and memory stays as it is.
func TestMalformedRequestsDoNoHarm(t *testing.T) {
	n, seed := testkit.Number(t, "MALFORMED", 10_000), testkit.Number(t, "SEED", 1)
	var log testkit.Buffer
	f := newAPI(t, func(c *httpapi.Config) {
		c.MaxBody, c.MaxRows = 32<<10, 100
		c.AccessLog = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
		c.Log = slog.New(telemetry.NewHandler(&log, telemetry.JSON, slog.LevelError))
	})
	seeds := wellFormed(t)
	for i, q := range seeds {
		if w := f.answer(t, q); w.Code != http.StatusOK {
			t.Fatalf("seed %d, %s: %d %s", i, q.path, w.Code, w.Body)
		}
	}
	statuses := map[int]int{}
	var middle uint64
	for i := range n {
		if i == n/2 {
			middle = testkit.InUse()
		}
		m := mutator{rand.New(rand.NewPCG(uint64(seed+i), 7))}
		q := m.request(seeds[m.IntN(len(seeds))])
		w := f.answer(t, q)
		statuses[w.Code]++
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Fatalf("SEED=%d: %d %s for %s %s %v\n%q", seed+i, w.Code, w.Body, q.method, q.path, q.header, q.body)
		}
		if w.Code != http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("SEED=%d: %d %q", seed+i, w.Code, w.Body)
		}
	}
	if log.String() != "" {
		t.Errorf("%.2000s", log.String())
	}
	if grown := int64(testkit.InUse()) - int64(middle); grown > 16<<20 {
		t.Errorf("the second half took %d bytes of memory", grown)
	}
	if statuses[http.StatusBadRequest] < n/4 || statuses[http.StatusOK] == 0 {
		t.Errorf("the requests are not what they should be: %v", statuses)
	}
	t.Logf("in all: %d requests", n)
}

// answer has the handler answer, without a connection.
func (f *fixture) answer(t *testing.T, q request) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, "/", strings.NewReader(q.body))
	r.URL.Path, r.RequestURI, r.Host, r.Header = q.path, q.path, "localhost", q.header.Clone()
	r.Header.Set("Authorization", "Bearer "+q.token)
	w := httptest.NewRecorder()
	f.api.Public().ServeHTTP(w, r)
	return w
}

// wellFormed is a request of each kind that is answered.
func wellFormed(t *testing.T) []request {
	t.Helper()
	text := func(path, body string) request {
		return request{method: http.MethodPost, path: path, token: "admin", body: body, header: http.Header{"Content-Type": {"application/json"}}}
	}
	coded := func(q request, coding string) request {
		q.header = q.header.Clone()
		q.header["Content-Encoding"] = []string{coding}
		if q.body = pack(t, q.body, gzipped); coding == "deflate" {
			q.body = pack(t, text(q.path, asTensors(tensorRow)).body, zlibbed)
		}
		return q
	}
	const infer = "/v2/models/iris/infer"
	nested := text(infer, `{"id":"é\u0000","parameters":{"a":null,"binary_data_output":false},"outputs":[{"name":"output-1","parameters":{"binary_data":true}}],`+
		`"inputs":[{"shape":[2,4],"data":[[5.1,3.5,1.4,0.2],[1e0,2.0,3,4]],"datatype":"FP32","name":"input-0"}]}`)
	mixed := withBytes(infer, `{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}`, floats(5.1, 3.5, 1.4, 0.2))
	alone := withBytes(infer, "", floats(5.1, 3.5, 1.4, 0.2))
	write := text("/v2/repository/models/iris/load", `{"parameters":{}}`)
	write.token = "writer"
	index := text("/v2/repository/index", `{"ready":true}`)
	index.token = "writer"
	table := text("/predict", "petal_width,sepal_length,sepal_width,petal_length\r\n0.2,5.1,3.5,1.4\n\"2.0\",5,3,1\n")
	table.header = http.Header{"Content-Type": {"text/csv"}, "Accept": {"text/csv"}}
	return []request{
		table, text(infer, asTensors(tensorRow)), nested, mixed, alone,
		coded(text(infer, asTensors(tensorRow)), "gzip"), coded(mixed, "gzip"), coded(text(infer, ""), "deflate"),
		text("/v2/models/iris/versions/1/infer", asTensors(tensorRow)),
		text("/v1/models/iris:predict", `{"instances":[[5.1,3.5,1.4,0.2],`+row+`]}`),
		text("/v1/models/iris:predict", `{"inputs":{"petal_width":[0.2,0.2],"sepal_length":[5.1,5],"sepal_width":[3.5,3],"petal_length":[1.4,1]},"signature_name":null}`),
		text("/predict", "["+row+","+row+"]"), text("/predict", row), index, write,
	}
}

// mutator makes something wrong with a request.
type mutator struct{ *rand.Rand }

// words are what breaks parsers.
var words = []string{
	"[", "]", "{", "}", "\"", ",", ":", "\\", "null", "true", "-", "-1", "0", "1e999", "-1e999", "1e-400", "NaN", "Infinity", `"Infinity"`, "2147483648", "4294967296",
	"9223372036854775807", "9223372036854775808", "18446744073709551616", "1.0", "01", "0x1", `"\ud800"`, "\x00", "\xff", "\ufeff", "/*", " ", "\n", `"id":`, `"data":[]`, `"shape":[-1]`,
	`"shape":[1000000000,1000000000]`, `"shape":[]`, `"parameters":{"binary_data_size":-1}`, `"parameters":{"binary_data_size":99999999999}`, `"parameters":null`, `"classification":1`,
	`"outputs":[]`, "\r\n", "\n\"", "\"\"", ",,", "sepal_length", "\n1,2,3,4", `"BYTES"`, `"INT64"`, `"FP16"`, strings.Repeat("[", 50), strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 40), strings.Repeat("9", 400), strings.Repeat("1,", 5_000),
}

func (m mutator) request(q request) request {
	q.header = q.header.Clone()
	for range 1 + m.IntN(3) {
		switch m.IntN(8) {
		case 0:
			m.head(q.header)
		case 1:
			q.path = m.path(q.path)
		default:
			q.body = m.body(q.body)
		}
	}
	return q
}

// body changes some bytes of a body.
func (m mutator) body(b string) string {
	at, end := m.piece(b)
	switch m.IntN(7) {
	case 0:
		return b[:at]
	case 1:
		return b[:at] + b[end:]
	case 2:
		return b[:end] + b[at:]
	case 3:
		return b[:at] + words[m.IntN(len(words))] + b[end:]
	case 4:
		return b[:at] + words[m.IntN(len(words))] + b[at:]
	case 5:
		return b + b[at:end]
	}
	flipped := []byte(b)
	for range 1 + m.IntN(4) {
		if len(flipped) > 0 {
			flipped[m.IntN(len(flipped))] ^= 1 << m.IntN(8)
		}
	}
	return string(flipped)
}

// piece returns the bounds of a piece of a text: of one between two signs of JSON
// mostly, so that what is left has a chance.
func (m mutator) piece(b string) (from, to int) {
	from = m.IntN(len(b) + 1)
	if m.IntN(4) == 0 {
		return from, min(len(b), from+m.IntN(9))
	}
	if i := strings.IndexAny(b[from:], "{}[],:"); i >= 0 {
		from += i + 1
	}
	if i := strings.IndexAny(b[from:], "{}[],:"); i >= 0 {
		return from, from + i
	}
	return from, len(b)
}

func (m mutator) head(h http.Header) {
	lengths := []string{"0", "1", "50", "120", "-1", "+1", "99999999999999999999", "4096", "a", "", "1, 2"}
	codings := []string{"gzip", "deflate", "identity", "br", "gzip, gzip", "", "x-gzip"}
	types := []string{"application/json", "application/octet-stream", "text/csv", "application/json; charset=latin1", "", "*/*", "application/json;"}
	switch m.IntN(4) {
	case 0:
		h["Inference-Header-Content-Length"] = []string{lengths[m.IntN(len(lengths))]}
	case 1:
		h["Content-Encoding"] = []string{codings[m.IntN(len(codings))]}
	case 2:
		h["Content-Type"] = []string{types[m.IntN(len(types))]}
	case 3:
		delete(h, [...]string{"Content-Type", "Content-Encoding", "Inference-Header-Content-Length"}[m.IntN(3)])
	}
}

func (m mutator) path(p string) string {
	others := []string{"/versions/2", "/versions/99999999999999999999", "/versions/-1", "/..", "//", ":predict", "/infer", "/trace/setting", "/ready", ":", "/%2e"}
	at := m.IntN(len(p) + 1)
	if i := strings.LastIndexByte(p[:at], '/'); i > 0 && m.IntN(2) == 0 {
		return p[:i] + others[m.IntN(len(others))] + p[at:]
	}
	return p[:at] + others[m.IntN(len(others))]
}
