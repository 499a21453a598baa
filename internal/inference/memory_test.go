package inference_test

import (
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
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
	if _, err := inference.New(t.Context(), cfg); err == nil {
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
	c, err := inference.New(t.Context(), inference.Config{FS: fsys, Now: time.Now, Compile: func(data []byte, _ schema.Engine) (inference.Program, []string, error) {
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
	if err := began.Schema().Decode(t.Context(), began.Batch(), []byte(`{"x": 4}`), 1); err != nil {
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

// A command that changes one model beside a server compiles no other, and refuses
// what the server would find no room for.
func TestACatalogOfOneModelKnowsWhatTheOthersTake(t *testing.T) {
	large := func(mebibytes int) *fstest.MapFile { return &fstest.MapFile{Data: make([]byte, mebibytes<<20)} }
	fsys := fstest.MapFS{"a/1/model.onnx": large(3), "b/1/model.onnx": large(1), "b/2/model.onnx": large(3), "b/model.yaml": {Data: []byte("versions: {serve: latest}\n")}, "@acme/c/1/model.onnx": large(3)}
	engine := new(compiled)
	cfg := inference.Config{FS: fsys, Compile: engine.compile, TenantExists: tenants("acme"), MaxMemory: 20 << 20, MaxTenantMemory: 20 << 20, Now: time.Now}
	c, err := inference.NewOf(t.Context(), cfg, "default", "wine")
	if err != nil {
		t.Fatal(err)
	}
	for mebibytes, want := range map[int]string{
		1: "",
		4: "model wine, version 1: it would take about 6.1 MiB, the other models take 15.4 MiB, and all together may take 20.0 MiB: raise ONNXGATE_MODELS_MEMORY, or remove a model",
	} {
		fsys["wine/1/model.onnx"] = large(mebibytes)
		got := ""
		if _, err := c.Try(t.Context(), fsys, "default", "wine", "1"); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%d MiB: %q, want %q", mebibytes, got, want)
		}
	}
	if n := len(engine.sources); n != 1 {
		t.Errorf("compiled %d models, want the one that fits alone", n)
	}
}

// wide is a doubler of a matrix of many columns.
type wide struct {
	doubler
	columns int
}

func (w wide) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "x", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: w.columns}}}}
}

func TestAContractThatDoesNotFitIsRefusedBeforeItIsMade(t *testing.T) {
	var words strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&words, "word%d, ", i)
	}
	patterns := "features:\n"
	for i := range 60 {
		patterns += fmt.Sprintf("  - {name: f%d, type: string, pattern: '^(?:[a-z]?){900}$'}\n", i)
	}
	cfg := inference.Config{
		FS: files("@acme/columns/1/model.onnx", "4000", "@acme/patterns/1/model.onnx", "1", "@acme/patterns/model.yaml", patterns,
			"@acme/words/1/model.onnx", "1", "@acme/words/model.yaml", "features:\n  - {name: x, type: string, enum: ["+words.String()+"z]}\n",
			"@acme/array/1/model.onnx", "60000"),
		TenantExists: tenants("acme"), MaxMemory: 1 << 30, MaxTenantMemory: 1 << 20,
		Compile: func(data []byte, _ schema.Engine) (inference.Program, []string, error) {
			columns, err := strconv.Atoi(string(data))
			return wide{columns: columns}, nil, err
		},
	}
	var refused []string
	for _, p := range newCatalog(t, cfg).Problems() {
		if !strings.Contains(p.Error(), "ONNXGATE_TENANT_MODELS_MEMORY") {
			t.Error(p)
		}
		refused = append(refused, p.Model)
	}
	if diff := cmp.Diff([]string{"@acme/columns", "@acme/patterns", "@acme/words"}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}
