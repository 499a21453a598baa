package authn

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/identity"
)

// ClaimStamp is the private claim (RFC 7519 section 4.3) that carries the
// user's security stamp; ClaimTenant the one that carries the tenant.
const (
	ClaimStamp  = "onnxgate_stamp"
	ClaimTenant = "tenant"
)

// claims are those of RFC 9068 section 2.2 with our private ones. It is a
// jwt.Claims.
type claims struct {
	iss, sub, jti, clientID string
	scope, tenant, stamp    string
	aud, roles              []string
	exp, nbf, iat           *jwt.NumericDate
}

func parseClaims(payload []byte) (*claims, error) {
	c := new(claims)
	err := readObject(payload, func(name string, dec *jsontext.Decoder) error {
		if err := c.read(name, dec); err != nil {
			return fmt.Errorf("claim %q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, c.complete()
}

func (c *claims) read(name string, dec *jsontext.Decoder) error {
	switch name {
	case "iss":
		return readString(dec, &c.iss)
	case "sub":
		return readString(dec, &c.sub)
	case "jti":
		return readString(dec, &c.jti)
	case "client_id":
		return readString(dec, &c.clientID)
	case "scope":
		return readString(dec, &c.scope)
	case ClaimTenant:
		return readString(dec, &c.tenant)
	case ClaimStamp:
		return readString(dec, &c.stamp)
	case "aud":
		return readAudience(dec, &c.aud)
	case "roles":
		return readStrings(dec, &c.roles)
	case "exp":
		return readDate(dec, &c.exp)
	case "nbf":
		return readDate(dec, &c.nbf)
	case "iat":
		return readDate(dec, &c.iat)
	default:
		return dec.SkipValue()
	}
}

// complete refuses a token without the claims that RFC 9068 section 2.2
// requires, or without ours.
func (c *claims) complete() error {
	for name, value := range map[string]string{
		"iss": c.iss, "sub": c.sub, "jti": c.jti, "client_id": c.clientID, ClaimTenant: c.tenant, ClaimStamp: c.stamp,
	} {
		if value == "" {
			return fmt.Errorf("the claim %s is missing", name)
		}
	}
	if c.exp == nil || c.iat == nil {
		return errors.New("the claim exp or iat is missing")
	}
	return nil
}

// readAudience reads a string or an array of strings (RFC 7519 section 4.1.3).
func readAudience(dec *jsontext.Decoder, into *[]string) error {
	if dec.PeekKind() == '[' {
		return readStrings(dec, into)
	}
	*into = make([]string, 1)
	return readString(dec, &(*into)[0])
}

// maxDate is the last second of the year 9999, the last that RFC 3339 can
// write.
const maxDate = 253402300799

// readDate reads a NumericDate (RFC 7519 section 2): seconds since the epoch,
// of which a fraction is legal.
func readDate(dec *jsontext.Decoder, into **jwt.NumericDate) error {
	if dec.PeekKind() != '0' {
		return errors.New("not a number")
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(token.String(), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		return errors.New("not a date from 1970 to 9999")
	}
	*into = numericDate(seconds)
	return nil
}

func numericDate(seconds float64) *jwt.NumericDate {
	whole, fraction := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(fraction*1e9))}
}

// principal returns who the token speaks for. The principal's Claims are what
// it has beyond the fields of a Principal.
func (c *claims) principal() *identity.Principal {
	return &identity.Principal{
		Subject: c.sub, Tenant: c.tenant, Roles: c.roles, Scopes: strings.Fields(c.scope),
		Claims: map[string]any{"iss": c.iss, "client_id": c.clientID, "jti": c.jti},
		Method: identity.Bearer,
	}
}

// The methods of jwt.Claims, with which the library's validator judges the
// times and the issuer.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.exp, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.iat, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.nbf, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.iss, nil }
func (c *claims) GetSubject() (string, error)                  { return c.sub, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.aud, nil }
