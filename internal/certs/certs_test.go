package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"onnxgate/internal/certs"
	"onnxgate/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that a test sets.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// pair is a certificate and key as PEM.
type pair struct{ cert, key []byte }

// issue makes a self-signed pair that is valid from an hour ago until end.
func issue(t *testing.T, key crypto.Signer, start, end time.Time) pair {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: serial.String()}, DNSNames: []string{"localhost"},
		NotBefore: start, NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func goodPair(t *testing.T) pair {
	t.Helper()
	return issue(t, ecKey(t), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

func (p pair) write(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	put(t, certFile, p.cert)
	put(t, keyFile, p.key)
	return certFile, keyFile
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newManager(t *testing.T, cfg certs.Config) *certs.Manager {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m, err := certs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestACertificateOfOurOwnNamesThisMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	m := newManager(t, certs.Config{Dir: dir, Hosts: []string{"gate.example", "192.0.2.1", "localhost", "0.0.0.0", ""}})
	leaf := m.Current().Leaf
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "gate.example", "192.0.2.1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if len(leaf.DNSNames) != 2 || len(leaf.IPAddresses) != 3 {
		t.Errorf("names %v %v, want no repetition and no unspecified address", leaf.DNSNames, leaf.IPAddresses)
	}
	if leaf.IsCA || !leaf.BasicConstraintsValid {
		t.Error("the certificate could vouch for others")
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key is %T, want ECDSA P-256", leaf.PublicKey)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "key.pem"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	again := newManager(t, certs.Config{Dir: dir})
	if again.Current().Fingerprint != m.Current().Fingerprint {
		t.Error("a second start made another certificate")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, want cert.pem and key.pem alone", entries)
	}
}

func TestFingerprintIsThatOfOpenSSL(t *testing.T) {
	openssl := testkit.Tool(t, "openssl", "openssl")
	m := newManager(t, certs.Config{Dir: t.TempDir()})
	out, err := exec.CommandContext(t.Context(), openssl, "x509", "-noout", "-fingerprint", "-sha256", "-in", m.CertFile()).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
	if got := m.Current().Fingerprint; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}

func TestOpenSSLTrustsTheCertificateByItself(t *testing.T) {
	openssl := testkit.Tool(t, "openssl", "openssl")
	m := newManager(t, certs.Config{Dir: t.TempDir()})
	for _, host := range []string{"-verify_hostname=localhost", "-verify_ip=127.0.0.1", "-verify_ip=::1"} {
		flag, value, _ := strings.Cut(host, "=")
		cmd := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslserver", flag, value, "-CAfile", m.CertFile(), m.CertFile())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", host, err, out)
		}
	}
}

func TestProcessesThatShareAFolderAgree(t *testing.T) {
	dir := t.TempDir()
	managers := make([]*certs.Manager, 16)
	var wg sync.WaitGroup
	for i := range managers {
		wg.Go(func() {
			m, err := certs.New(certs.Config{Dir: dir, Now: time.Now})
			if err != nil {
				t.Error(err)
				return
			}
			managers[i] = m
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	last := newManager(t, certs.Config{Dir: dir})
	for _, m := range managers {
		if m.Current().Fingerprint != last.Current().Fingerprint {
			t.Error("two processes hold different certificates")
		}
	}
}

func TestACertificateOfOurOwnIsRenewedBeforeItEnds(t *testing.T) {
	c := newClock()
	var changes atomic.Int64
	m := newManager(t, certs.Config{Dir: t.TempDir(), Now: c.now, Changed: func(cert *certs.Certificate, err error) {
		if err != nil || cert == nil {
			t.Errorf("changed to %v, %v", cert, err)
		}
		changes.Add(1)
	}})
	first := m.Current()
	c.advance(time.Until(first.Leaf.NotAfter) - 31*24*time.Hour)
	if err := m.Reload(); err != nil || m.Current() != first {
		t.Fatalf("renewed too early, or %v", err)
	}
	c.advance(48 * time.Hour)
	if err := m.Reload(); err != nil {
		t.Fatal(err)
	}
	second := m.Current()
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) || changes.Load() != 1 {
		t.Errorf("not renewed once: until %v, before %v, %d changes", second.Leaf.NotAfter, first.Leaf.NotAfter, changes.Load())
	}
	if key, ok := second.Leaf.PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(first.Leaf.PublicKey) {
		t.Error("the key changed with the certificate")
	}
}

func TestAFolderThatDoesNotFitTogetherIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"key of another":  func(t *testing.T, dir string) { t.Helper(); put(t, filepath.Join(dir, "key.pem"), goodPair(t).key) },
		"key is garbage":  func(t *testing.T, dir string) { t.Helper(); put(t, filepath.Join(dir, "key.pem"), []byte("x")) },
		"cert is garbage": func(t *testing.T, dir string) { t.Helper(); put(t, filepath.Join(dir, "cert.pem"), []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			newManager(t, certs.Config{Dir: dir})
			if err := certs.Check(dir); err != nil {
				t.Errorf("Check of what is good: %v", err)
			}
			spoil(t, dir)
			_, err := certs.New(certs.Config{Dir: dir, Now: time.Now})
			if err == nil || !strings.Contains(err.Error(), "remove") {
				t.Fatalf("error = %v, want one that says what to remove", err)
			}
			if checked := certs.Check(dir); checked == nil || checked.Error() != err.Error() {
				t.Errorf("Check = %v, New = %v", checked, err)
			}
		})
	}
}

func TestACrashBetweenTheTwoFilesIsMended(t *testing.T) {
	dir := t.TempDir()
	m := newManager(t, certs.Config{Dir: dir})
	if err := os.Remove(m.CertFile()); err != nil {
		t.Fatal(err)
	}
	if err := certs.Check(dir); err != nil {
		t.Errorf("Check: %v", err)
	}
	if _, err := os.Stat(m.CertFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look made the certificate: %v", err)
	}
	newManager(t, certs.Config{Dir: dir})
}

// bad is a pair that must not be used, by what is wrong with it.
func bad(t *testing.T, good pair) map[string]pair {
	t.Helper()
	now := time.Now()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]pair{
		"mismatched":    {goodPair(t).cert, good.key},
		"expired":       issue(t, ecKey(t), now.Add(-2*time.Hour), now.Add(-time.Hour)),
		"not yet valid": issue(t, ecKey(t), now.Add(time.Hour), now.Add(2*time.Hour)),
		"weak RSA":      issue(t, weak, now.Add(-time.Hour), now.Add(time.Hour)),
		"half written":  {good.cert[:len(good.cert)/2], good.key},
		"empty":         {nil, nil},
		"garbage":       {[]byte("hello"), []byte("world")},
		"huge":          {make([]byte, 2<<20), good.key},
		"encrypted key": {good.cert, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")},
	}
}

func TestABrokenPairStopsTheStart(t *testing.T) {
	for name, p := range bad(t, goodPair(t)) {
		t.Run(name, func(t *testing.T) {
			certFile, keyFile := p.write(t, t.TempDir())
			_, err := certs.New(certs.Config{CertFile: certFile, KeyFile: keyFile, Now: time.Now})
			if err == nil || !strings.Contains(err.Error(), certFile) {
				t.Errorf("error = %v, want one that names %s", err, certFile)
			}
		})
	}
}

func TestABrokenPairKeepsTheOldOne(t *testing.T) {
	good := goodPair(t)
	for name, p := range bad(t, good) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := good.write(t, dir)
			m := newManager(t, certs.Config{CertFile: certFile, KeyFile: keyFile})
			before := m.Current()
			p.write(t, dir)
			if err := m.Reload(); err == nil {
				t.Error("Reload took the pair")
			}
			if m.Current() != before || m.Err() == nil {
				t.Errorf("the old pair is gone, or it is not told: %v", m.Err())
			}
			goodPair(t).write(t, dir)
			if err := m.Reload(); err != nil || m.Current() == before || m.Err() != nil {
				t.Errorf("a good pair after it was not taken: %v", err)
			}
		})
	}
}

