package accounts

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onnxgate/internal/apikey"
	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

const (
	// DefaultOverlap is how long the former secret of a rotated key counts.
	DefaultOverlap = 24 * time.Hour
	maxOverlap     = 90 * 24 * time.Hour
	maxKeyModels   = 256
	// maxYear is the last that RFC 3339 can write, and so views and lists.
	maxYear = 9999
)

// NewKey is an API key to be made.
type NewKey struct {
	// Name is what people call it; several keys may have one name.
	Name string
	// Tenant is identity.DefaultTenant when empty.
	Tenant string
	Roles  []string
	// Scopes and Models narrow what the roles permit; nil narrows nothing.
	Scopes, Models []string
	// Addresses are the networks that the key may be used from; none is every
	// address.
	Addresses []netip.Prefix
	// Rate is the key's own limit, such as "100/minute"; empty is none.
	Rate string
	// Quota is the key's own, such as "calls=10000/day"; empty is none.
	Quota string
	// ExpiresAt is zero for a key that does not end.
	ExpiresAt time.Time
}

// CreateKey makes a key and returns it with its text, which is nowhere kept.
// The fault is Content for what breaks a rule.
func (s *Service) CreateKey(ctx context.Context, by Actor, add NewKey) (key *APIKey, text string, err error) {
	record, err := s.newKey(&add)
	if err == nil {
		err = by.mayAdd(record.Tenant)
	}
	if err == nil {
		err = by.mayGive(rightsOfKey(record))
	}
	if err != nil {
		return nil, "", err
	}
	record.CreatedBy = by.Name
	text, err = apikey.New(s.rand)
	if err != nil {
		return nil, "", err
	}
	if err := record.take(text); err != nil {
		return nil, "", err
	}
	err = s.update(ctx, by, audit.APIKeyCreate, record.ID, func(tx *Tx, d *deed) error {
		d.on(record.Tenant, keyChanges(&APIKey{}, record))
		if err := tenantMustExist(tx, record.Tenant); err != nil {
			return err
		}
		return tx.Keys.Insert(record)
	})
	if err != nil {
		return nil, "", err
	}
	return record.shown(), text, nil
}

// take gives the record the id and the hash of a key's text.
func (k *APIKey) take(text string) error {
	presented, err := apikey.Whole(text)
	if err != nil {
		return err
	}
	k.ID, k.Hash = presented.ID, apikey.FormatHash(presented.Hash)
	return nil
}

// shown returns the key without what must not leave the server.
func (k *APIKey) shown() *APIKey {
	public := *k
	public.Hash, public.FormerHash = "", ""
	return &public
}

// isLabel reports whether people can call a key that: 1 to 64 letters, digits,
// blanks and . _ @ : / + -, beginning with a letter or a digit.
func isLabel(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return (unicode.IsLetter(first) || unicode.IsNumber(first)) && utf8.RuneCountInString(s) <= 64 &&
		!strings.ContainsFunc(s, func(c rune) bool {
			return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !strings.ContainsRune(" ._@:/+-", c)
		})
}

func (s *Service) newKey(add *NewKey) (*APIKey, error) {
	if !isLabel(add.Name) {
		return nil, wrong("name", "the name of a key has 1 to 64 letters, digits, spaces and . _ @ : / + - and begins with a letter or a digit")
	}
	roles, err := checkRoles(add.Roles)
	if err != nil {
		return nil, err
	}
	tenant, err := tenantOrDefault(add.Tenant)
	if err != nil {
		return nil, err
	}
	addresses, err := checkAddresses(add.Addresses)
	if err != nil {
		return nil, err
	}
	now := s.timestamp()
	key := &APIKey{
		Name: add.Name, Tenant: tenant, Roles: roles, Addresses: addresses,
		ExpiresAt: add.ExpiresAt.UTC().Truncate(time.Second), CreatedAt: now,
	}
	if !add.ExpiresAt.IsZero() && !key.ExpiresAt.After(now) {
		return nil, wrong("expires", "the key would already have expired; choose a time in the future")
	}
	if key.ExpiresAt.Year() > maxYear {
		return nil, wrong("expires", "the key would end after the year %d; leave the end out for one that does not end", maxYear)
	}
	if key.Scopes, err = checkScopes(add.Scopes); err != nil {
		return nil, err
	}
	if key.Models, err = checkModels(add.Models); err != nil {
		return nil, err
	}
	if key.Quota, err = checkQuota(add.Quota); err != nil {
		return nil, err
	}
	key.Rate, err = checkRate("key", add.Rate)
	return key, err
}

