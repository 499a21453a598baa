package authz

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/identity"
)

// Claim is a condition on what the credential says about its principal. It
// holds when the claim's value, or one element of a list, is one of Values, and
// of the same type. A claim that is missing, or is anything else, never holds.
type Claim struct {
	// Name is that of the claim, or a path with dots into a claim that is an
	// object. The whole name is tried first.
	Name string
	// Values are strings, booleans, and numbers: int64, uint64 or float64.
	Values []any
}

// The claims of OpenID Connect Core section 5.1 that belong together: an
// address that nobody has verified is whatever its holder wrote.
const (
	claimEmail         = "email"
	claimEmailVerified = "email_verified"
)

// failingClaim returns the first claim that does not hold, nil when all do.
func (r *Rule) failingClaim(p *identity.Principal) *Claim {
	for i := range r.When {
		if !r.When[i].holds(p) {
			return &r.When[i]
		}
	}
	return nil
}

func (c *Claim) holds(p *identity.Principal) bool {
	if c.Name == claimEmail && !emailCounts(p) {
		return false
	}
	value, ok := claimAt(p.Claims, c.Name)
	return ok && c.matches(value)
}

// emailCounts reports whether the principal's address may be believed: an
// outside issuer must say that it has verified it.
func emailCounts(p *identity.Principal) bool {
	verified, _ := p.Claims[claimEmailVerified].(bool)
	return verified || isOwn(p)
}

// claimAt returns the claim of that name, else what the path leads to.
func claimAt(claims map[string]any, path string) (any, bool) {
	if value, ok := claims[path]; ok {
		return value, true
	}
	for {
		name, rest, more := strings.Cut(path, ".")
		value, ok := claims[name]
		if !ok || !more {
			return value, ok
		}
		if claims, ok = value.(map[string]any); !ok {
			return nil, false
		}
		path = rest
	}
}

func (c *Claim) matches(value any) bool {
	switch list := value.(type) {
	case []any:
		return slices.ContainsFunc(list, c.allows)
	case []string:
		return slices.ContainsFunc(list, c.allowsText)
	}
	return c.allows(value)
}

// allows reports whether a value that is no list is one of those allowed.
func (c *Claim) allows(value any) bool {
	switch value := value.(type) {
	case string:
		return c.allowsText(value)
	case bool:
		for _, want := range c.Values {
			if want, ok := want.(bool); ok && want == value {
				return true
			}
		}
		return false
	}
	got, ok := numberOf(value)
	if !ok {
		return false
	}
	for _, want := range c.Values {
		if want, ok := numberOf(want); ok && want == got {
			return true
		}
	}
	return false
}

func (c *Claim) allowsText(text string) bool {
	for _, want := range c.Values {
		if want, ok := want.(string); ok && want == text {
			return true
		}
	}
	return false
}

// number is a number in the one form in which equal ones are equal: a whole
// number by sign and size, which float64 could not tell from its neighbours,
// and any other by its fraction.
type number struct {
	negative bool
	whole    uint64
	fraction float64
}

func numberOf(v any) (number, bool) {
	switch v := v.(type) {
	case int:
		return wholeNumber(int64(v)), true
	case int64:
		return wholeNumber(v), true
	case uint64:
		return number{whole: v}, true
	case float64:
		return floatNumber(v), true
	case json.Number:
		return jsonNumber(string(v))
	}
	return number{}, false
}

func wholeNumber(i int64) number {
	if i < 0 {
		return number{negative: true, whole: uint64(-(i + 1)) + 1} //nolint:gosec // not negative; -i would overflow for the smallest
	}
	return number{whole: uint64(i)}
}

func floatNumber(f float64) number {
	const beyond = 1 << 64
	if f != math.Trunc(f) || math.Abs(f) >= beyond { // NaN is unequal to itself
		return number{fraction: f}
	}
	return number{negative: f < 0, whole: uint64(math.Abs(f))}
}

func jsonNumber(text string) (number, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return wholeNumber(i), true
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return number{whole: u}, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return floatNumber(f), err == nil
}
