package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
)

// claimedIssuer returns the iss of a payload that nothing is known of yet: it
// only says whose keys to try. It is empty when there is none.
func claimedIssuer(payload []byte) (string, error) {
	var name string
	err := readObject(payload, func(member string, dec *jsontext.Decoder) error {
		if member == "iss" {
			return readString(dec, &name)
		}
		return dec.SkipValue()
	})
	return name, err
}

// vouched reports whether the issuer of a remembered token is still trusted as
// it was, and still has the token's key.
func (b *Bearer) vouched(v *verified, now time.Time) bool {
	i, ok := b.issuers.Issuer(v.issuer.Name)
	return ok && i == v.issuer && i.Keys.Holds(v.key, now)
}

// verifyOutside judges a token by the issuer that it names.
func (b *Bearer) verifyOutside(ctx context.Context, i *Issuer, t *jws) (*verified, error) {
	key, err := i.key(ctx, t.header)
	if fault.KindOf(err) == fault.Unavailable {
		return nil, err
	}
	if err == nil {
		err = t.verify(key)
	}
	if err != nil {
		return nil, refuse(msgInvalid, err)
	}
	c, err := parseOutside(t.payload)
	if err == nil {
		err = i.check(t.header, c)
	}
	if err != nil {
		return nil, refuse(msgInvalid, fmt.Errorf("claims: %w", err))
	}
	validator := jwt.NewValidator(
		jwt.WithIssuer(i.Name), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(i.Leeway), jwt.WithTimeFunc(b.now),
	)
	if err := validator.Validate(&c.claims); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return nil, refuse(msgExpired, err)
		}
		return nil, refuse(msgInvalid, err)
	}
	p, err := b.outsider(i, c)
	if err != nil {
		return nil, refuse(msgInvalid, fmt.Errorf("claims: %w", err))
	}
	return &verified{principal: p, until: c.exp.Add(i.Leeway), issuer: i, key: key}, nil
}

// key returns the key that a header names, if the issuer signs such tokens.
func (i *Issuer) key(ctx context.Context, h *header) (*keys.Verifier, error) {
	alg := keys.Algorithm(h.alg)
	switch {
	case !i.accepts(h.typ):
		return nil, errors.New("the token's typ is none that the issuer's entry lists")
	case !slices.Contains(i.Algorithms, alg):
		return nil, errors.New("the token's alg is none that the issuer's entry lists")
	case h.named && h.kid == "":
		return nil, errors.New("the token's kid is empty")
	}
	return i.Keys.Verifier(ctx, h.kid, alg)
}

// check refuses what is for others, and what is another kind of token.
func (i *Issuer) check(h *header, c *outsideClaims) error {
	if !i.addresses(c.aud) {
		return jwt.ErrTokenInvalidAudience
	}
	if !i.IDToken {
		return c.accessToken(h.typ)
	}
	return nil
}

// outsider makes the principal of a token that was verified.
func (b *Bearer) outsider(i *Issuer, c *outsideClaims) (*identity.Principal, error) {
	subject, err := c.subject(i.Claims.Subject)
	if err != nil {
		return nil, err
	}
	tenant, err := c.tenantOr(i.Claims.Tenant, i.Tenant)
	if err != nil {
		return nil, err
	}
	roles := c.rolesBy(i.Claims.Roles, i.Roles)
	scopes := c.scopes(i.Claims.Scopes)
	if i.Claims.Scopes == "" { // nothing narrows the roles
		scopes = b.roles.Of(tenant, roles)
	}
	return &identity.Principal{
		Subject: subject, Issuer: i.Name, Tenant: tenant, Roles: roles, Scopes: scopes,
		Claims: c.all, Method: identity.Outside,
	}, nil
}
