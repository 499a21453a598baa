package authn

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/reqctx"
)

// The media type of an access token, as a header's typ says it. RFC 9068
// section 4 has both accepted and everything else refused; capitals, which no
// issuer uses, are refused as well.
const (
	typAccessToken     = "at+jwt"
	typAccessTokenLong = "application/at+jwt"
)

// isAccess reports whether a header is that of an access token.
func (h *header) isAccess() bool { return h.typ == typAccessToken || h.typ == typAccessTokenLong }

const (
	// maxLeeway bounds how long past its end a token can be of use.
	maxLeeway = time.Minute
	// maxAhead is how far the clock of the server that issued a token may be ahead, of
	// those that share their keys.
	maxAhead = time.Minute
	// defaultCacheSize keeps the cache within about 8 MiB.
	defaultCacheSize = 4096
)

// Issued knows what became of those whom tokens were issued to.
type Issued interface {
	// Revision returns a number that moves whenever TokenStands may answer
	// otherwise. It is called for every request. The error is a fault of kind
	// Unavailable when that is not known.
	Revision(ctx context.Context) (int64, error)
	// TokenStands reports whether the subject is there, enabled and still of
	// that stamp, and whether the token with that id was not revoked.
	TokenStands(ctx context.Context, subject, stamp, tokenID string) (bool, error)
}

// verified is what a token proved.
type verified struct {
	principal *identity.Principal
	stamp, id string
	// until is when the token ends, leeway included.
	until time.Time
	// stands is the revision at which the token was last found to count.
	stands atomic.Int64
	// issuer is that of a token from outside; nil for our own.
	issuer *Issuer
	// key is the one that signed the token.
	key *keys.Verifier
	// clientID and issued are those of a token of our own.
	clientID string
	issued   time.Time
}

