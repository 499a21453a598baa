package inference

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
)

// source is what a version is made of, as it was read.
type source struct {
	data            []byte
	size            int64  // in bytes, where data was not read
	sum             digest // of data
	manifest, tests file
	golden          file
}

// file is one that may be there; path is empty when it is not.
type file struct {
	path string
	data []byte
}

func (l *loader) read(p place, id string) (src source, err error) {
	if l.rules {
		if info, err := fs.Stat(l.cfg.FS, path.Join(p.version(id), modelstore.ModelFile)); err == nil {
			src.size = info.Size()
		}
	} else {
		if src.data, err = readFile(l.cfg.FS, path.Join(p.version(id), modelstore.ModelFile), l.cfg.MaxBytes); err != nil {
			return src, err
		}
		src.size, src.sum = int64(len(src.data)), sha256.Sum256(src.data)
		if src.golden, err = l.golden(p, id); err != nil {
			return src, err
		}
	}
	if src.manifest, err = l.beside(p, id, modelstore.ManifestFile); err != nil {
		return src, err
	}
	src.tests, err = l.beside(p, id, modelstore.AccessTestFile)
	return src, err
}

// contract returns the manifest of the version: its own, which may not speak of
// other versions, or the one beside all; nil when there is none.
func (s *source) contract(beside *manifest) (*schema.Manifest, error) {
	switch {
	case s.manifest.path == "":
		return nil, nil //nolint:nilnil // no manifest is no failure: the graph alone decides
	case beside != nil && s.manifest.path == beside.file.path && bytes.Equal(s.manifest.data, beside.file.data):
		return beside.parsed, nil
	}
	own, err := schema.Parse(s.manifest.path, s.manifest.data)
	if err != nil {
		return nil, err
	}
	return own, own.Misplaced(path.Join(path.Dir(path.Dir(s.manifest.path)), modelstore.ManifestFile))
}

// beside returns a file that stands beside the version's model, else one beside
// all versions, else none.
func (l *loader) beside(p place, id, name string) (file, error) {
	f, err := optional(l.cfg.FS, path.Join(p.version(id), name), modelstore.MaxManifest)
	if err != nil || f.path != "" || p.flat() {
		return f, err
	}
	return optional(l.cfg.FS, path.Join(p.folder, name), modelstore.MaxManifest)
}

// optional returns a file that may be there, of at most limit bytes.
func optional(fsys fs.FS, name string, limit int64) (file, error) {
	data, err := readFile(fsys, name, limit)
	switch {
	case err == nil:
		return file{name, data}, nil
	case errors.Is(err, fs.ErrNotExist):
		return file{}, modelstore.Misnamed(fsys, name)
	}
	return file{}, err
}

// digest is of what a version, or a model, is made of.
type digest [sha256.Size]byte

// contents is the digest of all that a model is made of, whichever of its
// versions are served; the zero digest when it cannot be read.
func (l *loader) contents(p place, listing *listing) digest {
	beside, err := optional(l.cfg.FS, path.Join(p.folder, modelstore.ManifestFile), modelstore.MaxManifest)
	if err != nil {
		return digest{}
	}
	all := slices.Clone(beside.data)
	for _, id := range listing.versions {
		src, err := l.read(p, id)
		if err != nil {
			src = source{manifest: file{path: err.Error()}} // it is bad in the same way
		}
		fingerprint := src.fingerprint()
		all = append(append(all, id...), fingerprint[:]...)
	}
	return sha256.Sum256(all)
}

// fingerprint tells two versions apart: the digest of the digests of what they
// are made of, and of where that stands.
func (s *source) fingerprint() digest {
	var all []byte
	for _, part := range [][]byte{s.sum[:], []byte(s.manifest.path), s.manifest.data, []byte(s.tests.path), s.tests.data, []byte(s.golden.path), s.golden.data} {
		digest := sha256.Sum256(part)
		all = append(all, digest[:]...)
	}
	return sha256.Sum256(all)
}

// readFile reads one regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	data, err := regular.ReadFS(fsys, name, limit)
	if _, ok := errors.AsType[regular.TooLargeError](err); ok {
		return nil, fault.Newf(fault.TooLarge, "%s is larger than %d bytes", name, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return data, nil
}
