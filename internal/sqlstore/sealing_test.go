package sqlstore_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
)

func sealingKey(tenant, kid string, state sealing.State) *sealing.Record {
	return &sealing.Record{Key: sealing.Key{KID: kid, Tenant: tenant, State: state, CreatedAt: day}, Wrapped: []byte("wrapped \x00\xff " + kid)}
}

func listKeys(t *testing.T, s *sqlstore.Store, tenant string) (all []sealing.Record) {
	t.Helper()
	must(t, s.Sealing().View(t.Context(), func(keys sealing.Keys) (err error) {
		all, err = keys.List(tenant)
		return err
	}))
	return all
}

func TestKeysThatSealTextAreKeptByTenant(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		testSealingKeys(t, open(t, cfg), open(t, cfg))
	})
}

func testSealingKeys(t *testing.T, s, other *sqlstore.Store) {
	t.Helper()
	makeTenants(t, s)
	update := func(change func(sealing.Keys) error) error { return s.Sealing().Update(t.Context(), change) }
	a, b := sealingKey("acme", "a", sealing.Active), sealingKey("other", "b", sealing.Active)
	before := revision(t, other)
	must(t, update(func(keys sealing.Keys) error { return errors.Join(keys.Insert(a), keys.Insert(b)) }))
	if revision(t, other) == before {
		t.Error("the revision did not move")
	}
	for tenant, want := range map[string][]sealing.Record{"acme": {*a}, "other": {*b}, sealing.AnyTenant: {*a, *b}, "nobody": nil, "%": nil} {
		if diff := cmp.Diff(want, listKeys(t, other, tenant)); diff != "" {
			t.Errorf("%q: %s", tenant, diff)
		}
	}
	for name, change := range map[string]func(sealing.Keys) error{
		"a second active key": func(keys sealing.Keys) error { return keys.Insert(sealingKey("acme", "c", sealing.Active)) },
		"an id twice":         func(keys sealing.Keys) error { return keys.Insert(sealingKey("other", "a", sealing.Former)) },
		"another's key":       func(keys sealing.Keys) error { return keys.Replace(sealingKey("other", "a", sealing.Former)) },
		"an unknown state":    func(keys sealing.Keys) error { return keys.Insert(sealingKey("acme", "c", "old")) },
	} {
		if update(change) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	err := update(func(keys sealing.Keys) error { return keys.Insert(sealingKey("nobody", "c", sealing.Active)) })
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("of no tenant: %v, want not found", err)
	}
	a.State, a.RetiredAt, a.Wrapped = sealing.Retired, day.Add(time.Hour), []byte{}
	must(t, update(func(keys sealing.Keys) error { return keys.Replace(a) }))
	if diff := cmp.Diff([]sealing.Record{*a}, listKeys(t, other, "acme")); diff != "" {
		t.Error(diff)
	}
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Tenants.Delete("acme", "acme") }))
	if diff := cmp.Diff([]sealing.Record{*b}, listKeys(t, other, sealing.AnyTenant)); diff != "" {
		t.Errorf("the keys of a tenant that is gone: %s", diff)
	}
}

// Two processes begin at the same time, then one rotates while both work.
func TestProcessesThatShareADatabaseShareItsKeys(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		testSharedKeys(t, b.fresh(t))
	})
}

func testSharedKeys(t *testing.T, cfg sqlstore.Config) {
	t.Helper()
	kek := filepath.Join(t.TempDir(), "kek")
	var services [2]*sealing.Service
	for i := range services {
		var err error
		services[i], err = sealing.New(t.Context(), sealing.Config{
			Store: open(t, cfg).Sealing(), KEKFile: kek, MakeKEK: true,
		})
		must(t, err)
	}
	caller := &identity.Principal{Subject: "ada", Tenant: "default"}
	var wg sync.WaitGroup
	for i, s := range services {
		wg.Go(func() {
			for range 100 {
				token, err := s.Seal(t.Context(), caller, "hello")
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := services[1-i].Open(t.Context(), caller, token, 60); err != nil || got != "hello" {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	for range 20 {
		if _, err := services[0].Rotate(t.Context(), "root", sealing.AnyTenant); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	keys, err := services[1].List(t.Context(), "default")
	if err != nil || len(keys) < 20 || len(keys) > 21 || keys[0].State != sealing.Active || keys[1].State != sealing.Former {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}
