// Package certs owns the server's TLS certificate: it makes one when there is
// none, renews what it made, takes over files that change, and keeps the old
// pair when the new one is broken. It owns the TLS settings too, so that no
// listener has weaker ones.
//
// It knows files and nothing of HTTP.
package certs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/regular"
)

// Config says where the certificate comes from.
type Config struct {
	// CertFile and KeyFile are PEM files of the operator. When both are empty,
	// a self-signed certificate is made in Dir and renewed before it ends.
	CertFile, KeyFile string
	// Dir is the folder of a certificate of our own: cert.pem and key.pem.
	Dir string
	// Hosts are names and addresses for a certificate of our own, beside
	// localhost, 127.0.0.1 and ::1.
	Hosts []string
	// Poll is how often the files are looked at; zero means every second.
	Poll time.Duration
	// Now is the clock. It is required.
	Now func() time.Time
	// Changed is called after another pair was taken over, and with an error
	// after a changed one was refused. It may be nil.
	Changed func(*Certificate, error)
}

// Certificate is the pair in use.
type Certificate struct {
	// Leaf is the server's own certificate.
	Leaf *x509.Certificate
	// Fingerprint is the SHA-256 of the leaf, as OpenSSL prints it: AB:CD:….
	Fingerprint string

	pair    *tls.Certificate
	certPEM []byte
	keyPEM  []byte
}

// Manager gives out the current certificate. It is safe for concurrent use.
type Manager struct {
	cfg     Config
	own     bool
	current atomic.Pointer[Certificate]

	mu      sync.Mutex // one reload at a time
	refused [sha256.Size]byte
	pending bool // refused was seen once and not yet reported
	wrong   atomic.Pointer[error]
}

// New loads the certificate, or makes it. Its error says what to fix.
func New(cfg Config) (*Manager, error) {
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("certs: a certificate needs its key, and a key its certificate")
	}
	if cfg.Now == nil {
		return nil, errors.New("certs: no clock")
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	m := &Manager{cfg: cfg}
	if cfg.CertFile == "" {
		m = newOwn(cfg)
		if err := m.sweep(); err != nil {
			return nil, err
		}
		if err := m.ensureOwn(); err != nil {
			return nil, err
		}
	}
	cert, err := m.read()
	if err != nil {
		return nil, err
	}
	m.current.Store(cert)
	return m, nil
}

// newOwn is for a certificate of our own.
func newOwn(cfg Config) *Manager {
	cfg.CertFile, cfg.KeyFile = filepath.Join(cfg.Dir, "cert.pem"), filepath.Join(cfg.Dir, "key.pem")
	return &Manager{cfg: cfg, own: true}
}

// Current returns the certificate in use.
func (m *Manager) Current() *Certificate { return m.current.Load() }

// Err returns why the files as they are now cannot be used, so that the pair from
// before serves on; nil when they are in use.
func (m *Manager) Err() error {
	if wrong := m.wrong.Load(); wrong != nil {
		return *wrong
	}
	return nil
}

// CertFile returns the path of the certificate, which a client may trust when
// it is of our own making.
func (m *Manager) CertFile() string { return m.cfg.CertFile }

// SelfSigned reports whether the certificate is of our own making.
func (m *Manager) SelfSigned() bool { return m.own }

// TLSConfig returns the settings for a listener that speaks the given
// protocols (ALPN): TLS 1.2 and 1.3, and of TLS 1.2 only cipher suites with
// authenticated encryption and forward secrecy. Key exchange is Go's default,
// which offers X25519MLKEM768 first.
func (m *Manager) TLSConfig(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: protocols,
		Time:       m.cfg.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return m.current.Load().pair, nil
		},
	}
}

// Run looks at the files until ctx is done, and renews a certificate of our
// own before it ends.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.poll()
		}
	}
}

// Reload takes over changed files now. When they cannot be used, the pair in
// use stays and the error says why.
func (m *Manager) Reload() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = false
	_, err := m.takeOver()
	m.wrong.Store(&err)
	return err
}

