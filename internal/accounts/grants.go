package accounts

import (
	"slices"
	"strings"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// ActorOf returns the principal as one who changes things: those of its tenant,
// or of every tenant when its own is identity.DefaultTenant.
//
// It can neither give nor take over what it does not hold: whatever it adds or
// changes, a user, a client or a key, must not be able to do more than the
// principal, before the change and after it. A change is refused before it
// otherwise, for whoever gives a user another password becomes that user.
func ActorOf(p *identity.Principal, roles authz.Roles) Actor {
	a := Actor{Name: p.Subject, Tenant: p.Tenant, holder: &holder{principal: p, roles: roles}}
	if p.Issuer != "" { // which has no blank, and neither has a subject of ours
		a.Name = p.Issuer + " " + p.Subject
	}
	if p.Tenant == identity.DefaultTenant {
		a.Tenant = AnyTenant
	}
	return a
}

// holder is a principal, with what its roles mean.
type holder struct {
	principal *identity.Principal
	roles     authz.Roles
}

// rights are what a user, a client or a key can do.
type rights struct {
	tenant string
	roles  []string
	// scopes and models narrow it; nil narrows nothing.
	scopes, models []string
}

func rightsOfUser(u *User) rights { return rights{tenant: u.Tenant, roles: u.Roles} }

func rightsOfKey(k *APIKey) rights {
	return rights{tenant: k.Tenant, roles: k.Roles, scopes: k.Scopes, models: k.Models}
}

func rightsOfClient(c *Client) rights {
	return rights{tenant: c.Tenant, roles: c.Roles, scopes: c.Scopes}
}

// client returns a client that the actor may change.
func (a Actor) client(tx *Tx, id string) (*Client, error) {
	client, err := tx.Clients.Get(a.Tenant, id)
	if err == nil {
		err = a.mayGive(rightsOfClient(client))
	}
	return client, err
}

// user returns a user that the actor may change. Who proved a password that is not the
// user's any more may not: somebody took the account away from them meanwhile.
func (a Actor) user(tx *Tx, name string) (*Record, error) {
	record, err := tx.Users.Get(a.Tenant, name)
	if err == nil {
		err = a.mayGive(rightsOfUser(&record.User))
	}
	if err == nil && a.proven != "" && record.Stamp != a.proven {
		err = fault.Newf(fault.Forbidden, "The user %s was changed in the meantime; sign in again", name)
	}
	return record, err
}

// key returns a key that the actor may change.
func (a Actor) key(tx *Tx, id string) (*APIKey, error) {
	key, err := tx.Keys.Get(a.Tenant, id)
	if err == nil {
		err = a.mayGive(rightsOfKey(key))
	}
	return key, err
}

// stands refuses an actor whose tenant was disabled or deleted since its credential was
// proven, and one of our own who was, or got other roles: a change may have waited for a
// hash meanwhile. An outside issuer's word is not asked for again.
func (a Actor) stands(tx *Tx) error {
	if a.holder == nil {
		return nil
	}
	for p := a.holder.principal; p != nil; p = p.With {
		stands, err := holds(tx, p)
		if err != nil {
			return err
		}
		if !stands {
			return fault.New(fault.Forbidden, "Operation not permitted: your account was changed in the meantime")
		}
	}
	return nil
}

// holds reports whether whom a principal was made of is enabled, with its tenant, and has
// its roles.
func holds(tx *Tx, p *identity.Principal) (bool, error) {
	tenant, err := tx.Tenants.Get(p.Tenant, p.Tenant)
	if err != nil || tenant.Disabled {
		return false, ignoreNotFound(err)
	}
	var disabled bool
	var roles []string
	key, isKey := strings.CutPrefix(p.Subject, identity.KeySubject)
	switch {
	case p.Issuer != "":
		return true, nil
	case isKey:
		var k *APIKey
		if k, err = tx.Keys.Get(p.Tenant, key); err == nil {
			disabled, roles = k.Disabled, k.Roles
		}
	case strings.HasPrefix(p.Subject, ClientPrefix):
		var c *Client
		if c, err = tx.Clients.Get(p.Tenant, p.Subject); err == nil {
			disabled, roles = c.Disabled, c.Roles
		}
	default:
		var u *Record
		if u, err = tx.Users.Get(p.Tenant, p.Subject); err == nil {
			disabled, roles = u.Disabled, u.Roles
		}
	}
	return err == nil && !disabled && slices.Equal(roles, p.Roles), ignoreNotFound(err)
}

// mayGive refuses rights that the actor does not hold.
func (a Actor) mayGive(r rights) error {
	if a.holder == nil {
		return nil
	}
	for p := a.holder.principal; p != nil; p = p.With {
		if err := a.holder.covers(p, r); err != nil {
			return err
		}
	}
	return nil
}

// covers refuses rights beyond those of one principal. A role counts as a whole,
// whatever narrows it: rules of models ask for roles, and know no scopes. What is
// narrowed are the permissions, by both sides' scopes.
func (h *holder) covers(p *identity.Principal, r rights) error {
	held := h.roles.Of(p.Tenant, p.Roles)
	for _, role := range r.roles {
		granted := h.roles.Of(r.tenant, []string{role})
		// A role without permissions is a word of the models' rules alone. Nobody
		// but an administrator gives what it does not hold.
		if len(granted) == 0 && !p.HasRole(role) && !p.HasRole(identity.RoleAdmin) {
			return notHeld("role", role)
		}
		for _, permission := range granted {
			if !slices.Contains(held, permission) || !h.roles.Permits(p, permission) && r.narrowedTo(permission) {
				return notHeld("permission", permission)
			}
		}
	}
	if p.Models == nil {
		return nil
	}
	if r.models == nil {
		return fault.New(fault.Forbidden, "Operation not permitted: your credential is limited to some models, and this would apply to all")
	}
	for _, model := range r.models {
		if !slices.Contains(p.Models, model) {
			return notHeld("right to the model", model)
		}
	}
	return nil
}

// narrowedTo reports whether the scopes leave a permission.
func (r *rights) narrowedTo(permission string) bool {
	return r.scopes == nil || slices.Contains(r.scopes, permission)
}

func notHeld(what, name string) error {
	return fault.Newf(fault.Forbidden, "Operation not permitted: this needs the %s %s, which you do not hold", what, name)
}
