package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
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
	// maxKEKFile is more than the longest lines that hold keys.
	maxKEKFile = 1 << 10
	// minDistinct is how many different bytes 32 random ones have at least, but
	// for one case in 10⁴⁰.
	minDistinct = 8
)

// ReadKEK reads a key-encryption key: 32 bytes in base64 on one line, in a
// regular file that others may not write to. While it is rotated, the former one
// follows on a second line. Errors are for the operator: they name the file, and
// hold nothing of it.
func ReadKEK(path string) (*KEK, error) {
	secrets, err := readKEK(path)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key %s: %w", path, err)
	}
	k, err := NewKEK(secrets[0])
	if err == nil && len(secrets) > 1 {
		k.former, err = newAEAD(secrets[1])
		k.fingerprints = append(k.fingerprints, fingerprint(secrets[1]))
	}
	return k, err
}

// readKEK returns the secrets of a file: one, or the present and the former.
func readKEK(path string) ([][]byte, error) {
	data, info, err := regular.ReadFile(path, maxKEKFile)
	_, large := errors.AsType[regular.TooLargeError](err)
	switch {
	case large:
		return nil, errNoKEK
	case err != nil:
		return nil, reason(err)
	}
	if err := regular.CheckMode(path, info.Mode(), regular.OthersWrite); err != nil {
		return nil, err
	}
	var secrets [][]byte
	for line := range bytes.SplitSeq(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		secret, err := decodeKEK(bytes.TrimSuffix(line, []byte("\r")))
		if err != nil || len(secret) != KeySize || len(secrets) == maxKEKs {
			return nil, errNoKEK
		}
		if distinct(secret) < minDistinct {
			return nil, errors.New("its bytes repeat themselves, so that it can be guessed; write the output of: openssl rand -base64 32")
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == maxKEKs && bytes.Equal(secrets[0], secrets[1]) {
		return nil, errors.New("it holds the same key twice; the second line is for the former key, while it is rotated")
	}
	return secrets, nil
}

// maxKEKs is how many keys a file may hold.
const maxKEKs = 2

var errNoKEK = errors.New("it does not hold 32 bytes in base64 on one line, or on two while it is rotated; write the output of: openssl rand -base64 32")

// decodeKEK takes either alphabet of RFC 4648.
func decodeKEK(line []byte) ([]byte, error) {
	encoding := base64.StdEncoding
	if bytes.ContainsAny(line, "-_") {
		encoding = base64.URLEncoding
	}
	if bytes.ContainsRune(line, '\r') {
		return nil, errNoKEK // which the decoder would leave out
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
	secret, err := newSecret()
	if err != nil {
		return err
	}
	// A link, other than a rename, never replaces the key of another process.
	return writeKEK(path, [][]byte{secret}, func(temp string) error {
		if err := os.Link(temp, path); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

func newSecret() ([]byte, error) {
	secret := make([]byte, KeySize)
	_, err := io.ReadFull(rand.Reader, secret)
	return secret, err
}

// writeKEK writes a file beside path and has it put into its place.
func writeKEK(path string, secrets [][]byte, place func(temp string) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".kek-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	var text []byte
	for _, secret := range secrets {
		text = append(base64.StdEncoding.AppendEncode(text, secret), '\n')
	}
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(fileMode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name()); err != nil {
		return err
	}
	return regular.Sync(filepath.Dir(path))
}

// BeginKEKRotation puts a new key-encryption key before the one that the file holds,
// unless a rotation has begun and not ended: then that one goes on. The file always
// holds every key that something may be wrapped under. Who rotates must be the only
// one to.
func BeginKEKRotation(path string) error {
	return changeKEK(path, func(secrets [][]byte) ([][]byte, error) {
		if len(secrets) == maxKEKs {
			return secrets, nil
		}
		secret, err := newSecret()
		return append([][]byte{secret}, secrets...), err
	})
}

// EndKEKRotation takes the former key-encryption key out of the file, once nothing
// is wrapped under it any more.
func EndKEKRotation(path string) error {
	return changeKEK(path, func(secrets [][]byte) ([][]byte, error) { return secrets[:1], nil })
}

func changeKEK(path string, change func([][]byte) ([][]byte, error)) error {
	before, err := readKEK(path)
	if err == nil {
		var after [][]byte
		if after, err = change(before); err == nil && len(after) != len(before) {
			err = writeKEK(path, after, func(temp string) error { return os.Rename(temp, path) })
		}
	}
	if err != nil {
		return fmt.Errorf("rotate the key-encryption key %s: %w", path, reason(err))
	}
	return nil
}

// reason returns what is wrong without the name of the file.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
