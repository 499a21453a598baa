package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
)

// jwk is the public half of a key (RFC 7517 section 4, RFC 7518 section 6, RFC
// 8037 section 2).
type jwk struct {
	Type      string    `json:"kty"`
	Use       string    `json:"use,omitempty"`
	Algorithm Algorithm `json:"alg,omitempty"`
	KID       string    `json:"kid,omitempty"`
	Curve     string    `json:"crv,omitempty"`
	X         string    `json:"x,omitempty"`
	Y         string    `json:"y,omitempty"`
	N         string    `json:"n,omitempty"`
	E         string    `json:"e,omitempty"`
}

// publish returns the JWK Set (RFC 7517 section 5) of those keys that have a
// public half. A shared secret has none.
func publish(verifiers []*Verifier) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, v := range verifiers {
		if v.Algorithm == HS256 {
			continue
		}
		key, err := publicJWK(v.public)
		if err != nil {
			return nil, fmt.Errorf("publish the key %s: %w", v.KID, err)
		}
		key.Use, key.Algorithm, key.KID = "sig", v.Algorithm, v.KID
		set.Keys = append(set.Keys, key)
	}
	return json.Marshal(set)
}

// publicJWK returns the members that are the key itself.
func publicJWK(public any) (jwk, error) {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return jwk{Type: "OKP", Curve: "Ed25519", X: b64(key)}, nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 0x04 || x || y
		if err != nil {
			return jwk{}, err
		}
		half := (len(point) - 1) / 2
		return jwk{Type: "EC", Curve: key.Curve.Params().Name, X: b64(point[1 : 1+half]), Y: b64(point[1+half:])}, nil
	case *rsa.PublicKey:
		return jwk{Type: "RSA", N: b64(key.N.Bytes()), E: b64(big.NewInt(int64(key.E)).Bytes())}, nil
	}
	return jwk{}, fmt.Errorf("keys of type %T have no public form", public)
}
