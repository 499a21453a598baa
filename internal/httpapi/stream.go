package httpapi

import (
	"context"
	"io"
)

// bodyStream is a body that is read as it comes, up to the length that its route
// allows. What is made of it counts as a body that is held does.
type bodyStream struct {
	x    *exchange
	size func() int64 // of what was made of the body so far, in bytes
	read int64
	end  error // what ended it: io.EOF, or a fault
}

// Read implements io.Reader. Faults: TooLarge, BadRequest, Unavailable, Canceled.
func (s *bodyStream) Read(p []byte) (int, error) {
	if s.end != nil {
		return 0, s.end
	}
	n, err := s.x.request.Body.Read(p)
	s.read += int64(n)
	switch limit := s.x.route.MaxBody; {
	case s.read > limit:
		n, err = 0, s.x.tooLarge(limit)
	case err == nil:
		err = s.x.claim(min(s.size(), s.x.listener.api.cfg.Bodies.Share()))
	case err != io.EOF: //nolint:errorlint // as net/http returns it
		err = readFault(s.x.request, err)
	}
	s.end = err
	return n, err
}

// streamBody has decode read the body as it comes, where readBody would give it
// whole, and takes its length and its end for as much: a fault of the body goes
// before what decode finds in it. Faults: those of readBody, and of decode.
func (x *exchange) streamBody(ctx context.Context, in *intake, size func() int64, decode func(io.Reader) error) error {
	failure := x.pass(in, size, decode)
	if failure != nil && ctx.Err() != nil {
		return failure // there is no time left to prove anything
	}
	if err := x.renew(ctx); err != nil {
		return err
	}
	return failure
}

// pass has decode read the body, whoever sends it.
func (x *exchange) pass(in *intake, size func() int64, decode func(io.Reader) error) error {
	if err := x.expectBody(in); err != nil {
		return err
	}
	s := &bodyStream{x: x, size: size}
	failure := decode(s)
	if s.end == nil {
		_, _ = io.Copy(io.Discard, s) // how it ends is in s.end
	}
	x.streamed = s.read
	if s.end != io.EOF { //nolint:errorlint // as readers return it
		return s.end
	}
	return failure
}
