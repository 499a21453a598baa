package inference_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

var (
	admin = &identity.Principal{Subject: "admin", Tenant: "default", Roles: []string{"admin"}, Method: identity.Bearer}
	user  = &identity.Principal{Subject: "u", Tenant: "default", Roles: []string{"user"}, Method: identity.Bearer}
)

// doubler is a program that doubles its one column.
type doubler struct{ source string }

func column(name string) []tensor.Spec {
	return []tensor.Spec{{Name: name, DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}}}
}

func (doubler) Inputs() []tensor.Spec  { return column("x") }
func (doubler) Outputs() []tensor.Spec { return column("y") }

func (d doubler) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	if d.source == "breaks" {
		panic("a defect")
	}
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Canceled, "", err)
	}
	x := tensor.Of[float32](in[0])
	y := tensor.Reset[float32](out[0], len(x), 1)
	for i := range x {
		y[i] = 2 * x[i]
	}
	return nil
}

// compiled counts what it compiles and refuses files that say "bad".
type compiled struct{ sources []string }

func (c *compiled) compile(data []byte, _ schema.Engine) (inference.Program, []string, error) {
	if strings.HasPrefix(string(data), "bad") {
		return nil, nil, fault.New(fault.Content, "unsupported operators: "+string(data))
	}
	c.sources = append(c.sources, string(data))
	var warnings []string
	if strings.HasPrefix(string(data), "odd") {
		warnings = []string{"odd"}
	}
	return doubler{string(data)}, warnings, nil
}

func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func newCatalog(t *testing.T, cfg inference.Config) *inference.Catalog {
	t.Helper()
	if cfg.Compile == nil {
		cfg.Compile = new(compiled).compile
	}
	cfg.Now = time.Now
	c, err := inference.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const forUsers = "access: {roles: [user]}\n"

func TestOpenGivesACallOnlyToWhoMayPredict(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files(
		"a/1/model.onnx", "a1", "a/9/model.onnx", "a9", "a/10/model.onnx", "a10",
		"b/1/model.onnx", "b1", "b/model.yaml", forUsers,
		"b/2/model.onnx", "b2", "b/2/model.yaml", "access: {roles: [analyst]}\n",
	), DefaultModel: "a"})
	for name, tc := range map[string]struct {
		principal      *identity.Principal
		model, version string
		want           string // "model/version", or the fault's kind
	}{
		"the default model's newest version":       {admin, "", "", "a/10"},
		"a named version":                          {admin, "a", "9", "a/9"},
		"an unknown model":                         {admin, "c", "", "not found"},
		"an unknown version":                       {admin, "a", "2", "not found"},
		"an unknown version, without the right":    {user, "a", "2", "not found"},
		"no manifest: admin alone":                 {user, "a", "", "forbidden"},
		"the manifest's role":                      {user, "b", "1", "b/1"},
		"an admin whom the manifest does not list": {admin, "b", "1", "forbidden"},
		"a version's own manifest replaces it":     {user, "b", "2", "forbidden"},
		"nobody":                                   {nil, "a", "", "not found"},
		"a path is no name":                        {admin, "../a", "", "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Open(t.Context(), tc.principal, tc.model, tc.version)
			got := fault.KindOf(err).String()
			if err == nil {
				got = call.Model() + "/" + call.Version()
				call.Close()
			}
			if got != tc.want {
				t.Errorf("Open = %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestNoModelIsTheDefaultAmongSeveral(t *testing.T) {
	two := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "a", "b/1/model.onnx", "b")})
	if _, err := two.Open(t.Context(), admin, "", ""); fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.As(err).Msg, "GET /models") {
		t.Errorf("Open = %v, want not found and how to choose", err)
	}
	one := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "a")})
	call, err := one.Open(t.Context(), admin, "", "")
	if err != nil {
		t.Fatal(err)
	}
	call.Close()
	_, err = inference.New(t.Context(), inference.Config{FS: files("a/1/model.onnx", "a"), Compile: new(compiled).compile, DefaultModel: "iris", Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), `default model "iris"`) {
		t.Errorf("New = %v, want that the default is missing", err)
	}
}

