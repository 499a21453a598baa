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
	"strconv"
	"strings"
	"syscall"
	"time"

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
)

// DefaultMaxBytes is the bound on one model file: 512 MiB.
const DefaultMaxBytes = 512 << 20

// ParseVersion reads the number of a version: a whole number from 1, in the one
// form without leading zeros.
func ParseVersion(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// Model is a model by its names. An empty tenant is the default one, whose
// models are beside the folders of the others.
type Model struct{ Tenant, Name string }

// Folder returns the model's folder, below that of the models.
func (m Model) Folder() string {
	if m.Tenant == "" {
		return m.Name
	}
	return TenantMark + m.Tenant + "/" + m.Name
}

// TenantOf returns the tenant that owns a model, by the path of its folder or of
// anything below it.
func TenantOf(path string) string {
	if tenant, marked := strings.CutPrefix(path, TenantMark); marked {
		tenant, _, _ = strings.Cut(tenant, "/")
		return tenant
	}
	return identity.DefaultTenant
}

func (m Model) check() error {
	if !identity.IsModel(m.Name) {
		return fault.New(fault.Content, "a model's name is up to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit")
	}
	if m.Tenant != "" && !identity.IsTenant(m.Tenant) {
		return fmt.Errorf("modelstore: %q cannot be the name of a tenant's folder", m.Tenant)
	}
	return nil
}

// Config says where the models are.
type Config struct {
	// Dir is the folder, which must exist.
	Dir string
	// MaxBytes bounds one model file; zero means DefaultMaxBytes.
	MaxBytes int64
	// Now is the clock, which is compared with that of the file system; nil is
	// time.Now.
	Now func() time.Time
}

// Store is the folder of models. It is safe for concurrent use, also by several
// processes.
type Store struct {
	dir      string
	root     *os.Root
	maxBytes int64
	now      func() time.Time
}

// Open opens the folder and removes what processes left behind that ended in
// the middle of a change.
func Open(cfg Config) (*Store, error) {
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the models folder: %w", err)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	s := &Store{dir: cfg.Dir, root: root, maxBytes: cfg.MaxBytes, now: cfg.Now}
	s.sweep()
	return s, nil
}

// Close ends the use of the folder. Changes must have ended before.
func (s *Store) Close() error { return s.root.Close() }

// MaxBytes is the bound on one model file.
func (s *Store) MaxBytes() int64 { return s.maxBytes }

// errVersionExists is for a version that is there, whole or not.
func errVersionExists(version string) error {
	return fault.Newf(fault.Conflict, "version %s exists, and a version is never overwritten: push the next number", version)
}

// isFolder returns whether there is a folder of that name. Whatever else has the
// name is a Conflict: what is written behind a link would be somewhere else.
func (s *Store) isFolder(path string) (bool, error) {
	info, err := s.root.Lstat(path)
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
func (s *Store) syncFolder(path string) error {
	f, err := s.root.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
