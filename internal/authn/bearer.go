package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

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
	// Leeway is how much the issuer's clock may differ, at most 60 s.
	Leeway time.Duration
	// CacheSize is how many verified tokens are remembered; zero means 4096.
	CacheSize int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Bearer verifies the access tokens that this server issued. It is safe for
// concurrent use.
type Bearer struct {
	keys      Keys
	users     Users
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
		keys: cfg.Keys, users: cfg.Users, audience: cfg.Audience, leeway: cfg.Leeway, now: cfg.Now,
		validator: jwt.NewValidator(
			jwt.WithIssuer(cfg.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
			jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(cfg.Now),
		),
		cache: newCache(cfg.CacheSize),
	}, nil
}

// Authenticate returns the principal of a genuine token that has not ended and
// whose user is unchanged since. A token is verified once and then remembered;
// that its user is unchanged is asked every time. Without a bearer token the
// error is ErrNotMine.
func (b *Bearer) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	if c.Bearer == "" {
		return nil, ErrNotMine
	}
	if len(c.Bearer) > MaxTokenBytes { // not even looked up, which costs its length
		return nil, refuse(msgInvalid, fmt.Errorf("the token has %d bytes; at most %d are read", len(c.Bearer), MaxTokenBytes))
	}
	v := b.cache.get(c.Bearer)
	if v == nil {
		var err error
		if v, err = b.verify(c.Bearer); err != nil {
			return nil, err
		}
		b.cache.put(c.Bearer, v)
	} else if !reqctx.Now(ctx, b.now).Before(v.until) {
		b.cache.remove(c.Bearer)
		return nil, refuse(msgExpired, jwt.ErrTokenExpired)
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

func (b *Bearer) verify(token string) (*verified, error) {
	h, payload, err := verifyJWS(token, b.keys)
	if err != nil {
		return nil, refuse(msgInvalid, err)
	}
	if h.typ != typAccessToken && h.typ != typAccessTokenLong {
		return nil, refuse(msgInvalid, errors.New("the token's typ is not at+jwt"))
	}
	c, err := parseClaims(payload)
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
