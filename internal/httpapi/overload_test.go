package httpapi_test

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// predictions in every form.
var everyForm = map[string]request{
	"/predict":              {method: "POST", path: "/predict", token: "admin", body: row},
	"/models/iris/predict":  {method: "POST", path: "/models/iris/predict", token: "admin", body: row},
	"/v1":                   {method: "POST", path: "/v1/models/iris:predict", token: "admin", body: `{"instances":[[5.1,3.5,1.4,0.2]]}`},
	"/v2":                   {method: "POST", path: "/v2/models/iris/infer", token: "admin", body: asTensors(tensorRow)},
	"/predict with a table": {method: "POST", path: "/predict", token: "admin", body: tableHeader + "5.1,3.5,1.4,0.2\n", header: table()},
	"/predict of many":      {method: "POST", path: "/predict", token: "admin", body: "[" + strings.Repeat(row+",", 1100) + row + "]"},
	"/v1 in many rows":      {method: "POST", path: "/v1/models/iris:predict", token: "admin", body: `{"instances":[` + strings.Repeat("[5.1,3.5,1.4,0.2],", 1100) + `[5.1,3.5,1.4,0.2]]}`},
}

func TestOverloadedServerRefusesPredictionsAloneAndRecovers(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		control, err := admission.New(admission.Config{MaxInFlight: 1, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		c.Admission = control
	}).serve()
	held, err := f.admission.Model("iris", admission.Limits{}).Enter(t.Context(), caller("default", "admin"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range everyForm {
		got := f.do(q)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" || !strings.Contains(got.body, "More predictions are under way") {
			t.Errorf("%s: %d %v %s", name, got.StatusCode, got.Header, got.body)
		}
	}
	if got := f.do(everyForm["/predict"]); got.slug(t) != "overloaded" {
		t.Errorf("%s", got.body)
	}
	for _, q := range []request{
		{method: "GET", path: "/livez"}, {method: "GET", path: "/readyz"}, {method: "GET", path: "/v2/health/ready"}, {method: "GET", path: "/models", token: "admin"},
	} {
		if got := f.do(q); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", q.path, got.StatusCode)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if got := f.doAt(f.admin, request{method: "GET", path: path, token: "admin"}); got.StatusCode != http.StatusOK {
			t.Errorf("administration, %s: %d", path, got.StatusCode)
		}
	}
	held.Leave(true, 0)
	for range 2 { // each gives its place back
		for name, q := range everyForm {
			if got := f.do(q); got.StatusCode != http.StatusOK {
				t.Errorf("afterwards, %s: %d %s", name, got.StatusCode, got.body)
			}
		}
	}
	if n := f.admission.InFlight(); n != 0 {
		t.Errorf("%d places are held at the end", n)
	}
}

// What goes wrong behind the place gives it back, too.
func TestPlacesOfWhatFailsAreGivenBack(t *testing.T) {
	f := newAPIWith(t, testkit.Flower{OnRun: func(context.Context) error { panic("a defect") }}, nil).serve()
	for name, q := range everyForm {
		if got := f.do(q); got.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
		q.body = strings.ReplaceAll(q.body, "5.1", "null")
		if got := f.do(q); got.StatusCode/100 != 4 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	if n := f.admission.InFlight(); n != 0 {
		t.Errorf("%d places are held at the end", n)
	}
}

func TestDeadlineOfTheClientReachesTheEngine(t *testing.T) {
	f := newAPIWith(t, testkit.Flower{OnRun: func(ctx context.Context) error {
		<-ctx.Done()
		return fault.OfContext(ctx.Err())
	}}, nil).serve()
	for _, text := range []string{"0.02", "0.010"} {
		q := everyForm["/predict"]
		q.header = http.Header{"Request-Timeout": {text}}
		if got := f.do(q); got.StatusCode != http.StatusServiceUnavailable || got.slug(t) != "timeout" {
			t.Errorf("%s: %d %s", text, got.StatusCode, got.body)
		}
	}
	for _, line := range f.accessLines() {
		if line["reason"] != "client_deadline" {
			t.Errorf("%v, want the client's deadline as the reason", line)
		}
	}
}

// A server that is slow has failed, also where the client said how long it would wait.
func TestOwnTimeoutIsNotTakenForTheClients(t *testing.T) {
	f := newAPIWith(t, testkit.Flower{OnRun: func(context.Context) error { return context.DeadlineExceeded }}, nil).serve()
	for _, header := range []http.Header{nil, {"Request-Timeout": {"25"}}, {"Request-Timeout": {"3600"}}} {
		q := everyForm["/predict"]
		q.header = header
		f.do(q)
	}
	for _, line := range f.accessLines() {
		if line["reason"] != "timeout" {
			t.Errorf("%v, want a timeout as the reason", line)
		}
	}
}

func TestDeadlineOfTheClientHoldsWhileItWaitsForARate(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		control, err := admission.New(admission.Config{
			Rates: admission.Rates{Predict: identity.Rates{{Requests: 1, Window: 9 * time.Second}}}, Throttle: 10 * time.Second, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Admission = control
	}).serve()
	q := everyForm["/predict"]
	f.do(q)
	q.header = http.Header{"Request-Timeout": {"0.02"}}
	if got := f.do(q); got.StatusCode != http.StatusServiceUnavailable || got.slug(t) != "timeout" {
		t.Errorf("%d %s, want the deadline of the client", got.StatusCode, got.body)
	}
}

func TestDeadlineThatIsNoneIsRefused(t *testing.T) {
	f := newAPI(t, nil).serve()
	for text, want := range map[string]int{
		"5": 200, "2.5": 200, "86400": 200, "0010": 200, "1e3": 200, "2.3000000000000003": 200, "5e-324": 503,
		"0": 400, "0.0": 400, "-1": 400, "+1": 400, ".5": 400, "1e5": 400, "1e": 400, "1e999": 400, "1-1": 400, "0e1": 400, "1s": 400, "1,5": 400, "5 ": 400, "inf": 400, "86401": 400, "0x10": 400, "1.2.3": 400, "9999999999999": 400,
	} {
		q := everyForm["/predict"]
		q.header = http.Header{"Request-Timeout": {text}}
		if got := f.do(q); got.StatusCode != want || want == 400 && got.slug(t) != "bad-request" {
			t.Errorf("%q: %d %s, want %d", text, got.StatusCode, got.body, want)
		}
	}
	q := everyForm["/predict"]
	q.token, q.header = "", http.Header{"Request-Timeout": {"soon"}}
	if got := f.do(q); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.StatusCode)
	}
}

