package oauth

import (
	"context"
	"net/url"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
)

const (
	grantPassword = "password"
	// passwordClient is the client_id of tokens that a user got by password,
	// without a client (RFC 9068 section 2.2 requires one).
	passwordClient = "onnxgate"
)

// passwordGrant is the resource owner password credentials grant (RFC 6749
// section 4.3), for this server's own users.
type passwordGrant struct {
	passwords Passwords
	validate  *validator.Validate
}

// passwordForm is what the grant reads. An empty parameter counts as missing
// (RFC 6749 section 3.2).
type passwordForm struct {
	Username string `form:"username" validate:"required"`
	Password string `form:"password" validate:"required"`
}

func (g *passwordGrant) authorize(ctx context.Context, form url.Values) (*subject, error) {
	in := passwordForm{Username: form.Get("username"), Password: form.Get("password")}
	if err := checkForm(g.validate, &in); err != nil {
		return nil, err
	}
	principal, stamp, err := g.passwords.VerifyPassword(ctx, in.Username, in.Password)
	if f := fault.As(err); f != nil && f.Kind == fault.Unauthenticated {
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: CodeInvalidGrant, Msg: f.Msg, Err: f.Err}
	}
	if err != nil {
		return nil, err
	}
	return &subject{principal: principal, stamp: stamp, clientID: passwordClient}, nil
}
