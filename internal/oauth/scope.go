package oauth

import (
	"slices"
	"strings"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// scopeOffline asks for a refresh token beside the access token, and is no
// permission (the word is that of OpenID Connect Core section 11).
const scopeOffline = "offline_access"

// scope is what a request asks for.
type scope struct {
	// permissions are nil when none is named: then all are meant.
	permissions []string
	offline     bool
}

// parseScope reads a scope parameter (RFC 6749 section 3.3) and refuses a
// scope that does not exist, before any password is looked at.
func parseScope(text string) (scope, error) {
	if text == "" {
		return scope{}, nil
	}
	var s scope
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case word == scopeOffline:
			s.offline = true
		case authz.IsPermission(word):
			s.permissions = append(s.permissions, word)
		default:
			return scope{}, errScope("There is no scope " + shown(word) + "; name scopes with one blank between them")
		}
	}
	return s, nil
}

// narrow returns what was requested, or everything that is allowed when nothing
// was: what the roles permit, the client may have, and was granted before. What
// is not allowed is refused, never left out silently.
func (s *Server) narrow(requested []string, sub *subject, client *identity.Client) ([]string, error) {
	allowed := s.roles.Of(sub.grant.Tenant, sub.grant.Roles)
	if client != nil && client.Scopes != nil {
		allowed = both(allowed, client.Scopes)
	}
	if sub.grant.Family != "" {
		allowed = both(allowed, strings.Fields(sub.grant.Scope))
	}
	if requested == nil {
		return allowed, nil
	}
	if i := slices.IndexFunc(requested, func(s string) bool { return !slices.Contains(allowed, s) }); i >= 0 {
		return nil, errScope("The scope " + requested[i] + " is not allowed here")
	}
	return both(allowed, requested), nil
}

// both returns the words that are in both lists, in the order of the first.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

func within(words, all []string) bool {
	return !slices.ContainsFunc(words, func(s string) bool { return !slices.Contains(all, s) })
}

// maxShown is how much of an unknown scope an answer repeats.
const maxShown = 64

// shown returns a scope of the request for an answer, which says nothing of one
// that is not in the grammar (RFC 6749 section 3.3): no blank, quotation mark or
// backslash, and ASCII alone.
func shown(word string) string {
	strange := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	switch {
	case word == "":
		return "without a name"
	case len(word) > maxShown || strings.ContainsFunc(word, strange):
		return "of such a form"
	}
	return word
}

func errScope(msg string) error {
	return &fault.Error{Kind: fault.BadRequest, Code: CodeInvalidScope, Msg: msg}
}
