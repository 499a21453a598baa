package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Record is a key as a Store keeps it.
type Record struct {
	// KID is the RFC 7638 thumbprint of the key.
	KID string
	// Private is a PKCS#8 structure (RFC 5958), which is empty once the key is retired;
	// Public a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
	Private, Public []byte
	// Since is when the key begins to sign, to the nanosecond.
	Since time.Time
	// Retired says that it was ended by hand.
	Retired bool
}

// Store keeps the keys of servers that share it. It hands private halves out to
// nobody else.
type Store interface {
	// Load returns every key.
	Load(ctx context.Context) ([]Record, error)
	// Update gives change every key, in a transaction that no other writer can
	// interleave with, and adds the keys that it returns, each in place of the one of
	// its name.
	Update(ctx context.Context, change func([]Record) ([]Record, error)) error
	// Revision returns a number that differs whenever the keys may have changed,
	// whoever changed them.
	Revision(ctx context.Context) (int64, error)
}

// shared is a Store as a place.
type shared struct{ store Store }

// String says where the keys are.
func (shared) String() string { return "the database" }

func (s shared) load(ctx context.Context, known []*key) ([]*key, error) {
	records, err := s.store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the keys that sign tokens: %w", err)
	}
	return fromRecords(records, known)
}

func (s shared) revision(ctx context.Context, _ time.Time) (number int64, settled bool, err error) {
	number, err = s.store.Revision(ctx)
	return number, true, err
}

// create makes the key before the transaction, which an RSA key would hold up.
func (s shared) create(ctx context.Context, alg Algorithm, since time.Time, needed func([]*key) bool) (made *key, err error) {
	next, err := newKey(alg, since)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(records []Record) ([]Record, error) {
		made = nil
		found, err := fromRecords(records, nil)
		if err != nil || !needed(found) {
			return nil, err
		}
		made = next
		return toRecords(next)
	})
	return made, err
}

func (s shared) retire(ctx context.Context, k *key) error {
	return s.store.Update(ctx, func(records []Record) ([]Record, error) {
		i := slices.IndexFunc(records, func(r Record) bool { return r.KID == k.verifier.KID })
		if i < 0 {
			return nil, fmt.Errorf("there is no key %s", k.verifier.KID)
		}
		records[i].Retired, records[i].Private = true, nil
		return records[i : i+1], nil
	})
}

// fromRecords returns the keys of records. What is known is not parsed again, and a
// key stays the same in memory.
func fromRecords(records []Record, known []*key) ([]*key, error) {
	all := make([]*key, len(records))
	for i := range records {
		r := &records[i]
		at := slices.IndexFunc(known, func(k *key) bool {
			return k.verifier.KID == r.KID && k.since.Equal(r.Since) && k.retired == r.Retired
		})
		if at >= 0 {
			all[i] = known[at]
			continue
		}
		k, err := fromRecord(r)
		if err != nil {
			return nil, fmt.Errorf("the key %s in the database: %w", r.KID, err)
		}
		all[i] = k
	}
	return all, nil
}

func fromRecord(r *Record) (*key, error) {
	public, err := x509.ParsePKIXPublicKey(r.Public)
	if err != nil {
		return nil, fmt.Errorf("its public half: %w", err)
	}
	alg, err := algorithmOf(public)
	if err != nil {
		return nil, err
	}
	verifier, err := NewVerifier(alg, public)
	if err != nil {
		return nil, err
	}
	if verifier.KID != r.KID {
		return nil, errors.New("its name does not fit its public half")
	}
	k := &key{verifier: verifier, since: r.Since, retired: r.Retired}
	if !r.Retired {
		k.private, err = parsePrivate(r.Private, public)
	}
	return k, err
}

// parsePrivate returns the private half that belongs to a public one.
func parsePrivate(der []byte, public any) (crypto.Signer, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("its private half: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T do not sign", private)
	}
	if same, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(public) {
		return nil, errors.New("its halves do not belong together")
	}
	return signer, nil
}

// toRecords returns the records of keys.
func toRecords(all ...*key) ([]Record, error) {
	records := make([]Record, len(all))
	for i, k := range all {
		r := Record{KID: k.verifier.KID, Since: k.since, Retired: k.retired}
		var err error
		if r.Public, err = x509.MarshalPKIXPublicKey(k.verifier.Public()); err != nil {
			return nil, err
		}
		if !k.retired {
			if r.Private, err = x509.MarshalPKCS8PrivateKey(k.private); err != nil {
				return nil, err
			}
		}
		records[i] = r
	}
	return records, nil
}
