package sealing

import (
	"context"
	"errors"
	"fmt"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
)

// kekObject is the key-encryption key in records.
const kekObject = "kek"

// openKEK reads the key-encryption key, and makes it where that is harmless.
func (s *Service) openKEK(ctx context.Context, cfg *Config) error {
	records, err := s.records(ctx, AnyTenant)
	if err != nil {
		return fmt.Errorf("read the keys that seal text: %w", err)
	}
	if cfg.MakeKEK && !anyWrapped(records) {
		if err := seal.MakeKEK(cfg.KEKFile); err != nil {
			return err
		}
	}
	return s.Reload(ctx)
}

// Reload reads the key-encryption key again, and takes it over when it opens
// everything that is stored. Its error is for the operator: the former one stays.
func (s *Service) Reload(ctx context.Context) error {
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return err
	}
	return s.opening(ctx, AnyTenant, kek, s.opensAll)
}

// maxTries bounds how often keys are read again that are rotated meanwhile.
const maxTries = 10

// opening has the keys of a tenant opened under a key-encryption key that was known
// before, or that of the file where it was rotated since, and takes over the one that
// opens them. The file holds at any time every key that something is wrapped under
// at that time; between the two looks it may be another.
func (s *Service) opening(ctx context.Context, tenant string, kek *seal.KEK, open func(*seal.KEK, []Record) error) error {
	for tries := 1; ; tries++ {
		records, err := s.records(ctx, tenant)
		if err != nil {
			return fmt.Errorf("read the keys that seal text: %w", err)
		}
		if err = open(kek, records); errors.Is(err, seal.ErrNotOpened) {
			if kek, err = seal.ReadKEK(s.kekFile); err != nil {
				return err
			}
			err = open(kek, records)
		}
		if err == nil {
			s.kek.Store(kek)
		}
		if tries == maxTries || !errors.Is(err, seal.ErrNotOpened) {
			return err
		}
	}
}

// opensAll tries a key-encryption key on everything that is stored.
func (s *Service) opensAll(kek *seal.KEK, records []Record) error {
	for i := range records {
		if records[i].State == Retired {
			continue
		}
		if _, err := unwrap(kek, &records[i]); err != nil {
			return &wrongKEKError{s.kekFile, records[i].Key}
		}
	}
	return nil
}

// wrongKEKError says that a file does not open what is stored. It is a
// seal.ErrNotOpened.
type wrongKEKError struct {
	file string
	key  Key
}

func (e *wrongKEKError) Error() string {
	return fmt.Sprintf("%s is not the key-encryption key of this database: the key %s of the tenant %s does not open under it; "+
		"put the one back that was in use, which ONNXGATE_KEK_FILE names", e.file, e.key.KID, e.key.Tenant)
}

// Unwrap returns seal.ErrNotOpened.
func (*wrongKEKError) Unwrap() error { return seal.ErrNotOpened }

func anyWrapped(records []Record) bool {
	for i := range records {
		if records[i].State != Retired {
			return true
		}
	}
	return false
}

// wrapping returns the key-encryption key to wrap with, inside of an Update: that
// of the file, where another process may have rotated it. A file that holds
// something else by mistake changes nothing, as long as the key that is known opens
// what is stored; the next Reload says so. Faults: Unavailable when there is no such
// key, or no file, since what is wrapped under a key that is nowhere kept would be
// lost.
func (s *Service) wrapping(keys Keys) (*seal.KEK, error) {
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "", err)
	}
	records, err := keys.ListAll()
	if err != nil {
		return nil, err
	}
	if wrong := s.opensAll(kek, records); wrong != nil {
		kek = s.kek.Load()
		if s.opensAll(kek, records) != nil {
			return nil, fault.Wrap(fault.Unavailable, "", wrong)
		}
	}
	s.kek.Store(kek)
	return kek, nil
}

// RotateKEK wraps everything under another key-encryption key, and returns how many
// keys it wrapped again. Servers that share the store go on. With make, it makes
// the new key in the file, and removes the former one when nothing is wrapped under
// it any more; else whoever keeps the file has put the new key before the former
// one, and removes that afterwards. A rotation that broke off, wherever, goes on
// with the next. Faults: Conflict where there is no new key. Actor is who asks, for
// the record.
func (s *Service) RotateKEK(ctx context.Context, actor string, makeKey bool) (wrapped int, err error) {
	// Both inside of a transaction, that nobody else may write meanwhile.
	err = s.store.Update(ctx, func(keys Keys) error {
		wrapped, err = s.rewrapStored(ctx, keys, actor, makeKey)
		return err
	})
	if err != nil {
		return 0, err
	}
	// Nobody begins another rotation between these two either.
	err = s.store.Update(ctx, func(keys Keys) error {
		more, err := s.rewrap()
		wrapped += more
		if err == nil && makeKey {
			err = s.endKEKRotation(keys)
		}
		return err
	})
	if err != nil {
		return wrapped, err
	}
	return wrapped, s.Reload(ctx)
}

// endKEKRotation removes the former key where nothing is wrapped under it. Somebody
// else may have begun another rotation meanwhile, and ends that.
func (s *Service) endKEKRotation(keys Keys) error {
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return err
	}
	old, err := wrappedBefore(keys, kek)
	if err != nil || len(old) > 0 {
		return err
	}
	return seal.EndKEKRotation(s.kekFile)
}

// rewrapStored wraps what of the store is not wrapped under the present key.
func (s *Service) rewrapStored(ctx context.Context, keys Keys, actor string, makeKey bool) (int, error) {
	if makeKey {
		if err := seal.BeginKEKRotation(s.kekFile); err != nil {
			return 0, err
		}
	}
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return 0, err
	}
	if !kek.Rotating() {
		return 0, fault.Newf(fault.Conflict, "%[1]s holds one key: put the new one on a line before it, as in (umask 077; openssl rand -base64 32 | cat - %[1]s > %[1]s.new) && mv %[1]s.new %[1]s, and rotate again", s.kekFile)
	}
	records, err := wrappedBefore(keys, kek)
	if err != nil {
		return 0, err
	}
	for i := range records {
		r := &records[i]
		secret, err := kek.Unwrap(binding(&r.Key), r.Wrapped)
		if err != nil {
			return 0, fmt.Errorf("the key %s of the tenant %s: %w", r.KID, r.Tenant, err)
		}
		r.Wrapped = kek.Wrap(binding(&r.Key), secret)
		if err := keys.Replace(r); err != nil {
			return 0, err
		}
	}
	return len(records), s.audit.Record(ctx, &audit.Record{
		Event: audit.KeyRotate, Actor: actor, Tenant: identity.DefaultTenant, Object: kekObject, Decision: audit.Allow, Outcome: audit.OK,
	})
}

// wrappedBefore returns what is not wrapped under the present key.
func wrappedBefore(keys Keys, kek *seal.KEK) ([]Record, error) {
	records, err := keys.ListAll()
	var old []Record
	for i := range records {
		if r := &records[i]; r.State != Retired && !kek.Wrapped(binding(&r.Key), r.Wrapped) {
			old = append(old, *r)
		}
	}
	return old, err
}
