package inference_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

// opened returns the version that a name of it opens, or the fault's kind.
func opened(t *testing.T, c *inference.Catalog, model, version string) string {
	t.Helper()
	call, err := c.Open(t.Context(), admin, model, version)
	if err != nil {
		return fault.KindOf(err).String()
	}
	defer call.Close()
	info, err := c.Describe(t.Context(), admin, model, version)
	if err != nil || info.Version != call.Version() || info.Schema != call.Schema() {
		t.Errorf("Describe(%s, %s) = %s, %v; Open gives %s", model, version, info.Version, err, call.Version())
	}
	return call.Version()
}

func TestTheManifestBesideAllVersionsSaysWhichAreServed(t *testing.T) {
	three := []string{"m/1/model.onnx", "one", "m/2/model.onnx", "two", "m/10/model.onnx", "ten"}
	for name, tc := range map[string]struct {
		manifest string
		want     map[string]string // what is asked for, to what is served
	}{
		"all without one": {"", map[string]string{"": "10", "1": "1", "2": "2", "10": "10", "stable": "not found", "01": "not found", "3": "not found"}},
		"all":             {"versions: {serve: all, labels: {stable: 2}}\n", map[string]string{"": "10", "1": "1", "stable": "2", "Stable": "not found"}},
		"latest":          {"versions: {serve: latest, labels: {live: 10}}\n", map[string]string{"": "10", "10": "10", "live": "10", "1": "not found", "2": "not found"}},
		"a list": {
			"versions: {serve: [1, 2], labels: {stable: 1, canary: 2}}\n",
			map[string]string{"": "2", "1": "1", "stable": "1", "canary": "2", "10": "not found"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			engine, fsys := new(compiled), files(three...)
			if tc.manifest != "" {
				fsys["m/model.yaml"] = &fstest.MapFile{Data: []byte(tc.manifest)}
			}
			c := newCatalog(t, inference.Config{FS: fsys, Compile: engine.compile})
			served := map[string]bool{}
			for asked, want := range tc.want {
				got := opened(t, c, "m", asked)
				if got != want {
					t.Errorf("version %q: %s, want %s", asked, got, want)
				}
				if got != "not found" {
					served[got] = true
				}
			}
			if len(engine.sources) != len(served) {
				t.Errorf("compiled %v, served %v: what is not served is not loaded", engine.sources, served)
			}
		})
	}
}

func TestVersionsThatDoNotAgreeWithTheFoldersAreALoadErrorAndChangeNothing(t *testing.T) {
	for name, tc := range map[string]struct{ at, manifest, want string }{
		"a label of no version":        {"m/model.yaml", "versions: {labels: {stable: 7}}\n", "m/model.yaml:1: labels: stable is version 7, which is not there"},
		"of one that is not served":    {"m/model.yaml", "versions: {serve: [2], labels: {stable: 1}}\n", "stable is version 1, which serve leaves out"},
		"a version that is not there":  {"m/model.yaml", "versions: {serve: [1, 3]}\n", "serve: there is no version 3"},
		"in a version's own manifest":  {"m/2/model.yaml", "versions: {serve: latest}\n", "m/2/model.yaml:1: versions concerns all versions of the model: move it to m/model.yaml"},
		"what no manifest can be read": {"m/model.yaml", "versions: {serve: [}\n", "m/model.yaml:1: not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := files("m/1/model.onnx", "one", "m/2/model.onnx", "two")
			c := newCatalog(t, inference.Config{FS: fsys})
			fsys[tc.at] = &fstest.MapFile{Data: []byte(tc.manifest)}
			if err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Reload = %v, want %q", err, tc.want)
			}
			if one, two := opened(t, c, "m", "1"), opened(t, c, "m", ""); one != "1" || two != "2" {
				t.Errorf("versions %s and %s go on, want 1 and 2", one, two)
			}
			if _, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: new(compiled).compile, Now: time.Now}); err == nil {
				t.Error("a start accepts it")
			}
		})
	}
}

func TestTheLatestIsTheNewestThatCanBeLoaded(t *testing.T) {
	fsys := files("m/1/model.onnx", "one", "m/2/model.onnx", "two", "m/model.yaml", "versions: {serve: latest}\n")
	c := newCatalog(t, inference.Config{FS: fsys})
	fsys["m/3/model.onnx"] = &fstest.MapFile{Data: []byte("bad")}
	if err := c.Reload(t.Context()); err == nil || opened(t, c, "m", "") != "2" {
		t.Errorf("a bad version 3 is no error (%v), or takes the place of 2", err)
	}
	want := []inference.IndexEntry{
		{Model: "m", Version: "1", State: inference.StateUnavailable, Reason: "not served: the versions section of model.yaml leaves it out"},
		{Model: "m", Version: "2", State: inference.StateReady},
		{Model: "m", Version: "3", State: inference.StateUnavailable, Reason: "unsupported operators: bad"},
	}
	if diff := cmp.Diff(want, c.Index(t.Context(), admin)); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	fsys["m/3/model.onnx"] = &fstest.MapFile{Data: []byte("three")}
	if err := c.Reload(t.Context(), "m"); err != nil || opened(t, c, "m", "") != "3" || opened(t, c, "m", "2") != "not found" {
		t.Errorf("a version 3 that is good now (%v) does not take its place", err)
	}
}

