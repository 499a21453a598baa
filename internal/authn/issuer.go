package authn

import (
	"context"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
)

// Issuer is an outside issuer that the operator trusts, and what its tokens
// mean here. It does not change.
type Issuer struct {
	// Name is the iss of its tokens, to the letter.
	Name string
	// Audience are the names by which its tokens may address this server. One
	// that names anything else beside is refused.
	Audience []string
	// Algorithms are those that its tokens may be signed with.
	Algorithms []keys.Algorithm
	// Types are the accepted values of a header's typ; an empty one stands for a
	// token without.
	Types []string
	// IDToken says that its tokens are ID tokens (OpenID Connect Core section 2)
	// of exactly one audience. Otherwise an ID token is refused.
	IDToken bool
	// Claims says where the tokens hold what a principal is made of.
	Claims ClaimPaths
	// Roles gives our word for each of the issuer's. Any other grants nothing.
	Roles map[string]string
	// Tenant is that of tokens that name none.
	Tenant string
	// Leeway is how much the issuer's clock may differ, at most 60 s.
	Leeway time.Duration
	// Keys are those that verify its tokens.
	Keys IssuerKeys
}

// ClaimPaths names claims: each by its exact name, or by the names of nested
// objects joined by dots.
type ClaimPaths struct {
	Subject string
	// Tenant is empty when the tokens name no tenant.
	Tenant string
	Roles  []string
	// Scopes is empty when the tokens are not narrowed.
	Scopes string
}

// Issuers knows the outside issuers.
type Issuers interface {
	// Issuer returns the issuer of that name, compared exactly. It returns the
	// same one until its configuration changes.
	Issuer(name string) (*Issuer, bool)
}

// IssuerKeys knows the keys of one outside issuer.
type IssuerKeys interface {
	// Verifier returns the key with that kid for the algorithm; without a kid the
	// only key that there is. It may ask the issuer, and waits no longer than ctx.
	// The error is a fault of kind Unavailable when the keys cannot be had now;
	// any other says that there is no such key.
	Verifier(ctx context.Context, kid string, alg keys.Algorithm) (*keys.Verifier, error)
	// Holds reports whether a key that Verifier returned is the issuer's still. It
	// is called for every request.
	Holds(key *keys.Verifier, now time.Time) bool
}

// Reach knows whether outside issuers can be reached.
type Reach interface {
	// Answers returns nil when the issuer of that name can be reached. The fault is
	// Unavailable.
	Answers(ctx context.Context, name string) error
}

// Vouched refuses a change on the word of an outside issuer that cannot be reached
// at present: what it has withdrawn meanwhile is not known. A nil Reach is of a server
// that trusts none. The fault is Unavailable.
func Vouched(ctx context.Context, issuers Reach, caller *identity.Principal) error {
	if issuers == nil || caller.Method != identity.Outside {
		return nil
	}
	return issuers.Answers(ctx, caller.Issuer)
}

// accepts reports whether a header's typ is one of the issuer's. The prefix
// "application/" may be left out (RFC 7515 section 4.1.9).
func (i *Issuer) accepts(typ string) bool {
	short, long := strings.CutPrefix(typ, "application/")
	return slices.Contains(i.Types, typ) || long && short != "" && slices.Contains(i.Types, short)
}

// addresses reports whether an audience is this server's alone. A token that
// another service may present too is refused (RFC 8725 section 3.9): every
// element must be expected, and an ID token has one.
func (i *Issuer) addresses(aud []string) bool {
	if len(aud) == 0 || i.IDToken && len(aud) != 1 {
		return false
	}
	for _, a := range aud {
		if !slices.Contains(i.Audience, a) {
			return false
		}
	}
	return true
}
