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
	store *folder
	// folder holds everything, content what becomes the model.
	folder, content string
	lock            *os.File
}

// stage makes a folder that no other process takes for a left-over.
func (f *folder) stage() (*staging, error) {
	st := &staging{store: f, folder: stagingPrefix + rand.Text()}
	st.content = path.Join(st.folder, contentDir)
	if err := f.root.Mkdir(st.folder, 0o700); err != nil {
		return nil, classify(err)
	}
	var err error
	if st.lock, err = f.lock(st.folder, os.O_CREATE|os.O_EXCL); err == nil {
		err = f.root.Mkdir(st.content, folderMode)
	}
	if err != nil {
		return nil, classify(errors.Join(err, st.remove()))
	}
	return st, nil
}

// lock takes the lock of a folder; it ends with the process at the latest.
func (f *folder) lock(folder string, flags int) (*os.File, error) {
	lock, err := f.root.OpenFile(path.Join(folder, lockFile), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
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
func (f *folder) sweep() {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), stagingPrefix) || !entry.IsDir() {
			continue
		}
		lock, err := f.lock(entry.Name(), 0)
		switch {
		case err == nil:
			_ = errors.Join(f.root.RemoveAll(entry.Name()), lock.Close())
		case errors.Is(err, fs.ErrNotExist) && f.olderThan(entry, unlockedFor):
			_ = f.root.RemoveAll(entry.Name())
		}
	}
}

func (f *folder) olderThan(entry fs.DirEntry, age time.Duration) bool {
	info, err := entry.Info()
	return err == nil && f.Now().Sub(info.ModTime()) > age
}
