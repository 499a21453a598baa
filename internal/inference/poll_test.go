package inference_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
)

// opens counts what is read.
type opens struct {
	fs.FS
	read []string
}

func (o *opens) Open(name string) (fs.File, error) {
	if strings.Contains(name, ".") && name != "." {
		o.read = append(o.read, name)
	}
	return o.FS.Open(name)
}

func (o *opens) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(o.FS, name) }
func (o *opens) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(o.FS, name) }

// onDisk writes files that were last changed long before the clock's time.
func onDisk(tb testing.TB, pairs ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.CopyFS(dir, files(pairs...)); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAReloadReadsOnlyWhatLooksChanged(t *testing.T) {
	dir := onDisk(t, "a/1/model.onnx", "a1", "a/model.yaml", forUsers, "b/1/model.onnx", "b1", "b/2/model.onnx", "bad")
	fsys, engine := &opens{FS: os.DirFS(dir)}, new(compiled)
	ahead := time.Minute // so that the times of what is written now are long past
	c, err := inference.New(t.Context(), inference.Config{
		FS: fsys, Compile: engine.compile, SkipBad: true, Now: func() time.Time { return time.Now().Add(ahead) },
	})
	if err != nil {
		t.Fatal(err)
	}
	reload := func(folders ...string) []string {
		t.Helper()
		fsys.read, engine.sources = nil, nil
		if err := c.Reload(t.Context(), folders...); fault.KindOf(err) != fault.Content {
			t.Errorf("Reload = %v, want that b/2 is bad, each time", err)
		}
		return fsys.read
	}
	generation := c.Generation()
	if read := reload(); len(read) > 0 || c.Generation() != generation {
		t.Errorf("what has not changed was read: %v; generation %d after %d", read, c.Generation(), generation)
	}
	write(t, dir, "a/1/model.onnx", "A1")
	if read := reload("b"); len(read) > 0 {
		t.Errorf("what was not asked for was read: %v", read)
	}
	ahead = 0 // what was written just now may be written again within a step of the clock
	if read := reload("a"); len(read) == 0 || len(engine.sources) != 1 || c.Generation() != generation+1 {
		t.Errorf("a changed file was not read (%v) and compiled (%v) once; generation %d", read, engine.sources, c.Generation())
	}
	if read := reload("a"); len(read) == 0 || len(engine.sources) != 0 || c.Generation() != generation+1 {
		t.Errorf("a file of this moment was not read again (%v), or was compiled (%v)", read, engine.sources)
	}
	ahead = time.Minute
	reload("a")
	if read := reload(); len(read) > 0 {
		t.Errorf("what has settled was read: %v", read)
	}
	if os.Geteuid() == 0 {
		return // who may read every file cannot be kept from one
	}
	if err := os.Chmod(filepath.Join(dir, "a/1/model.onnx"), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if read := reload(); len(read) == 0 {
			t.Error("what could not be read is not tried again")
		}
	}
}

func TestAVolumeThatSwapsALinkIsAChange(t *testing.T) {
	dir := onDisk(t, "..one/model.onnx", "one", "..two/model.onnx", "two")
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("..one")
	if err := os.MkdirAll(filepath.Join(dir, "m", "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../..data/model.onnx", filepath.Join(dir, "m", "1", "model.onnx")); err != nil {
		t.Fatal(err)
	}
	engine := new(compiled)
	c, err := inference.New(t.Context(), inference.Config{FS: os.DirFS(dir), Compile: engine.compile, Now: func() time.Time { return time.Now().Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	link("..two")
	if err := c.Reload(t.Context()); err != nil || strings.Join(engine.sources, " ") != "one two" {
		t.Errorf("compiled %v (%v), want one and then two", engine.sources, err)
	}
}

func TestATenantsFolderIsReloadedAlone(t *testing.T) {
	exist := []string{"acme"}
	dir := onDisk(t, "a/1/model.onnx", "m", "@acme/b/1/model.onnx", "m", "@acme/c/1/model.onnx", "m", "@globex/d/1/model.onnx", "m")
	c, err := inference.New(t.Context(), inference.Config{
		FS: os.DirFS(dir), Compile: new(compiled).compile, SkipBad: true, Now: time.Now,
		TenantExists: func(ctx context.Context, name string) (bool, error) { return tenants(exist...)(ctx, name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		var all []string
		for _, m := range c.All() {
			all = append(all, m.Label())
		}
		return strings.Join(all, " ")
	}
	exist = append(exist, "globex")
	steps := []struct {
		change string // a folder that goes
		reload string
		want   string
	}{
		{"", "@globex", "a @acme/b @acme/c @globex/d"},
		{"@acme/c", "@acme/b", "a @acme/b @acme/c @globex/d"},
		{"", "@acme/c", "a @acme/b @globex/d"},
		{"@globex", "@globex", "a @acme/b"},
		{"a", "@acme", "a @acme/b"},
		{"", "a", "@acme/b"},
		{"", "unheard-of", "@acme/b"},
		{"", "../etc", "@acme/b"},
	}
	for _, step := range steps {
		if step.change != "" {
			if err := os.RemoveAll(filepath.Join(dir, step.change)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Reload(t.Context(), step.reload); err != nil {
			t.Error(err)
		}
		if got := served(); got != step.want {
			t.Errorf("without %q, after a reload of %s: %s, want %s", step.change, step.reload, got, step.want)
		}
	}
}

// BenchmarkReload measures a look at 1,000 models on disk of which none has
// changed.
func BenchmarkReload(b *testing.B) {
	var pairs []string
	for i := range 1000 {
		pairs = append(pairs, fmt.Sprintf("m%d/1/model.onnx", i), "m", fmt.Sprintf("m%d/model.yaml", i), forUsers)
	}
	c, err := inference.New(b.Context(), inference.Config{
		FS: os.DirFS(onDisk(b, pairs...)), Compile: new(compiled).compile, Now: func() time.Time { return time.Now().Add(time.Minute) },
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
