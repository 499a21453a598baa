package accounts

import (
	"context"
	"strings"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// NewUser is a user to be added.
type NewUser struct {
	Name     string
	Password string
	Roles    []string
	// Tenant is identity.DefaultTenant when empty.
	Tenant string
	// IfAbsent makes a user that is already there no failure; it is left as it
	// is.
	IfAbsent bool
}

// Add adds a user and reports whether it did. The error is a fault: Content
// for what breaks a rule, Conflict for a name that is taken.
func (s *Service) Add(ctx context.Context, by Actor, add NewUser) (user *User, added bool, err error) {
	record, err := s.newRecord(ctx, &add)
	if err == nil {
		err = by.mayAdd(record.Tenant)
	}
	if err == nil {
		err = by.mayGive(rightsOfUser(&record.User))
	}
	if err != nil {
		return nil, false, err
	}
	err = s.update(ctx, by, audit.UserAdd, record.Name, func(tx *Tx, d *deed) error {
		d.on(record.Tenant, userChanges(&Record{}, record))
		existing, err := tx.Users.Get(AnyTenant, record.Name)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			if added, err = true, tenantMustExist(tx, record.Tenant); err != nil {
				return err
			}
			return tx.Users.Insert(record)
		case err != nil:
			return err
		case !add.IfAbsent:
			return fault.Newf(fault.Conflict, "the user %s exists already", record.Name)
		}
		added, record = false, existing
		return errNothing
	})
	if err != nil {
		return nil, false, err
	}
	return &record.User, added, nil
}

func tenantMustExist(tx *Tx, name string) error {
	_, err := tx.Tenants.Get(name, name)
	if fault.KindOf(err) == fault.NotFound {
		return wrong("tenant", "there is no tenant %s; make it with `onnxgate tenant create %s`", name, name)
	}
	return err
}

func (s *Service) newRecord(ctx context.Context, add *NewUser) (*Record, error) {
	name, err := CanonicalName(add.Name)
	if err != nil {
		return nil, err
	}
	roles, err := checkRoles(add.Roles)
	if err != nil {
		return nil, err
	}
	tenant, err := tenantOrDefault(add.Tenant)
	if err != nil {
		return nil, err
	}
	if err := CheckPassword(name, add.Password); err != nil {
		return nil, err
	}
	hash, err := s.hasher.hash(ctx, add.Password)
	if err != nil {
		return nil, err
	}
	stamp, err := s.newStamp()
	if err != nil {
		return nil, err
	}
	now := s.timestamp()
	return &Record{
		User:         User{Name: name, Tenant: tenant, Roles: roles, CreatedAt: now, UpdatedAt: now},
		PasswordHash: hash, Stamp: stamp,
	}, nil
}

// Users returns a page of the tenant's users, in the order of their names;
// AnyTenant lists those of all.
func (s *Service) Users(ctx context.Context, tenant string, page Page) ([]User, error) {
	records, err := view(ctx, s, func(tx *Tx) ([]Record, error) { return tx.Users.List(tenant, page) })
	all := make([]User, len(records))
	for i := range records {
		all[i] = records[i].User
	}
	return all, err
}

// User returns one user of the tenant. Faults: Content for what is no name,
// NotFound.
func (s *Service) User(ctx context.Context, tenant, name string) (*User, error) {
	canonical, err := CanonicalName(name)
	if err != nil {
		return nil, err
	}
	record, err := view(ctx, s, func(tx *Tx) (*Record, error) { return tx.Users.Get(tenant, canonical) })
	if err != nil {
		return nil, err
	}
	return &record.User, nil
}

// SetPassword gives the user another password. Tokens made before are void.
func (s *Service) SetPassword(ctx context.Context, by Actor, name, password string) error {
	canonical, err := CanonicalName(name)
	if err != nil {
		return err
	}
	if err := CheckPassword(canonical, password); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.modify(ctx, by, audit.UserPassword, canonical, func(r *Record) { r.PasswordHash, r.InitialPassword = hash, false })
	if err != nil {
		return err
	}
	return s.removeInitialPassword(canonical)
}

