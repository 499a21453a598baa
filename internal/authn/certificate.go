package authn

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// CertificateTrust judges the certificates of connections.
type CertificateTrust interface {
	// Generation moves whenever Verify may answer otherwise about a certificate
	// before the end that it returned. It is called for every request.
	Generation() uint64
	// Verify returns until when the first certificate, with the others behind
	// it, is to be trusted if nothing changes, or why it is not.
	Verify(presented []*x509.Certificate) (until time.Time, err error)
}

// CertificateClients knows the service clients by their certificates.
type CertificateClients interface {
	// Revision returns a number that moves whenever ClientByCertificate may
	// answer otherwise. The error is a fault of kind Unavailable when that is
	// not known.
	Revision(ctx context.Context) (int64, error)
	// ClientByCertificate returns the enabled client that one of the names of a
	// certificate proves, with nil Scopes when the client is not narrowed, or a
	// fault of kind NotFound, or Conflict where clients of two tenants have its names.
	ClientByCertificate(ctx context.Context, names []string) (*identity.Principal, error)
}

// CertificateConfig says which client certificates to accept.
type CertificateConfig struct {
	Trust   CertificateTrust
	Clients CertificateClients
	// Roles says what each role permits.
	Roles authz.Roles
	// CacheSize is how many certificates are remembered; zero means 4096.
	CacheSize int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Certificate proves service clients by the certificates of their connections.
// It is safe for concurrent use.
type Certificate struct {
	trust   CertificateTrust
	clients CertificateClients
	roles   authz.Roles
	now     func() time.Time
	cache   *cache[knownCertificate]
}

// knownCertificate is whom a certificate was found to prove. It does not change.
type knownCertificate struct {
	principal  *identity.Principal
	revision   int64
	generation uint64
	until      time.Time
}

// NewCertificate returns the authenticator of client certificates.
func NewCertificate(cfg CertificateConfig) (*Certificate, error) {
	if cfg.Trust == nil || cfg.Clients == nil {
		return nil, errors.New("authn: authorities and clients are needed")
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	return &Certificate{
		trust: cfg.Trust, clients: cfg.Clients, roles: cfg.Roles, now: cfg.Now, cache: newCache[knownCertificate](cfg.CacheSize),
	}, nil
}

const (
	msgCertificate = "The client certificate is valid, and no service client has it: an administrator registers it with `onnxgate client create --certificate`"
	msgShared      = "The client certificate has names of service clients of two tenants, so it proves neither: its names must belong to one tenant"
)

// Authenticate returns the service client that the connection's certificate
// proves. The certificate is the credential only when the request has no other,
// else the error is ErrNotMine. It is judged again whenever the authorities,
// their revocation lists or the accounts have changed, and once a certificate of
// its chain or a list has ended, also on a connection that was opened before.
func (a *Certificate) Authenticate(ctx context.Context, c Credentials) (*identity.Principal, error) {
	if len(c.Certificates) == 0 || c.Bearer != "" || c.APIKey != "" {
		return nil, ErrNotMine
	}
	revision, err := a.clients.Revision(ctx)
	if err != nil {
		return nil, err
	}
	leaf, generation := c.Certificates[0], a.trust.Generation()
	key := string(leaf.Raw)
	if known := a.cache.get(key); known != nil && known.revision == revision && known.generation == generation &&
		!reqctx.Now(ctx, a.now).After(known.until) {
		return known.principal, nil
	}
	until, err := a.trust.Verify(c.Certificates)
	if err != nil {
		return nil, refuse("The client certificate is no longer trusted", err)
	}
	principal, err := a.clients.ClientByCertificate(ctx, CertificateNames(leaf))
	if err != nil {
		switch fault.KindOf(err) { //nolint:exhaustive // the others are not the certificate's
		case fault.NotFound:
			return nil, refuse(msgCertificate, fmt.Errorf("names %q", CertificateNames(leaf)))
		case fault.Conflict:
			return nil, refuse(msgShared, err)
		}
		return nil, err
	}
	if principal.Scopes == nil {
		principal.Scopes = a.roles.Of(principal.Tenant, principal.Roles)
	}
	a.cache.put(key, &knownCertificate{principal: principal, revision: revision, generation: generation, until: until})
	return principal, nil
}

// CertificateNames returns the names that a certificate proves, with their
// kinds: URIs such as SPIFFE IDs first, then DNS names and e-mail addresses of
// its subject alternative name (RFC 5280 section 4.2.1.6). The common name
// proves nothing. They are as they are written there: a url.URL would write
// several URIs alike.
func CertificateNames(leaf *x509.Certificate) []string {
	var uris, hosts, addresses []string
	for _, e := range leaf.Extensions {
		var all []asn1.RawValue
		if !e.Id.Equal(alternativeName) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &all); err != nil {
			return nil // which the library would not have parsed
		}
		for _, name := range all {
			if name.Class != asn1.ClassContextSpecific || name.IsCompound {
				continue // nor does the library look at it, when it holds names against constraints
			}
			switch name.Tag {
			case tagURI:
				uris = append(uris, "uri:"+string(name.Bytes))
			case tagDNS:
				hosts = append(hosts, "dns:"+string(name.Bytes))
			case tagEmail:
				addresses = append(addresses, "email:"+string(name.Bytes))
			}
		}
	}
	return slices.Concat(uris, hosts, addresses)
}

// alternativeName is the extension that names the subject, with the tags of those of
// its names that count.
var alternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
)
