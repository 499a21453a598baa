package httpapi_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/telemetry"
)

const (
	tableHeader = "sepal_length,sepal_width,petal_length,petal_width\n"
	tableRow    = "5.1,3.5,1.4,0.2\n"
)

// table is the header of a body that is a table.
func table(accept ...string) http.Header {
	h := http.Header{"Content-Type": {"text/csv"}}
	if len(accept) > 0 {
		h["Accept"] = accept
	}
	return h
}

func TestATableIsPredictedLikeRowsOfJSON(t *testing.T) {
	f := newAPI(t, nil).serve()
	asJSON := f.do(request{method: "POST", path: "/predict", token: "admin", body: "[" + row + "," + row + "]"})
	for name, body := range map[string]string{
		"as it should be": tableHeader + tableRow + tableRow,
		"CR LF, a byte order mark and other columns first": "\ufeffpetal_width,sepal_width,\"petal_length\",sepal_length\r\n0.2,3.5,1.4,5.1\r\n.2,+3.50,1.4,\"5.1\"\r\n",
	} {
		for _, path := range []string{"/predict", "/models/iris/predict", "/models/iris/versions/2/predict"} {
			got := f.do(request{method: "POST", path: path, token: "admin", body: body, header: table()})
			if got.StatusCode != http.StatusOK || got.body != asJSON.body {
				t.Errorf("%s at %s: %d %s, want %s", name, path, got.StatusCode, got.body, asJSON.body)
			}
		}
	}
}

func TestAcceptDecidesTheFormOfAPrediction(t *testing.T) {
	f := newAPI(t, nil).serve()
	for accept, want := range map[string]bool{
		"text/csv": true, "TEXT/CSV": true, "text/csv; header=present": true, "text/csv;q=0.1": true, "text/*": true,
		"text/csv, */*": true, "text/csv;q=0.9, application/json;q=0.8": true, "application/json;q=0, */*": true,
		"*/*": false, "application/json": false, "application/json, text/csv": false, "text/csv, application/json": false,
		"text/csv;q=0": false, "text/csv;q=0.5, */*;q=0.8": false, "text/csv;q=2": false, "text/csv;q=x, */*": false, "text/html": false,
		",;,": false, "text/*, application/json": false, "application/xml": false, "text/csv;q=0, text/*": false,
	} {
		for _, header := range []http.Header{table(accept), {"Accept": {accept}}} {
			body, asks := tableHeader+tableRow, "a table"
			if header["Content-Type"] == nil {
				body, asks = row, "JSON"
			}
			got := f.do(request{method: "POST", path: "/predict", token: "admin", body: body, header: header})
			kind := got.Header.Get("Content-Type")
			if isTable := kind == "text/csv; charset=utf-8; header=present"; got.StatusCode != http.StatusOK || isTable != want || !isTable && kind != "application/json" {
				t.Errorf("Accept %q for %s: %d %s %s", accept, asks, got.StatusCode, kind, got.body)
			}
			if want && got.body != "prediction,label,setosa,versicolor,virginica\n0,setosa,1,0,0\n" {
				t.Errorf("Accept %q for %s: %q", accept, asks, got.body)
			}
		}
	}
}