// Who hangs up while it waits for a rate leaves its place to another, though its body
// has not been read.
func TestWhoHangsUpWhileItWaitsForARateLeavesItsPlace(t *testing.T) {
	now := time.Now()
	f := newAPI(t, func(c *httpapi.Config) {
		control, err := admission.New(admission.Config{
			Rates: admission.Rates{Predict: identity.Rates{{Requests: 1, Window: 9 * time.Second}}}, Throttle: 10 * time.Second,
			Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Admission = control
	}).serve()
	f.do(everyForm["/predict"])
	for range 2 { // there is one place
		conn, err := tls.Dial("tcp", f.public.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		f.throttled(1)
		_ = conn.Close()
		f.throttled(0)
	}
}

// throttled waits, for less than a request waits for its rate, until so many do.
func (f *fixture) throttled(want int) {
	f.t.Helper()
	for end := time.Now().Add(6 * time.Second); f.admission.Throttled() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("%d wait, want %d", f.admission.Throttled(), want)
		}
	}
}

func TestWhatACallerMayLookAtHasOneRate(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Admission = predictions(perMinute(1)) }).serve()
	user := &identity.Principal{Subject: "user", Tenant: "default", Method: identity.Bearer}
	for range admission.ReadFactor {
		if err := f.admission.Principal(t.Context(), admission.Read, user); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(on *httptest.Server, routes []httpapi.Route) {
		for _, route := range routes {
			if route.Auth != httpapi.Bearer || route.Method != http.MethodGet && !route.ReadOnly {
				continue
			}
			path := strings.NewReplacer("{model}", "iris", "{version}", "1", "{", "", "}", "").Replace(route.Pattern)
			if got := f.doAt(on, request{method: route.Method, path: path, token: "user"}); got.StatusCode != http.StatusTooManyRequests {
				t.Errorf("%s %s: %d, want 429", route.Method, path, got.StatusCode)
			}
		}
	}
	ask(f.public, httpapi.PublicRoutes(httpapi.RouteOptions{}))
	ask(f.admin, httpapi.AdminRoutes(httpapi.RouteOptions{OpenMetrics: true}))
}

func TestAnAddressDoesNotAnswerForCredentialsThatCannotBeJudged(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		c.Admission = admit(admission.Rates{Predict: identity.Rates{perMinute(1)}, PerPrincipal: true})
	}).serve()
	ask := func(token string, want int) {
		t.Helper()
		if got := f.do(request{method: "POST", path: "/predict", token: token, body: row}); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", token, got.StatusCode, want)
		}
	}
	for range admission.FailureFactor {
		ask("away", http.StatusServiceUnavailable)
	}
	for range admission.FailureFactor {
		ask("nobody", http.StatusUnauthorized)
	}
	ask("nobody", http.StatusTooManyRequests)
}

// short is a model that forgets the last row.
type short struct{ testkit.Flower }

func (s short) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	err := s.Flower.Run(ctx, in, out)
	tensor.Reset[int64](out[0], out[0].Len()-1)
	return err
}

// settled are what quotas are settled with.
type settled []admission.Use

func (s *settled) Reserve(context.Context, *identity.Principal, admission.Use) (admission.Reservation, error) {
	return s, nil
}

func (s *settled) Settle(used admission.Use) { *s = append(*s, used) }

func TestWhatIsNotAnsweredUsesNoQuota(t *testing.T) {
	for _, name := range []string{"/predict", "/v1", "/predict with a table"} {
		var used settled
		f := newAPIWith(t, short{}, func(c *httpapi.Config) {
			var err error
			if c.Admission, err = admission.New(admission.Config{Quotas: &used, Now: time.Now}); err != nil {
				t.Fatal(err)
			}
		}).serve()
		for _, accept := range []string{"application/json", "text/csv"} {
			q := everyForm[name]
			q.header = http.Header{"Accept": {accept}}
			maps.Copy(q.header, everyForm[name].header)
			if got := f.do(q); got.StatusCode != http.StatusInternalServerError {
				t.Fatalf("%s: %d", name, got.StatusCode)
			}
		}
		if none := (admission.Use{}); !slices.Equal(used, settled{none, none}) {
			t.Errorf("%s: %+v", name, used)
		}
	}
}
