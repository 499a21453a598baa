package inference_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

// kept are pins that outlive a catalog.
type kept struct {
	pins map[string]inference.Pin
	err  error
}

func (k *kept) All(context.Context) ([]inference.Pin, error) {
	return slices.Collect(maps.Values(k.pins)), k.err
}

func (k *kept) Put(_ context.Context, p inference.Pin) error {
	if k.err == nil {
		k.pins[p.Folder] = p
	}
	return k.err
}

func (k *kept) Delete(_ context.Context, _, folder string) error {
	delete(k.pins, folder)
	return k.err
}

// serving returns the version of requests that name none.
func serving(t *testing.T, c *inference.Catalog, p *identity.Principal) string {
	t.Helper()
	call, err := c.Open(t.Context(), p, "m", "")
	if err != nil {
		return fault.KindOf(err).String()
	}
	defer call.Close()
	return call.Version()
}

func TestARollbackHoldsUntilANewerVersionComes(t *testing.T) {
	for name, manifest := range map[string]string{
		"all versions": forUsers, "the latest": forUsers + "versions: {serve: latest}\n",
	} {
		t.Run(name, func(t *testing.T) {
			fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2", "m/3/model.onnx", "bad", "m/model.yaml", manifest)
			pins := &kept{pins: map[string]inference.Pin{}}
			cfg := inference.Config{FS: fsys, Pins: pins, SkipBad: true}
			c, other := newCatalog(t, cfg), newCatalog(t, cfg)
			want := func(c *inference.Catalog, version, after string) {
				t.Helper()
				if got := serving(t, c, user); got != version {
					t.Errorf("%s: serves %s, want %s", after, got, version)
				}
			}
			want(c, "2", "the start")
			if to, err := c.Rollback(t.Context(), user, "m", ""); err != nil || to != "1" {
				t.Errorf("Rollback = %s, %v", to, err)
			}
			want(c, "1", "the rollback")
			_ = c.Reload(t.Context()) // version 3 is bad
			want(c, "1", "a reload")
			_ = other.Reload(t.Context())
			want(other, "1", "a reload elsewhere")
			want(newCatalog(t, cfg), "1", "a restart")
			fsys["m/3/model.onnx"] = &fstest.MapFile{Data: []byte("m3")} // it was there at the time
			_ = c.Reload(t.Context())
			want(c, "1", "the repair of a version that was there")
			fsys["m/4/model.onnx"] = &fstest.MapFile{Data: []byte("bad")}
			_ = c.Reload(t.Context())
			want(c, "1", "a newer version that is bad")
			fsys["m/4/model.onnx"] = &fstest.MapFile{Data: []byte("m4")}
			_ = c.Reload(t.Context())
			want(c, "4", "a newer version")
			want(newCatalog(t, cfg), "4", "another restart")
			if to, err := c.Rollback(t.Context(), user, "m", "2"); err != nil || to != "2" {
				t.Errorf("Rollback to 2 = %s, %v", to, err)
			}
			want(c, "2", "a rollback further back")
			if to, err := c.Rollback(t.Context(), user, "m", "4"); err != nil || to != "4" || len(pins.pins) != 0 {
				t.Errorf("Rollback to the newest = %s, %v, %v", to, err, pins.pins)
			}
			want(c, "4", "the way back")
		})
	}
}

func TestARollbackThatCannotBeChangesNothing(t *testing.T) {
	pins := &kept{pins: map[string]inference.Pin{}}
	c := newCatalog(t, inference.Config{Pins: pins, SkipBad: true, TenantExists: tenants("acme"), FS: files(
		"m/1/model.onnx", "bad", "m/2/model.onnx", "m2", "m/3/model.onnx", "m3", "m/4/model.onnx", "m4",
		"m/model.yaml", "access: {roles: [user], share: [acme]}\nversions: {serve: [1, 2, 4]}\n", "one/1/model.onnx", "m",
	)})
	for name, tc := range map[string]struct {
		as        *identity.Principal
		model, to string
		want      fault.Kind
	}{
		"to a version that cannot be loaded":   {user, "m", "1", fault.Content},
		"to a version that is not there":       {user, "m", "9", fault.Content},
		"to a version that model.yaml omits":   {user, "m", "3", fault.Content},
		"to a path":                            {user, "m", "../2", fault.Content},
		"of a model that is not there":         {user, "nothing", "", fault.NotFound},
		"of a model that is another tenant's":  {of("acme", "user"), "m", "", fault.NotFound},
		"of a model that the key leaves out":   {&identity.Principal{Tenant: "default", Models: []string{"one"}}, "m", "", fault.NotFound},
		"of a model that has no older version": {user, "one", "", fault.Conflict},
	} {
		if to, err := c.Rollback(t.Context(), tc.as, tc.model, tc.to); fault.KindOf(err) != tc.want {
			t.Errorf("%s: %s, %v", name, to, err)
		}
	}
	pins.err = fault.New(fault.Unavailable, "away")
	if _, err := c.Rollback(t.Context(), user, "m", ""); !errors.Is(err, pins.err) {
		t.Errorf("with a store that is away: %v", err)
	}
	if got := serving(t, c, user); got != "4" || len(pins.pins) > 0 {
		t.Errorf("serves %s, with %v", got, pins.pins)
	}
	if got := serving(t, c, of("acme", "user")); got != "4" {
		t.Errorf("a tenant that it is shared with gets %s", got)
	}
}

