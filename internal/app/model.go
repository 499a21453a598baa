package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/exports"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
)

// Model is one model file, loaded without a server.
type Model struct {
	// Name and Version are those that a server would give it: for a file
	// NAME/VERSION/model.onnx the folders', else the file's name and nothing.
	Name, Version string
	Program       inference.Program
	Warnings      []string
	// Manifest is the path of the model.yaml that holds for it, empty when
	// there is none.
	Manifest string
	Schema   *schema.Schema

	file     *modelFile
	manifest *schema.Manifest // what is in Manifest
}

// LoadModel loads a model file, with the model.yaml that a server would use.
// With an error comes the model as far as it could be read, nil when its file
// could not.
func (e *Engines) LoadModel(path string) (*Model, error) {
	file, err := readModel(path)
	if err != nil {
		return nil, err
	}
	m := &Model{file: file}
	m.Name, m.Version = ModelName(path)
	manifest, err := m.findManifest(path)
	if err != nil {
		return m, err
	}
	m.manifest = manifest
	var engine schema.Engine
	if manifest != nil {
		engine = manifest.Engine
	}
	if m.Program, m.Warnings, err = file.compile(e, engine); err != nil {
		return m, err
	}
	m.Schema, err = schema.Compile(manifest, m.Name, m.Program.Inputs(), m.Program.Outputs())
	return m, err
}

// Inspect says what the model's file is made of, also when it cannot be
// served; nil when it could not be decoded.
func (m *Model) Inspect() *exec.Info {
	if m == nil || m.file.graph == nil {
		return nil
	}
	return exec.Inspect(m.file.graph)
}

// Served reports whether the versions section of the manifest has a server serve the
// version, as its folder is now. The error is that section's, when it does not fit
// what is in the folder. A file that is in no folder of a version has no say in it.
func (m *Model) Served() (bool, error) {
	if m.Version == "" || m.manifest == nil {
		return true, nil
	}
	folder := filepath.Dir(filepath.Dir(m.file.path))
	if beside := filepath.Join(folder, modelstore.ManifestFile); m.Manifest != beside {
		return true, m.manifest.Misplaced(beside)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, ok := modelstore.ParseVersion(e.Name()); ok && e.IsDir() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = strconv.FormatUint(n, 10)
	}
	if err := m.manifest.CheckVersions(ids); err != nil {
		return false, err
	}
	serving := m.manifest.Serving()
	newest := len(ids) > 0 && ids[len(ids)-1] == m.Version
	return serving.Serves(m.Version) && (serving == nil || !serving.Latest || newest), nil
}

// Doubts says what of the model is probably not as it was trained, as far as
// its graph shows what exporters lose.
func (m *Model) Doubts() []string {
	if m.file.graph == nil {
		return nil
	}
	missing := slices.ContainsFunc(m.Schema.Features(), func(f schema.Feature) bool { return f.Nullable })
	return exports.Doubts(m.file.graph, missing)
}

// DrawTree returns one tree of the model as text, with the names of its
// contract.
func (m *Model) DrawTree(tree int) (string, error) {
	if m.file.graph == nil {
		return "", m.file.unreadable
	}
	features := m.Schema.Features()
	names := make([]string, len(features))
	for i := range features {
		names[i] = features[i].Name
	}
	return exec.DrawTree(m.file.graph, tree, names, m.Schema.Labels())
}

// LoadGraph loads a model file by its graph alone: the model has no manifest and
// no schema.
func (e *Engines) LoadGraph(path string) (*Model, error) {
	file, err := readModel(path)
	if err != nil {
		return nil, err
	}
	m := &Model{file: file}
	m.Name, m.Version = ModelName(path)
	m.Program, m.Warnings, err = file.compile(e, schema.EngineAuto)
	return m, err
}

// TextInputs returns the inputs of the graph that are free text, as far as it
// shows that.
func (m *Model) TextInputs() []string {
	if m.file.graph == nil {
		return nil
	}
	return exports.TextInputs(m.file.graph)
}

