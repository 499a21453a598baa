package accounts

import (
	"context"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Revoke ends the access token of that id before its time, which is until. It
// is kept only so long.
func (s *Service) Revoke(ctx context.Context, tenant, id string, until time.Time) error {
	if !until.After(s.now()) {
		return nil
	}
	return s.update(ctx, func(tx *Tx) error { return revoke(tx, tenant, id, until) })
}

func revoke(tx *Tx, tenant, id string, until time.Time) error {
	_, err := tx.Revocations.Get(AnyTenant, id)
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	// The store keeps whole seconds, and none may be missing.
	return tx.Revocations.Insert(&Revocation{ID: id, Tenant: tenant, ExpiresAt: until.Add(time.Second)})
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
