package authn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
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
	err        error
	asked      int
}

func (a *trust) Generation() uint64 { return a.generation }

func (a *trust) Verify([]*x509.Certificate) error {
	a.asked++
	return a.err
}

func leafOf(t *testing.T, uri string) *x509.Certificate {
	t.Helper()
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		Raw: []byte(uri), URIs: []*url.URL{parsed}, DNSNames: []string{"a.example"}, EmailAddresses: []string{"a@example.org"},
		NotAfter: start.Add(time.Hour),
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
	clients, authorities, now := &registry{state: newState(), name: "dns:a.example", scopes: []string{"models:read"}}, &trust{generation: 1}, start
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
	clients.err, now = nil, start.Add(time.Hour+time.Second)
	if err := ask(); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("ended on an open connection: %v", err)
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
