package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onnxgate/internal/regular"
)

const (
	fileMode      = 0o600
	dirMode       = 0o700
	suffix        = ".pem"
	tempPrefix    = ".new-"
	lockName      = ".lock"
	pemType       = "PRIVATE KEY"
	publicPEMType = "PUBLIC KEY"
	// maxFileBytes is over twice the PEM file of the largest RSA key.
	maxFileBytes = 16 << 10
)

// key is a key with the time from which on it signs, which is that of its file.
type key struct {
	verifier *Verifier
	private  crypto.Signer // nil once it is retired
	since    time.Time
	size     int64 // of its file
	// retired says that it was ended by hand.
	retired bool
}

// newKey makes a key of the algorithm that signs from the time on. Its name, which
// follows from the key, does not begin with a hyphen as one thumbprint in 64 does:
// a command would take that for a flag.
func newKey(alg Algorithm, since time.Time) (*key, error) {
	for {
		private, err := algorithms[alg].generate()
		if err != nil {
			return nil, err
		}
		verifier, err := NewVerifier(alg, private.Public())
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(verifier.KID, "-") {
			return &key{verifier: verifier, private: private, since: since}, nil
		}
	}
}

// newest returns the key of the algorithm whose time is the last, be it to come.
// It is nil when there is none.
func newest(found []*key, alg Algorithm) *key {
	var best *key
	for _, f := range found {
		if f.verifier.Algorithm == alg && !f.retired && (best == nil || compareAge(f, best) > 0) {
			best = f
		}
	}
	return best
}

// directory is where the key files are. It is a place.
type directory string

// Check returns the error with which Open refuses the key files of a directory, and
// changes nothing; nil where there are none yet. It names the file.
func Check(dir string) error {
	_, err := directory(dir).list(nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// openDirectory makes the directory, unless it has to exist, and ends what killed
// processes have begun there.
func openDirectory(path string, existing bool) (directory, error) {
	if existing {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("key directory: %w", err)
		}
	}
	d, err := makeDirectory(path)
	if err == nil {
		err = d.sweep()
	}
	if err != nil {
		return "", fmt.Errorf("key directory %s: %w", path, err)
	}
	found, err := d.list(nil)
	if err != nil {
		return "", err
	}
	if err := d.strip(found); err != nil {
		return "", fmt.Errorf("key directory %s: remove a retired key: %w", path, err)
	}
	return d, nil
}

func makeDirectory(path string) (directory, error) {
	if path == "" {
		return "", errors.New("no path given")
	}
	if err := os.MkdirAll(path, dirMode); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if err := regular.CheckMode(path, info.Mode(), regular.OthersWrite); err != nil {
		return "", err
	}
	return directory(path), nil
}

func (d directory) load(_ context.Context, known []*key) ([]*key, error) { return d.list(known) }

// revision returns the directory's time of change, which may stay the same for a
// while although the directory does not.
func (d directory) revision(_ context.Context, now time.Time) (number int64, settled bool, err error) {
	info, err := os.Stat(string(d))
	if err != nil {
		return 0, false, fmt.Errorf("key directory: %w", err)
	}
	return info.ModTime().UnixNano(), now.Sub(info.ModTime()) > coarse, nil
}

// list reads every key file of the directory. What is known and unchanged is not
// read again, and a key stays the same in memory.
func (d directory) list(known []*key) ([]*key, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	byKID := make(map[string]*key, len(known))
	for _, f := range known {
		byKID[f.verifier.KID] = f
	}
	var found []*key
	retired := make(map[string]bool)
	for _, entry := range entries {
		if kid, ok := strings.CutSuffix(entry.Name(), retiredSuffix); ok && !entry.IsDir() {
			retired[kid] = true
		}
	}
	for _, entry := range entries {
		name := entry.Name()
		ext := filepath.Ext(name)
		if entry.IsDir() || strings.HasPrefix(name, ".") || ext != suffix && ext != retiredSuffix {
			continue
		}
		if ext == suffix && retired[strings.TrimSuffix(name, ext)] {
			continue // about to be removed
		}
		f, err := d.read(entry, byKID[strings.TrimSuffix(name, ext)])
		if errors.Is(err, fs.ErrNotExist) {
			continue // retired meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", filepath.Join(string(d), name), err)
		}
		f.retired = ext == retiredSuffix
		found = append(found, f)
	}
	return found, nil
}

// read returns the key of a file, as it was known if the file is unchanged.
func (d directory) read(entry fs.DirEntry, known *key) (*key, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	if known != nil && info.Mode().IsRegular() && known.since.Equal(info.ModTime()) && known.size == info.Size() {
		same := *known
		return &same, nil
	}
	f, err := readKey(filepath.Join(string(d), entry.Name()))
	if err == nil && known != nil {
		f.verifier = known.verifier // the name is the key's thumbprint
	}
	return f, err
}

func readKey(path string) (*key, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, err
	}
	private, public, err := parsePEM(data, filepath.Ext(path) == retiredSuffix)
	if err != nil {
		return nil, err
	}
	alg, err := algorithmOf(public)
	if err != nil {
		return nil, err
	}
	verifier, err := NewVerifier(alg, public)
	if err != nil {
		return nil, err
	}
	if base := filepath.Base(path); strings.TrimSuffix(base, filepath.Ext(base)) != verifier.KID {
		return nil, fmt.Errorf("its name does not fit its key, so it was changed or renamed; a key of this content is called %s", verifier.KID+suffix)
	}
	return &key{verifier: verifier, private: private, since: info.ModTime(), size: info.Size()}, nil
}

