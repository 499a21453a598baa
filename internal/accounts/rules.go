package accounts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// The bounds of a password, in code points after NFC, as NIST SP 800-63B-4
// section 3.1.1.2 asks of a password that is the only factor. The bytes are
// counted before anything else looks at them.
const (
	minPasswordRunes = 15
	maxPasswordRunes = 256
	maxPasswordBytes = 1 << 10
	maxRoles         = 32
)

// CanonicalName returns the one spelling of a user's name: NFKC, lower case,
// and then 1 to 64 characters of [a-z0-9._@-] that begin with a letter or a
// digit. "Admin" and its full-width form are the user "admin", so that no two
// users look alike and no spelling escapes a counter. Anything else is a fault
// of kind Content.
func CanonicalName(name string) (string, error) {
	// NFKC makes at most 18 characters of one; what is longer is not a name.
	if len(name) > 4*64 {
		return "", errName()
	}
	canonical := strings.ToLower(norm.NFKC.String(name))
	if strings.HasPrefix(canonical, ClientPrefix) {
		return "", fault.Newf(fault.Content, "a user name cannot begin with %s, which is kept for clients", ClientPrefix)
	}
	if !identity.IsUser(canonical) {
		return "", errName()
	}
	return canonical, nil
}

func errName() error {
	return fault.New(fault.Content, "a user name has 1 to 64 characters of a-z, 0-9 and . _ @ - and begins with a letter or a digit")
}

// CheckRole says whether a word may be a role. The error is a fault of kind
// Content.
func CheckRole(role string) error {
	if !identity.IsRole(role) {
		return fault.New(fault.Content, "a role is a word of 1 to 64 characters of a-z, 0-9, _ and - that begins with a letter")
	}
	return nil
}

// checkRoles returns the roles without repetitions.
func checkRoles(roles []string) ([]string, error) {
	var unique []string
	for _, role := range roles {
		if err := CheckRole(role); err != nil {
			return nil, wrong("roles", "%s", err)
		}
		if !slices.Contains(unique, role) {
			unique = append(unique, role)
		}
	}
	if len(unique) == 0 || len(unique) > maxRoles {
		return nil, wrong("roles", "there can be from 1 to %d roles", maxRoles)
	}
	return unique, nil
}

// CheckTenant says whether a word may be the name of a tenant. The error is a
// fault of kind Content.
func CheckTenant(tenant string) error {
	if !identity.IsTenant(tenant) {
		return fault.New(fault.Content, "a tenant has 1 to 63 characters of a-z, 0-9 and - and begins with a letter or a digit")
	}
	return nil
}

// tenantOrDefault returns the tenant that somebody is to be added to: the default
// one where none is named. The error is that of CheckTenant.
func tenantOrDefault(named string) (string, error) {
	tenant := cmp.Or(named, identity.DefaultTenant)
	return tenant, CheckTenant(tenant)
}

// CheckPassword says whether the password may be the one of the user of that
// name: 15 to 256 characters, none of them a control character, and not easy
// to guess. There are no rules of composition. The error is a fault of kind
// Content that says what to do.
func CheckPassword(name, password string) error {
	if len(password) > maxPasswordBytes {
		return fault.Newf(fault.Content, "the password is longer than %d bytes", maxPasswordBytes)
	}
	if !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl) {
		return fault.New(fault.Content, "the password must be text in UTF-8 without control characters")
	}
	switch n := utf8.RuneCountInString(norm.NFC.String(password)); {
	case n < minPasswordRunes:
		return fault.Newf(fault.Content, "the password has %s; at least %d are needed%s", characters(n), minPasswordRunes, makeOne)
	case n > maxPasswordRunes:
		return fault.Newf(fault.Content, "the password has %s; at most %d are allowed", characters(n), maxPasswordRunes)
	case guessable(name, password):
		return fault.New(fault.Content, "the password is too easy to guess: it is a known phrase, or made of the user's name, common words, sequences or repetitions"+makeOne)
	}
	return nil
}

// makeOne says how to come by a password that is accepted.
const makeOne = "; this makes a good one: openssl rand -base64 24"

func characters(n int) string {
	if n == 1 {
		return "1 character"
	}
	return strconv.Itoa(n) + " characters"
}
