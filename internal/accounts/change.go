package accounts

import (
	"context"
	"net/netip"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// UserChange says what becomes of a user. What is nil stays.
type UserChange struct {
	Password *string
	// CurrentPassword is the one until now, which users need who change their
	// own.
	CurrentPassword *string
	Roles           []string
	Disabled        *bool
}

// ChangeUser changes a user, all at once. Tokens made before are void. Faults:
// Content for what breaks a rule and for a wrong current password, NotFound,
// Forbidden for rights beyond the actor's own and for an actor that was changed
// meanwhile, Conflict for what would leave no administrator.
func (s *Service) ChangeUser(ctx context.Context, by Actor, name string, change UserChange) (*User, error) {
	canonical, err := CanonicalName(name)
	if err != nil {
		return nil, err
	}
	if change.Roles != nil {
		if change.Roles, err = checkRoles(change.Roles); err != nil {
			return nil, err
		}
	}
	hash, proven, err := s.hashOfChange(ctx, by, canonical, &change)
	if err != nil {
		return nil, err
	}
	by.proven = proven
	var user User
	err = s.modify(ctx, by, audit.UserUpdate, canonical, func(r *Record) {
		if change.Password != nil {
			r.PasswordHash, r.InitialPassword = hash, false
		}
		if change.Roles != nil {
			r.Roles = change.Roles
		}
		if change.Disabled != nil {
			r.Disabled = *change.Disabled
		}
		r.UpdatedAt = s.timestamp()
		user = r.User
	})
	if err == nil && change.Password != nil {
		err = s.removeInitialPassword(canonical)
	}
	return &user, err
}

// hashOfChange returns the hash of the new password, if there is one, and the stamp
// under which actors proved their own. Nothing is hashed for a user that the actor may
// not change.
func (s *Service) hashOfChange(ctx context.Context, by Actor, name string, change *UserChange) (hash, proven string, err error) {
	if change.Password == nil {
		return "", "", nil
	}
	user, err := s.User(ctx, by.Tenant, name)
	if err == nil {
		err = by.mayGive(rightsOfUser(user))
	}
	if err == nil {
		err = CheckPassword(name, *change.Password)
	}
	if err == nil && by.is(name) {
		proven, err = s.checkCurrent(ctx, name, change.CurrentPassword)
	}
	if err != nil {
		return "", "", err
	}
	hash, err = s.hasher.hash(ctx, *change.Password)
	return hash, proven, err
}

// is reports whether the actor is the user of that name.
func (a Actor) is(name string) bool { return a.holder != nil && a.Name == name }

// checkCurrent asks for the password until now: who found a terminal open or a
// token in a log must not be able to keep the account (OWASP ASVS 6.2.3).
func (s *Service) checkCurrent(ctx context.Context, name string, password *string) (stamp string, err error) {
	if password == nil {
		return "", wrong("current_password", "changing your own password needs the current one")
	}
	stamp, err = s.provePresent(ctx, name, *password)
	if fault.KindOf(err) == fault.Unauthenticated {
		return "", wrong("current_password", "the current password is wrong")
	}
	return stamp, err
}

// TenantChange says what becomes of a tenant. What is nil stays.
type TenantChange struct {
	// Addresses are the networks that its credentials may be used from; an empty
	// list is every address.
	Addresses []netip.Prefix
	// Rate and Quota are the tenant's own; empty is none.
	Rate, Quota *string
	Disabled    *bool
}

// check holds what is named against the rules, and gives it its one spelling.
func (c *TenantChange) check() error {
	for _, part := range []struct {
		text  **string
		check func(string) (string, error)
	}{{&c.Rate, checkTenantRate}, {&c.Quota, checkQuota}} {
		if *part.text == nil {
			continue
		}
		checked, err := part.check(**part.text)
		if err != nil {
			return err
		}
		*part.text = &checked
	}
	checked, err := checkAddresses(c.Addresses)
	if len(checked) > 0 {
		c.Addresses = checked
	}
	return err
}

// ChangeTenant changes a tenant, all at once. Faults: Content, NotFound,
// Conflict for what would shut the default tenant, or the actor, out.
func (s *Service) ChangeTenant(ctx context.Context, by Actor, name string, change TenantChange) (*Tenant, error) {
	if change.Disabled != nil && *change.Disabled {
		if err := notDefault(name); err != nil {
			return nil, err
		}
	}
	if err := change.check(); err != nil {
		return nil, err
	}
	if err := by.staysIn(ctx, name, change.Addresses); err != nil {
		return nil, err
	}
	var tenant Tenant
	return &tenant, s.modifyTenant(ctx, by, audit.TenantUpdate, name, func(t *Tenant) {
		if change.Addresses != nil {
			t.Addresses = append([]netip.Prefix(nil), change.Addresses...)
		}
		set(&t.Rate, change.Rate)
		set(&t.Quota, change.Quota)
		set(&t.Disabled, change.Disabled)
		t.UpdatedAt = s.timestamp()
		tenant = *t
	})
}

// staysIn refuses networks that would shut the actor out of its own tenant.
func (a Actor) staysIn(ctx context.Context, tenant string, addresses []netip.Prefix) error {
	from := reqctx.From(ctx).ClientAddr
	if a.holder == nil || a.home() != tenant || !from.IsValid() || identity.InNetworks(from, addresses) {
		return nil
	}
	return fault.Newf(fault.Conflict, "this would lock you out: the tenant %s could no longer be used from your address %s", tenant, from)
}

// ClientChange says what becomes of a service client. What is nil stays.
type ClientChange struct {
	Name                  *string
	Roles, Scopes, Grants []string // no scopes, and not nil, narrow nothing
	Disabled              *bool
	// Certificate is the name in the certificate that proves the client; empty when
	// none does.
	Certificate *string
}

// ChangeClient changes a service client, all at once. Tokens made before are
// void. Faults: Content, NotFound, Forbidden for rights beyond the actor's own,
// Conflict for a certificate that another client has.
func (s *Service) ChangeClient(ctx context.Context, by Actor, id string, change ClientChange) (*Client, error) {
	present, err := s.Client(ctx, by.Tenant, id)
	if err != nil {
		return nil, err
	}
	next := NewClient{Name: present.Name, Tenant: present.Tenant, Roles: present.Roles, Grants: change.Grants}
	set(&next.Name, change.Name)
	set(&next.Certificate, change.Certificate)
	setNarrowing(&next.Scopes, change.Scopes)
	setList(&next.Roles, change.Roles)
	checked, err := s.newClient(&next) // the rules, and a new stamp
	if err != nil {
		return nil, err
	}
	var changed *Client
	err = s.modifyClient(ctx, by, audit.ClientUpdate, id, func(c *Client) {
		set(&c.Name, change.Name)
		if change.Roles != nil {
			c.Roles = checked.Roles
		}
		if change.Scopes != nil {
			c.Scopes = checked.Scopes
		}
		if change.Grants != nil {
			c.Grants = checked.Grants
		}
		set(&c.Disabled, change.Disabled)
		set(&c.Certificate, change.Certificate)
		c.Stamp, c.UpdatedAt = checked.Stamp, checked.UpdatedAt
		changed = c.shown()
	})
	return changed, err
}

// KeyChange says what becomes of an API key. What is nil stays.
type KeyChange struct {
	Name                  *string
	Roles, Scopes, Models []string // no scopes or models, and not nil, narrow nothing
	// Addresses are the networks that the key may be used from; an empty list is
	// every address.
	Addresses []netip.Prefix
	// Rate and Quota are the key's own; empty is none.
	Rate, Quota *string
	// ExpiresAt is the zero time for a key that does not end.
	ExpiresAt *time.Time
	Disabled  *bool
}

// ChangeKey changes an API key, all at once. Faults: Content, NotFound, Forbidden
// for rights beyond the actor's own, Conflict for the key of the configuration.
func (s *Service) ChangeKey(ctx context.Context, by Actor, id string, change KeyChange) (*APIKey, error) {
	var changed *APIKey
	err := s.update(ctx, by, audit.APIKeyUpdate, id, func(tx *Tx, d *deed) error {
		key, err := by.key(tx, id)
		if err != nil {
			return err
		}
		if key.Bootstrap {
			return ofConfiguration(id)
		}
		before := *key
		if err := s.applyTo(key, &change); err != nil {
			return err
		}
		d.on(key.Tenant, keyChanges(&before, key))
		changed = key.shown()
		if err := by.mayGive(rightsOfKey(key)); err != nil {
			return err
		}
		return tx.Keys.Replace(key)
	})
	return changed, err
}

// applyTo holds the key as it will be against the rules of a new one.
func (s *Service) applyTo(key *APIKey, change *KeyChange) error {
	next := NewKey{
		Name: key.Name, Tenant: key.Tenant, Roles: key.Roles, Scopes: key.Scopes, Models: key.Models,
		Addresses: key.Addresses, Rate: key.Rate, Quota: key.Quota,
	}
	set(&next.Name, change.Name)
	set(&next.Rate, change.Rate)
	set(&next.Quota, change.Quota)
	set(&next.ExpiresAt, change.ExpiresAt)
	setList(&next.Roles, change.Roles)
	setNarrowing(&next.Scopes, change.Scopes)
	setNarrowing(&next.Models, change.Models)
	setList(&next.Addresses, change.Addresses)
	checked, err := s.newKey(&next)
	if err != nil {
		return err
	}
	key.Name, key.Roles, key.Scopes, key.Models = checked.Name, checked.Roles, checked.Scopes, checked.Models
	key.Addresses, key.Rate, key.Quota = checked.Addresses, checked.Rate, checked.Quota
	if change.ExpiresAt != nil {
		key.ExpiresAt = checked.ExpiresAt
	}
	set(&key.Disabled, change.Disabled)
	return nil
}

// set takes over a value that is named.
func set[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

// setList takes over a list that is named.
func setList[T any](to *[]T, list []T) {
	if list != nil {
		*to = list
	}
}

// setNarrowing is setList for a list that narrows nothing when it is nil: an empty
// one takes the narrowing away.
func setNarrowing(to *[]string, list []string) {
	setList(to, list)
	if len(*to) == 0 {
		*to = nil
	}
}

// ParseNetwork reads a network such as 10.0.0.0/8, or one address. The error is
// a fault of kind Content.
func ParseNetwork(text string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(text)
	if addr, e := netip.ParseAddr(text); e == nil && addr.Zone() == "" {
		n, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || n.Addr().Is4In6() {
		return n, fault.Newf(fault.Content, "%.64s is neither an address nor a network such as 10.0.0.0/8", text)
	}
	return n, nil
}
