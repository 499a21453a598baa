package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// connect opens a database beside the Store, as the role of the URL.
func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// names returns the first column of a query in a transaction that named the
// tenant; "-" names none.
func names(t *testing.T, db *sql.DB, tenant, query string) []string {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { must(t, tx.Rollback()) }()
	if tenant != "-" {
		_, err := tx.ExecContext(t.Context(), "SELECT set_config('onnxgate.tenant', $1, true)", tenant)
		must(t, err)
	}
	rows, err := tx.QueryContext(t.Context(), query)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	var all []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		all = append(all, name)
	}
	must(t, rows.Err())
	slices.Sort(all)
	return all
}

// fillTenants gives two tenants one record of each kind.
func fillTenants(t *testing.T, s accounts.Store) {
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
}

func TestAForgottenWHEREFindsNothingOfAnotherTenant(t *testing.T) {
	url := testkit.StartPostgres(t).Database(t)
	s := open(t, sqlstore.Config{URL: url})
	fillTenants(t, s)
	must(t, s.Sealing().Update(t.Context(), func(keys sealing.Keys) error {
		return errors.Join(keys.Insert(sealingKey("acme", "a", sealing.Active)), keys.Insert(sealingKey("other", "b", sealing.Active)))
	}))
	for _, tenant := range []string{"acme", "other"} {
		at := quota.Place{Tenant: tenant, Per: limit.PerDay, Start: day}
		must(t, s.Usage().Charge(t.Context(), func(l quota.Ledger) error { return l.Add(at, quota.Use{1}) }))
	}
	db := connect(t, url)
	for table, column := range map[string]string{
		"tenants": "name", "users": "tenant", "clients": "tenant", "api_keys": "tenant", "refresh_families": "tenant", "revocations": "tenant",
		"fernet_keys": "tenant", "usage": "tenant",
	} {
		query := "SELECT " + column + " FROM " + table
		for tenant, want := range map[string][]string{"acme": {"acme"}, "other": {"other"}, "-": nil, "": nil, "acm": nil} {
			if diff := cmp.Diff(want, names(t, db, tenant, query)); diff != "" {
				t.Errorf("%s as %q: %s", query, tenant, diff)
			}
		}
		if got := names(t, db, "*", query); len(got) < 2 {
			t.Errorf("%s as any tenant: %q", query, got)
		}
	}
}

func TestAForgottenWHEREChangesNothingOfAnotherTenant(t *testing.T) {
	url := testkit.StartPostgres(t).Database(t)
	s := open(t, sqlstore.Config{URL: url})
	fillTenants(t, s)
	db := connect(t, url)
	for statement, affects := range map[string]int64{
		"UPDATE users SET disabled = TRUE":                                          1,
		"DELETE FROM api_keys":                                                      1,
		"UPDATE clients SET tenant = 'other'":                                       -1, // no row of one's own may be given away
		"DELETE FROM tenants WHERE name <> ''":                                      1,
		"INSERT INTO revocations (id, tenant, expires_at) VALUES ('x', 'other', 1)": -1,
	} {
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		_, err = tx.ExecContext(t.Context(), "SELECT set_config('onnxgate.tenant', 'acme', true)")
		must(t, err)
		n := int64(-1)
		if result, err := tx.ExecContext(t.Context(), statement); err == nil {
			n, err = result.RowsAffected()
			must(t, err)
		}
		if n != affects {
			t.Errorf("%s: %d rows, want %d", statement, n, affects)
		}
		must(t, tx.Rollback())
	}
}

// TestEveryTableOfTenantsIsHeldToThem reads the catalogue, so that a table that
// comes later is not forgotten.
func TestEveryTableOfTenantsIsHeldToThem(t *testing.T) {
	url := testkit.StartPostgres(t).Database(t)
	s := open(t, sqlstore.Config{URL: url})
	db := connect(t, url)
	without := names(t, db, "-", `SELECT relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
		AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))`)
	if diff := cmp.Diff([]string{"onnxgate_schema", "revision", "servers"}, without); diff != "" {
		t.Errorf("tables without row-level security: %s", diff)
	}
	key := fixtureKey()
	kek := fixtureKEK()
	must(t, s.Signing().Update(t.Context(), func(all sealing.SigningKeys) error {
		return errors.Join(all.Put(&key), all.Wrapped().AddKEK(&kek))
	}))
	for tenant, want := range map[string][]string{"default": nil, "": nil, "*": {"kid"}} {
		if diff := cmp.Diff(want, names(t, db, tenant, "SELECT kid FROM signing_keys")); diff != "" {
			t.Errorf("keys that sign tokens, as %q: %s", tenant, diff)
		}
		if got := names(t, db, tenant, "SELECT fingerprint FROM key_encryption_keys"); len(got) != len(want) {
			t.Errorf("key-encryption keys, as %q: %q", tenant, got)
		}
	}
	holding := names(t, db, "-", `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relrowsecurity`)
	if len(holding) < 7 {
		t.Errorf("only %d tables have row-level security: %q", len(holding), holding)
	}
}

func TestARoleThatNoPolicyHoldsIsWarnedOf(t *testing.T) {
	server := testkit.StartPostgres(t)
	url := server.Database(t)
	if got := open(t, sqlstore.Config{URL: url}).Warnings(); !slices.ContainsFunc(got, contains("fsync")) || slices.ContainsFunc(got, contains("BYPASSRLS")) {
		t.Errorf("the role of the tests: %q", got)
	}
	super := open(t, sqlstore.Config{URL: server.URL("postgres", "test1")})
	if got := super.Warnings(); !slices.ContainsFunc(got, contains("BYPASSRLS")) {
		t.Errorf("a superuser: %q", fmt.Sprint(got))
	}
}
