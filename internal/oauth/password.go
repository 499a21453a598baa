package oauth

import (
	"context"
	"errors"
	"slices"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

const grantPassword = "password"

// passwordGrant is the resource owner password credentials grant (RFC 6749
// section 4.3), for this server's own users.
type passwordGrant struct {
	passwords Passwords
	validate  *validator.Validate
	// refresh says that there are refresh tokens.
	refresh bool
}

// passwordForm is what the grant reads. An empty parameter counts as missing
// (RFC 6749 section 3.2).
type passwordForm struct {
	Username string `form:"username" validate:"required"`
	Password string `form:"password" validate:"required"`
}

func (g *passwordGrant) authorize(ctx context.Context, req *request) (*subject, error) {
	in := passwordForm{Username: req.form.Get("username"), Password: req.form.Get("password")}
	if err := checkForm(g.validate, &in); err != nil {
		return nil, err
	}
	if req.scope.offline && !g.mayRefresh(req.client) {
		return nil, errScope("This client may not use refresh tokens, and so not the scope offline_access")
	}
	principal, stamp, err := g.passwords.VerifyPassword(ctx, in.Username, in.Password)
	if err == nil && req.client != nil && principal.Tenant != req.client.Tenant {
		err = fault.Wrap(fault.Unauthenticated, "Incorrect username or password", errors.New("the client is another tenant's"))
	}
	if f := fault.As(err); f != nil && f.Kind == fault.Unauthenticated {
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: CodeInvalidGrant, Msg: f.Msg, Err: f.Err}
	}
	if err != nil {
		return nil, err
	}
	return &subject{
		grant: identity.Grant{Principal: principal, Stamp: identity.StampThrough(stamp, req.client), ClientID: idOf(req.client)}, offline: req.scope.offline,
	}, nil
}

func (g *passwordGrant) mayRefresh(client *identity.Client) bool {
	return g.refresh && (client == nil || slices.Contains(client.Grants, grantRefreshToken))
}
