package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
)

// slug is the end of a problem's type.
func (r *reply) slug(tb testing.TB) string {
	tb.Helper()
	kind, _ := r.json(tb)["type"].(string)
	return strings.TrimPrefix(kind, "/problems/")
}

func TestRefusalsComeInTheirOrder(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 200 }).serve()
	big := strings.Repeat(" ", 300)
	xml := http.Header{"Content-Type": {"text/xml"}}
	// Each request deserves its own refusal and every later one as well.
	for _, tc := range []struct {
		name string
		q    request
		want int
		slug string
	}{
		{"host before path", request{method: "BREW", path: "//nowhere", host: "evil.example"}, 421, "misdirected-request"},
		{"path before route", request{method: "BREW", path: "//nowhere"}, 400, "bad-request"},
		{"route before method", request{method: "BREW", path: "/nowhere"}, 404, "not-found"},
		{"method before credential", request{method: "DELETE", path: "/models/none/predict"}, 405, "method-not-allowed"},
		{"credential before permission", request{method: "POST", path: "/models/none/predict", token: "wrong", body: big, header: xml}, 401, "unauthenticated"},
		{"permission before model", request{method: "POST", path: "/models/none/predict", token: "noscope", body: big, header: xml}, 403, "forbidden"},
		{"model before media type", request{method: "POST", path: "/models/none/predict", token: "user", body: big, header: xml}, 404, "not-found"},
		{"version before media type", request{method: "POST", path: "/models/iris/versions/9/predict", token: "user", body: big, header: xml}, 404, "not-found"},
		{"the model's rule before media type", request{method: "POST", path: "/predict", token: "user", body: big, header: xml}, 403, "forbidden"},
		{"media type before length", request{method: "POST", path: "/predict", token: "admin", body: big, header: xml}, 415, "unsupported-media-type"},
		{"length before syntax", request{method: "POST", path: "/predict", token: "admin", body: big}, 413, "too-large"},
		{"syntax before content", request{method: "POST", path: "/predict", token: "admin", body: `{"sepal_length":"x"`}, 400, "invalid-syntax"},
		{"content", request{method: "POST", path: "/predict", token: "admin", body: `{"sepal_length":"x"}`}, 422, "invalid-content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := f.do(tc.q)
			if got.StatusCode != tc.want || got.slug(t) != tc.slug {
				t.Errorf("%d %s, want %d %s", got.StatusCode, got.body, tc.want, tc.slug)
			}
			if got.Header.Get("Content-Type") != "application/problem+json" || got.json(t)["request_id"] != got.Header.Get("X-Request-Id") {
				t.Errorf("%v %s", got.Header, got.body)
			}
		})
	}
}

func TestRateComesBeforeTheCredentialAndCountsRefusals(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Admission = predictions(perMinute(3)) }).serve()
	for i, want := range []int{401, 403, 404, 429} {
		q := []request{
			{token: "wrong"}, {token: "user"}, {path: "/models/none/predict", token: "admin"}, {token: "wrong"},
		}[i]
		q.method, q.body = "POST", row
		if q.path == "" {
			q.path = "/predict"
		}
		got := f.do(q)
		if got.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, got.StatusCode, want)
		}
		if p := got.Header.Get("RateLimit-Policy"); p != `"predict";q=3;w=60` {
			t.Errorf("request %d: policy %q", i, p)
		}
		if l, want := got.Header.Get("RateLimit"), fmt.Sprintf(`"predict";r=%d;t=`, max(0, 2-i)); !strings.HasPrefix(l, want) {
			t.Errorf("request %d: limit %q, want %s…", i, l, want)
		}
		if retry := got.Header.Get("Retry-After"); (retry != "") != (want == 429) {
			t.Errorf("request %d: Retry-After %q", i, retry)
		}
	}
	if got := f.do(request{method: "GET", path: "/models", token: "admin"}); got.StatusCode != http.StatusOK || got.Header.Get("RateLimit") != "" {
		t.Errorf("a route without a rate: %d %v", got.StatusCode, got.Header)
	}
	if got := f.do(request{method: "POST", path: "/predict", token: "admin"}); got.slug(t) != "rate-limited" {
		t.Errorf("%s", got.body)
	}
}