func TestATableThatDoesNotFitIsAProblemWithLinesAndColumns(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.MaxRows = 4<<10, 3 }).serve()
	const rest = ",3.5,1.4,0.2\n"
	for name, tc := range map[string]struct {
		body   string
		status int
		errors string
	}{
		"a missing column":    {"sepal_length,sepal_width,petal_length\n1,2,3\n", 422, `[{"line":1,"name":"petal_width","detail":"is required"}]`},
		"an unknown column":   {"Sepal_length," + tableHeader + "1," + tableRow, 422, `[{"line":1,"column":1,"name":"Sepal_length","detail":"is not a feature of this model; did you mean \"sepal_length\"?"}]`},
		"a repeated column":   {"sepal_width," + tableHeader + "1," + tableRow, 422, `[{"line":1,"column":3,"name":"sepal_width","detail":"is there twice"}]`},
		"a short row":         {tableHeader + tableRow + tableRow + "\n5.1,3.5\n", 422, `[{"line":5,"column":3,"name":"petal_length","detail":"the line has 2 columns, and the header has 4"}]`},
		"a long row":          {tableHeader + "1,2,3,4,5\n", 422, `[{"line":2,"column":5,"detail":"the line has 5 columns, and the header has 4"}]`},
		"values":              {tableHeader + "x" + rest + "31" + rest, 422, `[{"line":2,"column":1,"name":"sepal_length","detail":"must be a number, not \"x\""},{"line":3,"column":1,"name":"sepal_length","detail":"must be at most 30"}]`},
		"all or nothing":      {tableHeader + tableRow + "-1" + rest, 422, `[{"line":3,"column":1,"name":"sepal_length","detail":"must be greater than 0"}]`},
		"hostile text":        {tableHeader + "\"\"\"</script>\x1b[31m\r\n\u202e\"" + rest, 422, `[{"line":2,"column":1,"name":"sepal_length","detail":"must be a number, not \"\\\"</script>\\x1b[31m\\n\\u202e\""}]`},
		"hostile name":        {"\"=cmd|' /C calc'!A0\"," + tableHeader + "1," + tableRow, 422, `[{"line":1,"column":1,"name":"=cmd|' /C calc'!A0","detail":"is not a feature of this model"}]`},
		"too many rows":       {tableHeader + strings.Repeat(tableRow, 4), 422, "null"},
		"nothing":             {"", 422, "null"},
		"only a header":       {tableHeader, 422, "null"},
		"an open quote":       {tableHeader + `"5.1`, 400, `[{"line":2,"detail":"extraneous or missing \" in quoted-field"}]`},
		"syntax goes first":   {"x," + tableHeader + "1,\"2\"3,\n", 400, `[{"line":2,"detail":"extraneous or missing \" in quoted-field"}]`},
		"Latin-1":             {tableHeader + tableRow + "\xe9" + rest, 400, "null"},
		"NUL":                 {tableHeader + "1\x00" + rest, 400, "null"},
		"semicolons":          {strings.ReplaceAll(tableHeader+tableRow, ",", ";"), 422, "null"},
		"length before that":  {tableHeader + "x" + rest + strings.Repeat(tableRow, 300), 413, "null"},
		"length before that,": {"\x00" + strings.Repeat(tableRow, 300), 413, "null"},
	} {
		t.Run(name, func(t *testing.T) {
			// A body whose length is not announced comes in pieces.
			for _, announced := range []bool{true, false} {
				got := f.post(tc.body, announced)
				var problem struct {
					Status int
					Errors json.RawMessage
				}
				if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
					t.Fatalf("%v in %s", err, got.body)
				}
				if problem.Errors == nil {
					problem.Errors = json.RawMessage("null")
				}
				if diff := cmp.Diff(tc.errors, string(problem.Errors)); diff != "" || got.StatusCode != tc.status || problem.Status != tc.status || got.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%d %s (-want +got):\n%s", got.StatusCode, got.body, diff)
				}
			}
		})
	}
	if strings.ContainsAny(f.log.String(), "\x1b\u202e") {
		t.Errorf("the log: %q", f.log)
	}
}

// post sends a table that asks for one.
func (f *fixture) post(body string, announced bool) *reply {
	f.t.Helper()
	var r io.Reader = strings.NewReader(body)
	if !announced {
		r = io.MultiReader(r)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.public.URL+"/predict", r)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header = table("text/csv")
	req.Header.Set("Authorization", "Bearer admin")
	resp, err := f.public.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return &reply{resp, string(text)}
}

