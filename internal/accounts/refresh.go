package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

const (
	// maxRefreshAge is how long a family lasts at most: then its user signs in
	// again.
	maxRefreshAge = 30 * 24 * time.Hour
	// maxRefreshIdle is how long a refresh token waits to be used.
	maxRefreshIdle = 7 * 24 * time.Hour
	// lineChars carry 131 bits.
	lineChars = 22
	// maxAccessAge is above the longest life of an access token: so long the
	// end of a family is remembered.
	maxAccessAge = 25 * time.Hour
)

// A refresh token is "ogr_<line>.<secret>". The line stays as long as the
// family and names it: the family's id is the line's hash, so that who knows
// the id, which access tokens carry, can present nothing that looks like a
// token of the family. The secret is another one each time.
type refreshToken struct{ line, secret string }

func parseRefreshToken(token string) (refreshToken, bool) {
	line, secret, ok := strings.Cut(strings.TrimPrefix(token, identity.RefreshPrefix), ".")
	ok = ok && strings.HasPrefix(token, identity.RefreshPrefix) && len(line) == lineChars && len(secret) == secretChars
	return refreshToken{line, secret}, ok
}

func (t refreshToken) String() string { return identity.RefreshPrefix + t.line + "." + t.secret }

func (t refreshToken) family() string {
	sum := sha256.Sum256([]byte(t.line))
	return hex.EncodeToString(sum[:16])
}

// NewFamily begins a line of refresh tokens for a grant and returns the first
// one with the family's id. The fault is BadRequest when the user, or the client,
// is not any more who signed in.
func (s *Service) NewFamily(ctx context.Context, grant *identity.Grant) (token, family string, err error) {
	line, err := s.randomText(lineChars)
	if err != nil {
		return "", "", err
	}
	secret, err := s.randomText(secretChars)
	if err != nil {
		return "", "", err
	}
	first, now := refreshToken{line, secret}, s.timestamp()
	record := &Family{
		ID: first.family(), Tenant: grant.Tenant, User: grant.Subject, Stamp: grant.Stamp,
		ClientID: grant.ClientID, Scope: grant.Scope,
		Hash: hashOf(first.String()), CreatedAt: now, ExpiresAt: now.Add(maxRefreshIdle),
	}
	return first.String(), record.ID, s.store.Note(ctx, func(tx *Tx) error {
		if _, _, err := grantOf(tx, record); err != nil {
			return err
		}
		return tx.Families.Insert(record)
	})
}

// errReused says that a refresh token was presented that had been exchanged
// before.
var errReused = errors.New("the refresh token was used before: its family has ended")

func errRefresh(reason error) error {
	return fault.Wrap(fault.BadRequest, "The refresh token is not valid any more; sign in again", reason)
}

// Refresh exchanges a refresh token of the client for the next one, and returns
// what it stands for. It counts once: presented again, by whoever, it ends the
// family with every access token of it. The fault is BadRequest for every token
// that is refused.
func (s *Service) Refresh(ctx context.Context, token, clientID string) (grant *identity.Grant, next string, err error) {
	presented, ok := parseRefreshToken(token)
	if !ok {
		return nil, "", errRefresh(errors.New("it is no refresh token"))
	}
	secret, err := s.randomText(secretChars)
	if err != nil {
		return nil, "", err
	}
	next = refreshToken{presented.line, secret}.String()
	err = s.store.Note(ctx, func(tx *Tx) error {
		family, err := s.presentFamily(tx, presented)
		if err != nil {
			return err
		}
		if family.ClientID != clientID {
			return errRefresh(family.names(errors.New("the refresh token is another client's")))
		}
		var tenant *Tenant
		if grant, tenant, err = grantOf(tx, family); err != nil {
			return err
		}
		if err := admit(ctx, tenant); err != nil {
			return err
		}
		family.Hash = hashOf(next)
		family.ExpiresAt = earlier(s.timestamp().Add(maxRefreshIdle), family.CreatedAt.Add(maxRefreshAge))
		return tx.Families.Replace(family)
	})
	if errors.Is(err, errReused) {
		err = errors.Join(err, s.endFamily(ctx, presented.family()))
	}
	if err != nil {
		return nil, "", err
	}
	return grant, next, nil
}

