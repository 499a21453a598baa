package accounts

import (
	"context"
	"net/netip"
	"time"

	"onnxgate/internal/identity"
)

// AnyTenant stands for every tenant: where it is to be proven who somebody is,
// and the tenant is what is asked; and for the administrators of the
// installation.
const AnyTenant = "*"

// Store keeps the accounts. Its errors are faults: Unavailable when the store
// cannot be reached for now, Canceled and Timeout for a context that ended.
type Store interface {
	// View runs read on one state of everything.
	View(ctx context.Context, read func(*Tx) error) error
	// Update runs change in one transaction that no other writer can
	// interleave with, in this process or another, and commits it unless
	// change fails. The revision moves if change wrote anything.
	Update(ctx context.Context, change func(*Tx) error) error
	// Note is Update for what nobody remembers: it leaves the revision.
	Note(ctx context.Context, change func(*Tx) error) error
	// Revision returns the number that every Update moves, whoever made it.
	Revision(ctx context.Context) (int64, error)
}

// Tx is the inside of one transaction: what is kept, kind by kind.
type Tx struct {
	// Tenants are by their names, which are also their tenants.
	Tenants     Rows[Tenant]
	Users       Rows[Record]
	Clients     Rows[Client]
	Keys        Rows[APIKey]
	Families    Rows[Family]
	Revocations Rows[Revocation]
	// Servers belong to no tenant: only AnyTenant finds them.
	Servers Rows[Server]
	// ClientByCertificate returns the client with that name in its certificate,
	// or a fault of kind NotFound.
	ClientByCertificate func(name string) (*Client, error)
	// CountAdmins returns how many users of the default tenant hold the role
	// admin and are enabled.
	CountAdmins func() (int, error)
	// KeyOrAnother returns the key with that id, of whatever tenant, or else, by
	// the same work, another key. The fault is NotFound when there are no keys.
	KeyOrAnother func(id string) (*APIKey, error)
	// BootstrapKeys returns the ids of the keys of the configuration.
	BootstrapKeys func() ([]string, error)
	// KeyUsed moves LastUsed of the key, if it is there, forward to at.
	KeyUsed func(id string, at time.Time) error
	// Prune removes the families and revocations that ended before the time, and
	// the servers that told nothing for a day.
	Prune func(before time.Time) error
}

// Rows are the records of one kind.
type Rows[R any] interface {
	Reader[R]
	Writer[R]
}

// Reader finds records.
type Reader[R any] interface {
	// Get returns the record of the tenant with that id, or a fault of kind
	// NotFound.
	Get(tenant, id string) (*R, error)
	// List returns the page of the tenant's records, in the order of their ids.
	List(tenant string, page Page) ([]R, error)
}

// Writer changes records.
type Writer[R any] interface {
	// Insert adds a record; one with its id must not exist.
	Insert(record *R) error
	// Replace overwrites the record with that id, which must exist in the
	// record's tenant.
	Replace(record *R) error
	// Delete removes the record, which must exist in the tenant.
	Delete(tenant, id string) error
}

// Page is a part of a list.
type Page struct {
	// After is the id behind which the page begins; empty at the beginning.
	After string
	// Limit is how many records it has at most; zero is no bound.
	Limit int
}

// User is a person or a program that signs in with a password.
type User struct {
	// Name is canonical (see CanonicalName) and unique in the installation.
	Name string
	// Tenant is whose models and data the user sees.
	Tenant string
	// Roles are words that rules speak about, in the order they were given.
	Roles    []string
	Disabled bool
	// CreatedAt and UpdatedAt are UTC, to the second.
	CreatedAt, UpdatedAt time.Time
}

// Record is a User with what must not leave the server.
type Record struct {
	User
	// PasswordHash is a PHC string.
	PasswordHash string
	// Stamp is random and changes with the password, the roles and the state:
	// what was issued under another stamp is void.
	Stamp string
	// InitialPassword says that the password is still the one that the first
	// start chose.
	InitialPassword bool
}

func (r *Record) enabledAdmin() bool {
	return !r.Disabled && r.Tenant == identity.DefaultTenant &&
		(&identity.Principal{Roles: r.Roles}).HasRole(identity.RoleAdmin)
}

// Tenant is a tenant with its dates, UTC, to the second.
type Tenant struct {
	identity.Tenant
	// Rate bounds what all of the tenant's callers ask for together, such as
	// "100/minute"; empty is none.
	Rate string
	// Quota is how much they may use in a period of the calendar, such as
	// "calls=10000/day"; empty is none.
	Quota                string
	CreatedAt, UpdatedAt time.Time
}

// Client is a program that gets its tokens by a secret or a certificate of its
// own (RFC 6749 section 2).
type Client struct {
	// ID begins with "ogc_" and is unique in the installation.
	ID, Name, Tenant string
	Roles            []string
	// Scopes narrow what the roles permit; nil narrows nothing.
	Scopes []string
	// Grants are the grant types that it may use.
	Grants []string
	// Certificate is the name in a client certificate that proves the client,
	// such as "uri:spiffe://example.org/scoring"; empty when none does.
	Certificate string
	Disabled    bool
	// SecretHash is the hexadecimal SHA-256 of the secret, FormerHash that of
	// the one before, which counts until FormerUntil.
	SecretHash, FormerHash string
	FormerUntil            time.Time
	// Stamp changes as a user's does.
	Stamp     string
	CreatedBy string
	// CreatedAt and UpdatedAt are UTC, to the second.
	CreatedAt, UpdatedAt time.Time
}

// APIKey is a key, with what must not leave the server.
type APIKey struct {
	// ID is 12 characters of base62.
	ID, Name, Tenant string
	Roles            []string
	// Scopes and Models narrow what the roles permit; nil narrows nothing.
	Scopes, Models []string
	// Addresses are the networks that the key may be used from; none is every
	// address.
	Addresses []netip.Prefix
	// Rate is the key's own limit, such as "100/minute"; empty is none.
	Rate string
	// Quota is how much the key may use in a period of the calendar, such as
	// "calls=10000/day"; empty is none. Its tenant's holds beside it.
	Quota string
	// Bootstrap says that the key is the one of the configuration.
	Bootstrap bool
	Disabled  bool
	// Hash is the hexadecimal SHA-256 of the SHA-256 of the secret, FormerHash
	// that of the one before, which counts until FormerUntil.
	Hash, FormerHash string
	FormerUntil      time.Time
	// ExpiresAt is zero for a key that does not end.
	ExpiresAt time.Time
	CreatedBy string
	// CreatedAt and LastUsed are UTC, to the second; LastUsed is zero before
	// the first use and late by up to a minute.
	CreatedAt, LastUsed time.Time
}

// Family is the line of refresh tokens that goes back to one sign-in (RFC 9700
// section 4.14.2).
type Family struct {
	ID, Tenant string
	// User is who signed in, Stamp the user's at that time.
	User, Stamp string
	// ClientID is the client that the tokens are for.
	ClientID string
	// Scope is what was granted, with blanks between.
	Scope string
	// Hash is the hexadecimal SHA-256 of the one token that still counts.
	Hash                 string
	CreatedAt, ExpiresAt time.Time
}

// Revocation is an access token that was revoked (RFC 7009) and would still
// hold.
type Revocation struct {
	// ID is the token's jti.
	ID, Tenant string
	// ExpiresAt is when the token ends by itself.
	ExpiresAt time.Time
}

// Server is a process that serves from this store.
type Server struct {
	ID string
	// Seen is the revision from which on the process knows everything.
	Seen int64
	// At is when the process said so.
	At time.Time
}
