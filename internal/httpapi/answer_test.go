package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/oauth"
	"onnxgate/internal/testkit"
)

// statuses says what each kind of fault must look like from outside.
var statuses = map[fault.Kind]struct {
	status int
	slug   string
	oauth  string
}{
	fault.Internal:         {500, "internal-error", "server_error"},
	fault.Misdirected:      {421, "misdirected-request", "invalid_request"},
	fault.BadRequest:       {400, "bad-request", "invalid_request"},
	fault.NotFound:         {404, "not-found", "invalid_request"},
	fault.MethodNotAllowed: {405, "method-not-allowed", "invalid_request"},
	fault.RateLimited:      {429, "rate-limited", "temporarily_unavailable"},
	fault.QuotaExceeded:    {429, "quota-exceeded", "temporarily_unavailable"},
	fault.Unauthenticated:  {401, "unauthenticated", "invalid_client"},
	fault.Forbidden:        {403, "forbidden", "unauthorized_client"},
	fault.UnsupportedMedia: {415, "unsupported-media-type", "invalid_request"},
	fault.TooLarge:         {413, "too-large", "invalid_request"},
	fault.Syntax:           {400, "invalid-syntax", "invalid_request"},
	fault.Content:          {422, "invalid-content", "invalid_request"},
	fault.Undecryptable:    {400, "decryption-failed", "invalid_request"},
	fault.Conflict:         {409, "conflict", "invalid_request"},
	fault.Unsupported:      {501, "not-implemented", "invalid_request"},
	fault.Unavailable:      {503, "unavailable", "temporarily_unavailable"},
	fault.Overloaded:       {503, "overloaded", "temporarily_unavailable"},
	fault.Timeout:          {503, "timeout", "temporarily_unavailable"},
	fault.ClientDeadline:   {503, "timeout", "temporarily_unavailable"},
	fault.Canceled:         {499, "canceled", "invalid_request"},
}

func TestJSONAnswersEndTheirLine(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, q := range []request{
		{method: "POST", path: "/predict", token: "admin", body: row},
		{method: "POST", path: "/predict", token: "admin", body: "[" + row + "," + row + "]"},
		{method: "POST", path: "/predict", token: "admin", body: "{}"},
		{method: "GET", path: "/models", token: "admin"},
		{method: "GET", path: "/livez"},
		{method: "GET", path: "/openapi.json", token: "admin"},
		{method: "POST", path: "/token", body: "username=a&password=b", header: form()},
	} {
		if got := f.do(q); !strings.HasSuffix(got.body, "}\n") || strings.HasSuffix(got.body, "\n\n") {
			t.Errorf("%s %s: %d %.200q", q.method, q.path, got.StatusCode, got.body)
		}
	}
}

func TestEveryKindHasItsStatusAndSlug(t *testing.T) {
	var kind fault.Kind
	program := testkit.Flower{OnRun: func(context.Context) error {
		return &fault.Error{Kind: kind, Msg: "what to fix", Err: errors.New("secret cause")}
	}}
	f := newAPIWith(t, program, nil).serve()
	for _, kind = range fault.Kinds() {
		want, ok := statuses[kind]
		if !ok {
			t.Errorf("%v: this test does not say what it should look like", kind)
			continue
		}
		got := f.do(request{method: "POST", path: "/predict", token: "admin", body: row})
		detail := "What to fix"
		if kind == fault.Internal {
			detail = "The server failed. The request id finds the reason in its log"
		}
		v := got.json(t)
		if got.StatusCode != want.status || got.slug(t) != want.slug || v["detail"] != detail || v["status"] != float64(want.status) {
			t.Errorf("%v: %d %s", kind, got.StatusCode, got.body)
		}
		if strings.Contains(got.body, "secret") {
			t.Errorf("%v: the cause is told: %s", kind, got.body)
		}
		if (got.Header.Get("Retry-After") != "") != (want.status == 503) {
			t.Errorf("%v: Retry-After %q", kind, got.Header.Get("Retry-After"))
		}
	}
	if log := f.log.String(); !strings.Contains(log, "secret cause") {
		t.Errorf("the cause is not in the log: %s", log)
	}
}

// oauthFault is a token server that fails in one way.
type oauthFault struct {
	httpapi.TokenServer

	err error
}

func (f oauthFault) Token(context.Context, oauth.Request) (*oauth.TokenResponse, error) {
	return nil, f.err
}

