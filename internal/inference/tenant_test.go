package inference_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/tensor"
)

// of returns a user of a tenant.
func of(tenant string, roles ...string) *identity.Principal {
	return &identity.Principal{Subject: "u@" + tenant, Tenant: tenant, Roles: roles, Method: identity.Bearer}
}

// tenants are those there are.
func tenants(names ...string) func(context.Context, string) (bool, error) {
	return func(_ context.Context, name string) (bool, error) { return slices.Contains(names, name), nil }
}

// names returns the models that the principal is shown.
func names(c *inference.Catalog, p *identity.Principal) []string {
	all := []string{}
	for _, m := range c.List(context.Background(), p) {
		all = append(all, m.Label())
	}
	return all
}

const (
	shared    = "access: {roles: [user], share: ['*']}\n"
	forAcme   = "access: {roles: [user], share: [acme]}\n"
	analysts  = "access: {rules: [{allow: [predict], roles: [analyst]}, {allow: [read]}]}\n"
	twoLayers = "access: {roles: [user], require: [bearer, api_key]}\n"
)

func TestATenantSeesItsOwnModelsAndThoseSharedWithIt(t *testing.T) {
	c := newCatalog(t, inference.Config{TenantExists: tenants("acme", "globex"), FS: files(
		"mine/1/model.onnx", "m", "mine/model.yaml", forUsers,
		"all/1/model.onnx", "m", "all/model.yaml", shared,
		"some/1/model.onnx", "m", "some/model.yaml", forAcme,
		"parts/1/model.onnx", "m", "parts/2/model.onnx", "m", "parts/3/model.onnx", "m",
		"parts/model.yaml", forAcme, "parts/3/model.yaml", forUsers,
		"same/1/model.onnx", "default's", "same/model.yaml", shared,
		"@acme/same/1/model.onnx", "acme's", "@acme/same/2/model.onnx", "acme's", "@acme/same/model.yaml", forUsers,
		"@acme/own/1/model.onnx", "m", "@acme/own/model.yaml", forUsers,
		"@globex/own/1/model.onnx", "m", "@globex/own/model.yaml", forAcme,
		"@globex/all/1/model.onnx", "m", "@globex/all/model.yaml", shared,
	)})
	for tenant, want := range map[string][]string{
		"default": {"all", "mine", "parts", "same", "some"},
		"acme":    {"all", "@acme/own", "parts", "@acme/same", "some"},
		"globex":  {"@globex/all", "@globex/own", "same"},
		"initech": {"all", "same"},
		"":        {"all", "same"},
		"*":       {"all", "same"},
	} {
		if diff := cmp.Diff(want, names(c, of(tenant, "user"))); diff != "" {
			t.Errorf("tenant %q (-want +got):\n%s", tenant, diff)
		}
	}
	for name, tc := range map[string]struct{ tenant, model, version, want string }{
		"the own name wins":                         {"acme", "same", "2", "@acme/same/2"},
		"and hides the shared one":                  {"globex", "same", "2", "not found"},
		"the newest of the versions that it sees":   {"acme", "parts", "", "parts/2"},
		"a version that is not shared":              {"acme", "parts", "3", "not found"},
		"its owner's newest":                        {"default", "parts", "", "parts/3"},
		"a model of another tenant":                 {"globex", "mine", "", "not found"},
		"of the same name as one's own":             {"globex", "own", "", "@globex/own/1"},
		"the folder's name is no name":              {"default", "@acme/own", "", "not found"},
		"nor the tenant's own":                      {"acme", "@acme/own", "", "not found"},
		"another tenant's, for the default's admin": {"default", "own", "", "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Open(t.Context(), of(tc.tenant, "user", "admin"), tc.model, tc.version)
			got := fault.KindOf(err).String()
			if err == nil {
				got = call.Label() + "/" + call.Version()
				if call.Model() != tc.model || call.Schema().Name() != tc.model {
					t.Errorf("answers name %s and %s", call.Model(), call.Schema().Name())
				}
				call.Close()
			}
			if got != tc.want {
				t.Errorf("Open = %s (%v), want %s", got, err, tc.want)
			}
		})
	}
	if got := len(c.All()); got != 9 {
		t.Errorf("All has %d models, want those of every tenant", got)
	}
	if seen := c.SeenBy("initech"); len(seen) != 2 {
		t.Errorf("SeenBy = %v", seen)
	}
}

