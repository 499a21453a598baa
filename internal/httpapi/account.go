package httpapi

import (
	"context"

	"onnxgate/internal/identity"
)

// Passwords changes those of users.
type Passwords interface {
	// ChangePassword gives the caller another password for the present one.
	// Faults: Forbidden, Content, RateLimited, Unavailable.
	ChangePassword(ctx context.Context, p *identity.Principal, current, next string) error
}

// maxPasswordBody fits two of the longest passwords where each byte is escaped.
const maxPasswordBody = 16 << 10

type passwordRequest struct {
	Current *string `json:"current_password" validate:"required" want:"a string"`
	New     *string `json:"new_password"     validate:"required" want:"a string"`
}

// changePassword gives the caller another password. The token that asked for it
// ends with it.
func (a *API) changePassword(ctx context.Context, x *exchange) error {
	var req passwordRequest
	if err := x.readMembers(ctx, &req); err != nil {
		return err
	}
	if err := a.cfg.Passwords.ChangePassword(ctx, x.principal, *req.Current, *req.New); err != nil {
		return err
	}
	x.sendMember("name", x.principal.Subject)
	return nil
}
