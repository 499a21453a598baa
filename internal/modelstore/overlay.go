package modelstore

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// overlay is a file system in which the parts of a change stand where they will.
type overlay struct {
	base   fs.FS
	folder string // of the model
	// staged says where the parts are now, by where they will be.
	staged map[string]string
}

// at returns where a path is now.
func (o overlay) at(name string) string {
	if !fs.ValidPath(name) {
		return name // nobody's
	}
	for place := name; place != "."; place = path.Dir(place) {
		if now, ok := o.staged[place]; ok {
			return now + strings.TrimPrefix(name, place)
		}
	}
	return name
}

// Open opens a file or a folder.
func (o overlay) Open(name string) (fs.File, error) { return o.base.Open(o.at(name)) }

// Stat looks without opening: what is opened may be a pipe.
func (o overlay) Stat(name string) (fs.FileInfo, error) { return fs.Stat(o.base, o.at(name)) }

// ReadDir lists a folder, that of the model with the parts of the change.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.base, o.at(name))
	if err != nil || name != o.folder {
		return entries, err
	}
	for place, now := range o.staged {
		if path.Dir(place) != name {
			continue
		}
		info, err := fs.Stat(o.base, now)
		if err != nil {
			return nil, err
		}
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == info.Name() })
		entries = append(entries, fs.FileInfoToDirEntry(info))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}
