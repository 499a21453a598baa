// Package identity holds the Principal: who is calling, proven once and then
// passed as an argument, never hidden in a context.
package identity

import "slices"

// Method says how a principal proved who it is.
type Method string

// The methods.
const (
	// Bearer is an access token that this server issued (RFC 9068).
	Bearer Method = "bearer"
)

// DefaultTenant is the tenant of everything that names none.
const DefaultTenant = "default"

// The roles and scopes that exist without any configuration.
const (
	RoleAdmin = "admin"
	RoleUser  = "user"

	ScopeModelsRead    = "models:read"
	ScopeModelsPredict = "models:predict"
	ScopeMetricsRead   = "metrics:read"
)

// Principal is an authenticated caller. It is shared between requests and must
// not be changed after it was made.
type Principal struct {
	// Subject is the user's name.
	Subject string
	// Tenant is whose models and data the principal sees.
	Tenant string
	// Roles are words that rules speak about.
	Roles []string
	// Scopes are what the credential may be used for (RFC 6749 section 3.3).
	Scopes []string
	// Claims are the further claims of the credential, for rules to match.
	Claims map[string]any
	// Method is how the principal was authenticated.
	Method Method
}

// HasRole reports whether the principal holds the role.
func (p *Principal) HasRole(role string) bool {
	return p != nil && slices.Contains(p.Roles, role)
}

// HasScope reports whether the principal's credential carries the scope.
func (p *Principal) HasScope(scope string) bool {
	return p != nil && slices.Contains(p.Scopes, scope)
}
