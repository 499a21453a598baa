package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// modelNames are the files of a model; no other file of a folder gets into an
// image, whatever lies there.
var modelNames = []string{"model.onnx", "model.yaml", "access_test.yaml", "golden.csv", "golden.json"}

// deepest is how many folders a model file stands in: @TENANT/NAME/VERSION.
const deepest = 3

// Models are the files of a models folder.
type Models struct {
	fsys  fs.FS
	files []file
}

// ReadModels finds the model files of a models folder and remembers what is in
// them. fsys must not follow links out of the folder, as that of os.Root does
// not; such a link is an error, as is one that leads nowhere. Hidden folders are
// the volume's and not looked into.
func ReadModels(fsys fs.FS) (*Models, error) {
	m := &Models{fsys: fsys}
	if err := m.walk(".", deepest); err != nil {
		return nil, err
	}
	if len(m.files) == 0 {
		return nil, errors.New("there is no model: put one at NAME/1/model.onnx")
	}
	return m, nil
}

func (m *Models) walk(dir string, deeper int) error {
	entries, err := fs.ReadDir(m.fsys, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if err := m.visit(entry, path.Join(dir, entry.Name()), deeper); err != nil {
			return err
		}
	}
	return nil
}

func (m *Models) visit(entry fs.DirEntry, at string, deeper int) error {
	info, err := fs.Stat(m.fsys, at)
	switch {
	case err != nil && entry.Type()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link out of the models folder, or to nothing: put there what it stands for", at)
	case err != nil:
		return err
	case slices.Contains(modelNames, entry.Name()):
		return m.add(at, info)
	case info.IsDir() && deeper > 0:
		return m.walk(at, deeper-1)
	}
	return nil
}

func (m *Models) add(at string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() { // nor opened: a pipe would wait for somebody who writes to it
		return fmt.Errorf("%s is not a regular file", at)
	}
	f, err := measured(path.Join(modelsPath, at), modeFile, func() (io.ReadCloser, error) { return m.fsys.Open(at) })
	if err != nil {
		return err
	}
	m.files = append(m.files, f)
	return nil
}
