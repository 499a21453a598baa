package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ClientConfig says which client certificates are accepted.
type ClientConfig struct {
	// CAFile is a PEM file of the authorities that sign client certificates.
	CAFile string
	// CRLFile is a PEM file of revocation lists (RFC 5280 section 5) that these
	// authorities signed; it may be empty. The certificates of an authority with
	// a list are refused once the list has ended.
	CRLFile string
	// Now is the clock. It is required.
	Now func() time.Time
}

// Clients judges client certificates. It is safe for concurrent use.
type Clients struct {
	cfg     ClientConfig
	mu      sync.Mutex // one reload at a time
	current atomic.Pointer[trust]
}

// trust is what the files say. It does not change.
type trust struct {
	generation uint64
	roots      *x509.CertPool
	lists      map[string][]*list // by the issuer's name in DER; each of another key
	caPEM      []byte
	crlPEM     []byte
}

// list is the revocation list that one key of an authority signed.
type list struct {
	signer  *x509.Certificate
	ends    time.Time
	revoked map[string]bool // by serial number
}

// NewClients reads the files. Its error says what to fix.
func NewClients(cfg ClientConfig) (*Clients, error) {
	if cfg.CAFile == "" || cfg.Now == nil {
		return nil, errors.New("certs: a file of authorities and a clock are needed")
	}
	c := &Clients{cfg: cfg}
	c.current.Store(&trust{})
	return c, c.Reload()
}

// Reload takes over changed files. When they cannot be used, what was read
// before stays and the error says why.
func (c *Clients) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	caPEM, err := readFile(c.cfg.CAFile)
	if err != nil {
		return err
	}
	var crlPEM []byte
	if c.cfg.CRLFile != "" {
		if crlPEM, err = readFile(c.cfg.CRLFile); err != nil {
			return err
		}
	}
	old := c.current.Load()
	if old.generation > 0 && bytes.Equal(caPEM, old.caPEM) && bytes.Equal(crlPEM, old.crlPEM) {
		return nil
	}
	next := &trust{generation: old.generation + 1, caPEM: caPEM, crlPEM: crlPEM}
	authorities, err := next.readAuthorities(c.cfg.CAFile)
	if err != nil {
		return err
	}
	if err := next.readLists(c.cfg.CRLFile, authorities, c.cfg.Now()); err != nil {
		return err
	}
	c.current.Store(next)
	return nil
}

// readAuthorities refuses a file without authorities: an empty pool would mean
// those of the system to the library, and nobody to the operator.
func (t *trust) readAuthorities(file string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	t.roots = x509.NewCertPool()
	err := eachBlock(file, t.caPEM, "CERTIFICATE", func(der []byte) error {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if !cert.IsCA || !cert.BasicConstraintsValid {
			return fmt.Errorf("%s is no certificate of an authority", cert.Subject)
		}
		t.roots.AddCert(cert)
		all = append(all, cert)
		return nil
	})
	return all, err
}

func (t *trust) readLists(file string, authorities []*x509.Certificate, now time.Time) error {
	t.lists = map[string][]*list{}
	if file == "" {
		return nil
	}
	return eachBlock(file, t.crlPEM, "X509 CRL", func(der []byte) error {
		crl, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		if err := complete(crl); err != nil {
			return err
		}
		signer := signerOf(crl, authorities)
		if signer == nil {
			return fmt.Errorf("the list of %s is signed by no authority of the client certificates", crl.Issuer)
		}
		if !crl.NextUpdate.IsZero() && now.After(crl.NextUpdate) {
			return fmt.Errorf("the list of %s ended on %s; put the next one in its place", crl.Issuer, crl.NextUpdate.Format(time.RFC3339))
		}
		return t.add(crl, signer)
	})
}

// The extensions of revocation lists that change what a list says (RFC 5280
// section 5.2), and those that a critical mark makes no difference to.
const (
	oidKeyID   = "2.5.29.35" // which key signed
	oidNumber  = "2.5.29.20"
	oidDelta   = "2.5.29.27" // only what changed since another list
	oidPoint   = "2.5.29.28" // only a part of the certificates, or those of other issuers
	oidReason  = "2.5.29.21" // of an entry
	oidInvalid = "2.5.29.24" // of an entry: since when the key was in wrong hands
)

// complete refuses a list that is not all that its issuer revoked, or that says
// something that is not understood: what it leaves out must not count as good
// (RFC 5280 section 5.2).
func complete(crl *x509.RevocationList) error {
	for _, e := range crl.Extensions {
		switch id := e.Id.String(); {
		case id == oidDelta:
			return fmt.Errorf("the list of %s is a delta, which has only the changes since another list; put the complete list in its place", crl.Issuer)
		case id == oidPoint:
			return fmt.Errorf("the list of %s is that of one distribution point and may leave certificates out; put a list of all of them in its place", crl.Issuer)
		case e.Critical && id != oidKeyID && id != oidNumber:
			return fmt.Errorf("the list of %s has the critical extension %s, which is not understood here", crl.Issuer, id)
		}
	}
	for i := range crl.RevokedCertificateEntries {
		entry := &crl.RevokedCertificateEntries[i]
		for _, e := range entry.Extensions {
			if id := e.Id.String(); e.Critical && id != oidReason && id != oidInvalid {
				return fmt.Errorf("the list of %s: the entry %s has the critical extension %s, which is not understood here", crl.Issuer, entry.SerialNumber, id)
			}
		}
	}
	return nil
}

