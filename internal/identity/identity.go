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
	// Outside is a token of another issuer that the operator trusts.
	Outside Method = "oidc"
	// APIKey is one of this server's API keys.
	APIKey Method = "api_key"
	// Certificate is a client certificate of the TLS handshake.
	Certificate Method = "certificate"
)

// DefaultTenant is the tenant of everything that names none. Its administrators
// are those of the installation.
const DefaultTenant = "default"

// The roles that exist without any configuration.
const (
	RoleAdmin   = "admin"
	RoleOwner   = "owner"
	RoleUser    = "user"
	RoleAuditor = "auditor"
)

// A permission is what a role lets do and a scope narrows (RFC 6749 section
// 3.3): the same words serve both.
const (
	ModelsRead    = "models:read"
	ModelsPredict = "models:predict"
	ModelsWrite   = "models:write"
	// UsersWrite is for users and their passwords.
	UsersWrite = "users:write"
	// KeysWrite is for API keys, service clients and signing keys.
	KeysWrite = "keys:write"
	// TenantsWrite is for tenants. Like MetricsRead and DebugRead it concerns
	// the whole installation.
	TenantsWrite = "tenants:write"
	AuditRead    = "audit:read"
	MetricsRead  = "metrics:read"
	DebugRead    = "debug:read"
	// CryptoUse is for sealing and opening text with the tenant's keys.
	CryptoUse = "crypto:use"
)

// Principal is an authenticated caller. It is shared between requests and must
// not be changed after it was made.
type Principal struct {
	// Subject is the user's name, a client's id, "apikey:" and a key's id, or
	// the subject that Issuer vouches for.
	Subject string
	// Issuer is the outside issuer that Subject belongs to; empty for our own.
	Issuer string
	// Tenant is whose models and data the principal sees.
	Tenant string
	// Roles are words that rules speak about.
	Roles []string
	// Scopes are the permissions that the credential may be used for; what its
	// roles do not grant, a scope cannot add.
	Scopes []string
	// Models are the names of the only models that the credential may be used
	// for; nil is any.
	Models []string
	// Limit is the credential's own, whatever its address, and TenantLimit that of all
	// credentials of the tenant together.
	Limit, TenantLimit Limit
	// Claims are the further claims of the credential, for rules to match; numbers are
	// json.Number.
	Claims map[string]any
	// Method is how the principal was authenticated.
	Method Method
	// With is a second principal, of another credential of the same request and
	// of the same tenant. Whatever is asked must be allowed to both.
	With *Principal
}

// Name returns what tells the principal from all others. No subject has a NUL.
func (p *Principal) Name() string {
	if p.Issuer == "" {
		return p.Subject
	}
	return p.Issuer + "\x00" + p.Subject
}

// HasRole reports whether the principal holds the role.
func (p *Principal) HasRole(role string) bool {
	return p != nil && slices.Contains(p.Roles, role)
}

// HasScope reports whether the principal's credential carries the scope.
func (p *Principal) HasScope(scope string) bool {
	return p != nil && slices.Contains(p.Scopes, scope)
}