func TestEveryKindHasItsOAuthError(t *testing.T) {
	for _, kind := range fault.Kinds() {
		f := newAPI(t, func(c *httpapi.Config) {
			c.Tokens = oauthFault{err: &fault.Error{Kind: kind, Msg: `say "what" \ to fix é`, RetryAfter: 1500 * time.Millisecond}}
		}).serve()
		got := f.do(request{method: "POST", path: "/token", body: "grant_type=password", header: form()})
		want := map[string]any{"error": statuses[kind].oauth, "error_description": "Say 'what' ' to fix ?"}
		if kind == fault.Internal {
			want["error_description"] = "The server failed. The request id finds the reason in its log"
		}
		if diff := cmp.Diff(want, got.json(t)); diff != "" || got.StatusCode != statuses[kind].status {
			t.Errorf("%v: %d (-want +got):\n%s", kind, got.StatusCode, diff)
		}
		if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Retry-After") != "2" {
			t.Errorf("%v: %v", kind, got.Header)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Admission = admit(admission.Rates{Token: identity.Rates{perMinute(100)}}) }).serve()
	basic := func(value string) http.Header {
		h := form()
		h["Authorization"] = []string{value}
		return h
	}
	const good = "username=a&password=right"
	for name, tc := range map[string]struct {
		q         request
		status    int
		code      string
		challenge string
	}{
		"wrong password":      {request{body: "username=a&password=b", header: form()}, 401, "invalid_grant", "Bearer"},
		"JSON":                {request{body: row}, 400, "invalid_request", ""},
		"no type":             {request{body: good, header: http.Header{"Content-Type": {""}}}, 400, "invalid_request", ""},
		"in the URL":          {request{path: "/token?username=a&password=right", body: good, header: form()}, 400, "invalid_request", ""},
		"too long":            {request{body: good + strings.Repeat("&", 16<<10), header: form()}, 413, "invalid_request", ""},
		"no form":             {request{body: "a=%zz", header: form()}, 400, "invalid_request", ""},
		"semicolons":          {request{body: "a=1;b=2", header: form()}, 400, "invalid_request", ""},
		"wrong method":        {request{method: "GET"}, 405, "invalid_request", ""},
		"wrong host":          {request{host: "evil.example"}, 421, "invalid_request", ""},
		"Basic, not base64":   {request{body: good, header: basic("Basic !!")}, 400, "invalid_request", ""},
		"Basic, no colon":     {request{body: good, header: basic("Basic YWI=")}, 400, "invalid_request", ""},
		"another scheme":      {request{body: good, header: basic("Digest x")}, 401, "invalid_client", `Basic realm="onnxgate", charset="UTF-8"`},
		"an old token":        {request{body: good, header: basic("Bearer x")}, 200, "", ""},
		"two Authorization":   {request{body: good, header: http.Header{"Content-Type": form()["Content-Type"], "Authorization": {"Basic Og==", "Basic Og=="}}}, 400, "invalid_request", ""},
		"charset is accepted": {request{body: good, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}}, 200, "", ""},
		"empty Basic":         {request{body: good, header: basic("Basic Og==")}, 200, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.q.method == "" {
				tc.q.method = "POST"
			}
			if tc.q.path == "" {
				tc.q.path = "/token"
			}
			got := f.do(tc.q)
			code, _ := got.json(t)["error"].(string)
			if got.StatusCode != tc.status || code != tc.code || got.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("%d %q %s", got.StatusCode, got.Header.Get("WWW-Authenticate"), got.body)
			}
		})
	}
}

