package oauth

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer signs access tokens (RFC 9068).
type issuer struct {
	name, audience string
	ttl            time.Duration
	keys           SigningKeys
	now            func() time.Time
	rand           io.Reader
}

// accessClaims are the claims of RFC 9068 section 2.2, and ours.
type accessClaims struct {
	jwt.RegisteredClaims

	// Audience hides the one above, which is always written as an array.
	Audience string   `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
	// Stamp ties the token to the user's present state.
	Stamp string `json:"onnxgate_stamp"`
}

func (i *issuer) issue(sub *subject, scopes []string) (*TokenResponse, error) {
	id, err := i.newID()
	if err != nil {
		return nil, err
	}
	now := i.now()
	claims := accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.name, Subject: sub.principal.Subject,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(i.ttl)), ID: id,
		},
		Audience: i.audience, ClientID: sub.clientID, Scope: strings.Join(scopes, " "),
		Roles: sub.principal.Roles, Tenant: sub.principal.Tenant, Stamp: sub.stamp,
	}
	token, err := i.sign(claims)
	if err != nil {
		return nil, fmt.Errorf("sign an access token: %w", err)
	}
	return &TokenResponse{
		AccessToken: token, TokenType: "bearer", ExpiresIn: int(i.ttl.Seconds()), Scope: claims.Scope,
	}, nil
}

func (i *issuer) sign(claims jwt.Claims) (string, error) {
	key := i.keys.Signer()
	method := jwt.GetSigningMethod(string(key.Algorithm))
	if method == nil {
		return "", fmt.Errorf("no method signs %s", key.Algorithm)
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["typ"] = "at+jwt" // RFC 9068 section 2.1
	token.Header["kid"] = key.KID
	return token.SignedString(key.Private())
}

// newID returns 128 random bits in base64url.
func (i *issuer) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(i.rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}
