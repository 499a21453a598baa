package authn

import (
	number "encoding/json" // its Number
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxValues bounds what one token has remembered: its claims, with what they
	// hold.
	maxValues = 1024
	// maxSubject is longer than any subject of OpenID Connect (Core section 2: 255)
	// or of a Kubernetes service account.
	maxSubject = 512
)

// outsideClaims are those of a token from outside: the registered ones (RFC 7519
// section 4.1) for the validator, and all as they are. Numbers are json.Number:
// float64 has one value for several whole numbers beyond 2⁵³, each of which may be
// somebody's id.
type outsideClaims struct {
	claims

	all map[string]any
}

// parseOutside reads one JSON object. Names that stand twice, invalid UTF-8,
// lone surrogates, a byte order mark and anything behind the object are errors.
func parseOutside(payload []byte) (*outsideClaims, error) {
	c := new(outsideClaims)
	if err := json.Unmarshal(payload, &c.all, exactNumbers); err != nil {
		return nil, err
	}
	if countValues(c.all) > maxValues {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	var errs [4]error
	if c.iss, _ = c.all["iss"].(string); c.iss == "" {
		return nil, errors.New("the claim iss is missing")
	}
	c.aud, errs[0] = audienceOf(c.all["aud"])
	c.exp, errs[1] = dateOf(c.all, "exp")
	c.nbf, errs[2] = dateOf(c.all, "nbf")
	c.iat, errs[3] = dateOf(c.all, "iat")
	return c, errors.Join(errs[:]...)
}

// exactNumbers keeps numbers as they are written.
var exactNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *any) error {
	if dec.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	raw, err := dec.ReadValue()
	*v = number.Number(raw)
	return err
}))

func countValues(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += countValues(e)
		}
	case []any:
		for _, e := range v {
			n += countValues(e)
		}
	}
	return n
}

// audienceOf takes a string or an array of strings (RFC 7519 section 4.1.3).
func audienceOf(v any) ([]string, error) {
	if s, ok := v.(string); ok {
		return []string{s}, nil
	}
	if all, ok := stringsOf(v); ok {
		return all, nil
	}
	return nil, errors.New("aud is missing, or not a string or an array of strings")
}

// stringsOf returns an array that holds strings and nothing else.
func stringsOf(v any) ([]string, bool) {
	list, ok := v.([]any)
	all := make([]string, len(list))
	for i, e := range list {
		s, isString := e.(string)
		if !isString {
			return nil, false
		}
		all[i] = s
	}
	return all, ok
}

// dateOf takes a NumericDate (RFC 7519 section 2), nil when it is missing.
func dateOf(all map[string]any, name string) (*jwt.NumericDate, error) {
	v, ok := all[name]
	if !ok {
		return nil, nil //nolint:nilnil // a date that may be missing
	}
	text, ok := v.(number.Number)
	seconds, err := text.Float64()
	if !ok || err != nil || seconds < 0 || seconds > maxDate {
		return nil, fmt.Errorf("%s is not a date from 1970 to 9999", name)
	}
	return numericDate(seconds), nil
}

// marks are claims that an access token does not have: those of an ID token
// (OpenID Connect Core section 3.3.2.11) and of a security event, such as a
// logout token (RFC 8417 section 2.2).
var marks = []string{"nonce", "at_hash", "c_hash", "s_hash", "events"}

// kinds are claims by which issuers say what else a token is.
var kinds = map[string][]string{
	"typ":       {"ID", "Refresh", "Offline", "Logout"}, // Keycloak
	"token_use": {"id", "refresh"},                      // Amazon Cognito
}

// accessToken refuses what is marked as something else. Many issuers put no typ
// of its own on access tokens (RFC 9068 section 2.1), so that an ID token, which
// every client of the issuer gets, is known by its claims alone. Dex, whose
// tokens have no typ, puts at_hash on access tokens too.
func (c *outsideClaims) accessToken(typ string) error {
	for _, name := range marks {
		if _, ok := c.all[name]; ok && (name != "at_hash" || typ != "") {
			return fmt.Errorf("the claim %s marks an ID token or a logout token, not an access token", name)
		}
	}
	for name, others := range kinds {
		if kind, _ := c.all[name].(string); slices.Contains(others, kind) {
			return fmt.Errorf("the claim %s says that it is not an access token", name)
		}
	}
	return nil
}

// at returns the claim of an exact name, or else the one at a path of names
// joined by dots. Anybody may register an e-mail address with many issuers, so
// it says nothing before it was verified (OpenID Connect Core section 5.7).
func (c *outsideClaims) at(path string) (any, bool) {
	if path == "email" && c.all["email_verified"] != true {
		return nil, false
	}
	if v, ok := c.all[path]; ok {
		return v, true
	}
	var v any = c.all
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// subject returns whom the issuer speaks of.
func (c *outsideClaims) subject(path string) (string, error) {
	v, _ := c.at(path)
	s, _ := v.(string)
	sub, hasSub := c.all["sub"]
	switch {
	case s == "":
		return "", fmt.Errorf("the claim %s is missing, empty, not verified, or not a string", path)
	case hasSub && !isName(sub):
		return "", errors.New("the claim sub is empty, or not a string")
	case len(s) > maxSubject || strings.ContainsFunc(s, unicode.IsControl):
		return "", fmt.Errorf("the claim %s is no name", path)
	}
	return s, nil
}

func isName(v any) bool {
	s, ok := v.(string)
	return ok && s != ""
}

// tenantOr returns the tenant that the token names, or the other one when it
// names none.
func (c *outsideClaims) tenantOr(path, other string) (string, error) {
	if path == "" {
		return other, nil
	}
	v, ok := c.at(path)
	if !ok {
		return other, nil
	}
	if s, ok := v.(string); ok && s != "" {
		return s, nil
	}
	return "", fmt.Errorf("the claim %s is not the name of a tenant", path)
}

// rolesBy translates the words of the claims. A claim of another type than a
// string or strings grants none.
func (c *outsideClaims) rolesBy(paths []string, ours map[string]string) []string {
	var roles []string
	for _, path := range paths {
		v, _ := c.at(path)
		theirs, ok := stringsOf(v)
		if s, isString := v.(string); isString {
			theirs, ok = []string{s}, true
		}
		if !ok {
			continue
		}
		for _, word := range theirs {
			if role, ok := ours[word]; ok && !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	return roles
}

// scopes returns the words of a claim, a list or a string of them (RFC 6749
// section 3.3); none when it is missing or of another type.
func (c *outsideClaims) scopes(path string) []string {
	v, _ := c.at(path)
	if s, ok := v.(string); ok {
		return strings.Fields(s)
	}
	all, _ := stringsOf(v)
	return all
}
