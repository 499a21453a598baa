package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Modes in the image: nobody but root could change a thing, and root does not
// run there.
const (
	modeFolder  = 0o755
	modeFile    = 0o444
	modeProgram = 0o555
	modePrivate = 0o700
)

// file is one entry of a layer.
type file struct {
	name  string // relative to the root; that of a folder ends in a slash
	mode  int64
	owner int // user and group
	size  int64
	open  func() (io.ReadCloser, error)
}

func (f *file) isFolder() bool { return strings.HasSuffix(f.name, "/") }

// folder is a folder of root's.
func folder(name string) file { return file{name: name + "/", mode: modeFolder} }

// content is a file of root's that holds data.
func content(name string, data []byte) file {
	return file{name: name, mode: modeFile, size: int64(len(data)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// withFolders returns the files with every folder above them, in the order of
// their names.
func withFolders(files []file) []file {
	all := slices.Clone(files)
	seen := map[string]bool{}
	for i := range files {
		for dir := path.Dir(strings.TrimSuffix(files[i].name, "/")); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			all = append(all, folder(dir))
		}
	}
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return all
}

// opener gives the layer of the files, a tar file, as often as it is asked for.
func opener(files []file) tarball.Opener {
	files = withFolders(files)
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeTar(w, files)) }()
		return r, nil
	}
}

func writeTar(w io.Writer, files []file) error {
	archive := tar.NewWriter(w)
	for i := range files {
		if err := writeEntry(archive, &files[i]); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeEntry(archive *tar.Writer, f *file) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: f.size, ModTime: epoch().Time,
	}
	if f.isFolder() {
		header.Typeflag = tar.TypeDir
		return archive.WriteHeader(header)
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read from
	_, err = io.Copy(archive, r)
	return err
}

// measured returns an entry of root's for what open opens: its size and digest
// now. Whoever reads it later gets the same bytes, or an error.
func measured(name string, mode int64, open func() (io.ReadCloser, error)) (file, error) {
	r, err := open()
	if err != nil {
		return file{}, err
	}
	defer r.Close() //nolint:errcheck // only read from
	sum := sha256.New()
	size, err := io.Copy(sum, r)
	if err != nil {
		return file{}, err
	}
	return file{name: name, mode: mode, size: size, open: func() (io.ReadCloser, error) {
		again, err := open()
		return &sealed{ReadCloser: again, name: name, left: size, want: sum.Sum(nil), got: sha256.New()}, err
	}}, nil
}

// sealed reads a file that must be as it was when it was measured: the digests
// in the image, and what was found out about a model, would be another's.
type sealed struct {
	io.ReadCloser
	name string
	left int64 // bytes that are to come
	want []byte
	got  hash.Hash
}

// Read fails at the end of a file that has other bytes than it had.
func (s *sealed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.got.Write(p[:n])
	s.left -= int64(n)
	if s.left < 0 || errors.Is(err, io.EOF) && !bytes.Equal(s.got.Sum(nil), s.want) {
		return 0, fmt.Errorf("%s changed while it was packaged: try again when it is whole", s.name)
	}
	return n, err
}