func TestFormAndBasicReachTheTokenServerAsSent(t *testing.T) {
	f := newAPI(t, nil).serve()
	header := form()
	header["Authorization"] = []string{"bAsIc YTpiOmM="}
	f.do(request{method: "POST", path: "/token", body: "username=a+b&username=c%26&password=", header: header})
	last := f.tokens.last
	if last.Basic == nil || last.Basic.Username != "a" || last.Basic.Password != "b:c" {
		t.Errorf("Basic: %+v", last.Basic)
	}
	if diff := cmp.Diff(map[string][]string{"username": {"a b", "c&"}, "password": {""}}, map[string][]string(last.Form)); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

func TestWrongPasswordIsTheSameForEverybody(t *testing.T) {
	f := newAPI(t, nil).serve()
	got := f.do(request{method: "POST", path: "/token", body: "username=a&password=b", header: form()})
	if want := `{"error":"invalid_grant","error_description":"Incorrect username or password"}` + "\n"; got.body != want {
		t.Errorf("%q, want %q", got.body, want)
	}
}

func TestFaultyFieldsAreListedAndBounded(t *testing.T) {
	var f *fault.Error
	program := testkit.Flower{OnRun: func(context.Context) error { return f }}
	api := newAPIWith(t, program, nil).serve()
	f = &fault.Error{Kind: fault.Content, Msg: "m"}
	for i := range fault.MaxFields + 1 {
		f.Fields = append(f.Fields, fault.Field{Pointer: fmt.Sprintf("#/%d/a~1b\"\xff", i), Detail: "must be <\u2028>"})
	}
	got := api.do(request{method: "POST", path: "/predict", token: "admin", body: row}).json(t)
	errs, _ := got["errors"].([]any)
	if len(errs) != fault.MaxFields || got["truncated"] != true {
		t.Errorf("%d errors, truncated %v", len(errs), got["truncated"])
	}
	if diff := cmp.Diff(map[string]any{"pointer": "#/0/a~1b\"\uFFFD", "detail": "must be <\u2028>"}, errs[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.Fields = f.Fields[:1]
	got = api.do(request{method: "POST", path: "/predict", token: "admin", body: row}).json(t)
	if _, has := got["truncated"]; has {
		t.Errorf("%v: truncated without need", got)
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		c.LoopbackHost, c.AdminLoopback = false, false
		c.Docs = true
		c.Admission = predictions(perMinute(2))
	}).serve()
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Strict-Transport-Security":    "max-age=63072000",
	}
	seen := map[int]bool{}
	for _, q := range []request{
		{method: "GET", path: "/livez"},
		{method: "HEAD", path: "/livez"},
		{method: "GET", path: "/docs"},
		{method: "GET", path: "/docs/init.js"},
		{method: "GET", path: "/openapi.json"},
		{method: "GET", path: "/models", token: "panic"},
		{method: "GET", path: "/nowhere"},
		{method: "POST", path: "/livez"},
		{method: "GET", path: "/livez/"},
		{method: "POST", path: "/token", body: "username=a&password=right", header: form()},
		{method: "POST", path: "/token", body: "x"},
		{method: "POST", path: "/predict"},
		{method: "POST", path: "/predict", token: "user"},
		{method: "POST", path: "/predict"},
		{method: "GET", path: "/models", token: "away"},
		{method: "GET", path: "/models/none", token: "admin"},
	} {
		q.host = "ml.example.com"
		got := f.do(q)
		seen[got.StatusCode] = true
		for name, value := range want {
			if got.Header.Get(name) != value {
				t.Errorf("%s %s (%d): %s is %q", q.method, q.path, got.StatusCode, name, got.Header.Get(name))
			}
		}
		policy := got.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s %s: CSP %q", q.method, q.path, policy)
		}
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got.Header.Get("X-Request-Id")) {
			t.Errorf("%s %s: X-Request-Id %q", q.method, q.path, got.Header.Get("X-Request-Id"))
		}
		for _, name := range []string{"Server", "X-Powered-By", "Set-Cookie", "Vary", "Access-Control-Allow-Origin"} {
			if got.Header.Get(name) != "" && (name != "Vary" || q.path != "/docs/swagger-ui.css") {
				t.Errorf("%s %s: %s is sent", q.method, q.path, name)
			}
		}
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 429, 500, 503} {
		if !seen[status] {
			t.Errorf("no answer was a %d", status)
		}
	}
	if got := f.doAt(f.admin, request{method: "GET", path: "/metrics", host: "ml.example.com"}); got.StatusCode != http.StatusUnauthorized || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("metrics: %d %v", got.StatusCode, got.Header)
	}
}