// ChangePassword gives the user who asks another password, for the present one.
// Tokens made before are void, refresh tokens too. Faults: Forbidden for whom
// this server keeps no password, for a wrong one, which counts as a wrong one at
// a sign-in does, and for a user who was changed meanwhile; Content for a new one
// that breaks a rule.
func (s *Service) ChangePassword(ctx context.Context, p *identity.Principal, current, next string) error {
	if p.Issuer != "" || p.Method != identity.Bearer || strings.HasPrefix(p.Subject, ClientPrefix) {
		return fault.New(fault.Forbidden, "Only users of this server have a password here; send a token obtained with a password")
	}
	stamp, err := s.provePresent(ctx, p.Subject, current)
	if fault.KindOf(err) == fault.Unauthenticated {
		return fault.Wrap(fault.Forbidden, "The present password is wrong", err)
	}
	if err != nil {
		return err
	}
	return s.SetPassword(ctx, Actor{Name: p.Subject, Tenant: p.Tenant, proven: stamp}, p.Subject, next)
}

// provePresent returns the stamp under which the password is that of a user who is
// signed in. It is counted apart from sign-ins: who tries a user's password from
// outside must not keep the user, who has a token, from changing it.
func (s *Service) provePresent(ctx context.Context, name, password string) (stamp string, err error) {
	_, stamp, err = s.verifyCounted(ctx, "signed in: "+name, name, password)
	return stamp, err
}

// SetRoles gives the user these roles instead of the former. Tokens made
// before are void. It is a Conflict to take the role admin from the last
// enabled administrator.
func (s *Service) SetRoles(ctx context.Context, by Actor, name string, roles []string) error {
	roles, err := checkRoles(roles)
	if err != nil {
		return err
	}
	return s.modify(ctx, by, audit.UserRoles, name, func(r *Record) { r.Roles = roles })
}

// Disable keeps the user from signing in. Tokens made before are void. It is a
// Conflict to disable the last enabled administrator.
func (s *Service) Disable(ctx context.Context, by Actor, name string) error {
	return s.modify(ctx, by, audit.UserDisable, name, func(r *Record) { r.Disabled = true })
}

// Enable lets a disabled user sign in again. Tokens made before stay void.
func (s *Service) Enable(ctx context.Context, by Actor, name string) error {
	return s.modify(ctx, by, audit.UserEnable, name, func(r *Record) { r.Disabled = false })
}

// Delete removes the user. It is a Conflict to delete the last enabled
// administrator.
func (s *Service) Delete(ctx context.Context, by Actor, name string) error {
	canonical, err := CanonicalName(name)
	if err != nil {
		return err
	}
	err = s.update(ctx, by, audit.UserDelete, canonical, func(tx *Tx, d *deed) error {
		record, err := by.user(tx, canonical)
		if err != nil {
			return err
		}
		d.on(record.Tenant, userChanges(record, &Record{User: User{Disabled: record.Disabled}}))
		if record.enabledAdmin() {
			if err := notTheLastAdmin(tx, canonical); err != nil {
				return err
			}
		}
		return tx.Users.Delete(by.Tenant, canonical)
	})
	if err != nil {
		return err
	}
	return s.removeInitialPassword(canonical)
}

// modify changes one user and gives it a new stamp.
func (s *Service) modify(ctx context.Context, by Actor, event audit.Event, name string, change func(*Record)) error {
	canonical, err := CanonicalName(name)
	if err != nil {
		return err
	}
	stamp, err := s.newStamp()
	if err != nil {
		return err
	}
	return s.update(ctx, by, event, canonical, func(tx *Tx, d *deed) error {
		record, err := by.user(tx, canonical)
		if err != nil {
			return err
		}
		before := *record
		change(record)
		d.on(record.Tenant, userChanges(&before, record))
		if err := by.mayGive(rightsOfUser(&record.User)); err != nil {
			return err
		}
		if before.enabledAdmin() && !record.enabledAdmin() {
			if err := notTheLastAdmin(tx, canonical); err != nil {
				return err
			}
		}
		record.Stamp, record.UpdatedAt = stamp, s.timestamp()
		return tx.Users.Replace(record)
	})
}

// notTheLastAdmin refuses what would leave nobody who can administer.
func notTheLastAdmin(tx *Tx, name string) error {
	n, err := tx.CountAdmins()
	if err == nil && n <= 1 {
		return fault.Newf(fault.Conflict, "%s is the last enabled user with the role admin; give that role to another user first", name)
	}
	return err
}

func (s *Service) timestamp() time.Time { return s.now().UTC().Truncate(time.Second) }
