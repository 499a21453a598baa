package accounts

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onnxgate/internal/audit"
	"onnxgate/internal/clock"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// The grant types that a client can be allowed (RFC 6749 section 1.3).
const (
	GrantClientCredentials = "client_credentials"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
)

const (
	maxClientName = 100
	// maxSecretBytes is far above the longest secret: what is longer is not
	// hashed.
	maxSecretBytes = 256
	// refusalTime is when a client is refused, whatever was found out until
	// then: a look-up takes some microseconds longer when there is something to
	// read, and every refusal is to take as long.
	refusalTime = 10 * time.Millisecond
)

// NewClient is a service client to be added.
type NewClient struct {
	// Name is for people; several clients may have one name.
	Name  string
	Roles []string
	// Scopes narrow what the roles permit; nil narrows nothing.
	Scopes []string
	// Grants are the grant types that it may use; none is client_credentials.
	Grants []string
	// Tenant is identity.DefaultTenant when empty.
	Tenant string
	// Certificate is the name in a client certificate that proves the client:
	// uri:, dns: or email: and the name; empty when none does.
	Certificate string
}

// AddClient adds a client and returns it with its secret, which is not kept.
// The fault is Content for what breaks a rule.
func (s *Service) AddClient(ctx context.Context, by Actor, add NewClient) (*Client, string, error) {
	client, err := s.newClient(&add)
	if err == nil {
		err = by.mayAdd(client.Tenant)
	}
	if err == nil {
		err = by.mayGive(rightsOfClient(client))
	}
	if err != nil {
		return nil, "", err
	}
	secret, err := s.randomText(secretChars)
	if err != nil {
		return nil, "", err
	}
	client.SecretHash, client.CreatedBy = hashOf(secret), by.Name
	err = s.update(ctx, by, audit.ClientCreate, client.ID, func(tx *Tx, d *deed) error {
		d.on(client.Tenant, clientChanges(&Client{}, client))
		if err := tenantMustExist(tx, client.Tenant); err != nil {
			return err
		}
		if err := certificateMustBeFree(tx, client.Certificate); err != nil {
			return err
		}
		return tx.Clients.Insert(client)
	})
	if err != nil {
		return nil, "", err
	}
	return client.shown(), secret, nil
}

func (s *Service) newClient(add *NewClient) (*Client, error) {
	if err := checkLabel(add.Name); err != nil {
		return nil, err
	}
	roles, err := checkRoles(add.Roles)
	if err != nil {
		return nil, err
	}
	scopes, err := checkScopes(add.Scopes)
	if err != nil {
		return nil, err
	}
	if len(add.Grants) == 0 {
		add.Grants = []string{GrantClientCredentials}
	}
	for _, g := range add.Grants {
		if g != GrantClientCredentials && g != GrantPassword && g != GrantRefreshToken {
			return nil, wrong("grants", "%q is not a grant type; choose %s, %s or %s", g, GrantClientCredentials, GrantPassword, GrantRefreshToken)
		}
	}
	if err := checkCertificate(add.Certificate); err != nil {
		return nil, err
	}
	tenant, err := tenantOrDefault(add.Tenant)
	if err != nil {
		return nil, err
	}
	id, err := s.randomText(idChars)
	if err != nil {
		return nil, err
	}
	stamp, err := s.newStamp()
	now := s.timestamp()
	return &Client{
		ID: ClientPrefix + id, Name: add.Name, Tenant: tenant, Roles: roles,
		Scopes: scopes, Grants: slices.Compact(slices.Sorted(slices.Values(add.Grants))), Certificate: add.Certificate, Stamp: stamp,
		CreatedAt: now, UpdatedAt: now,
	}, err
}

// checkLabel refuses a name that cannot be shown on one line.
func checkLabel(name string) error {
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxClientName ||
		strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return wrong("name", "a name has 1 to %d printable characters, with no space at either end", maxClientName)
	}
	return nil
}

// shown returns the client without what must not leave the server.
func (c *Client) shown() *Client {
	public := *c
	public.SecretHash, public.FormerHash, public.Stamp = "", "", ""
	return &public
}

// Clients returns a page of the tenant's clients, in the order of their ids;
// AnyTenant lists those of all.
func (s *Service) Clients(ctx context.Context, tenant string, page Page) ([]Client, error) {
	all, err := view(ctx, s, func(tx *Tx) ([]Client, error) { return tx.Clients.List(tenant, page) })
	for i := range all {
		all[i] = *all[i].shown()
	}
	return all, err
}

// Client returns one client of the tenant. The fault is NotFound when there is
// none.
func (s *Service) Client(ctx context.Context, tenant, id string) (*Client, error) {
	client, err := view(ctx, s, func(tx *Tx) (*Client, error) { return tx.Clients.Get(tenant, id) })
	if err != nil {
		return nil, err
	}
	return client.shown(), nil
}

// RotateClient gives the client a new secret and returns it. The one before
// counts for overlap longer. Tokens stay valid: it is the same client.
func (s *Service) RotateClient(ctx context.Context, by Actor, id string, overlap time.Duration) (*Client, string, error) {
	if overlap < 0 || overlap > maxOverlap {
		return nil, "", wrong("overlap", "the old secret can stay valid for 0s to 90d")
	}
	secret, err := s.randomText(secretChars)
	if err != nil {
		return nil, "", err
	}
	var rotated *Client
	err = s.modifyClient(ctx, by, audit.ClientRotate, id, func(c *Client) {
		c.FormerHash, c.FormerUntil = "", time.Time{}
		if overlap > 0 {
			c.FormerHash, c.FormerUntil = c.SecretHash, s.now().Add(overlap).UTC()
		}
		c.SecretHash, rotated = hashOf(secret), c
	})
	if err != nil {
		return nil, "", err
	}
	return rotated.shown(), secret, nil
}

