package inference_test

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/tensor"
)

// predictOne opens a model and predicts with one row, through Admit.
func predictOne(t *testing.T, c *inference.Catalog, p *identity.Principal, model, version string, x float32) float32 {
	t.Helper()
	call, err := c.Open(t.Context(), p, model, version)
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	tensor.Reset[float32](call.Batch().Inputs[0], 1, 1)[0] = x
	if err := call.Admit(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	out, err := call.Predict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tensor.Of[float32](out[0])[0]
}

func TestAnUnloadedModelIsUnknownUntilItIsLoadedOrItsFolderChanges(t *testing.T) {
	owner := of("acme", "user")
	fsys := files("@acme/a/1/model.onnx", "m", "@acme/a/model.yaml", forUsers, "a/1/model.onnx", "m", "a/model.yaml", shared,
		"@acme/b/1/model.onnx", "m", "@acme/b/model.yaml", forUsers)
	c := newCatalog(t, inference.Config{FS: fsys, TenantExists: tenants("acme")})
	opens := func() bool {
		call, err := c.Open(t.Context(), owner, "b", "")
		if err == nil {
			call.Close()
		}
		ready := c.Ready(t.Context(), owner, "b", "1")
		if fault.KindOf(err) != fault.KindOf(ready) || err != nil && fault.KindOf(err) != fault.NotFound {
			t.Errorf("Open = %v, Ready = %v", err, ready)
		}
		return err == nil
	}
	unload := func() {
		t.Helper()
		if err := c.Unload(t.Context(), owner, "b"); err != nil {
			t.Fatal(err)
		}
		if opens() {
			t.Error("an unloaded model opens")
		}
	}
	unload()
	unload()
	if err := c.Reload(t.Context()); err != nil || opens() {
		t.Errorf("a reload of what has not changed brings it back (%v)", err)
	}
	if err := c.Load(t.Context(), owner, "b"); err != nil || !opens() {
		t.Errorf("a load does not (%v)", err)
	}
	unload()
	fsys["@acme/b/2/model.onnx"] = &fstest.MapFile{Data: []byte("m2")}
	if err := c.Reload(t.Context()); err != nil || !opens() {
		t.Errorf("a change of the folder does not (%v)", err)
	}
	for name, err := range map[string]error{
		"a shared model is not one's own":   c.Unload(t.Context(), of("globex", "user"), "a"),
		"nor another tenant's":              c.Unload(t.Context(), of("default", "admin"), "b"),
		"nor one that the key leaves out":   c.Unload(t.Context(), &identity.Principal{Tenant: "acme", Models: []string{"a"}}, "b"),
		"a path is no name":                 c.Unload(t.Context(), of("default", "admin"), "@acme/b"),
		"what is not there is not unloaded": c.Unload(t.Context(), owner, "nothing"),
		"and not loaded":                    c.Load(t.Context(), owner, "nothing"),
		"by nobody":                         c.Load(t.Context(), nil, "a"),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheIndexHasWhatATenantOwnsWithWhatIsWrong(t *testing.T) {
	c := newCatalog(t, inference.Config{SkipBad: true, TenantExists: tenants("acme"), FS: files(
		"a/1/model.onnx", "m", "a/2/model.onnx", "bad", "a/10/model.onnx", "m",
		"b/1/model.onnx", "bad", "c/1/model.onnx", "m", "@acme/d/1/model.onnx", "bad",
	)})
	if err := c.Unload(t.Context(), admin, "c"); err != nil {
		t.Fatal(err)
	}
	const reason = "unsupported operators: bad"
	for name, tc := range map[string]struct {
		as   *identity.Principal
		want []inference.IndexEntry
	}{
		"the default tenant's": {admin, []inference.IndexEntry{
			{Model: "a", Version: "1", State: inference.StateReady},
			{Model: "a", Version: "2", State: inference.StateUnavailable, Reason: reason},
			{Model: "a", Version: "10", State: inference.StateReady},
			{Model: "b", Version: "1", State: inference.StateUnavailable, Reason: reason},
			{Model: "c", State: inference.StateUnavailable, Reason: "unloaded"},
		}},
		"another's": {of("acme", "admin"), []inference.IndexEntry{{Model: "d", Version: "1", State: inference.StateUnavailable, Reason: reason}}},
		"a key's": {&identity.Principal{Tenant: "default", Models: []string{"b"}}, []inference.IndexEntry{
			{Model: "b", Version: "1", State: inference.StateUnavailable, Reason: reason},
		}},
		"nobody's": {nil, []inference.IndexEntry{}},
	} {
		if diff := cmp.Diff(tc.want, c.Index(t.Context(), tc.as)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestATenantSeesStatisticsOfItsOwnCalls(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "m", "a/model.yaml", shared), TenantExists: tenants("acme", "globex")})
	acme, globex := of("acme", "user"), of("globex", "user")
	for caller, calls := range map[*identity.Principal]int{user: 1, acme: 2} {
		for range calls {
			predictOne(t, c, caller, "a", "", 1)
		}
	}
	for caller, want := range map[*identity.Principal]uint64{user: 3, acme: 2, globex: 0} {
		got, err := c.Statistics(t.Context(), caller, "a", "1")
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		s := got[0]
		if s.Inferences != want || s.Executions != want || s.Success.Count != want || s.Input.Count != want || s.Output.Count != want || s.LastInference.IsZero() != (want == 0) {
			t.Errorf("%s is told %+v, want %d of each", caller.Tenant, s, want)
		}
	}
}

// Who has the name of a tenant that is gone sees nothing of what that one did, and what
// a tenant does that is still there goes on.
func TestATenantMadeAgainSeesNoStatisticsOfTheFormer(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "m", "a/model.yaml", shared), TenantExists: tenants("acme", "globex")})
	inferences := func(caller *identity.Principal) uint64 {
		got, err := c.Statistics(t.Context(), caller, "a", "1")
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		return got[0].Inferences
	}
	acme, globex := of("acme", "user"), of("globex", "user")
	began := time.Now()
	predictOne(t, c, acme, "a", "", 1)
	predictOne(t, c, globex, "a", "", 1)
	made := time.Now()
	c.ForgetCallers(func(tenant string, since time.Time) bool {
		if since.Before(began) || since.After(made) {
			t.Errorf("%s began to call at %v, want within [%v, %v]", tenant, since, began, made)
		}
		return tenant == "acme" && made.After(since)
	})
	for caller, want := range map[*identity.Principal]uint64{acme: 0, globex: 1, user: 2} {
		if got := inferences(caller); got != want {
			t.Errorf("%s is told of %d, want %d", caller.Tenant, got, want)
		}
	}
	predictOne(t, c, acme, "a", "", 1)
	c.ForgetCallers(func(tenant string, since time.Time) bool { return tenant == "acme" && made.After(since) })
	if got := inferences(acme); got != 1 {
		t.Errorf("the new tenant is told of %d, want its own", got)
	}
}

