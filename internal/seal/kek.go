package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"onnxgate/internal/regular"
)

const (
	fileMode = 0o600
	// foreignWrite is the permission bit that lets strangers replace a key.
	foreignWrite = 0o002
	// maxKEKFile is more than the longest line that holds a key.
	maxKEKFile = 1 << 10
	// minDistinct is how many different bytes 32 random ones have at least, but
	// for one case in 10⁴⁰.
	minDistinct = 8
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
// random bits (NIST SP 800-38D section 8.2.2), which bounds it to 2³² keys. It is
// safe for concurrent use, and no verb of fmt prints it.
type KEK struct{ aead cipher.AEAD }

// NewKEK returns the key-encryption key of 32 bytes.
func NewKEK(secret []byte) (*KEK, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a key-encryption key has %d bytes, not %d", KeySize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &KEK{aead}, err
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
	secret, err := k.aead.Open(nil, nil, wrapped, b.bytes())
	if err != nil {
		return nil, ErrNotOpened
	}
	return secret, nil
}

// ReadKEK reads a key-encryption key: 32 bytes in base64 on one line, in a
// regular file that others may not write to. Errors are for the operator: they
// name the file, and hold nothing of it.
func ReadKEK(path string) (*KEK, error) {
	secret, err := readKEK(path)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key %s: %w", path, err)
	}
	return NewKEK(secret)
}

func readKEK(path string) ([]byte, error) {
	data, info, err := regular.ReadFile(path, maxKEKFile)
	_, large := errors.AsType[regular.TooLargeError](err)
	switch {
	case large:
		return nil, errNoKEK
	case err != nil:
		return nil, reason(err)
	case info.Mode().Perm()&foreignWrite != 0:
		return nil, fmt.Errorf("its mode %04o lets other users change it: run chmod 600 on it", info.Mode().Perm())
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	secret, err := decodeKEK(line)
	if err != nil || len(secret) != KeySize || bytes.ContainsAny(line, "\r\n") {
		return nil, errNoKEK
	}
	if distinct(secret) < minDistinct {
		return nil, errors.New("its bytes repeat themselves, so that it can be guessed; write the output of: openssl rand -base64 32")
	}
	return secret, nil
}

var errNoKEK = errors.New("it does not hold 32 bytes in base64 on one line; write the output of: openssl rand -base64 32")

// decodeKEK takes either alphabet of RFC 4648.
func decodeKEK(line []byte) ([]byte, error) {
	encoding := base64.StdEncoding
	if bytes.ContainsAny(line, "-_") {
		encoding = base64.URLEncoding
	}
	return encoding.Strict().DecodeString(string(line))
}

func distinct(secret []byte) int {
	seen := map[byte]bool{}
	for _, b := range secret {
		seen[b] = true
	}
	return len(seen)
}

// MakeKEK makes the file of a new key-encryption key, unless it is there: of
// processes that make it at the same time, one does and all use it. The file is
// whole or not there.
func MakeKEK(path string) error {
	if err := makeKEK(path); err != nil {
		return fmt.Errorf("make the key-encryption key %s: %w", path, err)
	}
	return nil
}

func makeKEK(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	secret := make([]byte, KeySize)
	if _, err := io.ReadFull(rand.Reader, secret); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".kek-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, temp.Chmod(fileMode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// A link, other than a rename, never replaces the key of another process.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in the directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // G304: the operator's own directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// reason returns what is wrong without the name of the file.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
