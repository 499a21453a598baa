package httpapi

import (
	"context"
	"math"

	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
)

// Sealer seals text with the keys of the principal's tenant. Faults: Content, TooLarge,
// Unavailable; of Open also Undecryptable, the same for whatever is wrong with a
// token.
type Sealer interface {
	Seal(ctx context.Context, p *identity.Principal, text string) (token string, err error)
	// Open takes a token that is at most maxAge seconds old; seal.AnyAge is any.
	Open(ctx context.Context, p *identity.Principal, token string, maxAge int64) (text string, err error)
}

// Bodies of the routes that seal text.
const (
	// maxPlainBody fits the longest text even where each of its bytes is escaped
	// as \u0000.
	maxPlainBody = 6<<20 + 1<<10
	// maxCipherBody fits its token, which is a third longer and needs no escape, and
	// leaves room for what may stand around it by mistake.
	maxCipherBody = 2 << 20
)

type encryptRequest struct {
	Plaintext *string `json:"plaintext" validate:"required" want:"a string"`
}

type decryptRequest struct {
	Ciphertext *string  `json:"ciphertext" validate:"required"              want:"a string"`
	MaxAge     *float64 `json:"max_age"    validate:"omitempty,min=0,whole" want:"a whole number of seconds, 0 or more"`
}

// maxAge returns the greatest age of the token, in seconds.
func (r *decryptRequest) maxAge() int64 {
	switch {
	case r.MaxAge == nil:
		return seal.AnyAge
	case *r.MaxAge >= math.MaxInt64: // the nearest float64, which is one more
		return math.MaxInt64 - 1
	}
	return int64(*r.MaxAge)
}

// encrypt seals a text with the keys of the caller's tenant.
func (a *API) encrypt(ctx context.Context, x *exchange) error {
	var req encryptRequest
	if err := x.readMembers(ctx, &req); err != nil {
		return err
	}
	token, err := a.cfg.Sealer.Seal(ctx, x.principal, *req.Plaintext)
	if err != nil {
		return err
	}
	x.sendMember("ciphertext", token)
	return nil
}

// decrypt opens a text that a key of the caller's tenant sealed.
func (a *API) decrypt(ctx context.Context, x *exchange) error {
	var req decryptRequest
	if err := x.readMembers(ctx, &req); err != nil {
		return err
	}
	text, err := a.cfg.Sealer.Open(ctx, x.principal, *req.Ciphertext, req.maxAge())
	if err != nil {
		return err
	}
	x.sendMember("plaintext", text)
	return nil
}

// sendMember answers with an object of one string.
func (x *exchange) sendMember(name, value string) {
	answer := buffers.Get()
	defer buffers.Put(answer)
	answer.B = appendText(append(answer.B, '{'), name)
	answer.B = appendText(append(answer.B, ':'), value)
	answer.B = append(answer.B, '}', '\n')
	x.sendJSON(answer.B)
}
