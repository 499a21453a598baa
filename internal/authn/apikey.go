package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync/atomic"
	"time"

	"onnxgate/internal/apikey"
	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// APIKeys knows the API keys.
type APIKeys interface {
	// Revision returns a number that moves whenever APIKey may answer otherwise.
	// It is called for every request. The error is a fault of kind Unavailable
	// when that is not known.
	Revision(ctx context.Context) (int64, error)
	// APIKey returns the key with that id, and after the same work one without
	// an id when there is none.
	APIKey(ctx context.Context, id string) (*identity.Key, error)
	// KeyUsed is told of uses, of each key about once a minute.
	KeyUsed(id string, at time.Time)
}

// APIKeyConfig says which keys to accept.
type APIKeyConfig struct {
	Keys APIKeys
	// Roles says what a key without scopes permits.
	Roles authz.Roles
	// CacheSize is how many proven keys are remembered; zero means 4096.
	CacheSize int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// APIKey verifies API keys. It is safe for concurrent use.
type APIKey struct {
	keys  APIKeys
	roles authz.Roles
	now   func() time.Time
	cache *cache[provenKey]
	// nobody is the hash of no secret: what the key of an unknown id is compared
	// with.
	nobody [sha256.Size]byte
}

// provenKey is a key that was proven, as it was at a revision.
type provenKey struct {
	*identity.Key

	principal *identity.Principal
	revision  int64
	// noted is the minute, since 1970, in which the last use was told.
	noted atomic.Int64
}

// NewAPIKey returns the authenticator of API keys.
func NewAPIKey(cfg APIKeyConfig) (*APIKey, error) {
	if cfg.Keys == nil {
		return nil, errors.New("authn: keys are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	k := &APIKey{keys: cfg.Keys, roles: cfg.Roles, now: cfg.Now, cache: newCache[provenKey](cfg.CacheSize)}
	_, err := rand.Read(k.nobody[:])
	return k, err
}

// Authenticate returns the principal of a key that is there, enabled and not
// over. A key that is not well-formed is refused without a look at the store.
// One that was proven is not looked up again until the accounts change; whatever
// else is refused has cost one look-up and the same comparisons, so that the
// time tells nothing about which keys there are. The fault is Forbidden for an
// address that the key does not allow. Without a key the error is ErrNotMine.
func (k *APIKey) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	if c.APIKey == "" {
		return nil, ErrNotMine
	}
	presented, err := apikey.Parse(c.APIKey)
	if err != nil {
		return nil, refuse(msgInvalidKey, err)
	}
	now := reqctx.Now(ctx, k.now)
	key, err := k.prove(ctx, &presented, now)
	if err != nil {
		return nil, err
	}
	if !identity.InNetworks(reqctx.From(ctx).ClientAddr, key.Addresses) {
		return nil, fault.Wrap(fault.Forbidden, msgAddress, audit.Names(key.principal, errAddress))
	}
	if minute := now.Unix() / 60; key.noted.Load() != minute && key.noted.Swap(minute) != minute {
		k.keys.KeyUsed(key.ID, now)
	}
	return key.principal, nil
}

func (k *APIKey) prove(ctx context.Context, presented *apikey.Presented, now time.Time) (*provenKey, error) {
	revision, err := k.keys.Revision(ctx)
	if err != nil {
		return nil, err
	}
	before := k.cache.get(presented.ID)
	if before != nil && before.revision == revision && k.proves(before.Key, presented, now) {
		return before, nil
	}
	key, err := k.keys.APIKey(ctx, presented.ID)
	if err != nil {
		return nil, err
	}
	if !k.proves(key, presented, now) {
		return nil, refuse(msgInvalidKey, named(key, presented))
	}
	proven := &provenKey{Key: key, principal: k.principal(key), revision: revision}
	if before != nil {
		proven.noted.Store(before.noted.Load())
	}
	k.cache.put(key.ID, proven)
	return proven, nil
}

// named says for the record which key was presented, if there is such a key. It
// does the same work when there is none.
func named(key *identity.Key, presented *apikey.Presented) *audit.DenialError {
	d := &audit.DenialError{
		Actor: identity.KeySubject + presented.ID, Tenant: key.Tenant, Method: string(identity.APIKey), Err: errNoKey,
	}
	if key.ID != presented.ID {
		d.Actor = ""
	}
	return d
}

var errNoKey = errors.New("the API key is unknown, wrong, disabled or over")

// proves reports whether the presented key is this one, and counts at the time.
// All is compared whatever comes out.
func (k *APIKey) proves(key *identity.Key, presented *apikey.Presented, now time.Time) bool {
	present, former := &key.Hash, &key.Former
	if key.ID != presented.ID {
		present = &k.nobody
	}
	if key.ID != presented.ID || !now.Before(key.FormerUntil) {
		former = &k.nobody
	}
	same := subtle.ConstantTimeCompare(presented.Hash[:], present[:]) | subtle.ConstantTimeCompare(presented.Hash[:], former[:])
	over := !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt)
	return same == 1 && !key.Disabled && !over
}

func (k *APIKey) principal(key *identity.Key) *identity.Principal {
	scopes := key.Scopes
	if scopes == nil {
		scopes = k.roles.Of(key.Tenant, key.Roles)
	}
	return &identity.Principal{
		Subject: identity.KeySubject + key.ID, Tenant: key.Tenant, Roles: key.Roles,
		Scopes: scopes, Models: key.Models, Limit: key.Limit, Method: identity.APIKey,
	}
}
