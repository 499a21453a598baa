package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"onnxgate/internal/regular"
)

// stored is a key as a file has it, one a line.
type stored struct {
	ID     string `json:"id,omitempty"`
	Tenant string `json:"tenant"`
	// Key is sealed or wrapped; nil when it was destroyed.
	Key []byte `json:"key"`
}

func (s *stored) destroyed() bool { return len(s.Key) == 0 }

// file is a file of keys.
type file struct {
	path string
	// info is the file as it was read, and size how much of it are whole lines.
	info fs.FileInfo
	size int64
}

// changed reports whether the file is not the one that was read.
func (f *file) changed() (bool, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.info != nil, nil
	}
	if err != nil {
		return false, err
	}
	return f.info == nil || !os.SameFile(info, f.info) || info.Size() != f.size, nil
}

// read returns the keys of the file; none when there is no file. A last line that
// was not written to its end does not count: nothing was sealed with that key.
func (f *file) read() ([]stored, error) {
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.info, f.size = nil, 0
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // it was only read
	if f.info, err = in.Stat(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	f.size = int64(bytes.LastIndexByte(data, '\n') + 1)
	var all []stored
	for line := range bytes.Lines(data[:f.size]) {
		var s stored
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", f.path, len(all)+1, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func encode(all []stored) ([]byte, error) {
	var data []byte
	for i := range all {
		line, err := json.Marshal(&all[i])
		if err != nil {
			return nil, err
		}
		data = append(append(data, line...), '\n')
	}
	return data, nil
}

// append adds keys, all or none, and waits for the disk.
func (f *file) append(all []stored) (err error) {
	data, err := encode(all)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err = out.Truncate(f.size); err == nil {
		_, err = out.WriteAt(data, f.size)
	}
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return errors.Join(err, out.Truncate(f.size))
	}
	made := f.info == nil
	if f.info, err = out.Stat(); err != nil {
		return err
	}
	f.size += int64(len(data))
	if made {
		err = regular.Sync(filepath.Dir(f.path))
	}
	return err
}

// replace puts other keys in the place of those of the file: all or none.
func (f *file) replace(all []stored) error {
	data, err := encode(all)
	if err != nil {
		return err
	}
	return replaceFile(f.path, data)
}

// replaceFile puts a new file in the place of another: the one or the other is
// there, whole, whenever the process is killed.
func replaceFile(path string, data []byte) error {
	temp, err := writeTemp(filepath.Dir(path), data)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return regular.Sync(filepath.Dir(path))
}

const tempPrefix = ".new-"

// writeTemp writes a new file of the directory to the disk, and returns its path.
// Those of processes that were killed it removes, so that no key outlasts there what
// destroyed or rewrapped it.
func writeTemp(dir string, data []byte) (path string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}
