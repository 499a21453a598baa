package httpapi_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"onnxgate/internal/httpapi"
)

// pack compresses a text by a writer of one of the packages.
func pack(tb testing.TB, text string, open func(io.Writer) (io.WriteCloser, error)) string {
	tb.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func gzipped(w io.Writer) (io.WriteCloser, error)  { return gzip.NewWriter(w), nil }
func zlibbed(w io.Writer) (io.WriteCloser, error)  { return zlib.NewWriter(w), nil }
func deflated(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 9) }

func TestPackedBodiesAreUnpacked(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 128 << 10 }).serve()
	good := asTensors(tensorRow)
	large := good + strings.Repeat(" ", 100<<10) // beyond the first part of a body
	whole := pack(t, good, gzipped)
	bomb := pack(t, strings.Repeat("\x00", 20<<20), gzipped)
	nothing := strings.Repeat(pack(t, "", gzipped), 10_000)
	for name, c := range map[string]struct {
		coding, body string
		status       int
		want         string
	}{
		"gzip":                       {"gzip", whole, 200, ""},
		"gzip of another name":       {"x-gzip", whole, 200, ""},
		"gzip, in capitals":          {"GZIP", whole, 200, ""},
		"gzip of two parts":          {"gzip", pack(t, good[:9], gzipped) + pack(t, good[9:], gzipped), 200, ""},
		"gzip of a long body":        {"gzip", pack(t, large, gzipped), 200, ""},
		"deflate":                    {"deflate", pack(t, good, zlibbed), 200, ""},
		"deflate of a long body":     {"deflate", pack(t, large, zlibbed), 200, ""},
		"deflate without zlib":       {"deflate", pack(t, good, deflated), 200, ""},
		"nothing done":               {"identity", good, 200, ""},
		"not gzip":                   {"gzip", good, 400, "not what its Content-Encoding says: gzip"},
		"not deflate":                {"deflate", "\x07" + good, 400, "not what its Content-Encoding says: deflate"},
		"zlib as gzip":               {"gzip", pack(t, good, zlibbed), 400, "gzip"},
		"an empty body":              {"gzip", "", 400, "gzip"},
		"an empty body, deflated":    {"deflate", "", 400, "deflate"},
		"one byte":                   {"deflate", "\x78", 400, "deflate"},
		"cut off":                    {"gzip", whole[:len(whole)-9], 400, "gzip"},
		"cut off in its head":        {"gzip", whole[:5], 400, "gzip"},
		"another checksum":           {"gzip", whole[:len(whole)-8] + "\x00" + whole[len(whole)-7:], 400, "gzip"},
		"something behind gzip":      {"gzip", whole + "{}", 400, "gzip"},
		"something behind deflate":   {"deflate", pack(t, good, zlibbed) + "{}", 400, "Something follows"},
		"twice":                      {"gzip", pack(t, whole, gzipped), 400, "not valid JSON"},
		"a bomb":                     {"gzip", bomb, 413, "at most 131072 bytes"},
		"a bomb of zlib":             {"deflate", pack(t, strings.Repeat("\x00", 20<<20), zlibbed), 413, "at most 131072 bytes"},
		"just beyond the bound":      {"gzip", pack(t, good+strings.Repeat(" ", 128<<10-len(good)+1), gzipped), 413, "at most 131072 bytes"},
		"up to the bound":            {"gzip", pack(t, good+strings.Repeat(" ", 128<<10-len(good)), gzipped), 200, ""},
		"much that is nothing":       {"gzip", nothing[:128<<10], 413, "at most 1024 gzip members"},
		"much that is nothing, late": {"gzip", (pack(t, good, gzipped) + nothing)[:128<<10], 413, "at most 1024 gzip members"},
		"more that is nothing":       {"gzip", nothing, 413, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader(c.body)
				if chunked {
					body = struct{ io.Reader }{body} // of unknown length
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.public.URL+"/v2/models/iris/infer", body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = http.Header{"Authorization": {"Bearer admin"}, "Content-Encoding": {c.coding}}
				resp, err := f.public.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				if err := resp.Body.Close(); err != nil {
					t.Fatal(err)
				}
				if err != nil || resp.StatusCode != c.status || !strings.Contains(string(text), c.want) {
					t.Errorf("chunked %v: %d %s (%v), want %d that says %q", chunked, resp.StatusCode, text, err, c.status, c.want)
				}
			}
		})
	}
	table := pack(t, "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n", gzipped)
	header := func(coding string) http.Header {
		return http.Header{"Content-Type": {"text/csv"}, "Content-Encoding": {coding}}
	}
	for name, c := range map[string]struct {
		body, coding string
		status       int
	}{
		"a table":              {table, "gzip", 200},
		"a table that is none": {table, "deflate", 400},
		"a table cut off":      {table[:len(table)-2], "gzip", 400},
		"a bomb":               {bomb, "gzip", 413},
		"in another coding":    {table, "br", 415},
	} {
		got := f.do(request{method: "POST", path: "/predict", token: "admin", body: c.body, header: header(c.coding)})
		if got.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, got.StatusCode, got.body, c.status)
		}
	}
	for _, path := range []string{"/predict", "/v2/repository/index"} {
		q := request{method: "POST", path: path, token: "admin", body: whole, header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}}
		if path != "/predict" {
			q.token = "writer"
		}
		if got := f.do(q); got.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(got.body, "without a Content-Encoding") {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

// A body of a thousand times its length takes the memory of the bound, not of what
// it would become.
func TestABombIsUnpackedUpToItsBound(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 128 << 10 })
	bomb := pack(t, strings.Repeat("\x00", 20<<20), gzipped)
	send := func() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/models/iris/infer", strings.NewReader(bomb))
		r.Host, r.Header = "localhost", http.Header{"Authorization": {"Bearer admin"}, "Content-Encoding": {"gzip"}}
		w := httptest.NewRecorder()
		f.api.Public().ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	send()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 20
	for range times {
		send()
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) / times; took > 1<<20 {
		t.Errorf("%d bytes of memory for one", took)
	}
}