// checkScopes returns the scopes without repetitions; nil stays nil.
func checkScopes(scopes []string) ([]string, error) {
	for _, scope := range scopes {
		if !authz.IsPermission(scope) {
			return nil, wrong("scopes", "there is no scope %q; the scopes are %s", scope, strings.Join(authz.Permissions(), ", "))
		}
	}
	return unique(scopes, "scope")
}

// checkModels returns the models without repetitions; nil stays nil. Whether
// they exist is not asked: a key may come before its model.
func checkModels(models []string) ([]string, error) {
	for _, model := range models {
		if !identity.IsModel(model) {
			return nil, wrong("models", "%q cannot be the name of a model", model)
		}
	}
	if len(models) > maxKeyModels {
		return nil, wrong("models", "at most %d models can be named", maxKeyModels)
	}
	return unique(models, "model")
}

// unique returns the words once each. A list without any would permit nothing,
// which nobody wants of a key.
func unique(words []string, what string) ([]string, error) {
	if words == nil {
		return nil, nil
	}
	if len(words) == 0 {
		return nil, wrong(what+"s", "name at least one %s, or leave the list out for all", what)
	}
	var once []string
	for _, w := range words {
		if !slices.Contains(once, w) {
			once = append(once, w)
		}
	}
	return once, nil
}

// Keys returns a page of the tenant's keys, in the order of their ids, without
// their hashes; AnyTenant lists those of all.
func (s *Service) Keys(ctx context.Context, tenant string, page Page) ([]APIKey, error) {
	keys, err := view(ctx, s, func(tx *Tx) ([]APIKey, error) { return tx.Keys.List(tenant, page) })
	for i := range keys {
		keys[i] = *keys[i].shown()
	}
	return keys, err
}

// Key returns one key of the tenant without its hashes. The fault is NotFound
// when there is none.
func (s *Service) Key(ctx context.Context, tenant, id string) (*APIKey, error) {
	key, err := view(ctx, s, func(tx *Tx) (*APIKey, error) { return tx.Keys.Get(tenant, id) })
	if err != nil {
		return nil, err
	}
	return key.shown(), nil
}

// RotateKey gives the key another secret and returns the key with its new text.
// The id stays, and the former secret counts until overlap is over. Faults:
// NotFound, Content for an overlap beyond 90 days, Conflict for the key of the
// configuration.
func (s *Service) RotateKey(ctx context.Context, by Actor, id string, overlap time.Duration) (key *APIKey, text string, err error) {
	if overlap < 0 || overlap > maxOverlap {
		return nil, "", wrong("overlap", "the overlap must be from 0s to 90d")
	}
	err = s.update(ctx, by, audit.APIKeyRotate, id, func(tx *Tx, d *deed) error {
		if key, err = by.key(tx, id); err != nil {
			return err
		}
		if key.Bootstrap {
			return ofConfiguration(id)
		}
		if text, err = apikey.WithID(s.rand, id); err != nil {
			return err
		}
		before := *key
		key.FormerHash, key.FormerUntil = "", time.Time{}
		if overlap > 0 {
			key.FormerHash, key.FormerUntil = key.Hash, s.now().Add(overlap).UTC().Truncate(time.Second)
		}
		if err = key.take(text); err != nil {
			return err
		}
		d.on(key.Tenant, keyChanges(&before, key))
		return tx.Keys.Replace(key)
	})
	if err != nil {
		return nil, "", err
	}
	return key.shown(), text, nil
}

func ofConfiguration(id string) error {
	return fault.Newf(fault.Conflict, "the key %s is that of ONNXGATE_BOOTSTRAP_API_KEY; change the setting and reload (SIGHUP)", id)
}

