// Package apikey is the text form of API keys.
//
//	ogk_<id>_<secret><checksum>      a key
//	ogk_<id>_sha256:<64 hex digits>  the same key, its secret hashed
//
// The id has 12 characters of base62 and the secret 32 or more. The checksum is
// the CRC-32 of all that stands before it, in 6 digits of base62: it finds typing
// errors and garbage without a look at the store, and lets scanners tell a leaked
// key from other text. It protects nothing.
//
// It must not know where a key stands in a request, what it permits, nor where
// keys are kept.
package apikey

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// Prefix begins every key, and no access token.
const Prefix = "ogk_"

const (
	idLen       = 12
	secretLen   = 32 // of a key made here: 190 bits
	maxSecret   = 128
	checksumLen = 6
	hashed      = "sha256:"
	head        = len(Prefix) + idLen + 1 // what stands before the secret
	// MaxLen is the length of the longest key.
	MaxLen = head + maxSecret + checksumLen
)

// alphabet are the digits of base62, least first.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ParseHash reads the hexadecimal digits of a hash as Presented has it.
func ParseHash(digits string) (hash [sha256.Size]byte, err error) {
	if len(digits) != hex.EncodedLen(len(hash)) {
		return hash, fmt.Errorf("apikey: a hash has %d digits, this text has %d", hex.EncodedLen(len(hash)), len(digits))
	}
	_, err = hex.Decode(hash[:], []byte(digits))
	return hash, err
}

// FormatHash is the inverse of ParseHash.
func FormatHash(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:]) }

// Presented is what a well-formed key says.
type Presented struct {
	// ID shares the memory of the text that was parsed.
	ID string
	// Hash is the SHA-256 of the SHA-256 of the secret: what is kept of one. A
	// secret is long and random, so that nothing slower is needed.
	Hash [sha256.Size]byte
}

var errForm = errors.New("an API key has the form " + Prefix + "<id>_<secret><checksum>")

// Parse reads a key in either form. Its errors show nothing of the text. It
// takes memory for neither a key nor garbage.
func Parse(text string) (Presented, error) {
	if len(text) < head || len(text) > MaxLen || text[:len(Prefix)] != Prefix || text[head-1] != '_' {
		return Presented{}, errForm
	}
	id, rest := text[len(Prefix):head-1], text[head:]
	if !isBase62(id) {
		return Presented{}, errForm
	}
	if digits, ok := strings.CutPrefix(rest, hashed); ok {
		return parseHashed(id, digits)
	}
	secret, err := checked(text, rest)
	if err != nil {
		return Presented{}, err
	}
	var raw [maxSecret]byte
	once := sha256.Sum256(raw[:copy(raw[:], secret)])
	return Presented{ID: id, Hash: sha256.Sum256(once[:])}, nil
}

// parseHashed reads the hash that a caller sends in the secret's place.
func parseHashed(id, digits string) (Presented, error) {
	var text [2 * sha256.Size]byte
	var once [sha256.Size]byte
	if len(digits) != len(text) {
		return Presented{}, errForm
	}
	if _, err := hex.Decode(once[:], text[:copy(text[:], digits)]); err != nil {
		return Presented{}, errForm
	}
	return Presented{ID: id, Hash: sha256.Sum256(once[:])}, nil
}

// Whole reads a key that holds its secret itself, and returns what Parse does.
// A secret of few different characters is refused: nobody's chance made it.
func Whole(text string) (Presented, error) {
	p, err := Parse(text)
	if err != nil {
		return Presented{}, err
	}
	secret, err := checked(text, text[head:])
	if err != nil {
		return Presented{}, err
	}
	if distinct(secret) < 10 { // less than 10 of 62 in 32 draws does not happen
		return Presented{}, errors.New("the secret of this API key is not random")
	}
	return p, nil
}

// checked returns the secret in front of its checksum.
func checked(text, rest string) (string, error) {
	n := len(rest) - checksumLen
	if n < secretLen || !isBase62(rest) {
		return "", errForm
	}
	if sum := checksum(text[:head+n]); string(sum[:]) != rest[n:] {
		return "", errors.New("the checksum of this API key is wrong: it was not copied whole")
	}
	return rest[:n], nil
}

func isBase62(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func distinct(s string) int {
	var seen [256]bool
	n := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			n++
		}
	}
	return n
}

// checksum returns the CRC-32 of the text in base62, most significant digit
// first.
func checksum(text string) (digits [checksumLen]byte) {
	sum := ^uint32(0)
	for i := range len(text) { // crc32.ChecksumIEEE would need the text in memory of its own
		sum = crc32.IEEETable[(sum^uint32(text[i]))&0xff] ^ sum>>8
	}
	sum = ^sum
	for i := checksumLen - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%uint32(len(alphabet))]
		sum /= uint32(len(alphabet))
	}
	return digits
}

// New makes a key with an id of its own.
func New(random io.Reader) (string, error) {
	id, err := draw(random, idLen)
	if err != nil {
		return "", err
	}
	return WithID(random, id)
}

// WithID makes a key with that id, which must be one.
func WithID(random io.Reader, id string) (string, error) {
	if len(id) != idLen || !isBase62(id) {
		return "", fmt.Errorf("apikey: an id has %d characters of base62", idLen)
	}
	secret, err := draw(random, secretLen)
	if err != nil {
		return "", err
	}
	text := Prefix + id + "_" + secret
	sum := checksum(text)
	return text + string(sum[:]), nil
}

// draw returns n characters of base62, each as likely as another.
func draw(random io.Reader, n int) (string, error) {
	const fair = 256 - 256%len(alphabet) // bytes beyond would favor the first digits
	out := make([]byte, 0, n)
	for b := make([]byte, 2*n); len(out) < n; {
		if _, err := io.ReadFull(random, b); err != nil {
			return "", err
		}
		for _, c := range b {
			if int(c) < fair && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}
