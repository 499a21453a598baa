package authn

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/keys"
)

// MaxTokenBytes is the size above which a token is refused unread.
const MaxTokenBytes = 8 << 10

// OwnKeys are the keys that this server signs with, and others that share them.
type OwnKeys interface {
	// Verifier returns the key of that name, bound to its algorithm, if it is in
	// memory.
	Verifier(kid string) (*keys.Verifier, bool)
	// Find returns the key of that name also where another server has made it
	// meanwhile, for which it may look now and then.
	Find(ctx context.Context, kid string) (*keys.Verifier, bool)
	// Behind returns why keys may be missing that other servers have made; nil when
	// none are.
	Behind() error
}

// errUnknownKey is for a token whose key is not known.
var errUnknownKey = errors.New("no key has the token's kid")

// header is what is read of a token's JOSE header (RFC 7515 section 4.1).
type header struct {
	alg, typ, kid string
	named         bool // there is a kid
}

// jws is a token that was taken apart. Nothing of it is proven before verify.
type jws struct {
	header    *header
	payload   []byte
	signed    string
	signature []byte
}

// parseJWS takes a token in JWS compact serialization (RFC 7515 section 7.1)
// apart. It is stricter than the RFC where leniency gives one token several
// spellings, or lets its sender choose how it is judged (its size was bounded
// before):
//
//   - base64url is canonical: no padding, no white space, no unused bits;
//   - the header is one JSON object with no name twice;
//   - crit, b64, and headers that bring or point at a key are refused.
func parseJWS(token string) (*jws, error) {
	head, rest, ok := strings.Cut(token, ".")
	body, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return nil, errors.New("the token does not have three segments")
	}
	h, err := parseHeader(head)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	payload, err := decodeSegment(body)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	sig, err := decodeSegment(signature)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return &jws{header: h, payload: payload, signed: token[:len(head)+1+len(body)], signature: sig}, nil
}

// verify checks the signature. The algorithm is the key's: the header must agree
// and never chooses (RFC 8725 section 3.1).
func (t *jws) verify(key *keys.Verifier) error {
	if t.header.alg != string(key.Algorithm) {
		return fmt.Errorf("the token's alg is not %s, which its key is for", key.Algorithm)
	}
	method, ok := methods[key.Algorithm]
	if !ok {
		return fmt.Errorf("no method for %s", key.Algorithm)
	}
	if err := method.Verify(t.signed, t.signature, key.Public()); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

// methods check signatures. "none" is not among them.
var methods = map[keys.Algorithm]jwt.SigningMethod{
	keys.EdDSA: jwt.SigningMethodEdDSA,
	keys.ES256: jwt.SigningMethodES256,
	keys.ES384: jwt.SigningMethodES384,
	keys.ES512: jwt.SigningMethodES512,
	keys.RS256: jwt.SigningMethodRS256,
	keys.RS384: jwt.SigningMethodRS384,
	keys.RS512: jwt.SigningMethodRS512,
	keys.PS256: pss(jwt.SigningMethodPS256),
	keys.PS384: pss(jwt.SigningMethodPS384),
	keys.PS512: pss(jwt.SigningMethodPS512),
	keys.HS256: jwt.SigningMethodHS256,
}

// pss demands the salt length that RFC 7518 section 3.5 prescribes; the
// library accepts any.
func pss(lenient *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	strict := *lenient
	strict.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.Hash(0)}
	return &strict
}

// decodeSegment decodes canonical base64url (RFC 7515 section 2). Strict
// refuses unused bits, but the decoder still skips line ends, so these are
// looked for.
func decodeSegment(segment string) ([]byte, error) {
	if strings.ContainsAny(segment, "\r\n") {
		return nil, errors.New("line ends in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(segment)
}

func parseHeader(segment string) (*header, error) {
	raw, err := decodeSegment(segment)
	if err != nil {
		return nil, err
	}
	h := new(header)
	err = readObject(raw, func(name string, dec *jsontext.Decoder) error {
		switch name {
		case "alg":
			return readString(dec, &h.alg)
		case "typ":
			return readString(dec, &h.typ)
		case "kid":
			h.named = true
			return readString(dec, &h.kid)
		case "crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c":
			return fmt.Errorf("%s is refused", name)
		default:
			return dec.SkipValue() // RFC 7515 section 4: ignored
		}
	})
	return h, err
}
