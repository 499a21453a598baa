package oauth

import (
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// The scopes that exist, in the order in which an answer names them.
var (
	everyonesScopes = []string{identity.ScopeModelsRead, identity.ScopeModelsPredict}
	adminScopes     = []string{identity.ScopeMetricsRead}
)

// allowedScopes returns every scope that the principal may ask for.
func allowedScopes(p *identity.Principal) []string {
	if p.HasRole(identity.RoleAdmin) {
		return slices.Concat(everyonesScopes, adminScopes)
	}
	return everyonesScopes
}

// parseScope reads a scope parameter (RFC 6749 section 3.3) and refuses a
// scope that does not exist, before any password is looked at. It returns nil
// for an empty one.
func parseScope(scope string) ([]string, error) {
	if scope == "" {
		return nil, nil
	}
	requested := strings.Split(scope, " ")
	for _, s := range requested {
		if !slices.Contains(everyonesScopes, s) && !slices.Contains(adminScopes, s) {
			return nil, errScope()
		}
	}
	return requested, nil
}

// grantScopes returns what was requested, or everything allowed when nothing
// was. What is not allowed is refused, never left out silently.
func grantScopes(requested []string, p *identity.Principal) ([]string, error) {
	allowed := allowedScopes(p)
	if requested == nil {
		return allowed, nil
	}
	for _, s := range requested {
		if !slices.Contains(allowed, s) {
			return nil, errScope()
		}
	}
	return slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return !slices.Contains(requested, s) }), nil
}

func errScope() error {
	return &fault.Error{
		Kind: fault.BadRequest, Code: CodeInvalidScope,
		Msg: "The scope is unknown, malformed or not allowed for this user",
	}
}
