// Package modelstore owns the folder of models on disk: what its folders and
// files are called, and how they are written. A new version appears whole or not
// at all, whenever the process ends, and nothing of what is there is overwritten
// but a manifest, by its successor.
//
// What is on its way is in a hidden folder of its own beside the models, on the
// same file system. It must not know what a model is, nor who may write one.
package modelstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"onnxgate/internal/fault"
)

// Config says where the models are.
type Config struct {
	// Dir is the folder, which must exist.
	Dir string
	// MaxBytes bounds one model file; zero means DefaultMaxBytes.
	MaxBytes int64
	// Tenant bounds what each tenant has, but for the default one.
	Tenant Bounds
	// Now is the clock, which is compared with that of the file system; nil is
	// time.Now.
	Now func() time.Time
}

// Store is the folder of models. It is safe for concurrent use, also by several
// processes.
type Store struct {
	cfg Config

	mu     sync.Mutex // guards folder
	folder *folder
}

// folder is one folder of models: its name may come to stand for another, where a link
// is swapped or the folder is replaced as a whole.
type folder struct {
	*Config

	root *os.Root // it ends with the last who uses it
}

// Open opens the folder and removes what processes left behind that ended in
// the middle of a change.
func Open(cfg Config) (*Store, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	cfg.Tenant.complete()
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	s := &Store{cfg: cfg}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the models folder: %w", err)
	}
	s.folder = &folder{&s.cfg, root}
	s.folder.sweep()
	return s, nil
}

// Close ends the use of the folder. Changes must have ended before.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folder.root.Close()
}

// MaxBytes is the bound on one model file.
func (s *Store) MaxBytes() int64 { return s.cfg.MaxBytes }

// present returns the folder that the name stands for now. The fault is Conflict where
// it stands for none.
func (s *Store) present() (*folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there, err := os.Stat(s.cfg.Dir)
	if err == nil {
		if known, err := s.folder.root.Stat("."); err == nil && os.SameFile(there, known) {
			return s.folder, nil
		}
		var root *os.Root
		if root, err = os.OpenRoot(s.cfg.Dir); err == nil {
			s.folder = &folder{&s.cfg, root}
			s.folder.sweep()
			return s.folder, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Conflict, "the models folder of this server is not there any more: put it back", err)
	}
	return nil, classify(err)
}

// errVersionExists is for a version that is there, whole or not.
func errVersionExists(version string) error {
	return fault.Newf(fault.Conflict, "version %s exists, and a version is never overwritten: push the next number", version)
}

// isFolder returns whether there is a folder of that name. Whatever else has the
// name is a Conflict: what is written behind a link would be somewhere else.
func (f *folder) isFolder(path string) (bool, error) {
	info, err := f.root.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, classify(err)
	case !info.IsDir():
		return false, fault.Newf(fault.Conflict, "%s in the models folder is no folder but %s; nothing is written there", path, kindOf(info.Mode()))
	}
	return true, nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a link"
	case mode.IsRegular():
		return "a file"
	}
	return "something else"
}

// classify makes faults of the errors of a file system that an operator can do
// something about.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Conflict, "the models folder is read-only for this server: let it write there, or put the model there yourself", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(fault.Unavailable, "there is no space left in the models folder", err)
	}
	return err
}

// syncFolder has the names in a folder on the disk before it returns.
func (f *folder) syncFolder(path string) error {
	opened, err := f.root.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