func TestStartNamesEveryModelThatCannotBeServed(t *testing.T) {
	fsys := files(
		"good/1/model.onnx", "odd", "good/..data/x", "", ".hidden/x", "", "lost+found/x", "", "README.md", "",
		"broken/1/model.onnx", "bad FooBar", "broken/model.yaml", forUsers,
		"yaml/1/model.onnx", "m", "yaml/model.yaml", "titel: x\n",
		"empty/model.yaml", forUsers,
		"zero/01/model.onnx", "m",
		"a b/1/model.onnx", "m",
		"none/1/notes.txt", "", "7/model.onnx", "m",
	)
	_, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: new(compiled).compile, Now: time.Now})
	if err == nil {
		t.Fatal("New accepted bad models")
	}
	for _, want := range []string{
		"model broken, version 1: unsupported operators: bad FooBar",
		"model yaml: yaml/model.yaml:1: ",
		"model empty: there is no version",
		`model zero: rename the folder "01"`,
		"model 7: 7/model.onnx is a version, and this is the folder of one model: name the folder above it as that of the models",
		"model a b: rename the folder",
		"model none, version 1: read the file",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 7 {
		t.Errorf("%d lines, want 7:\n%v", n, err)
	}

	c := newCatalog(t, inference.Config{FS: fsys, SkipBad: true})
	if all := c.All(); len(all) != 1 || all[0].Name != "good" || !all[0].Default {
		t.Errorf("All = %+v, want good alone", all)
	}
	if got := len(c.Problems()); got != 7 {
		t.Errorf("%d problems, want 7", got)
	}
	want := []inference.Warning{{Model: "good", Version: "1", Text: "odd"}}
	if diff := cmp.Diff(want, c.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAStrayFolderIsToldAndTheVersionsAreServed(t *testing.T) {
	fsys := files("m/1/model.onnx", "one", "m/x/notes.txt", "", "m/2/model.onnx", "two", "only/x/notes.txt", "")
	_, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: new(compiled).compile, Now: time.Now})
	if err == nil || strings.Count(err.Error(), `rename the folder "x"`) != 2 {
		t.Fatalf("the start without SkipBad: %v", err)
	}
	c := newCatalog(t, inference.Config{FS: fsys, SkipBad: true})
	all := c.All()
	if len(all) != 1 || !cmp.Equal(all[0].Versions, []string{"1", "2"}) || len(c.Problems()) != 2 {
		t.Errorf("with SkipBad: %+v, %v", all, c.Problems())
	}
	fsys["m/3/model.onnx"] = &fstest.MapFile{Data: []byte("three")}
	if err := c.Reload(t.Context()); err == nil {
		t.Error("a reload forgets the stray folder")
	}
	if got := c.All()[0].Versions; !cmp.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("after a reload: %v", got)
	}
}

