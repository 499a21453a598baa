package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"onnxgate/api"
	"onnxgate/internal/admission"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

type operation struct {
	OperationID string                `yaml:"operationId"`
	Security    []map[string][]string `yaml:"security"`
	RequestBody *struct{}             `yaml:"requestBody"`
	Responses   map[string]any        `yaml:"responses"`
}

func staticContract(t *testing.T, document []byte) map[string]map[string]operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]operation{}
	for path, item := range doc.Paths {
		all[path] = map[string]operation{}
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			var op operation
			if err := node.Decode(&op); err != nil {
				t.Fatal(err)
			}
			all[path][strings.ToUpper(method)] = op
		}
	}
	return all
}

func TestRouterAndContractAgree(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Docs, c.Profiles = true, true })
	for name, tc := range map[string]struct {
		listener *httpapi.Listener
		document []byte
		schemes  []string
	}{
		"public":         {f.api.Public(), api.OpenAPI, []string{"password", "apiKey", "basicKey"}},
		"administration": {f.api.Admin(), api.Admin, []string{"bearer", "apiKey", "basicKey", "certificate"}},
	} {
		t.Run(name, func(t *testing.T) { agree(t, tc.listener, staticContract(t, tc.document), tc.schemes) })
	}
}

// agree compares the routes of a listener with its contract, whose security
// schemes each serve every route that asks for a credential.
func agree(t *testing.T, l *httpapi.Listener, contract map[string]map[string]operation, schemes []string) {
	t.Helper()
	served := map[string][]string{}
	err := chi.Walk(l.Mux(), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodHead {
			return nil // what GET has, HEAD has
		}
		served[pattern] = append(served[pattern], method)
		route := l.RouteOf(method, pattern)
		op, ok := contract[pattern][method]
		if !ok {
			t.Errorf("%s %s is not in the contract", method, pattern)
			return nil
		}
		checkOperation(t, &route, op, schemes)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range contract {
		slices.Sort(served[path])
		if got, want := served[path], slices.Sorted(maps.Keys(item)); !cmp.Equal(got, want) {
			t.Errorf("%s: the contract has %v, the router %v", path, want, got)
		}
	}
}

// checkOperation compares a route with its operation: who may use it, and every
// status that the steps before the handler can give.
func checkOperation(t *testing.T, route *httpapi.Route, op operation, schemes []string) {
	t.Helper()
	open := len(op.Security) == 0 || slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return len(s) == 0 })
	if (route.Auth == httpapi.Public) != open {
		t.Errorf("%s: %v, but its security is %v", route.Pattern, route.Auth, op.Security)
	}
	for _, scheme := range schemes {
		if !open && !slices.ContainsFunc(op.Security, func(s map[string][]string) bool {
			scopes, has := s[scheme]
			return has && (route.Permission == "" || slices.Contains(scopes, route.Permission))
		}) {
			t.Errorf("%s: %s with the scope %q is not in the contract", route.Pattern, scheme, route.Permission)
		}
	}
	if (route.MaxBody > 0) != (op.RequestBody != nil) {
		t.Errorf("%s: MaxBody %d, but the contract says otherwise about a body", route.Pattern, route.MaxBody)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(op.Responses)), func(status string) bool { return status[0] == '2' }) {
		t.Errorf("%s %s: no success is documented", route.Method, route.Pattern)
	}
	want := []string{"400", "421", "500"}
	for status, possible := range map[string]bool{
		"401": route.Auth == httpapi.Bearer, "403": route.Auth == httpapi.Bearer, "413": route.MaxBody > 0,
		"429": route.Limit != admission.None || route.Auth == httpapi.Bearer, "503": route.Auth == httpapi.Bearer || route.MaxBody > 0,
	} {
		if possible {
			want = append(want, status)
		}
	}
	for _, status := range want {
		if op.Responses[status] == nil {
			t.Errorf("%s: %s is not documented", route.Pattern, status)
		}
	}
}

