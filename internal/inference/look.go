package inference

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"onnxgate/internal/modelstore"
	"onnxgate/internal/regular"
)

// look is what the files of a model looked like, without their content.
type look struct {
	files []lookedAt // in an order that depends on their names alone
	// settled says that whoever sees the same again has the same content.
	settled bool
}

// lookedAt is one file, or a folder, of which the name alone counts.
type lookedAt struct {
	path  string
	stamp regular.Stamp
}

// same reports whether nothing has changed since.
func (k *look) same(now *look) bool { return k.settled && slices.Equal(k.files, now.files) }

// listing is what the folder of a model holds.
type listing struct {
	look     look
	versions []string // the names of their folders, oldest first
	strays   []string // folders of other names
}

// list looks at a model's folder and at those of its versions.
func (l *loader) list(p place) (*listing, error) {
	s := &lister{fsys: l.cfg.FS, listing: &listing{}, at: l.now()}
	s.look.settled = true
	folders, err := s.files(p.folder)
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	if p.flat() {
		s.versions = []string{onlyVersion}
		return s.listing, nil
	}
	var numbers []uint64
	for _, name := range folders {
		number, ok := modelstore.ParseVersion(name)
		if !ok {
			s.strays = append(s.strays, name)
			continue
		}
		numbers = append(numbers, number)
		if _, err := s.files(path.Join(p.folder, name)); err != nil {
			s.look.settled = false // the version says why
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		s.versions = append(s.versions, strconv.FormatUint(number, 10))
	}
	return s.listing, nil
}

type lister struct {
	*listing

	fsys fs.FS
	at   time.Time
}

// files notes the files of a folder and returns the names of the folders in it,
// but for those that are not their owner's.
func (s *lister) files(dir string) (folders []string, err error) {
	entries, err := fs.ReadDir(s.fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if ignored(entry.Name()) {
			continue
		}
		name := path.Join(dir, entry.Name())
		info, err := infoOf(s.fsys, name, entry)
		if err != nil { // a link into nothing, or a file that has just gone: none
			continue
		}
		if info.IsDir() {
			folders = append(folders, entry.Name())
			s.look.files = append(s.look.files, lookedAt{path: name})
			continue
		}
		stamp := regular.StampOf(info)
		s.look.files = append(s.look.files, lookedAt{name, stamp})
		s.look.settled = s.look.settled && stamp.Settled(s.at)
	}
	return folders, nil
}

// infoOf follows links, and asks the file system no more than it must.
func infoOf(fsys fs.FS, name string, entry fs.DirEntry) (fs.FileInfo, error) {
	if entry.Type()&fs.ModeSymlink != 0 {
		return fs.Stat(fsys, name)
	}
	return entry.Info()
}

// ignored reports whether a name belongs to the volume and not to its owner:
// hidden ones, Kubernetes' "..data", and what mkfs makes.
func ignored(name string) bool { return strings.HasPrefix(name, ".") || name == "lost+found" }

// folders returns the names of the folders in dir that are their owner's.
func (l *loader) folders(dir string) ([]string, error) {
	s := &lister{fsys: l.cfg.FS, listing: &listing{}}
	return s.files(dir)
}