// poll is one look at the files. A pair that cannot be used is reported when it
// is still the same one look later: whoever replaces two files, one after the
// other, is given the time.
func (m *Manager) poll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, err := m.takeOver()
	if err == nil {
		m.refused, m.pending = [sha256.Size]byte{}, false
		m.wrong.Store(nil)
		return
	}
	switch {
	case seen != m.refused:
		m.refused, m.pending = seen, true
	case m.pending:
		m.pending = false
		m.wrong.Store(&err)
		m.report(nil, err)
	}
}

// takeOver reads the files and uses them when they hold another pair that
// works. It returns a digest of what it refused.
func (m *Manager) takeOver() (refused [sha256.Size]byte, err error) {
	if m.own {
		if err := m.ensureOwn(); err != nil {
			return sha256.Sum256([]byte(err.Error())), err
		}
	}
	certPEM, keyPEM, err := m.readFiles()
	if err != nil {
		return sha256.Sum256([]byte(err.Error())), err
	}
	old := m.current.Load()
	if bytes.Equal(certPEM, old.certPEM) && bytes.Equal(keyPEM, old.keyPEM) {
		return refused, nil
	}
	cert, err := m.parse(certPEM, keyPEM)
	if err != nil {
		return sha256.Sum256(append(certPEM, keyPEM...)), err
	}
	m.current.Store(cert)
	m.report(cert, nil)
	return refused, nil
}

func (m *Manager) report(cert *Certificate, err error) {
	if m.cfg.Changed != nil {
		m.cfg.Changed(cert, err)
	}
}

func (m *Manager) read() (*Certificate, error) {
	certPEM, keyPEM, err := m.readFiles()
	if err != nil {
		return nil, err
	}
	return m.parse(certPEM, keyPEM)
}

func (m *Manager) readFiles() (certPEM, keyPEM []byte, err error) {
	certPEM, err = readFile(m.cfg.CertFile)
	keyPEM, info, keyErr := regular.ReadFile(m.cfg.KeyFile, maxFile)
	if keyErr == nil && m.own {
		if keyErr = regular.CheckMode(m.cfg.KeyFile, info.Mode(), regular.OthersAccess); keyErr != nil {
			keyErr = fmt.Errorf("certs: %s: %w", m.cfg.KeyFile, keyErr)
		}
	}
	if err != nil && keyErr != nil {
		err = fmt.Errorf("%w; %w", err, keyErr) // one line
	}
	return certPEM, keyPEM, cmp.Or(err, keyErr)
}

// maxFile bounds a PEM file.
const maxFile = 1 << 20

func readFile(path string) ([]byte, error) {
	data, _, err := regular.ReadFile(path, maxFile)
	return data, err
}

// parse checks a pair: it fits together, is valid now, and its key is strong
// enough.
func (m *Manager) parse(certPEM, keyPEM []byte) (*Certificate, error) {
	fail := func(format string, args ...any) (*Certificate, error) {
		return nil, fmt.Errorf("%s: %s", m.cfg.CertFile, fmt.Sprintf(format, args...))
	}
	if encrypted(keyPEM) {
		return fail("its key is encrypted; write %s without a passphrase, readable by this user alone", m.cfg.KeyFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fail("cannot be used with %s: %s", m.cfg.KeyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	now := m.cfg.Now()
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return fail("expired on %s; put a new certificate in its place", leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fail("is valid from %s on; check the clock, or use it then", leaf.NotBefore.Format(time.RFC3339))
	case weakRSA(leaf):
		return fail("has an RSA key of less than 2048 bits; use 2048 or more, or ECDSA P-256")
	}
	return &Certificate{
		Leaf: pair.Leaf, Fingerprint: fingerprint(pair.Leaf.Raw),
		pair: &pair, certPEM: certPEM, keyPEM: keyPEM,
	}, nil
}

func weakRSA(leaf *x509.Certificate) bool {
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < 2048
}

func encrypted(keyPEM []byte) bool {
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}
