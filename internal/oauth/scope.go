package oauth

import (
	"slices"
	"strings"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// parseScope reads a scope parameter (RFC 6749 section 3.3) and refuses a
// scope that does not exist, before any password is looked at. It returns nil
// for an empty one.
func parseScope(scope string) ([]string, error) {
	if scope == "" {
		return nil, nil
	}
	requested := strings.Split(scope, " ")
	for _, s := range requested {
		if !authz.IsPermission(s) {
			return nil, errScope()
		}
	}
	return requested, nil
}

// grantScopes returns what was requested, or everything that the principal's
// roles permit when nothing was. What is not allowed is refused, never left out
// silently.
func (s *Server) grantScopes(requested []string, p *identity.Principal) ([]string, error) {
	allowed := s.roles.Of(p.Tenant, p.Roles)
	if requested == nil {
		return allowed, nil
	}
	for _, scope := range requested {
		if !slices.Contains(allowed, scope) {
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
