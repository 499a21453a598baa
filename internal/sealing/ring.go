package sealing

import (
	"context"
	"fmt"

	"onnxgate/internal/seal"
)

// ring is what opens and seals for one tenant. It does not change.
type ring struct {
	revision int64
	active   *seal.FernetKey   // nil before the first one is made
	keys     []*seal.FernetKey // that open, the newest first
	byKID    map[string]*seal.FernetKey
}

// ring returns the keys of a tenant as they were at most a poll ago, or with
// now, after this call began.
func (s *Service) ring(ctx context.Context, tenant string, now bool) (*ring, error) {
	if tenant == "" || tenant == AnyTenant {
		return nil, fmt.Errorf("sealing: %q is no tenant", tenant)
	}
	revision, err := s.watch.revision(ctx, now)
	if err != nil {
		return nil, err
	}
	var known *ring
	if v, ok := s.rings.Load(tenant); ok {
		known, _ = v.(*ring)
	}
	if known != nil && known.revision == revision {
		return known, nil
	}
	var next *ring
	err = s.opening(s.kek.Load(), func(kek *seal.KEK) error {
		records, err := s.records(ctx, tenant)
		if err == nil {
			next, err = newRing(kek, revision, records, known)
		}
		return err
	})
	if err == nil {
		s.rings.Store(tenant, next)
	}
	return next, err
}

// Look finds out at once whether other processes have changed keys. What cannot be
// reached is asked for again when a key is used.
func (s *Service) Look(ctx context.Context) { _, _ = s.watch.revision(ctx, true) }

// newRing unwraps what is not known already.
func newRing(kek *seal.KEK, revision int64, records []Record, known *ring) (*ring, error) {
	r := &ring{revision: revision, byKID: map[string]*seal.FernetKey{}}
	for i := range records {
		record := &records[i]
		if record.State == Retired {
			continue
		}
		var key *seal.FernetKey
		if known != nil {
			key = known.byKID[record.KID]
		}
		if key == nil {
			var err error
			if key, err = unwrap(kek, record); err != nil {
				return nil, err
			}
		}
		r.byKID[record.KID] = key
		r.keys = append(r.keys, key)
		if record.State == Active {
			r.active = key
		}
	}
	return r, nil
}
