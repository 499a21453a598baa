package modelstore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// counted counts what is read of a file.
type counted struct {
	*strings.Reader

	n int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}

// A tenant fills the disk with what is served no more than with what is.
func TestATenantsFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	s, err := modelstore.Open(modelstore.Config{Dir: dir, MaxBytes: 1000, Tenant: modelstore.Bounds{MaxBytes: 2500}})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	acme, other := modelstore.Model{Tenant: "acme", Name: "m"}, modelstore.Model{Tenant: "acme", Name: "other"}
	text := strings.Repeat("x", 1000)
	for version, m := range []modelstore.Model{acme, other} {
		must(t, pushText(s, m, fmt.Sprint(version+1), text))
	}
	for name, file := range map[string]string{"more than is left": text[:501], "more than a file may have": text + text} {
		src := &counted{Reader: strings.NewReader(file)}
		err := push(s, acme, "9", src, sha256.Sum256([]byte(file)))
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(fault.As(err).Msg, "MiB of models in files") || src.n > 501 {
			t.Errorf("%s: %v, and %d bytes were read", name, err, src.n)
		}
	}
	must(t, pushText(s, acme, "10", text[:500]))
	src := &counted{Reader: strings.NewReader("x")}
	if err := push(s, acme, "11", src, sha256.Sum256([]byte("x"))); fault.KindOf(err) != fault.Conflict || src.n != 0 {
		t.Errorf("where all is full: %v, and %d bytes were read", err, src.n)
	}
	for _, m := range []modelstore.Model{{Tenant: "globex", Name: "m"}, {Tenant: identity.DefaultTenant, Name: "m"}} {
		must(t, pushText(s, m, "1", text))
	}
	for version := range 5 {
		must(t, pushText(s, modelstore.Model{Tenant: identity.DefaultTenant, Name: "m"}, fmt.Sprint(version+2), text)) // of default, without a bound
	}
	must(t, os.RemoveAll(filepath.Join(dir, "@acme", "other")))
	must(t, pushText(s, acme, "11", text))
}

func TestChangesAtOnceFindTheRoomOfATenantOnce(t *testing.T) {
	s, err := modelstore.Open(modelstore.Config{Dir: t.TempDir(), Tenant: modelstore.Bounds{MaxBytes: 1500}})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	text := strings.Repeat("x", 1000)
	var results []error
	var changes []*modelstore.Change
	for _, name := range []string{"a", "b"} {
		c, err := s.Begin(modelstore.Model{Tenant: "acme", Name: name})
		must(t, err)
		must(t, c.AddVersion("1", strings.NewReader(text), sha256.Sum256([]byte(text))))
		changes = append(changes, c)
	}
	for _, c := range changes {
		results = append(results, c.Commit())
		must(t, c.Discard())
	}
	if results[0] != nil || fault.KindOf(results[1]) != fault.Conflict {
		t.Errorf("Commit = %v", results)
	}
}

func TestATenantsModelsAndVersionsAreBoundedInNumber(t *testing.T) {
	for name, tc := range map[string]struct {
		models, versions int // that there are
		fresh, more      error
		want             string
	}{
		"models":   {5, 0, errFull, nil, "5 models"},
		"versions": {1, 20, errFull, errFull, "20 versions"},
		"neither":  {4, 18, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := modelstore.Open(modelstore.Config{Dir: dir, Tenant: modelstore.Bounds{MaxModels: 5, MaxVersions: 20}})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			for i := range tc.models {
				must(t, os.MkdirAll(filepath.Join(dir, "@acme", fmt.Sprint("m", i)), 0o755))
			}
			for i := range tc.versions {
				must(t, os.Mkdir(filepath.Join(dir, "@acme", "m0", fmt.Sprint(i+1)), 0o755))
			}
			for _, push := range []struct {
				model string
				want  error
			}{{"m0", tc.more}, {"new", tc.fresh}} {
				err := pushText(s, modelstore.Model{Tenant: "acme", Name: push.model}, "99", "text")
				refused := fault.KindOf(err) == fault.Conflict && strings.Contains(fault.As(err).Msg, tc.want)
				if push.want == nil && err != nil || push.want != nil && (err == nil || !refused) {
					t.Errorf("a version of %s: %v", push.model, err)
				}
			}
			must(t, pushText(s, modelstore.Model{Tenant: "globex", Name: "m"}, "1", "text"))
		})
	}
}

// errFull stands for a push that is refused.
var errFull = errors.New("full")
