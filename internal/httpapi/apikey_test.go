package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/testkit"
)

// Well-formed keys; which of them count is said by desk.
const (
	goodKey  = "ogk_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh7J1qRSa3"
	goodID   = "3fPq8Zt1LmXa"
	otherKey = "ogk_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As00000142009auD"
	goodHash = "ogk_" + goodID + "_sha256:21a636a4a80dc0534a82132331b37f5e69b97dee5b899301beb7919a837ca0a9"
)

// desk knows the tokens of the harness and one key, in both forms, and writes
// down what it is asked.
type desk struct {
	mu   sync.Mutex
	seen []authn.Credentials
	key  identity.Principal
}

func newDesk() *desk {
	return &desk{key: identity.Principal{
		Subject: "apikey:" + goodID, Tenant: "default", Roles: []string{"admin"}, Method: identity.APIKey,
		Scopes: []string{"models:read", "models:predict"},
	}}
}

func (d *desk) Authenticate(ctx context.Context, c authn.Credentials) (*identity.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, c)
	switch {
	case c.APIKey == "" || c.Bearer != "":
		return tokens{}.Authenticate(ctx, c)
	case c.APIKey == goodKey || c.APIKey == goodHash:
		return &d.key, nil
	}
	return nil, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Msg: "The API key is not valid"}
}

func (d *desk) asked() []authn.Credentials {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.seen
	d.seen = nil
	return seen
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

const (
	plainChallenge = `Bearer realm="onnxgate"`
	badKey         = plainChallenge + `, error="invalid_token", error_description="The API key is not valid"`
	badRequest     = plainChallenge + `, error="invalid_request"`
)

// K03, K04: one key in one of four places; anything else that looks like several
// credentials is nobody's.
func TestAPIKeysInARequest(t *testing.T) {
	d := newDesk()
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator = d }).serve()
	h := func(pairs ...string) http.Header {
		header := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			header[pairs[i]] = append(header[pairs[i]], pairs[i+1])
		}
		return header
	}
	for name, tc := range map[string]struct {
		header    http.Header
		query     string
		want      int
		challenge string
		asked     int
	}{
		"X-API-Key":                  {h("X-API-Key", goodKey), "", 200, "", 1},
		"x-api-key":                  {h("x-api-key", goodKey), "", 200, "", 1},
		"api-key":                    {h("api-key", goodKey), "", 200, "", 1},
		"as a bearer token":          {h("Authorization", "Bearer "+goodKey), "", 200, "", 1},
		"Basic":                      {h("Authorization", basic(goodID, goodKey)), "", 200, "", 1},
		"as its hash":                {h("X-API-Key", goodHash), "", 200, "", 1},
		"as its hash by Basic":       {h("Authorization", basic(goodID, goodHash)), "", 200, "", 1},
		"as its hash, a bearer":      {h("Authorization", "bearer "+goodHash), "", 200, "", 1},
		"blanks around":              {h("X-API-Key", " "+goodKey), "", 400, badRequest, 0}, // of HTTP/2, which keeps them
		"beside a cookie":            {h("X-API-Key", goodKey, "Cookie", "session=1; X-API-Key="+goodKey), "", 200, "", 1},
		"beside another header":      {h("X-API-Key", goodKey, "X_API_KEY", otherKey), "", 200, "", 1},
		"none":                       {h(), "", 401, plainChallenge, 1},
		"in a cookie alone":          {h("Cookie", "X-API-Key="+goodKey), "", 401, plainChallenge, 1},
		"unknown":                    {h("X-API-Key", otherKey), "", 401, badKey, 1},
		"unknown by Basic":           {h("Authorization", basic(goodID, otherKey)), "", 401, badKey, 1},
		"unknown as a bearer":        {h("Authorization", "Bearer "+otherKey), "", 401, badKey, 1},
		"garbage":                    {h("X-API-Key", "hunter2"), "", 401, badKey, 1},
		"empty":                      {h("X-API-Key", ""), "", 401, plainChallenge, 0},
		"another id by Basic":        {h("Authorization", basic("000000000000", goodKey)), "", 401, badKey, 1},
		"the secret alone by Basic":  {h("Authorization", basic(goodID, goodKey[17:])), "", 401, badKey, 1},
		"a user by Basic":            {h("Authorization", basic("admin", "lamp-violet-orbit-42")), "", 401, badKey, 1},
		"no name by Basic":           {h("Authorization", basic("", goodKey)), "", 401, badKey, 1},
		"Basic without a colon":      {h("Authorization", "Basic YWI="), "", 400, badRequest, 0},
		"Basic that is not base64":   {h("Authorization", "Basic !"), "", 400, badRequest, 0},
		"a blank inside":             {h("X-API-Key", goodKey[:20]+" "+goodKey[20:]), "", 400, badRequest, 0},
		"a tab inside":               {h("X-API-Key", goodKey+"\t"+goodKey), "", 400, badRequest, 0},
		"two in one header":          {h("X-API-Key", goodKey+","+goodKey), "", 400, badRequest, 0},
		"twice":                      {h("X-API-Key", goodKey, "X-API-Key", goodKey), "", 400, badRequest, 0},
		"under both names":           {h("X-API-Key", goodKey, "api-key", goodKey), "", 400, badRequest, 0},
		"both, one empty":            {h("X-API-Key", goodKey, "api-key", ""), "", 400, badRequest, 0},
		"and a token":                {h("X-API-Key", goodKey, "Authorization", "Bearer admin"), "", 400, badRequest, 0},
		"and as a bearer":            {h("X-API-Key", goodKey, "Authorization", "Bearer "+goodKey), "", 400, badRequest, 0},
		"and by Basic":               {h("X-API-Key", goodKey, "Authorization", basic(goodID, goodKey)), "", 400, badRequest, 0},
		"and by Basic, garbage":      {h("X-API-Key", goodKey, "Authorization", basic("a", "b")), "", 400, badRequest, 0},
		"and another scheme":         {h("X-API-Key", goodKey, "Authorization", "Digest x"), "", 400, badRequest, 0},
		"and an empty token":         {h("X-API-Key", goodKey, "Authorization", "Bearer "), "", 401, "", 0},
		"two Authorization":          {h("Authorization", "Bearer "+goodKey, "Authorization", "Bearer "+goodKey), "", 400, badRequest, 0},
		"in the URL":                 {h(), "?api_key=" + goodKey, 400, badRequest, 0},
		"in the URL, X-API-Key":      {h(), "?X-API-Key=" + goodKey, 400, badRequest, 0},
		"in the URL as well":         {h("X-API-Key", goodKey), "?x=1;apikey=1", 400, badRequest, 0},
		"in the URL by another name": {h("X-API-Key", goodKey), "?x=" + goodKey, 400, badRequest, 0},
		"in the URL, encoded":        {h("X-API-Key", goodKey), "?x=%6fgk%5F3fPq8Zt1LmXa", 400, badRequest, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d.asked()
			got := f.do(request{method: "GET", path: "/models" + tc.query, header: tc.header})
			if got.StatusCode != tc.want || tc.challenge != "" && got.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("%d %q %s, want %d %q", got.StatusCode, got.Header.Get("WWW-Authenticate"), got.body, tc.want, tc.challenge)
			}
			if tc.want == 401 && !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("the challenge is %q", got.Header.Get("WWW-Authenticate"))
			}
			if n := len(d.asked()); n != tc.asked {
				t.Errorf("%d credentials were judged, want %d", n, tc.asked)
			}
			if strings.Contains(got.body, goodKey) || strings.Contains(got.body, "7Yb2Nc9Qw4") {
				t.Errorf("the answer shows the key: %s", got.body)
			}
		})
	}
	f.do(request{method: "GET", path: "/models/" + goodKey})
	if err := f.access.Close(); err != nil {
		t.Fatal(err)
	}
	logs := f.lines.String() + f.log.String()
	if !strings.Contains(logs, `"path":"/models/ogk_"`) {
		t.Error("the logs were not searched")
	}
	for _, canary := range []string{"7Yb2Nc9Qw4", "hunter2", "21a636a4a80dc05", base64.StdEncoding.EncodeToString([]byte(goodID + ":" + goodKey))} {
		if strings.Contains(logs, canary) {
			t.Errorf("the logs hold %s", canary)
		}
	}
}

