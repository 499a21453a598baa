package modelstore

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

const (
	// stagingPrefix begins the names of the folders of changes that are on their
	// way. Whoever reads the models folder passes over hidden names.
	stagingPrefix = ".onnxgate-push-"
	// lockFile is held by the process whose change it is, and contentDir becomes
	// the model.
	lockFile   = "lock"
	contentDir = "model"
	// unlockedFor is how long a folder without a lock may be one that is just
	// being made.
	unlockedFor = time.Minute
)

// staging is the folder of one change.
type staging struct {
	store *Store
	// folder holds everything, content what becomes the model.
	folder, content string
	lock            *os.File
}

// stage makes a folder that no other process takes for a left-over.
func (s *Store) stage() (*staging, error) {
	st := &staging{store: s, folder: stagingPrefix + rand.Text()}
	st.content = path.Join(st.folder, contentDir)
	if err := s.root.Mkdir(st.folder, 0o700); err != nil {
		return nil, classify(err)
	}
	var err error
	if st.lock, err = s.lock(st.folder, os.O_CREATE|os.O_EXCL); err == nil {
		err = s.root.Mkdir(st.content, folderMode)
	}
	if err != nil {
		return nil, classify(errors.Join(err, st.remove()))
	}
	return st, nil
}

// lock takes the lock of a folder; it ends with the process at the latest.
func (s *Store) lock(folder string, flags int) (*os.File, error) {
	f, err := s.root.OpenFile(path.Join(folder, lockFile), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// remove drops the folder, then the lock.
func (st *staging) remove() error {
	err := st.store.root.RemoveAll(st.folder)
	if st.lock != nil {
		err = errors.Join(err, st.lock.Close())
	}
	return err
}

// sweep removes the folders of changes whose process has ended. What cannot be
// removed stays: nobody sees it, and the folder may be read-only.
func (s *Store) sweep() {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), stagingPrefix) || !entry.IsDir() {
			continue
		}
		lock, err := s.lock(entry.Name(), 0)
		switch {
		case err == nil:
			_ = errors.Join(s.root.RemoveAll(entry.Name()), lock.Close())
		case errors.Is(err, fs.ErrNotExist) && s.olderThan(entry, unlockedFor):
			_ = s.root.RemoveAll(entry.Name())
		}
	}
}

func (s *Store) olderThan(entry fs.DirEntry, age time.Duration) bool {
	info, err := entry.Info()
	return err == nil && s.now().Sub(info.ModTime()) > age
}