// DisableClient keeps the client from getting tokens. Those made before are
// void.
func (s *Service) DisableClient(ctx context.Context, by Actor, id string) error {
	return s.restampClient(ctx, by, audit.ClientDisable, id, func(c *Client) { c.Disabled = true })
}

// EnableClient lets a disabled client get tokens again. Those made before stay
// void.
func (s *Service) EnableClient(ctx context.Context, by Actor, id string) error {
	return s.restampClient(ctx, by, audit.ClientEnable, id, func(c *Client) { c.Disabled = false })
}

// DeleteClient removes the client. Its tokens are void.
func (s *Service) DeleteClient(ctx context.Context, by Actor, id string) error {
	return s.update(ctx, by, audit.ClientDelete, id, func(tx *Tx, d *deed) error {
		client, err := by.client(tx, id)
		if err != nil {
			return err
		}
		d.on(client.Tenant, clientChanges(client, &Client{Disabled: client.Disabled}))
		return tx.Clients.Delete(by.Tenant, id)
	})
}

func (s *Service) restampClient(ctx context.Context, by Actor, event audit.Event, id string, change func(*Client)) error {
	stamp, err := s.newStamp()
	if err != nil {
		return err
	}
	return s.modifyClient(ctx, by, event, id, func(c *Client) {
		c.Stamp = stamp
		change(c)
	})
}

func (s *Service) modifyClient(ctx context.Context, by Actor, event audit.Event, id string, change func(*Client)) error {
	return s.update(ctx, by, event, id, func(tx *Tx, d *deed) error {
		client, err := by.client(tx, id)
		if err != nil {
			return err
		}
		before := *client
		change(client)
		d.on(client.Tenant, clientChanges(&before, client))
		if err := by.mayGive(rightsOfClient(client)); err != nil {
			return err
		}
		if client.Certificate != before.Certificate {
			if err := certificateMustBeFree(tx, client.Certificate); err != nil {
				return err
			}
		}
		client.UpdatedAt = s.timestamp()
		return tx.Clients.Replace(client)
	})
}

// VerifyClient returns the client of that id and secret. An unknown id, a wrong
// secret and a disabled client give the same fault of kind Unauthenticated
// after the same time.
func (s *Service) VerifyClient(ctx context.Context, id, secret string) (*identity.Client, error) {
	late := clock.In(refusalTime)
	client, err := s.verifyClient(ctx, id, secret)
	if fault.KindOf(err) != fault.Unauthenticated {
		return client, err
	}
	if ended := late.Wait(ctx); ended != nil {
		return nil, fault.OfContext(ended)
	}
	return nil, err
}

func (s *Service) verifyClient(ctx context.Context, id, secret string) (*identity.Client, error) {
	if len(secret) > maxSecretBytes || len(id) > maxSecretBytes {
		return nil, errNoClient(errors.New("the id or the secret is longer than any can be"))
	}
	found, err := view(ctx, s, func(tx *Tx) (*inTenant[Client], error) { return withTenant(tx, tx.Clients, id) })
	known := err == nil
	if !known {
		if err := ignoreNotFound(err); err != nil {
			return nil, err
		}
		found = &inTenant[Client]{record: &Client{SecretHash: hashOf(id)}}
	}
	client := found.record
	presented := []byte(hashOf(secret))
	same := subtle.ConstantTimeCompare(presented, []byte(client.SecretHash))
	former := subtle.ConstantTimeCompare(presented, []byte(client.FormerHash))
	if !s.now().Before(client.FormerUntil) {
		former = 0
	}
	switch {
	case !known:
		return nil, errNoClient(errors.New("no such client"))
	case same|former == 0:
		return nil, errNoClient(client.names(errors.New("wrong secret")))
	case client.Disabled:
		return nil, errNoClient(client.names(errDisabledClient))
	}
	if err := admit(ctx, found.tenant); err != nil {
		return nil, client.names(err)
	}
	return client.identity(), nil
}

// ProvenClient returns the enabled client of that id, which its certificate has
// proven. The fault is Unauthenticated when there is none.
func (s *Service) ProvenClient(ctx context.Context, id string) (*identity.Client, error) {
	found, err := view(ctx, s, func(tx *Tx) (*inTenant[Client], error) { return withTenant(tx, tx.Clients, id) })
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return nil, errNoClient(errors.New("no such client"))
	case err != nil:
		return nil, err
	case found.record.Disabled:
		return nil, errNoClient(found.record.names(errDisabledClient))
	}
	return found.record.identity(), nil
}

var errDisabledClient = errors.New("the client or its tenant is disabled")

// names says for the record which client was refused.
func (c *Client) names(reason error) *audit.DenialError {
	return &audit.DenialError{Actor: c.ID, Tenant: c.Tenant, Method: "client_secret", Err: reason}
}

func (c *Client) identity() *identity.Client {
	return &identity.Client{
		Principal: &identity.Principal{Subject: c.ID, Tenant: c.Tenant, Roles: c.Roles, Scopes: c.Scopes},
		Stamp:     c.Stamp, Grants: c.Grants,
	}
}

// errNoClient is the one answer to every client that is refused.
func errNoClient(reason error) error {
	return fault.Wrap(fault.Unauthenticated, "The client is unknown, disabled, or its secret is wrong", reason)
}