func TestRequestIDIsOursAndTheClientsIsLogged(t *testing.T) {
	f := newAPI(t, nil).serve()
	ids := map[string]bool{}
	for i, theirs := range []string{"mine-1", "", "not valid", strings.Repeat("a", 64), strings.Repeat("a", 65), "é"} {
		got := f.do(request{method: "GET", path: "/livez", header: http.Header{"X-Request-Id": {theirs}}})
		id := got.Header.Get("X-Request-Id")
		if ids[id] || id == theirs || len(got.Header["X-Request-Id"]) != 1 {
			t.Errorf("%d: %v", i, got.Header["X-Request-Id"])
		}
		ids[id] = true
	}
	var logged []any
	for _, line := range f.accessLines() {
		if id, ok := line["request_id"].(string); !ok || !ids[id] {
			t.Errorf("%v is not the id of an answer", line["request_id"])
		}
		logged = append(logged, line["client_request_id"])
	}
	if diff := cmp.Diff([]any{"mine-1", nil, nil, strings.Repeat("a", 64), nil, nil}, logged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRequestWithoutRandomnessIsRefused(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Rand = strings.NewReader("too short") }).serve()
	if got := f.do(request{method: "GET", path: "/livez"}); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d, want 503", got.StatusCode)
	}
}

func TestPanicIsAnAnswerAndOnlyTheLogKnowsMore(t *testing.T) {
	f := newAPI(t, nil).serve()
	got := f.do(request{method: "GET", path: "/models", token: "panic"})
	if got.StatusCode != http.StatusInternalServerError || got.slug(t) != "internal-error" || strings.Contains(got.body, "secret") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if log := f.log.String(); !strings.Contains(log, "a defect with a secret inside") || !strings.Contains(log, "harness_test.go") {
		t.Errorf("the log lacks the value or the stack: %s", log)
	}
	if got := f.do(request{method: "GET", path: "/livez"}); got.StatusCode != http.StatusOK {
		t.Errorf("after a panic: %d", got.StatusCode)
	}
	lines := f.accessLines()
	if lines[0]["status"] != 500.0 || lines[0]["reason"] != "internal" {
		t.Errorf("%v", lines[0])
	}
}

func TestAbortedAnswerIsCutOff(t *testing.T) {
	f := newAPIWith(t, testkit.Flower{OnRun: func(context.Context) error { panic(http.ErrAbortHandler) }}, nil).serve()
	got := f.raw("POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\nContent-Length: " +
		fmt.Sprint(len(row)) + "\r\n\r\n" + row)
	if got != "" {
		t.Errorf("%q, want a closed connection", got)
	}
	if strings.Contains(f.log.String(), `"msg":"panic"`) {
		t.Errorf("an abort was logged as a defect: %s", f.log)
	}
}

func TestDeadlineOfTheRouteReachesTheModel(t *testing.T) {
	var left time.Duration
	f := newAPIWith(t, testkit.Flower{OnRun: func(ctx context.Context) error {
		at, ok := ctx.Deadline()
		if !ok {
			return errors.New("no deadline")
		}
		left = time.Until(at)
		return fmt.Errorf("stopped: %w", context.DeadlineExceeded)
	}}, nil).serve()
	got := f.do(request{method: "POST", path: "/predict", token: "admin", body: row})
	if got.StatusCode != http.StatusServiceUnavailable || got.slug(t) != "timeout" || left <= 0 || left > 30*time.Second {
		t.Errorf("%d %s with %v left", got.StatusCode, got.body, left)
	}
}

func TestHealthSaysNothingElse(t *testing.T) {
	var reason error
	var lacking bool
	f := newAPI(t, func(c *httpapi.Config) {
		c.Ready, c.Degraded = func() error { return reason }, func() bool { return lacking }
	}).serve()
	for _, s := range []*httptest.Server{f.public, f.admin} {
		reason, lacking = nil, false
		for _, path := range []string{"/livez", "/readyz"} {
			if got := f.doAt(s, request{method: "GET", path: path}); got.StatusCode != http.StatusOK || got.body != `{"status":"ok"}`+"\n" {
				t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
			}
			if got := f.doAt(s, request{method: "HEAD", path: path}); got.StatusCode != http.StatusOK || got.body != "" {
				t.Errorf("HEAD %s: %d %s", path, got.StatusCode, got.body)
			}
		}
		lacking = true
		for path, want := range map[string]string{"/livez": "ok", "/readyz": "degraded"} {
			if got := f.doAt(s, request{method: "GET", path: path}); got.StatusCode != http.StatusOK || got.body != `{"status":"`+want+`"}`+"\n" {
				t.Errorf("degraded %s: %d %s", path, got.StatusCode, got.body)
			}
		}
		reason = errors.New("the model iris: a secret reason")
		if got := f.doAt(s, request{method: "GET", path: "/readyz"}); got.StatusCode != http.StatusServiceUnavailable || got.json(t)["detail"] != "Not ready" || got.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
		if got := f.doAt(s, request{method: "GET", path: "/livez"}); got.StatusCode != http.StatusOK {
			t.Errorf("livez: %d", got.StatusCode)
		}
	}
}

