package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"onnxgate/internal/inference"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
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
}

// LoadModel loads a model file, with the model.yaml that a server would use.
func (e *Engines) LoadModel(file string) (*Model, error) {
	m := &Model{}
	m.Name, m.Version = ModelName(file)
	manifest, err := m.findManifest(file)
	if err != nil {
		return nil, err
	}
	var engine schema.Engine
	if manifest != nil {
		engine = manifest.Engine
	}
	if m.Program, m.Warnings, err = e.LoadProgram(file, engine); err != nil {
		return nil, err
	}
	m.Schema, err = schema.Compile(manifest, m.Name, m.Program.Inputs(), m.Program.Outputs())
	return m, err
}

// Inspect says what a model file is made of, also one that cannot be served.
func Inspect(file string) (*exec.Info, error) {
	data, _, err := regular.ReadFile(file, inference.DefaultMaxBytes)
	if err != nil {
		return nil, err
	}
	return exec.Inspect(data, onnx.Limits{})
}

// DrawTree returns one tree of a model file as text, with the names of its
// contract.
func (m *Model) DrawTree(file string, tree int) (string, error) {
	data, _, err := regular.ReadFile(file, inference.DefaultMaxBytes)
	if err != nil {
		return "", err
	}
	features := m.Schema.Features()
	names := make([]string, len(features))
	for i := range features {
		names[i] = features[i].Name
	}
	return exec.DrawTree(data, onnx.Limits{}, tree, names, m.Schema.Labels())
}

// LoadProgram loads a model file by its graph alone.
func (e *Engines) LoadProgram(file string, engine schema.Engine) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, nil, isFolder(file)
	}
	data, _, err := regular.ReadFile(file, inference.DefaultMaxBytes)
	if err != nil {
		return nil, nil, err
	}
	program, warnings, err := e.Compile(data, engine)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return program, warnings, nil
}

// isFolder says which file was probably meant.
func isFolder(dir string) error {
	inside := filepath.Join(dir, "1", "model.onnx")
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
	if n, err := strconv.ParseUint(filepath.Base(dir), 10, 63); err == nil && n > 0 && filepath.Base(abs) == "model.onnx" {
		return filepath.Base(filepath.Dir(dir)), filepath.Base(dir)
	}
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base)), ""
}

// findManifest reads the version's own model.yaml, else the model's. Beside a
// file that is in no folder of a version, only its own folder counts.
func (m *Model) findManifest(file string) (*schema.Manifest, error) {
	places := []string{filepath.Join(filepath.Dir(file), "model.yaml")}
	if m.Version != "" {
		places = append(places, filepath.Join(filepath.Dir(file), "..", "model.yaml"))
	}
	for _, place := range places {
		data, _, err := regular.ReadFile(place, inference.MaxManifest)
		switch {
		case err == nil:
			m.Manifest = place
			return schema.Parse(place, data)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // no manifest is no failure: the graph alone decides
}
