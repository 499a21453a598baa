package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/certs"
	"onnxgate/internal/testkit"
)

// gate is a TLS server that asks for client certificates.
type gate struct {
	*certs.Clients
	ca, crl string // files
	addr    string
	roots   *x509.CertPool
}

func newGate(t *testing.T, require bool, authorities ...*testkit.CA) *gate {
	t.Helper()
	dir := t.TempDir()
	g := &gate{ca: filepath.Join(dir, "ca.pem"), crl: filepath.Join(dir, "crl.pem"), roots: x509.NewCertPool()}
	testkit.WritePEM(t, g.ca, authorities...)
	var lists []byte
	for _, a := range authorities {
		lists = append(lists, a.Revoke(t, time.Now().Add(time.Hour))...)
	}
	write(t, g.crl, lists)
	var err error
	g.Clients, err = certs.NewClients(certs.ClientConfig{CAFile: g.ca, CRLFile: g.crl, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	own := testkit.NewCA(t, "the server's own")
	g.roots.AddCert(own.Cert)
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own.IssueServer(t, "127.0.0.1")}}
	g.Configure(config, require)
	g.serve(t, config)
	return g
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve says "hello" to everyone whom the handshake lets in.
func (g *gate) serve(t *testing.T, config *tls.Config) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	g.addr = l.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello") // an error is the client's to see
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
}

// enter connects with the certificates and returns why it was not let in.
func (g *gate) enter(version uint16, shown ...tls.Certificate) error {
	config := &tls.Config{RootCAs: g.roots, MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(shown) == 0 {
			return &tls.Certificate{}, nil
		}
		return &shown[0], nil // whatever the server says that it takes
	}
	conn, err := (&tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: 5 * time.Second}}).Dial("tcp", g.addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(conn)
	if err == nil && string(data) != "hello" {
		err = errors.New("no answer")
	}
	return err
}

func TestOnlyAClientOfAnAuthorityIsLetIn(t *testing.T) {
	ours, theirs := testkit.NewCA(t, "ours"), testkit.NewCA(t, "ours") // of one name
	g := newGate(t, true, ours)
	const id = "spiffe://example.org/scoring"
	good := ours.Issue(t, id)
	if err := g.enter(tls.VersionTLS13, good); err != nil {
		t.Fatalf("a client of the authority: %v", err)
	}
	self := theirs.Issue(t, id)
	for name, shown := range map[string][]tls.Certificate{
		"no certificate":               nil,
		"another authority's":          {self},
		"one that has ended":           {ours.Issue(t, id, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })},
		"one that is not yet valid":    {ours.Issue(t, id, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })},
		"a server's":                   {ours.IssueServer(t, "127.0.0.1")},
		"one for no use":               {ours.Issue(t, id, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })},
		"the authority's own, unheld":  {{Certificate: [][]byte{ours.Cert.Raw}, PrivateKey: good.PrivateKey}},
		"a good one of somebody else":  {{Certificate: good.Certificate, PrivateKey: self.PrivateKey}},
		"a self-signed one with chain": {{Certificate: [][]byte{self.Certificate[0], ours.Cert.Raw}, PrivateKey: self.PrivateKey}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if err := g.enter(version, shown...); err == nil {
				t.Errorf("%s is let in by %s", name, tls.VersionName(version))
			}
		}
	}
}

func TestACertificateMayBeLeftOutWhereItIsOnlyAskedFor(t *testing.T) {
	ours := testkit.NewCA(t, "ours")
	g := newGate(t, false, ours)
	if err := g.enter(tls.VersionTLS13); err != nil {
		t.Errorf("without a certificate: %v", err)
	}
	if err := g.enter(tls.VersionTLS13, testkit.NewCA(t, "theirs").Issue(t, "spiffe://example.org/x")); err == nil {
		t.Error("a bad certificate is let in")
	}
}

func TestAChangedFileHoldsForTheNextConnection(t *testing.T) {
	ours, next := testkit.NewCA(t, "ours"), testkit.NewCA(t, "next")
	g := newGate(t, true, ours)
	cert := ours.Issue(t, "spiffe://example.org/scoring")
	other := ours.Issue(t, "spiffe://example.org/other")
	reload := func() {
		t.Helper()
		if err := g.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	step := func(what string, shown tls.Certificate, want bool) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if err := g.enter(version, shown); (err == nil) != want {
				t.Errorf("%s, %s: %v, want in %t", what, tls.VersionName(version), err, want)
			}
		}
	}
	step("before", cert, true)
	before := g.Generation()
	write(t, g.crl, ours.Revoke(t, time.Now().Add(time.Hour), cert))
	reload()
	if g.Generation() == before {
		t.Error("a revocation does not move the generation")
	}
	step("revoked", cert, false)
	step("another, not revoked", other, true)
	testkit.WritePEM(t, g.ca, next)
	write(t, g.crl, next.Revoke(t, time.Now().Add(time.Hour)))
	reload()
	step("of the former authority", other, false)
	step("of the next", next.Issue(t, "spiffe://example.org/x"), true)
}