func TestTablesAreRefusedInTheOneOrder(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.Admission = 100, predictions(perMinute(1000)) }).serve()
	long := strings.Repeat(tableRow, 100)
	with := func(pairs ...string) http.Header {
		h := table()
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = []string{pairs[i+1]}
		}
		return h
	}
	for name, tc := range map[string]struct {
		request
		want int
	}{
		"no credential":      {request{path: "/predict", body: long, header: with()}, 401},
		"no scope":           {request{path: "/predict", token: "noscope", body: long, header: with()}, 403},
		"no model":           {request{path: "/models/x/predict", token: "admin", body: long, header: with()}, 404},
		"no right":           {request{path: "/predict", token: "user", body: long, header: with()}, 403},
		"packed":             {request{path: "/predict", token: "admin", body: long, header: with("Content-Encoding", "br")}, 415},
		"Latin-1":            {request{path: "/predict", token: "admin", body: long, header: with("Content-Type", "text/csv; charset=latin1")}, 415},
		"without a header":   {request{path: "/predict", token: "admin", body: long, header: with("Content-Type", "text/csv; header=absent")}, 415},
		"tabs":               {request{path: "/predict", token: "admin", body: long, header: with("Content-Type", "text/tab-separated-values")}, 415},
		"too long":           {request{path: "/predict", token: "admin", body: long, header: with()}, 413},
		"its own parameters": {request{path: "/predict", token: "admin", body: tableHeader + tableRow, header: with("Content-Type", `Text/CSV;header=Present; charset="UTF-8"`)}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			tc.method = "POST"
			if got := f.do(tc.request); got.StatusCode != tc.want || got.Header["Ratelimit"] == nil {
				t.Errorf("%d %v %s, want %d", got.StatusCode, got.Header, got.body, tc.want)
			}
		})
	}
}

// What of a long table counts is who sends it at its end.
func TestRightsThatEndWhileATableArrivesEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rest string
		ends bool
		want int
	}{
		"nothing happens":           {tableRow, false, 200},
		"the right ends":            {tableRow, true, 401},
		"the right ends, and chaff": {"\x00", true, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &office{}
			o.now.Store(employed())
			f := newAPI(t, func(c *httpapi.Config) { c.Authenticator = o }).serve()
			got := f.slowly(f.api.Public(), "/predict", "text/csv", tableHeader+tableRow, tc.rest, func() {
				o.forgets()
				if tc.ends {
					o.now.Store(nil)
				}
			})
			if got.StatusCode != tc.want || tc.want == 200 && strings.Count(got.body, `"label"`) != 2 {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

// V03: what a table costs is bounded by its length, whatever is in it.
func TestTablesTakeMemoryOfTheBudgetAlone(t *testing.T) {
	const large = 8 << 20
	f := newAPI(t, nil)
	send := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", body)
		r.Host, r.RemoteAddr, r.ContentLength = "localhost:8443", "127.0.0.1:4711", -1
		r.Header = table()
		r.Header.Set("Authorization", "Bearer admin")
		w := httptest.NewRecorder()
		f.api.Public().ServeHTTP(w, r)
		return w
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"commas":           {tableHeader + strings.Repeat(",", large-100), 422},
		"names":            {strings.Repeat("a,", large/2-1), 422},
		"one quoted cell":  {tableHeader + `"` + strings.Repeat("x", large-100) + "\",1,1,1\n", 422},
		"lines":            {tableHeader + strings.Repeat("\n", large-100), 422},
		"quoted lines":     {tableHeader + `"` + strings.Repeat("\n", large-100) + "\",1,1,1\n", 422},
		"rows of one cell": {tableHeader + strings.Repeat("1\n", large/2-100), 422},
		"digits":           {tableHeader + strings.Repeat("1", large-100) + ",1,1,1\n", 422},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := send(strings.NewReader(tc.body))
			runtime.ReadMemStats(&after)
			// All that was ever taken, of which most is garbage at once.
			if took := after.TotalAlloc - before.TotalAlloc; took > 12*large || got.Code != tc.status {
				t.Errorf("took %d bytes: %d %.200s", took, got.Code, got.Body)
			}
		})
	}
	rows := strings.Repeat(tableRow, 10_000)
	var before, after runtime.MemStats
	send(strings.NewReader(tableHeader + rows)) // the batch has grown
	runtime.ReadMemStats(&before)
	got := send(strings.NewReader(tableHeader + rows))
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; got.Code != http.StatusOK || took > 8<<20 {
		t.Errorf("a good table of %d bytes took %d: %d", len(rows), took, got.Code)
	}
}

