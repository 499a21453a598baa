package oauth

import (
	"context"

	"onnxgate/internal/identity"
)

const grantClientCredentials = "client_credentials"

// clientCredentialsGrant is for a client that acts for itself (RFC 6749 section
// 4.4).
type clientCredentialsGrant struct{}

func (clientCredentialsGrant) authorize(_ context.Context, req *request) (*subject, error) {
	if req.client == nil {
		return nil, errClientNeeded()
	}
	if req.scope.offline {
		return nil, errScope("offline_access is for users: a client gets its next token as it got this one")
	}
	return &subject{
		grant: identity.Grant{Principal: req.client.Principal, Stamp: req.client.Stamp, ClientID: req.client.Subject},
	}, nil
}