func TestWhatIsReadDuringAReloadIsNotItsOwn(t *testing.T) {
	const manifest = "access: {roles: [user]}\n"
	c := newCatalog(t, inference.Config{Pins: &kept{pins: map[string]inference.Pin{}}, FS: files("m/1/model.onnx", "m", "m/model.yaml", manifest)})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for range 20 {
			if err := c.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if got, err := c.Manifest(t.Context(), user, "m"); err != nil || string(got) != manifest {
			t.Fatalf("Manifest = %q, %v", got, err)
		}
	}
	reloads.Wait()
}

func TestTryingTellsWhatWouldBeWrong(t *testing.T) {
	base := []string{"m/1/model.onnx", "m1", "m/2/model.onnx", "bad", "m/model.yaml", forUsers}
	c := newCatalog(t, inference.Config{FS: files(base...), SkipBad: true})
	const golden = "x,prediction\n1,2\n2,5\n"
	for name, tc := range map[string]struct {
		with    []string
		version string
		want    string // in the error, or none
	}{
		"a good version":                     {[]string{"m/3/model.onnx", "m3"}, "3", ""},
		"a bad version":                      {[]string{"m/3/model.onnx", "bad"}, "3", "model m, version 3: unsupported operators: bad"},
		"a version with good rows":           {[]string{"m/3/model.onnx", "m3", "m/3/golden.csv", "x,prediction\n1,2\n"}, "3", ""},
		"a version with other answers":       {[]string{"m/3/model.onnx", "m3", "m/3/golden.csv", golden}, "3", "m/3/golden.csv: row 1: 4, and the training library said 5"},
		"rows beside all versions":           {[]string{"m/3/model.onnx", "m3", "m/golden.json", `[{"x":1,"prediction":3}]`}, "3", "m/golden.json: 1 of 1 rows differ; they are counted from 0"},
		"rows that are none":                 {[]string{"m/3/model.onnx", "m3", "m/3/golden.csv", "y\n1\n"}, "3", "m/3/golden.csv"},
		"a bad version that is not served":   {[]string{"m/3/model.onnx", "bad", "m/model.yaml", "versions: {serve: [1]}"}, "3", "version 3: unsupported"},
		"a good version that is not served":  {[]string{"m/3/model.onnx", "m3", "m/model.yaml", "versions: {serve: [1]}"}, "3", ""},
		"a version that a label forbids":     {[]string{"m/3/model.onnx", "m3", "m/model.yaml", "versions: {serve: latest, labels: {stable: 2}}"}, "3", "labels: stable is version 2"},
		"a manifest":                         {[]string{"m/model.yaml", "access: {roles: [analyst]}"}, "", ""},
		"a manifest that is none":            {[]string{"m/model.yaml", "acces: {}"}, "", "m/model.yaml:1"},
		"a manifest of another model":        {[]string{"m/model.yaml", "features: [{name: a}, {name: b}]"}, "", "model m, version 1"},
		"a manifest that serves what is not": {[]string{"m/model.yaml", "versions: {serve: [1, 7]}"}, "", "there is no version 7"},
		"tests that do not hold":             {[]string{"m/access_test.yaml", "- {as: {roles: [user]}, action: predict, expect: deny}"}, "", "m/access_test.yaml:1"},
		"a new model":                        {[]string{"n/1/model.onnx", "bad"}, "new", "model n, version 1"},
	} {
		t.Run(name, func(t *testing.T) {
			model, version := "m", tc.version
			if version == "new" {
				model, version = "n", "1"
			}
			_, err := c.Try(t.Context(), files(slices.Concat(base, tc.with)...), "default", model, version)
			if (err == nil) != (tc.want == "") || err != nil && (fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if got := serving(t, c, user); got != "1" {
				t.Errorf("trying changed what is served: %s", got)
			}
		})
	}
	if _, err := c.Try(t.Context(), files("model.onnx", "m", "m/3/model.onnx", "m"), "default", "m", "3"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("beside a model at the top: %v", err)
	}
}

func TestAManifestMayNotBreakAVersionThatItBegins(t *testing.T) {
	base := []string{"m/1/model.onnx", "m1", "m/2/model.onnx", "bad", "m/model.yaml", forUsers + "versions: {serve: [1]}\n"}
	c := newCatalog(t, inference.Config{FS: files(base...)})
	_, err := c.Try(t.Context(), files(append(base, "m/model.yaml", forUsers)...), "default", "m", "")
	if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "model m, version 2: unsupported operators") {
		t.Errorf("%v: the next start would refuse what it serves", err)
	}
	if _, err := c.Try(t.Context(), files(append(base, "m/model.yaml", "versions: {serve: [1]}\n")...), "default", "m", ""); err != nil {
		t.Errorf("a manifest that leaves it out: %v", err)
	}
}

