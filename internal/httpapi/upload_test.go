package httpapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/delivery"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
)

// depot takes every file, and remembers the last one.
type depot struct {
	httpapi.Delivery

	file string
	err  error // of reading it
}

func (d *depot) Put(_ context.Context, _ *identity.Principal, c *delivery.Change) (bool, error) {
	data, err := io.ReadAll(c.File)
	d.file, d.err = string(data), err
	return true, err
}

// sending is a body that comes in pieces, each after a pause on a clock of its own,
// over a connection that ends at its deadline. It is the response, too.
type sending struct {
	*httptest.ResponseRecorder

	clock     time.Time
	deadline  time.Time
	deadlines []time.Duration // that were set, from the request's begin
	begun     time.Time
	pieces    []string
	pause     time.Duration
	before    func(piece int)
	sent      int
}

func (s *sending) now() time.Time { return s.clock }

// SetReadDeadline is what http.ResponseController looks for.
func (s *sending) SetReadDeadline(t time.Time) error {
	s.deadline = t
	s.deadlines = append(s.deadlines, t.Sub(s.begun))
	return nil
}

func (*sending) SetWriteDeadline(time.Time) error { return nil }

// Read returns the next piece.
func (s *sending) Read(b []byte) (int, error) {
	if s.clock = s.clock.Add(s.pause); !s.deadline.IsZero() && s.clock.After(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	if s.before != nil {
		s.before(s.sent)
	}
	if s.sent == len(s.pieces) {
		return 0, io.EOF
	}
	n := copy(b, s.pieces[s.sent])
	s.sent++
	return n, nil
}

// push sends the pieces as version 2 of iris.
func (s *sending) push(t *testing.T, o *office, d *depot) {
	t.Helper()
	s.begun = time.Unix(1_000_000, 0)
	s.clock, s.ResponseRecorder = s.begun, httptest.NewRecorder()
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator, c.Delivery, c.Now, c.MaxModel = o, d, s.now, 1<<10 })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/admin/v1/models/iris/versions/2", io.NopCloser(s))
	sum := sha256.Sum256([]byte(strings.Join(s.pieces, "")))
	r.Host, r.ContentLength = "localhost", -1
	r.Header = http.Header{
		"Authorization": {"Bearer x"}, "Content-Type": {"application/octet-stream"},
		"Repr-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"},
	}
	f.api.Admin().ServeHTTP(s, r)
}

func TestAnUploadMayTakeLongAndNotStall(t *testing.T) {
	for name, tc := range map[string]struct {
		pause time.Duration
		times int
		want  int
	}{
		"at once":                              {0, 3, http.StatusCreated},
		"slowly, and always something":         {29 * time.Second, 20, http.StatusCreated},
		"stalled":                              {31 * time.Second, 3, http.StatusBadRequest},
		"slowly, and longer than there is":     {29 * time.Second, 60, http.StatusBadRequest},
		"at once, and longer than a model may": {0, 2 << 10, http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			o, d := &office{}, &depot{}
			o.now.Store(employed())
			s := &sending{pause: tc.pause, pieces: strings.Split(strings.Repeat("m", tc.times), "")}
			s.push(t, o, d)
			if s.Code != tc.want {
				t.Errorf("%d %s, want %d", s.Code, s.Body, tc.want)
			}
			if (d.err == nil) != (tc.want == http.StatusCreated) {
				t.Errorf("the file was read with %v", d.err)
			}
			for _, at := range s.deadlines {
				if at > 15*time.Minute {
					t.Errorf("a deadline %v after the begin", at)
				}
			}
		})
	}
}

func TestAPushIsHeldToTheRightsAtItsEnd(t *testing.T) {
	narrowed, elsewhere := employed(), employed()
	narrowed.Models, elsewhere.Models = []string{"iris"}, []string{"wine"}
	for name, tc := range map[string]struct {
		then *identity.Principal
		want int
	}{
		"nothing happens":                      {employed(), http.StatusCreated},
		"the key is for this model alone":      {narrowed, http.StatusCreated},
		"nobody is it any more":                {nil, http.StatusUnauthorized},
		"it may not write any more":            {caller("default", "admin", "models:read"), http.StatusForbidden},
		"it is of another tenant":              {caller("acme", "admin", "models:write"), http.StatusForbidden},
		"the key is for other models now":      {elsewhere, http.StatusForbidden},
		"one of two credentials is for others": {&identity.Principal{Tenant: "default", Roles: []string{"admin"}, Scopes: employed().Scopes, With: elsewhere}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			o, d := &office{}, &depot{}
			o.now.Store(employed())
			s := &sending{pause: time.Second, pieces: []string{"mo", "del"}, before: func(piece int) {
				if piece == 1 {
					o.now.Store(tc.then)
				}
			}}
			s.push(t, o, d)
			if s.Code != tc.want {
				t.Errorf("%d %s, want %d", s.Code, s.Body, tc.want)
			}
			if d.file != "model" || (d.err == nil) != (tc.want == http.StatusCreated) {
				t.Errorf("the depot got %q with %v", d.file, d.err)
			}
			if proofs := o.proofs.Load(); proofs != 2 {
				t.Errorf("proven %d times, want twice", proofs)
			}
		})
	}
}
