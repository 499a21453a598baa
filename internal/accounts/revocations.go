package accounts

import (
	"context"
	"strings"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Revoke ends an access token before its time, and remembers it until then.
func (s *Service) Revoke(ctx context.Context, token *identity.AccessToken) error {
	if !token.ExpiresAt.After(s.now()) {
		return nil
	}
	by, event := Actor{Name: token.Subject, Tenant: token.Tenant}, "user.revoke"
	if strings.HasPrefix(token.Subject, ClientPrefix) {
		event = "client.revoke"
	}
	return s.update(ctx, by, event, token.ID, func(tx *Tx) error {
		return revoke(tx, token.Tenant, token.ID, token.ExpiresAt)
	})
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
