// Package authn turns a credential into a Principal. It owns the chain of
// authenticators and the verification of access tokens (RFC 9068).
//
// It must not know where a credential stood in a request, how users are
// stored, or what a principal may do.
package authn

import (
	"context"
	"errors"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Credentials is what a request presented.
type Credentials struct {
	// Bearer is the token of "Authorization: Bearer" (RFC 6750 section 2.1),
	// empty when there was none.
	Bearer string
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

type chain []Authenticator

// Chain returns the authenticator that asks each in turn. The first that does
// not answer ErrNotMine decides. When all do, the fault is Unauthenticated,
// without a Code when there was no credential: RFC 6750 section 3.1 wants no
// error code then.
func Chain(all ...Authenticator) Authenticator { //nolint:ireturn // a chain is an authenticator and nothing else
	return chain(all)
}

func (all chain) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	for _, a := range all {
		principal, err := a.Authenticate(ctx, c)
		if err == nil || !errors.Is(err, ErrNotMine) {
			return principal, err
		}
	}
	if c.Bearer != "" {
		return nil, refuse(msgInvalid, ErrNotMine)
	}
	return nil, fault.New(fault.Unauthenticated, "Authentication is required: send an access token as Authorization: Bearer")
}

// What a client is told. Only the holder of a genuine token learns more than
// that it is not valid.
const (
	msgInvalid = "The access token is not valid"
	msgExpired = "The access token has expired; get a new one"
	msgRevoked = "The access token is no longer valid; get a new one"
)

// refuse returns the fault of a refused token (RFC 6750 section 3.1), with the
// reason for the log.
func refuse(msg string, reason error) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Msg: msg, Err: reason}
}