// add refuses a second list of one key: one of them is out of date, and what the
// newer no longer names must not be guessed.
func (t *trust) add(crl *x509.RevocationList, signer *x509.Certificate) error {
	name := string(crl.RawIssuer)
	for _, l := range t.lists[name] {
		if bytes.Equal(l.signer.RawSubjectPublicKeyInfo, signer.RawSubjectPublicKeyInfo) {
			return fmt.Errorf("two lists of %s are signed by one key; keep the newer", crl.Issuer)
		}
	}
	l := &list{signer: signer, ends: crl.NextUpdate, revoked: map[string]bool{}}
	for i := range crl.RevokedCertificateEntries {
		l.revoked[crl.RevokedCertificateEntries[i].SerialNumber.String()] = true
	}
	t.lists[name] = append(t.lists[name], l)
	return nil
}

// signerOf returns the authority that signed the list, nil when none did.
func signerOf(crl *x509.RevocationList, authorities []*x509.Certificate) *x509.Certificate {
	for _, ca := range authorities {
		if bytes.Equal(ca.RawSubject, crl.RawIssuer) && crl.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}

// eachBlock calls do for every block of a PEM file, all of which must be of the
// kind, and of which there must be one.
func eachBlock(file string, data []byte, kind string, do func(der []byte) error) error {
	n := 0
	block, rest := pem.Decode(data)
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			return fmt.Errorf("%s holds a block %q; only %q belongs there", file, block.Type, kind)
		}
		if err := do(block.Bytes); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		n++
	}
	if n == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%s is not made of blocks %q in PEM", file, kind)
	}
	return nil
}

// Configure has a listener ask for client certificates, refuse those that
// Verify does, and those who show none where that is required. A session is not resumed, so that each connection is judged by
// what the files say now.
func (c *Clients) Configure(config *tls.Config, require bool) {
	config.ClientAuth = tls.RequestClientCert
	if require {
		config.ClientAuth = tls.RequireAnyClientCert
	}
	config.SessionTicketsDisabled = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil // where one is required, the library has refused by now
		}
		_, err := c.Verify(state.PeerCertificates)
		return err
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		next := config.Clone()
		next.GetConfigForClient = nil
		next.ClientCAs = c.current.Load().roots // names them to the client, which may have several certificates
		return next, nil
	}
}

// Generation moves whenever Verify may answer otherwise about a certificate
// before the end that it returned.
func (c *Clients) Generation() uint64 { return c.current.Load().generation }

// Verify returns until when the first of the certificates is a client's, issued
// by an authority through the others, and not revoked: the earliest end of a
// certificate of the chain or of a revocation list that was looked at. The error
// says why it is not one now.
func (c *Clients) Verify(presented []*x509.Certificate) (until time.Time, err error) {
	if len(presented) == 0 {
		return time.Time{}, errors.New("certs: no certificate was presented")
	}
	t, now := c.current.Load(), c.cfg.Now()
	options := x509.VerifyOptions{
		Roots: t.roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range presented[1:] {
		options.Intermediates.AddCert(cert)
	}
	chains, err := presented[0].Verify(options)
	if err != nil {
		return time.Time{}, err
	}
	for _, chain := range chains {
		if until, err = t.notRevoked(chain, now); err == nil {
			return until, nil
		}
	}
	return time.Time{}, err
}

// notRevoked returns the earliest end of the chain and of its lists.
func (t *trust) notRevoked(chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	until = chain[0].NotAfter
	for _, cert := range chain {
		until = earlier(until, cert.NotAfter)
		for _, l := range t.listsAbout(cert) {
			switch {
			case l.revoked[cert.SerialNumber.String()]:
				return time.Time{}, fmt.Errorf("the certificate %s of %s is revoked", cert.SerialNumber, cert.Issuer)
			case l.ends.IsZero():
			case now.After(l.ends):
				return time.Time{}, fmt.Errorf("the revocation list of %s has ended", cert.Issuer)
			default:
				until = earlier(until, l.ends)
			}
		}
	}
	return until, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// listsAbout returns what to look a certificate up in. An authority that has
// changed its key under one name either has a list of each key, and the key that
// signed the certificate tells which, or one list for all (RFC 5280 section
// 6.3.3 asks for the name alone). A certificate whose key has no list is
// therefore looked up in every list of the name.
func (t *trust) listsAbout(cert *x509.Certificate) []*list {
	named := t.lists[string(cert.RawIssuer)]
	if len(named) < 2 {
		return named
	}
	for i, l := range named {
		if cert.CheckSignatureFrom(l.signer) == nil {
			return named[i : i+1]
		}
	}
	return named
}
