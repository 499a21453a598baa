package sqlstore_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// networks has cmp compare them by their values.
var networks = cmpopts.EquateComparable(netip.Prefix{})

func tenant(name string) *accounts.Tenant {
	return &accounts.Tenant{
		Tenant: identity.Tenant{Name: name, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}},
		Rate:   "10/second", Quota: "calls=10000/day",
		CreatedAt: day, UpdatedAt: day.Add(time.Hour),
	}
}

func client(tenant, id string) *accounts.Client {
	return &accounts.Client{
		ID: id, Name: "scoring", Tenant: tenant, Roles: []string{"user", "analyst"}, Scopes: []string{"models:predict"},
		Grants: []string{"client_credentials"}, Certificate: "dns:" + id + ".example", Disabled: true,
		SecretHash: "hash", FormerHash: "former", FormerUntil: day, Stamp: "stamp", CreatedBy: "root", CreatedAt: day, UpdatedAt: day.Add(time.Hour),
	}
}

func apiKey(tenant, id string) *accounts.APIKey {
	return &accounts.APIKey{
		ID: id, Name: "nightly job", Tenant: tenant, Roles: []string{"user"}, Models: []string{}, Rate: "100/minute", Quota: "rows=1000000/month",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Bootstrap: true, Hash: "hash",
		ExpiresAt: day.Add(time.Hour), CreatedBy: "root", CreatedAt: day, LastUsed: day,
	}
}

func family(tenant, id string) *accounts.Family {
	return &accounts.Family{
		ID: id, Tenant: tenant, User: "user-of-" + tenant, Stamp: "stamp", ClientID: "onnxgate", Scope: "models:read",
		Hash: "hash", CreatedAt: day, ExpiresAt: day.Add(time.Hour),
	}
}

func revocation(tenant, id string) *accounts.Revocation {
	return &accounts.Revocation{ID: id, Tenant: tenant, ExpiresAt: day}
}

// makeTenants adds two tenants with a user each.
func makeTenants(t *testing.T, s accounts.Store) {
	t.Helper()
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error {
		return errors.Join(
			tx.Tenants.Insert(tenant("acme")), tx.Tenants.Insert(tenant("other")),
			tx.Users.Insert(in("acme", record("user-of-acme", "user"))), tx.Users.Insert(in("other", record("user-of-other", "user"))),
		)
	}))
}

func testKinds(t *testing.T, s, other accounts.Store) {
	t.Helper()
	makeTenants(t, s)
	t.Run("clients", func(t *testing.T) {
		testKind(t, s, other, client, func(tx *accounts.Tx) accounts.Rows[accounts.Client] { return tx.Clients })
	})
	t.Run("API keys", func(t *testing.T) {
		testKind(t, s, other, apiKey, func(tx *accounts.Tx) accounts.Rows[accounts.APIKey] { return tx.Keys })
	})
	t.Run("families", func(t *testing.T) {
		testKind(t, s, other, family, func(tx *accounts.Tx) accounts.Rows[accounts.Family] { return tx.Families })
	})
	t.Run("revocations", func(t *testing.T) {
		testKind(t, s, other, revocation, func(tx *accounts.Tx) accounts.Rows[accounts.Revocation] { return tx.Revocations })
	})
	t.Run("users", func(t *testing.T) {
		must(t, s.Update(t.Context(), func(tx *accounts.Tx) error {
			return errors.Join(tx.Users.Delete("acme", "user-of-acme"), tx.Users.Delete("other", "user-of-other"))
		}))
		named := func(tenant, id string) *accounts.Record { return in(tenant, record(id, "user")) }
		testKind(t, s, other, named, func(tx *accounts.Tx) accounts.Rows[accounts.Record] { return tx.Users })
	})
}

