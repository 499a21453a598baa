package modelstore

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"onnxgate/internal/fault"
)

// The modes of what is written, before the umask: whoever serves the models need
// not be who pushed them.
const (
	folderMode = 0o755
	fileMode   = 0o644
)

// Change is a new version, or another manifest, or both, of one model on its way
// into the folder. Nobody sees it before Commit. It belongs to one goroutine.
type Change struct {
	store   *folder
	model   Model
	folder  string // of the model
	fresh   bool   // the model has no folder yet
	staging *staging
	// version and manifest say what there is to commit.
	version  string
	manifest bool
	size     int64 // of the version's file
}

// Begin begins a change, which must end with Discard. Faults: Content for a name
// that no model can have, Conflict where the folder cannot be written to.
func (s *Store) Begin(m Model) (*Change, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	models, err := s.present()
	if err != nil {
		return nil, err
	}
	c := &Change{store: models, model: m, folder: m.Folder()}
	exists, err := models.isFolder(path.Dir(c.folder))
	if err == nil && exists {
		exists, err = models.isFolder(c.folder)
	}
	if err != nil {
		return nil, err
	}
	c.fresh = !exists
	c.staging, err = models.stage()
	return c, err
}

// New says that the model has had no folder so far.
func (c *Change) New() bool { return c.fresh }

// Free returns a fault of kind Conflict when the version exists, Content when no
// version can be called that.
func (c *Change) Free(version string) error {
	switch n, ok := ParseVersion(version); {
	case !ok:
		return fault.Newf(fault.Content, "a version is a whole number from 1, without leading zeros")
	case n > MaxVersion:
		return fault.Newf(fault.Content, "a version that is pushed is %d at most: there must be room for newer ones", MaxVersion)
	}
	_, err := c.store.root.Lstat(path.Join(c.folder, version))
	switch {
	case err == nil:
		return errVersionExists(version)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return classify(err)
}

// AddVersion takes the file of a new version from src, to its end. Faults:
// Content and Conflict as Free; Conflict where the tenant may have no more, before
// more is read than there is room for; TooLarge; BadRequest when its SHA-256 is not
// digest; those of src.
func (c *Change) AddVersion(version string, src io.Reader, digest [sha256.Size]byte) error {
	if err := c.Free(version); err != nil {
		return err
	}
	room, err := c.room()
	if err != nil {
		return err
	}
	folder := path.Join(c.staging.content, version)
	if err := c.store.root.Mkdir(folder, folderMode); err != nil {
		return classify(err)
	}
	sum := sha256.New()
	bounded := &boundedReader{src: io.TeeReader(src, sum), left: room, over: c.store.errNoBytes}
	if room == c.store.MaxBytes {
		bounded.over = c.store.errTooLarge
	}
	if err := c.store.write(path.Join(folder, ModelFile), bounded); err != nil {
		return err
	}
	if got := [sha256.Size]byte(sum.Sum(nil)); got != digest {
		return fault.Newf(fault.BadRequest, "the file that arrived has the SHA-256 %x, and %x was announced: send it again", got, digest)
	}
	c.version, c.size = version, room-bounded.left
	return classify(c.store.syncFolder(folder))
}

// SetManifest takes another model.yaml for all versions.
func (c *Change) SetManifest(src io.Reader) error {
	c.manifest = true
	return c.store.write(path.Join(c.staging.content, ManifestFile), src)
}

// boundedReader ends in the fault over behind so many bytes.
type boundedReader struct {
	src  io.Reader
	left int64
	over func() error
}

func (r *boundedReader) Read(b []byte) (int, error) {
	n, err := r.src.Read(b[:min(int64(len(b)), r.left+1)])
	if r.left -= int64(n); r.left < 0 {
		return 0, r.over()
	}
	return n, err
}

func (f *folder) errTooLarge() error {
	return fault.Newf(fault.TooLarge, "a model file has at most %d bytes here", f.MaxBytes)
}

// write makes a file of what src holds, on the disk before it returns.
func (f *folder) write(file string, src io.Reader) error {
	to, err := f.root.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return classify(err)
	}
	_, err = io.Copy(to, src)
	if err == nil {
		err = to.Sync()
	}
	return classify(errors.Join(err, to.Close()))
}

// FS returns the folder of the models as it will be after Commit.
func (c *Change) FS() fs.FS {
	o := overlay{base: os.DirFS(c.store.Dir), folder: c.folder, staged: map[string]string{}}
	if c.fresh {
		o.staged[c.folder] = c.staging.content
		return o
	}
	if c.version != "" {
		o.staged[path.Join(c.folder, c.version)] = path.Join(c.staging.content, c.version)
	}
	if c.manifest {
		o.staged[path.Join(c.folder, ManifestFile)] = path.Join(c.staging.content, ManifestFile)
	}
	return o
}

// Commit puts the change into its place: the version first, so that a manifest
// which speaks of it never stands alone; where that cannot follow, the version is
// taken back. Faults: Conflict when the version has come to exist in the meantime, or
// others have taken the tenant's room.
func (c *Change) Commit() error {
	if c.version != "" {
		if room, err := c.room(); err != nil || c.size > room {
			return cmp.Or(err, c.store.errNoBytes())
		}
	}
	if err := c.store.syncFolder(c.staging.content); err != nil {
		return classify(err)
	}
	if c.fresh {
		done, err := c.commitModel()
		if done || err != nil {
			return err
		}
	}
	if c.version != "" {
		if err := c.move(c.version, c.version); err != nil {
			return err
		}
	}
	if !c.manifest {
		return nil
	}
	err := c.move(ManifestFile, ManifestFile)
	if err != nil && c.version != "" {
		err = errors.Join(err, c.store.root.Rename(path.Join(c.folder, c.version), path.Join(c.staging.content, c.version)))
	}
	return err
}

// commitModel moves the whole folder of a new model. It reports false when
// somebody else made one in the meantime.
func (c *Change) commitModel() (done bool, err error) {
	parent := path.Dir(c.folder)
	if parent != "." {
		err := c.store.root.Mkdir(parent, folderMode)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		if err = errors.Join(err, c.store.syncFolder(".")); err != nil {
			return false, classify(err)
		}
	}
	if exists, err := c.store.isFolder(c.folder); exists || err != nil {
		return false, err // not even an empty one is replaced: somebody may be filling it
	}
	err = c.store.root.Rename(c.staging.content, c.folder)
	if isTaken(err) {
		return false, nil
	}
	if err != nil {
		return false, classify(err)
	}
	return true, classify(c.store.syncFolder(parent))
}

// move renames a part of the change into the model's folder. A folder that holds
// something is never replaced by that (POSIX rename).
func (c *Change) move(part, to string) error {
	target := path.Join(c.folder, to)
	if part == c.version {
		if err := c.Free(part); err != nil {
			return err
		}
	}
	err := c.store.root.Rename(path.Join(c.staging.content, part), target)
	switch {
	case isTaken(err) && part == c.version:
		return errVersionExists(part)
	case isTaken(err):
		return fault.Newf(fault.Conflict, "%s in the models folder is no file", target)
	case err != nil:
		return classify(fmt.Errorf("move into place: %w", err))
	}
	return classify(c.store.syncFolder(c.folder))
}

// isTaken reports whether something else stands where a name was to go.
func isTaken(err error) bool {
	for _, e := range []error{fs.ErrExist, syscall.ENOTEMPTY, syscall.ENOTDIR, syscall.EISDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Discard ends the change, and drops it unless it was committed.
func (c *Change) Discard() error { return c.staging.remove() }