func TestStatisticsCountWhatEachVersionDid(t *testing.T) {
	now := time.Unix(1_000, 0)
	cfg := inference.Config{
		FS:      files("a/1/model.onnx", "m", "a/2/model.onnx", "m", "a/model.yaml", forUsers, "b/1/model.onnx", "m"),
		Compile: new(compiled).compile,
		Now:     func() time.Time { now = now.Add(time.Millisecond); return now },
	}
	c, err := inference.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	loaded := now
	for range 3 {
		predictOne(t, c, user, "a", "2", 1)
	}
	refused, err := c.Open(t.Context(), user, "a", "2")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	each := func(n int) inference.Duration {
		return inference.Duration{Count: uint64(n), Total: time.Duration(n) * time.Millisecond}
	}
	const memory = 128<<10 + 5 // of a file of one byte
	want := []inference.Statistics{{Model: "a", Version: "1", Memory: memory}, {
		Model: "a", Version: "2", LastInference: loaded.Add(10 * time.Millisecond), Inferences: 3, Executions: 3, Memory: memory,
		Success: inference.Duration{Count: 3, Total: 9 * time.Millisecond}, Queue: inference.Duration{Count: 3},
		Input: each(3), Infer: each(3), Output: each(3),
		Batches: []inference.BatchStatistics{{Rows: 1, Input: each(3), Infer: each(3), Output: each(3)}},
	}}
	got, err := c.Statistics(t.Context(), user, "", "")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("of all that the user may read: %v (-want +got):\n%s", err, diff)
	}
	if got, err = c.Statistics(t.Context(), user, "a", "2"); err != nil || len(got) != 1 || got[0].Version != "2" {
		t.Errorf("of one version: %v, %v", got, err)
	}
	if _, err = c.Statistics(t.Context(), user, "b", ""); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("of a model that the user may not read: %v", err)
	}
}
