package httpapi_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/testkit"
)

// tenants takes a token TENANT for an administrator of that tenant.
type tenants struct{}

func (tenants) Authenticate(_ context.Context, c authn.Credentials) (*identity.Principal, error) {
	return &identity.Principal{
		Subject: "u", Tenant: c.Bearer, Roles: []string{"admin"}, Method: identity.Bearer,
		Scopes: []string{"models:read", "models:predict"},
	}, nil
}

// ofTenants serves a model of the same name to two tenants, and one of one of
// them alone.
func ofTenants(t *testing.T) *fixture {
	t.Helper()
	manifest := func(first, access string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("features: [{name: " + first + "}, {name: b}, {name: c}, {name: d}]\n" + access)}
	}
	one := &fstest.MapFile{Data: []byte("one")}
	catalog, err := inference.New(t.Context(), inference.Config{
		FS: fstest.MapFS{
			"iris/model.yaml": manifest("ours", ""), "iris/1/model.onnx": one,
			"@acme/iris/model.yaml": manifest("theirs", ""), "@acme/iris/1/model.onnx": one,
			"@acme/hidden/model.yaml": manifest("hidden", "access: {roles: [admin], require: [bearer, api_key]}\n"), "@acme/hidden/1/model.onnx": one,
		},
		Compile:      func([]byte, schema.Engine) (inference.Program, []string, error) { return testkit.Flower{}, nil, nil },
		TenantExists: func(context.Context, string) (bool, error) { return true, nil },
		DefaultModel: "iris", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(c *httpapi.Config) { c.Catalog, c.Authenticator = catalog, tenants{} }).serve()
}

func TestEachTenantGetsItsOwnModelsAndContract(t *testing.T) {
	f := ofTenants(t)
	for tenant, feature := range map[string][2]string{"default": {"ours", "theirs"}, "acme": {"theirs", "ours"}} {
		for _, path := range []string{"/openapi.json", "/models/iris"} {
			r := f.do(request{method: "GET", path: path, token: tenant})
			if r.StatusCode != http.StatusOK || !strings.Contains(r.body, feature[0]) || strings.Contains(r.body, feature[1]) || strings.Contains(r.body, "hidden") {
				t.Errorf("%s for %s: %d %.200s", path, tenant, r.StatusCode, r.body)
			}
		}
		row := `{"` + feature[0] + `":1,"b":1,"c":1,"d":1}`
		if r := f.do(request{method: "POST", path: "/models/iris/predict", token: tenant, body: row}); r.StatusCode != http.StatusOK || r.json(t)["model"] != "iris" {
			t.Errorf("%s: %d %s", tenant, r.StatusCode, r.body)
		}
	}
	if r := f.do(request{method: "GET", path: "/openapi.json", token: "globex"}); strings.Contains(r.body, "ours") || strings.Contains(r.body, "theirs") {
		t.Error("a tenant without models sees those of others in the contract")
	}
	f.public.Close()
	named := map[any]int{}
	for _, line := range f.accessLines() {
		named[line["model"]]++
	}
	if named["iris"] != 2 || named["@acme/iris"] != 2 {
		t.Errorf("models in the access log: %v", named)
	}
}

// ofRequest is what differs from answer to answer.
var ofRequest = regexp.MustCompile(`"request_id":"[0-9a-f]*"`)

func TestAForeignModelIsAnsweredAsOneThatDoesNotExist(t *testing.T) {
	f := ofTenants(t)
	for _, pattern := range []string{"/models/NAME/predict", "/models/NAME/versions/1/predict", "/models/NAME/versions/1", "/models/NAME"} {
		method, body := http.MethodPost, `{"hidden":1}`
		if !strings.HasSuffix(pattern, "predict") {
			method, body = http.MethodGet, ""
		}
		ask := func(name string) *reply {
			return f.do(request{method: method, path: strings.Replace(pattern, "NAME", name, 1), token: "default", body: body})
		}
		foreign, unknown := ask("hidden"), ask("absent")
		if foreign.StatusCode != http.StatusNotFound || ofRequest.ReplaceAllString(foreign.body, "") != ofRequest.ReplaceAllString(unknown.body, "") {
			t.Errorf("%s: %d %s, of an unknown model %s", pattern, foreign.StatusCode, foreign.body, unknown.body)
		}
		for name := range foreign.Header {
			if name != "X-Request-Id" && name != "Date" && !strings.HasPrefix(name, "Ratelimit") && foreign.Header.Get(name) != unknown.Header.Get(name) {
				t.Errorf("%s: header %s is %q and %q", pattern, name, foreign.Header.Get(name), unknown.Header.Get(name))
			}
		}
	}
}

func TestATenantInAHeaderOrABodyIsNobodys(t *testing.T) {
	f := ofTenants(t)
	for _, name := range []string{"X-Tenant", "X-Tenant-Id", "X-Scope-OrgID", "Tenant"} {
		r := f.do(request{method: "GET", path: "/models/iris", token: "default", header: http.Header{name: {"acme"}}})
		if !strings.Contains(r.body, "ours") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	if r := f.do(request{method: "GET", path: "/models/iris?tenant=acme", token: "default"}); strings.Contains(r.body, "theirs") {
		t.Errorf("a tenant in the query: %s", r.body)
	}
	for _, path := range []string{"/models/@acme/iris", "/models/@acme%2Firis", "/models/@acme"} {
		if r := f.do(request{method: "GET", path: path, token: "default"}); r.StatusCode < 400 || strings.Contains(r.body, "theirs") {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
}

func TestAModelThatAsksForTwoCredentialsRefusesOne(t *testing.T) {
	f := ofTenants(t)
	for path, body := range map[string]string{"/models/hidden/predict": `{}`, "/models/hidden": ""} {
		method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[body == ""]
		r := f.do(request{method: method, path: path, token: "acme", body: body})
		if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") || strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") || !strings.Contains(r.body, "an access token and an API key") {
			t.Errorf("%s: %d %v %s", path, r.StatusCode, r.Header, r.body)
		}
	}
	if r := f.do(request{method: "GET", path: "/models", token: "acme"}); strings.Contains(r.body, "hidden") {
		t.Errorf("the list for one credential: %s", r.body)
	}
}
