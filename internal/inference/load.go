package inference

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// LoadError says why a model, or one version of it, cannot be served.
type LoadError struct {
	// Model is the model's folder, or that of all models of a tenant.
	Model string
	// Version is empty when the fault concerns the whole model.
	Version string
	Err     error
}

// Error names the model and the reason.
func (e LoadError) Error() string {
	if e.Version == "" {
		return fmt.Sprintf("model %s: %v", e.Model, e.Err)
	}
	return fmt.Sprintf("model %s, version %s: %v", e.Model, e.Version, e.Err)
}

// Unwrap returns the reason.
func (e LoadError) Unwrap() error { return e.Err }

// Warning is something odd that did not keep a version from being served.
type Warning struct {
	Model, Version, Text string
}

// loader reads a catalog's folders, taking over from the snapshot before what
// has not changed.
type loader struct {
	cfg     *Config
	before  *snapshot
	rules   bool // read the rules alone
	anew    bool // also what was unloaded, or looks as it did
	memory  *memory
	pins    map[string]Pin    // by label
	entries map[string]*entry // by label
	outside []LoadError       // of folders that are no model's
	heap    heap
	warmth  warmth
}

func newLoader(cfg *Config, before *snapshot) *loader {
	return &loader{cfg: cfg, before: before, memory: newMemory(cfg, before), entries: map[string]*entry{}, heap: newHeap(), warmth: warmth{byTenant: map[string]time.Duration{}}}
}

// newLoader returns a loader that knows what was rolled back. c.reload is held.
func (c *Catalog) newLoader(before *snapshot) *loader {
	l := newLoader(&c.cfg, before)
	l.pins = c.pins
	return l
}

// now is the time; long ago for a loader without a clock, which believes no
// time of a file.
func (l *loader) now() time.Time {
	if l.cfg.Now == nil {
		return time.Time{}
	}
	return l.cfg.Now()
}

// load looks at everything that the file system holds now. Its error says only
// that the top folder cannot be read; a model that cannot be served is a
// problem.
func (l *loader) load(ctx context.Context) error {
	folders, err := l.folders(".")
	if err != nil {
		return fmt.Errorf("read the models folder: %w", err)
	}
	l.forget(folders)
	flat := l.isFlat()
	if flat {
		l.add(l.flatPlace())
	}
	for _, folder := range defaultFirst(folders) {
		tenant, marked := strings.CutPrefix(folder, modelstore.TenantMark)
		switch {
		case marked:
			l.loadTenant(ctx, tenant)
		case !flat:
			l.add(placeOf(identity.DefaultTenant, folder))
		case l.looksLikeModel(folder):
			l.misplaced(folder, fmt.Errorf("%s at the top makes the whole models folder one model: remove it, or this folder", modelstore.ModelFile))
		}
	}
	return nil
}

// defaultFirst orders the folders at the top so that what there is no room for in
// memory is never the default tenant's while another's model has some.
func defaultFirst(folders []string) []string {
	own, others := []string{}, []string{}
	for _, folder := range folders {
		if strings.HasPrefix(folder, modelstore.TenantMark) {
			others = append(others, folder)
		} else {
			own = append(own, folder)
		}
	}
	return append(own, others...)
}

// forget no longer counts the memory of models whose folders at the top have gone.
func (l *loader) forget(folders []string) {
	l.vanished(func(e *entry) bool {
		top, _, _ := strings.Cut(e.place.label, "/")
		return !slices.Contains(folders, top) && !e.place.flat()
	})
}

// vanished no longer counts the memory of models whose folders have gone.
func (l *loader) vanished(gone func(*entry) bool) {
	if l.before == nil {
		return
	}
	for _, e := range l.before.entries {
		if gone(e) {
			l.memory.release(e.model.served()...)
		}
	}
}

