package authn

import (
	"context"
	"errors"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// Tenants knows the tenants.
type Tenants interface {
	// Revision returns a number that moves whenever Tenant may answer otherwise.
	// It is called for every request. The error is a fault of kind Unavailable
	// when that is not known.
	Revision(ctx context.Context) (int64, error)
	// Tenant returns a tenant, or a fault of kind NotFound.
	Tenant(ctx context.Context, name string) (*identity.Tenant, error)
}

// gate is the end of every chain: whatever the credential, its tenant must be
// there and let it in.
type gate struct {
	tenants Tenants
	cache   *cache[knownTenant]
}

// knownTenant is a tenant as it was at a revision. It does not change.
type knownTenant struct {
	identity.Tenant
	revision int64
}

func newGate(tenants Tenants) *gate {
	return &gate{tenants: tenants, cache: newCache[knownTenant](defaultCacheSize)}
}

// admit returns the principal with the limit of its tenant. It refuses one whose
// tenant is gone or disabled, or does not let its credentials be used from where
// the request comes from.
func (g *gate) admit(ctx context.Context, p *identity.Principal) (*identity.Principal, error) {
	t, err := g.tenant(ctx, p.Tenant)
	if fault.KindOf(err) == fault.NotFound || err == nil && t.Disabled {
		return nil, refuse(noLonger(p), audit.Names(p, errTenant))
	}
	if err != nil {
		return nil, err
	}
	if !t.Admits(reqctx.From(ctx).ClientAddr) {
		return nil, fault.Wrap(fault.Forbidden, msgAddress, audit.Names(p, errAddress))
	}
	if !t.Limit.Off() {
		limited := *p // p is remembered with its credential
		limited.TenantLimit = t.Limit
		p = &limited
	}
	return p, nil
}

// Why a credential is refused that was proven.
var (
	errTenant  = errors.New("the credential's tenant is gone or disabled")
	errAddress = errors.New("the credential may not be used from the address")
)

// noLonger is what the holder of a credential of such a tenant is told.
func noLonger(p *identity.Principal) string {
	if p.Method == identity.APIKey {
		return msgInvalidKey
	}
	return msgRevoked
}

func (g *gate) tenant(ctx context.Context, name string) (*knownTenant, error) {
	revision, err := g.tenants.Revision(ctx)
	if err != nil {
		return nil, err
	}
	if known := g.cache.get(name); known != nil && known.revision == revision {
		return known, nil
	}
	t, err := g.tenants.Tenant(ctx, name)
	if err != nil {
		return nil, err
	}
	known := &knownTenant{Tenant: *t, revision: revision}
	g.cache.put(name, known)
	return known, nil
}
