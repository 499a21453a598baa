// Package regular reads files whose names come from outside: regular ones
// alone, up to a bound, and without waiting. A named pipe, a device or a folder
// in the place of a file is an error and never a reader that hangs, or that does
// not end. It also says what other users may do to files that hold secrets, and
// writes small files that are whole or not there, on the disk.
//
// It must not know what the files hold.
package regular

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular is the reason for refusing a folder, a pipe, a socket or a
// device.
var ErrNotRegular = errors.New("not a regular file")

// TooLargeError is the reason for refusing a file that has more bytes than the
// bound, which is its value.
type TooLargeError int64

// Error names the bound.
func (e TooLargeError) Error() string { return fmt.Sprintf("larger than %d bytes", int64(e)) }

// ReadFile returns what the file holds, and its metadata from the descriptor
// that was read. It follows links. Its errors are of type *fs.PathError.
func ReadFile(name string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := openNow(name)
	if err != nil {
		return nil, nil, err
	}
	return read(f, name, limit)
}

// Open opens a file that is too large to be held, to be read from its beginning.
// It follows links. Its errors are of type *fs.PathError.
func Open(name string) (*os.File, error) {
	f, err := openNow(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		_ = f.Close() // only read from
		return nil, err
	}
	return f, nil
}

func openNow(name string) (*os.File, error) {
	// Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // G304: the operator names the file
}

// ReadFS is ReadFile for a file system that may have no descriptors. It looks
// before it opens, because such a file system cannot be told not to wait.
func ReadFS(fsys fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, _, err := read(f, name, limit)
	return data, err
}

// read takes the file over and closes it.
func read(f fs.File, name string, limit int64) (data []byte, info fs.FileInfo, err error) {
	defer f.Close() //nolint:errcheck // only read from
	fail := func(reason error) ([]byte, fs.FileInfo, error) {
		if e, ok := errors.AsType[*fs.PathError](reason); ok {
			return nil, nil, e
		}
		return nil, nil, &fs.PathError{Op: "read", Path: name, Err: reason}
	}
	info, err = f.Stat()
	switch {
	case err != nil:
		return fail(err)
	case !info.Mode().IsRegular():
		return fail(ErrNotRegular)
	case info.Size() > limit:
		return fail(TooLargeError(limit))
	}
	// A buffer that grows itself clears all of it, where this one is new memory.
	buf := bytes.NewBuffer(make([]byte, 0, int(info.Size())+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return fail(err)
	case n > limit: // it grew since it was measured
		return fail(TooLargeError(limit))
	}
	return buf.Bytes(), info, nil
}