func TestFilesThatCannotBeUsedAreRefusedAndTheOldOnesStay(t *testing.T) {
	ours, theirs := testkit.NewCA(t, "ours"), testkit.NewCA(t, "theirs")
	cert := ours.Issue(t, "spiffe://example.org/scoring")
	leaf := &testkit.CA{Cert: cert.Leaf}
	for name, tc := range map[string]struct {
		spoil func(g *gate)
		want  string
	}{
		"no authorities":         {func(g *gate) { write(t, g.ca, nil) }, "CERTIFICATE"},
		"garbage":                {func(g *gate) { write(t, g.ca, []byte("garbage")) }, "CERTIFICATE"},
		"garbage behind":         {func(g *gate) { write(t, g.ca, append(read(t, g.ca), "garbage"...)) }, "CERTIFICATE"},
		"a client's certificate": {func(g *gate) { testkit.WritePEM(t, g.ca, leaf) }, "authority"},
		"a missing file":         {func(g *gate) { _ = os.Remove(g.ca) }, "no such file"},
		"a key": {func(g *gate) {
			write(t, g.ca, []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
		}, "PRIVATE KEY"},
		"no lists":              {func(g *gate) { write(t, g.crl, nil) }, "X509 CRL"},
		"a list of another":     {func(g *gate) { write(t, g.crl, theirs.Revoke(t, time.Now().Add(time.Hour))) }, "signed by no authority"},
		"a list that has ended": {func(g *gate) { write(t, g.crl, ours.Revoke(t, time.Now().Add(-time.Second))) }, "ended"},
		"two lists of one key": {func(g *gate) {
			write(t, g.crl, append(ours.Revoke(t, time.Now().Add(time.Hour), cert), ours.Revoke(t, time.Now().Add(2*time.Hour))...))
		}, "keep the newer"},
		"an authority in the lists": {func(g *gate) { write(t, g.crl, read(t, g.ca)) }, "X509 CRL"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, true, ours)
			tc.spoil(g)
			if err := g.Reload(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Reload = %v, want %q", err, tc.want)
			}
			if err := g.enter(tls.VersionTLS13, cert); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			_, err := certs.NewClients(certs.ClientConfig{CAFile: g.ca, CRLFile: g.crl, Now: time.Now})
			if err == nil {
				t.Error("a start with these files is no error")
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestACertificateIsRefusedOnceTheListHasEnded(t *testing.T) {
	ours := testkit.NewCA(t, "ours")
	now := time.Now()
	dir := t.TempDir()
	ca, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
	testkit.WritePEM(t, ca, ours)
	write(t, crl, ours.Revoke(t, now.Add(10*time.Minute)))
	c, err := certs.NewClients(certs.ClientConfig{CAFile: ca, CRLFile: crl, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	shown := []*x509.Certificate{ours.Issue(t, "spiffe://example.org/scoring").Leaf}
	if _, err := c.Verify(shown); err != nil {
		t.Fatal(err)
	}
	now = now.Add(11 * time.Minute)
	if _, err := c.Verify(shown); err == nil {
		t.Error("nobody knows what was revoked since, and the certificate is accepted")
	}
}

func TestVerifyReturnsTheEarliestEnd(t *testing.T) {
	root := testkit.NewCA(t, "root")
	now := time.Now().Truncate(time.Second)
	in := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	until := func(ends time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = ends }
	}
	const id = "spiffe://example.org/scoring"
	for name, tc := range map[string]struct{ leaf, between, list, want time.Time }{
		"the client's":        {in(10), in(20), in(30), in(10)},
		"an intermediate's":   {in(30), in(10), in(20), in(10)},
		"the list's":          {in(30), in(20), in(10), in(10)},
		"without a list":      {in(30), in(20), time.Time{}, in(20)},
		"the authority's own": {in(6000), in(6000), in(6000), root.Cert.NotAfter},
	} {
		t.Run(name, func(t *testing.T) {
			between := root.Intermediate(t, "between", until(tc.between))
			shown := []*x509.Certificate{between.Issue(t, id, until(tc.leaf)).Leaf, between.Cert}
			config := certs.ClientConfig{CAFile: filepath.Join(t.TempDir(), "ca.pem"), Now: func() time.Time { return now }}
			testkit.WritePEM(t, config.CAFile, root)
			if !tc.list.IsZero() {
				config.CRLFile = filepath.Join(t.TempDir(), "crl.pem")
				write(t, config.CRLFile, root.Revoke(t, tc.list))
			}
			c, err := certs.NewClients(config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Verify(shown)
			if err != nil || !got.Equal(tc.want) {
				t.Errorf("Verify = %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestNoCertificatesAreNotTrusted(t *testing.T) {
	g := newGate(t, true, testkit.NewCA(t, "ours"))
	if _, err := g.Verify(nil); err == nil {
		t.Error("nothing at all is trusted")
	}
}

// An authority that changes its key has two certificates of one name.
func TestAnAuthorityOfTwoKeysHasAListOfEach(t *testing.T) {
	former, present := testkit.NewCA(t, "ours"), testkit.NewCA(t, "ours")
	const id = "spiffe://example.org/scoring"
	revoked, good := former.Issue(t, id), former.Issue(t, id)
	same := present.Issue(t, id) // with the serial number of the revoked one
	if same.Leaf.SerialNumber.Cmp(revoked.Leaf.SerialNumber) != 0 {
		t.Fatal("the serial numbers differ")
	}
	soon := time.Now().Add(time.Hour)
	for name, tc := range map[string]struct {
		lists [][]byte
		in    []tls.Certificate
		out   []tls.Certificate
	}{
		"the former's first": {[][]byte{former.Revoke(t, soon, revoked), present.Revoke(t, soon)}, []tls.Certificate{good, same}, []tls.Certificate{revoked}},
		"the present first":  {[][]byte{present.Revoke(t, soon), former.Revoke(t, soon, revoked)}, []tls.Certificate{good, same}, []tls.Certificate{revoked}},
		"one list for both":  {[][]byte{present.Revoke(t, soon, revoked)}, []tls.Certificate{good}, []tls.Certificate{revoked}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, true, former, present)
			write(t, g.crl, slices.Concat(tc.lists...))
			if err := g.Reload(); err != nil {
				t.Fatal(err)
			}
			for _, c := range tc.in {
				if err := g.enter(tls.VersionTLS13, c); err != nil {
					t.Errorf("a certificate that is not revoked: %v", err)
				}
			}
			for _, c := range tc.out {
				if err := g.enter(tls.VersionTLS13, c); err == nil {
					t.Error("a revoked certificate is let in")
				}
			}
		})
	}
}

func TestAKeyWithoutAListIsLookedUpInAllOfItsName(t *testing.T) {
	former, present, next := testkit.NewCA(t, "ours"), testkit.NewCA(t, "ours"), testkit.NewCA(t, "ours")
	revoked := former.Issue(t, "spiffe://example.org/scoring")
	soon := time.Now().Add(time.Hour)
	for name, lists := range map[string][]byte{
		"by the one":   slices.Concat(present.Revoke(t, soon, revoked), next.Revoke(t, soon)),
		"by the other": slices.Concat(present.Revoke(t, soon), next.Revoke(t, soon, revoked)),
	} {
		g := newGate(t, true, former, present, next)
		write(t, g.crl, lists)
		if err := g.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := g.enter(tls.VersionTLS13, revoked); err == nil {
			t.Errorf("revoked %s, and let in", name)
		}
	}
}

func TestListsThatAreNotCompleteAreRefused(t *testing.T) {
	extension := func(critical bool, value string, id ...int) []pkix.Extension {
		return []pkix.Extension{{Id: id, Critical: critical, Value: []byte(value)}}
	}
	number, point := "\x02\x01\x01", "\x30\x03\x81\x01\xff"
	for name, tc := range map[string]struct {
		list, entry []pkix.Extension
		want        string // of the error; empty accepts
	}{
		"nothing more":                     {nil, nil, ""},
		"another extension":                {extension(false, number, 1, 2, 3), extension(false, number, 1, 2, 3), ""},
		"when a key was in wrong hands":    {nil, extension(true, "\x18\x0f20260101000000Z", 2, 5, 29, 24), ""},
		"a delta":                          {extension(true, number, 2, 5, 29, 27), nil, "a delta"},
		"a delta that is not critical":     {extension(false, number, 2, 5, 29, 27), nil, "a delta"},
		"of users' certificates alone":     {extension(true, point, 2, 5, 29, 28), nil, "distribution point"},
		"a critical extension":             {extension(true, number, 1, 2, 3), nil, "critical extension 1.2.3"},
		"an entry of another issuer":       {nil, extension(true, "\x30\x00", 2, 5, 29, 29), "critical extension 2.5.29.29"},
		"an entry with a critical unknown": {nil, extension(true, number, 1, 2, 3), "entry 7 has the critical extension 1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			root := testkit.NewCA(t, "root")
			dir := t.TempDir()
			ca, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
			testkit.WritePEM(t, ca, root)
			write(t, crl, root.SignList(t, &x509.RevocationList{
				Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: tc.list,
				RevokedCertificateEntries: []x509.RevocationListEntry{
					{SerialNumber: big.NewInt(7), RevocationTime: time.Now().Add(-time.Hour), ExtraExtensions: tc.entry},
				},
			}))
			_, err := certs.NewClients(certs.ClientConfig{CAFile: ca, CRLFile: crl, Now: time.Now})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
