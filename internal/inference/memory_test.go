package inference_test

import (
	"maps"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"weak"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

func TestAModelThatDoesNotFitIsRefusedUntilThereIsRoom(t *testing.T) {
	large := func(mebibytes int) *fstest.MapFile { return &fstest.MapFile{Data: make([]byte, mebibytes<<20)} }
	fsys := fstest.MapFS{"a/1/model.onnx": large(3), "b/1/model.onnx": large(3)}
	engine := new(compiled)
	cfg := inference.Config{FS: fsys, Compile: engine.compile, MaxMemory: 12 << 20}
	c := newCatalog(t, cfg)
	fsys["c/1/model.onnx"] = large(1)
	err := c.Reload(t.Context())
	const want = "model c, version 1: it would take about 3.1 MiB, the other models take 10.2 MiB, and all together may take 12.0 MiB: raise ONNXGATE_MODELS_MEMORY, or remove a model"
	if err == nil || err.Error() != want {
		t.Errorf("Reload = %v, want %s", err, want)
	}
	for model, want := range map[string]string{"a": "1", "b": "1", "c": "not found"} {
		if got := opened(t, c, model, ""); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
	fsys["a/1/model.onnx"] = large(4)
	if err := c.Reload(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "model c") || strings.Contains(err.Error(), "model a") {
		t.Errorf("a version that replaces a smaller one, within the bound: %v", err)
	}
	delete(fsys, "b/1/model.onnx")
	if err := c.Reload(t.Context()); err != nil || opened(t, c, "c", "") != "1" {
		t.Errorf("where there is room, it is loaded: %v", err)
	}
	if err := c.Unload(t.Context(), admin, "a"); err != nil {
		t.Fatal(err)
	}
	fsys["d/1/model.onnx"] = large(5)
	if err := c.Reload(t.Context()); err != nil || opened(t, c, "d", "") != "1" {
		t.Errorf("an unloaded model takes room: %v", err)
	}
	if err := c.Load(t.Context(), admin, "a"); err == nil || !strings.Contains(err.Error(), "ONNXGATE_MODELS_MEMORY") {
		t.Errorf("a load beyond the bound: %v", err)
	}
}

func TestTheDefaultTenantsModelsHaveTheFirstRoom(t *testing.T) {
	large := &fstest.MapFile{Data: make([]byte, 3<<20)}
	c := newCatalog(t, inference.Config{
		FS:           fstest.MapFS{"@acme/a/1/model.onnx": large, "z/1/model.onnx": large},
		TenantExists: tenants("acme"), MaxMemory: 8 << 20, MaxTenantMemory: 8 << 20,
	})
	if got := opened(t, c, "z", ""); got != "1" {
		t.Errorf("z: %s, want it served and acme's left out", got)
	}
}

func TestATenantTakesNoMoreThanItsShareOfMemory(t *testing.T) {
	large := &fstest.MapFile{Data: make([]byte, 1<<20)} // takes 3.1 MiB
	fsys := fstest.MapFS{
		"@acme/a/1/model.onnx": large, "@acme/b/1/model.onnx": large, "@acme/c/1/model.onnx": large, "@globex/a/1/model.onnx": large,
		"a/1/model.onnx": large, "b/1/model.onnx": large, "c/1/model.onnx": large,
	}
	cfg := inference.Config{FS: fsys, TenantExists: tenants("acme", "globex"), MaxMemory: 28 << 20}
	const want = "model @acme/c, version 1: it would take about 3.1 MiB, the tenant's other models take 6.2 MiB, and those of one tenant together may take 7.0 MiB: raise ONNXGATE_TENANT_MODELS_MEMORY, or remove a model"
	c := newCatalog(t, cfg)
	if all := c.Problems(); len(all) != 1 || all[0].Error() != want {
		t.Errorf("Problems = %v, want %s", all, want)
	}
	delete(fsys, "@acme/a/1/model.onnx")
	if err := c.Reload(t.Context(), "@acme/a", "@acme/c"); err != nil {
		t.Errorf("where the tenant has room again, it is not taken: %v", err)
	}
	cfg.MaxTenantMemory = 10 << 20
	fsys["@acme/a/1/model.onnx"] = large
	if all := newCatalog(t, cfg).Problems(); len(all) != 0 {
		t.Errorf("with a larger share: %v", all)
	}
}

func TestAChangeThatTheNextStartHasNoRoomForIsRefused(t *testing.T) {
	large := &fstest.MapFile{Data: make([]byte, 1<<20)} // takes 3.1 MiB
	now := fstest.MapFS{"a/1/model.onnx": large, "b/1/model.onnx": large}
	cfg := inference.Config{FS: now, MaxMemory: 8 << 20}
	c := newCatalog(t, cfg)
	if err := c.Unload(t.Context(), admin, "a"); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	then := maps.Clone(now)
	then["new/1/model.onnx"] = large
	if _, err := c.Try(t.Context(), then, identity.DefaultTenant, "new", "1"); fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "ONNXGATE_MODELS_MEMORY") {
		t.Errorf("a model that fits only while another is unloaded: %v", err)
	}
	cfg.FS, cfg.Compile, cfg.Now = then, new(compiled).compile, time.Now
	if _, err := inference.New(cfg); err == nil {
		t.Error("the start had room for it")
	}
	again := maps.Clone(now)
	again["a/2/model.onnx"], again["a/model.yaml"] = large, &fstest.MapFile{Data: []byte("versions: {serve: latest}\n")}
	if _, err := c.Try(t.Context(), again, identity.DefaultTenant, "a", "2"); err != nil {
		t.Errorf("one that takes the place of what is unloaded: %v", err)
	}
}

// heavy is a program whose end can be seen.
type heavy struct {
	doubler
	weights *[1 << 20]byte
}

func TestAModelThatIsNotServedAnyMoreLeavesNothingBehind(t *testing.T) {
	var programs []weak.Pointer[[1 << 20]byte]
	fsys := files("a/1/model.onnx", "0", "a/model.yaml", "access: {roles: [user, admin]}\n", "b/1/model.onnx", "b")
	c, err := inference.New(inference.Config{FS: fsys, Now: time.Now, Compile: func(data []byte, _ schema.Engine) (inference.Program, []string, error) {
		weights := new([1 << 20]byte)
		programs = append(programs, weak.Make(weights))
		return heavy{doubler{string(data)}, weights}, nil, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	alive := func() (n int) {
		for range 3 { // what is in a pool outlives two
			runtime.GC()
		}
		for _, p := range programs {
			if p.Value() != nil {
				n++
			}
		}
		return n
	}
	const swaps = 20
	for i := range swaps {
		predictOne(t, c, user, "a", "", 1)
		fsys["a/1/model.onnx"] = &fstest.MapFile{Data: []byte{byte(i), 1}}
		if err := c.Reload(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := alive(); got != 2 || len(programs) != swaps+2 {
		t.Errorf("%d of %d programs are in memory, want the two that are served", got, len(programs))
	}
	began, err := c.Open(t.Context(), user, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unload(t.Context(), admin, "a"); err != nil {
		t.Fatal(err)
	}
	if got := alive(); got != 2 {
		t.Errorf("%d programs while a call of the unloaded one is open, want 2", got)
	}
	if err := began.Schema().Decode(began.Batch(), []byte(`{"x": 4}`), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := began.Predict(t.Context()); err != nil {
		t.Errorf("a call that is open does not go on: %v", err)
	}
	began.Close()
	if got := alive(); got != 1 {
		t.Errorf("%d programs after the unload, want that of the other model", got)
	}
	runtime.KeepAlive(c)
}
