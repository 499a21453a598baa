package oauth

import (
	"context"
	"strings"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

const grantRefreshToken = "refresh_token"

// RefreshTokens keeps the lines of refresh tokens.
type RefreshTokens interface {
	// NewFamily begins one and returns its first token, and its id. The fault is
	// BadRequest when the user is not any more who signed in.
	NewFamily(ctx context.Context, grant *identity.Grant) (token, family string, err error)
	// Refresh exchanges a token of the client for the next one. The fault is
	// BadRequest for a token that does not count.
	Refresh(ctx context.Context, token, clientID string) (grant *identity.Grant, next string, err error)
	// RevokeRefreshToken ends the line of a token of the client. One that is not
	// known is no failure; the fault is Forbidden for another client's.
	RevokeRefreshToken(ctx context.Context, token, clientID string) error
	// InspectRefreshToken returns what a token stands for. The fault is
	// BadRequest when it does not count.
	InspectRefreshToken(ctx context.Context, token string) (*identity.Grant, error)
}

// refreshGrant exchanges a refresh token (RFC 6749 section 6), which counts once
// (RFC 9700 section 4.14.2).
type refreshGrant struct {
	tokens   RefreshTokens
	validate *validator.Validate
}

// refreshForm is what the grant reads.
type refreshForm struct {
	RefreshToken string `form:"refresh_token" validate:"required"`
}

func (g *refreshGrant) authorize(ctx context.Context, req *request) (*subject, error) {
	in := refreshForm{RefreshToken: req.form.Get("refresh_token")}
	if err := checkForm(g.validate, &in); err != nil {
		return nil, err
	}
	if err := g.checkScope(ctx, in.RefreshToken, req.scope); err != nil {
		return nil, err
	}
	grant, next, err := g.tokens.Refresh(ctx, in.RefreshToken, idOf(req.client))
	if err != nil {
		return nil, invalidGrant(err)
	}
	return &subject{grant: *grant, refreshToken: next}, nil
}

// invalidGrant gives the fault of what a refresh token goes back to its code.
func invalidGrant(err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.BadRequest {
		return &fault.Error{Kind: fault.BadRequest, Code: CodeInvalidGrant, Msg: f.Msg, Err: err}
	}
	return err
}

// checkScope refuses more than was granted, before the token is used up.
func (g *refreshGrant) checkScope(ctx context.Context, token string, requested scope) error {
	if len(requested.permissions) == 0 {
		return nil
	}
	grant, err := g.tokens.InspectRefreshToken(ctx, token)
	if err != nil {
		return nil //nolint:nilerr // what is wrong with it, using it says
	}
	if !within(requested.permissions, strings.Fields(grant.Scope)) {
		return errScope("A refresh token gives no more scope than was granted with it")
	}
	return nil
}