// RevokeKey ends the key at once, and for good: the one of the configuration
// stays, disabled, so that it does not come back at the next start. The fault is
// NotFound when there is no such key.
func (s *Service) RevokeKey(ctx context.Context, by Actor, id string) error {
	return s.update(ctx, by, audit.APIKeyRevoke, id, func(tx *Tx, d *deed) error {
		key, err := by.key(tx, id)
		if err != nil {
			return err
		}
		if !key.Bootstrap {
			d.on(key.Tenant, keyChanges(key, &APIKey{Disabled: key.Disabled}))
			return tx.Keys.Delete(by.Tenant, id)
		}
		if key.Disabled {
			return errNothing
		}
		before := *key
		key.Disabled = true
		d.on(key.Tenant, keyChanges(&before, key))
		return tx.Keys.Replace(key)
	})
}

// BootstrapName is the name of the configuration's key, and configuration who
// makes and ends it.
const (
	BootstrapName = "bootstrap"
	configuration = "configuration"
)

// BootstrapKey makes the key that the configuration holds, with the role, and
// removes one that it held before; an empty text removes alone. Faults: Content
// for a text that is no key or a bad role, Conflict for the id of another key.
func (s *Service) BootstrapKey(ctx context.Context, text, role string) error {
	if text == "" {
		return s.changeBootstrap(ctx, nil)
	}
	wanted, err := s.newKey(&NewKey{Name: BootstrapName, Roles: []string{role}})
	if err != nil {
		return err
	}
	if err := wanted.take(text); err != nil {
		return fault.Newf(fault.Content, "%s", err)
	}
	wanted.Bootstrap, wanted.CreatedBy = true, configuration
	return s.changeBootstrap(ctx, wanted)
}

// changeBootstrap is one transaction, so that servers that start at the same
// time agree. What it changes is on record, and nothing else.
func (s *Service) changeBootstrap(ctx context.Context, wanted *APIKey) error {
	by := Actor{Name: configuration, Tenant: AnyTenant}
	defer s.watcher.changed(ctx)
	return s.store.Update(ctx, func(tx *Tx) error {
		ids, err := tx.BootstrapKeys()
		if err != nil {
			return err
		}
		for _, id := range ids {
			if wanted != nil && wanted.ID == id {
				continue
			}
			former, err := tx.Keys.Get(AnyTenant, id)
			if err != nil {
				return err
			}
			if err := tx.Keys.Delete(AnyTenant, id); err != nil {
				return err
			}
			d := &deed{by: by, event: audit.APIKeyRevoke, object: id, tenant: former.Tenant, changes: keyChanges(former, &APIKey{Disabled: former.Disabled})}
			if err := s.onRecord(ctx, d); err != nil {
				return err
			}
		}
		if wanted == nil {
			return nil
		}
		d := &deed{by: by, event: audit.APIKeyCreate, object: wanted.ID, tenant: wanted.Tenant}
		changed, err := keepBootstrap(tx, wanted, d)
		if err != nil || !changed {
			return err
		}
		return s.onRecord(ctx, d)
	})
}

// keepBootstrap writes the wanted key unless it is there as it should be, and says
// what of it is another.
func keepBootstrap(tx *Tx, wanted *APIKey, d *deed) (changed bool, err error) {
	present, err := tx.Keys.Get(AnyTenant, wanted.ID)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		d.changes = keyChanges(&APIKey{}, wanted)
		return true, tx.Keys.Insert(wanted)
	case err != nil:
		return false, err
	case !present.Bootstrap:
		return false, fault.New(fault.Conflict, "another key has that id; take one that `onnxgate apikey generate` prints")
	case present.Hash != wanted.Hash:
		d.changes = keyChanges(present, wanted)
		return true, tx.Keys.Replace(wanted)
	case slices.Equal(present.Roles, wanted.Roles):
		return false, nil // also when it was revoked
	}
	d.changes.List(audit.PropertyRoles, present.Roles, wanted.Roles)
	present.Roles = wanted.Roles
	return true, tx.Keys.Replace(present)
}
