package httpapi

import (
	"context"

	"onnxgate/internal/accounts"
)

// userView is what is told of a user.
type userView struct {
	Name     string   `json:"name"`
	Tenant   string   `json:"tenant"`
	Roles    []string `json:"roles"`
	Disabled bool     `json:"disabled"`
	Created  string   `json:"created"`
	Updated  string   `json:"updated"`
}

func viewUser(u *accounts.User) userView {
	return userView{
		Name: u.Name, Tenant: u.Tenant, Roles: u.Roles, Disabled: u.Disabled,
		Created: timestamp(u.CreatedAt), Updated: timestamp(u.UpdatedAt),
	}
}

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
	return x.encode(listing("users", found, viewUser))
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
	return x.created(viewUser(user), "users", user.Name)
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
	return x.encode(viewUser(user))
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
	return x.encode(viewUser(user))
}

func (a *API) deleteUser(ctx context.Context, x *exchange) error {
	name, err := userName(x)
	if err != nil {
		return err
	}
	return x.deleted(a.cfg.Accounts.Delete(ctx, a.actor(x), name))
}
