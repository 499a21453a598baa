package httpapi

import (
	"context"
	"net/netip"

	"onnxgate/internal/accounts"
)

// networks reads what the tag network has let through; nil stays nil.
func networks(texts []string) ([]netip.Prefix, error) {
	if texts == nil {
		return nil, nil
	}
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = accounts.ParseNetwork(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// newTenant is a tenant to be added.
type newTenant struct {
	Name      string   `json:"name"      validate:"required,tenant"     want:"a string"`
	Addresses []string `json:"addresses" validate:"max=64,dive,network" want:"an array of at most 64 networks"`
	Rate      string   `json:"rate"                                     want:"a rate such as 100/minute"`
	Quota     string   `json:"quota"                                    want:"quotas such as calls=10000/day,rows=1e6/month"`
}

// tenantChange names what becomes of a tenant.
type tenantChange struct {
	Addresses []string `json:"addresses" validate:"max=64,dive,network" want:"an array of at most 64 networks, or null for any" null:"none"`
	Rate      *string  `json:"rate"                                     want:"a rate such as 100/minute, or null for none" null:"none"`
	Quota     *string  `json:"quota"                                    want:"quotas such as calls=10000/day,rows=1e6/month, or null for none" null:"none"`
	Disabled  *bool    `json:"disabled"                                 want:"true or false"`
}

func (a *API) listTenants(ctx context.Context, x *exchange) error {
	filter, page, err := x.search(filterDisabled)
	if err != nil {
		return err
	}
	found, err := a.cfg.Accounts.SearchTenants(ctx, a.actor(x), filter, page)
	if err != nil {
		return err
	}
	return x.encode(listing("tenants", found, (*accounts.Tenant).View))
}

func (a *API) createTenant(ctx context.Context, x *exchange) error {
	var add newTenant
	if err := x.readMembers(ctx, &add); err != nil {
		return err
	}
	addresses, err := networks(add.Addresses)
	if err != nil {
		return err
	}
	tenant, err := a.cfg.Accounts.AddTenant(ctx, a.actor(x), accounts.NewTenant{
		Name: add.Name, Addresses: addresses, Rate: add.Rate, Quota: add.Quota,
	})
	if err != nil {
		return pointed(err)
	}
	return x.created(tenant.View(), "tenants", tenant.Name)
}

func (a *API) showTenant(ctx context.Context, x *exchange) error {
	tenant, err := a.cfg.Accounts.FindTenant(ctx, x.param("tenant"))
	if err != nil {
		return err
	}
	return x.encode(tenant.View())
}

func (a *API) changeTenant(ctx context.Context, x *exchange) error {
	name := x.param("tenant")
	if _, err := a.cfg.Accounts.FindTenant(ctx, name); err != nil {
		return err // before anything is said about the body
	}
	var change tenantChange
	if err := x.readChange(ctx, &change); err != nil {
		return err
	}
	addresses, err := networks(change.Addresses)
	if err != nil {
		return err
	}
	tenant, err := a.cfg.Accounts.ChangeTenant(ctx, a.actor(x), name, accounts.TenantChange{
		Addresses: addresses, Rate: change.Rate, Quota: change.Quota, Disabled: change.Disabled,
	})
	if err != nil {
		return pointed(err)
	}
	return x.encode(tenant.View())
}

func (a *API) deleteTenant(ctx context.Context, x *exchange) error {
	return x.deleted(a.cfg.Accounts.DeleteTenant(ctx, a.actor(x), x.param("tenant")))
}
