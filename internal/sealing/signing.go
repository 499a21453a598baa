package sealing

import (
	"context"

	"onnxgate/internal/keys"
	"onnxgate/internal/seal"
)

// UseToken is the word for the keys that sign tokens among all keys of the server.
const UseToken = "token"

// SigningStore keeps the keys that sign tokens, with their private halves wrapped.
// Its errors are those of Store.
type SigningStore interface {
	// View runs read on one state of the keys.
	View(ctx context.Context, read func(SigningKeys) error) error
	// Update runs change in one transaction that no other writer can interleave
	// with, in this process or another, and commits it unless change fails.
	Update(ctx context.Context, change func(SigningKeys) error) error
	// Revision returns a number that differs whenever the keys may have changed,
	// whoever changed them.
	Revision(ctx context.Context) (int64, error)
}

// SigningKeys is the inside of SigningStore.View and SigningStore.Update.
type SigningKeys interface {
	// Wrapped returns everything in the store that is wrapped.
	Wrapped() Wrapped
	// List returns every key, in the order of their names.
	List() ([]keys.Record, error)
	// Put adds a key, or overwrites the one of its name.
	Put(*keys.Record) error
}

// Signing is the keys that sign tokens as package keys sees them: with their private
// halves as they are.
type Signing struct {
	service *Service
	store   SigningStore
}

var _ keys.Store = (*Signing)(nil)

// Signing returns the keys of a store, wrapped by the same key-encryption key.
func (s *Service) Signing(store SigningStore) *Signing { return &Signing{s, store} }

// SigningBinding is what the private half of a key that signs tokens is bound to.
func SigningBinding(kid string) seal.Binding { return seal.Binding{Use: UseToken, KID: kid} }

// Load returns every key. Its error is seal.ErrNotOpened where another
// key-encryption key wrapped one.
func (k *Signing) Load(ctx context.Context) (found []keys.Record, err error) {
	err = k.service.opening(k.service.kek.Load(), func(kek *seal.KEK) error {
		return k.store.View(ctx, func(stored SigningKeys) error {
			found, err = k.list(stored, kek)
			return err
		})
	})
	return found, err
}

// list returns every key, unwrapped.
func (k *Signing) list(stored SigningKeys, kek *seal.KEK) ([]keys.Record, error) {
	records, err := stored.List()
	if err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		if r.Retired {
			continue
		}
		b := SigningBinding(r.KID)
		if r.Private, err = kek.Unwrap(b, r.Private); err != nil {
			return nil, k.service.wrong(b)
		}
	}
	return records, nil
}

// Update gives change every key, and adds those that it returns, each in place of
// the one of its name. Faults: Unavailable also when there is no key-encryption key
// to wrap with.
func (k *Signing) Update(ctx context.Context, change func([]keys.Record) ([]keys.Record, error)) error {
	return k.store.Update(ctx, func(stored SigningKeys) error {
		kek, err := k.service.wrapping(stored.Wrapped())
		if err != nil {
			return err
		}
		records, err := k.list(stored, kek)
		if err != nil {
			return err
		}
		changed, err := change(records)
		if err != nil {
			return err
		}
		for i := range changed {
			r := changed[i]
			if !r.Retired {
				r.Private = kek.Wrap(SigningBinding(r.KID), r.Private)
			}
			if err := stored.Put(&r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Revision returns that of the store.
func (k *Signing) Revision(ctx context.Context) (int64, error) { return k.store.Revision(ctx) }
