package httpapi

import (
	"context"
	"strings"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// AccessTokens reads access tokens of this server.
type AccessTokens interface {
	// Inspect returns what a token says that would be accepted now. The fault is
	// Unauthenticated for every other.
	Inspect(ctx context.Context, token string) (*identity.AccessToken, error)
}

// newRevocation names what is to end: one access token, or everything that was
// issued to a user or a client until now.
type newRevocation struct {
	Token   *string `json:"token"   want:"an access token"`
	Subject *string `json:"subject" want:"the name of a user or the id of a client"`
}

// revokeAny ends tokens before their time.
func (a *API) revokeAny(ctx context.Context, x *exchange) error {
	var req newRevocation
	if err := x.readChange(ctx, &req); err != nil {
		return err
	}
	if req.Token != nil && req.Subject != nil {
		return wrongAt("", "must name either a token or a subject")
	}
	if req.Token != nil {
		return x.deleted(a.revokeToken(ctx, x, *req.Token))
	}
	subject := *req.Subject
	if !strings.HasPrefix(subject, accounts.ClientPrefix) {
		name, err := accounts.CanonicalName(subject)
		if err != nil {
			return wrongAt("/subject", "there is no such user or client")
		}
		subject = name
	}
	err := a.cfg.Accounts.RevokeAll(ctx, a.actor(x), subject)
	if fault.KindOf(err) == fault.NotFound {
		return wrongAt("/subject", "there is no such user or client")
	}
	return x.deleted(err)
}

func (a *API) revokeToken(ctx context.Context, x *exchange, text string) error {
	token, err := a.cfg.Access.Inspect(ctx, text)
	if err == nil {
		err = a.cfg.Accounts.RevokeToken(ctx, a.actor(x), token)
	}
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Unauthenticated {
		return wrongAt("/token", "is no access token of this server that still counts")
	}
	return err
}