// reload looks at some folders: MODEL, @TENANT or @TENANT/MODEL. The others are
// as they were.
func (l *loader) reload(ctx context.Context, folders []string) {
	maps.Copy(l.entries, l.before.entries)
	l.outside = slices.Clone(l.before.outside)
	for _, folder := range folders {
		m := modelstore.ParseFolder(folder)
		if m.Name == "" {
			l.drop(func(e *entry) bool { return e.place.tenant == m.Tenant })
			l.outside = slices.DeleteFunc(l.outside, func(p LoadError) bool { return p.Model == folder })
			if isDir(l.cfg.FS, folder) {
				l.loadTenant(ctx, m.Tenant)
			}
			continue
		}
		l.drop(func(e *entry) bool { return e.place.label == folder })
		p := placeOf(m.Tenant, m.Name)
		if flat := l.flatPlace(); l.isFlat() && p.label == flat.label {
			p = flat
		}
		if isDir(l.cfg.FS, p.folder) && (m.Tenant == identity.DefaultTenant || l.exists(ctx, m.Tenant)) {
			l.add(p)
		} else {
			l.vanished(func(e *entry) bool { return e.place.label == folder })
		}
	}
}

func (l *loader) exists(ctx context.Context, tenant string) bool {
	unknown, err := l.mayHave(ctx, tenant)
	return err == nil || unknown
}

// mayHave says why a tenant may not have models here, and whether that is because
// it could not be asked for.
func (l *loader) mayHave(ctx context.Context, tenant string) (unknown bool, err error) {
	if tenant == identity.DefaultTenant {
		return false, fmt.Errorf("move what is in it one folder up: the models of the tenant %s are beside this folder", tenant)
	}
	exists := false
	if l.cfg.TenantExists != nil {
		exists, err = l.cfg.TenantExists(ctx, tenant)
	}
	switch {
	case err != nil:
		return true, fmt.Errorf("ask whether there is a tenant %s: %w", tenant, err)
	case !exists:
		return false, fmt.Errorf("there is no tenant %[1]q: make it with `onnxgate tenant create %[1]s`, or rename the folder", tenant)
	}
	return false, nil
}

// drop forgets entries, without releasing what they hold: most come back.
func (l *loader) drop(which func(*entry) bool) {
	for label, e := range l.entries {
		if which(e) {
			delete(l.entries, label)
		}
	}
}

func (l *loader) add(p place) { l.entries[p.label] = l.entry(p) }

// misplaced notes a problem of a folder that is no model's.
func (l *loader) misplaced(folder string, err error) {
	l.outside = append(l.outside, LoadError{Model: folder, Err: err})
}

// isFlat reports whether a model's file stands at the top, as KServe puts it.
func (l *loader) isFlat() bool {
	info, err := fs.Stat(l.cfg.FS, modelstore.ModelFile)
	return err == nil && !info.IsDir()
}

// flatPlace is that of the model whose file stands at the top. It has the name
// that requests get without one, if the operator gave that.
func (l *loader) flatPlace() place {
	name := flatName
	if l.cfg.DefaultModel != "" {
		name = l.cfg.DefaultModel
	}
	return place{tenant: identity.DefaultTenant, name: name, label: name, folder: "."}
}

// looksLikeModel reports whether a folder holds a version of a model.
func (l *loader) looksLikeModel(folder string) bool {
	versions, err := l.folders(folder)
	return err == nil && slices.ContainsFunc(versions, func(id string) bool {
		_, err := fs.Stat(l.cfg.FS, path.Join(folder, id, modelstore.ModelFile))
		return err == nil
	})
}

// isDir reports whether name is a folder or a link to one.
func isDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// loadTenant loads the models of a tenant's folder. Those of one that is no
// tenant any more do not go on as they were.
func (l *loader) loadTenant(ctx context.Context, tenant string) {
	folder := modelstore.TenantMark + tenant
	if unknown, err := l.mayHave(ctx, tenant); err != nil {
		l.misplaced(folder, err)
		if unknown {
			l.keepTenant(tenant)
		}
		return
	}
	names, err := l.folders(folder)
	if err != nil {
		l.misplaced(folder, fmt.Errorf("read the folder: %w", err))
		l.keepTenant(tenant)
		return
	}
	l.vanished(func(e *entry) bool { return e.place.tenant == tenant && !slices.Contains(names, e.place.name) })
	for _, name := range names {
		l.add(placeOf(tenant, name))
	}
}

// keepTenant has a tenant's models go on as they were loaded before.
func (l *loader) keepTenant(tenant string) {
	if l.before == nil {
		return
	}
	for label, e := range l.before.entries {
		if e.place.tenant == tenant {
			l.entries[label] = e
		}
	}
}
