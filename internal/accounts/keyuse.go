package accounts

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"onnxgate/internal/apikey"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// APIKey returns the key with that id. When there is none, the answer takes the
// same work and is a key without an id, that no secret proves.
func (s *Service) APIKey(ctx context.Context, id string) (*identity.Key, error) {
	record, err := view(ctx, s, func(tx *Tx) (*APIKey, error) { return tx.KeyOrAnother(id) })
	if fault.KindOf(err) == fault.NotFound { // there are no keys at all
		return new(identity.Key), nil
	}
	if err != nil {
		return nil, err
	}
	key, err := record.identity()
	switch {
	case record.ID != id:
		return new(identity.Key), nil
	case err != nil:
		return nil, fmt.Errorf("API key %s: %w", record.ID, err)
	}
	return key, nil
}

func (k *APIKey) identity() (*identity.Key, error) {
	key := &identity.Key{
		ID: k.ID, Tenant: k.Tenant, Roles: k.Roles, Scopes: k.Scopes, Models: k.Models, Addresses: k.Addresses,
		Disabled: k.Disabled, FormerUntil: k.FormerUntil, ExpiresAt: k.ExpiresAt,
	}
	var err error
	if key.Hash, err = apikey.ParseHash(k.Hash); err != nil {
		return nil, err
	}
	if k.FormerHash != "" {
		if key.Former, err = apikey.ParseHash(k.FormerHash); err != nil {
			return nil, err
		}
	}
	if k.Rate != "" {
		if key.Limit, err = identity.ParseLimit(k.Rate); err != nil {
			return nil, err
		}
	}
	return key, nil
}

const (
	// noteEvery is how often the last uses of keys are written.
	noteEvery = time.Minute
	// noteBatch bounds what one transaction writes, and one turn of Watch: other
	// writers and the look at the revision need not wait.
	noteBatch = 500
)

// uses remembers when keys were last used, until it is written down. There is
// one entry for a key that was proven, so that nobody else can make it grow.
type uses struct {
	mu   sync.Mutex
	last map[string]time.Time // by id

	// What Watch alone knows: what is being written, and since when.
	writing map[string]time.Time
	since   time.Time
}

// KeyUsed remembers that the key was used. It is in memory until Watch writes
// it down, within about a minute.
func (s *Service) KeyUsed(id string, at time.Time) {
	u := &s.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]time.Time{}
	}
	if at.After(u.last[id]) {
		u.last[strings.Clone(id)] = at
	}
}

// take returns a batch of what is to be written; every minute that is what was
// used since.
func (u *uses) take(now time.Time) map[string]time.Time {
	if len(u.writing) == 0 && now.Sub(u.since) >= noteEvery {
		u.mu.Lock()
		u.writing, u.last, u.since = u.last, nil, now
		u.mu.Unlock()
	}
	batch := map[string]time.Time{}
	for id, at := range u.writing {
		if len(batch) == noteBatch {
			break
		}
		batch[id] = at
		delete(u.writing, id)
	}
	return batch
}

// noteUses writes a batch of uses down. What cannot be written is tried again
// with what comes then.
func (s *Service) noteUses(ctx context.Context) (more bool) {
	batch := s.uses.take(s.now())
	if len(batch) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	err := s.store.Note(ctx, func(tx *Tx) error {
		for id, at := range batch {
			if err := tx.KeyUsed(id, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for id, at := range batch {
			s.KeyUsed(id, at)
		}
	}
	return err == nil
}

// noteAllUses writes down what is left when the server stops.
func (s *Service) noteAllUses(ctx context.Context) {
	for range 2 { // what was being written, and what came since
		s.uses.since = time.Time{}
		for s.noteUses(ctx) {
		}
	}
}
