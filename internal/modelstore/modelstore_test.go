package modelstore_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *modelstore.Store {
	t.Helper()
	s, err := modelstore.Open(modelstore.Config{Dir: dir, MaxBytes: 1 << 10})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// push adds a version as a caller does.
func push(s *modelstore.Store, m modelstore.Model, version string, src io.Reader, digest [sha256.Size]byte) error {
	c, err := s.Begin(m)
	if err != nil {
		return err
	}
	if err := c.AddVersion(version, src, digest); err != nil {
		return errors.Join(err, c.Discard())
	}
	return errors.Join(c.Commit(), c.Discard())
}

func pushText(s *modelstore.Store, m modelstore.Model, version, text string) error {
	return push(s, m, version, strings.NewReader(text), sha256.Sum256([]byte(text)))
}

// ofDefault is a model of the default tenant.
func ofDefault(name string) modelstore.Model {
	return modelstore.Model{Tenant: identity.DefaultTenant, Name: name}
}

// tree returns every file below dir, with its content, and every link.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if !d.Type().IsRegular() {
			all[name] = d.Type().String()
			return nil
		}
		data, err := os.ReadFile(path)
		all[name] = string(data)
		return err
	}))
	return all
}

func TestAVersionIsStoredUnderItsNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, pushText(s, ofDefault("iris"), "1", "one"))
	must(t, pushText(s, ofDefault("iris"), "2", "two"))
	must(t, pushText(s, modelstore.Model{Tenant: "acme", Name: "iris"}, "7", "seven"))
	want := map[string]string{"iris/1/model.onnx": "one", "iris/2/model.onnx": "two", "@acme/iris/7/model.onnx": "seven"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsRefusedLeavesNothingBehind(t *testing.T) {
	iris := ofDefault("iris")
	right := sha256.Sum256([]byte("text"))
	for name, tc := range map[string]struct {
		model   modelstore.Model
		version string
		src     io.Reader
		want    fault.Kind
	}{
		"a version that exists":      {iris, "1", strings.NewReader("text"), fault.Conflict},
		"a file instead of it":       {iris, "3", strings.NewReader("text"), fault.Conflict},
		"a link instead of it":       {iris, "4", strings.NewReader("text"), fault.Conflict},
		"a pipe instead of it":       {iris, "5", strings.NewReader("text"), fault.Conflict},
		"a link instead of a model":  {ofDefault("linked"), "9", strings.NewReader("text"), fault.Conflict},
		"a link instead of tenant":   {modelstore.Model{Tenant: "linked", Name: "iris"}, "9", strings.NewReader("text"), fault.Conflict},
		"a file instead of a model":  {ofDefault("file"), "9", strings.NewReader("text"), fault.Conflict},
		"another digest":             {iris, "9", strings.NewReader("Text"), fault.BadRequest},
		"a file cut off":             {iris, "9", strings.NewReader("tex"), fault.BadRequest},
		"one byte too many":          {iris, "9", bytes.NewReader(make([]byte, 1<<10+1)), fault.TooLarge},
		"a source that fails":        {iris, "9", io.MultiReader(strings.NewReader("text"), iotest.ErrReader(fault.New(fault.Canceled, ""))), fault.Canceled},
		"version 0":                  {iris, "0", strings.NewReader("text"), fault.Content},
		"a leading zero":             {iris, "01", strings.NewReader("text"), fault.Content},
		"a sign":                     {iris, "+1", strings.NewReader("text"), fault.Content},
		"a version that is a path":   {iris, "../9", strings.NewReader("text"), fault.Content},
		"an absolute version":        {iris, "/9", strings.NewReader("text"), fault.Content},
		"a version beyond 63 bits":   {iris, "9223372036854775808", strings.NewReader("text"), fault.Content},
		"the folder above":           {ofDefault(".."), "9", strings.NewReader("text"), fault.Content},
		"a hidden model":             {ofDefault(".iris"), "9", strings.NewReader("text"), fault.Content},
		"a model that is a path":     {ofDefault("a/b"), "9", strings.NewReader("text"), fault.Content},
		"a model of a tenant":        {ofDefault("@acme"), "9", strings.NewReader("text"), fault.Content},
		"a name with a null":         {ofDefault("a\x00"), "9", strings.NewReader("text"), fault.Content},
		"a tenant that is not named": {modelstore.Model{Name: "iris"}, "9", strings.NewReader("text"), fault.Internal},
		"a tenant that is a path":    {modelstore.Model{Tenant: "../x", Name: "iris"}, "9", strings.NewReader("text"), fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			s := open(t, dir)
			must(t, pushText(s, iris, "1", "one"))
			for _, err := range []error{
				os.WriteFile(filepath.Join(dir, "iris", "3"), nil, 0o600),
				os.WriteFile(filepath.Join(dir, "file"), nil, 0o600),
				os.Symlink(outside, filepath.Join(dir, "iris", "4")),
				syscall.Mkfifo(filepath.Join(dir, "iris", "5"), 0o600),
				os.Symlink(outside, filepath.Join(dir, "linked")),
				os.Symlink(".", filepath.Join(dir, "@linked")),
			} {
				must(t, err)
			}
			before := tree(t, dir)
			if err := push(s, tc.model, tc.version, tc.src, right); fault.KindOf(err) != tc.want || err == nil {
				t.Errorf("%v, want the kind %s", err, tc.want)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]string{}, tree(t, outside)); diff != "" {
				t.Error(diff)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}

func TestAManifestIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	iris := ofDefault("iris")
	must(t, pushText(s, iris, "1", "one"))
	for _, text := range []string{"name: a", "name: b"} {
		c, err := s.Begin(iris)
		must(t, err)
		must(t, c.SetManifest(strings.NewReader(text)))
		for _, name := range []string{"../iris", "/iris", "iris/../iris", ""} {
			if _, err := fs.Stat(c.FS(), name); err == nil {
				t.Errorf("%q was found", name)
			}
		}
		if data, err := fs.ReadFile(c.FS(), "iris/model.yaml"); err != nil || string(data) != text {
			t.Errorf("as it will be: %q, %v", data, err)
		}
		if now := tree(t, dir)["iris/model.yaml"]; now == text {
			t.Error("the manifest was in its place before the commit")
		}
		must(t, c.Commit())
		must(t, c.Discard())
		want := map[string]string{"iris/1/model.onnx": "one", "iris/model.yaml": text}
		if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAVersionWhoseManifestCannotBeReplacedIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, pushText(s, ofDefault("iris"), "1", "one"))
	inTheWay := filepath.Join(dir, "iris", "model.yaml")
	must(t, os.Mkdir(inTheWay, 0o750))
	change := func() error {
		c, err := s.Begin(ofDefault("iris"))
		must(t, err)
		must(t, c.AddVersion("2", strings.NewReader("two"), sha256.Sum256([]byte("two"))))
		must(t, c.SetManifest(strings.NewReader("name: a")))
		return errors.Join(c.Commit(), c.Discard())
	}
	if err := change(); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with a folder in the place of the manifest: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"iris/1/model.onnx": "one"}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	must(t, os.Remove(inTheWay))
	must(t, change())
	want := map[string]string{"iris/1/model.onnx": "one", "iris/2/model.onnx": "two", "iris/model.yaml": "name: a"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestANewModelAppearsWithItsManifestAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c, err := s.Begin(modelstore.Model{Tenant: "acme", Name: "new"})
	must(t, err)
	must(t, c.AddVersion("3", strings.NewReader("x"), sha256.Sum256([]byte("x"))))
	must(t, c.SetManifest(strings.NewReader("access: {roles: [user]}")))
	if !c.New() {
		t.Error("the model is said to exist")
	}
	entries, err := fs.ReadDir(c.FS(), "@acme/new")
	if err != nil || len(entries) != 2 || entries[0].Name() != "3" {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "@acme")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the commit: %v", err)
	}
	must(t, c.Commit())
	must(t, c.Discard())
	want := map[string]string{"@acme/new/3/model.onnx": "x", "@acme/new/model.yaml": "access: {roles: [user]}"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestOfManyPushesOfOneVersionOneIsKept(t *testing.T) {
	dir := t.TempDir()
	stores := []*modelstore.Store{open(t, dir), open(t, dir)}
	const pushes = 16
	errs := make([]error, pushes)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = pushText(stores[i%2], ofDefault("iris"), "1", strings.Repeat("x", i+1))
		})
	}
	wg.Wait()
	kept := -1
	for i, err := range errs {
		switch {
		case err == nil && kept >= 0:
			t.Errorf("pushes %d and %d were both acknowledged", kept, i)
		case err == nil:
			kept = i
		case fault.KindOf(err) != fault.Conflict:
			t.Error(err)
		}
	}
	want := map[string]string{"iris/1/model.onnx": strings.Repeat("x", kept+1)}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyLeftOversAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	living, err := s.Begin(ofDefault("iris"))
	must(t, err)
	for _, left := range []string{".onnxgate-push-dead", ".onnxgate-push-fresh", ".onnxgate-push-old", ".other", "iris"} {
		must(t, os.MkdirAll(filepath.Join(dir, left, "model", "1"), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(dir, ".onnxgate-push-dead", "lock"), nil, 0o600))
	long := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(dir, ".onnxgate-push-old"), long, long))
	open(t, dir)
	for name, want := range map[string]bool{"dead": false, "old": false, "fresh": true} {
		if _, err := os.Stat(filepath.Join(dir, ".onnxgate-push-"+name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{".other", "iris"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	must(t, living.SetManifest(strings.NewReader("x"))) // it goes on
	must(t, living.Discard())
}

func TestAReadOnlyFolderIsAConflictThatSaysSo(t *testing.T) {
	if os.Geteuid() == 0 {
		if _, err := os.Stat("/proc/self"); err != nil {
			t.Skip("root may write everywhere, and there is no file system here that nobody may write to")
		}
		s := open(t, "/proc/self")
		if _, err := s.Begin(ofDefault("iris")); err == nil {
			t.Error("/proc was written to")
		}
		return
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	s := open(t, dir)
	if _, err := s.Begin(ofDefault("iris")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
}

// A link that stands for the folder may be swapped, and the folder replaced, while the
// server runs: what is written goes where the models are read.
func TestAFolderThatIsReplacedIsWrittenTo(t *testing.T) {
	top := t.TempDir()
	link, first, second := filepath.Join(top, "current"), filepath.Join(top, "1"), filepath.Join(top, "2")
	for _, dir := range []string{first, second} {
		must(t, os.MkdirAll(filepath.Join(dir, "iris", "1"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "iris", "1", "model.onnx"), []byte(dir), 0o600))
	}
	must(t, os.Symlink("1", link))
	s := open(t, link)
	under, err := s.Begin(ofDefault("iris")) // is where it was begun
	must(t, err)
	must(t, os.Symlink("2", link+".new"))
	must(t, os.Rename(link+".new", link))
	must(t, pushText(s, ofDefault("iris"), "2", "two"))
	c, err := s.Begin(ofDefault("other"))
	must(t, err)
	must(t, c.AddVersion("1", strings.NewReader("o"), sha256.Sum256([]byte("o"))))
	if _, err := fs.Stat(c.FS(), "other/1/model.onnx"); err != nil {
		t.Errorf("what is tried: %v", err)
	}
	must(t, c.Discard())
	must(t, s.Remove(ofDefault("iris"), "1"))
	must(t, under.Discard())
	if diff := cmp.Diff(map[string]string{"iris/1/model.onnx": first}, tree(t, first)); diff != "" {
		t.Errorf("the former folder: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{"iris/2/model.onnx": "two"}, tree(t, second)); diff != "" {
		t.Errorf("the present folder: %s", diff)
	}
	must(t, os.Remove(link))
	if err := pushText(s, ofDefault("iris"), "3", "three"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("without a folder: %v", err)
	}
}