// testKind has records of one kind in two tenants, and asks each for what the
// other has.
func testKind[R any](t *testing.T, s, other accounts.Store, record func(tenant, id string) *R, of func(*accounts.Tx) accounts.Rows[R]) {
	t.Helper()
	change := func(do func(rows accounts.Rows[R]) error) error {
		return s.Update(t.Context(), func(tx *accounts.Tx) error { return do(of(tx)) })
	}
	for _, id := range []string{"c", "a", "b"} {
		must(t, change(func(rows accounts.Rows[R]) error { return rows.Insert(record("acme", id)) }))
	}
	must(t, change(func(rows accounts.Rows[R]) error { return rows.Insert(record("other", "ab")) }))
	if err := change(func(rows accounts.Rows[R]) error { return rows.Insert(record("other", "a")) }); err == nil {
		t.Error("two tenants have a record with one id")
	}
	wantRecord := func(tenant, id string, want *R) {
		t.Helper()
		got, err := getOf(t.Context(), other, of, tenant, id)
		if diff := cmp.Diff(want, got, networks); diff != "" || err != nil {
			t.Error(tenant, id, err, diff)
		}
	}
	wantRecord("acme", "a", record("acme", "a"))
	wantRecord(accounts.AnyTenant, "a", record("acme", "a"))
	for _, tenant := range []string{"other", "", "acm", "Acme", "%"} {
		if _, err := getOf(t.Context(), s, of, tenant, "a"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("from %q: %v, want not found", tenant, err)
		}
		err := change(func(rows accounts.Rows[R]) error { return rows.Delete(tenant, "a") })
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("deleted from %q: %v, want not found", tenant, err)
		}
	}
	err := change(func(rows accounts.Rows[R]) error { return rows.Replace(record("other", "a")) })
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("replaced from another tenant: %v, want not found", err)
	}
	wantList := func(tenant string, page accounts.Page, want ...*R) {
		t.Helper()
		got, err := listOf(t.Context(), other, of, tenant, page)
		var list []*R
		for i := range got {
			list = append(list, &got[i])
		}
		if diff := cmp.Diff(want, list, networks); diff != "" || err != nil {
			t.Error(tenant, page, err, diff)
		}
	}
	a, b, c := record("acme", "a"), record("acme", "b"), record("acme", "c")
	wantList("acme", accounts.Page{}, a, b, c)
	wantList("acme", accounts.Page{Limit: 2}, a, b)
	wantList("acme", accounts.Page{After: "b", Limit: 2}, c)
	wantList("acme", accounts.Page{After: "c"})
	wantList("other", accounts.Page{}, record("other", "ab"))
	wantList(accounts.AnyTenant, accounts.Page{After: "a", Limit: 2}, record("other", "ab"), b)
	must(t, change(func(rows accounts.Rows[R]) error {
		return errors.Join(rows.Delete("acme", "a"), rows.Delete(accounts.AnyTenant, "ab"), rows.Delete("acme", "b"), rows.Delete("acme", "c"))
	}))
}

func getOf[R any](ctx context.Context, s accounts.Store, of func(*accounts.Tx) accounts.Rows[R], tenant, id string) (got *R, err error) {
	err = s.View(ctx, func(tx *accounts.Tx) error {
		got, err = of(tx).Get(tenant, id)
		return err
	})
	return got, err
}

func listOf[R any](
	ctx context.Context, s accounts.Store, of func(*accounts.Tx) accounts.Rows[R], tenant string, page accounts.Page,
) (got []R, err error) {
	err = s.View(ctx, func(tx *accounts.Tx) error {
		got, err = of(tx).List(tenant, page)
		return err
	})
	return got, err
}

func testTenantGoes(t *testing.T, s, other accounts.Store) {
	t.Helper()
	makeTenants(t, s)
	for _, tenant := range []string{"acme", "other"} {
		must(t, s.Update(t.Context(), func(tx *accounts.Tx) error {
			return errors.Join(
				tx.Clients.Insert(client(tenant, "client-of-"+tenant)), tx.Keys.Insert(apiKey(tenant, "key-of-"+tenant)),
				tx.Families.Insert(family(tenant, "family-of-"+tenant)), tx.Revocations.Insert(revocation(tenant, "token-of-"+tenant)),
			)
		}))
	}
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Tenants.Delete("acme", "acme") }))
	counts := map[string]int{}
	must(t, other.View(t.Context(), func(tx *accounts.Tx) error {
		return errors.Join(
			count(counts, "users", tx.Users), count(counts, "clients", tx.Clients), count(counts, "keys", tx.Keys),
			count(counts, "families", tx.Families), count(counts, "revocations", tx.Revocations), count(counts, "tenants", tx.Tenants),
		)
	}))
	want := map[string]int{"users": 1, "clients": 1, "keys": 1, "families": 1, "revocations": 1, "tenants": 2}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

func count[R any](into map[string]int, name string, rows accounts.Reader[R]) error {
	all, err := rows.List(accounts.AnyTenant, accounts.Page{})
	into[name] = len(all)
	return err
}

func testPrune(t *testing.T, s, _ accounts.Store) {
	t.Helper()
	makeTenants(t, s)
	must(t, s.Note(t.Context(), func(tx *accounts.Tx) error {
		return errors.Join(tx.Families.Insert(family("acme", "f")), tx.Revocations.Insert(revocation("acme", "r")), tx.Prune(day))
	}))
	left := func() map[string]int {
		counts := map[string]int{}
		must(t, s.View(t.Context(), func(tx *accounts.Tx) error {
			return errors.Join(count(counts, "families", tx.Families), count(counts, "revocations", tx.Revocations))
		}))
		return counts
	}
	if diff := cmp.Diff(map[string]int{"families": 1, "revocations": 1}, left()); diff != "" {
		t.Error(diff)
	}
	before := revision(t, s)
	must(t, s.Note(t.Context(), func(tx *accounts.Tx) error { return tx.Prune(day.Add(time.Second)) }))
	if diff := cmp.Diff(map[string]int{"families": 1, "revocations": 0}, left()); diff != "" {
		t.Error(diff)
	}
	if revision(t, s) != before {
		t.Error("a note moved the revision")
	}
}
