package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// maxAdminBody bounds the body of a request that administers something.
const maxAdminBody = 64 << 10

// adminPath begins the path of everything that is administered.
const adminPath = "/admin/v1/"

// managed are the handlers of one kind of thing; what is nil does not exist.
type managed struct {
	list, create, show, change, remove, rotate handlerFunc
}

// managementRoutes are the routes of everything that is administered.
func managementRoutes(maxModel int64) []Route {
	read := Route{Method: http.MethodGet, Timeout: quick, Auth: Bearer}
	return slices.Concat(
		manage("tenants", "tenant", identity.TenantsWrite, audit.TenantRead, managed{
			list: (*API).listTenants, create: (*API).createTenant,
			show: (*API).showTenant, change: (*API).changeTenant, remove: (*API).deleteTenant,
		}),
		manage("users", "user", identity.UsersWrite, audit.UserRead, managed{
			list: (*API).listUsers, create: (*API).createUser,
			show: (*API).showUser, change: (*API).changeUser, remove: (*API).deleteUser,
		}),
		manage("clients", "client", identity.KeysWrite, audit.ClientRead, managed{
			list: (*API).listClients, create: (*API).createClient, rotate: (*API).rotateClient,
			show: (*API).showClient, change: (*API).changeClient, remove: (*API).deleteClient,
		}),
		manage("revocations", "revocation", identity.KeysWrite, audit.ClientRead, managed{create: (*API).revokeAny}),
		manage("keys", "key", identity.KeysWrite, audit.APIKeyRead, managed{
			list: (*API).listKeys, create: (*API).createKey, rotate: (*API).rotateKey,
			show: (*API).showKey, change: (*API).changeKey, remove: (*API).deleteKey,
		}),
		[]Route{
			read.at(adminPath + "issuers").with(withoutQuery((*API).listIssuers)).needs(identity.KeysWrite),
			read.at(adminPath + "models/{model}/policy").with((*API).showPolicy).needs(identity.ModelsRead).looks(audit.ModelRead),
			{
				Method: http.MethodPost, Pattern: adminPath + "models/{model}/policy/test", MaxBody: maxAdminBody, Timeout: quick,
				Auth: Bearer, Permission: identity.ModelsRead, Handler: (*API).testPolicy, Look: audit.ModelRead, ReadOnly: true,
			},
			read.at(adminPath + "usage").with((*API).listUsage).needs(identity.AuditRead),
			auditRoute(),
			read.at(adminPath + "openapi.json").with(withoutQuery((*API).adminContract)),
		},
		repositoryRoutes(maxModel),
	)
}

// manage returns the routes of one kind of thing: the list, and one of it.
func manage(plural, singular, permission string, look audit.Event, h managed) []Route {
	all := adminPath + plural
	one := all + "/{" + singular + "}"
	var routes []Route
	for _, r := range []Route{
		{Method: http.MethodGet, Pattern: all, Handler: h.list},
		{Method: http.MethodPost, Pattern: all, Handler: h.create, MaxBody: maxAdminBody},
		{Method: http.MethodGet, Pattern: one, Handler: h.show},
		{Method: http.MethodPatch, Pattern: one, Handler: h.change, MaxBody: maxAdminBody},
		{Method: http.MethodDelete, Pattern: one, Handler: h.remove},
		{Method: http.MethodPost, Pattern: one + "/rotate", Handler: h.rotate, MaxBody: maxAdminBody},
	} {
		if r.Handler == nil {
			continue
		}
		if r.Method != http.MethodGet || r.Pattern != all { // the list
			r.Handler = withoutQuery(r.Handler)
		}
		routes = append(routes, r.asManaged(permission).looks(look))
	}
	return routes
}

func (r Route) asManaged(permission string) Route {
	r.Timeout, r.Auth, r.Permission = slow, Bearer, permission
	return r
}

// withoutQuery refuses parameters where none is known.
func withoutQuery(h handlerFunc) handlerFunc {
	return func(a *API, ctx context.Context, x *exchange) error {
		if _, err := x.parameters(); err != nil {
			return err
		}
		return h(a, ctx, x)
	}
}

// actor is the caller as one who changes things.
func (a *API) actor(x *exchange) accounts.Actor { return accounts.ActorOf(x.principal, a.cfg.Roles) }

// ownTenant returns the tenant that a new thing belongs to: the one that the
// body names, or the caller's.
func ownTenant(x *exchange, named string) string {
	if named == "" {
		return x.principal.Tenant
	}
	return named
}

// listing is a page of a list, under the name of what it lists.
func listing[T, V any](name string, found accounts.Found[T], view func(*T) V) map[string]any {
	views := make([]V, len(found.Items))
	for i := range found.Items {
		views[i] = view(&found.Items[i])
	}
	page := map[string]any{name: views}
	if found.Next != "" {
		page["next"] = found.Next
	}
	return page
}

// created answers with a new thing and where it is.
func (x *exchange) created(v any, path ...string) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.Header()["Location"] = []string{adminPath + strings.Join(path, "/")}
	x.Header()["Content-Type"] = typeJSON
	x.send(http.StatusCreated, append(body, '\n'))
	return nil
}

// deleted answers that a thing is gone.
func (x *exchange) deleted(err error) error {
	if err == nil {
		x.WriteHeader(http.StatusNoContent)
	}
	return err
}

// timestamp is how times are told: RFC 3339, or nothing for the zero time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// userName returns the user that the path names, in the one spelling. What is no
// name is nobody's.
func userName(x *exchange) (string, error) {
	named := x.param("user")
	name, err := accounts.CanonicalName(named)
	if err != nil {
		return "", fault.Newf(fault.NotFound, "there is no user %s", named)
	}
	return name, nil
}

// adminContract answers with the contract of the administration listener.
func (a *API) adminContract(_ context.Context, x *exchange) error {
	doc, err := a.adminDocument()
	if err != nil {
		return err
	}
	x.sendJSON(doc)
	return nil
}
