package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// The media type of an access token, as a header's typ says it. RFC 9068
// section 4 has both accepted and everything else refused; capitals, which no
// issuer uses, are refused as well.
const (
	typAccessToken     = "at+jwt"
	typAccessTokenLong = "application/at+jwt"
)

const (
	// maxLeeway bounds how long past its end a token can be of use.
	maxLeeway = time.Minute
	// defaultCacheSize keeps the cache within about 8 MiB.
	defaultCacheSize = 4096
)

// Users knows the present state of users.
type Users interface {
	// Current reports whether stamp is the present security stamp of an enabled
	// user of that name. It is called for every request. The error is a fault
	// of kind Unavailable when the answer is not known.
	Current(ctx context.Context, name, stamp string) (bool, error)
}

// BearerConfig says which tokens to accept.
type BearerConfig struct {
	// Issuer and Audience must be those of a token to the letter.
	Issuer, Audience string
	Keys             Keys
	Users            Users
	// Issuers are the outside issuers whose tokens are accepted too; nil: none.
	Issuers Issuers
	// Roles says what the roles of a token grant that is narrowed by no scope.
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
	keys      Keys
	users     Users
	issuers   Issuers
	roles     authz.Roles
	audience  string
	validator *jwt.Validator
	leeway    time.Duration
	now       func() time.Time
	cache     *cache
}

// NewBearer returns the authenticator of access tokens.
func NewBearer(cfg BearerConfig) (*Bearer, error) {
	switch {
	case cfg.Issuer == "" || cfg.Audience == "":
		return nil, errors.New("authn: an issuer and an audience are needed")
	case cfg.Keys == nil || cfg.Users == nil:
		return nil, errors.New("authn: keys and users are needed")
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
		keys: cfg.Keys, users: cfg.Users, issuers: cfg.Issuers, roles: cfg.Roles, audience: cfg.Audience, leeway: cfg.Leeway, now: cfg.Now,
		validator: jwt.NewValidator(
			jwt.WithIssuer(cfg.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
			jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(cfg.Now),
		),
		cache: newCache(cfg.CacheSize),
	}, nil
}

// Authenticate returns the principal of a genuine token that has not ended and
// whose user is unchanged since, or whose issuer still has its key. A token is
// verified once and then remembered; that its user is unchanged, or its key
// still the issuer's, is asked every time. Without a bearer token the error is
// ErrNotMine; Unavailable says that the keys of an outside issuer cannot be had.
func (b *Bearer) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	if c.Bearer == "" {
		return nil, ErrNotMine
	}
	if len(c.Bearer) > MaxTokenBytes { // not even looked up, which costs its length
		return nil, refuse(msgInvalid, fmt.Errorf("the token has %d bytes; at most %d are read", len(c.Bearer), MaxTokenBytes))
	}
	v, err := b.proven(ctx, c.Bearer)
	if err != nil {
		return nil, err
	}
	if v.issuer != nil { // its keys were asked after, which stand for its users
		return v.principal, nil
	}
	current, err := b.users.Current(ctx, v.principal.Subject, v.stamp)
	if err != nil {
		return nil, err
	}
	if !current {
		b.cache.remove(c.Bearer)
		return nil, refuse(msgRevoked, errors.New("the user was changed, disabled or deleted"))
	}
	return v.principal, nil
}

// proven returns what the token proves, remembered or by verifying it.
func (b *Bearer) proven(ctx context.Context, token string) (*verified, error) {
	v := b.cache.get(token)
	if v != nil {
		now := reqctx.Now(ctx, b.now)
		if now.Before(v.until) && (v.issuer == nil || b.vouched(v, now)) {
			return v, nil
		}
		b.cache.remove(token)
		if !now.Before(v.until) {
			return nil, refuse(msgExpired, jwt.ErrTokenExpired)
		}
	}
	v, err := b.verify(ctx, token)
	if err == nil {
		b.cache.put(token, v)
	}
	return v, err
}

// verify has the token judged by the issuer that it names, and by nobody else
// (RFC 8725 section 3.8).
func (b *Bearer) verify(ctx context.Context, token string) (*verified, error) {
	t, err := parseJWS(token)
	if err != nil {
		return nil, refuse(msgInvalid, err)
	}
	if b.issuers != nil {
		name, err := claimedIssuer(t.payload)
		if err != nil {
			return nil, refuse(msgInvalid, fmt.Errorf("claims: %w", err))
		}
		if i, ok := b.issuers.Issuer(name); ok {
			return b.verifyOutside(ctx, i, t)
		}
	}
	return b.verifyOwn(t)
}

func (b *Bearer) verifyOwn(t *jws) (*verified, error) {
	if err := t.verifyWith(b.keys); err != nil {
		return nil, refuse(msgInvalid, err)
	}
	if h := t.header; h.typ != typAccessToken && h.typ != typAccessTokenLong {
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
			return nil, refuse(msgExpired, err)
		}
		return nil, refuse(msgInvalid, err)
	}
	return &verified{principal: c.principal(), stamp: c.stamp, until: c.exp.Add(b.leeway)}, nil
}
