package accounts

import (
	"context"
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// ClientByCertificate returns the enabled client that the first of a
// certificate's names that any client has proves. Its Scopes are nil when the
// client is not narrowed. The fault is NotFound when there is none, and Conflict
// where clients of two tenants have names of it: an administrator of one could
// otherwise claim a name, and with it what the other's program sends.
func (s *Service) ClientByCertificate(ctx context.Context, names []string) (*identity.Principal, error) {
	client, err := view(ctx, s, func(tx *Tx) (first *Client, err error) {
		for _, name := range names {
			client, err := tx.ClientByCertificate(name)
			switch {
			case err != nil && fault.KindOf(err) == fault.NotFound:
			case err != nil:
				return nil, err
			case first == nil:
				first = client
			case client.Tenant != first.Tenant:
				return nil, fault.Newf(fault.Conflict, "the client %s of the tenant %s and the client %s of the tenant %s have names of one certificate",
					first.ID, first.Tenant, client.ID, client.Tenant)
			}
		}
		if first == nil {
			return nil, fault.New(fault.NotFound, "no client has a name of the certificate")
		}
		return first, nil
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

// maxCertificate bounds the name in a certificate.
const maxCertificate = 1 << 10

// checkCertificate refuses what is no name of a certificate. A comma would be part
// of a list, and a client has one name.
func checkCertificate(name string) error {
	kind, rest, _ := strings.Cut(name, ":")
	known := slices.Contains([]string{"uri", "dns", "email"}, kind) && rest != "" && len(name) <= maxCertificate
	if name == "" || known && !strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		return nil
	}
	return wrong("certificate", "a certificate is named by uri:, dns: or email: and one name in it, without a comma, such as uri:spiffe://example.org/scoring")
}

// certificateMustBeFree refuses a second client for one certificate.
func certificateMustBeFree(tx *Tx, name string) error {
	if name == "" {
		return nil
	}
	_, err := tx.ClientByCertificate(name)
	if err == nil {
		return fault.New(fault.Conflict, "another client has a certificate of this name")
	}
	return ignoreNotFound(err)
}