func TestKServesFlatLayoutIsOneModel(t *testing.T) {
	flat := func() fstest.MapFS {
		return files("model.onnx", "m", "model.yaml", "access: {roles: [user, admin]}\nversions: {labels: {stable: 1}}\n", "saved/notes.txt", "",
			"access_test.yaml", "- {as: {roles: [user]}, action: predict, expect: allow}\n")
	}
	for name, tc := range map[string]struct{ configured, want string }{
		"of KServe's name":        {"", "model"},
		"of the name that it got": {"iris", "iris"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCatalog(t, inference.Config{FS: flat(), DefaultModel: tc.configured})
			for _, version := range []string{"", "1", "stable"} {
				call, err := c.Open(t.Context(), user, tc.want, version)
				if err != nil || call.Version() != "1" {
					t.Fatalf("version %q: %v", version, err)
				}
				call.Close()
			}
			if call, err := c.Open(t.Context(), user, "", ""); err != nil || call.Model() != tc.want {
				t.Errorf("it is not the default: %v", err)
			}
		})
	}
	fsys := flat()
	c := newCatalog(t, inference.Config{FS: fsys, TenantExists: tenants("acme")})
	fsys["other/1/model.onnx"] = &fstest.MapFile{Data: []byte("m")}
	fsys["@acme/own/1/model.onnx"] = &fstest.MapFile{Data: []byte("m")}
	err := c.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "model other: model.onnx at the top makes the whole models folder one model") {
		t.Errorf("a model that is not served goes unsaid: %v", err)
	}
	if got := c.All(); len(got) != 2 || got[0].Label() != "model" || got[1].Label() != "@acme/own" {
		t.Errorf("All = %+v, want the flat model and the tenant's", got)
	}
	if err := c.Unload(t.Context(), admin, "model"); err != nil || opened(t, c, "model", "") != "not found" {
		t.Errorf("Unload = %v", err)
	}
	if err := c.Load(t.Context(), admin, "model"); err != nil || opened(t, c, "model", "") != "1" {
		t.Errorf("Load = %v", err)
	}
	delete(fsys, "model.onnx")
	delete(fsys, "saved/notes.txt")
	if err := c.Reload(t.Context(), "other"); err != nil || opened(t, c, "other", "") != "1" || opened(t, c, "model", "") != "not found" {
		t.Errorf("the layout of folders, later: %v", err)
	}
}

func TestAnUnknownVersionIsToldWhichThereAreToWhoMayReadTheModel(t *testing.T) {
	versions := "versions: {labels: {stable: 1, canary: 2}}\n"
	c := newCatalog(t, inference.Config{TenantExists: tenants("acme"), FS: files(
		"m/1/model.onnx", "one", "m/2/model.onnx", "two", "m/model.yaml", forUsers+versions,
		"plain/1/model.onnx", "one", "plain/model.yaml", forUsers,
		"parts/1/model.onnx", "one", "parts/2/model.onnx", "two", "parts/model.yaml", forUsers+versions, "parts/1/model.yaml", forAcme,
	)})
	const hidden = "The model has no such version; GET /models lists the versions"
	for name, tc := range map[string]struct {
		p           *identity.Principal
		model, want string
	}{
		"with labels":                     {of("default", "user"), "m", "The model has no such version; it has 1, 2 and the labels canary (2), stable (1)"},
		"without":                         {of("default", "user"), "plain", "The model has no such version; it has 1"},
		"what is shared with the tenant":  {of("acme", "user"), "parts", "The model has no such version; it has 1 and the labels stable (1)"},
		"nothing to who may not read it":  {of("default", "guest"), "m", hidden},
		"nothing of what another one has": {of("acme", "user"), "m", "There is no such model; GET /models lists those you may call"},
	} {
		for _, id := range []string{"7", "latest"} {
			_, opened := c.Open(t.Context(), tc.p, tc.model, id)
			_, described := c.Describe(t.Context(), tc.p, tc.model, id)
			for _, err := range []error{opened, described, c.Ready(t.Context(), tc.p, tc.model, id)} {
				if fault.KindOf(err) != fault.NotFound || fault.As(err).Msg != tc.want {
					t.Errorf("%s, version %s: %v, want %q", name, id, err, tc.want)
				}
			}
		}
	}
}
