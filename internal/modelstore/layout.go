package modelstore

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// The layout: NAME/VERSION/model.onnx and NAME/model.yaml, and the same below
// @TENANT for every tenant but the default one.
const (
	// TenantMark begins the name of a folder that holds the models of a tenant.
	TenantMark = "@"
	// ModelFile is the file of a version.
	ModelFile = "model.onnx"
	// ManifestFile is what the owner says about a model, beside its versions or
	// beside the file of one.
	ManifestFile = "model.yaml"
	// AccessTestFile is what the owner expects of the rules in a manifest, beside it.
	AccessTestFile = "access_test.yaml"
)

// Bounds on files, in bytes.
const (
	// DefaultMaxBytes is the bound on one model file: 512 MiB.
	DefaultMaxBytes = 512 << 20
	// MaxManifest is the bound on a manifest, and on an access test: 1 MiB.
	MaxManifest = 1 << 20
)

// MaxVersion is the largest number of a version that is added: 2^53-1, which every
// reader of JSON has exactly. Folders may have larger ones.
const MaxVersion = 1<<53 - 1

// Misnamed returns an error where a folder holds, in place of a file that it does not
// hold, one whose name differs from that in case alone, or ends in .yml: it would be
// passed over without a word. What cannot be listed is no matter of names.
func Misnamed(fsys fs.FS, file string) error {
	entries, err := fs.ReadDir(fsys, path.Dir(file))
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	want := path.Base(file)
	short := strings.TrimSuffix(want, ".yaml") + ".yml"
	for _, e := range entries {
		if name := e.Name(); name != want && (strings.EqualFold(name, want) || strings.EqualFold(name, short)) {
			return fault.Newf(fault.Content, "%s is not read: rename it to %s", path.Join(path.Dir(file), name), want)
		}
	}
	return nil
}

// ParseVersion reads the number of a version: a whole number from 1, in the one
// form without leading zeros.
func ParseVersion(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// Model is a model by its names. One without a tenant is nobody's: no folder is
// the default tenant's by omission.
type Model struct{ Tenant, Name string }

// ParseFolder reads the folder of a model, which tells it from models of other
// tenants with the same name. The name is empty for the folder of all models of a
// tenant.
func ParseFolder(folder string) Model {
	rest, marked := strings.CutPrefix(folder, TenantMark)
	if !marked {
		return Model{Tenant: identity.DefaultTenant, Name: folder}
	}
	tenant, name, _ := strings.Cut(rest, "/")
	return Model{Tenant: tenant, Name: name}
}

// Folder is the inverse of ParseFolder: the model's folder, below that of the
// models.
func (m Model) Folder() string {
	if m.Tenant == identity.DefaultTenant {
		return m.Name
	}
	return TenantMark + m.Tenant + "/" + m.Name
}

func (m Model) check() error {
	if !identity.IsModel(m.Name) {
		return fault.New(fault.Content, "a model's name is up to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit")
	}
	if !identity.IsTenant(m.Tenant) {
		return fmt.Errorf("modelstore: %q cannot be the name of a tenant's folder", m.Tenant)
	}
	return nil
}
