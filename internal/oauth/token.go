package oauth

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/identity"
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
	// Stamp ties the token to the present state of its user or client.
	Stamp string `json:"onnxgate_stamp"`
}

// tokenType is what the answer calls an access token (RFC 6750 section 4).
const tokenType = "bearer"

// issue returns the answer and the id of its access token.
func (i *issuer) issue(sub *subject, scopes []string) (*TokenResponse, string, error) {
	id, err := i.newID()
	if err != nil {
		return nil, "", err
	}
	granted := strings.Join(scopes, " ")
	if sub.grant.Family != "" {
		id = identity.FamilyTokenID(sub.grant.Family, id)
	}
	now := i.now()
	token, err := i.sign(accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.name, Subject: sub.grant.Subject,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(i.ttl)), ID: id,
		},
		Audience: i.audience, ClientID: sub.grant.ClientID, Scope: granted,
		Roles: sub.grant.Roles, Tenant: sub.grant.Tenant, Stamp: sub.grant.Stamp,
	})
	if err != nil {
		return nil, "", fmt.Errorf("sign an access token: %w", err)
	}
	if sub.refreshToken != "" {
		granted = strings.TrimPrefix(granted+" "+scopeOffline, " ")
	}
	return &TokenResponse{
		AccessToken: token, TokenType: tokenType, ExpiresIn: int(i.ttl.Seconds()),
		RefreshToken: sub.refreshToken, Scope: granted,
	}, id, nil
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
