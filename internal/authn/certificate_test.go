package authn_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// registry knows one client by one name.
type registry struct {
	*state
	name   string
	scopes []string
	asked  int
	err    error
}

func (r *registry) ClientByCertificate(_ context.Context, names []string) (*identity.Principal, error) {
	r.asked++
	if slices.Contains(names, r.name) {
		return &identity.Principal{Subject: "ogc_a", Tenant: "default", Roles: []string{"user"}, Scopes: r.scopes, Method: identity.Certificate}, r.err
	}
	return nil, fault.New(fault.NotFound, "nobody")
}

// trust is what the authorities say.
type trust struct {
	generation uint64
	until      time.Time
	err        error
	asked      int
}

func (a *trust) Generation() uint64 { return a.generation }

func (a *trust) Verify([]*x509.Certificate) (time.Time, error) {
	a.asked++
	return a.until, a.err
}

func leafOf(t *testing.T, uri string) *x509.Certificate {
	t.Helper()
	names, err := asn1.Marshal([]asn1.RawValue{ // RFC 5280 section 4.2.1.6
		{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("a@example.org")},
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("a.example")},
		{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)},
		{Class: asn1.ClassUniversal, Tag: 6, Bytes: []byte("urn:other")}, // which are no names
		{Class: asn1.ClassContextSpecific, Tag: 6, IsCompound: true, Bytes: []byte("urn:other")},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestTheNamesOfACertificateAreThoseWrittenThere(t *testing.T) {
	for _, uri := range []string{
		"spiffe://example.org/a", "SPIFFE://example.org/a", "spiffe://example.org/a#", "spiffe://example.org/a b", `spiffe://example.org/"`,
	} {
		if names := authn.CertificateNames(leafOf(t, uri)); !slices.Contains(names, "uri:"+uri) || len(names) != 3 {
			t.Errorf("%q has the names %q", uri, names)
		}
	}
}

func TestACertificateProvesTheClientThatHasItsName(t *testing.T) {
	leaf := leafOf(t, "spiffe://example.org/a")
	names := []string{"uri:spiffe://example.org/a", "dns:a.example", "email:a@example.org"}
	if diff := cmp.Diff(names, authn.CertificateNames(leaf)); diff != "" {
		t.Error(diff)
	}
	for _, name := range append(slices.Clone(names), "uri:spiffe://example.org/b", "dns:spiffe://example.org/a", "a.example", "") {
		clients, now := &registry{state: newState(), name: name}, start
		a := newCertificate(t, &trust{}, clients, &now)
		p, err := a.Authenticate(t.Context(), authn.Credentials{Certificates: []*x509.Certificate{leaf}})
		if is := slices.Contains(names, name); is != (err == nil) {
			t.Errorf("a client %q: %v", name, err)
		}
		if err == nil && !cmp.Equal(p.Scopes, []string{"models:read", "models:predict"}) {
			t.Errorf("scopes %q, want those of the roles", p.Scopes)
		}
	}
}

func TestACertificateOfTwoTenantsIsRefused(t *testing.T) {
	leaf, now := leafOf(t, "spiffe://example.org/a"), start
	a := newCertificate(t, &trust{}, &registry{state: newState(), name: "dns:a.example", err: fault.New(fault.Conflict, "two tenants")}, &now)
	_, err := a.Authenticate(t.Context(), authn.Credentials{Certificates: []*x509.Certificate{leaf}})
	if fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(fault.As(err).Msg, "two tenants, so it proves neither") {
		t.Errorf("%v", err)
	}
}

func newCertificate(t *testing.T, authorities *trust, clients *registry, now *time.Time) *authn.Certificate {
	t.Helper()
	a, err := authn.NewCertificate(authn.CertificateConfig{Trust: authorities, Clients: clients, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestACertificateIsJudgedAgainWhenSomethingChanged(t *testing.T) {
	leaf := leafOf(t, "spiffe://example.org/a")
	clients, authorities, now := &registry{state: newState(), name: "dns:a.example", scopes: []string{"models:read"}}, &trust{generation: 1, until: start.Add(time.Hour)}, start
	a := newCertificate(t, authorities, clients, &now)
	ask := func() error {
		p, err := a.Authenticate(t.Context(), authn.Credentials{Certificates: []*x509.Certificate{leaf}})
		if err == nil && !cmp.Equal(p.Scopes, []string{"models:read"}) {
			t.Errorf("scopes %q, want the client's", p.Scopes)
		}
		return err
	}
	for range 10 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if clients.asked != 1 || authorities.asked != 1 {
		t.Errorf("asked %d and %d times without a change", clients.asked, authorities.asked)
	}
	authorities.generation, authorities.err = 2, errors.New("revoked")
	if err := ask(); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("revoked: %v", err)
	}
	authorities.generation, authorities.err = 3, nil
	clients.name = "dns:b.example"
	clients.changed()
	if err := ask(); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a client of another name: %v", err)
	}
	clients.name, clients.err = "dns:a.example", fault.New(fault.Unavailable, "later")
	if err := ask(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a store out of reach: %v", err)
	}
}

// What ends first need not be the certificate itself.
func TestACertificateIsJudgedAgainOnceWhatItWasJudgedByHasEnded(t *testing.T) {
	leaf := leafOf(t, "spiffe://example.org/a")
	authorities, now := &trust{until: start.Add(time.Hour)}, start
	a := newCertificate(t, authorities, &registry{state: newState(), name: "dns:a.example"}, &now)
	for _, step := range []struct {
		at      time.Duration
		asked   int
		err     error
		until   time.Duration // what the authorities say from now on
		refused bool
	}{
		{at: 0, asked: 1, until: time.Hour},
		{at: time.Hour, asked: 1, err: errors.New("the list has ended"), until: time.Hour},
		{at: time.Hour + time.Second, asked: 2, err: errors.New("the list has ended"), refused: true},
		{at: time.Hour + 2*time.Second, asked: 3, until: 2 * time.Hour},
		{at: 2 * time.Hour, asked: 3},
	} {
		now = start.Add(step.at)
		authorities.err, authorities.until = step.err, start.Add(step.until)
		_, err := a.Authenticate(t.Context(), authn.Credentials{Certificates: []*x509.Certificate{leaf}})
		if step.refused != (err != nil && fault.KindOf(err) == fault.Unauthenticated) {
			t.Errorf("after %s: %v, want refused %t", step.at, err, step.refused)
		}
		if authorities.asked != step.asked {
			t.Errorf("after %s: asked %d times, want %d", step.at, authorities.asked, step.asked)
		}
	}
}

func TestACertificateIsNoCredentialBesideAnother(t *testing.T) {
	now := start
	a := newCertificate(t, &trust{}, &registry{state: newState(), name: "dns:a.example"}, &now)
	for name, c := range map[string]authn.Credentials{
		"nothing": {}, "a key": {APIKey: "x", Certificates: []*x509.Certificate{leafOf(t, "spiffe://example.org/a")}}, "a token": {Bearer: "x", Certificates: []*x509.Certificate{leafOf(t, "spiffe://example.org/a")}},
	} {
		if _, err := a.Authenticate(t.Context(), c); !errors.Is(err, authn.ErrNotMine) {
			t.Errorf("%s: %v, want that another judges", name, err)
		}
	}
}