func TestAForeignModelIsAsOneThatDoesNotExist(t *testing.T) {
	c := newCatalog(t, inference.Config{TenantExists: tenants("acme"), FS: files(
		"mine/1/model.onnx", "m", "mine/model.yaml", forUsers, "other/1/model.onnx", "m",
		"@acme/secret/1/model.onnx", "m", "@acme/secret/model.yaml", twoLayers,
		"parts/1/model.onnx", "m", "parts/2/model.onnx", "m", "parts/1/model.yaml", forAcme,
	)})
	_, unknown := c.Open(t.Context(), of("default", "user"), "nothing", "")
	_, unknownVersion := c.Open(t.Context(), of("acme", "user"), "parts", "7")
	_, undescribed := c.Describe(t.Context(), of("default", "user"), "nothing", "")
	_, openForeign := c.Open(t.Context(), of("default", "user", "admin"), "secret", "")
	_, openForeignVersion := c.Open(t.Context(), of("default", "user", "admin"), "secret", "1")
	_, hiddenVersion := c.Open(t.Context(), of("acme", "user", "admin"), "parts", "2")
	_, describeForeign := c.Describe(t.Context(), of("default", "user", "admin"), "secret", "")
	for name, pair := range map[string][2]error{
		"open": {unknown, openForeign}, "open a version": {unknown, openForeignVersion},
		"open a version that is not shared": {unknownVersion, hiddenVersion}, "describe": {undescribed, describeForeign},
	} {
		if diff := cmp.Diff(fault.As(pair[0]), fault.As(pair[1])); pair[0] == nil || diff != "" {
			t.Errorf("%s (-unknown +foreign):\n%s", name, diff)
		}
	}
	if got := c.Requires(of("default", "user"), "secret", ""); got != nil {
		t.Errorf("Requires tells of a foreign model: %v", got)
	}
	admin := of("default", "admin")
	foreign := testing.AllocsPerRun(50, func() { _, _ = c.Open(t.Context(), admin, "secret", "") })
	nothing := testing.AllocsPerRun(50, func() { _, _ = c.Open(t.Context(), admin, "nothing", "") })
	if foreign != nothing {
		t.Errorf("%v allocations for a foreign model, %v for none", foreign, nothing)
	}
}

func TestEachTenantHasItsOwnDefaultModel(t *testing.T) {
	base := []string{"a/1/model.onnx", "m", "a/model.yaml", forUsers, "b/1/model.onnx", "m", "b/model.yaml", forUsers}
	for name, tc := range map[string]struct {
		more   []string
		choose string
		want   map[string]string // by tenant: the model, or the fault
	}{
		"the setting is the default tenant's":        {nil, "b", map[string]string{"default": "b", "acme": "not found"}},
		"another's is its only model":                {[]string{"@acme/x/1/model.onnx", "m", "@acme/x/model.yaml", forUsers}, "b", map[string]string{"default": "b", "acme": "@acme/x"}},
		"also beside shared ones":                    {[]string{"@acme/x/1/model.onnx", "m", "@acme/x/model.yaml", forUsers, "c/1/model.onnx", "m", "c/model.yaml", shared}, "", map[string]string{"default": "not found", "acme": "@acme/x"}},
		"none of several":                            {[]string{"@acme/x/1/model.onnx", "m", "@acme/y/1/model.onnx", "m"}, "", map[string]string{"acme": "not found"}},
		"without an own one, the only one shared":    {[]string{"c/1/model.onnx", "m", "c/model.yaml", shared}, "", map[string]string{"acme": "c", "default": "not found"}},
		"a name that only another tenant has is bad": {[]string{"@acme/x/1/model.onnx", "m"}, "x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := inference.New(t.Context(), inference.Config{
				FS: files(append(tc.more, base...)...), TenantExists: tenants("acme"), DefaultModel: tc.choose,
				Compile: new(compiled).compile, Now: time.Now,
			})
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), "is not among the models: a, b") {
					t.Errorf("New = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for tenant, want := range tc.want {
				call, err := c.Open(t.Context(), of(tenant, "user"), "", "")
				got := fault.KindOf(err).String()
				if err == nil {
					got = call.Label()
					call.Close()
				}
				if got != want {
					t.Errorf("%s: %s, want %s", tenant, got, want)
				}
			}
		})
	}
}

func TestAFolderOfNoTenantIsRefusedWithTheCommandThatMakesIt(t *testing.T) {
	fsys := files("a/1/model.onnx", "m", "@acme/x/1/model.onnx", "m", "@default/y/1/model.onnx", "m", "@/z/1/model.onnx", "m")
	_, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: new(compiled).compile, Now: time.Now})
	for _, want := range []string{
		"model @acme: there is no tenant \"acme\": make it with `onnxgate tenant create acme`", "model @default: move what is in it one folder up", `model @: there is no tenant ""`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
	}
}

