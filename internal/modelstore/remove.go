package modelstore

import (
	"errors"
	"fmt"
	"path"

	"onnxgate/internal/fault"
)

// Remove takes a version out of the folder of its model, or the whole model where
// version is empty. It is moved aside before it is deleted: whenever the process ends,
// all of it is there or nothing, and the next Open deletes what was left aside. Faults:
// NotFound; Conflict where the folder cannot be written to.
func (s *Store) Remove(m Model, version string) (err error) {
	if err := m.check(); err != nil {
		return err
	}
	target := m.Folder()
	if version != "" {
		if _, ok := ParseVersion(version); !ok {
			return errNoVersion(version)
		}
		target = path.Join(target, version)
	}
	models, err := s.present()
	if err != nil {
		return err
	}
	for _, folder := range []string{path.Dir(m.Folder()), m.Folder(), target} {
		exists, err := models.isFolder(folder)
		if err == nil && !exists {
			err = errNoVersion(version)
		}
		if err != nil {
			return err
		}
	}
	aside, err := models.stage()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, classify(aside.remove())) }()
	if err := models.root.Rename(target, path.Join(aside.content, path.Base(target))); err != nil {
		return classify(fmt.Errorf("move aside: %w", err))
	}
	return classify(errors.Join(models.syncFolder(path.Dir(target)), models.syncFolder(aside.content)))
}

func errNoVersion(version string) error {
	return fault.Newf(fault.NotFound, "there is no version %s of the model", version)
}
