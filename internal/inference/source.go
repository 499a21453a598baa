package inference

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"onnxgate/internal/fault"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
)

// source is what a version is made of, as it was read.
type source struct {
	data            []byte
	manifest, tests file
}

// file is one that may be there; path is empty when it is not.
type file struct {
	path string
	data []byte
}

func (l *loader) read(label, id string) (src source, err error) {
	if !l.rules {
		if src.data, err = readFile(l.cfg.FS, path.Join(label, id, modelFile), l.cfg.MaxBytes); err != nil {
			return src, err
		}
	}
	if src.manifest, err = l.beside(label, id, manifestFile); err != nil {
		return src, err
	}
	src.tests, err = l.beside(label, id, accessTestFile)
	return src, err
}

// parse reads the manifest, nil when there is none.
func (s *source) parse() (*schema.Manifest, error) {
	if s.manifest.path == "" {
		return nil, nil //nolint:nilnil // no manifest is no failure: the graph alone decides
	}
	return schema.Parse(s.manifest.path, s.manifest.data)
}

// beside returns a file that stands beside the version's model, else one beside
// all versions, else none.
func (l *loader) beside(label, id, name string) (file, error) {
	for _, at := range []string{path.Join(label, id, name), path.Join(label, name)} {
		data, err := readFile(l.cfg.FS, at, MaxManifest)
		switch {
		case err == nil:
			return file{at, data}, nil
		case !errors.Is(err, fs.ErrNotExist):
			return file{}, err
		}
	}
	return file{}, nil
}

// digest is of what a version, or a model, is made of.
type digest [sha256.Size]byte

// digest tells what the model is made of from what it was made of before.
func (m *model) digest() digest {
	var all []byte
	for _, v := range m.versions {
		all = append(append(all, v.id...), v.digest[:]...)
	}
	return sha256.Sum256(all)
}

// fingerprint tells two versions apart: the digest of the digests of what they
// are made of, and of where that stands.
func (s *source) fingerprint() digest {
	var all []byte
	for _, part := range [][]byte{s.data, []byte(s.manifest.path), s.manifest.data, []byte(s.tests.path), s.tests.data} {
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
