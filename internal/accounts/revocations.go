package accounts

import (
	"context"
	"strings"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Revoke ends an access token before its time, for whoever presents it, and
// remembers it until then.
func (s *Service) Revoke(ctx context.Context, token *identity.AccessToken) error {
	return s.RevokeToken(ctx, Actor{Name: token.Subject, Tenant: token.Tenant}, token)
}

// RevokeToken is Revoke for an actor, who may end those of its tenant. The fault
// is NotFound for any other.
func (s *Service) RevokeToken(ctx context.Context, by Actor, token *identity.AccessToken) error {
	if by.Tenant != AnyTenant && by.Tenant != token.Tenant {
		return fault.New(fault.NotFound, "there is no such token")
	}
	if !token.ExpiresAt.After(s.now()) {
		return nil
	}
	event := audit.UserRevoke
	if strings.HasPrefix(token.Subject, ClientPrefix) {
		event = audit.ClientRevoke
	}
	return s.update(ctx, by, event, token.ID, func(tx *Tx, d *deed) error {
		d.on(token.Tenant, nil)
		return revoke(tx, token.Tenant, token.ID, token.ExpiresAt)
	})
}

// RevokeAll ends everything that was issued to a user or a client until now.
// Faults: NotFound, Forbidden for one with rights beyond the actor's own.
func (s *Service) RevokeAll(ctx context.Context, by Actor, subject string) error {
	if strings.HasPrefix(subject, ClientPrefix) {
		return s.restampClient(ctx, by, audit.ClientRevoke, subject, func(*Client) {})
	}
	return s.modify(ctx, by, audit.UserRevoke, subject, func(*Record) {})
}

// clockDifference is what the clocks of servers that share a store may differ by: what
// one of them removes as ended must have ended for all.
const clockDifference = time.Minute

// revoke remembers what was ended. The error is errNothing for what was ended before.
func revoke(tx *Tx, tenant, id string, until time.Time) error {
	_, err := tx.Revocations.Get(AnyTenant, id)
	if err == nil {
		return errNothing
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return tx.Revocations.Insert(&Revocation{ID: id, Tenant: tenant, ExpiresAt: until.Add(clockDifference)})
}

// revoked reports whether the token of that id, or its family, was ended.
func revoked(tx *Tx, id string) (bool, error) {
	ids := []string{id}
	if family := identity.FamilyOf(id); family != "" {
		ids = append(ids, family)
	}
	for _, id := range ids {
		_, err := tx.Revocations.Get(AnyTenant, id)
		if fault.KindOf(err) != fault.NotFound {
			return err == nil, err
		}
	}
	return false, nil
}
