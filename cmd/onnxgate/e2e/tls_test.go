package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

func handshake(t *testing.T, s *server, change func(*tls.Config)) (tls.ConnectionState, error) {
	t.Helper()
	config, err := s.tlsConfig()
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: rawTimeout}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		t.Fatalf("dialled a %T", conn)
	}
	return secure.ConnectionState(), nil
}

// TestHandshakeTakesForwardSecrecyOnly offers each suite and version alone.
func TestHandshakeTakesForwardSecrecyOnly(t *testing.T) {
	t.Parallel()
	s := begin(t)
	state, err := handshake(t, s, func(*tls.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("a modern client gets %s with %s", tls.VersionName(state.Version), state.CurveID)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := handshake(t, s, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }); err == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if strings.HasPrefix(suite.Name, "TLS_AES") || strings.HasPrefix(suite.Name, "TLS_CHACHA") {
			continue // of TLS 1.3, where none is weak and none can be chosen
		}
		want := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA") &&
			(strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))
		_, err := handshake(t, s, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
		})
		if got := err == nil; got != want {
			t.Errorf("%s: agreed is %t (%v), want %t", suite.Name, got, err, want)
		}
	}
	// A client that sends no name, as one that dials an address does.
	if _, err := handshake(t, s, func(c *tls.Config) { c.ServerName = "127.0.0.1" }); err != nil {
		t.Error(err)
	}
}

// writePair writes a new self-signed pair for localhost to cert.pem and key.pem
// of dir, one after the other as a careless operator does, and returns its
// serial number.
func writePair(t *testing.T, dir string) *big.Int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serial
}

// servedSerial is the serial number of the certificate that is served.
func servedSerial(t *testing.T, s *server) *big.Int {
	t.Helper()
	var serial *big.Int
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: rawTimeout}, Config: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			serial = state.PeerCertificates[0].SerialNumber
			return nil
		},
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	return serial
}

// TestChangedCertificateIsServed replaces the files of the certificate under the
// running server; a broken pair keeps the old one.
func TestChangedCertificateIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := writePair(t, dir)
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.ca = filepath.Join(dir, "cert.pem")
	settings := append([]string{"ONNXGATE_TLS_CERT_FILE=" + s.ca, "ONNXGATE_TLS_KEY_FILE=" + filepath.Join(dir, "key.pem")}, ratesOff...)
	if err := s.start(t.Context(), settings...); err != nil {
		t.Fatal(err)
	}
	if got := servedSerial(t, s); got.Cmp(first) != 0 {
		t.Errorf("the server shows %s, not the certificate of the file, %s", got, first)
	}

	second := writePair(t, dir)
	testkit.Eventually(t, "the changed certificate is served", func() bool { return servedSerial(t, s).Cmp(second) == 0 })

	// A key that does not fit, and a file cut short. The reload is asked for, so
	// that its failure is known to have happened when the log tells of it.
	for _, name := range []string{"key.pem", "cert.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("-----BEGIN"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(s.log.String())
		s.hangup(t)
		s.awaitLog(t, before, `"level":"ERROR"`)
		if got := servedSerial(t, s); got.Cmp(second) != 0 {
			t.Errorf("with a broken %s the server shows %s, not the pair from before", name, got)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
