package inference

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

const (
	modelFile    = "model.onnx"
	manifestFile = "model.yaml"
	// accessTestFile holds what the owner expects of the model's rules.
	accessTestFile = "access_test.yaml"
	// MaxManifest bounds model.yaml and access_test.yaml, in bytes.
	MaxManifest = 1 << 20
)

// modelName is what a folder must be called to become part of a path.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

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

// model is one folder of the catalog, or what one tenant sees of it.
type model struct {
	tenant   string
	name     string
	label    string
	versions []*version        // oldest first, never empty
	labels   map[string]string // the names of versions, to their numbers
}

// newest returns the version that is served when none is asked for.
func (m *model) newest() *version { return m.versions[len(m.versions)-1] }

// find returns the version with the id or the label, nil when there is none.
func (m *model) find(id string) *version {
	if number, ok := m.labels[id]; ok {
		id = number
	}
	for _, v := range m.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// labelOf returns the folder of a model, which tells it from those of other
// tenants with the same name.
func labelOf(tenant, name string) string {
	if tenant == identity.DefaultTenant {
		return name
	}
	return TenantMark + tenant + "/" + name
}

// TenantMark begins the name of a folder that holds the models of a tenant.
const TenantMark = "@"

// version is one compiled model file with its contract and its rules.
type version struct {
	tenant   string
	model    string
	label    string // of the model
	id       string
	digest   digest
	program  Program
	inputs   []tensor.Spec
	outputs  []tensor.Spec
	schema   *schema.Schema
	access   access
	warnings []string
	observe  Observe
	calls    sync.Pool // of *Call
	counters counters
}

// loader reads a catalog's folders, taking over from the snapshot before what
// has not changed.
type loader struct {
	cfg      *Config
	before   *snapshot
	rules    bool // read the rules alone
	unloaded map[string]digest
	problems []LoadError
	compiled int // bytes of the files that were
}

// largeFiles leave memory behind that is worth giving back at once: several
// times their size.
const largeFiles = 32 << 20

// load returns what the file system holds now. Its error says only that the
// top folder cannot be read; a model that cannot be served is a problem.
func (l *loader) load() ([]*model, error) {
	folders, err := l.folders(".")
	if err != nil {
		return nil, fmt.Errorf("read the models folder: %w", err)
	}
	var models []*model
	for _, folder := range folders {
		if tenant, ok := strings.CutPrefix(folder, TenantMark); ok {
			models = append(models, l.loadTenant(tenant)...)
		} else if m := l.loadModel(identity.DefaultTenant, folder); m != nil {
			models = append(models, m)
		}
	}
	if l.compiled > largeFiles {
		debug.FreeOSMemory()
	}
	return models, nil
}

// folders returns the names of the folders in dir that are their owner's.
func (l *loader) folders(dir string) ([]string, error) {
	entries, err := fs.ReadDir(l.cfg.FS, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); !ignored(name) && isDir(l.cfg.FS, path.Join(dir, name)) {
			names = append(names, name)
		}
	}
	return names, nil
}

// loadTenant returns the models of a tenant's folder. Those of one that is no
// tenant any more do not go on as they were.
func (l *loader) loadTenant(tenant string) []*model {
	folder := TenantMark + tenant
	exists, err := l.tenantExists(tenant)
	switch {
	case tenant == identity.DefaultTenant:
		l.bad(folder, "", fmt.Errorf("move what is in it one folder up: the models of the tenant %s are beside this folder", tenant))
	case err != nil:
		l.bad(folder, "", fmt.Errorf("ask whether there is a tenant %s: %w", tenant, err))
		return l.keepTenant(tenant)
	case !exists:
		l.bad(folder, "", fmt.Errorf("there is no tenant %[1]q: make it with `onnxgate tenant create %[1]s`, or rename the folder", tenant))
	default:
		names, err := l.folders(folder)
		if err != nil {
			l.bad(folder, "", fmt.Errorf("read the folder: %w", err))
			return l.keepTenant(tenant)
		}
		var models []*model
		for _, name := range names {
			if m := l.loadModel(tenant, name); m != nil {
				models = append(models, m)
			}
		}
		return models
	}
	return nil
}

func (l *loader) tenantExists(tenant string) (bool, error) {
	if l.cfg.TenantExists == nil {
		return false, nil
	}
	return l.cfg.TenantExists(tenant)
}

// keepTenant returns a tenant's models as they were loaded before.
func (l *loader) keepTenant(tenant string) []*model {
	var kept []*model
	if l.before != nil {
		for _, m := range l.before.sorted {
			if m.tenant == tenant {
				kept = append(kept, m)
			}
		}
	}
	return kept
}