// presentFamily returns the family that the token is the last one of.
func (s *Service) presentFamily(tx *Tx, presented refreshToken) (*Family, error) {
	family, err := tx.Families.Get(AnyTenant, presented.family())
	if fault.KindOf(err) == fault.NotFound {
		return nil, errRefresh(errors.New("its family has ended"))
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	switch {
	case subtle.ConstantTimeCompare([]byte(hashOf(presented.String())), []byte(family.Hash)) == 0:
		return nil, errRefresh(family.names(errReused))
	case !now.Before(family.ExpiresAt) || !now.Before(family.CreatedAt.Add(maxRefreshAge)):
		return nil, errRefresh(family.names(errors.New("its time is over")))
	}
	return family, nil
}

// grantOf returns what the family goes back to, if its user still is who signed
// in, and the user's tenant.
func grantOf(tx *Tx, family *Family) (*identity.Grant, *Tenant, error) {
	found, err := withTenant(tx, tx.Users, family.User)
	if ignoreNotFound(err) != nil {
		return nil, nil, err
	}
	stands := err == nil && !found.record.Disabled
	if stands {
		if stands, err = stampStands(tx, family.User, family.Stamp); err != nil {
			return nil, nil, err
		}
	}
	if !stands {
		return nil, nil, errRefresh(family.names(errors.New("the user, or the client, was changed, disabled or deleted")))
	}
	user := &found.record.User
	return &identity.Grant{
		Principal: &identity.Principal{Subject: user.Name, Tenant: user.Tenant, Roles: user.Roles},
		Stamp:     family.Stamp, ClientID: family.ClientID, Scope: family.Scope, Family: family.ID,
		IssuedAt: family.CreatedAt, ExpiresAt: family.ExpiresAt,
	}, found.tenant, nil
}

// names says for the record whose refresh token was refused.
func (f *Family) names(reason error) *audit.DenialError {
	return &audit.DenialError{Actor: f.User, Tenant: f.Tenant, Method: "refresh_token", Err: reason}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// RevokeRefreshToken ends the family of a refresh token of the client (RFC 7009
// section 2.1), and its access tokens; a token that was exchanged already does
// so too. One that is not known changes nothing; the fault is Forbidden for
// another client's.
func (s *Service) RevokeRefreshToken(ctx context.Context, token, clientID string) error {
	presented, ok := parseRefreshToken(token)
	if !ok {
		return nil
	}
	family, err := view(ctx, s, func(tx *Tx) (*Family, error) { return tx.Families.Get(AnyTenant, presented.family()) })
	if err != nil {
		return ignoreNotFound(err)
	}
	if family.ClientID != clientID {
		return fault.New(fault.Forbidden, "The token was issued to another client")
	}
	return s.endFamily(ctx, family.ID)
}

// InspectRefreshToken returns what a refresh token stands for, without using
// it. The fault is BadRequest when it does not count.
func (s *Service) InspectRefreshToken(ctx context.Context, token string) (*identity.Grant, error) {
	presented, ok := parseRefreshToken(token)
	if !ok {
		return nil, errRefresh(errors.New("it is no refresh token"))
	}
	return view(ctx, s, func(tx *Tx) (*identity.Grant, error) {
		family, err := s.presentFamily(tx, presented)
		if err != nil {
			return nil, err
		}
		grant, _, err := grantOf(tx, family)
		return grant, err
	})
}

// endFamily removes the family and ends its access tokens.
func (s *Service) endFamily(ctx context.Context, id string) error {
	family, err := view(ctx, s, func(tx *Tx) (*Family, error) { return tx.Families.Get(AnyTenant, id) })
	if err != nil {
		return ignoreNotFound(err)
	}
	by := Actor{Name: family.User, Tenant: family.Tenant}
	return s.update(ctx, by, audit.UserRevoke, id, func(tx *Tx, d *deed) error {
		d.on(family.Tenant, nil)
		err := tx.Families.Delete(family.Tenant, id)
		if fault.KindOf(err) == fault.NotFound {
			return errNothing
		}
		if err != nil {
			return err
		}
		if err := revoke(tx, family.Tenant, id, s.now().Add(maxAccessAge)); !errors.Is(err, errNothing) {
			return err
		}
		return nil
	})
}
