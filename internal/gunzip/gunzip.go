// Package gunzip reads what was compressed with gzip by somebody who is not
// trusted. It bounds the number of members (RFC 1952 section 2.2), of which a
// file may have any number: an empty one takes twenty bytes, and as much time to
// begin and to end as a hundred times that in one member.
//
// It bounds neither what comes in nor what comes out, which is the reader's.
package gunzip

import (
	"compress/gzip"
	"errors"
	"io"
)

// MaxMembers is how many members there may be: more than tools make that write
// one for each block of 64 KiB.
const MaxMembers = 1024

// ErrMembers says that there are more.
var ErrMembers = errors.New("gunzip: too many members")

// Source is what is read: a reader that can be asked for one byte, so that nothing
// behind the end is taken.
type Source interface {
	io.Reader
	io.ByteScanner
}

// Reader reads the content of one gzip file after another. The zero value is one
// that Reset begins. It is for one goroutine.
type Reader struct {
	src     Source
	gzip    gzip.Reader
	members int
}

// Reset begins a file, and reads its first header. Errors: gzip.ErrHeader, those of
// src; io.ErrUnexpectedEOF where there is nothing.
func (r *Reader) Reset(src Source) error {
	r.src, r.members = src, 0
	return r.next()
}

// next begins a member.
func (r *Reader) next() error {
	if r.members++; r.members > MaxMembers {
		return ErrMembers
	}
	err := r.gzip.Reset(r.src)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	r.gzip.Multistream(false)
	return err
}

// Read returns io.EOF behind the last member. Other errors: ErrMembers, those of
// gzip.Reader, those of the source.
func (r *Reader) Read(b []byte) (int, error) {
	for {
		n, err := r.gzip.Read(b)
		if err != io.EOF { //nolint:errorlint // the value that readers return
			return n, err
		}
		if n > 0 {
			return n, nil // its end is found again
		}
		if _, err := r.src.ReadByte(); err != nil {
			return 0, err
		}
		if err := r.src.UnreadByte(); err != nil {
			return 0, err
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}