func TestAnswersArePackedForWhoAsks(t *testing.T) {
	f := newAPI(t, nil).serve()
	transport, ok := f.public.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("not a transport of net/http")
	}
	transport.DisableCompression = true
	rows := make([]string, 200)
	for i := range rows {
		rows[i] = "5.1,3.5,1.4,0.2"
	}
	many := asTensors(`"shape":[200,4],"datatype":"FP32","data":[` + strings.Join(rows, ",") + `]}`)
	plain := f.do(request{method: "POST", path: "/v2/models/iris/infer", token: "admin", body: many}).body
	for accept, want := range map[string]string{
		"": "", "identity": "", "br": "", "gzip;q=0": "", "gzip;q=x": "", "gzip;q=-1": "", "gzip;q=2": "", "gzip;p=1": "", "*;q=0": "",
		"gzip": "gzip", "GZIP": "gzip", "deflate, gzip": "gzip", "gzip;q=0.5, deflate": "deflate", "deflate": "deflate",
		"gzip ; q=0.1": "gzip", "*": "gzip", "br, deflate;q=0.001": "deflate",
	} {
		got := f.do(request{method: "POST", path: "/v2/models/iris/infer", token: "admin", body: many, header: http.Header{"Accept-Encoding": {accept}}})
		body := io.Reader(strings.NewReader(got.body))
		var err error
		switch want {
		case "gzip":
			body, err = gzip.NewReader(body)
		case "deflate":
			body, err = zlib.NewReader(body)
		}
		if err != nil {
			t.Fatalf("%q: %v", accept, err)
		}
		text, err := io.ReadAll(body)
		if err != nil || got.StatusCode != http.StatusOK || got.Header.Get("Content-Encoding") != want || string(text) != plain {
			t.Errorf("%q: %d %v, %v", accept, got.StatusCode, got.Header, err)
		}
		if got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: Vary: %q", accept, got.Header["Vary"])
		}
	}
	for name, q := range map[string]request{
		"an error":       {body: asTensors(strings.Replace(tensorRow, "FP32", strings.Repeat("x", 2000), 1))},
		"a short answer": {body: asTensors(tensorRow)},
	} {
		q.method, q.path, q.token, q.header = "POST", "/v2/models/iris/infer", "admin", http.Header{"Accept-Encoding": {"gzip"}}
		if got := f.do(q); got.Header.Get("Content-Encoding") != "" || !strings.HasPrefix(got.body, "{") {
			t.Errorf("%s is packed: %v", name, got.Header)
		}
	}
}
