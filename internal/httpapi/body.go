package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
)

const (
	// firstRead is what a body may claim in memory before any of it arrived:
	// the client's word about its length is worth no more.
	firstRead = 64 << 10
	// drainBody and drainTime bound what is read of a body that is refused for
	// its length.
	drainBody = 16 << 20
	drainTime = 5 * time.Second
	// keepBuffer is the largest buffer that is kept for another request, until the
	// collector has come twice: room for 100,000 rows of numbers, which cost more to
	// clear anew than to decrypt.
	keepBuffer = 4 << 20
)

// buffer is bytes that are used again.
type buffer struct{ B []byte }

// bufferPool hands out empty buffers.
type bufferPool struct{ pool sync.Pool }

// The pools are shared by all: what they hand out is empty and belongs to
// nobody. A body begins in a buffer of heads, which are small, so that all that
// is larger is counted.
var buffers, heads bufferPool

func (p *bufferPool) Get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		b.B = b.B[:0]
		return b
	}
	return &buffer{B: make([]byte, 0, 4096)}
}

func (p *bufferPool) Put(b *buffer) {
	if b != nil && cap(b.B) <= keepBuffer {
		p.pool.Put(b)
	}
}

// readBody reads the whole body of a request, which must be of the media type
// and at most as long as the route allows. The bytes are valid until the answer
// is sent. When they were long on their way, the rights of who sent them are
// proven again, and their faults go before the body's. What a handler derived
// from the principal before it holds no longer where x.renewed says so. Faults:
// UnsupportedMedia, TooLarge, BadRequest, Unavailable, Canceled; those of renew.
func (x *exchange) readBody(ctx context.Context, media string) ([]byte, error) {
	return x.readBodyAs(ctx, intake{media: []string{media}})
}

// readBodyAs is readBody for a handler that takes more than one media type.
func (x *exchange) readBodyAs(ctx context.Context, in intake) ([]byte, error) {
	body, failure := x.receive(in)
	if failure != nil && ctx.Err() != nil {
		return nil, failure // there is no time left to prove anything
	}
	if err := x.renew(ctx); err != nil {
		return nil, err
	}
	return body, failure
}

// receive reads the body, whoever sends it.
func (x *exchange) receive(in intake) ([]byte, error) {
	r, limit := x.request, x.route.MaxBody
	if err := x.expectBody(&in); err != nil {
		return nil, err
	}
	source := io.Reader(r.Body)
	if in.packed {
		p := unpack(r, limit)
		defer p.close()
		source = p.orPlain(source)
	}
	// One byte more than announced: reading it is what finds the end.
	if want := min(r.ContentLength, firstRead) + 1; int64(cap(x.body.B)) < want {
		x.body.B = make([]byte, 0, want)
	}
	for {
		if len(x.body.B) == cap(x.body.B) {
			if err := x.growBody(limit); err != nil {
				return nil, err
			}
		}
		b := x.body.B
		n, err := source.Read(b[len(b):cap(b)])
		x.body.B = b[:len(b)+n]
		if int64(len(x.body.B)) > limit {
			return nil, x.tooLarge(limit)
		}
		if err == io.EOF {
			return x.body.B, nil
		}
		if err != nil {
			return nil, readFault(r, err)
		}
	}
}

// expectBody checks what is known of a body before any of it is read, and lets it
// come.
func (x *exchange) expectBody(in *intake) error {
	if err := in.check(x.request); err != nil {
		return err
	}
	if limit := x.route.MaxBody; x.request.ContentLength > limit {
		return x.tooLarge(limit) // before "100 Continue": nothing is read
	}
	x.body = heads.Get()
	x.allowTime()
	return nil
}

// growBody makes room behind a full buffer: for all that was announced, now that
// the client has shown that it sends, or for half as much again. What is beyond
// the first part of a body must fit into the memory for all. Faults: Unavailable.
func (x *exchange) growBody(limit int64) error {
	have := int64(cap(x.body.B))
	if have <= firstRead {
		b := make([]byte, len(x.body.B), min(2*have, firstRead+1))
		copy(b, x.body.B)
		x.body.B = b
		return nil
	}
	want := min(have+have/2, limit+1)
	if n := x.request.ContentLength; n >= have {
		want = n + 1
	}
	larger := buffers.Get()
	size := max(want, int64(cap(larger.B)))
	if size > limit+1 {
		larger, size = &buffer{}, want // not one that claims more than the body may
	}
	if err := x.claim(size); err != nil {
		buffers.Put(larger)
		return err
	}
	if int64(cap(larger.B)) < want {
		larger.B = make([]byte, 0, want)
	}
	larger.B = append(larger.B, x.body.B...)
	putBody(x.body)
	x.body = larger
	return nil
}

