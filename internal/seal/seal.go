// Package seal owns symmetric encryption: Fernet tokens of text, and the
// wrapping of keys by the key-encryption key that an operator holds.
//
// It must not know whose keys they are, nor where anything is stored.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// KeySize is the length of a Fernet key and of a key-encryption key, in bytes.
const KeySize = 32

// The fields of a Fernet token (section "Token Format" of the specification,
// github.com/fernet/spec).
const (
	version      = 0x80
	timeAt       = 1
	ivAt         = timeAt + 8
	textAt       = ivAt + aes.BlockSize
	shortest     = textAt + aes.BlockSize + sha256.Size
	maxClockSkew = 60 // seconds; the specification leaves it open, its vectors and other libraries have this
)

// AnyAge is the greatest age that a token can have: none is too old for it.
const AnyAge = math.MaxInt64

// ErrFailed is the one reason for a token that does not open: whatever is wrong
// with it, the error is this and the work was the same.
var ErrFailed = errors.New("decryption failed")

// FernetKey seals text into tokens and opens them. It is safe for concurrent
// use, and no verb of fmt prints it.
type FernetKey struct {
	sign  []byte
	block cipher.Block
}

// NewFernetKey returns the key of 32 random bytes: 16 that sign, then 16 that
// encrypt.
func NewFernetKey(secret []byte) (*FernetKey, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a Fernet key has %d bytes, not %d", KeySize, len(secret))
	}
	block, err := aes.NewCipher(secret[KeySize/2:])
	if err != nil {
		return nil, err
	}
	return &FernetKey{sign: append([]byte(nil), secret[:KeySize/2]...), block: block}, nil
}

// Format writes that there is a key, whatever the verb.
func (k *FernetKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[fernet key]") }

// padded returns the length of n bytes with their padding, which is never empty
// (RFC 5652 section 6.3).
func padded(n int) int { return n/aes.BlockSize*aes.BlockSize + aes.BlockSize }

// Seal returns the token of a text, made now. Its error is that of the source of
// randomness.
func (k *FernetKey) Seal(random io.Reader, now time.Time, text []byte) ([]byte, error) {
	b := make([]byte, textAt+padded(len(text)), textAt+padded(len(text))+sha256.Size)
	b[0] = version
	binary.BigEndian.PutUint64(b[timeAt:], uint64(now.Unix())) //nolint:gosec // G115: the clock is after 1970
	iv, body := b[ivAt:textAt], b[textAt:]
	if _, err := io.ReadFull(random, iv); err != nil {
		return nil, err
	}
	for i := copy(body, text); i < len(body); i++ {
		body[i] = byte(len(body) - len(text)) //nolint:gosec // G115: at most a block
	}
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(body, body) //nolint:gosec // G407: it was just read from the source of randomness
	b = k.mac(b)
	token := make([]byte, base64.URLEncoding.EncodedLen(len(b)))
	base64.URLEncoding.Encode(token, b)
	return token, nil
}

// mac appends the HMAC of b to it.
func (k *FernetKey) mac(b []byte) []byte {
	h := hmac.New(sha256.New, k.sign)
	h.Write(b)
	return h.Sum(b)
}

// Open returns the text of a token that one of the keys made at most maxAge
// seconds ago. A token is exactly one: no line end, no blank, nothing behind the
// padding, no second way of writing the same bytes. With a maximum age, one from
// the future is refused beyond a minute. The HMAC decides which key decrypts, in
// constant time; without one that fits, what is decrypted is thrown away.
//
// The only error is ErrFailed. For tokens of one length each failure costs the
// same: one decoding, an HMAC with every key, one decryption, and not a branch
// that depends on what is wrong. At least one key must be given.
func Open(keys []*FernetKey, token []byte, now time.Time, maxAge int64) ([]byte, error) {
	t := parse(token)
	fits, with := 0, 0
	for i, k := range keys {
		authentic := k.authentic(&t)
		fits |= authentic
		with = subtle.ConstantTimeSelect(authentic, i, with)
	}
	text, whole := keys[with].decrypt(&t)
	if t.good&t.fresh(now.Unix(), maxAge)&fits&whole != 1 {
		return nil, ErrFailed
	}
	return text, nil
}

// token is a decoded one, good (1) or bad (0), that has at least one block.
type token struct {
	signed, mac []byte
	good        int
}

// parse decodes a token. What is not one gives something of about its length to
// work on.
func parse(text []byte) token {
	raw, good := decode(text)
	if len(raw) < shortest {
		raw, good = append(raw, make([]byte, shortest-len(raw))...), 0
	}
	end := len(raw) - sha256.Size
	good &= subtle.ConstantTimeByteEq(raw[0], version) & bit((end-textAt)%aes.BlockSize == 0)
	return token{raw[:end], raw[end:], good}
}

// fresh returns 1 when the token is of the last maxAge seconds, else 0.
func (t *token) fresh(now, maxAge int64) int {
	made := binary.BigEndian.Uint64(t.signed[timeAt:])
	age := now - int64(made&math.MaxInt64)
	inTime := bit(made <= math.MaxInt64) & bit(age >= -maxClockSkew) & bit(age <= maxAge)
	return inTime | bit(maxAge == AnyAge)
}

// bit returns 1 for true; the compiler makes no branch of it.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// authentic returns 1 when the key signed the token, else 0.
func (k *FernetKey) authentic(t *token) int {
	h := hmac.New(sha256.New, k.sign)
	h.Write(t.signed)
	return subtle.ConstantTimeCompare(h.Sum(nil), t.mac)
}

// decrypt returns the text, and 1 when its padding is whole, else 0.
func (k *FernetKey) decrypt(t *token) ([]byte, int) {
	sealed := t.signed[textAt:]
	sealed = sealed[:len(sealed)/aes.BlockSize*aes.BlockSize]
	text := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(k.block, t.signed[ivAt:textAt]).CryptBlocks(text, sealed)
	return unpad(text)
}