func TestReloadReplacesOnlyWhatChangedAndKeepsWhatWentBad(t *testing.T) {
	engine := new(compiled)
	fsys := files("a/1/model.onnx", "a1", "b/1/model.onnx", "b1", "c/1/model.onnx", "c1", "d/1/model.onnx", "d1")
	c := newCatalog(t, inference.Config{FS: fsys, Compile: engine.compile})
	engine.sources = nil

	fsys["a/2/model.onnx"] = &fstest.MapFile{Data: []byte("a2")}
	fsys["b/1/model.onnx"] = &fstest.MapFile{Data: []byte("bad now")}
	delete(fsys, "c/1/model.onnx")
	fsys["d/1/model.onnx"] = &fstest.MapFile{Data: []byte("d2")}
	err := c.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "model b, version 1: unsupported operators") {
		t.Errorf("Reload = %v, want b named", err)
	}
	if diff := cmp.Diff([]string{"a2", "d2"}, engine.sources); diff != "" {
		t.Errorf("compiled (-want +got):\n%s", diff)
	}
	want := inference.Changes{Added: []string{"a/2"}, Removed: []string{"c/1"}, Replaced: []string{"d/1"}, Kept: []string{"b/1"}}
	if diff := cmp.Diff(want, c.Changes()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	for model, version := range map[string]string{"a": "2", "b": "1"} {
		call, err := c.Open(t.Context(), admin, model, "")
		if err != nil {
			t.Fatal(err)
		}
		if call.Version() != version {
			t.Errorf("%s: version %s, want %s", model, call.Version(), version)
		}
		call.Close()
	}
	if _, err := c.Open(t.Context(), admin, "c", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("c: %v, want not found: its folder has gone", err)
	}
	if c.Generation() != 1 {
		t.Errorf("generation %d, want 1", c.Generation())
	}
}

func TestListAndDescribeShowWhatTheCallerMayUse(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "a", "b/1/model.onnx", "b", "b/2/model.onnx", "b2", "b/model.yaml", forUsers)})
	for want, p := range map[string]*identity.Principal{"a": admin, "b": user} {
		list := c.List(t.Context(), p)
		if len(list) != 1 || list[0].Name != want {
			t.Errorf("List(%s) = %+v, want %s", p.Subject, list, want)
		}
	}
	info, err := c.Describe(t.Context(), user, "b", "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2"}, info.Versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if _, err := c.Describe(t.Context(), user, "a", ""); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("Describe = %v, want forbidden", err)
	}
	if _, err := c.Describe(t.Context(), user, "x", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Describe = %v, want not found", err)
	}
}

// asValues compares what is compared by ==.
var asValues = cmpopts.EquateComparable(audit.Rule{}, netip.Addr{})

type recorder struct {
	records []audit.Record
	err     error
}

func (r *recorder) Record(_ context.Context, rec *audit.Record) error {
	r.records = append(r.records, *rec)
	return r.err
}

// sum is the SHA-256 of a model file, as records have it.
func sum(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func TestPredictIsRecordedBeforeItIsAnswered(t *testing.T) {
	rec := new(recorder)
	var observed []string
	c := newCatalog(t, inference.Config{
		FS: files("a/3/model.onnx", "a"), Audit: rec,
		Observer: func(model, version string) inference.Observe {
			if model != "a" || version != "3" {
				t.Errorf("observer of %s/%s", model, version)
			}
			return func(tenant string, rows int, _ time.Duration, _ error) {
				observed = append(observed, fmt.Sprint(tenant, " ", rows))
			}
		},
	})
	call, err := c.Open(t.Context(), admin, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	if err := call.Schema().Decode(t.Context(), call.Batch(), []byte(`[{"x":1.5},{"x":-2}]`), 10); err != nil {
		t.Fatal(err)
	}
	outputs, err := call.Predict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{3, -4}, tensor.Of[float32](outputs[0])); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	got := rec.records[0]
	if got.Time.IsZero() {
		t.Error("the record has no time")
	}
	got.Time, got.Latency = time.Time{}, 0
	want := audit.Record{Event: "predict", Actor: "admin", Tenant: "default", Method: "bearer", Model: "a", Version: "3", Digest: sum("a"), Decision: audit.Allow, Rule: audit.RuleOf(0), Rows: 2, Outcome: "ok"}
	if diff := cmp.Diff(want, got, asValues); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"default 2"}, observed); diff != "" {
		t.Errorf("observed tenants and rows (-want +got):\n%s", diff)
	}

	rec.err = fault.New(fault.Unavailable, "the audit log is full")
	if outputs, err := call.Predict(t.Context()); outputs != nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Predict = %v, %v; want nothing, unavailable", outputs, err)
	}
	rec.err = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := call.Predict(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Predict = %v, want canceled", err)
	}
	if got := rec.records[2].Outcome; got != "canceled" {
		t.Errorf("outcome %q, want canceled", got)
	}
}

