package accounts

import (
	"context"
	"fmt"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
)

// checkQuota returns quotas in their one spelling, empty for none.
func checkQuota(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	quotas, err := limit.ParseQuotas(text)
	if err != nil {
		return "", wrong("quota", "the quota %s", err)
	}
	return limit.FormatQuotas(quotas), nil
}

// checkRate returns the rate of a tenant or a key in its one spelling, empty for none.
func checkRate(whose, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	l, err := identity.ParseLimit(text)
	if err != nil {
		return "", wrong("rate", "the rate of a %s %s", whose, err)
	}
	if l.Off() {
		return "", nil
	}
	return l.String(), nil
}

func checkTenantRate(text string) (string, error) { return checkRate("tenant", text) }

// Quotas returns those of a tenant, or of one of its API keys where a key is
// named, and when the tenant was made. Faults: NotFound, Unavailable.
func (s *Service) Quotas(ctx context.Context, tenant, key string) (quotas []limit.Quota, made time.Time, err error) {
	text, err := view(ctx, s, func(tx *Tx) (string, error) {
		t, err := tx.Tenants.Get(tenant, tenant)
		if err != nil {
			return "", err
		}
		if made = t.CreatedAt; key == "" {
			return t.Quota, nil
		}
		k, err := tx.Keys.Get(tenant, key)
		if err != nil {
			return "", err
		}
		return k.Quota, nil
	})
	if err != nil || text == "" {
		return nil, made, err
	}
	if quotas, err = limit.ParseQuotas(text); err != nil {
		return nil, made, fmt.Errorf("the quota %q of the tenant %s, key %q: it %w", text, tenant, key, err)
	}
	return quotas, made, nil
}

// TenantsOf returns a page of the tenants that the actor may see the usage of, in
// the order of their names: its own, or all for those of the installation.
// The fault is NotFound for a named one that it may not see.
func (s *Service) TenantsOf(ctx context.Context, by Actor, named string, page Page) (Found[Tenant], error) {
	tenant, ok := by.within(named)
	if !ok {
		return Found[Tenant]{}, fault.Newf(fault.NotFound, "there is no tenant %s", named)
	}
	if tenant == AnyTenant {
		return s.SearchTenants(ctx, by, Filter{}, page)
	}
	t, err := s.FindTenant(ctx, tenant)
	if err != nil {
		return Found[Tenant]{}, err
	}
	return Found[Tenant]{Items: []Tenant{*t}}, nil
}
