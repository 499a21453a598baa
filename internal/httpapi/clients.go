package httpapi

import (
	"context"

	"onnxgate/internal/accounts"
)

// newClient is a service client to be added.
type newClient struct {
	Name   string   `json:"name"   validate:"required"                                                         want:"a string"`
	Tenant string   `json:"tenant" validate:"omitempty,tenant"                                                 want:"the name of a tenant"`
	Roles  []string `json:"roles"  validate:"required,min=1,max=32,dive,role"                                  want:"an array of 1 to 32 roles"`
	Scopes []string `json:"scopes" validate:"omitempty,min=1,dive,scope"                                       want:"an array of scopes; leave it out for all of its roles"`
	Grants []string `json:"grants" validate:"omitempty,dive,oneof=client_credentials password refresh_token" want:"an array of client_credentials, password, refresh_token"`
	// Certificate is held against the accounts' rule.
	Certificate string `json:"certificate" want:"a name such as uri:spiffe://example.org/scoring"`
}

// clientChange names what becomes of a service client.
type clientChange struct {
	Name     *string  `json:"name"                                                                                     want:"a string"`
	Roles    []string `json:"roles"    validate:"omitempty,min=1,max=32,dive,role"                                     want:"an array of 1 to 32 roles"`
	Scopes   []string `json:"scopes"   validate:"omitempty,min=1,dive,scope"                                           want:"an array of scopes, or null for all of its roles" null:"none"`
	Grants   []string `json:"grants"   validate:"omitempty,min=1,dive,oneof=client_credentials password refresh_token" want:"an array of client_credentials, password, refresh_token"`
	Disabled *bool    `json:"disabled"                                                                                 want:"true or false"`
	// Certificate is held against the accounts' rule.
	Certificate *string `json:"certificate" want:"a name such as uri:spiffe://example.org/scoring, or null for none" null:"none"`
}

func (a *API) listClients(ctx context.Context, x *exchange) error {
	filter, page, err := x.search(filterTenant, filterRole, filterDisabled)
	if err != nil {
		return err
	}
	found, err := a.cfg.Accounts.SearchClients(ctx, a.actor(x), filter, page)
	if err != nil {
		return err
	}
	return x.encode(listing("clients", found, (*accounts.Client).View))
}

func (a *API) createClient(ctx context.Context, x *exchange) error {
	var add newClient
	if err := x.readMembers(ctx, &add); err != nil {
		return err
	}
	client, secret, err := a.cfg.Accounts.AddClient(ctx, a.actor(x), accounts.NewClient{
		Name: add.Name, Tenant: ownTenant(x, add.Tenant), Roles: add.Roles, Scopes: add.Scopes, Grants: add.Grants,
		Certificate: add.Certificate,
	})
	if err != nil {
		return pointed(err)
	}
	return x.created(client.ViewWith(secret), "clients", client.ID)
}

func (a *API) showClient(ctx context.Context, x *exchange) error {
	client, err := a.cfg.Accounts.Client(ctx, a.actor(x).Tenant, x.param("client"))
	if err != nil {
		return err
	}
	return x.encode(client.View())
}

func (a *API) changeClient(ctx context.Context, x *exchange) error {
	id := x.param("client")
	if _, err := a.cfg.Accounts.Client(ctx, a.actor(x).Tenant, id); err != nil {
		return err // before anything is said about the body
	}
	var change clientChange
	if err := x.readChange(ctx, &change); err != nil {
		return err
	}
	client, err := a.cfg.Accounts.ChangeClient(ctx, a.actor(x), id, accounts.ClientChange(change))
	if err != nil {
		return pointed(err)
	}
	return x.encode(client.View())
}

func (a *API) rotateClient(ctx context.Context, x *exchange) error {
	id := x.param("client")
	if _, err := a.cfg.Accounts.Client(ctx, a.actor(x).Tenant, id); err != nil {
		return err // before anything is said about the body
	}
	r, err := x.rotation(ctx)
	if err != nil {
		return err
	}
	client, secret, err := a.cfg.Accounts.RotateClient(ctx, a.actor(x), id, r.overlap(0))
	if err != nil {
		return pointed(err)
	}
	return x.encode(client.ViewWith(secret))
}

func (a *API) deleteClient(ctx context.Context, x *exchange) error {
	return x.deleted(a.cfg.Accounts.DeleteClient(ctx, a.actor(x), x.param("client")))
}