func TestAWarmCallAllocatesNothing(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "a")})
	body := []byte(`{"x":1}`)
	predict := func() {
		call, err := c.Open(t.Context(), admin, "", "")
		if err != nil {
			t.Fatal(err)
		}
		tensor.Reset[float32](call.Batch().Inputs[0], 1, 1)[0] = 1
		if _, err := call.Predict(t.Context()); err != nil {
			t.Fatal(err)
		}
		call.Close()
	}
	call, err := c.Open(t.Context(), admin, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Schema().Decode(t.Context(), call.Batch(), body, 1); err != nil {
		t.Fatal(err)
	}
	call.Close()
	if allocs := testing.AllocsPerRun(200, predict); allocs >= 1 {
		t.Errorf("%v allocations for one call, want 0", allocs)
	}
}

func TestAFileAboveItsBoundIsRefused(t *testing.T) {
	_, err := inference.New(t.Context(), inference.Config{FS: files("a/1/model.onnx", "12345"), Compile: new(compiled).compile, MaxBytes: 4, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "larger than 4 bytes") {
		t.Errorf("New = %v, want the bound named", err)
	}
}

func TestAnEngineThatPanicsCostsOneVersion(t *testing.T) {
	fsys := files("a/1/model.onnx", "a1", "b/1/model.onnx", "b1")
	c := newCatalog(t, inference.Config{FS: fsys})
	fsys["a/2/model.onnx"] = &fstest.MapFile{Data: []byte("breaks")}
	fsys["b/2/model.onnx"] = &fstest.MapFile{Data: []byte("b2")}
	err := c.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "model a, version 2: the engine failed by a defect of its own") {
		t.Errorf("Reload = %v", err)
	}
	served := map[string][]string{}
	for _, m := range c.All() {
		served[m.Name] = m.Versions
	}
	if diff := cmp.Diff(map[string][]string{"a": {"1"}, "b": {"1", "2"}}, served); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

func TestAPipeInThePlaceOfAModelDoesNotStopTheOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, files("a/1/model.onnx", "a1", "b/1/model.onnx", "b1")); err != nil {
		t.Fatal(err)
	}
	c := newCatalog(t, inference.Config{FS: os.DirFS(dir)})
	for _, name := range []string{"a/1/model.onnx", "b/1/model.yaml"} {
		pipe := filepath.Join(dir, filepath.FromSlash(name))
		_ = os.Remove(pipe) // the manifest is not there
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := c.Reload(t.Context())
	for _, want := range []string{"a/1/model.onnx: not a regular file", "b/1/model.yaml: not a regular file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Reload = %v, want %q", err, want)
		}
	}
	if got := len(c.All()); got != 2 {
		t.Errorf("%d models are served, want both as they were", got)
	}
}

// What an owner has written for naught may be who is denied.
func TestAFileWhoseNameIsAlmostRightIsRefusedNotPassedOver(t *testing.T) {
	for name, want := range map[string]string{
		"a/model.yml":         "a/model.yml is not read: rename it to model.yaml",
		"a/Model.yaml":        "a/Model.yaml is not read: rename it to model.yaml",
		"a/1/MODEL.YML":       "a/1/MODEL.YML is not read: rename it to model.yaml",
		"a/access_test.yml":   "a/access_test.yml is not read: rename it to access_test.yaml",
		"a/model.yaml.backup": "",
		"a/notes.yml":         "",
	} {
		c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "a1", name, forUsers, "b/1/model.onnx", "b1"), SkipBad: true})
		var told []string
		for _, p := range c.Problems() {
			told = append(told, p.Error())
		}
		if all := strings.Join(told, "\n"); (all == "") != (want == "") || !strings.Contains(all, want) {
			t.Errorf("%s: %q, want %q", name, all, want)
		}
	}
}