// claim takes of the memory for all what a body of the size needs beyond its
// first part. Faults: Unavailable.
func (x *exchange) claim(size int64) error {
	more := size - (firstRead + 1) - x.claimed
	if more <= 0 {
		return nil
	}
	if !x.listener.api.cfg.Bodies.Take(x.holder(), more) {
		x.drain()
		return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "Too many large bodies are on their way at once; try again, or send fewer rows in each"}
	}
	x.claimed += more
	return nil
}

// holder is who the memory for a body is claimed for: the principal that sent it,
// and its tenant, or else the address.
func (x *exchange) holder() limit.Holder {
	if x.claimed == 0 {
		x.claimant = limit.Holder{Principal: limit.Key(x.info.ClientAddr)}
		if p := x.principal; p != nil {
			x.claimant = limit.Holder{Principal: p.Name(), Tenant: p.Tenant}
		}
	}
	return x.claimant
}

// putBody keeps the buffer of a body for another one.
func putBody(b *buffer) {
	if b != nil && cap(b.B) <= firstRead+1 {
		heads.Put(b)
		return
	}
	buffers.Put(b)
}

// releaseBody gives back what the body takes.
func (x *exchange) releaseBody() {
	putBody(x.body)
	x.body = nil
	if x.claimed > 0 {
		x.listener.api.cfg.Bodies.Give(x.claimant, x.claimed)
		x.claimed = 0
	}
}

// allowTime gives a long body, or one of unknown length, as long as its route
// takes at most. What is short must come in the time that the server gives to
// every request.
func (x *exchange) allowTime() {
	if n := x.request.ContentLength; n < 0 || n > firstRead {
		// Where deadlines cannot be set, there is none to extend.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(x.start.Add(x.route.Timeout))
	}
}

// tooLarge refuses a body for its length.
func (x *exchange) tooLarge(limit int64) error {
	x.drain()
	return fault.Newf(fault.TooLarge, "The body must be at most %d bytes", limit)
}

// drain goes before the refusal of a body. Over HTTP/2 it takes some of what is
// still on its way, into nothing: an answer makes net/http reset the stream, and
// clients that are still sending then lose the answer. Over HTTP/1.1 net/http
// does that by itself, and who announced "100-continue" sends nothing.
func (x *exchange) drain() {
	if r := x.request; r.ProtoMajor == 2 && r.Header["Expect"] == nil {
		x.releaseBody() // nobody reads what came
		// Where deadlines cannot be set, the server's own ends the wait.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(x.start.Add(drainTime))
		_, _ = io.CopyN(io.Discard, r.Body, drainBody) // the refusal stands, however it ends
	}
}

// readFault says why a body did not arrive.
func readFault(r *http.Request, err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err // of what the body is packed in
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return fault.Wrap(fault.BadRequest, "The body did not arrive in time", err)
	}
	if r.Context().Err() != nil {
		return fault.Wrap(fault.Canceled, "", err)
	}
	return fault.Wrap(fault.BadRequest, "The body did not arrive whole", err)
}

// intake is which bodies a handler takes.
type intake struct {
	// media are the types, of which a refusal names the first, and with it other.
	media []string
	other string
	// untyped says that there need be no Content-Type, and that of an empty body says
	// nothing: curl sends one with -d ''.
	untyped bool
	// packed says that the codings gzip and deflate are taken off.
	packed bool
}

// check refuses a body that is encoded or of another type.
func (in *intake) check(r *http.Request) error {
	h := r.Header
	if coding, known := codingOf(h); !known || coding != identityCoding && !in.packed {
		if in.packed {
			return fault.New(fault.UnsupportedMedia, "Send the body as it is, or with the Content-Encoding gzip or deflate")
		}
		return fault.New(fault.UnsupportedMedia, "Send the body as it is, without a Content-Encoding")
	}
	types := h["Content-Type"]
	if in.untyped && (len(types) == 0 || r.ContentLength == 0) {
		return nil
	}
	for _, media := range in.media {
		if len(types) == 1 && (types[0] == media || isMedia(types[0], media)) {
			return nil
		}
	}
	names := in.media[0]
	if in.other != "" {
		names += " or " + in.other
	}
	return fault.New(fault.UnsupportedMedia, "Send the body as Content-Type: "+names)
}

// isMedia reports whether a Content-Type is the media type, with no parameter
// but charset=utf-8, and of a table header=present (RFC 4180 section 3).
func isMedia(value, media string) bool {
	got, params, err := mime.ParseMediaType(value)
	if err != nil || got != media {
		return false
	}
	for name, param := range params {
		switch {
		case name == "charset" && strings.EqualFold(param, "utf-8"):
		case name == "header" && media == mediaCSV && strings.EqualFold(param, "present"):
		default:
			return false
		}
	}
	return true
}
