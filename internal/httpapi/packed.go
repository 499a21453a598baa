package httpapi

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"onnxgate/internal/fault"
	"onnxgate/internal/gunzip"
)

// coding is a content coding (RFC 9110 section 8.4.1).
type coding string

// The codings that are known here.
const (
	identityCoding coding = "identity"
	gzipCoding     coding = "gzip"
	// deflateCoding is zlib's format (RFC 1950) by the book; the bare one of RFC
	// 1951 is taken too, as it is everywhere.
	deflateCoding coding = "deflate"
)

// codingOf returns how a body is encoded, and false for what is not known here.
func codingOf(h http.Header) (coding, bool) {
	values := h["Content-Encoding"]
	if len(values) == 0 {
		return identityCoding, true
	}
	if len(values) > 1 {
		return "", false
	}
	switch strings.ToLower(values[0]) {
	case "identity":
		return identityCoding, true
	case "gzip", "x-gzip":
		return gzipCoding, true
	case "deflate":
		return deflateCoding, true
	}
	return "", false
}

// unpacker reads what a body of a coding expands to. Whoever reads bounds that;
// the unpacker bounds what it is made of, since a body can be long and expand to
// nothing.
type unpacker struct {
	coding coding
	limit  int64
	left   int64 // of what may arrive
	body   io.Reader
	failed error // how reading the body ended
	begun  bool
	out    io.Reader

	buf  bufio.Reader
	gzip gunzip.Reader
	zlib io.ReadCloser // nil before its first use, and so is flate
	raw  io.ReadCloser
}

// unpackers are large, and used again by anybody.
var unpackers = sync.Pool{New: func() any { return new(unpacker) }}

// unpack returns what takes the coding off a request's body, nil when it has none.
func unpack(r *http.Request, limit int64) *unpacker {
	c, _ := codingOf(r.Header)
	if c == identityCoding {
		return nil
	}
	u, ok := unpackers.Get().(*unpacker)
	if !ok {
		u = new(unpacker)
	}
	u.coding, u.limit, u.left, u.body, u.failed, u.begun = c, limit, limit, r.Body, nil, false
	u.buf.Reset(arriving{u})
	return u
}

// orPlain returns what to read: u, or the body as it is.
func (u *unpacker) orPlain(body io.Reader) io.Reader {
	if u == nil {
		return body
	}
	return u
}

// close gives the memory back.
func (u *unpacker) close() {
	if u != nil {
		u.body, u.out = nil, nil
		u.buf.Reset(nil)
		unpackers.Put(u)
	}
}

// arriving is a body on its way into an unpacker.
type arriving struct{ *unpacker }

func (a arriving) Read(b []byte) (int, error) {
	if a.left <= 0 {
		b = b[:1] // to find the end
	}
	n, err := a.body.Read(b)
	if a.left -= int64(n); a.left < 0 {
		n, err = 0, fault.Newf(fault.TooLarge, "The body must be at most %d bytes", a.limit)
	}
	if err != nil {
		a.failed = err
	}
	return n, err
}

// Read returns faults of the coding as they are to be told, and those of the body
// as they came.
func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.read(b)
	switch {
	case err == nil:
		return n, nil
	case u.failed != nil && u.failed != io.EOF: //nolint:errorlint // the value that readers return
		return n, u.failed
	case errors.Is(err, gunzip.ErrMembers):
		return n, fault.Newf(fault.TooLarge, "The body must have at most %d gzip members", gunzip.MaxMembers)
	case err != io.EOF: //nolint:errorlint // as above
		return n, fault.Wrap(fault.Syntax, "The body is not what its Content-Encoding says: "+string(u.coding), err)
	}
	if _, err := u.buf.ReadByte(); err != io.EOF { //nolint:errorlint // as above
		return n, fault.New(fault.Syntax, "Something follows the end of the body's Content-Encoding")
	}
	return n, io.EOF
}

func (u *unpacker) read(b []byte) (int, error) {
	if !u.begun {
		if err := u.begin(); err != nil {
			return 0, err
		}
		u.begun = true
	}
	return u.out.Read(b)
}

// begin reads the head of the coding.
func (u *unpacker) begin() (err error) {
	if u.coding == gzipCoding {
		u.out = &u.gzip
		return u.gzip.Reset(&u.buf)
	}
	head, err := u.buf.Peek(2)
	if err != nil {
		return whole(err)
	}
	// RFC 1950 section 2.2: the method in the low bits, and a multiple of 31.
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		u.zlib, err = again(u.zlib, &u.buf, func() (io.ReadCloser, error) { return zlib.NewReader(&u.buf) })
		u.out = u.zlib
		return whole(err)
	}
	u.raw, err = again(u.raw, &u.buf, func() (io.ReadCloser, error) { return flate.NewReader(&u.buf), nil })
	u.out = u.raw
	return whole(err)
}

// again uses a reader once more, or makes one.
func again(old io.ReadCloser, from io.Reader, first func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	if r, ok := old.(zlib.Resetter); ok {
		return old, r.Reset(from, nil)
	}
	return first()
}

// whole is err, but that a body which ends in its head has not ended well.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// packFrom is the shortest answer that is worth packing.
const packFrom = 1024

// packer packs answers. It is used again by anybody.
type packer struct {
	gzip *gzip.Writer
	zlib *zlib.Writer
}

var packers = sync.Pool{New: func() any {
	g, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	z, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	return &packer{g, z}
}}

var (
	varyCoding     = []string{"Accept-Encoding"}
	encodedGzip    = []string{"gzip"}
	encodedDeflate = []string{"deflate"}
)

// sendPacked writes a whole answer, 200, in the coding that the client prefers.
func (x *exchange) sendPacked(body []byte) {
	h := x.Header()
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyCoding
	} else {
		x.addHeader("Vary", varyCoding[0])
	}
	c := preferred(x.request.Header["Accept-Encoding"])
	if c == identityCoding || len(body) < packFrom {
		x.send(http.StatusOK, body)
		return
	}
	p, _ := packers.Get().(*packer)
	defer packers.Put(p)
	answer := buffers.Get()
	defer buffers.Put(answer)
	h["Content-Encoding"] = encodedGzip
	into := io.WriteCloser(p.gzip)
	if p.gzip.Reset(answer); c == deflateCoding {
		h["Content-Encoding"] = encodedDeflate
		into = p.zlib
		p.zlib.Reset(answer)
	}
	_, _ = into.Write(body) // into memory
	_ = into.Close()
	x.send(http.StatusOK, answer.B)
}

// Write appends to the buffer.
func (b *buffer) Write(p []byte) (int, error) {
	b.B = append(b.B, p...)
	return len(p), nil
}

// preferred returns the coding to answer in (RFC 9110 section 12.5.3): of those
// that are known here the one that is wanted most, and gzip among equals.
func preferred(accept []string) coding {
	best, most := identityCoding, 0.0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			name, weight := weighted(item)
			if name == "*" || name == "x-gzip" {
				name = string(gzipCoding)
			}
			c := coding(name)
			if (c == gzipCoding || c == deflateCoding) && (weight > most || weight == most && weight > 0 && c == gzipCoding) {
				best, most = c, weight
			}
		}
	}
	return best
}

// weighted splits an element of Accept-Encoding; a weight that is none counts as 0.
func weighted(item string) (name string, weight float64) {
	name, parameter, has := strings.Cut(item, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	if !has {
		return name, 1
	}
	key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
	weight, err := strconv.ParseFloat(value, 64)
	if !strings.EqualFold(key, "q") || err != nil || !(weight >= 0 && weight <= 1) {
		return name, 0
	}
	return name, weight
}