func TestEveryRouteSaysWhoMayUseIt(t *testing.T) {
	for _, docs := range []bool{false, true} {
		f := newAPI(t, func(c *httpapi.Config) { c.Docs, c.AdminLoopback, c.Profiles = docs, docs, docs })
		for _, l := range []*httpapi.Listener{f.api.Public(), f.api.Admin()} {
			err := chi.Walk(l.Mux(), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
				if auth := l.RouteOf(method, pattern).Auth; auth != httpapi.Public && auth != httpapi.Bearer {
					t.Errorf("%s %s has neither authentication nor Public", method, pattern)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	f := newAPI(t, nil)
	good := f.api.Public().RouteOf("GET", "/livez")
	for name, change := range map[string]func(*httpapi.Route){
		"neither authentication nor Public": func(r *httpapi.Route) { r.Auth = 0 },
		"a permission of everybody":         func(r *httpapi.Route) { r.Permission = "models:read" },
		"no handler":                        func(r *httpapi.Route) { r.Handler = nil },
		"no timeout":                        func(r *httpapi.Route) { r.Timeout = 0 },
	} {
		bad := good
		change(&bad)
		if f.api.Refuse(good, bad) == nil {
			t.Errorf("a route with %s was accepted", name)
		}
	}
	if err := f.api.Refuse(good); err != nil {
		t.Errorf("a good route was refused: %v", err)
	}
}

func TestProblemTypesAreAClosedListThatIsDocumented(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties struct {
					Type struct{ Enum []string }
				}
			}
		}
	}
	if err := yaml.Unmarshal(api.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var inContract []string
	for _, uri := range doc.Components.Schemas["Problem"].Properties.Type.Enum {
		inContract = append(inContract, strings.TrimPrefix(uri, "/problems/"))
	}
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var inDocs []string
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z-]+)$`).FindAllSubmatch(page, -1) {
		inDocs = append(inDocs, string(m[1]))
	}
	slices.Sort(inDocs)
	if diff := cmp.Diff(httpapi.Slugs(), inContract); diff != "" {
		t.Errorf("the contract (-program +contract):\n%s", diff)
	}
	if diff := cmp.Diff(httpapi.Slugs(), inDocs); diff != "" {
		t.Errorf("docs/errors.md (-program +page):\n%s", diff)
	}
}

// served returns the contract that a caller gets.
func (f *fixture) served(token string) map[string]any {
	f.t.Helper()
	got := f.do(request{method: "GET", path: "/openapi.json", token: token})
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
		f.t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	return got.json(f.t)
}

func paths(doc map[string]any) []string {
	all, _ := doc["paths"].(map[string]any)
	return slices.Sorted(maps.Keys(all))
}

func TestServedContractHasTheModelsOfItsReader(t *testing.T) {
	open := newAPI(t, func(c *httpapi.Config) { c.Docs = true }).serve()
	closed := newAPI(t, nil).serve()
	base := []string{
		"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/account/password", "/usage", "/livez",
		"/oauth/introspect", "/oauth/revoke", "/openapi.json", "/readyz", "/token",
	}
	models := []string{"/models", "/models/iris/predict", "/models/iris/versions/1/predict", "/models/iris/versions/2/predict", "/models/{model}", "/models/{model}/versions/{version}", "/predict"}
	protocol := []string{"/v2/health/live", "/v2/health/ready"}
	lists := []string{"/v1/models", "/v2", "/v2/", "/v2/models", "/v2/models/stats"}
	manage := []string{"/v2/repository/index", "/v2/repository/models/{model}/load", "/v2/repository/models/{model}/unload"}
	ofModel := []string{"/v1/models/{model}", "/v1/models/{model}/versions/{version}:predict", "/v1/models/{model}:predict"}
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		ofModel = append(ofModel, path, path+"/config", path+"/infer", path+"/ready", path+"/stats")
	}
	base = append(base, protocol...)
	text := []string{"/decrypt", "/decrypt/", "/encrypt", "/encrypt/"}
	sorted := func(parts ...[]string) []string {
		all := slices.Concat(parts...)
		slices.Sort(all)
		return all
	}
	for name, tc := range map[string]struct{ got, want []string }{
		"open":             {paths(open.served("")), sorted(base, models, lists, ofModel, manage, text, []string{"/docs", "/docs/{asset}"})},
		"sealer":           {paths(closed.served("sealer")), sorted(base, text)},
		"admin":            {paths(closed.served("admin")), sorted(base, models, lists, ofModel)},
		"without a model":  {paths(closed.served("user")), sorted(base, lists, []string{"/models"})},
		"without a scope":  {paths(closed.served("noscope")), sorted(base)},
		"admin once again": {paths(closed.served("admin")), sorted(base, models, lists, ofModel)},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := closed.do(request{method: "GET", path: "/openapi.json"}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.StatusCode)
	}
}

func TestServedContractIsWhole(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Docs = true }).serve()
	checkWhole(t, f.served(""))
}

// checkWhole finds references that lead nowhere and operations of one name.
func checkWhole(t *testing.T, doc map[string]any) {
	t.Helper()
	ids := map[string]bool{}
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !resolves(doc, ref) {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
			if id, ok := v["operationId"].(string); ok {
				if ids[id] {
					t.Errorf("%s: operationId %s is not unique", at, id)
				}
				ids[id] = true
			}
			for name, member := range v {
				walk(member, at+"/"+name)
			}
		case []any:
			for _, item := range v {
				walk(item, at)
			}
		}
	}
	walk(doc, "#")
	if info, _ := doc["info"].(map[string]any); info["version"] != "v1" || doc["openapi"] != "3.1.0" {
		t.Errorf("%v", info)
	}
}

func resolves(doc map[string]any, ref string) bool {
	var at any = doc
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		o, _ := at.(map[string]any)
		at = o[name]
	}
	return at != nil
}

// compileAt compiles a schema of the served contract.
func compileAt(t *testing.T, doc map[string]any, pointer string) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://example.com/openapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://example.com/openapi.json" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServedContractHoldsForRequestsAndAnswers(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Docs = true }).serve()
	doc := f.served("")
	const op = "#/paths/~1models~1iris~1predict/post"
	input := compileAt(t, doc, op+"/requestBody/content/application~1json/schema")
	output := compileAt(t, doc, op+"/responses/200/content/application~1json/schema")
	problem := compileAt(t, doc, "#/components/schemas/Problem")
	for body, valid := range map[string]bool{
		row:                                     true,
		"[" + row + "," + row + "]":             true,
		"[]":                                    false,
		"{}":                                    false,
		`"x"`:                                   false,
		strings.Replace(row, "5.1", "0", 1):     false,
		strings.Replace(row, "5.1", "30", 1):    true,
		strings.Replace(row, "5.1", "31", 1):    false,
		strings.Replace(row, "5.1", `"5"`, 1):   false,
		strings.Replace(row, "5.1", "null", 1):  false,
		strings.Replace(row, "}", `,"x":1}`, 1): false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if (input.Validate(v) == nil) != valid {
			t.Errorf("%s: the contract says %v", body, input.Validate(v))
		}
		got := f.do(request{method: "POST", path: "/models/iris/predict", token: "admin", body: body})
		if (got.StatusCode == http.StatusOK) != valid {
			t.Errorf("%s: %d %s, and the contract says otherwise", body, got.StatusCode, got.body)
		}
		answer, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		shape := problem
		if valid {
			shape = output
		}
		if err := shape.Validate(answer); err != nil {
			t.Errorf("%s: %s: %v", body, got.body, err)
		}
	}
	if !resolves(doc, "#/components/schemas/iris.Row") {
		t.Error("the rows of iris have no schema of their own")
	}
}

// noPins forgets what a rollback chose.
type noPins struct{}

func (noPins) All(context.Context) ([]inference.Pin, error) { return nil, nil }
func (noPins) Put(context.Context, inference.Pin) error     { return nil }
func (noPins) Delete(context.Context, string, string) error { return nil }

func TestEachVersionIsDescribedByItsOwnContract(t *testing.T) {
	manifest := func(feature, more string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("features: [{name: " + feature + ", type: float32}, {name: b, type: float32}, {name: c, type: float32}, {name: d, type: float32}]\n" + more)}
	}
	one := &fstest.MapFile{Data: []byte("one")}
	catalog, err := inference.New(t.Context(), inference.Config{
		FS: fstest.MapFS{
			"iris/model.yaml":   manifest("first", "access: {roles: [user]}\nversions: {labels: {stable: 1, canary: 2}}\n"),
			"iris/1/model.onnx": one, "iris/2/model.onnx": one, "iris/3/model.onnx": one,
			"iris/2/model.yaml": manifest("second", "access: {roles: [user]}\n"),
			"iris/3/model.yaml": manifest("third", "access: {roles: [admin]}\n"),
		},
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) { return testkit.Flower{}, nil, nil },
		Pins:    noPins{}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newAPI(t, func(c *httpapi.Config) { c.Catalog = catalog }).serve()
	rows := func(token string) map[string]string {
		doc := f.served(token)
		checkWhole(t, doc)
		found := map[string]string{}
		for _, path := range paths(doc) {
			if !strings.HasSuffix(path, "predict") {
				continue
			}
			for _, feature := range []string{"first", "second", "third"} {
				at := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/post/requestBody/content/application~1json/schema"
				if compileAt(t, doc, at).Validate(map[string]any{feature: 1, "b": 1, "c": 1, "d": 1}) == nil {
					found[path] += feature
				}
			}
		}
		return found
	}
	described := func(token, version string) string {
		got := f.do(request{method: "GET", path: "/models/iris" + version, token: token})
		if got.StatusCode != http.StatusOK {
			return http.StatusText(got.StatusCode)
		}
		v := got.json(t)
		features, _ := v["features"].([]any)
		first, _ := features[0].(map[string]any)
		return fmt.Sprint(v["version"], " ", v["serving"], " ", first["name"])
	}
	owner := &identity.Principal{Tenant: identity.DefaultTenant}
	if _, err := catalog.Rollback(t.Context(), owner, "iris", "1"); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"/predict": "first", "/models/iris/predict": "first",
		"/models/iris/versions/1/predict": "first", "/models/iris/versions/stable/predict": "first",
		"/models/iris/versions/2/predict": "second", "/models/iris/versions/canary/predict": "second",
	}
	if diff := cmp.Diff(all, rows("user")); diff != "" {
		t.Errorf("rolled back to 1, for one who may not call 3 (-want +got):\n%s", diff)
	}
	for version, want := range map[string]string{
		"": "1 1 first", "/versions/1": "1 1 first", "/versions/2": "2 1 second", "/versions/canary": "2 1 second",
		"/versions/3": "Forbidden", "/versions/4": "Not Found",
	} {
		if got := described("user", version); got != want {
			t.Errorf("GET /models/iris%s: %s, want %s", version, got, want)
		}
	}
	if got := f.do(request{method: "GET", path: "/models/iris/versions/2", token: "noscope"}); got.StatusCode != http.StatusForbidden {
		t.Errorf("without the scope: %d", got.StatusCode)
	}
	if _, err := catalog.Rollback(t.Context(), owner, "iris", "2"); err != nil {
		t.Fatal(err)
	}
	all["/predict"], all["/models/iris/predict"] = "second", "second"
	if diff := cmp.Diff(all, rows("user")); diff != "" {
		t.Errorf("forward to 2 (-want +got):\n%s", diff)
	}
}

func TestExamplesOfTheContractWork(t *testing.T) {
	if tried := tryExamples(t, newAPI(t, func(c *httpapi.Config) { c.Docs = true }).serve()); tried != 8 {
		t.Errorf("%d examples, want two for each of four paths", tried)
	}
	catalog, err := inference.New(t.Context(), inference.Config{
		FS:      fstest.MapFS{"still/1/model.onnx": {Data: []byte("one")}},
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) { return still{}, nil, nil },
		Now:     time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newAPI(t, func(c *httpapi.Config) { c.Docs, c.Catalog = true, catalog }).serve()
	if tried := tryExamples(t, f); tried != 3 {
		t.Errorf("%d examples of a model that takes one row at a time, want one for each of three paths", tried)
	}
	const at = "#/paths/~1predict/post/requestBody/content/application~1json/schema"
	body := compileAt(t, f.served(""), at)
	row := map[string]any{"X": []any{[]any{1}}}
	if body.Validate([]any{row}) != nil || body.Validate([]any{row, row}) == nil {
		t.Error("the contract does not say how many rows the model takes")
	}
}

// still is a program of one row: no extent of its input counts any.
type still struct{ testkit.Flower }

func (still) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "X", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: 1, Name: "only"}, {Size: 1}, {Size: 1}}}}
}

// tryExamples sends every example of the contract, and returns how many there are.
func tryExamples(t *testing.T, f *fixture) int {
	t.Helper()
	data, err := json.Marshal(f.served(""))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct {
						Examples map[string]struct{ Value json.RawMessage }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for path, item := range doc.Paths {
		for name, example := range item.Post.RequestBody.Content["application/json"].Examples {
			tried++
			if got := f.do(request{method: "POST", path: path, token: "admin", body: string(example.Value)}); got.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: %d %s", path, name, got.StatusCode, got.body)
			}
		}
	}
	return tried
}

func TestDocsAreWholeAndFetchNothingFromElsewhere(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Docs = true }).serve()
	page := f.do(request{method: "GET", path: "/docs"})
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.StatusCode, page.Header)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.body, -1)
	if len(links) != 6 || strings.Contains(page.body, "<script>") || strings.Contains(page.body, "style=") {
		t.Errorf("%v in %s", links, page.body)
	}
	for _, link := range links {
		packed := f.do(request{method: "GET", path: link[1], header: http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}}})
		plain := f.do(request{method: "GET", path: link[1], header: http.Header{"Accept-Encoding": {"gzip;q=0.0, br"}}})
		if packed.StatusCode != http.StatusOK || plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %d, %d %v", link[1], packed.StatusCode, plain.StatusCode, plain.Header)
		}
		if strings.HasPrefix(link[1], "/docs/swagger") && (packed.Header.Get("Content-Encoding") != "gzip" || len(packed.body) >= len(plain.body)) {
			t.Errorf("%s: %v", link[1], packed.Header)
		}
	}
	if got := f.do(request{method: "GET", path: "/docs/nothing.js"}); got.StatusCode != http.StatusNotFound {
		t.Errorf("unknown file: %d", got.StatusCode)
	}
}

func TestDocsAreUnpackedOnce(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Docs = true })
	get := func() int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/docs/swagger-ui-bundle.js", http.NoBody)
		r.RequestURI = r.URL.Path
		w := &recorderless{header: http.Header{}}
		f.api.Public().ServeHTTP(w, r)
		return w.n
	}
	size := get()
	if size < 500_000 {
		t.Fatalf("%d bytes, want the whole script", size)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if n := get(); n != size {
			t.Fatalf("%d bytes, then %d", size, n)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(size) {
		t.Errorf("ten more answers took %d bytes of memory", took)
	}
}

func TestServedContractFollowsAReload(t *testing.T) {
	files := fstest.MapFS{"one/1/model.onnx": {Data: []byte("one")}}
	catalog, err := inference.New(t.Context(), inference.Config{
		FS: files, Now: time.Now,
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) { return testkit.Flower{}, nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newAPI(t, func(c *httpapi.Config) { c.Docs, c.Catalog = true, catalog }).serve()
	const first, second, fallback = "/models/one/predict", "/models/two/predict", "/predict"
	if all := paths(f.served("")); !slices.Contains(all, first) || !slices.Contains(all, fallback) || slices.Contains(all, second) {
		t.Errorf("before: %v", all)
	}
	files["two/1/model.onnx"] = &fstest.MapFile{Data: []byte("two")}
	if err := catalog.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := paths(f.served("")); !slices.Contains(all, first) || !slices.Contains(all, second) || slices.Contains(all, fallback) {
		t.Errorf("after: %v; want both models and no default", all)
	}
	manifest := "description: tells nothing\nfeatures: [{name: a}, {name: b}, {name: c}, {name: d}]\n"
	files["one/model.yaml"] = &fstest.MapFile{Data: []byte(manifest)}
	if err := catalog.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doc := f.served(""); !resolves(doc, "#/components/schemas/one.Row/properties/d") {
		t.Error("the models have the names that they had, and the contract their former fields")
	}
}

func TestContractsThatAreKeptAreBoundedInBytes(t *testing.T) {
	const mebibyte, most = 1 << 20, 32 << 20
	for _, c := range []struct{ size, audiences, least int }{
		{mebibyte, 8, 8 * mebibyte},       // all of them
		{3 * mebibyte, 32, 3 * mebibyte},  // some
		{33 * mebibyte, 2, 33 * mebibyte}, // one alone, however large
	} {
		kept, err := httpapi.ContractsKept(c.size, c.audiences)
		if err != nil || kept < c.least || kept > max(most, c.size+mebibyte) {
			t.Errorf("of %d documents of %d bytes %d are kept: %v", c.audiences, c.size, kept, err)
		}
	}
}
