package authn

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// First returns who calls: whom the first of token, key and certificate proves.
// What is behind it was not looked at, and comes back for Beside: a key beside a
// token is for a model that requires both alone, and the certificate of the
// connection counts beside another credential where the model requires it.
// Layered says that the request is about a model that may; otherwise a second
// credential is refused at once. Faults: those of Authenticate, and BadRequest.
func First(ctx context.Context, a Authenticator, c Credentials, layered bool) (caller *identity.Principal, further Credentials, err error) {
	first := c
	switch {
	case c.Bearer != "":
		first, further = Credentials{Bearer: c.Bearer}, Credentials{APIKey: c.APIKey, Certificates: c.Certificates}
	case c.APIKey != "":
		first, further = Credentials{APIKey: c.APIKey}, Credentials{Certificates: c.Certificates}
	}
	if further.APIKey != "" && !layered {
		return nil, Credentials{}, oneCredential()
	}
	caller, err = a.Authenticate(ctx, first)
	return caller, further, err
}

// Empty reports whether there is no credential.
func (c *Credentials) Empty() bool {
	return c.Bearer == "" && c.APIKey == "" && len(c.Certificates) == 0
}

// Beside returns the caller with the principals of the further credentials
// behind it, of those kinds that the model requires. Faults: those of
// Authenticate, Unauthenticated for credentials of two tenants, and BadRequest
// for a key that the model does not require.
func Beside(ctx context.Context, a Authenticator, caller *identity.Principal, further Credentials, required []identity.Method) (*identity.Principal, error) {
	if further.APIKey != "" {
		if !slices.Contains(required, identity.APIKey) {
			return nil, oneCredential()
		}
		var err error
		if caller, err = beside(ctx, a, caller, Credentials{APIKey: further.APIKey}); err != nil {
			return nil, err
		}
	}
	if further.Certificates != nil && slices.Contains(required, identity.Certificate) {
		return beside(ctx, a, caller, Credentials{Certificates: further.Certificates})
	}
	return caller, nil
}

// beside returns the caller with the principal of one further credential behind
// it.
func beside(ctx context.Context, a Authenticator, caller *identity.Principal, further Credentials) (*identity.Principal, error) {
	other, err := a.Authenticate(ctx, further)
	if err != nil {
		return nil, err
	}
	if other.Tenant != caller.Tenant {
		return nil, fault.New(fault.Unauthenticated, "The credentials must be of one tenant")
	}
	both := *caller // the caller is shared
	if caller.With != nil {
		chained := *other
		chained.With = caller.With
		other = &chained
	}
	both.With = other
	return &both, nil
}