// K03: a key that counts and does not permit is 403, and says what is missing.
func TestAKeyWithoutThePermissionIsForbidden(t *testing.T) {
	d := newDesk()
	d.key.Scopes = []string{"models:read"}
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator = d }).serve()
	got := f.do(request{method: "POST", path: "/predict", body: row, header: http.Header{"X-Api-Key": {goodKey}}})
	if want := plainChallenge + `, error="insufficient_scope", scope="models:predict"`; got.StatusCode != http.StatusForbidden || got.Header.Get("WWW-Authenticate") != want {
		t.Errorf("%d %q, want 403 %q", got.StatusCode, got.Header.Get("WWW-Authenticate"), want)
	}
}

// A rate by address is taken before anybody looks at the key.
func TestTheRateComesBeforeTheKey(t *testing.T) {
	d := newDesk()
	f := newAPI(t, func(c *httpapi.Config) {
		c.Authenticator, c.Admission = d, predictions(identity.Rate{Requests: 2, Window: time.Hour})
	}).serve()
	for _, want := range []int{401, 401, 429, 429} {
		got := f.do(request{method: "POST", path: "/predict", body: row, header: http.Header{"X-Api-Key": {otherKey}}})
		if got.StatusCode != want {
			t.Errorf("%d, want %d", got.StatusCode, want)
		}
	}
	if n := len(d.asked()); n != 2 {
		t.Errorf("%d keys were looked at, want 2", n)
	}
}