func TestReloadChangesRatesAndKeepsCounts(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Admission = predictions(perMinute(1)) }).serve()
	q := request{method: "POST", path: "/predict", token: "admin", body: row}
	f.do(q)
	if got := f.do(q); got.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("%d, want 429", got.StatusCode)
	}
	f.admission.Reload(admission.Rates{Predict: identity.Rates{perMinute(5)}})
	if got := f.do(q); got.StatusCode != http.StatusOK || got.Header.Get("RateLimit-Policy") != `"predict";q=5;w=60` {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	f.admission.Reload(admission.Rates{})
	for range 10 {
		if got := f.do(q); got.StatusCode != http.StatusOK || got.Header.Get("RateLimit") != "" {
			t.Fatalf("%d %v with the rate off", got.StatusCode, got.Header)
		}
	}
}

func TestOnlyTheOneFormOfAPathIsServed(t *testing.T) {
	f := newAPI(t, nil).serve()
	for path, want := range map[string]int{
		"/livez":                      200,
		"/livez/":                     400,
		"//livez":                     400,
		"/./livez":                    400,
		"/x/../livez":                 400,
		"/%6civez":                    400,
		"/%2e%2e/livez":               400,
		"/models/iris%2Fpredict":      400,
		"/models/iris/../iris":        400,
		"/models//predict":            400,
		"/livez;x=1":                  400,
		"/livez.":                     404,
		"/Livez":                      404,
		"/livez~":                     404,
		"/LIVEZ":                      404,
		"/":                           404,
		"/models/iris/predict/more":   404,
		"/models/iris/versions/1":     401,
		"/docs":                       404,
		"/docs/init.js":               404,
		"/metrics":                    404,
		"/livez?access_token=x":       200, // no credential is asked for, nor looked at
		"/livez?":                     200,
		"/livez?x=/../&y=%2e%2e//%00": 200,
	} {
		got := f.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", want)) || strings.Contains(got, "\nLocation:") {
			t.Errorf("GET %s: %.200q, want %d", path, got, want)
		}
	}
}

func TestRequestTargetsThatAreNoPathAreRefused(t *testing.T) {
	f := newAPI(t, nil).serve()
	for line, want := range map[string]int{
		"GET https://localhost/livez": 400,
		"OPTIONS *":                   400,
		"CONNECT localhost:443":       400,
		"TRACE /livez":                405,
		"TRACE /token":                405,
		"OPTIONS /predict":            405,
		"PROPFIND /livez":             405,
		"get /livez":                  405,
		"HEAD /predict":               405,
	} {
		got := f.raw(line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%s: %.200q, want %d", line, got, want)
		}
		if strings.Contains(got, "\r\nAllow: ") != (want == 405) {
			t.Errorf("%s: Allow in %q", line, got)
		}
	}
	if got := f.raw("PUT /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "\r\nAllow: GET, HEAD\r\n") {
		t.Errorf("Allow of a GET route: %q", got)
	}
}

func TestHeadersThatRewriteARequestAreIgnored(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Http-Method-Override", "X-Forwarded-Host", "X_Original_Url"} {
		got := f.do(request{method: "POST", path: "/predict", body: row, header: http.Header{name: {"/livez"}}})
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", name, got.StatusCode)
		}
	}
}

