package accounts

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// ClientByCertificate returns the enabled client that the first of a
// certificate's names that any client has proves. Its Scopes are nil when the
// client is not narrowed. The fault is NotFound when there is none.
func (s *Service) ClientByCertificate(ctx context.Context, names []string) (*identity.Principal, error) {
	client, err := view(ctx, s, func(tx *Tx) (*Client, error) {
		for _, name := range names {
			client, err := tx.ClientByCertificate(name)
			if fault.KindOf(err) != fault.NotFound || err == nil {
				return client, err
			}
		}
		return nil, fault.New(fault.NotFound, "no client has a name of the certificate")
	})
	switch {
	case err != nil:
		return nil, err
	case client.Disabled:
		return nil, fault.Newf(fault.NotFound, "the client %s is disabled", client.ID)
	}
	return &identity.Principal{
		Subject: client.ID, Tenant: client.Tenant, Roles: client.Roles, Scopes: client.Scopes, Method: identity.Certificate,
	}, nil
}