func TestRunReportsABrokenPairOnceAndTakesAGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := goodPair(t).write(t, dir)
		reported := make(chan error, 100)
		m := newManager(t, certs.Config{
			CertFile: certFile, KeyFile: keyFile, Poll: time.Second,
			Changed: func(_ *certs.Certificate, err error) { reported <- err },
		})
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		var reports []error // all until now
		look := func(times int) {
			time.Sleep(time.Duration(times) * time.Second)
			synctest.Wait()
			for len(reported) > 0 {
				reports = append(reports, <-reported)
			}
		}
		put(t, certFile, []byte("half a certif"))
		look(1)
		if len(reports) != 0 {
			t.Errorf("reported at first sight, while somebody may be writing: %v", reports)
		}
		look(10)
		if len(reports) != 1 || reports[0] == nil || !errors.Is(m.Err(), reports[0]) {
			t.Errorf("reports %v and %v, want one error", reports, m.Err())
		}
		goodPair(t).write(t, dir)
		look(10)
		if err := m.Err(); err != nil {
			t.Errorf("with a good pair: %v", err)
		}
		if len(reports) != 2 || reports[1] != nil {
			t.Errorf("reports %v, want one error and one success", reports)
		}
		cancel()
		synctest.Wait()
	})
}

func TestASwappedSymlinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		goodPair(t).write(t, filepath.Join(dir, name))
	}
	link := filepath.Join(dir, "current")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	m := newManager(t, certs.Config{CertFile: filepath.Join(link, "c.pem"), KeyFile: filepath.Join(link, "k.pem")})
	before := m.Current().Fingerprint
	if err := errors.Join(os.Symlink("two", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	if err := m.Reload(); err != nil || m.Current().Fingerprint == before {
		t.Errorf("still the old certificate; %v", err)
	}
}

// listen serves TLS handshakes and answers one byte each.
func listen(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.WriteString(conn, "x")
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func TestNoHandshakeFailsWhileThePairIsSwapped(t *testing.T) {
	dir := t.TempDir()
	pairs := []pair{goodPair(t), goodPair(t)}
	roots := x509.NewCertPool()
	for _, p := range pairs {
		roots.AppendCertsFromPEM(p.cert)
	}
	certFile, keyFile := pairs[0].write(t, dir)
	var swaps atomic.Int64
	m := newManager(t, certs.Config{
		CertFile: certFile, KeyFile: keyFile, Poll: 200 * time.Microsecond,
		Changed: func(_ *certs.Certificate, err error) {
			if err == nil {
				swaps.Add(1)
			}
		},
	})
	addr := listen(t, m.TLSConfig())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	wg.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			for file, data := range map[string][]byte{certFile: pairs[i%2].cert, keyFile: pairs[i%2].key} {
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Error(err)
				}
			}
		}
	})
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	for n := 0; n < 200 || swaps.Load() < 3; n++ {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Fatalf("handshake %d: %v", n, err)
		}
		_ = conn.Close()
	}
	cancel()
	wg.Wait()
}

