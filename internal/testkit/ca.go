package testkit

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
	"net/url"
	"os"
	"testing"
	"time"
)

// CA is an authority that signs certificates for a test.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made time.Time
	next int64
}

// NewCA makes an authority that is valid for a day around now.
func NewCA(tb testing.TB, name string) *CA {
	tb.Helper()
	ca := &CA{key: newKey(tb), made: time.Now(), next: 2} //nolint:forbidigo // real handshakes judge by the real time
	template := authority(name, ca.made)
	ca.Cert = ca.sign(tb, template, template, &ca.key.PublicKey)
	return ca
}

// Intermediate returns an authority whose certificate this one has signed, which
// change may make another.
func (ca *CA) Intermediate(tb testing.TB, name string, change ...func(*x509.Certificate)) *CA {
	tb.Helper()
	template := authority(name, ca.made)
	template.SerialNumber = big.NewInt(ca.next)
	ca.next++
	for _, c := range change {
		c(template)
	}
	next := &CA{key: newKey(tb), made: ca.made, next: 2}
	next.Cert = ca.sign(tb, template, ca.Cert, &next.key.PublicKey)
	return next
}

func authority(name string, made time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: made.Add(-24 * time.Hour), NotAfter: made.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func (ca *CA) sign(tb testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ca.key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// Issue returns a client's certificate for the URI, which change may make
// another.
func (ca *CA) Issue(tb testing.TB, uri string, change ...func(*x509.Certificate)) tls.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.next), Subject: pkix.Name{CommonName: "admin"},
		NotBefore: ca.made.Add(-time.Hour), NotAfter: ca.made.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	ca.next++
	if uri != "" {
		parsed, err := url.Parse(uri)
		if err != nil {
			tb.Fatal(err)
		}
		template.URIs = []*url.URL{parsed}
	}
	for _, c := range change {
		c(template)
	}
	key := newKey(tb)
	leaf := ca.sign(tb, template, ca.Cert, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// IssueServer returns a server's certificate for the address.
func (ca *CA) IssueServer(tb testing.TB, address string) tls.Certificate {
	tb.Helper()
	return ca.Issue(tb, "", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IPAddresses = []net.IP{net.ParseIP(address)}
	})
}

// Revoke returns the authority's revocation list of the certificates, which
// holds until ends.
func (ca *CA) Revoke(tb testing.TB, ends time.Time, certs ...tls.Certificate) []byte {
	tb.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: ends.Add(-24 * time.Hour), NextUpdate: ends}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: ends.Add(-24 * time.Hour)})
	}
	return ca.SignList(tb, list)
}

// SignList returns the list in PEM, signed by the authority.
func (ca *CA) SignList(tb testing.TB, list *x509.RevocationList) []byte {
	tb.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// WritePEM writes the certificates of the authorities to a file.
func WritePEM(tb testing.TB, path string, all ...*CA) {
	tb.Helper()
	var data []byte
	for _, ca := range all {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})...)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}
