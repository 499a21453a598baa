package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
)

// What keys ask for beside what every record does.
func TestKeysInEveryBackend(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		testKeys(t, open(t, b.fresh(t)))
	})
}

func testKeys(t *testing.T, s accounts.Store) {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ids := []string{"0aaaaaaaaaaa", "5aaaaaaaaaaa", "Zaaaaaaaaaaa", "zaaaaaaaaaaa"}
	_, err := keyOrAnother(t, s, ids[0])
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a key: %v, want NotFound", err)
	}
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error {
		for i, id := range ids {
			key := &accounts.APIKey{ID: id, Name: "k", Tenant: "default", Roles: []string{"user"}, Hash: "h", Bootstrap: i == 2, CreatedAt: at}
			if err := tx.Keys.Insert(key); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, id := range ids {
		if key, err := keyOrAnother(t, s, id); err != nil || key.ID != id {
			t.Errorf("KeyOrAnother(%s) = %v, %v", id, key, err)
		}
	}
	for _, unknown := range []string{"", "00", "5aaaaaaaaaab", "zzzzzzzzzzzz", "' OR 1=1"} {
		if key, err := keyOrAnother(t, s, unknown); err != nil || !slices.Contains(ids, key.ID) {
			t.Errorf("KeyOrAnother(%s) = %v, %v, want another key", unknown, key, err)
		}
	}
	must(t, s.View(t.Context(), func(tx *accounts.Tx) error {
		got, err := tx.BootstrapKeys()
		if !slices.Equal(got, ids[2:3]) {
			t.Errorf("BootstrapKeys = %v", got)
		}
		return err
	}))
	before := revision(t, s)
	for _, used := range []time.Duration{time.Minute, 0, time.Hour, time.Second} {
		must(t, s.Note(t.Context(), func(tx *accounts.Tx) error { return tx.KeyUsed(ids[0], at.Add(used)) }))
	}
	must(t, s.Note(t.Context(), func(tx *accounts.Tx) error { return tx.KeyUsed("gone", at) }))
	if key, err := keyOrAnother(t, s, ids[0]); err != nil || !key.LastUsed.Equal(at.Add(time.Hour)) {
		t.Errorf("LastUsed = %v, %v", key, err)
	}
	if revision(t, s) != before {
		t.Error("a use moves the revision")
	}
}

func keyOrAnother(t *testing.T, s accounts.Store, id string) (key *accounts.APIKey, err error) {
	t.Helper()
	err = s.View(t.Context(), func(tx *accounts.Tx) error {
		key, err = tx.KeyOrAnother(id)
		return err
	})
	return key, err
}

// BenchmarkKeyLookUp shows that a key among 100,000 costs what one of ten does.
func BenchmarkKeyLookUp(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			s, err := sqlstore.Open(b.Context(), sqlstore.Config{Path: filepath.Join(b.TempDir(), "onnxgate.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // nothing is left to be written
			err = s.Update(b.Context(), func(tx *accounts.Tx) error {
				for i := range n {
					key := &accounts.APIKey{ID: fmt.Sprintf("%012d", i*7919%n), Name: "k", Tenant: "default", Roles: []string{"user"}, Hash: "h"}
					if err := tx.Keys.Insert(key); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				err := s.View(b.Context(), func(tx *accounts.Tx) error {
					_, err := tx.KeyOrAnother(fmt.Sprintf("%012d", i*7919%n))
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
