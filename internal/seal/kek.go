package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrNotOpened is the reason for wrapped bytes that another key-encryption key
// wrapped, or that were changed, or that belong elsewhere.
var ErrNotOpened = errors.New("the key-encryption key does not open it")

// Binding says what a wrapped key is for. One that was wrapped for something
// else does not open.
type Binding struct{ Use, Tenant, KID string }

// bytes returns the associated data: each part after its length, so that no two
// bindings have the same.
func (b Binding) bytes() []byte {
	var data []byte
	for _, part := range []string{"onnxgate key 1", b.Use, b.Tenant, b.KID} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}

// KEK is a key-encryption key: it wraps keys with AES-256-GCM under nonces of 96
// random bits (NIST SP 800-38D section 8.2.2), which bounds it to 2³² keys. While it
// is rotated it also opens what the former one wrapped. It is safe for concurrent
// use, and no verb of fmt prints it.
type KEK struct {
	aead   cipher.AEAD
	former cipher.AEAD // nil without one
	// fingerprints are of the present key, and of the former one if there is one.
	fingerprints []string
}

// NewKEK returns the key-encryption key of 32 bytes.
func NewKEK(secret []byte) (*KEK, error) {
	aead, err := newAEAD(secret)
	return &KEK{aead: aead, fingerprints: []string{fingerprint(secret)}}, err
}

// fingerprintBytes tell the few keys of an installation apart.
const fingerprintBytes = 4

// fingerprint names a key: the beginning of the SHA-256 of a label and the key, in hex.
// Of 32 random bytes it gives nothing away that could be guessed from.
func fingerprint(secret []byte) string {
	sum := sha256.Sum256(append([]byte("onnxgate key-encryption key 1\x00"), secret...))
	return hex.EncodeToString(sum[:fingerprintBytes])
}

// Fingerprints returns the names by which people tell keys apart, eight hexadecimal
// digits each: that of the key, and while it is rotated that of the former one.
func (k *KEK) Fingerprints() []string { return slices.Clone(k.fingerprints) }

func newAEAD(secret []byte) (cipher.AEAD, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a key-encryption key has %d bytes, not %d", KeySize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Format writes that there is a key, whatever the verb.
func (k *KEK) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key-encryption key]") }

// Wrap encrypts a key for what it is bound to.
func (k *KEK) Wrap(b Binding, secret []byte) []byte {
	return k.aead.Seal(nil, nil, secret, b.bytes()) //nolint:gosec // G407: the AEAD makes a random nonce by itself
}

// Unwrap returns the key that was wrapped with the same binding. Its error is
// ErrNotOpened.
func (k *KEK) Unwrap(b Binding, wrapped []byte) ([]byte, error) {
	if secret, err := k.aead.Open(nil, nil, wrapped, b.bytes()); err == nil {
		return secret, nil
	}
	if k.former != nil {
		if secret, err := k.former.Open(nil, nil, wrapped, b.bytes()); err == nil {
			return secret, nil
		}
	}
	return nil, ErrNotOpened
}

// Wrapped reports whether this key has wrapped the bytes, and not a former one.
func (k *KEK) Wrapped(b Binding, wrapped []byte) bool {
	_, err := k.aead.Open(nil, nil, wrapped, b.bytes())
	return err == nil
}

// Rotating reports whether there is a former key.
func (k *KEK) Rotating() bool { return k.former != nil }
