// Package authn turns a credential into a Principal. It owns the chain of
// authenticators and the verification of access tokens (RFC 9068).
//
// It must not know where a credential stood in a request, how users are
// stored, or what a principal may do.
package authn

import (
	"context"
	"crypto/x509"
	"errors"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Credentials is what a request presented.
type Credentials struct {
	// Bearer is the token of "Authorization: Bearer" (RFC 6750 section 2.1),
	// empty when there was none.
	Bearer string
	// APIKey is the text of an API key, empty when there was none.
	APIKey string
	// Certificates are those that the connection's client presented, its own
	// first; none without TLS or without a client certificate.
	Certificates []*x509.Certificate
}

// ErrNotMine says that a credential is not of the kind that an authenticator
// judges, so that the next of a chain should look.
var ErrNotMine = errors.New("authn: the credential is for another authenticator")

// Authenticator proves who presents a credential. Its error is ErrNotMine, or
// a fault: Unauthenticated for a credential that is refused, Unavailable when
// it could not be judged.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error)
}

type chain struct {
	all  []Authenticator
	gate *gate
}

// Chain returns the authenticator that asks each in turn. The first that does
// not answer ErrNotMine decides. When all do, the fault is Unauthenticated,
// without a Code when there was no credential: RFC 6750 section 3.1 wants no
// error code then. Whoever was proven is let in by the present state of its
// tenant: the fault is Forbidden for an address that the tenant does not allow.
func Chain(tenants Tenants, all ...Authenticator) Authenticator { //nolint:ireturn // a chain is an authenticator and nothing else
	return &chain{all: all, gate: newGate(tenants)}
}

func (c *chain) Authenticate(ctx context.Context, presented Credentials) (*identity.Principal, error) {
	for _, a := range c.all {
		principal, err := a.Authenticate(ctx, presented)
		if err == nil {
			return c.gate.admit(ctx, principal)
		}
		if !errors.Is(err, ErrNotMine) {
			return nil, err
		}
	}
	switch {
	case presented.Bearer != "":
		return nil, refuse(msgInvalid, ErrNotMine)
	case presented.APIKey != "":
		return nil, refuse(msgInvalidKey, ErrNotMine)
	}
	return nil, fault.New(fault.Unauthenticated, "Authentication is required: send an access token as Authorization: Bearer, or an API key as X-API-Key")
}

// What a client is told. Only the holder of a genuine token learns more than
// that it is not valid.
const (
	msgInvalidKey = "The API key is not valid"
	msgAddress    = "This credential may not be used from your address"
	msgInvalid    = "The access token is not valid"
	msgExpired    = "The access token has expired; get a new one"
	msgRevoked    = "The access token is no longer valid; get a new one"
)

// refuse returns the fault of a refused token (RFC 6750 section 3.1), with the
// reason for the log.
func refuse(msg string, reason error) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Msg: msg, Err: reason}
}