func TestHostNames(t *testing.T) {
	hosts := map[string]bool{
		"localhost": true, "localhost:8443": true, "LocalHost:1": true, "127.0.0.1": true, "127.0.0.1:8443": true,
		"127.1.2.3": true, "[::1]": true, "[::1]:8443": true,
		"example.com": false, "localhost.example.com": false, "127.0.0.1.nip.io": false, "localhost.": false,
		"[::2]": false, "0.0.0.0": false, "10.0.0.1:8443": false, "2130706433": false, "127.1": false,
		"[::ffff:127.0.0.1]": false, "localhost:x": false, "localhost:": false, "xlocalhost": false,
	}
	closed, open := newAPI(t, nil).serve(), newAPI(t, func(c *httpapi.Config) { c.LoopbackHost = false }).serve()
	for host, local := range hosts {
		got := closed.do(request{method: "GET", path: "/livez", host: host})
		if (got.StatusCode == http.StatusOK) != local || !local && got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d", host, got.StatusCode)
		}
		if hsts := got.Header.Get("Strict-Transport-Security"); hsts != "" {
			t.Errorf("%s on a closed listener: HSTS %q", host, hsts)
		}
		got = open.do(request{method: "GET", path: "/livez", host: host})
		if hsts := got.Header.Get("Strict-Transport-Security"); got.StatusCode != http.StatusOK || (hsts == "") != local {
			t.Errorf("%s on an open listener: %d, HSTS %q", host, got.StatusCode, hsts)
		}
		if got := open.doAt(open.admin, request{method: "GET", path: "/metrics", host: host}); (got.StatusCode == http.StatusOK) != local {
			t.Errorf("%s on the administration listener: %d", host, got.StatusCode)
		}
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, tc := range []struct {
		q    request
		want string
	}{
		{request{host: "evil.example", path: "/livez"}, "This server answers only on its own machine; call it as localhost or 127.0.0.1"},
		{request{method: "GET", path: "/models/iris/predict"}, "This path takes POST"},
		{request{method: "PUT", path: "/livez"}, "This path takes GET, HEAD"},
		{request{method: "GET", path: "/models", header: http.Header{"Authorization": {"Bearer "}}}, "The access token is empty: send one as Authorization: Bearer TOKEN"},
	} {
		if got := f.do(tc.q).json(t)["detail"]; got != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.q.method, tc.q.path, got, tc.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	f := newAPI(t, nil).serve()
	const challenge = `Bearer realm="onnxgate"`
	for name, tc := range map[string]struct {
		header    []string
		query     string
		want      int
		challenge string
	}{
		"none":                  {nil, "", 401, challenge},
		"empty":                 {[]string{""}, "", 401, challenge},
		"another scheme":        {[]string{"Digest YTpi"}, "", 401, challenge},
		"good":                  {[]string{"Bearer admin"}, "", 200, ""},
		"scheme in other case":  {[]string{"bEARER admin"}, "", 200, ""},
		"bad":                   {[]string{"Bearer nonsense"}, "", 401, challenge + `, error="invalid_token", error_description="The access token is not valid"`},
		"two headers":           {[]string{"Bearer admin", "Bearer admin"}, "", 400, challenge + `, error="invalid_request"`},
		"two in one":            {[]string{"Bearer admin, Bearer admin"}, "", 400, challenge + `, error="invalid_request"`},
		"scheme alone":          {[]string{"Bearer"}, "", 401, challenge},
		"an empty token":        {[]string{"Bearer "}, "", 401, challenge},
		"a token with a blank":  {[]string{"Bearer ad min"}, "", 400, challenge + `, error="invalid_request"`},
		"in the URL":            {nil, "?access_token=admin", 400, challenge + `, error="invalid_request"`},
		"in the URL as well":    {[]string{"Bearer admin"}, "?x=1&Access%5FToken=admin", 400, challenge + `, error="invalid_request"`},
		"password in the URL":   {[]string{"Bearer admin"}, "?password=", 400, challenge + `, error="invalid_request"`},
		"a harmless query":      {[]string{"Bearer admin"}, "?verbose=1", 200, ""},
		"without the scope":     {[]string{"Bearer noscope"}, "", 403, challenge + `, error="insufficient_scope", scope="models:predict"`},
		"without the role":      {[]string{"Bearer user"}, "", 403, ""},
		"that breaks the proof": {[]string{"Bearer broken"}, "", 500, ""},
		"that nobody can judge": {[]string{"Bearer away"}, "", 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if tc.header != nil {
				header["Authorization"] = tc.header
			}
			got := f.do(request{method: "POST", path: "/predict" + tc.query, body: row, header: header})
			if got.StatusCode != tc.want || got.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("%d %q, want %d %q", got.StatusCode, got.Header.Get("WWW-Authenticate"), tc.want, tc.challenge)
			}
			if strings.Contains(got.body, "secret") || strings.Contains(got.body, "locked") {
				t.Errorf("the cause is told: %s", got.body)
			}
			if (got.Header.Get("Retry-After") != "") != (tc.want == 503) {
				t.Errorf("Retry-After: %q", got.Header.Get("Retry-After"))
			}
		})
	}
}