func TestTablesOnTheirWayShareTheMemoryForBodies(t *testing.T) {
	const most = 256 << 10
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody, c.Bodies = most, limit.NewBytes(2*most, nil) })
	send := func(ctx context.Context, body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/predict", body)
		r.Host, r.RemoteAddr, r.ContentLength = "localhost:8443", "127.0.0.1:4711", -1
		r.Header = table()
		r.Header.Set("Authorization", "Bearer admin")
		w := httptest.NewRecorder()
		f.api.Public().ServeHTTP(w, r)
		return w
	}
	// Rows of 8 bytes, of which each becomes 16 in memory that grows by doubling.
	rows := tableHeader + strings.Repeat("1,1,1,1\n", 9000)
	held := newGate(rows, "1,1,1,1\n")
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- send(t.Context(), held) }()
	<-held.reached
	if got := send(t.Context(), strings.NewReader(rows)); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "1" {
		t.Errorf("a second large table: %d %s", got.Code, got.Body)
	}
	close(held.open)
	if got := <-done; got.Code != http.StatusOK {
		t.Errorf("the first: %d %s", got.Code, got.Body)
	}
	for range 3 { // each gives back what it took
		if got := send(t.Context(), strings.NewReader(rows)); got.Code != http.StatusOK {
			t.Fatalf("afterwards: %d %s", got.Code, got.Body)
		}
	}
}

// BenchmarkRows shows what a row costs in each form.
func BenchmarkRows(b *testing.B) {
	const rows = 1000
	f := newAPI(b, func(c *httpapi.Config) {
		c.Admission = predictions(perMinute(identity.MaxRequests))
		c.AccessLog = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
	})
	asCSV := tableHeader + strings.Repeat(tableRow, rows)
	asJSON := "[" + strings.Repeat(row+",", rows-1) + row + "]"
	for _, form := range []struct {
		name, body, media, accept string
	}{
		{"json", asJSON, "application/json", "application/json"},
		{"csv", asCSV, "text/csv", "text/csv"},
		{"csv in", asCSV, "text/csv", "application/json"},
	} {
		b.Run(fmt.Sprintf("form=%s", strings.ReplaceAll(form.name, " ", "-")), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/predict", strings.NewReader(form.body))
				r.Host, r.RemoteAddr, r.ContentLength = "localhost:8443", "127.0.0.1:4711", int64(len(form.body))
				r.Header = http.Header{"Authorization": {"Bearer admin"}, "Content-Type": {form.media}, "Accept": {form.accept}}
				w := &recorderless{header: http.Header{}}
				f.api.Public().ServeHTTP(w, r)
				if w.n == 0 || w.status > 200 {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(len(form.body))/rows, "bytes/row")
		})
	}
}

// FuzzTable holds for any body that says it is a table: the answer is a
// prediction for each row, or a problem whose faults have a place.
func FuzzTable(f *testing.F) {
	api := newAPI(f, func(c *httpapi.Config) { c.MaxRows = 4 }).api
	for _, seed := range []string{tableHeader + tableRow, "\ufeff" + tableHeader + "1,2", tableHeader + "\"1\"\"\",", "\x00", tableHeader + "=1+1,@x,-\t,+\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", strings.NewReader(string(body)))
		r.Host, r.RemoteAddr = "localhost:8443", "127.0.0.1:4711"
		r.Header = table("text/csv")
		r.Header.Set("Authorization", "Bearer admin")
		w := httptest.NewRecorder()
		api.Public().ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			if rows, err := csv.NewReader(w.Body).ReadAll(); err != nil || len(rows) < 2 || len(rows) > 5 {
				t.Errorf("%d rows, error %v", len(rows), err)
			}
			return
		}
		var problem struct {
			Errors []struct {
				Line   int
				Detail string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != 400 && w.Code != 422 {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
		for _, e := range problem.Errors {
			if e.Line < 1 || e.Detail == "" {
				t.Errorf("%+v in %s", e, w.Body)
			}
		}
	})
}
