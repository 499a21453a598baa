package inference

import (
	"crypto/sha256"
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

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

const (
	modelFile    = "model.onnx"
	manifestFile = "model.yaml"
	// MaxManifest bounds model.yaml, in bytes.
	MaxManifest = 1 << 20
)

// modelName is what a folder must be called to become part of a path.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// LoadError says why a model, or one version of it, cannot be served.
type LoadError struct {
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

// model is one folder of the catalog.
type model struct {
	name     string
	versions []*version // oldest first, never empty
}

// newest returns the version that is served when none is asked for.
func (m *model) newest() *version { return m.versions[len(m.versions)-1] }

// find returns the version with the id, nil when there is none.
func (m *model) find(id string) *version {
	for _, v := range m.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// version is one compiled model file with its contract and its rules.
type version struct {
	model    string
	id       string
	digest   [sha256.Size]byte
	program  Program
	outputs  int
	schema   *schema.Schema
	policy   authz.Policy
	warnings []string
	observe  Observe
	calls    sync.Pool // of *Call
}

// loader reads a catalog's folders, taking over from the snapshot before what
// has not changed.
type loader struct {
	cfg      *Config
	before   *snapshot
	problems []LoadError
	compiled int // bytes of the files that were
}

// largeFiles leave memory behind that is worth giving back at once: several
// times their size.
const largeFiles = 32 << 20

// load returns what the file system holds now. Its error says only that the
// top folder cannot be read; a model that cannot be served is a problem.
func (l *loader) load() ([]*model, error) {
	entries, err := fs.ReadDir(l.cfg.FS, ".")
	if err != nil {
		return nil, fmt.Errorf("read the models folder: %w", err)
	}
	var models []*model
	for _, entry := range entries {
		name := entry.Name()
		if ignored(name) || !isDir(l.cfg.FS, name) {
			continue
		}
		if m := l.loadModel(name); m != nil {
			models = append(models, m)
		}
	}
	if l.compiled > largeFiles {
		debug.FreeOSMemory()
	}
	return models, nil
}

// ignored reports whether a folder belongs to the volume and not to its owner:
// hidden ones, Kubernetes' "..data", and what mkfs makes.
func ignored(name string) bool { return strings.HasPrefix(name, ".") || name == "lost+found" }

// isDir reports whether name is a folder or a link to one.
func isDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

func (l *loader) bad(modelName, id string, err error) {
	l.problems = append(l.problems, LoadError{Model: modelName, Version: id, Err: err})
}

// loadModel returns the model in the folder, or nil when none of its versions
// can be served. A version that has gone bad since it was loaded goes on as it
// was.
func (l *loader) loadModel(name string) *model {
	if !modelName.MatchString(name) {
		l.bad(name, "", errors.New("rename the folder: a model's name is up to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit"))
		return nil
	}
	ids, err := l.versionIDs(name)
	if err != nil {
		l.bad(name, "", err)
		return l.keepAll(name)
	}
	if len(ids) == 0 {
		return l.keepAll(name)
	}
	m := &model{name: name}
	for _, id := range ids {
		v, err := l.loadVersion(name, id)
		if err != nil {
			l.bad(name, id, err)
			v = l.before.version(name, id)
		}
		if v != nil {
			m.versions = append(m.versions, v)
		}
	}
	if len(m.versions) == 0 {
		return nil
	}
	return m
}

// keepAll returns the model as it was loaded before, nil when it was not.
func (l *loader) keepAll(name string) *model {
	if l.before == nil {
		return nil
	}
	return l.before.models[name]
}

// versionIDs returns the names of the version folders, oldest first. A folder
// of another name is a problem of the model's, which its versions outlive.
func (l *loader) versionIDs(name string) ([]string, error) {
	entries, err := fs.ReadDir(l.cfg.FS, name)
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	var numbers []uint64
	stray := false
	for _, entry := range entries {
		id := entry.Name()
		if ignored(id) || !isDir(l.cfg.FS, path.Join(name, id)) {
			continue
		}
		n, err := strconv.ParseUint(id, 10, 63)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != id {
			l.bad(name, "", fmt.Errorf("rename the folder %q: a version is a whole number from 1, without leading zeros", id))
			stray = true
			continue
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 && !stray {
		return nil, fmt.Errorf("there is no version: put the model at %s/1/%s", name, modelFile)
	}
	slices.Sort(numbers)
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = strconv.FormatUint(n, 10)
	}
	return ids, nil
}

// loadVersion compiles one version, or takes it over when neither its file nor
// its manifest has changed.
func (l *loader) loadVersion(name, id string) (*version, error) {
	data, err := readFile(l.cfg.FS, path.Join(name, id, modelFile), l.cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	source, manifest, err := l.manifest(name, id)
	if err != nil {
		return nil, err
	}
	digest := fingerprint(data, manifest)
	if old := l.before.version(name, id); old != nil && old.digest == digest {
		return old, nil
	}
	v := &version{model: name, id: id, digest: digest}
	l.compiled += len(data)
	if err := v.compile(l.cfg, data, source, manifest); err != nil {
		return nil, err
	}
	return v, nil
}

// compile fills in the version from its file and, if source is not empty, its
// manifest.
func (v *version) compile(cfg *Config, data []byte, source string, manifest []byte) error {
	var parsed *schema.Manifest
	var engine schema.Engine
	if source != "" {
		var err error
		if parsed, err = schema.Parse(source, manifest); err != nil {
			return err
		}
		engine = parsed.Engine
	}
	program, warnings, err := cfg.Compile(data, engine)
	if err != nil {
		return err
	}
	outputs := program.Outputs()
	contract, err := schema.Compile(parsed, v.model, program.Inputs(), outputs)
	if err != nil {
		return err
	}
	v.program, v.warnings, v.outputs, v.schema = program, warnings, len(outputs), contract
	v.policy = authz.AllowRoles(contract.Roles()...)
	v.calls.New = func() any { return v.newCall() }
	if cfg.Observer != nil {
		v.observe = cfg.Observer(v.model, v.id)
	}
	return nil
}

func (v *version) newCall() *Call {
	c := &Call{version: v, batch: v.schema.NewBatch(), outputs: make([]*tensor.Tensor, v.outputs)}
	for i := range c.outputs {
		c.outputs[i] = new(tensor.Tensor)
	}
	return c
}

// manifest returns the manifest that holds for the version, and its path: its
// own, else the model's. The path is empty when there is neither.
func (l *loader) manifest(name, id string) (string, []byte, error) {
	for _, file := range []string{path.Join(name, id, manifestFile), path.Join(name, manifestFile)} {
		data, err := readFile(l.cfg.FS, file, MaxManifest)
		switch {
		case err == nil:
			return file, data, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", nil, err
		}
	}
	return "", nil, nil
}

// fingerprint tells two versions apart: the digest of the digests of the model
// and of its manifest.
func fingerprint(data, manifest []byte) [sha256.Size]byte {
	a, b := sha256.Sum256(data), sha256.Sum256(manifest)
	return sha256.Sum256(append(a[:], b[:]...))
}

// readFile reads one regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	data, err := regular.ReadFS(fsys, name, limit)
	if _, ok := errors.AsType[regular.TooLargeError](err); ok {
		return nil, fault.Newf(fault.TooLarge, "%s is larger than %d bytes", name, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return data, nil
}