// ignored reports whether a folder belongs to the volume and not to its owner:
// hidden ones, Kubernetes' "..data", and what mkfs makes.
func ignored(name string) bool { return strings.HasPrefix(name, ".") || name == "lost+found" }

// isDir reports whether name is a folder or a link to one.
func isDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

func (l *loader) bad(label, id string, err error) {
	l.problems = append(l.problems, LoadError{Model: label, Version: id, Err: err})
}

// loadModel returns the model in the folder, or nil when none of its versions
// can be served. A version that has gone bad since it was loaded goes on as it
// was.
func (l *loader) loadModel(tenant, name string) *model {
	m := &model{tenant: tenant, name: name, label: labelOf(tenant, name)}
	if !modelName.MatchString(name) {
		l.bad(m.label, "", errors.New("rename the folder: a model's name is up to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit"))
		return nil
	}
	ids, err := l.versionIDs(m.label)
	if err != nil {
		l.bad(m.label, "", err)
		return l.keepAll(m.label)
	}
	if len(ids) == 0 {
		return l.keepAll(m.label)
	}
	for _, id := range ids {
		v, err := l.loadVersion(m, id)
		if err != nil {
			l.bad(m.label, id, err)
			v = l.before.version(m.label, id)
		}
		if v != nil {
			m.versions = append(m.versions, v)
		}
	}
	if len(m.versions) == 0 {
		return nil
	}
	if unloaded, ok := l.unloaded[m.label]; ok && unloaded == m.digest() {
		return nil
	}
	delete(l.unloaded, m.label)
	return m
}

// keepAll returns the model as it was loaded before, nil when it was not.
func (l *loader) keepAll(label string) *model {
	if l.before == nil {
		return nil
	}
	return l.before.models[label]
}

// versionIDs returns the names of the version folders, oldest first. A folder
// of another name is a problem of the model's, which its versions outlive.
func (l *loader) versionIDs(label string) ([]string, error) {
	folders, err := l.folders(label)
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	var numbers []uint64
	stray := false
	for _, id := range folders {
		n, err := strconv.ParseUint(id, 10, 63)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != id {
			l.bad(label, "", fmt.Errorf("rename the folder %q: a version is a whole number from 1, without leading zeros", id))
			stray = true
			continue
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 && !stray {
		return nil, fmt.Errorf("there is no version: put the model at %s/1/%s", label, modelFile)
	}
	slices.Sort(numbers)
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = strconv.FormatUint(n, 10)
	}
	return ids, nil
}

// loadVersion compiles one version, or takes it over when none of its files has
// changed.
func (l *loader) loadVersion(m *model, id string) (*version, error) {
	v := &version{tenant: m.tenant, model: m.name, label: m.label, id: id}
	src, err := l.read(m.label, id)
	if err != nil {
		return nil, err
	}
	v.digest = src.fingerprint()
	if old := l.before.version(m.label, id); old != nil && old.digest == v.digest {
		return old, nil
	}
	manifest, err := src.parse()
	if err != nil {
		return nil, err
	}
	if v.access, err = newAccess(v, manifest, src.tests); err != nil {
		return nil, err
	}
	if l.rules {
		return v, nil
	}
	if err := v.access.failed(); err != nil {
		return nil, err
	}
	l.compiled += len(src.data)
	if err := v.compile(l.cfg, src.data, manifest); err != nil {
		return nil, err
	}
	return v, nil
}

// compile fills in the version from its file and its manifest, if it has one.
func (v *version) compile(cfg *Config, data []byte, manifest *schema.Manifest) error {
	var engine schema.Engine
	if manifest != nil {
		engine = manifest.Engine
	}
	program, warnings, err := cfg.Compile(data, engine)
	if err != nil {
		return err
	}
	inputs, outputs := program.Inputs(), program.Outputs()
	contract, err := schema.Compile(manifest, v.model, inputs, outputs)
	if err != nil {
		return err
	}
	v.program, v.warnings, v.inputs, v.outputs, v.schema = program, warnings, inputs, outputs, contract
	v.calls.New = func() any { return v.newCall() }
	if cfg.Observer != nil {
		v.observe = cfg.Observer(v.label, v.id)
	}
	return nil
}

func (v *version) newCall() *Call {
	c := &Call{version: v, batch: v.schema.NewBatch(), outputs: make([]*tensor.Tensor, len(v.outputs))}
	for i := range c.outputs {
		c.outputs[i] = new(tensor.Tensor)
	}
	return c
}
