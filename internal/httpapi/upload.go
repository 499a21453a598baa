package httpapi

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
)

const (
	// uploadTime is how long a model may be on its way and be checked, and
	// stallTime how long no byte of it may come.
	uploadTime = 15 * time.Minute
	stallTime  = 30 * time.Second
)

// upload is a body that is handed on as it comes and never held. At its end the
// rights of who sent it are proven again.
type upload struct {
	x          *exchange
	ctx        context.Context //nolint:containedctx // of the request that it is a part of
	controller *http.ResponseController
	tenant     string
	left       int64
	err        error // what ended it
}

// upload returns the body of a request, of the media type and at most as long as
// the route allows. Reading it gives the faults of readBody. Faults:
// UnsupportedMedia, TooLarge.
func (x *exchange) upload(ctx context.Context, media string) (*upload, error) {
	limit := x.route.MaxBody
	if err := (&intake{media: []string{media}}).check(x.request); err != nil {
		return nil, err
	}
	if x.request.ContentLength > limit {
		return nil, x.tooLarge(limit) // before "100 Continue": nothing is read
	}
	u := &upload{
		x: x, ctx: ctx, controller: http.NewResponseController(x.ResponseWriter), tenant: x.principal.Tenant, left: limit,
	}
	// Where deadlines cannot be set, there are none to extend.
	_ = u.controller.SetWriteDeadline(x.start.Add(x.route.Timeout + writeTime))
	return u, nil
}

// Read takes what has come.
func (u *upload) Read(b []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.x.body == nil {
		u.x.body = heads.Get() // from now on there is a body
	}
	u.until(u.x.listener.api.cfg.Now().Add(stallTime))
	n, err := u.x.request.Body.Read(b)
	u.left -= int64(n)
	switch {
	case u.left < 0:
		u.err = u.x.tooLarge(u.x.route.MaxBody)
		return 0, u.err
	case err == io.EOF:
		u.err = u.end()
	case err != nil:
		u.err = readFault(u.x.request, err)
	}
	return n, u.err
}

// until has the body come until then, or for as long as the route takes.
func (u *upload) until(at time.Time) {
	if last := u.x.start.Add(u.x.route.Timeout); last.Before(at) {
		at = last
	}
	_ = u.controller.SetReadDeadline(at) // as above
}

// end proves again who sends. The change belongs to the tenant that it began for,
// and the credential must still be for the model.
func (u *upload) end() error {
	u.until(u.x.start.Add(u.x.route.Timeout)) // the connection is read on
	if err := u.x.renew(u.ctx); err != nil {
		return err
	}
	req := authz.Request{Principal: u.x.principal, Model: u.x.param("model")}
	if req.Principal.Tenant != u.tenant || !req.InReach() {
		return fault.New(fault.Forbidden, "Operation not permitted")
	}
	return io.EOF
}

// reprDigest returns the SHA-256 that a Repr-Digest field announces (RFC 9530
// section 3): a dictionary of byte sequences (RFC 8941 section 3.2), in which
// other algorithms may stand too. Faults: BadRequest.
func reprDigest(h http.Header) (digest [32]byte, err error) {
	const write = "Send Repr-Digest: sha-256=:BASE64:, with the SHA-256 of the file (openssl dgst -sha256 -binary FILE | base64)"
	found := false
	for member := range strings.SplitSeq(strings.Join(h["Repr-Digest"], ","), ",") {
		algorithm, value, _ := strings.Cut(strings.Trim(member, " \t"), "=")
		if algorithm != "sha-256" {
			continue
		}
		value, opened := strings.CutPrefix(value, ":")
		value, closed := strings.CutSuffix(value, ":")
		sum, err := base64.StdEncoding.Strict().DecodeString(value)
		if found || !opened || !closed || err != nil || len(sum) != len(digest) {
			return digest, fault.New(fault.BadRequest, write)
		}
		found, digest = true, [32]byte(sum)
	}
	if !found {
		return digest, fault.New(fault.BadRequest, write)
	}
	return digest, nil
}