// BearerConfig says which tokens to accept.
type BearerConfig struct {
	// Issuer and Audience must be those of a token to the letter.
	Issuer, Audience string
	Keys             OwnKeys
	Issued           Issued
	// Issuers are the outside issuers whose tokens are accepted too; nil: none.
	Issuers Issuers
	// Roles says what the roles of a token grant that no scope narrows.
	Roles authz.Roles
	// Leeway is how much the issuer's clock may differ, at most 60 s.
	Leeway time.Duration
	// CacheSize is how many verified tokens are remembered; zero means 4096.
	CacheSize int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Bearer verifies the access tokens that this server issued, and those of the
// outside issuers. It is safe for concurrent use.
type Bearer struct {
	keys      OwnKeys
	issued    Issued
	issuers   Issuers
	roles     authz.Roles
	issuer    string
	audience  string
	validator *jwt.Validator
	leeway    time.Duration
	now       func() time.Time
	cache     *cache[verified]
}

// NewBearer returns the authenticator of access tokens.
func NewBearer(cfg BearerConfig) (*Bearer, error) {
	switch {
	case cfg.Issuer == "" || cfg.Audience == "":
		return nil, errors.New("authn: an issuer and an audience are needed")
	case cfg.Keys == nil || cfg.Issued == nil:
		return nil, errors.New("authn: keys and those they are issued to are needed")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("authn: the leeway is %s; from 0 to %s are allowed", cfg.Leeway, maxLeeway)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	return &Bearer{
		keys: cfg.Keys, issued: cfg.Issued, issuers: cfg.Issuers, roles: cfg.Roles, issuer: cfg.Issuer, audience: cfg.Audience, leeway: cfg.Leeway, now: cfg.Now,
		validator: jwt.NewValidator(
			jwt.WithIssuer(cfg.Issuer), jwt.WithExpirationRequired(),
			jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(cfg.Now),
		),
		cache: newCache[verified](cfg.CacheSize),
	}, nil
}

// Authenticate returns the principal of a genuine token that has not ended, was
// not revoked, and whose subject is unchanged since; of one from outside, while
// its issuer has the key. A token is verified once and then remembered; whether
// it still counts is asked whenever the accounts have changed, or the issuer's
// keys. Without a bearer token the error is ErrNotMine; a fault of kind
// Unavailable also says that an issuer's keys cannot be had, or those that another
// server may have made for our own tokens.
func (b *Bearer) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	if c.Bearer == "" {
		return nil, ErrNotMine
	}
	v, err := b.check(ctx, c.Bearer)
	if err != nil {
		return nil, err
	}
	return v.principal, nil
}

// Inspect returns what a token of our own says that Authenticate would accept
// now. The fault is Unauthenticated for every other.
func (b *Bearer) Inspect(ctx context.Context, token string) (*identity.AccessToken, error) {
	v, err := b.check(ctx, token)
	if err != nil {
		return nil, err
	}
	if v.issuer != nil {
		return nil, refuse(msgInvalid, errors.New("the token is an outside issuer's"))
	}
	return &identity.AccessToken{
		Principal: v.principal, ID: v.id, ClientID: v.clientID, IssuedAt: v.issued, ExpiresAt: v.until.Add(-b.leeway),
	}, nil
}

// check returns what the token proves now.
func (b *Bearer) check(ctx context.Context, token string) (*verified, error) {
	if len(token) > MaxTokenBytes { // not even looked up, which costs its length
		return nil, refuse(msgInvalid, fmt.Errorf("the token has %d bytes; at most %d are read", len(token), MaxTokenBytes))
	}
	v, err := b.proven(ctx, token)
	if err != nil || v.issuer != nil { // the accounts of a token from outside are its issuer's
		return v, err
	}
	if err := b.stands(ctx, v); err != nil {
		if fault.KindOf(err) == fault.Unauthenticated {
			b.cache.remove(token)
		}
		return nil, err
	}
	return v, nil
}

// proven returns what the token proves, remembered or by verifying it.
func (b *Bearer) proven(ctx context.Context, token string) (*verified, error) {
	if v := b.cache.get(token); v != nil {
		now := reqctx.Now(ctx, b.now)
		ended := !now.Before(v.until)
		if !ended && b.trusted(v, now) {
			return v, nil
		}
		b.cache.remove(token)
		if ended {
			return nil, refuse(msgExpired, audit.Names(v.principal, jwt.ErrTokenExpired))
		}
	}
	v, err := b.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	b.cache.put(token, v)
	return v, nil
}

// trusted reports whether the key of a remembered token still counts.
func (b *Bearer) trusted(v *verified, now time.Time) bool {
	if v.issuer != nil {
		return b.vouched(v, now)
	}
	key, ok := b.keys.Verifier(v.key.KID)
	return ok && key == v.key
}

var errEnded = errors.New("whom the token is for was changed, disabled or deleted, or the token was revoked")

// stands asks whether a token still counts, once for each state of the accounts.
func (b *Bearer) stands(ctx context.Context, v *verified) error {
	revision, err := b.issued.Revision(ctx)
	if err != nil || v.stands.Load() == revision {
		return err
	}
	stands, err := b.issued.TokenStands(ctx, v.principal.Subject, v.stamp, v.id)
	switch {
	case err != nil:
		return err
	case !stands:
		return refuse(msgRevoked, audit.Names(v.principal, errEnded))
	}
	v.stands.Store(revision)
	return nil
}

// verify has the token judged by the issuer that it names, and by nobody else
// (RFC 8725 section 3.8).
func (b *Bearer) verify(ctx context.Context, token string) (*verified, error) {
	t, err := parseJWS(token)
	if err != nil {
		return nil, refuse(msgInvalid, err)
	}
	if b.issuers == nil {
		return b.verifyOwn(ctx, t)
	}
	name, err := claimedIssuer(t.payload)
	if err != nil {
		return nil, refuse(msgInvalid, fmt.Errorf("claims: %w", err))
	}
	if i, ok := b.issuers.Issuer(name); ok {
		return b.verifyOutside(ctx, i, t)
	}
	return b.verifyOwn(ctx, t)
}

// unverified returns the fault of a token that no known key verifies: while keys may
// be missing that another server made, it may be a good one.
func (b *Bearer) unverified(err error) error {
	if behind := b.keys.Behind(); behind != nil && errors.Is(err, errUnknownKey) {
		return &fault.Error{
			Kind: fault.Unavailable, Msg: "The keys that sign tokens cannot be read; try again in a second", Err: behind, RetryAfter: time.Second,
		}
	}
	return refuse(msgInvalid, err)
}

// ownKey returns the key that a header names. One that is not in memory is looked for
// only by what may be a token of ours.
func (b *Bearer) ownKey(ctx context.Context, t *jws) (*keys.Verifier, error) {
	key, ok := b.keys.Verifier(t.header.kid)
	if !ok && b.mayBeOwn(t) {
		key, ok = b.keys.Find(ctx, t.header.kid)
	}
	if !ok {
		return nil, errUnknownKey
	}
	return key, nil
}

// mayBeOwn reports whether a token says of itself that a server of ours has signed it,
// by a key that servers can share.
func (b *Bearer) mayBeOwn(t *jws) bool {
	if !t.header.isAccess() || !keys.Algorithm(t.header.alg).Signs() {
		return false
	}
	name, err := claimedIssuer(t.payload)
	return err == nil && name == b.issuer
}

func (b *Bearer) verifyOwn(ctx context.Context, t *jws) (*verified, error) {
	key, err := b.ownKey(ctx, t)
	if err == nil {
		err = t.verify(key)
	}
	if err != nil {
		return nil, b.unverified(err)
	}
	if !t.header.isAccess() {
		return nil, refuse(msgInvalid, errors.New("the token's typ is not at+jwt"))
	}
	c, err := parseClaims(t.payload)
	if err != nil {
		return nil, refuse(msgInvalid, fmt.Errorf("claims: %w", err))
	}
	// RFC 7519 section 4.1.3 would accept an audience among others. We issue for
	// one, and a token that another service may present too is not one of ours.
	if len(c.aud) != 1 || c.aud[0] != b.audience {
		return nil, refuse(msgInvalid, jwt.ErrTokenInvalidAudience)
	}
	if err := b.validator.Validate(c); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return nil, refuse(msgExpired, audit.Names(c.principal(), err))
		}
		return nil, refuse(msgInvalid, err)
	}
	if c.iat.After(b.now().Add(maxAhead)) {
		return nil, refuse(msgInvalid, jwt.ErrTokenUsedBeforeIssued)
	}
	return &verified{
		principal: c.principal(), stamp: c.stamp, id: c.jti, clientID: c.clientID, key: key,
		issued: c.iat.Time, until: c.exp.Add(b.leeway),
	}, nil
}