func TestBodies(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 1000; c.MaxRows = 3 }).serve()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return h
	}
	for name, tc := range map[string]struct {
		body   string
		header http.Header
		want   int
	}{
		"as it should be":          {row, header("Content-Type", "application/json"), 200},
		"charset":                  {row, header("Content-Type", "application/json; charset=utf-8"), 200},
		"charset in capitals":      {row, header("Content-Type", `Application/JSON;charset="UTF-8"`), 200},
		"another charset":          {row, header("Content-Type", "application/json; charset=latin1"), 415},
		"another parameter":        {row, header("Content-Type", "application/json; profile=x"), 415},
		"no type":                  {row, http.Header{"Content-Type": {""}}, 415},
		"two types":                {row, header("Content-Type", "application/json", "Content-Type", "application/json"), 415},
		"a form":                   {row, form(), 415},
		"a suffix":                 {row, header("Content-Type", "application/problem+json"), 415},
		"a list of types":          {row, header("Content-Type", "application/json, text/plain"), 415},
		"identity":                 {row, header("Content-Type", "application/json", "Content-Encoding", "identity"), 200},
		"gzip":                     {row, header("Content-Type", "application/json", "Content-Encoding", "gzip"), 415},
		"exactly the limit":        {row + strings.Repeat(" ", 1000-len(row)), header("Content-Type", "application/json"), 200},
		"one byte more":            {row + strings.Repeat(" ", 1001-len(row)), header("Content-Type", "application/json"), 413},
		"nothing":                  {"", header("Content-Type", "application/json"), 400},
		"more rows than permitted": {"[" + strings.Repeat(row+",", 3) + row + "]", header("Content-Type", "application/json"), 422},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.do(request{method: "POST", path: "/predict", token: "admin", body: tc.body, header: tc.header})
			if got.StatusCode != tc.want {
				t.Errorf("%d %s, want %d", got.StatusCode, got.body, tc.want)
			}
		})
	}
}

func TestLengthIsRefusedBeforeAnythingIsRead(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.MaxBody = 1000 }).serve()
	const head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\n"
	got := f.raw(head + "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("announced: %.300q", got)
	}
	chunk := strings.Repeat("a", 600)
	got = f.raw(head + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n" + chunk + "\r\n258\r\n" + chunk + "\r\n0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("chunked: %.300q", got)
	}
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(row), row)
	got = f.raw(head + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("chunked and short: %.300q", got)
	}
}

func TestShortBodyMustComeInTimeAndALongOneHasMore(t *testing.T) {
	f := newAPI(t, nil)
	f.readTimeout = 400 * time.Millisecond
	f.serve()
	const head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\nConnection: close\r\n"
	got := f.raw(head + "Content-Length: 100\r\n\r\n{")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "did not arrive in time") {
		t.Errorf("short: %.400q", got)
	}
	got = f.raw(head+"Content-Length: 70000\r\n\r\n{", strings.Repeat("x", 69_999))
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "invalid-syntax") {
		t.Errorf("long: %.400q", got)
	}
	got = f.raw("GET /livez HTTP/1.1\r\nHost: local")
	if strings.Contains(got, "200") {
		t.Errorf("header: %.400q", got)
	}
}

func TestSmuggledRequestsAreRefused(t *testing.T) {
	f := newAPI(t, nil).serve()
	for name, text := range map[string]string{
		"two lengths":         "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"length and chunked":  "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked twice":       "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"another coding":      "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
		"blank before colon":  "Content-Length : 3\r\n\r\nabc",
		"a folded line":       "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"two hosts":           "Host: localhost\r\nContent-Length: 0\r\n\r\n",
		"a length with sign":  "Content-Length: +3\r\n\r\nabc",
		"a NUL in a header":   "X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
		"a bare CR in a name": "X\rA: b\r\nContent-Length: 0\r\n\r\n",
	} {
		got := f.raw("POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\n" + text)
		if strings.Contains(got, "HTTP/1.1 200") || strings.Count(got, "HTTP/1.1 ") > 1 {
			t.Errorf("%s: %.300q", name, got)
		}
	}
}

