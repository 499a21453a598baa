package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// Algorithm is a name of the JOSE registry (RFC 7518 section 3.1, RFC 8037
// section 3.1).
type Algorithm string

// The algorithms. EdDSA, ES256 and RS256 also sign; HS256 does with a secret;
// the others only verify.
const (
	EdDSA Algorithm = "EdDSA"
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
	HS256 Algorithm = "HS256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
)

// The bounds of RSA keys: below the first they can be factored, above the
// second checking a signature costs more than a request is worth.
const (
	minRSABits = 2048
	maxRSABits = 8192
	minRSAExp  = 65537
	// newRSABits has the strength of the other algorithms, about 128 bits.
	newRSABits = 3072
)

type algorithm struct {
	// check refuses a public key that does not fit the algorithm.
	check func(public any) error
	// generate makes a private key; nil where no key of ours is made.
	generate func() (crypto.Signer, error)
}

var algorithms = map[Algorithm]algorithm{
	EdDSA: {checkEd25519, generateEd25519},
	ES256: {onCurve(elliptic.P256()), generateP256},
	ES384: {onCurve(elliptic.P384()), nil},
	ES512: {onCurve(elliptic.P521()), nil},
	RS256: {checkRSA, generateRSA},
	RS384: {checkRSA, nil},
	RS512: {checkRSA, nil},
	PS256: {checkRSA, nil},
	PS384: {checkRSA, nil},
	PS512: {checkRSA, nil},
	HS256: {checkSecret, nil},
}

// Signs reports whether servers make keys of the algorithm.
func (a Algorithm) Signs() bool { return algorithms[a].generate != nil }

func generateEd25519() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func generateP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, newRSABits) }

func checkEd25519(public any) error {
	key, ok := public.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("the key is not an Ed25519 key but %T", public)
	}
	return newCurve25519().checkPoint(key)
}

// onCurve returns the check of the keys of one curve.
func onCurve(curve elliptic.Curve) func(any) error {
	name := curve.Params().Name
	return func(public any) error {
		key, ok := public.(*ecdsa.PublicKey)
		if !ok {
			return fmt.Errorf("the key is not an ECDSA key but %T", public)
		}
		if key.Curve != curve {
			return fmt.Errorf("the key is not on the curve %s", name)
		}
		if _, err := key.ECDH(); err != nil { // refuses a point off the curve
			return fmt.Errorf("the key is not a point of %s: %w", name, err)
		}
		return nil
	}
}

func checkRSA(public any) error {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("the key is not an RSA key but %T", public)
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("the RSA key has %d bits; from %d to %d are accepted", bits, minRSABits, maxRSABits)
	}
	if key.E < minRSAExp || key.E%2 == 0 {
		return fmt.Errorf("the RSA key has the exponent %d; it must be odd and at least %d", key.E, minRSAExp)
	}
	return nil
}

func checkSecret(public any) error {
	secret, ok := public.([]byte)
	if !ok {
		return fmt.Errorf("the key is not a secret but %T", public)
	}
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("the secret has %d bytes; %d or more are needed", len(secret), MinSecretBytes)
	}
	return nil
}

// algorithmOf returns the algorithm of the signatures that a key from a file verifies.
func algorithmOf(public crypto.PublicKey) (Algorithm, error) {
	switch public.(type) {
	case ed25519.PublicKey:
		return EdDSA, nil
	case *ecdsa.PublicKey:
		return ES256, nil
	case *rsa.PublicKey:
		return RS256, nil
	default:
		return "", fmt.Errorf("keys of type %T are not supported", public)
	}
}

// thumbprint returns the RFC 7638 thumbprint of the key with SHA-256, in
// base64url: the hash of its required JWK members in lexical order.
func thumbprint(public any) (string, error) {
	var jwk string
	switch key := public.(type) {
	case ed25519.PublicKey: // RFC 8037 section 2
		jwk = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, b64(key))
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 0x04 || x || y
		if err != nil {
			return "", err
		}
		half := (len(point) - 1) / 2
		jwk = fmt.Sprintf(`{"crv":"%s","kty":"EC","x":"%s","y":"%s"}`,
			key.Curve.Params().Name, b64(point[1:1+half]), b64(point[1+half:]))
	case *rsa.PublicKey:
		jwk = fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, b64(big.NewInt(int64(key.E)).Bytes()), b64(key.N.Bytes()))
	case []byte:
		jwk = fmt.Sprintf(`{"k":"%s","kty":"oct"}`, b64(key))
	default:
		return "", fmt.Errorf("keys of type %T are not supported", public)
	}
	sum := sha256.Sum256([]byte(jwk))
	return b64(sum[:]), nil
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
