package forged

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
)

// Key is one that tokens are signed with.
type Key struct {
	// ID is its name in a header, and Alg its algorithm.
	ID, Alg string
	// Sign returns the signature of the first two segments of a token.
	Sign func(input string) []byte
	// JWK is what an issuer publishes of it; nil for a secret.
	JWK Object
	// known are the texts by which everybody may know it.
	known []string
}

// NewKey returns the key of that name: an Ed25519 key, one of P-256 or of RSA, or the
// bytes of a secret.
func NewKey(id string, private any) (*Key, error) {
	switch key := private.(type) {
	case []byte:
		return &Key{ID: id, Alg: "HS256", Sign: func(input string) []byte { return mac(key, input) }, known: []string{id}}, nil
	case ed25519.PrivateKey:
		public := key[ed25519.SeedSize:]
		k := &Key{ID: id, Alg: "EdDSA", JWK: Object{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": b64(public)}}
		k.Sign = func(input string) []byte { return ed25519.Sign(key, []byte(input)) }
		return k, k.publish(key.Public(), public)
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes() // 0x04 || x || y
		if err != nil {
			return nil, err
		}
		half := (len(point) + 1) / 2
		k := &Key{ID: id, Alg: "ES256", JWK: Object{"kty": "EC", "crv": "P-256", "kid": id, "x": b64(point[1:half]), "y": b64(point[half:])}}
		k.Sign = func(input string) []byte { return signES256(key, input) }
		return k, k.publish(key.Public(), point)
	case *rsa.PrivateKey:
		e := big.NewInt(int64(key.E)).Bytes()
		k := &Key{ID: id, Alg: "RS256", JWK: Object{"kty": "RSA", "kid": id, "n": b64(key.N.Bytes()), "e": b64(e)}}
		k.Sign = func(input string) []byte { return signRS256(key, input) }
		return k, k.publish(key.Public(), key.N.Bytes())
	}
	return nil, fmt.Errorf("forged: keys of type %T do not sign", private)
}

// SmallOrder returns a key that is a point of order 1 of edwards25519: the same
// signature fits every message, and everybody can write it.
func SmallOrder(id string) *Key {
	point := append([]byte{1}, make([]byte, 31)...)
	return &Key{
		ID: id, Alg: "EdDSA", JWK: Object{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": b64(point)},
		Sign: func(string) []byte { return append(append([]byte{}, point...), make([]byte, 32)...) },
	}
}

// publish notes how everybody may know the key, which somebody could take for a
// secret.
func (k *Key) publish(public crypto.PublicKey, raw []byte) error {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	jwk := string(encode(k.JWK))
	k.known = []string{
		block, strings.TrimSpace(block), strings.ReplaceAll(block, "\n", "\r\n"), strings.ReplaceAll(block, "\n", ""),
		strings.ReplaceAll(block, "\n", `\n`), string(der), base64.StdEncoding.EncodeToString(der), b64(der),
		string(raw), base64.StdEncoding.EncodeToString(raw), b64(raw), hex.EncodeToString(raw),
		strings.ToUpper(hex.EncodeToString(raw)), jwk, `{"keys":[` + jwk + `]}`, k.ID,
	}
	return nil
}

// strangers returns a new private key of the same kind.
func strangers(k *Key) any {
	switch k.Alg {
	case "ES256", "RS256": // an RSA key would take its time
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // never of this curve
		}
		return key
	case "HS256":
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return secret
	}
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
}

func mac(secret []byte, input string) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(input)) // never fails
	return h.Sum(nil)
}

func signES256(key *ecdsa.PrivateKey, input string) []byte {
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err) // never with this source
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func signRS256(key *rsa.PrivateKey, input string) []byte {
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key was made for it
	}
	return signature
}