func TestLongTargetsAndHeadersAreRefused(t *testing.T) {
	f := newAPI(t, nil).serve()
	many := func(n int) http.Header {
		h := http.Header{}
		for i := range n {
			h.Set(fmt.Sprintf("X-%d", i), "1")
		}
		return h
	}
	same := func(n int) http.Header { return http.Header{"X-A": slices.Repeat([]string{"1"}, n)} }
	long := func(n int) http.Header { return http.Header{"X-A": {strings.Repeat("a", n)}} }
	const query = "/livez?"
	for name, tc := range map[string]struct {
		q      request
		want   int
		detail string
	}{
		"the longest query":         {request{path: query + strings.Repeat("a", 8192-len(query))}, 200, ""},
		"one byte more":             {request{path: query + strings.Repeat("a", 8193-len(query))}, 400, "The path and the query must have at most 8192 bytes"},
		"a long path":               {request{path: "/" + strings.Repeat("a", 9000)}, 400, "The path and the query must have at most 8192 bytes"},
		"many fields":               {request{path: "/livez", header: many(90)}, 200, ""},
		"too many fields":           {request{path: "/livez", header: many(101)}, 400, "The header must have at most 100 fields, and 16384 bytes"},
		"one field many times":      {request{path: "/livez", header: same(90)}, 200, ""},
		"one field too many times":  {request{path: "/livez", header: same(101)}, 400, "The header must have at most 100 fields, and 16384 bytes"},
		"a long field":              {request{path: "/livez", header: long(15_900)}, 200, ""},
		"another host comes before": {request{path: "/livez", host: "evil.example", header: many(101)}, 421, problemDetailMisdirected},
	} {
		t.Run(name, func(t *testing.T) {
			tc.q.method = "GET"
			got := f.do(tc.q)
			if got.StatusCode != tc.want {
				t.Fatalf("%d %.300s, want %d", got.StatusCode, got.body, tc.want)
			}
			if tc.want != 200 && got.json(t)["detail"] != tc.detail {
				t.Errorf("%s, want %q", got.body, tc.detail)
			}
		})
	}
	if got := f.do(request{method: "POST", path: "/token", header: many(101)}); got.StatusCode != http.StatusBadRequest || got.json(t)["error"] != "invalid_request" {
		t.Errorf("token: %d %s", got.StatusCode, got.body)
	}
}

func TestHeaderWithTooManyBytesIsRefused(t *testing.T) {
	f := newAPI(t, nil).serve()
	for size, want := range map[int]string{
		16_200: "HTTP/1.1 401 ",
		16_385: "HTTP/1.1 400 ",
		19_000: "HTTP/1.1 400 ",
		30_000: "HTTP/1.1 431 ", // net/http itself reads no further
	} {
		got := f.raw("GET /models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer " + strings.Repeat("a", size) + "\r\n\r\n")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%d bytes: %.400q, want %s", size, got, want)
		}
	}
}

const problemDetailMisdirected = "This server answers only on its own machine; call it as localhost or 127.0.0.1"

func TestNothingIsReadBehindARequestWhoseEndIsInDoubt(t *testing.T) {
	f := newAPI(t, nil).serve()
	const hidden = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	const auth = "Host: localhost\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"chunked and a length": "POST /predict HTTP/1.1\r\n" + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunked, on a GET":    "GET /livez HTTP/1.1\r\n" + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunked in HTTP/1.0":  "GET /livez HTTP/1.0\r\n" + auth + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
	} {
		got := f.raw(text)
		if n := strings.Count(got, "HTTP/1."); n != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("%s: %d answers: %.600q", name, n, got)
		}
	}
}