func TestMetricsAreForAdminsBeyondLoopback(t *testing.T) {
	local, exposed := newAPI(t, nil).serve(), newAPI(t, func(c *httpapi.Config) { c.AdminLoopback = false }).serve()
	for token, want := range map[string]int{"": 401, "user": 403, "noscope": 403, "admin": 200} {
		if got := exposed.doAt(exposed.admin, request{method: "GET", path: "/metrics", token: token}); got.StatusCode != want {
			t.Errorf("%q: %d, want %d", token, got.StatusCode, want)
		}
	}
	local.do(request{method: "POST", path: "/predict", token: "user", body: row})
	got := local.doAt(local.admin, request{method: "GET", path: "/metrics"})
	for _, want := range []string{
		`onnxgate_http_requests_total{code="403",method="POST",route="/predict"} 1`,
		`onnxgate_refusals_total{reason="forbidden"} 1`,
		`onnxgate_build_info{`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(got.body, "sepal") || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%v", got.Header)
	}
}

func TestModels(t *testing.T) {
	f := newAPI(t, nil).serve()
	got := f.do(request{method: "GET", path: "/models", token: "admin"})
	want := `{"models":[{"name":"iris","description":"Tells which of three species of iris a flower is, from four of its measures.","versions":["1","2"],"default":true,"serving":"2"}]}` + "\n"
	if got.body != want {
		t.Errorf("%s", got.body)
	}
	if got := f.do(request{method: "GET", path: "/models", token: "user"}); got.body != `{"models":[]}`+"\n" {
		t.Errorf("another's list: %s", got.body)
	}
	for q, want := range map[[2]string]int{{"/models", "noscope"}: 403, {"/models/iris", "user"}: 403, {"/models/none", "user"}: 404, {"/models/iris", ""}: 401} {
		if got := f.do(request{method: "GET", path: q[0], token: q[1]}); got.StatusCode != want {
			t.Errorf("%v: %d, want %d", q, got.StatusCode, want)
		}
	}
	v := f.do(request{method: "GET", path: "/models/iris", token: "admin"}).json(t)
	features, _ := v["features"].([]any)
	if len(features) != 4 {
		t.Fatalf("%v", v)
	}
	if diff := cmp.Diff(map[string]any{
		"name": "sepal_length", "type": "float32", "unit": "cm", "description": "Length of the sepal",
		"example": 5.1, "exclusive_min": 0.0, "max": 30.0,
	}, features[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"setosa", "versicolor", "virginica"}, v["labels"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if schema, _ := v["schema"].(map[string]any); schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("%v", v["schema"])
	}
}

func TestAccessLinesTellWhatHappenedAndNoSecret(t *testing.T) {
	f := newAPI(t, nil).serve()
	const canary, number = "c4n4ry", "5.0937" // which is in no time
	f.do(request{method: "POST", path: "/models/iris/predict?note=" + canary, token: "admin", body: strings.Replace(row, "5.1", number, 1)})
	f.do(request{method: "POST", path: "/token", body: "username=" + canary + "&password=" + canary, header: form()})
	f.do(request{method: "POST", path: "/predict", token: canary, body: `{"` + canary + `":1}`})
	f.do(request{method: "GET", path: "/nowhere"})
	lines := f.accessLines()
	if all := f.lines.String() + f.log.String(); strings.Contains(all, canary) || strings.Contains(all, number) {
		t.Errorf("a secret or a value is in the log:\n%s", all)
	}
	for _, line := range lines {
		for _, name := range []string{"time", "duration_ms", "bytes", "client"} {
			if line[name] == nil {
				t.Errorf("%s is missing in %v", name, line)
			}
			delete(line, name)
		}
		delete(line, "request_id")
	}
	common := func(more map[string]any) map[string]any {
		more["level"], more["msg"] = "INFO", "request"
		return more
	}
	if diff := cmp.Diff([]map[string]any{
		common(map[string]any{
			"method": "POST", "route": "/models/{model}/predict", "path": "/models/iris/predict",
			"status": 200.0, "subject": "admin", "model": "iris", "version": "2",
		}),
		common(map[string]any{"method": "POST", "route": "/token", "path": "/token", "status": 401.0, "reason": "unauthenticated"}),
		common(map[string]any{"method": "POST", "route": "/predict", "path": "/predict", "status": 401.0, "reason": "unauthenticated"}),
		common(map[string]any{"method": "GET", "path": "/nowhere", "status": 404.0, "reason": "not_found"}),
	}, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClientAddress(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted   string
		peer      string
		xff       []string
		forwarded []string
		want      string
	}{
		"no proxy is trusted":           {"", "10.0.0.1:1", []string{"192.0.2.1"}, nil, "10.0.0.1"},
		"the peer is not trusted":       {"10.0.0.0/8", "192.0.2.9:1", []string{"192.0.2.1"}, nil, "192.0.2.9"},
		"one proxy":                     {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1"}, nil, "192.0.2.1"},
		"the nearest that is untrusted": {"10.0.0.0/8", "10.0.0.1:1", []string{"198.51.100.7, 192.0.2.1 ,10.0.0.2"}, nil, "192.0.2.1"},
		"several lines":                 {"10.0.0.0/8", "10.0.0.1:1", []string{"198.51.100.7", "192.0.2.1", "10.0.0.2"}, nil, "192.0.2.1"},
		"all are trusted":               {"10.0.0.0/8", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3"},
		"nothing is said":               {"10.0.0.0/8", "10.0.0.1:1", nil, nil, "10.0.0.1"},
		"malformed":                     {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1, nonsense"}, nil, "10.0.0.1"},
		"malformed, farther away":       {"10.0.0.0/8", "10.0.0.1:1", []string{"nonsense, 192.0.2.1"}, nil, "192.0.2.1"},
		"empty":                         {"10.0.0.0/8", "10.0.0.1:1", []string{""}, nil, "10.0.0.1"},
		"an empty hop":                  {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1,"}, nil, "10.0.0.1"},
		"with a port":                   {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1:99"}, nil, "192.0.2.1"},
		"IPv6":                          {"10.0.0.0/8", "10.0.0.1:1", []string{"2001:db8::1"}, nil, "2001:db8::1"},
		"IPv6 with a port":              {"10.0.0.0/8", "10.0.0.1:1", []string{"[2001:db8::1]:99"}, nil, "2001:db8::1"},
		"a mapped proxy":                {"10.0.0.0/8", "[::ffff:10.0.0.1]:1", []string{"::ffff:10.0.0.2, ::ffff:192.0.2.1"}, nil, "192.0.2.1"},
		"a zone does not hide a proxy":  {"fe80::/10", "[fe80::1%eth0]:1", []string{"192.0.2.1, fe80::2%eth9"}, nil, "192.0.2.1"},
		"Forwarded":                     {"10.0.0.0/8", "10.0.0.1:1", nil, []string{`for=192.0.2.1;proto=https, For="10.0.0.2:8080"`}, "192.0.2.1"},
		"Forwarded, IPv6":               {"10.0.0.0/8", "10.0.0.1:1", nil, []string{`by=_x;for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		"Forwarded, obfuscated":         {"10.0.0.0/8", "10.0.0.1:1", nil, []string{"for=_hidden"}, "10.0.0.1"},
		"Forwarded twice in one":        {"10.0.0.0/8", "10.0.0.1:1", nil, []string{"for=192.0.2.1;for=192.0.2.2"}, "10.0.0.1"},
		"both agree":                    {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1"}, []string{"for=192.0.2.1"}, "192.0.2.1"},
		"both, and one is forged":       {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1"}, []string{"for=192.0.2.2"}, "192.0.2.1"},
		"both, and one is nonsense":     {"10.0.0.0/8", "10.0.0.1:1", []string{"192.0.2.1"}, []string{"nonsense"}, "192.0.2.1"},
		"both, neither can be read":     {"10.0.0.0/8", "10.0.0.1:1", []string{"nonsense"}, []string{"for=192.0.2.2"}, "10.0.0.1"},
		"other headers do not count":    {"10.0.0.0/8", "10.0.0.1:1", nil, nil, "10.0.0.1"},
		"a Unix socket":                 {"10.0.0.0/8", "@", []string{"192.0.2.1"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAPI(t, func(c *httpapi.Config) {
				c.LoopbackHost = false
				if tc.trusted != "" {
					c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(tc.trusted)}
				}
			})
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/livez", http.NoBody)
			r.RemoteAddr = tc.peer
			for _, name := range []string{"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip"} {
				r.Header.Set(name, "203.0.113.66")
			}
			if tc.xff != nil {
				r.Header["X-Forwarded-For"] = tc.xff
			}
			if tc.forwarded != nil {
				r.Header["Forwarded"] = tc.forwarded
			}
			f.api.Public().ServeHTTP(httptest.NewRecorder(), r)
			got, _ := f.accessLines()[0]["client"].(string)
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestCORSIsClosedUntilOpened(t *testing.T) {
	const page = "https://app.example"
	f := newAPI(t, nil).serve()
	for _, q := range []request{{method: "POST", path: "/token"}, {method: "OPTIONS", path: "/predict"}, {method: "GET", path: "/livez"}} {
		q.header = http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}}
		got := f.do(q)
		for name := range got.Header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				t.Errorf("%s %s: %s is sent", q.method, q.path, name)
			}
		}
	}
	if got := f.do(request{method: "OPTIONS", path: "/predict", header: http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}}}); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("preflight: %d", got.StatusCode)
	}
}

func TestCORSForExactOrigins(t *testing.T) {
	const page = "https://app.example"
	f := newAPI(t, func(c *httpapi.Config) {
		c.Settings.CORSOrigins = []string{page, "http://localhost:3000"}
		c.Admission = admit(admission.Rates{Token: identity.Rates{perMinute(1)}})
	}).serve()
	for origin, want := range map[string]bool{
		page: true, "http://localhost:3000": true, "http://app.example": false, "https://app.example:8443": false,
		"https://evil-app.example": false, "https://app.example.evil.example": false, "https://sub.app.example": false,
		"null": false, "": false, "HTTPS://APP.EXAMPLE": false, "*": false,
	} {
		got := f.do(request{method: "GET", path: "/livez", header: http.Header{"Origin": {origin}}})
		allowed := got.Header.Get("Access-Control-Allow-Origin")
		if (allowed == origin && origin != "") != want || !want && allowed != "" {
			t.Errorf("%s: %q", origin, allowed)
		}
		if got.Header.Get("Vary") != "Origin" || got.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", origin, got.Header)
		}
	}
	for range 5 { // more than the rate: preflights are not counted
		got := f.do(request{method: "OPTIONS", path: "/token", header: http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}}})
		want := map[string]string{
			"Access-Control-Allow-Origin": page, "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "600",
			"Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, X-API-Key, Api-Key, X-Request-Id, Request-Timeout, Inference-Header-Content-Length, Traceparent, Tracestate", "RateLimit": "",
		}
		for name, value := range want {
			if got.StatusCode != http.StatusNoContent || got.Header.Get(name) != value {
				t.Errorf("preflight: %d, %s is %q", got.StatusCode, name, got.Header.Get(name))
			}
		}
	}
	for range 2 { // a refusal can be read by the page as well
		got := f.do(request{method: "POST", path: "/token", header: http.Header{"Origin": {page}}})
		if got.Header.Get("Access-Control-Allow-Origin") != page || got.Header.Get("Access-Control-Expose-Headers") != "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id" {
			t.Errorf("%d %v", got.StatusCode, got.Header)
		}
	}
	if got := f.do(request{method: "OPTIONS", path: "/nowhere", header: http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}}}); got.StatusCode != http.StatusNotFound {
		t.Errorf("preflight of no route: %d", got.StatusCode)
	}
	if got := f.do(request{method: "OPTIONS", path: "/predict", header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}}); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("preflight of another origin: %d", got.StatusCode)
	}
	got := f.doAt(f.admin, request{method: "GET", path: "/livez", header: http.Header{"Origin": {page}}})
	if got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("the administration listener is open to a page")
	}
	f.api.Reload(httpapi.Settings{})
	if got := f.do(request{method: "GET", path: "/livez", header: http.Header{"Origin": {page}}}); got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a reload did not close CORS")
	}
}

func TestBodyThatEndsEarlyIsRefused(t *testing.T) {
	f := newAPI(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost/predict", io.MultiReader(strings.NewReader(row[:10]), broken{}))
	r.RequestURI = "/predict"
	r.Header.Set("Authorization", "Bearer admin")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.api.Public().ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "did not arrive whole") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
