package identity

import (
	"strings"
	"time"
)

// RefreshPrefix begins every refresh token, and no access token, so that scanners for
// secrets know one.
const RefreshPrefix = "ogr_"

// Client is a service client that proved itself.
type Client struct {
	// Principal is who the client is. Its Scopes are nil when nothing narrows
	// what its roles permit.
	*Principal

	// Stamp is what a token for the client is issued under.
	Stamp string
	// Grants are the grant types that the client may use.
	Grants []string
}

// Grant is what a user who signed in granted to a client.
type Grant struct {
	// Principal is the user.
	*Principal

	// Stamp is what a token for the user is issued under.
	Stamp string
	// ClientID is the client that the tokens are for.
	ClientID string
	// Scope is what was granted, with blanks between.
	Scope string
	// Family is the id of the line of refresh tokens that goes back to the grant.
	Family string
	// IssuedAt is when the user signed in, ExpiresAt when the refresh token ends
	// unless it is used.
	IssuedAt, ExpiresAt time.Time
}

// AccessToken is an access token of ours that counts.
type AccessToken struct {
	*Principal

	// ID is its jti.
	ID string
	// ClientID is the client that it was issued to.
	ClientID            string
	IssuedAt, ExpiresAt time.Time
}

// familySeparator stands in the id of an access token between that of its
// family and its own, so that all tokens of a family can be ended at once.
const familySeparator = "."

// FamilyTokenID returns the id of an access token of the family.
func FamilyTokenID(family, id string) string { return family + familySeparator + id }

// FamilyOf returns the family in the id of an access token, empty when it is of
// none.
func FamilyOf(tokenID string) string {
	family, _, ok := strings.Cut(tokenID, familySeparator)
	if !ok {
		return ""
	}
	return family
}

// StampThrough binds what is issued to a user through a client to the stamps of
// both: either's change ends it.
func StampThrough(user string, client *Client) string {
	if client == nil {
		return user
	}
	return strings.Join([]string{user, client.Subject, client.Stamp}, stampSeparator)
}

// stampSeparator is in no stamp and in no client's id.
const stampSeparator = "."

// StampParts returns what StampThrough joined; the client is empty without one.
func StampParts(stamp string) (user, clientID, client string) {
	user, rest, _ := strings.Cut(stamp, stampSeparator)
	clientID, client, _ = strings.Cut(rest, stampSeparator)
	return user, clientID, client
}
