package authz

import (
	"fmt"
	"slices"

	"onnxgate/internal/identity"
)

// permissions are all there are, in the order in which a token names them.
var permissions = []string{
	identity.ModelsRead, identity.ModelsPredict, identity.ModelsWrite,
	identity.UsersWrite, identity.KeysWrite, identity.TenantsWrite,
	identity.AuditRead, identity.MetricsRead, identity.DebugRead, identity.CryptoUse,
}

// installation are the permissions that concern every tenant, so that they
// count in the default tenant alone.
var installation = []string{identity.TenantsWrite, identity.MetricsRead, identity.DebugRead}

// builtIn are the roles that exist without any configuration.
var builtIn = map[string][]string{
	identity.RoleUser:    {identity.ModelsRead, identity.ModelsPredict},
	identity.RoleOwner:   {identity.ModelsRead, identity.ModelsPredict, identity.ModelsWrite},
	identity.RoleAuditor: {identity.ModelsRead, identity.AuditRead, identity.MetricsRead},
	identity.RoleAdmin:   permissions,
}

// IsPermission reports whether there is such a permission, which is also the
// name of a scope.
func IsPermission(word string) bool { return slices.Contains(permissions, word) }

// Permissions returns the names of all permissions, in the order in which a
// token names them.
func Permissions() []string { return slices.Clone(permissions) }

// Roles says which permissions each role grants. The zero value knows the built
// in ones. It does not change and is safe for concurrent use.
type Roles struct{ own map[string][]string }

// NewRoles returns the built in roles and the operator's own. Its error names a
// role that is built in, or a permission that does not exist.
func NewRoles(own map[string][]string) (Roles, error) {
	for role, granted := range own {
		if _, taken := builtIn[role]; taken {
			return Roles{}, fmt.Errorf("the role %s is built in; give yours another name", role)
		}
		for _, p := range granted {
			if !IsPermission(p) {
				return Roles{}, fmt.Errorf("the role %s names the permission %q, which does not exist", role, p)
			}
		}
	}
	return Roles{own: own}, nil
}

// Knows reports whether the role is built in or one of the operator's own. Any other
// word may be a role, too, and grants nothing.
func (r Roles) Knows(role string) bool {
	_, builtin := builtIn[role]
	_, own := r.own[role]
	return builtin || own
}

func (r Roles) grants(role, permission string) bool {
	granted, ok := builtIn[role]
	if !ok {
		granted = r.own[role]
	}
	return slices.Contains(granted, permission)
}

// Of returns the permissions that the roles grant in the tenant, without
// repetitions, in the order of Permissions.
func (r Roles) Of(tenant string, roles []string) []string {
	var all []string
	for _, p := range permissions {
		if r.granted(tenant, roles, p) {
			all = append(all, p)
		}
	}
	return all
}

func (r Roles) granted(tenant string, roles []string, permission string) bool {
	if tenant != identity.DefaultTenant && slices.Contains(installation, permission) {
		return false
	}
	for _, role := range roles {
		if r.grants(role, permission) {
			return true
		}
	}
	return false
}

// Permits reports whether the principal may do what the permission is for: a
// role of its grants it, and its credential's scopes hold it. A nil principal
// may do nothing; one with a second may do what both may.
func (r Roles) Permits(p *identity.Principal, permission string) bool {
	if p == nil || !p.HasScope(permission) || !r.granted(p.Tenant, p.Roles, permission) {
		return false
	}
	return p.With == nil || r.Permits(p.With, permission)
}