func TestATenantDoesNotPutItsModelsAmongThoseOfOthers(t *testing.T) {
	shared := func(with string) string { return "access: {roles: [user], share: [" + with + "]}\n" }
	base := []string{
		"@acme/m/1/model.onnx", "m1", "@acme/m/model.yaml", shared("globex"), "@acme/all/1/model.onnx", "m1", "@acme/all/model.yaml", shared(`"*"`),
		"m/1/model.onnx", "m1",
	}
	c := newCatalog(t, inference.Config{TenantExists: tenants("acme"), FS: files(base...)})
	for name, tc := range map[string]struct {
		tenant, model string
		with          []string
		refused       bool
	}{
		"as it is":                {"acme", "m", []string{"@acme/m/model.yaml", shared("globex") + "description: other\n"}, false},
		"with fewer":              {"acme", "m", []string{"@acme/m/model.yaml", "access: {roles: [user]}\n"}, false},
		"with one more":           {"acme", "m", []string{"@acme/m/model.yaml", shared("globex, beta")}, true},
		"with all":                {"acme", "m", []string{"@acme/m/model.yaml", shared(`"*"`)}, true},
		"with one of all":         {"acme", "all", []string{"@acme/all/model.yaml", shared("beta")}, false},
		"a new one":               {"acme", "n", []string{"@acme/n/1/model.onnx", "n1", "@acme/n/model.yaml", shared("beta")}, true},
		"of who runs the server":  {"default", "m", []string{"m/model.yaml", shared(`"*"`)}, false},
		"a version of one shared": {"acme", "m", []string{"@acme/m/2/model.onnx", "m2"}, false},
	} {
		_, err := c.Try(t.Context(), files(slices.Concat(base, tc.with)...), tc.tenant, tc.model, "")
		if got := fault.KindOf(err) == fault.Forbidden; err != nil && !got || got != tc.refused {
			t.Errorf("%s: %v, want it refused: %v", name, err, tc.refused)
		}
	}
}

func TestOwnersSeeEveryVersionAndWhatIsWrong(t *testing.T) {
	c := newCatalog(t, inference.Config{SkipBad: true, TenantExists: tenants("acme"), DefaultModel: "m", FS: files(
		"m/1/model.onnx", "m1", "m/2/model.onnx", "odd", "m/3/model.onnx", "bad", "m/9/model.onnx", "m9", "m/x/model.onnx", "m",
		"m/model.yaml", "versions: {serve: [1, 2, 3], labels: {stable: 1}}\n", "gone/1/model.onnx", "m", "@acme/own/1/model.onnx", "m",
	)})
	if err := c.Unload(t.Context(), admin, "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rollback(t.Context(), admin, "m", "1"); err != nil {
		t.Fatal(err)
	}
	got := c.Own(t.Context(), admin)
	for i := range got {
		for j := range got[i].Versions {
			if v := &got[i].Versions[j]; v.Served != strings.HasPrefix(v.Digest, "sha-256=:") {
				t.Errorf("%s/%s has the digest %q", got[i].Name, v.Version, v.Digest)
			} else {
				v.Digest = ""
			}
		}
	}
	want := []inference.OwnModel{{Name: "gone", Unloaded: true}, {
		Name: "m", Serving: "1", RolledBack: true, Default: true, Labels: map[string]string{"stable": "1"},
		Versions: []inference.OwnVersion{
			{Version: "1", Served: true, Reason: `rename the folder "x": a version is a whole number from 1, without leading zeros`},
			{Version: "2", Served: true, Reason: `rename the folder "x": a version is a whole number from 1, without leading zeros`, Warnings: []string{"odd"}},
			{Version: "3", Reason: "unsupported operators: bad"},
			{Version: "9", Reason: "not served: the versions section of model.yaml leaves it out"},
		},
		Problems: []string{`rename the folder "x": a version is a whole number from 1, without leading zeros`},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if own := c.Own(t.Context(), of("acme", "admin")); len(own) != 1 || own[0].Name != "own" {
		t.Errorf("another tenant's: %v", own)
	}
}

func TestOnlyWhatChangedIsFoundBadAgain(t *testing.T) {
	fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "bad", "n/1/model.onnx", "bad")
	c := newCatalog(t, inference.Config{FS: fsys, SkipBad: true})
	found := func() (all []string) {
		_ = c.Reload(t.Context()) // the problems are told by Found
		for _, p := range c.Found() {
			all = append(all, p.Model+"/"+p.Version)
		}
		return all
	}
	if got := found(); got != nil {
		t.Errorf("nothing changed, and found were %v", got)
	}
	fsys["m/2/model.onnx"] = &fstest.MapFile{Data: []byte("bad!")}
	if diff := cmp.Diff([]string{"m/2"}, found()); diff != "" {
		t.Error(diff)
	}
	if got := found(); got != nil {
		t.Errorf("nothing changed, and found were %v", got)
	}
}
