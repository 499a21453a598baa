package sealing

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
)

// kidBytes is the length of a key's id: random, since one that is derived from a
// symmetric key lets anyone check a guess (RFC 7638 section 7).
const kidBytes = 12

// records returns the keys of a tenant, or of AnyTenant: by tenant, the active
// one first, then the newest.
func (s *Service) records(ctx context.Context, tenant string) (found []Record, err error) {
	err = s.store.View(ctx, func(keys Keys) error {
		found, err = keys.List(tenant)
		return err
	})
	slices.SortFunc(found, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), a.State.order()-b.State.order(), b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.KID, b.KID))
	})
	return found, err
}

// List returns the keys of a tenant, or of AnyTenant: by tenant, the active one
// first, then the newest.
func (s *Service) List(ctx context.Context, tenant string) ([]Key, error) {
	records, err := s.records(ctx, tenant)
	keys := make([]Key, len(records))
	for i := range records {
		keys[i] = records[i].Key
	}
	return keys, err
}

// Rotate gives a tenant another active key; what the former ones sealed still
// opens. AnyTenant is every tenant that has a key, and the default one when none
// has. It returns the new keys. Actor is who asks, for the record.
func (s *Service) Rotate(ctx context.Context, actor, tenant string) (made []Key, err error) {
	err = s.store.Update(ctx, func(keys Keys) error {
		tenants, err := tenantsOf(keys, tenant)
		if err != nil {
			return err
		}
		kek, err := s.wrapping(keys.Wrapped())
		if err != nil {
			return err
		}
		made = make([]Key, len(tenants))
		for i, t := range tenants {
			if made[i], err = s.rotate(ctx, keys, kek, command(actor), t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// tenantsOf returns those that are meant.
func tenantsOf(keys Keys, tenant string) ([]string, error) {
	if tenant != AnyTenant {
		return []string{tenant}, nil
	}
	records, err := keys.List(AnyTenant)
	if err != nil || len(records) == 0 {
		return []string{identity.DefaultTenant}, err
	}
	var all []string
	for i := range records {
		all = append(all, records[i].Tenant)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (s *Service) rotate(ctx context.Context, keys Keys, kek *seal.KEK, by *identity.Principal, tenant string) (Key, error) {
	records, err := keys.List(tenant)
	if err != nil {
		return Key{}, err
	}
	for i := range records {
		if records[i].State != Active {
			continue
		}
		records[i].State = Former
		if err := keys.Replace(&records[i]); err != nil {
			return Key{}, err
		}
	}
	return s.insert(ctx, keys, kek, audit.KeyRotate, by, tenant)
}

// begin makes the first key of the caller's tenant, unless another process has
// just done so.
func (s *Service) begin(ctx context.Context, p *identity.Principal) (*ring, error) {
	tenant := p.Tenant
	err := s.store.Update(ctx, func(keys Keys) error {
		records, err := keys.List(tenant)
		if err != nil || slices.ContainsFunc(records, func(r Record) bool { return r.State == Active }) {
			return err
		}
		kek, err := s.wrapping(keys.Wrapped())
		if err == nil {
			_, err = s.insert(ctx, keys, kek, audit.KeyCreate, p, tenant)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r, err := s.ring(ctx, tenant, true)
	if err == nil && r.active == nil {
		err = fmt.Errorf("the key that was just made for the tenant %s is gone", tenant)
	}
	return r, err
}

// insert adds a new active key. It is on record who had it made, or it is not.
func (s *Service) insert(ctx context.Context, keys Keys, kek *seal.KEK, event audit.Event, by *identity.Principal, tenant string) (Key, error) {
	kid := make([]byte, kidBytes)
	if _, err := io.ReadFull(s.rand, kid); err != nil {
		return Key{}, err
	}
	secret, _, err := s.newSecret()
	if err != nil {
		return Key{}, err
	}
	record := &Record{Key: Key{
		KID: hex.EncodeToString(kid), Tenant: tenant, State: Active, CreatedAt: s.now().UTC().Truncate(time.Second),
	}}
	record.Wrapped = kek.Wrap(Binding(&record.Key), secret)
	if err := keys.Insert(record); err != nil {
		return Key{}, err
	}
	return record.Key, s.changed(ctx, event, by, "", &record.Key)
}

// command is who runs a command, which is of the default tenant.
func command(actor string) *identity.Principal {
	return &identity.Principal{Subject: actor, Tenant: identity.DefaultTenant}
}

// changed puts on record what became of a key that was in a state before.
func (s *Service) changed(ctx context.Context, event audit.Event, by *identity.Principal, before State, k *Key) error {
	rec := &audit.Record{Event: event, Object: k.KID, Decision: audit.Allow, Outcome: audit.OK}
	rec.By(by)
	rec.In(k.Tenant)
	rec.Changes.Text(audit.PropertyState, string(before), string(k.State))
	return s.audit.Record(ctx, rec)
}

// newSecret makes the bytes of a key, and the key of them.
func (s *Service) newSecret() ([]byte, *seal.FernetKey, error) {
	secret := make([]byte, seal.KeySize)
	if _, err := io.ReadFull(s.rand, secret); err != nil {
		return nil, nil, err
	}
	key, err := seal.NewFernetKey(secret)
	return secret, key, err
}

// Binding is what the bytes of a key are bound to.
func Binding(k *Key) seal.Binding { return seal.Binding{Use: Use, Tenant: k.Tenant, KID: k.KID} }

func unwrap(kek *seal.KEK, r *Record) (*seal.FernetKey, error) {
	secret, err := kek.Unwrap(Binding(&r.Key), r.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("the key %s of the tenant %s: %w", r.KID, r.Tenant, err)
	}
	return seal.NewFernetKey(secret)
}

// Retire ends a former key: what it sealed never opens again, and its bytes are
// gone. Faults: NotFound; Conflict for the key that seals, and for one that was
// retired before. Actor is who asks, for the record.
func (s *Service) Retire(ctx context.Context, actor, kid string) (Key, error) {
	var retired Key
	err := s.store.Update(ctx, func(keys Keys) error {
		records, err := keys.List(AnyTenant)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(records, func(r Record) bool { return r.KID == kid })
		if i < 0 {
			return fault.Newf(fault.NotFound, "there is no key %s", kid)
		}
		r := &records[i]
		switch r.State {
		case Active:
			return fault.Newf(fault.Conflict, "The key %s seals; `onnxgate keys rotate --use fernet --tenant %s` puts another in its place first", kid, r.Tenant)
		case Retired:
			return fault.Newf(fault.Conflict, "The key %s is already retired", kid)
		case Former:
		}
		r.State, r.RetiredAt, r.Wrapped = Retired, s.now().UTC().Truncate(time.Second), nil
		retired = r.Key
		if err := keys.Replace(r); err != nil {
			return err
		}
		return s.changed(ctx, audit.KeyRetire, command(actor), Former, &retired)
	})
	return retired, err
}
