package identity

import (
	"crypto/sha256"
	"net/netip"
	"time"
)

// Key is an API key as authentication sees it. It does not change.
type Key struct {
	ID, Tenant string
	Roles      []string
	// Scopes and Models narrow what the roles permit; nil narrows nothing.
	Scopes, Models []string
	// Addresses are the networks that the key may be used from; none is every
	// address.
	Addresses []netip.Prefix
	// Limit is the key's own.
	Limit    Limit
	Disabled bool
	// Hash is the SHA-256 of the SHA-256 of the secret, Former that of the secret
	// before, which counts until FormerUntil.
	Hash, Former [sha256.Size]byte
	FormerUntil  time.Time
	// ExpiresAt is zero for a key that does not end.
	ExpiresAt time.Time
}

// KeySubject begins the subject of every API key; the key's id follows.
const KeySubject = "apikey:"
