package httpapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
)

// newKey is an API key to be made.
type newKey struct {
	Name      string   `json:"name"      validate:"required"                        want:"a string"`
	Tenant    string   `json:"tenant"    validate:"omitempty,tenant"                want:"the name of a tenant"`
	Roles     []string `json:"roles"     validate:"required,min=1,max=32,dive,role" want:"an array of 1 to 32 roles"`
	Scopes    []string `json:"scopes"    validate:"omitempty,min=1,dive,scope"      want:"an array of scopes; leave it out for all of its roles"`
	Models    []string `json:"models"    validate:"omitempty,min=1,max=256"         want:"an array of 1 to 256 models; leave it out for all models"`
	Addresses []string `json:"addresses" validate:"max=64,dive,network"             want:"an array of at most 64 networks"`
	Rate      string   `json:"rate"                                                 want:"a rate such as 100/minute"`
	Quota     string   `json:"quota"                                                want:"quotas such as calls=10000/day,rows=1e6/month"`
	Expires   string   `json:"expires"   validate:"omitempty,moment"                want:"a time such as 2030-01-31T00:00:00Z, or how long from now, such as 90d"`
}

// keyChange names what becomes of an API key.
type keyChange struct {
	Name      *string  `json:"name"                                                  want:"a string"`
	Roles     []string `json:"roles"     validate:"omitempty,min=1,max=32,dive,role" want:"an array of 1 to 32 roles"`
	Scopes    []string `json:"scopes"    validate:"omitempty,min=1,dive,scope"       want:"an array of scopes, or null for all of its roles" null:"none"`
	Models    []string `json:"models"    validate:"omitempty,min=1,max=256"          want:"an array of 1 to 256 models, or null for all models" null:"none"`
	Addresses []string `json:"addresses" validate:"max=64,dive,network"              want:"an array of at most 64 networks" null:"none"`
	Rate      *string  `json:"rate"                                                  want:"a rate such as 100/minute, or null for none" null:"none"`
	Quota     *string  `json:"quota"                                                 want:"quotas such as calls=10000/day,rows=1e6/month, or null for none" null:"none"`
	Expires   *string  `json:"expires"   validate:"omitempty,moment"                 want:"a time such as 2030-01-31T00:00:00Z, how long from now, such as 90d, or null for no end" null:"none"`
	Disabled  *bool    `json:"disabled"                                              want:"true or false"`
}

// rotation says how long the secret before a new one counts.
type rotation struct {
	Overlap *string `json:"overlap" validate:"omitempty,span" want:"how long the old secret stays valid, such as 24h or 0s"`
}

// rotation reads the body of a rotation, which need not be there.
func (x *exchange) rotation(ctx context.Context) (r rotation, err error) {
	if x.request.ContentLength == 0 {
		return r, nil
	}
	return r, x.readMembers(ctx, &r)
}

// overlap returns how long it is, and what was meant when it was not said.
func (r *rotation) overlap(unsaid time.Duration) time.Duration {
	if r.Overlap == nil {
		return unsaid
	}
	d, _ := parseSpan(*r.Overlap) // held against its rule
	return d
}

// parseSpan reads a duration of Go's, or days such as 90d.
func parseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Content, "must be a duration such as 90d, 12h or 0s")
	}
	return d, nil
}

// parseMoment reads a time, or how long it is from now; the zero time from an
// empty text, and from no other: the key would not end.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && !t.IsZero() {
		return t, nil
	}
	d, err := parseSpan(text)
	if err != nil || d == 0 {
		return time.Time{}, fault.New(fault.Content, "must be a time such as 2030-01-31T00:00:00Z, or how long from now, such as 90d")
	}
	return now.Add(d), nil
}

// checkScope says whether there is such a scope.
func checkScope(scope string) error {
	if !authz.IsPermission(scope) {
		return fault.New(fault.Content, "must be one of "+join(authz.Permissions()))
	}
	return nil
}

func (a *API) listKeys(ctx context.Context, x *exchange) error {
	filter, page, err := x.search(filterTenant, filterRole, filterDisabled)
	if err != nil {
		return err
	}
	found, err := a.cfg.Accounts.SearchKeys(ctx, a.actor(x), filter, page)
	if err != nil {
		return err
	}
	return x.encode(listing("keys", found, func(k *accounts.APIKey) accounts.KeyView { return k.View(a.cfg.Now()) }))
}

func (a *API) createKey(ctx context.Context, x *exchange) error {
	var add newKey
	if err := x.readMembers(ctx, &add); err != nil {
		return err
	}
	addresses, err := networks(add.Addresses)
	if err != nil {
		return err
	}
	expires, err := parseMoment(add.Expires, a.cfg.Now())
	if err != nil {
		return err
	}
	key, text, err := a.cfg.Accounts.CreateKey(ctx, a.actor(x), accounts.NewKey{
		Name: add.Name, Tenant: ownTenant(x, add.Tenant), Roles: add.Roles, Scopes: add.Scopes, Models: add.Models,
		Addresses: addresses, Rate: add.Rate, Quota: add.Quota, ExpiresAt: expires,
	})
	if err != nil {
		return pointed(err)
	}
	return x.created(key.ViewWith(text, a.cfg.Now()), "keys", key.ID)
}

func (a *API) showKey(ctx context.Context, x *exchange) error {
	key, err := a.cfg.Accounts.Key(ctx, a.actor(x).Tenant, x.param("key"))
	if err != nil {
		return err
	}
	return x.encode(key.View(a.cfg.Now()))
}

func (a *API) changeKey(ctx context.Context, x *exchange) error {
	id := x.param("key")
	if _, err := a.cfg.Accounts.Key(ctx, a.actor(x).Tenant, id); err != nil {
		return err // before anything is said about the body
	}
	var named keyChange
	if err := x.readChange(ctx, &named); err != nil {
		return err
	}
	change := accounts.KeyChange{
		Name: named.Name, Roles: named.Roles, Scopes: named.Scopes, Models: named.Models, Rate: named.Rate, Quota: named.Quota, Disabled: named.Disabled,
	}
	var err error
	if change.Addresses, err = networks(named.Addresses); err != nil {
		return err
	}
	if named.Expires != nil {
		expires, err := parseMoment(*named.Expires, a.cfg.Now())
		if err != nil {
			return err
		}
		change.ExpiresAt = &expires
	}
	key, err := a.cfg.Accounts.ChangeKey(ctx, a.actor(x), id, change)
	if err != nil {
		return pointed(err)
	}
	return x.encode(key.View(a.cfg.Now()))
}

func (a *API) rotateKey(ctx context.Context, x *exchange) error {
	id := x.param("key")
	if _, err := a.cfg.Accounts.Key(ctx, a.actor(x).Tenant, id); err != nil {
		return err // before anything is said about the body
	}
	r, err := x.rotation(ctx)
	if err != nil {
		return err
	}
	key, text, err := a.cfg.Accounts.RotateKey(ctx, a.actor(x), id, r.overlap(accounts.DefaultOverlap))
	if err != nil {
		return pointed(err)
	}
	return x.encode(key.ViewWith(text, a.cfg.Now()))
}

func (a *API) deleteKey(ctx context.Context, x *exchange) error {
	return x.deleted(a.cfg.Accounts.RevokeKey(ctx, a.actor(x), x.param("key")))
}
