package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/keys"
)

// jwk holds the members of a JSON Web Key (RFC 7517 section 4, RFC 7518 section
// 6, RFC 8037 section 2) that decide about it.
type jwk struct {
	KTY    string          `json:"kty"`
	KID    *string         `json:"kid"`
	Use    *string         `json:"use"`
	KeyOps []string        `json:"key_ops"`
	Alg    *keys.Algorithm `json:"alg"`
	CRV    string          `json:"crv"`
	N      base64url       `json:"n"`
	E      base64url       `json:"e"`
	X      base64url       `json:"x"`
	Y      base64url       `json:"y"`
	// What a public key does not have.
	D   jsontext.Value `json:"d"`
	P   jsontext.Value `json:"p"`
	Q   jsontext.Value `json:"q"`
	DP  jsontext.Value `json:"dp"`
	DQ  jsontext.Value `json:"dq"`
	QI  jsontext.Value `json:"qi"`
	Oth jsontext.Value `json:"oth"`
	K   jsontext.Value `json:"k"`
}

// base64url is unpadded and canonical (RFC 7515 section 2).
type base64url []byte

// UnmarshalText decodes it.
func (b *base64url) UnmarshalText(text []byte) (err error) {
	if slices.Contains(text, '\n') || slices.Contains(text, '\r') { // the decoder skips them
		return errors.New("line ends in base64url")
	}
	*b, err = base64.RawURLEncoding.Strict().DecodeString(string(text))
	return err
}

// parseKey returns what verifies with a key of a set: one for its algorithm, or,
// when it names none, one for each algorithm of the issuer's that it fits.
func parseKey(raw jsontext.Value, allowed []keys.Algorithm) (kid *string, fit []*keys.Verifier, err error) {
	var k jwk
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, nil, errors.New("it is not a JSON Web Key")
	}
	if err := k.check(); err != nil {
		return k.KID, nil, err
	}
	public, err := k.public()
	if err != nil {
		return k.KID, nil, err
	}
	if allowed, err = k.algorithms(allowed); err != nil {
		return k.KID, nil, err
	}
	for _, alg := range allowed {
		v, err := keys.NewVerifier(alg, public)
		if err != nil { // for one of its type's algorithms as for the others
			return k.KID, nil, err
		}
		fit = append(fit, v)
	}
	return k.KID, fit, nil
}

// algorithmsOf are those of each type of key, but for EC, where the curve decides.
var algorithmsOf = map[string][]keys.Algorithm{
	"OKP": {keys.EdDSA},
	"RSA": {keys.RS256, keys.RS384, keys.RS512, keys.PS256, keys.PS384, keys.PS512},
}

// algorithms returns which of the issuer's the key may be used with.
func (k *jwk) algorithms(allowed []keys.Algorithm) ([]keys.Algorithm, error) {
	fit := algorithmsOf[k.KTY]
	if k.KTY == "EC" {
		fit = []keys.Algorithm{curves[k.CRV].alg}
	}
	if k.Alg != nil {
		if !slices.Contains(fit, *k.Alg) {
			return nil, fmt.Errorf("its alg %s is none of a key of type %s that is supported", shown(string(*k.Alg)), k.KTY)
		}
		fit = []keys.Algorithm{*k.Alg}
	}
	fit = slices.DeleteFunc(slices.Clone(fit), func(alg keys.Algorithm) bool { return !slices.Contains(allowed, alg) })
	if len(fit) == 0 {
		return nil, errors.New("its algorithm is none of the entry's algorithms")
	}
	return fit, nil
}

// check refuses a key that is not there to verify, or that is no public one.
func (k *jwk) check() error {
	switch {
	case k.KTY == "oct" || k.K != nil:
		return errors.New("it is symmetric")
	case k.D != nil || k.P != nil || k.Q != nil || k.DP != nil || k.DQ != nil || k.QI != nil || k.Oth != nil:
		return errors.New("it is a private key, which the issuer must not publish")
	case k.Use != nil && *k.Use != "sig":
		return fmt.Errorf("its use is %s", shown(*k.Use))
	case k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify"):
		return errors.New("its key_ops do not hold verify")
	}
	return nil
}

func (k *jwk) public() (any, error) {
	switch k.KTY {
	case "RSA":
		return k.rsa()
	case "EC":
		return k.ec()
	case "OKP":
		if k.CRV != "Ed25519" {
			return nil, fmt.Errorf("its curve %s is not supported", shown(k.CRV))
		}
		return ed25519.PublicKey(k.X), nil
	default:
		return nil, fmt.Errorf("its type %s is not supported", shown(k.KTY))
	}
}

func (k *jwk) rsa() (any, error) {
	e := new(big.Int).SetBytes(k.E)
	if !e.IsInt64() || e.Int64() > math.MaxInt32 {
		return nil, errors.New("its exponent is out of range")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.N), E: int(e.Int64())}, nil
}

// curves are those of EC keys (RFC 7518 section 6.2.1.1), each with the one
// algorithm that it is for (section 3.4).
var curves = map[string]struct {
	curve elliptic.Curve
	alg   keys.Algorithm
}{
	"P-256": {elliptic.P256(), keys.ES256},
	"P-384": {elliptic.P384(), keys.ES384},
	"P-521": {elliptic.P521(), keys.ES512},
}

func (k *jwk) ec() (any, error) {
	c, ok := curves[k.CRV]
	if !ok {
		return nil, fmt.Errorf("its curve %s is not supported", shown(k.CRV))
	}
	point := slices.Concat([]byte{4}, k.X, k.Y) // SEC 1 section 2.3.3
	public, err := ecdsa.ParseUncompressedPublicKey(c.curve, point)
	if err != nil || len(k.X) != len(k.Y) {
		return nil, errors.New("it is not a point of its curve")
	}
	return public, nil
}
