package accounts

import (
	"context"
	"fmt"
	"net/netip"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// maxAddresses bounds an allow-list.
const maxAddresses = 64

// NewTenant is a tenant to be added.
type NewTenant struct {
	Name string
	// Addresses are the networks that its credentials may be used from; none
	// is every address.
	Addresses []netip.Prefix
	// Rate and Quota are the tenant's own; empty is none.
	Rate, Quota string
}

// AddTenant adds a tenant. Faults: Content for what breaks a rule, Conflict
// for a name that is taken.
func (s *Service) AddTenant(ctx context.Context, by Actor, add NewTenant) (*Tenant, error) {
	if err := CheckTenant(add.Name); err != nil {
		return nil, err
	}
	addresses, err := checkAddresses(add.Addresses)
	if err != nil {
		return nil, err
	}
	rate, err := checkTenantRate(add.Rate)
	if err != nil {
		return nil, err
	}
	quota, err := checkQuota(add.Quota)
	if err != nil {
		return nil, err
	}
	now := s.timestamp()
	tenant := &Tenant{
		Tenant: identity.Tenant{Name: add.Name, Addresses: addresses}, Rate: rate, Quota: quota, CreatedAt: now, UpdatedAt: now,
	}
	return tenant, s.update(ctx, by, audit.TenantCreate, add.Name, func(tx *Tx, d *deed) error {
		d.on(add.Name, tenantChanges(&Tenant{}, tenant))
		_, err := tx.Tenants.Get(add.Name, add.Name)
		if err == nil {
			return fault.Newf(fault.Conflict, "the tenant %s exists already", add.Name)
		}
		if err := ignoreNotFound(err); err != nil {
			return err
		}
		return tx.Tenants.Insert(tenant)
	})
}

// checkAddresses returns the networks in their one spelling.
func checkAddresses(networks []netip.Prefix) ([]netip.Prefix, error) {
	if len(networks) > maxAddresses {
		return nil, fault.Newf(fault.Content, "at most %d networks can be named", maxAddresses)
	}
	var all []netip.Prefix
	for _, n := range networks {
		if !n.IsValid() || n.Addr().Is4In6() {
			return nil, fault.Newf(fault.Content, "%s is not a network such as 10.0.0.0/8 or fd00::/8", n)
		}
		all = append(all, n.Masked())
	}
	return all, nil
}

// FindTenant returns a tenant, or a fault of kind NotFound.
func (s *Service) FindTenant(ctx context.Context, name string) (*Tenant, error) {
	return view(ctx, s, func(tx *Tx) (*Tenant, error) { return tx.Tenants.Get(name, name) })
}

// Tenant returns what authentication asks about a tenant, or a fault of kind
// NotFound.
func (s *Service) Tenant(ctx context.Context, name string) (*identity.Tenant, error) {
	tenant, err := s.FindTenant(ctx, name)
	if err != nil {
		return nil, err
	}
	known := tenant.Tenant
	if tenant.Rate != "" {
		if known.Limit, err = identity.ParseLimit(tenant.Rate); err != nil {
			return nil, fmt.Errorf("the rate %q of the tenant %s: it %w", tenant.Rate, name, err)
		}
	}
	return &known, nil
}

// TenantExists reports whether there is such a tenant.
func (s *Service) TenantExists(ctx context.Context, name string) (bool, error) {
	_, err := s.Tenant(ctx, name)
	return err == nil, ignoreNotFound(err)
}

// Tenants returns a page of the tenants, in the order of their names.
func (s *Service) Tenants(ctx context.Context, page Page) ([]Tenant, error) {
	return view(ctx, s, func(tx *Tx) ([]Tenant, error) { return tx.Tenants.List(AnyTenant, page) })
}

// SetTenantAddresses gives the tenant these networks instead of the former.
func (s *Service) SetTenantAddresses(ctx context.Context, by Actor, name string, networks []netip.Prefix) error {
	addresses, err := checkAddresses(networks)
	if err != nil {
		return err
	}
	return s.modifyTenant(ctx, by, audit.TenantAddresses, name, func(t *Tenant) { t.Addresses = addresses })
}

// DisableTenant refuses every request of the tenant's. It is a Conflict to
// disable the default tenant.
func (s *Service) DisableTenant(ctx context.Context, by Actor, name string) error {
	if err := notDefault(name); err != nil {
		return err
	}
	return s.modifyTenant(ctx, by, audit.TenantDisable, name, func(t *Tenant) { t.Disabled = true })
}

// EnableTenant undoes DisableTenant: what its users were issued before holds
// again.
func (s *Service) EnableTenant(ctx context.Context, by Actor, name string) error {
	return s.modifyTenant(ctx, by, audit.TenantEnable, name, func(t *Tenant) { t.Disabled = false })
}

func (s *Service) modifyTenant(ctx context.Context, by Actor, event audit.Event, name string, change func(*Tenant)) error {
	return s.update(ctx, by, event, name, func(tx *Tx, d *deed) error {
		tenant, err := tx.Tenants.Get(name, name)
		if err != nil {
			return err
		}
		before := *tenant
		change(tenant)
		d.on(name, tenantChanges(&before, tenant))
		tenant.UpdatedAt = s.timestamp()
		return tx.Tenants.Replace(tenant)
	})
}

// DeleteTenant removes the tenant with its users, clients and keys. It returns
// when no server that shares the store serves the tenant any more: at once as
// a rule, and after MaxStale when a server was killed. It is a Conflict to
// delete the default tenant.
func (s *Service) DeleteTenant(ctx context.Context, by Actor, name string) error {
	if err := notDefault(name); err != nil {
		return err
	}
	err := s.update(ctx, by, audit.TenantDelete, name, func(tx *Tx, d *deed) error {
		tenant, err := tx.Tenants.Get(name, name)
		if err != nil {
			return err
		}
		d.on(name, tenantChanges(tenant, &Tenant{Tenant: identity.Tenant{Disabled: tenant.Disabled}}))
		return tx.Tenants.Delete(name, name)
	})
	if err != nil {
		return err
	}
	return s.settled(ctx)
}

func notDefault(name string) error {
	if name == identity.DefaultTenant {
		return fault.Newf(fault.Conflict, "the tenant %s belongs to the installation and cannot be disabled or deleted", name)
	}
	return nil
}

// admit refuses, with a fault of kind Forbidden, what comes from an address that
// the tenant does not allow. It is asked once a secret has been proven.
func admit(ctx context.Context, tenant *Tenant) error {
	if !tenant.Admits(reqctx.From(ctx).ClientAddr) {
		return fault.New(fault.Forbidden, "This credential may not be used from your address")
	}
	return nil
}

// member is who presents a secret of its own: a user or a client.
type member interface {
	// membership returns the member's tenant, and where its state is kept.
	membership() (tenant string, disabled *bool)
}

func (r *Record) membership() (string, *bool) { return r.Tenant, &r.Disabled }
func (c *Client) membership() (string, *bool) { return c.Tenant, &c.Disabled }

// inTenant is a member and its tenant in one state of the store.
type inTenant[R any] struct {
	record *R
	tenant *Tenant
}

// withTenant returns the member with that id, who counts as disabled when the
// tenant is.
func withTenant[R any, P interface {
	*R
	member
}](tx *Tx, rows Reader[R], id string,
) (*inTenant[R], error) {
	record, err := rows.Get(AnyTenant, id)
	if err != nil {
		return nil, err
	}
	name, disabled := P(record).membership()
	tenant, err := tx.Tenants.Get(name, name)
	if err != nil {
		return nil, err
	}
	*disabled = *disabled || tenant.Disabled
	return &inTenant[R]{record, tenant}, nil
}
