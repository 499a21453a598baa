package keys

import (
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
	fileMode = 0o600
	dirMode  = 0o700
	// foreignAccess are the permission bits that strangers must not have. Those
	// of the group are left alone: volume managers set them for a group that
	// the server alone is in.
	foreignAccess = 0o007
	foreignWrite  = 0o002
	suffix        = ".pem"
	tempPrefix    = ".new-"
	pemType       = "PRIVATE KEY"
	publicPEMType = "PUBLIC KEY"
	// maxFileBytes is over twice the PEM file of the largest RSA key.
	maxFileBytes = 16 << 10
)

// keyFile is a key with the time of its file, from which on it signs.
type keyFile struct {
	verifier *Verifier
	private  crypto.Signer // nil once it is retired
	modified time.Time
	size     int64
	// retired says that it was ended by hand.
	retired bool
}

// newest returns the key of the algorithm whose time is the last, be it to come.
// It is nil when there is none.
func newest(found []*keyFile, alg Algorithm) *keyFile {
	var best *keyFile
	for _, f := range found {
		if f.verifier.Algorithm == alg && !f.retired && (best == nil || compareAge(f, best) > 0) {
			best = f
		}
	}
	return best
}

// directory is where the key files are.
type directory string

func openDirectory(path string) (directory, error) {
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
	if err := checkMode(info.Mode(), foreignWrite); err != nil {
		return "", fmt.Errorf("%w: run chmod 700 on it", err)
	}
	return directory(path), nil
}

// checkMode refuses permission bits among forbidden.
func checkMode(mode fs.FileMode, forbidden fs.FileMode) error {
	if mode.Perm()&forbidden != 0 {
		return fmt.Errorf("its mode %04o gives other users access", mode.Perm())
	}
	return nil
}

// load reads every key file of the directory. What is known and unchanged is not
// read again, and a key stays the same in memory.
func (d directory) load(known []*keyFile) ([]*keyFile, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	byKID := make(map[string]*keyFile, len(known))
	for _, f := range known {
		byKID[f.verifier.KID] = f
	}
	var found []*keyFile
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
func (d directory) read(entry fs.DirEntry, known *keyFile) (*keyFile, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	if known != nil && info.Mode().IsRegular() && known.modified.Equal(info.ModTime()) && known.size == info.Size() {
		same := *known
		return &same, nil
	}
	f, err := readKey(filepath.Join(string(d), entry.Name()))
	if err == nil && known != nil {
		f.verifier = known.verifier // the name is the key's thumbprint
	}
	return f, err
}

func readKey(path string) (*keyFile, error) {
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
	return &keyFile{verifier: verifier, private: private, modified: info.ModTime(), size: info.Size()}, nil
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
	if err := checkMode(info.Mode(), foreignAccess); err != nil {
		return nil, nil, fmt.Errorf("%w: run chmod 600 on it, and consider a new key", err)
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

// create makes a key of the algorithm that signs from the time on, if it still
// is needed when no other process makes one; else it returns nil.
func (d directory) create(alg Algorithm, since time.Time, needed func([]*keyFile) bool) (made *keyFile, err error) {
	unlock, err := d.lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	found, err := d.load(nil)
	if err != nil || !needed(found) {
		return nil, err
	}
	private, err := algorithms[alg].generate()
	if err != nil {
		return nil, err
	}
	return d.write(alg, private, since)
}

func (d directory) lock() (unlock func() error, err error) {
	return lock(filepath.Join(string(d), ".lock"))
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
func (d directory) write(alg Algorithm, private crypto.Signer, since time.Time) (*keyFile, error) {
	verifier, err := NewVerifier(alg, private.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	if err := d.put(verifier.KID+suffix, &pem.Block{Type: pemType, Bytes: der}, since); err != nil {
		return nil, err
	}
	return &keyFile{verifier: verifier, private: private, modified: since}, d.sync()
}

// put writes a file of that name and time, in place of one that is there.
func (d directory) put(name string, block *pem.Block, modified time.Time) error {
	temp, err := os.CreateTemp(string(d), tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone once it was renamed
	err = pem.Encode(temp, block)
	if err = errors.Join(err, temp.Chmod(fileMode), temp.Close(), os.Chtimes(temp.Name(), modified, modified), syncFile(temp.Name())); err != nil {
		return err
	}
	return os.Rename(temp.Name(), filepath.Join(string(d), name))
}

// retire leaves of a key its public half, which lists show, and removes the private
// one: nothing is signed with it any more. Who retires has the lock. A process that
// is killed in between leaves both files, and the next one that opens the directory
// ends what was begun.
func (d directory) retire(f *keyFile) error {
	der, err := x509.MarshalPKIXPublicKey(f.verifier.Public())
	if err != nil {
		return err
	}
	if err := d.put(f.verifier.KID+retiredSuffix, &pem.Block{Type: publicPEMType, Bytes: der}, f.modified); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(string(d), f.verifier.KID+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}

// strip removes the private halves that retired keys still have.
func (d directory) strip(found []*keyFile) error {
	for _, f := range found {
		_, err := os.Stat(filepath.Join(string(d), f.verifier.KID+suffix))
		if !f.retired || f.private == nil && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := d.locked(func() error { return d.retire(f) }); err != nil {
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
func (d directory) sync() error { return syncFile(string(d)) }

func syncFile(path string) error {
	f, err := os.Open(path) //nolint:gosec // the operator's own directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