func TestATenantsBadModelStopsNoStart(t *testing.T) {
	cfg := inference.Config{
		Compile: new(compiled).compile, Now: time.Now, TenantExists: tenants("acme"), MaxMemory: 2 << 20,
		FS: files("a/1/model.onnx", "m", "@acme/bad/1/model.onnx", "bad", "@acme/a b/1/model.onnx", "m",
			"@acme/x/1/model.onnx", "m", "@acme/x/model.yaml", "access: [", "@acme/y/1/model.onnx", "m", "@acme/y/model.yaml", forUsers,
			"@acme/z/1/model.onnx", strings.Repeat("m", 1<<20)),
	}
	c, err := inference.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the models of a tenant stop the start: %v", err)
	}
	if got := opened(t, c, "a", ""); got != "1" || len(names(c, of("acme", "user"))) != 1 || len(c.Problems()) != 4 {
		t.Errorf("a: %s, acme's: %v, problems: %v", got, names(c, of("acme", "user")), c.Problems())
	}
	reasons := 0
	for _, e := range c.Index(t.Context(), of("acme", "owner")) {
		if e.Reason != "" {
			reasons++
		}
	}
	if reasons != 4 {
		t.Errorf("the tenant is told %d reasons, want 4", reasons)
	}
	cfg.FS = files("@acme/y/1/model.onnx", "m", "b/1/model.onnx", "bad")
	if _, err := inference.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "model b") {
		t.Errorf("a bad model of the operator's: %v", err)
	}
}

func TestAReloadFollowsTheTenants(t *testing.T) {
	fsys := files("a/1/model.onnx", "m", "@acme/x/1/model.onnx", "m", "@acme/x/model.yaml", shared)
	exists, failing := true, error(nil)
	c := newCatalog(t, inference.Config{FS: fsys, TenantExists: func(context.Context, string) (bool, error) { return exists, failing }})
	open := func() string {
		call, err := c.Open(t.Context(), of("globex", "user"), "x", "")
		if err != nil {
			return fault.KindOf(err).String()
		}
		defer call.Close()
		return call.Label()
	}
	failing = errors.New("the database is away")
	if err := c.Reload(t.Context()); err == nil || open() != "@acme/x" {
		t.Errorf("a store that cannot be asked: %v, %s", err, open())
	}
	if diff := cmp.Diff(inference.Changes{Kept: []string{"@acme/x/1"}}, c.Changes()); diff != "" {
		t.Error(diff)
	}
	exists, failing = false, nil
	if err := c.Reload(t.Context()); err == nil || open() != "not found" {
		t.Errorf("a tenant that was deleted: %v, %s", err, open())
	}
	exists = true
	fsys["@acme/x/2/model.onnx"] = &fstest.MapFile{Data: []byte("m2")}
	if err := c.Reload(t.Context()); err != nil || open() != "@acme/x" {
		t.Errorf("a tenant that is back: %v, %s", err, open())
	}
	if diff := cmp.Diff([]string{"@acme/x/1", "@acme/x/2"}, c.Changes().Added); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsAndMetricsTellModelsOfTwoTenantsApart(t *testing.T) {
	rec := new(recorder)
	var watched []string
	c := newCatalog(t, inference.Config{
		FS:           files("a/1/model.onnx", "m", "a/model.yaml", forUsers, "@acme/a/1/model.onnx", "m", "@acme/a/model.yaml", "access: {rules: [{deny: [write]}, {allow: [predict]}]}\n"),
		TenantExists: tenants("acme"), Audit: rec,
		Observer: func(model, _ string) inference.Observe { watched = append(watched, model); return nil },
	})
	for _, tenant := range []string{"default", "acme"} {
		call, err := c.Open(t.Context(), of(tenant, "user"), "a", "")
		if err != nil {
			t.Fatal(err)
		}
		tensor.Reset[float32](call.Batch().Inputs[0], 1, 1)
		if _, err := call.Predict(t.Context()); err != nil {
			t.Fatal(err)
		}
		call.Close()
	}
	want := []audit.Record{
		{Event: "predict", Actor: "u@default", Tenant: "default", Method: "bearer", Model: "a", Version: "1", Digest: sum("m"), Decision: audit.Allow, Rule: audit.RuleOf(0), Outcome: "ok"},
		{Event: "predict", Actor: "u@acme", Tenant: "acme", Method: "bearer", Model: "@acme/a", Version: "1", Digest: sum("m"), Decision: audit.Allow, Rule: audit.RuleOf(2), Outcome: "ok"},
	}
	for i := range rec.records {
		rec.records[i].Time, rec.records[i].Latency = time.Time{}, 0
	}
	if diff := cmp.Diff(want, rec.records, asValues); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "@acme/a"}, watched); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestTenantsThatShareAModelSeeNothingOfEachOther(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "m", "a/model.yaml", shared)})
	const canary = 31337
	predict := func(ctx context.Context, tenant, body string) []float32 {
		call, err := c.Open(ctx, of(tenant, "user"), "a", "")
		if err != nil {
			t.Fatal(err)
		}
		defer call.Close()
		if err := call.Schema().Decode(ctx, call.Batch(), []byte(body), 100); err != nil {
			return nil
		}
		outputs, err := call.Predict(ctx)
		if err != nil {
			return nil
		}
		return slices.Clone(tensor.Of[float32](outputs[0]))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	rows := "[" + strings.Repeat(`{"x":31337},`, 50) + `{"x":31337}]`
	for range 20 {
		predict(t.Context(), "acme", rows)
		for name, ask := range map[string]func() []float32{
			"a smaller batch":           func() []float32 { return predict(t.Context(), "globex", `[{"x":1},{"x":2}]`) },
			"input that is refused":     func() []float32 { return predict(t.Context(), "globex", `[{"x":1},{}]`) },
			"a request that went away":  func() []float32 { return predict(canceled, "globex", `{"x":1}`) },
			"one row after all of this": func() []float32 { return predict(t.Context(), "globex", `{"x":1}`) },
		} {
			if got := ask(); slices.Contains(got, 2*canary) || len(got) > 2 {
				t.Fatalf("%s: %v", name, got)
			}
		}
	}
}

