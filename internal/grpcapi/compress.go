package grpcapi

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"

	"onnxgate/internal/gunzip"
)

// The compressions of messages are grpc-go's registry's, which is written before
// anybody reads it and never again.
//
//nolint:gochecknoinits // see above
func init() {
	encoding.RegisterCompressor(newGzipCompression())
	encoding.RegisterCompressor(newDeflateCompression())
}

// compression packs and unpacks messages in one format (gRPC over HTTP2, Message
// Encoding). grpc-go bounds what it expands to. It is safe for concurrent use.
type compression struct {
	name             string
	writers, readers sync.Pool // of *packing and *unpacking
}

// packer and unpacker are of the packages of the standard library.
type packer interface {
	io.WriteCloser
	Reset(to io.Writer)
}

type unpacker interface {
	io.Reader
	Reset(from gunzip.Source) error
}

func newGzipCompression() *compression {
	return newCompression("gzip", func() packer { return gzip.NewWriter(nil) }, func() unpacker { return new(gunzip.Reader) })
}

// newDeflateCompression is for the zlib format (RFC 1950), as gRPC's C library has
// it under this name.
func newDeflateCompression() *compression {
	return newCompression("deflate", func() packer { return zlib.NewWriter(nil) }, func() unpacker { return new(inflater) })
}

func newCompression(name string, pack func() packer, unpack func() unpacker) *compression {
	c := &compression{name: name}
	c.writers.New = func() any { return &packing{pack(), c} }
	c.readers.New = func() any { return &unpacking{unpacker: unpack(), of: c} }
	return c
}

// Name is the word in grpc-encoding.
func (c *compression) Name() string { return c.name }

// Compress packs what is written until the Close.
func (c *compression) Compress(to io.Writer) (io.WriteCloser, error) {
	p, _ := c.writers.Get().(*packing)
	p.Reset(to)
	return p, nil
}

// packing is a packer that is used again.
type packing struct {
	packer

	of *compression
}

// Close ends what is packed.
func (p *packing) Close() error {
	defer p.of.writers.Put(p)
	return p.packer.Close()
}

// Decompress reads the head of a message, and returns what it expands to, which
// grpc-go closes.
func (c *compression) Decompress(from io.Reader) (io.Reader, error) {
	u, _ := c.readers.Get().(*unpacking)
	u.source.Reset(from)
	if err := u.Reset(&u.source); err != nil {
		_ = u.Close() // never fails
		return nil, err
	}
	return u, nil
}

// unpacking is an unpacker that is used again.
type unpacking struct {
	unpacker

	source bufio.Reader
	of     *compression
}

// Close gives the memory back.
func (u *unpacking) Close() error {
	u.source.Reset(nil)
	u.of.readers.Put(u)
	return nil
}

// inflater reads the zlib format.
type inflater struct{ io.ReadCloser }

// Reset begins a message.
func (i *inflater) Reset(from gunzip.Source) (err error) {
	if again, ok := i.ReadCloser.(zlib.Resetter); ok {
		return again.Reset(from, nil)
	}
	i.ReadCloser, err = zlib.NewReader(from)
	return err
}
