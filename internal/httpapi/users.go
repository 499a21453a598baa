package httpapi

import (
	"context"

	"onnxgate/internal/accounts"
)

// newUser is a user to be added.
type newUser struct {
	Name     string   `json:"name"     validate:"required,username"               want:"a string"`
	Password string   `json:"password" validate:"required"                        want:"a string"`
	Roles    []string `json:"roles"    validate:"required,min=1,max=32,dive,role" want:"an array of 1 to 32 roles"`
	Tenant   string   `json:"tenant"   validate:"omitempty,tenant"                want:"the name of a tenant"`
}

// userChange names what becomes of a user.
type userChange struct {
	Password        *string  `json:"password"                                                     want:"a string"`
	CurrentPassword *string  `json:"current_password"                                             want:"a string"`
	Roles           []string `json:"roles"            validate:"omitempty,min=1,max=32,dive,role" want:"an array of 1 to 32 roles"`
	Disabled        *bool    `json:"disabled"                                                     want:"true or false"`
}

func (a *API) listUsers(ctx context.Context, x *exchange) error {
	filter, page, err := x.search(filterTenant, filterRole, filterDisabled)
	if err != nil {
		return err
	}
	found, err := a.cfg.Accounts.SearchUsers(ctx, a.actor(x), filter, page)
	if err != nil {
		return err
	}
	return x.encode(listing("users", found, (*accounts.User).View))
}

func (a *API) createUser(ctx context.Context, x *exchange) error {
	var add newUser
	if err := x.readMembers(ctx, &add); err != nil {
		return err
	}
	if err := checkPassword(add.Name, &add.Password); err != nil {
		return err
	}
	user, _, err := a.cfg.Accounts.Add(ctx, a.actor(x), accounts.NewUser{
		Name: add.Name, Password: add.Password, Roles: add.Roles, Tenant: ownTenant(x, add.Tenant),
	})
	if err != nil {
		return pointed(err)
	}
	return x.created(user.View(), "users", user.Name)
}

func (a *API) showUser(ctx context.Context, x *exchange) error {
	name, err := userName(x)
	if err != nil {
		return err
	}
	user, err := a.cfg.Accounts.User(ctx, a.actor(x).Tenant, name)
	if err != nil {
		return err
	}
	return x.encode(user.View())
}

func (a *API) changeUser(ctx context.Context, x *exchange) error {
	name, err := userName(x)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Accounts.User(ctx, a.actor(x).Tenant, name); err != nil {
		return err // before anything is said about the body
	}
	var change userChange
	if err := x.readChange(ctx, &change); err != nil {
		return err
	}
	if err := checkPassword(name, change.Password); err != nil {
		return err
	}
	user, err := a.cfg.Accounts.ChangeUser(ctx, a.actor(x), name, accounts.UserChange(change))
	if err != nil {
		return pointed(err)
	}
	return x.encode(user.View())
}

func (a *API) deleteUser(ctx context.Context, x *exchange) error {
	name, err := userName(x)
	if err != nil {
		return err
	}
	return x.deleted(a.cfg.Accounts.Delete(ctx, a.actor(x), name))
}
