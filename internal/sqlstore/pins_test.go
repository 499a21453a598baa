package sqlstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/sqlstore"
)

func TestWhatModelsWereRolledBackToIsSharedByProcesses(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		testPins(t, open(t, cfg), open(t, cfg))
	})
}

func testPins(t *testing.T, s, other *sqlstore.Store) {
	t.Helper()
	makeTenants(t, s)
	pins, seen := s.ModelPins(), revision(t, other)
	moved := func(want bool) {
		t.Helper()
		now := revision(t, other)
		if (now != seen) != want {
			t.Errorf("the revision moved: %t, want %t", now != seen, want)
		}
		seen = now
	}
	want := func(all ...inference.Pin) {
		t.Helper()
		got, err := other.ModelPins().All(t.Context())
		must(t, err)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Error(diff)
		}
	}
	own := inference.Pin{Folder: "iris", Tenant: "default", Version: "1", Newest: "2"}
	acme := inference.Pin{Folder: "@acme/iris", Tenant: "acme", Version: "3", Newest: "9223372036854775807"}
	must(t, pins.Put(t.Context(), own))
	must(t, pins.Put(t.Context(), acme))
	moved(true)
	want(acme, own)
	own.Version, own.Newest = "2", "10"
	must(t, pins.Put(t.Context(), own))
	moved(true)
	want(acme, own)
	must(t, pins.Delete(t.Context(), "acme", "iris"))
	must(t, pins.Delete(t.Context(), "default", "nothing"))
	moved(false)
	must(t, pins.Delete(t.Context(), "default", "iris"))
	moved(true)
	want(acme)
	if err := pins.Put(t.Context(), inference.Pin{Folder: "@x/y", Tenant: "x"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of no tenant: %v", err)
	}
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Tenants.Delete("acme", "acme") }))
	want()
}