// Whoever has models loaded has tenants asked for in its own context: one that ends asks
// no longer.
func TestTenantsAreAskedForInTheContextOfWhoLoads(t *testing.T) {
	type key struct{}
	var seen []any
	fsys := files("m/1/model.onnx", "m", "@acme/a/1/model.onnx", "a")
	c, err := inference.New(context.WithValue(t.Context(), key{}, "start"), inference.Config{
		FS: fsys, Compile: new(compiled).compile, Now: time.Now,
		TenantExists: func(ctx context.Context, _ string) (bool, error) {
			seen = append(seen, ctx.Value(key{}))
			return true, ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fsys["@acme/b/1/model.onnx"] = fsys["@acme/a/1/model.onnx"]
	ended, end := context.WithCancel(context.WithValue(t.Context(), key{}, "reload"))
	end()
	if err := c.Reload(ended); err == nil || !strings.Contains(err.Error(), "ask whether there is a tenant acme: context canceled") {
		t.Errorf("Reload = %v, want that nobody could be asked", err)
	}
	if served, err := c.Try(context.WithValue(t.Context(), key{}, "try"), fsys, "acme", "a", ""); !served || err != nil {
		t.Errorf("Try = %v, %v", served, err)
	}
	if diff := cmp.Diff([]any{"start", "reload", "try"}, seen); diff != "" {
		t.Errorf("asked in the contexts (-want +got):\n%s", diff)
	}
}

// What a change of one tenant's model costs grows with the tenants that there are, and
// not with their square.
func TestAChangeOfOneModelAllocatesForOthersOnce(t *testing.T) {
	allocations := func(tenants int) float64 {
		fsys := fstest.MapFS{}
		for i := range tenants {
			fsys[fmt.Sprintf("@t%d/m/1/model.onnx", i)] = &fstest.MapFile{Data: []byte("m")}
		}
		c := newCatalog(t, inference.Config{FS: fsys, TenantExists: func(context.Context, string) (bool, error) { return true, nil }})
		changes := 0
		return testing.AllocsPerRun(3, func() {
			changes++
			fsys["@t1/m/1/model.onnx"] = &fstest.MapFile{Data: []byte(fmt.Sprint(changes))}
			if err := c.Reload(t.Context(), "@t1/m"); err != nil || len(c.Changes().Replaced) != 1 {
				t.Error(err, c.Changes())
			}
		})
	}
	if few, many := allocations(50), allocations(400); many > 16*few {
		t.Errorf("%v allocations with 50 tenants, %v with 400", few, many)
	}
}