// readFile reads a file that is regular, small and private, and judges the
// file that it read, not the name.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	data, info, err := regular.ReadFile(path, maxFileBytes)
	_, large := errors.AsType[regular.TooLargeError](err)
	switch {
	case large || errors.Is(err, regular.ErrNotRegular):
		return nil, nil, fmt.Errorf("it is no regular file of at most %d bytes", maxFileBytes)
	case err != nil:
		return nil, nil, err
	}
	if err := regular.CheckMode(path, info.Mode(), regular.OthersAccess); err != nil {
		return nil, nil, fmt.Errorf("%w, and consider a new key", err)
	}
	return data, info, nil
}

// parsePEM returns both halves of a key, or, of one that was retired, the public
// one alone. Files that were retired before private halves were removed have both.
func parsePEM(data []byte, retired bool) (crypto.Signer, crypto.PublicKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 || block.Type != pemType && (!retired || block.Type != publicPEMType) {
		return nil, nil, fmt.Errorf("it does not hold exactly one %q block in PEM", pemType)
	}
	if block.Type == publicPEMType {
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("it is no public key (RFC 5280 section 4.1.2.7): %w", err)
		}
		return nil, public, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no PKCS#8 private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("keys of type %T do not sign", key)
	}
	return signer, signer.Public(), nil
}

func (d directory) create(_ context.Context, alg Algorithm, since time.Time, needed func([]*key) bool) (made *key, err error) {
	unlock, err := d.lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	found, err := d.list(nil)
	if err != nil || !needed(found) {
		return nil, err
	}
	k, err := newKey(alg, since)
	if err != nil {
		return nil, err
	}
	return k, d.write(k)
}

func (d directory) lock() (unlock func() error, err error) {
	return lock(filepath.Join(string(d), lockName))
}

// sweep removes what a process left behind that was killed while it wrote: it
// may hold a private key. Who writes has the lock.
func (d directory) sweep() (err error) {
	if left, err := d.left(); err != nil || len(left) == 0 {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	left, err := d.left()
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

func (d directory) left() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	var paths []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), tempPrefix) {
			paths = append(paths, filepath.Join(string(d), entry.Name()))
		}
	}
	return paths, err
}

// write stores the key so that its file is either whole or not there. The time
// of the file is when the key begins to sign.
func (d directory) write(k *key) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return err
	}
	if err := d.put(k.verifier.KID+suffix, &pem.Block{Type: pemType, Bytes: der}, k.since); err != nil {
		return err
	}
	return d.sync()
}

// put writes a file of that name and time, in place of one that is there.
func (d directory) put(name string, block *pem.Block, modified time.Time) error {
	temp, err := os.CreateTemp(string(d), tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone once it was renamed
	err = pem.Encode(temp, block)
	if err = errors.Join(err, temp.Chmod(fileMode), temp.Close(), os.Chtimes(temp.Name(), modified, modified), regular.Sync(temp.Name())); err != nil {
		return err
	}
	return os.Rename(temp.Name(), filepath.Join(string(d), name))
}

func (d directory) retire(_ context.Context, f *key) error {
	return d.locked(func() error { return d.end(f) })
}

// end leaves of a key its public half, which lists show, and removes the private
// one: nothing is signed with it any more. Who retires has the lock. A process that
// is killed in between leaves both files, and the next one that opens the directory
// ends what was begun.
func (d directory) end(f *key) error {
	der, err := x509.MarshalPKIXPublicKey(f.verifier.Public())
	if err != nil {
		return err
	}
	if err := d.put(f.verifier.KID+retiredSuffix, &pem.Block{Type: publicPEMType, Bytes: der}, f.since); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(string(d), f.verifier.KID+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}

// strip removes the private halves that retired keys still have.
func (d directory) strip(found []*key) error {
	for _, f := range found {
		_, err := os.Stat(filepath.Join(string(d), f.verifier.KID+suffix))
		if !f.retired || f.private == nil && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := d.locked(func() error { return d.end(f) }); err != nil {
			return err
		}
	}
	return nil
}

// locked runs what changes the directory while no other process does.
func (d directory) locked(change func() error) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	return errors.Join(change(), unlock())
}

// sync makes a rename in the directory durable.
func (d directory) sync() error { return regular.Sync(string(d)) }