// K05: the rate of a key goes with it, wherever it is used.
func TestAKeyHasARateOfItsOwn(t *testing.T) {
	d := newDesk()
	d.key.Limit = testkit.Limit("2/minute")
	f := newAPI(t, func(c *httpapi.Config) {
		c.Authenticator, c.Admission = d, predictions(identity.Rate{Requests: 9, Window: time.Hour})
	}).serve()
	key := http.Header{"X-Api-Key": {goodKey}}
	got := f.do(request{method: "POST", path: "/predict", body: row, header: key})
	if p, r := got.Header.Get("RateLimit-Policy"), got.Header.Get("RateLimit"); got.StatusCode != http.StatusOK ||
		p != `"predict";q=9;w=3600, "key";q=2;w=60` || !strings.HasPrefix(r, `"predict";r=8;t=3600, "key";r=1;t=`) {
		t.Errorf("%d %q %q", got.StatusCode, p, r)
	}
	got = f.do(request{method: "GET", path: "/models", header: key})
	if p, r := got.Header.Get("RateLimit-Policy"), got.Header.Get("RateLimit"); got.StatusCode != http.StatusOK || p != `"key";q=2;w=60` || !strings.HasPrefix(r, `"key";r=0;t=`) {
		t.Errorf("%d %q %q", got.StatusCode, p, r)
	}
	got = f.do(request{method: "GET", path: "/models", header: key})
	if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" || !strings.Contains(got.body, "at most 2/minute") {
		t.Errorf("%d, Retry-After %q, %s", got.StatusCode, got.Header.Get("Retry-After"), got.body)
	}
	if got := f.do(request{method: "GET", path: "/models", token: "admin"}); got.StatusCode != http.StatusOK || got.Header.Get("RateLimit") != "" {
		t.Errorf("another caller pays for it: %d", got.StatusCode)
	}
}

// layers asks for a token and a key for one model.
type layers struct{ model string }

func (l layers) Requires(p *identity.Principal, model, version string) []identity.Method {
	if p.Tenant == "default" && model == l.model && version == "" {
		return []identity.Method{identity.Bearer, identity.APIKey}
	}
	return nil
}

func TestTwoLayers(t *testing.T) {
	d := newDesk()
	var opened *identity.Principal
	f := newAPI(t, func(c *httpapi.Config) {
		c.Authenticator, c.Layers = d, layers{"iris"}
		c.Catalog = watched{c.Catalog, &opened}
	}).serve()
	both := func(token, key string) http.Header {
		return http.Header{"Authorization": {"Bearer " + token}, "X-Api-Key": {key}}
	}
	const path = "/models/iris/predict"
	for name, tc := range map[string]struct {
		path   string
		header http.Header
		want   int
		asked  []authn.Credentials
	}{
		"both":                  {path, both("admin", goodKey), 200, []authn.Credentials{{Bearer: "admin"}, {APIKey: goodKey}}},
		"a bad token":           {path, both("nonsense", goodKey), 401, []authn.Credentials{{Bearer: "nonsense"}}},
		"a bad key":             {path, both("admin", otherKey), 401, []authn.Credentials{{Bearer: "admin"}, {APIKey: otherKey}}},
		"two keys":              {path, both(goodKey, goodKey), 400, nil},
		"another model":         {"/predict", both("admin", goodKey), 400, []authn.Credentials{{Bearer: "admin"}}},
		"a version of it":       {"/models/iris/versions/1/predict", both("admin", goodKey), 400, []authn.Credentials{{Bearer: "admin"}}},
		"a token that may not":  {path, both("noscope", goodKey), 403, []authn.Credentials{{Bearer: "noscope"}, {APIKey: goodKey}}},
		"a store that is away":  {path, both("away", goodKey), 503, []authn.Credentials{{Bearer: "away"}}},
		"a route of no model":   {"/models", both("admin", goodKey), 400, nil},
		"the model's own route": {"/models/iris", both("admin", goodKey), 200, []authn.Credentials{{Bearer: "admin"}, {APIKey: goodKey}}},
	} {
		t.Run(name, func(t *testing.T) {
			d.asked()
			q := request{method: "POST", path: tc.path, body: row, header: tc.header}
			if !strings.HasSuffix(tc.path, "predict") {
				q.method, q.body = "GET", ""
			}
			got := f.do(q)
			if diff := cmp.Diff(tc.asked, d.asked()); got.StatusCode != tc.want || diff != "" {
				t.Errorf("%d, want %d: %s%s", got.StatusCode, tc.want, got.body, diff)
			}
		})
	}
	f.do(request{method: "POST", path: path, body: row, header: both("admin", goodKey)})
	if opened == nil || opened.Subject != "admin" || opened.With == nil || opened.With.Subject != "apikey:"+goodID || opened.With.With != nil {
		t.Errorf("the model was opened for %+v", opened)
	}
	d.key.Scopes = []string{"models:read"}
	if got := f.do(request{method: "POST", path: path, body: row, header: both("admin", goodKey)}); got.StatusCode != http.StatusForbidden {
		t.Errorf("%d: what the key may not do was done", got.StatusCode)
	}
	d.key.Tenant = "acme"
	if got := f.do(request{method: "POST", path: path, body: row, header: both("admin", goodKey)}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d: a key of another tenant was taken", got.StatusCode)
	}
}

// watched remembers who opened a model.
type watched struct {
	httpapi.Catalog

	by **identity.Principal
}

func (w watched) Open(ctx context.Context, p *identity.Principal, model, version string) (*inference.Call, error) {
	*w.by = p
	return w.Catalog.Open(ctx, p, model, version)
}
