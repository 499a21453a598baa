package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/regular"
)

const (
	// ownValidity keeps below the 398 days that browsers accept.
	ownValidity = 397 * 24 * time.Hour
	// renewBefore is how long before its end a certificate of ours is renewed.
	renewBefore = 30 * 24 * time.Hour
	// backdate forgives clients whose clock is behind.
	backdate = time.Hour
	// abandoned is the age of a temporary file that nobody writes any more.
	abandoned  = time.Hour
	tempPrefix = ".new-"
)

// sweep removes what a process left behind that was killed while it wrote: it
// may hold a private key.
func (m *Manager) sweep() error {
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("certs: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), tempPrefix) {
			continue
		}
		info, err := entry.Info()
		if err == nil && m.cfg.Now().Sub(info.ModTime()) > abandoned {
			err = os.Remove(filepath.Join(m.cfg.Dir, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("certs: cannot remove what a killed process left: %w", err)
		}
	}
	return nil
}

// ensureOwn makes the key and the certificate of our own where they are
// missing, or the certificate ends soon.
//
// Processes that share the folder need no lock: the key is put in place once,
// by a link that fails when there is one already, and is kept for good; every
// certificate is made for the key that is in place. The first one is put there
// in the same way, and a later one replaces it in one step. So no two files that
// do not belong together can be left behind, by a crash neither.
func (m *Manager) ensureOwn() error {
	if cur := m.current.Load(); cur != nil && !m.endsSoon(cur.Leaf) {
		if _, err := os.Stat(m.cfg.CertFile); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(m.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("certs: cannot make the folder for the certificate: %w", err)
	}
	info, err := os.Stat(m.cfg.Dir)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	if err := regular.CheckMode(m.cfg.Dir, info.Mode(), regular.OthersWrite); err != nil {
		return fmt.Errorf("certs: %s: %w", m.cfg.Dir, err)
	}
	key, err := m.ownKey()
	if err != nil {
		return err
	}
	leaf, err := m.ownLeaf(key)
	switch {
	case err == nil && !m.endsSoon(leaf):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	certPEM, signErr := m.selfSign(key)
	if signErr != nil {
		return signErr
	}
	if err == nil { // there is one, and it ends soon
		return replace(m.cfg.CertFile, certPEM, 0o644)
	}
	if err := place(m.cfg.CertFile, certPEM, 0o644); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // another process was faster, with the same key
}

func (m *Manager) endsSoon(leaf *x509.Certificate) bool {
	return m.cfg.Now().Add(renewBefore).After(leaf.NotAfter)
}

// Check returns the error with which New refuses the key and the certificate of our own
// in a folder, and changes nothing; nil where they are not there yet.
func Check(dir string) error {
	m := newOwn(Config{Dir: dir})
	data, err := readFile(m.cfg.KeyFile)
	if err == nil {
		var key *ecdsa.PrivateKey
		if key, err = m.parseKey(data); err == nil {
			_, err = m.ownLeaf(key)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ownLeaf returns the certificate that is in place for the key.
func (m *Manager) ownLeaf(key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	data, err := readFile(m.cfg.CertFile)
	if err != nil {
		return nil, err
	}
	leaf, belongs := m.belongs(data, key)
	if !belongs {
		return nil, fmt.Errorf("certs: %s does not belong to %s; remove both, and new ones are made", m.cfg.CertFile, m.cfg.KeyFile)
	}
	return leaf, nil
}

// belongs parses a certificate and reports whether it is one for key.
func (m *Manager) belongs(certPEM []byte, key *ecdsa.PrivateKey) (*x509.Certificate, bool) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return leaf, err == nil && key.PublicKey.Equal(leaf.PublicKey)
}

// ownKey returns the key that is in place, which it makes at first.
func (m *Manager) ownKey() (*ecdsa.PrivateKey, error) {
	data, err := readFile(m.cfg.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err := m.makeKey(); err != nil {
			return nil, err
		}
		data, err = readFile(m.cfg.KeyFile) // ours, or that of a process that was faster
	}
	if err != nil {
		return nil, err
	}
	return m.parseKey(data)
}

func (m *Manager) parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("certs: %s holds no key; remove it and %s, and new ones are made", m.cfg.KeyFile, m.cfg.CertFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("certs: %s holds no ECDSA key in PKCS#8; remove it and %s, and new ones are made", m.cfg.KeyFile, m.cfg.CertFile)
	}
	return key, nil
}

func (m *Manager) makeKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	err = place(m.cfg.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// selfSign makes a certificate for a server and nothing else: it is no CA, so
// whoever trusts it trusts these names alone.
func (m *Manager) selfSign(key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	now := m.cfg.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "onnxgate"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(ownValidity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range append([]string{"localhost", "127.0.0.1", "::1"}, m.cfg.Hosts...) {
		addHost(template, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// addHost adds a name or an address that is not there yet. An unspecified
// address is where a server listens, not where it is reached.
func addHost(c *x509.Certificate, host string) {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
	case err == nil:
		for _, have := range c.IPAddresses {
			if addr, _ := netip.AddrFromSlice(have); addr.Unmap() == ip.Unmap() {
				return
			}
		}
		c.IPAddresses = append(c.IPAddresses, ip.Unmap().AsSlice())
	case !slices.Contains(c.DNSNames, host):
		c.DNSNames = append(c.DNSNames, host)
	}
}

// place writes a file that must not exist, whole or not at all.
func place(path string, data []byte, mode fs.FileMode) error {
	return viaTemp(path, data, mode, func(temp string) error {
		err := os.Link(temp, path)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return errors.Join(err, os.Remove(temp))
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fs.ErrExist, os.Remove(temp))
		}
		return os.Rename(temp, path) // a file system without links
	})
}

// replace writes a file in the place of another, whole or not at all.
func replace(path string, data []byte, mode fs.FileMode) error {
	return viaTemp(path, data, mode, func(temp string) error { return os.Rename(temp, path) })
}

func viaTemp(path string, data []byte, mode fs.FileMode, finish func(temp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	} else {
		err = finish(f.Name())
	}
	if err != nil {
		return fmt.Errorf("certs: cannot write %s: %w", path, err)
	}
	return nil
}
