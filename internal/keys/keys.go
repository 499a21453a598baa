// Package keys owns the keys that sign access tokens: it makes them once,
// keeps them as PKCS#8 PEM files that only their owner can read, names them by
// their RFC 7638 thumbprint, and binds each to the one algorithm it may be used
// with. It refuses keys that are too weak.
//
// It must not know what is signed, nor any token format.
package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// MinSecretBytes is the least length of a shared secret: that of the hash's
// output (RFC 7518 section 3.2).
const MinSecretBytes = 32

// Config says which keys to use.
type Config struct {
	// Dir is the directory of the key files, made with mode 0700 when it is not
	// there. Unused with a Secret.
	Dir string
	// Algorithm is what new tokens are signed with: EdDSA (also when empty),
	// ES256 or RS256. Unused with a Secret.
	Algorithm Algorithm
	// Secret, when set, is the only key: HS256 signs and verifies, and the
	// directory is neither read nor written, so that a public key can never
	// meet a symmetric algorithm.
	Secret []byte
}

// Signer is the private half of a key.
type Signer struct {
	// KID is the key's name in a token's header (RFC 7515 section 4.1.4).
	KID       string
	Algorithm Algorithm
	private   any
}

// Private returns the key itself: an ed25519.PrivateKey, an *ecdsa.PrivateKey,
// an *rsa.PrivateKey, or the []byte of a shared secret.
func (s *Signer) Private() any { return s.private }

// String names the key without showing it.
func (s *Signer) String() string { return fmt.Sprintf("%s key %s", s.Algorithm, s.KID) }

// GoString is String, so that no verb prints the key.
func (s *Signer) GoString() string { return s.String() }

// Verifier is the half of a key that checks signatures, bound to one
// algorithm (RFC 8725 section 3.1).
type Verifier struct {
	// KID is the key's name in a token's header (RFC 7515 section 4.1.4).
	KID       string
	Algorithm Algorithm
	public    any
}

// Public returns the key itself: an ed25519.PublicKey, an *ecdsa.PublicKey, an
// *rsa.PublicKey, or the []byte of a shared secret.
func (v *Verifier) Public() any { return v.public }

// String names the key without showing it.
func (v *Verifier) String() string { return fmt.Sprintf("%s key %s", v.Algorithm, v.KID) }

// GoString is String, so that no verb prints a shared secret.
func (v *Verifier) GoString() string { return v.String() }

// NewVerifier binds a public key, or a shared secret, to an algorithm. It
// refuses a key of another type, on another curve, or too weak.
func NewVerifier(alg Algorithm, public any) (*Verifier, error) {
	spec, ok := algorithms[alg]
	if !ok {
		return nil, fmt.Errorf("unknown signature algorithm %q", alg)
	}
	if err := spec.check(public); err != nil {
		return nil, fmt.Errorf("%s: %w", alg, err)
	}
	kid, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	return &Verifier{KID: kid, Algorithm: alg, public: public}, nil
}

// Set is the keys of one server: one signs, all verify. It does not change
// after it was opened and is safe for concurrent use.
type Set struct {
	signer    *Signer
	verifiers map[string]*Verifier
}

// Open reads the keys of the directory and makes the first one of the
// configured algorithm when it is not there. The newest file of that algorithm
// signs; every key verifies. Processes that start at the same time agree on
// one key. Errors are for the operator: they name files.
func Open(cfg Config) (*Set, error) {
	if len(cfg.Secret) > 0 {
		return fromSecret(cfg.Secret)
	}
	alg := cfg.Algorithm
	if alg == "" {
		alg = EdDSA
	}
	spec, ok := algorithms[alg]
	if !ok || spec.generate == nil {
		return nil, fmt.Errorf("signature algorithm %q cannot sign here; use %s, %s or %s", alg, EdDSA, ES256, RS256)
	}
	dir, err := openDirectory(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("key directory %s: %w", cfg.Dir, err)
	}
	if err := dir.sweep(); err != nil {
		return nil, fmt.Errorf("key directory %s: %w", cfg.Dir, err)
	}
	found, err := dir.load()
	if err != nil {
		return nil, err
	}
	if newest(found, alg) == nil {
		if found, err = dir.create(alg, spec.generate); err != nil {
			return nil, fmt.Errorf("make a signing key in %s: %w", cfg.Dir, err)
		}
	}
	return fromFiles(found, alg)
}

func fromFiles(found []*keyFile, alg Algorithm) (*Set, error) {
	set := &Set{verifiers: make(map[string]*Verifier, len(found))}
	for _, f := range found {
		set.verifiers[f.verifier.KID] = f.verifier
	}
	f := newest(found, alg)
	if f == nil {
		return nil, errors.New("the key that was just made is gone")
	}
	set.signer = &Signer{KID: f.verifier.KID, Algorithm: alg, private: f.private}
	return set, nil
}

// fromSecret makes the set of a shared secret. Its name is derived under the
// secret rather than by RFC 7638, whose section 7 warns that the thumbprint of
// a symmetric key lets anyone check a guess.
func fromSecret(secret []byte) (*Set, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("the secret has %d bytes; HS256 needs %d or more", len(secret), MinSecretBytes)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("onnxgate key id"))
	kid := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	secret = slices.Clone(secret)
	return &Set{
		signer:    &Signer{KID: kid, Algorithm: HS256, private: secret},
		verifiers: map[string]*Verifier{kid: {KID: kid, Algorithm: HS256, public: secret}},
	}, nil
}

// Signer returns the key that signs new tokens.
func (s *Set) Signer() *Signer { return s.signer }

// Verifier returns the key with that name. The name is only ever looked up in
// memory.
func (s *Set) Verifier(kid string) (*Verifier, bool) {
	v, ok := s.verifiers[kid]
	return v, ok
}

// KIDs returns the names of all keys, sorted.
func (s *Set) KIDs() []string { return slices.Sorted(maps.Keys(s.verifiers)) }
