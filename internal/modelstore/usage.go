package modelstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// How many models a tenant may have by default, and versions of all of them: every
// look at the folder lists them.
const (
	defaultModels   = 1_000
	defaultVersions = 10_000
)

// Bounds are those of what one tenant has in the folder, but for the default one.
// Nothing is added beyond them.
type Bounds struct {
	// MaxBytes bounds all its files; 0 is no bound.
	MaxBytes int64
	// MaxModels and MaxVersions bound how many there are, the versions of all models
	// together; 0 means 1,000 and 10,000.
	MaxModels, MaxVersions int
}

func (b *Bounds) complete() {
	b.MaxBytes = cmp.Or(b.MaxBytes, math.MaxInt64)
	b.MaxModels, b.MaxVersions = cmp.Or(b.MaxModels, defaultModels), cmp.Or(b.MaxVersions, defaultVersions)
}

// usage is what the folder of a tenant holds.
type usage struct {
	models, versions int
	bytes            int64
}

// usage counts what the folder of a tenant holds, and follows no link.
func (f *folder) usage(tenant string) (usage, error) {
	var u usage
	top := TenantMark + tenant
	err := fs.WalkDir(f.root.FS(), top, func(path string, d fs.DirEntry, err error) error {
		switch depth := strings.Count(path, "/"); {
		case err != nil && (path != top || errors.Is(err, fs.ErrNotExist)):
			return nil // it has just gone, or is nothing that was pushed
		case err != nil:
			return err
		case d.IsDir() && depth == 1:
			u.models++
		case d.IsDir() && depth == 2:
			u.versions++
		case d.Type().IsRegular():
			if info, err := d.Info(); err == nil {
				u.bytes += info.Size()
			}
		}
		return nil
	})
	return u, classify(err)
}

// room returns how many bytes the file of a new version may have, MaxBytes at most.
// The fault is Conflict where the tenant can have no further version.
func (c *Change) room() (int64, error) {
	if c.model.Tenant == identity.DefaultTenant {
		return c.store.MaxBytes, nil
	}
	u, err := c.store.usage(c.model.Tenant)
	switch {
	case err != nil:
		return 0, err
	case c.fresh && u.models >= c.store.Tenant.MaxModels:
		return 0, errFull(fmt.Sprintf("%d models", c.store.Tenant.MaxModels))
	case u.versions >= c.store.Tenant.MaxVersions:
		return 0, errFull(fmt.Sprintf("%d versions of models", c.store.Tenant.MaxVersions))
	case u.bytes >= c.store.Tenant.MaxBytes:
		return 0, c.store.errNoBytes()
	}
	return min(c.store.MaxBytes, c.store.Tenant.MaxBytes-u.bytes), nil
}

// errNoBytes is for a version for which a tenant has no space left.
func (f *folder) errNoBytes() error {
	return errFull(fmt.Sprintf("%.1f MiB of models in files, in all versions", float64(f.Tenant.MaxBytes)/(1<<20)))
}

func errFull(most string) error {
	return fault.Newf(fault.Conflict, "a tenant may have %s here, and this would be more: remove versions that are no longer needed, or ask who runs the server to allow more", most)
}