// Categories returns the values that the model's encoders know and no others, by
// input, as far as its graph shows that.
func (m *Model) Categories() map[string][]string {
	if m.file.graph == nil {
		return nil
	}
	return exports.Categories(m.file.graph)
}

// LoadProgram loads a model file by its graph alone.
func (e *Engines) LoadProgram(path string, engine schema.Engine) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	file, err := readModel(path)
	if err != nil {
		return nil, nil, err
	}
	return file.compile(e, engine)
}

// Contract returns the contract of a model file whose program is loaded: that
// of the model.yaml that a server would use, else that of the graph, whose
// numbers may all be missing.
func Contract(path string, program inference.Program) (*schema.Schema, error) {
	m := &Model{}
	m.Name, m.Version = ModelName(path)
	manifest, err := m.findManifest(path)
	switch {
	case err != nil:
		return nil, err
	case manifest == nil:
		return schema.CompileGraph(m.Name, program.Inputs(), program.Outputs())
	}
	return schema.Compile(manifest, m.Name, program.Inputs(), program.Outputs())
}

// modelFile is a model file that has been read, and decoded once.
type modelFile struct {
	path string
	data []byte
	// graph is nil when the native engine cannot read the file; unreadable
	// says why.
	graph      *onnx.Model
	unreadable error
}

func readModel(path string) (*modelFile, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, isFolder(path)
	}
	data, _, err := regular.ReadFile(path, modelstore.DefaultMaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notExported(path, err)
	}
	if err != nil {
		return nil, err
	}
	f := &modelFile{path: path, data: data}
	f.graph, f.unreadable = exec.Decode(data, onnx.Limits{})
	return f, nil
}

func (f *modelFile) compile(e *Engines, engine schema.Engine) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	program, warnings, err := e.compile(f.data, engine, func() (*exec.Program, error) {
		if f.unreadable != nil {
			return nil, f.unreadable
		}
		return exec.Compile(f.graph, e.limits)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return program, warnings, nil
}

// notExported says of a file that is not there what lies in its place: a model as
// Python keeps it, which nobody has exported yet.
func notExported(path string, err error) error {
	for _, ending := range []string{"pkl", "pickle", "joblib"} {
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*."+ending)); len(found) > 0 {
			return fmt.Errorf("%w; %s is there, which only Python can read: export the model with skl2onnx, as docs/serve-your-own-model.md describes", err, found[0])
		}
	}
	return err
}

// isFolder says which file was probably meant.
func isFolder(dir string) error {
	inside := filepath.Join(dir, "1", modelstore.ModelFile)
	for _, pattern := range []string{"*.onnx", "*/*.onnx", "*/*/*.onnx"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			inside = found[len(found)-1]
			break
		}
	}
	return fmt.Errorf("%s is a folder; name a model file, such as %s", dir, inside)
}

// ModelName returns the name and version that a server would give to the file.
func ModelName(file string) (name, version string) {
	abs, err := filepath.Abs(file)
	if err != nil {
		abs = file
	}
	dir := filepath.Dir(abs)
	if _, ok := modelstore.ParseVersion(filepath.Base(dir)); ok && filepath.Base(abs) == modelstore.ModelFile {
		return filepath.Base(filepath.Dir(dir)), filepath.Base(dir)
	}
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base)), ""
}

// findManifest reads the version's own model.yaml, else the model's. Beside a
// file that is in no folder of a version, only its own folder counts.
func (m *Model) findManifest(file string) (*schema.Manifest, error) {
	places := []string{filepath.Join(filepath.Dir(file), modelstore.ManifestFile)}
	if m.Version != "" {
		places = append(places, filepath.Join(filepath.Dir(file), "..", modelstore.ManifestFile))
	}
	for _, place := range places {
		data, _, err := regular.ReadFile(place, modelstore.MaxManifest)
		switch {
		case err == nil:
			m.Manifest = place
			return schema.Parse(place, data)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		if err := modelstore.Misnamed(os.DirFS(filepath.Dir(place)), modelstore.ManifestFile); err != nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // no manifest is no failure: the graph alone decides
}