// ownFolder returns a folder with a certificate of our own.
func ownFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	newManager(t, certs.Config{Dir: dir})
	return dir
}

func TestAKeyOfOurOwnThatOthersMayReadIsRefused(t *testing.T) {
	dir := ownFolder(t)
	key := filepath.Join(dir, "key.pem")
	for mode, want := range map[uint32]string{0o600: "", 0o660: "", 0o604: "chmod 600 " + key, 0o602: "chmod 600 " + key} {
		if err := os.Chmod(key, os.FileMode(mode)); err != nil {
			t.Fatal(err)
		}
		_, err := certs.New(certs.Config{Dir: dir, Now: time.Now})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("mode %04o: %v, want %q", mode, err, want)
		}
	}
}

func TestAFolderThatOthersMayWriteToIsRefused(t *testing.T) {
	dir := ownFolder(t)
	for mode, want := range map[uint32]string{0o700: "", 0o755: "", 0o770: "", 0o777: "chmod 700 " + dir} {
		if err := os.Chmod(dir, os.FileMode(mode)); err != nil {
			t.Fatal(err)
		}
		_, err := certs.New(certs.Config{Dir: dir, Now: time.Now})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("mode %04o: %v, want %q", mode, err, want)
		}
	}
}

func TestAPipeInThePlaceOfAFileIsRefused(t *testing.T) {
	good := goodPair(t)
	for i := range 2 {
		certFile, keyFile := good.write(t, t.TempDir())
		m := newManager(t, certs.Config{CertFile: certFile, KeyFile: keyFile})
		pipe := []string{certFile, keyFile}[i]
		if err := errors.Join(os.Remove(pipe), syscall.Mkfifo(pipe, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := m.Reload(); err == nil || !strings.Contains(err.Error(), pipe+": not a regular file") {
			t.Errorf("%s: %v, want a refusal", pipe, err)
		}
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	left, young := filepath.Join(dir, ".new-1"), filepath.Join(dir, ".new-2")
	put(t, left, []byte("key"))
	put(t, young, []byte("key"))
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}
	newManager(t, certs.Config{Dir: dir})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what another process may be writing is gone: %v", err)
	}
}

func TestWeakTLSIsRefused(t *testing.T) {
	m := newManager(t, certs.Config{Dir: t.TempDir()})
	addr := listen(t, m.TLSConfig("h2", "http/1.1"))
	roots := x509.NewCertPool()
	roots.AddCert(m.Current().Leaf)
	for name, tc := range map[string]struct {
		client *tls.Config
		works  bool
	}{
		"TLS 1.3":               {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.3, no name":      {&tls.Config{MinVersion: tls.VersionTLS13, ServerName: "127.0.0.1"}, true},
		"TLS 1.2 with AEAD":     {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}, true},
		"TLS 1.2 with CBC":      {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		"TLS 1.2 without ECDHE": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		"TLS 1.1":               {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.client.Clone()
			cfg.RootCAs = roots
			if cfg.ServerName == "" {
				cfg.ServerName = "localhost"
			}
			conn, err := (&tls.Dialer{Config: cfg, NetDialer: &net.Dialer{}}).DialContext(t.Context(), "tcp", addr)
			if (err == nil) != tc.works {
				t.Fatalf("handshake: %v, want success %v", err, tc.works)
			}
			if err == nil {
				secure, ok := conn.(*tls.Conn)
				if !ok {
					t.Fatalf("connection is a %T", conn)
				}
				if id := secure.ConnectionState().CurveID; tc.client.MinVersion == tls.VersionTLS13 && id != tls.X25519MLKEM768 {
					t.Errorf("key exchange %v, want X25519MLKEM768", id)
				}
				_ = conn.Close()
			}
		})
	}
}
