package sealing_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/keys"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
)

// signingStore keeps keys that sign tokens beside those of a memory.
type signingStore struct {
	*memory

	mu      sync.Mutex
	records []keys.Record
}

func (m *signingStore) View(_ context.Context, read func(sealing.SigningKeys) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return read(&signingRows{memoryKeys{keks: slices.Clone(m.keks)}, slices.Clone(m.records)})
}

func (m *signingStore) Update(_ context.Context, change func(sealing.SigningKeys) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := &signingRows{memoryKeys{keks: slices.Clone(m.keks)}, slices.Clone(m.records)}
	if err := change(tx); err != nil {
		return err
	}
	m.records, m.keks = tx.records, tx.keks
	m.revision.Add(1)
	return nil
}

type signingRows struct {
	memoryKeys

	records []keys.Record
}

func (t *signingRows) Wrapped() sealing.Wrapped { return t }

func (t *signingRows) List() ([]keys.Record, error) { return slices.Clone(t.records), nil }

func (t *signingRows) Put(r *keys.Record) error {
	t.records = append(slices.DeleteFunc(t.records, func(have keys.Record) bool { return have.KID == r.KID }), *r)
	return nil
}

func (t *signingRows) EachWrapped(visit func(seal.Binding, []byte) ([]byte, error)) error {
	for i := range t.records {
		if r := &t.records[i]; !r.Retired {
			if _, err := visit(sealing.SigningBinding(r.KID), r.Private); err != nil {
				return err
			}
		}
	}
	return nil
}

// put adds keys to a store as package keys does.
func put(t *testing.T, s *sealing.Signing, records ...keys.Record) error {
	t.Helper()
	return s.Update(t.Context(), func([]keys.Record) ([]keys.Record, error) { return records, nil })
}

func TestKeysThatSignTokensAreStoredWrappedForTheirName(t *testing.T) {
	kek := kekFile(t)
	store := &signingStore{memory: &memory{}}
	signing := open(t, sealing.Config{Store: store.memory, KEKFile: kek}).Signing(store)
	at := time.Unix(1_800_000_000, 1).UTC()
	a := keys.Record{KID: "a", Private: []byte("canary a"), Public: []byte("public a"), Since: at}
	ended := keys.Record{KID: "ended", Public: []byte("public"), Since: at, Retired: true}
	if err := put(t, signing, a, ended); err != nil {
		t.Fatal(err)
	}
	for _, r := range store.records {
		if strings.Contains(string(r.Private), "canary") || r.Retired != (len(r.Private) == 0) {
			t.Errorf("%s is stored with %q", r.KID, r.Private)
		}
	}
	other := open(t, sealing.Config{Store: store.memory, KEKFile: kek}).Signing(store)
	got, err := other.Load(t.Context())
	if diff := cmp.Diff([]keys.Record{a, ended}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	store.records[0].KID = "b" // as who can write to the database would
	if _, err := other.Load(t.Context()); !errors.Is(err, seal.ErrNotOpened) || !strings.Contains(err.Error(), "token key b") {
		t.Errorf("a private half under another name: %v", err)
	}
}

func TestNoKeyIsWrappedUnderAKeyEncryptionKeyThatTheOthersDoNotHave(t *testing.T) {
	store := &signingStore{memory: &memory{}}
	mine, theirs := kekFile(t), kekFile(t)
	first := open(t, sealing.Config{Store: store.memory, KEKFile: mine}).Signing(store)
	second := open(t, sealing.Config{Store: store.memory, KEKFile: theirs}).Signing(store)
	if err := put(t, first, keys.Record{KID: "a", Private: []byte("private")}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"read": errorOf(second.Load(t.Context())), "add": put(t, second, keys.Record{KID: "b", Private: []byte("private")})} {
		for _, word := range []string{theirs, "ONNXGATE_KEK_FILE", "token key a", "another server"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q", name, err, word)
			}
		}
	}
	if len(store.records) != 1 {
		t.Errorf("%d keys", len(store.records))
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	if err := put(t, first, keys.Record{KID: "b", Private: []byte("private")}); kindOf(err) != fault.Unavailable {
		t.Errorf("a key was added that nothing will open: %v", err)
	}
	if _, err := first.Load(t.Context()); err != nil {
		t.Errorf("what is known cannot be read: %v", err)
	}
}

func errorOf(_ []keys.Record, err error) error { return err }
