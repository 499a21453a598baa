package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// size is how much a database holds.
type size struct{ tenants, users, keys int }

var (
	few  = size{10, 10, 10}
	many = size{10_000, 100_000, 100_000}
)

// fill adds what a size says, by one statement a table: what is measured is how
// it is found.
func fill(tb testing.TB, cfg sqlstore.Config, n size) {
	tb.Helper()
	driver, source := "sqlite", cfg.Path
	series := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	if cfg.URL != "" {
		driver, source, series = "pgx", cfg.URL, "WITH n(i) AS (SELECT generate_series(1, %d)) "
	}
	db, err := sql.Open(driver, source)
	mustTB(tb, err)
	db.SetMaxOpenConns(1) // one session: it names the tenants for all statements
	if cfg.URL != "" {
		_, err = db.ExecContext(tb.Context(), "SET onnxgate.tenant = '*'")
		mustTB(tb, err)
	}
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO tenants (name, disabled, created_at, updated_at) "+series+"SELECT 't' || i, $no, 1, 1 FROM n", n.tenants),
		fmt.Sprintf("INSERT INTO users (name, tenant, roles, password_hash, initial_password, stamp, disabled, created_at, updated_at) "+series+
			"SELECT 'user' || i, 't' || (i %% %d + 1), 'user', 'h', $no, 's', $no, 1, 1 FROM n", n.users, n.tenants),
		fmt.Sprintf("INSERT INTO api_keys (id, tenant, name, roles, rate, bootstrap, disabled, hash, former_hash, former_until, expires_at, created_by, created_at, last_used) "+series+
			"SELECT 'key' || i, 't' || (i %% %d + 1), 'n', 'user', '', $no, $no, 'h', '', 0, 0, 'c', 1, 0 FROM n", n.keys, n.tenants),
	} {
		no := "0"
		if cfg.URL != "" {
			no = "FALSE"
		}
		_, err := db.ExecContext(tb.Context(), strings.ReplaceAll(statement, "$no", no))
		mustTB(tb, err)
	}
	if cfg.URL != "" {
		_, err = db.ExecContext(tb.Context(), "ANALYZE")
		mustTB(tb, err)
	}
	mustTB(tb, db.Close())
}

func mustTB(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// lookups are what requests ask.
var lookups = map[string]func(tx *accounts.Tx) error{
	"key":               func(tx *accounts.Tx) error { _, err := tx.Keys.Get(accounts.AnyTenant, "key7"); return err },
	"key of a tenant":   func(tx *accounts.Tx) error { _, err := tx.Keys.Get("t8", "key7"); return err },
	"user":              func(tx *accounts.Tx) error { _, err := tx.Users.Get(accounts.AnyTenant, "user7"); return err },
	"tenant":            func(tx *accounts.Tx) error { _, err := tx.Tenants.Get("t7", "t7"); return err },
	"users of a tenant": func(tx *accounts.Tx) error { _, err := tx.Users.List("t8", accounts.Page{Limit: 10}); return err },
	"page of all keys": func(tx *accounts.Tx) error {
		_, err := tx.Keys.List(accounts.AnyTenant, accounts.Page{Limit: 10})
		return err
	},
	"administrators": func(tx *accounts.Tx) error { _, err := tx.CountAdmins(); return err },
	"unknown key": func(tx *accounts.Tx) error {
		if _, err := tx.Keys.Get(accounts.AnyTenant, "nobody"); fault.KindOf(err) != fault.NotFound {
			return fmt.Errorf("an unknown key: %w", err)
		}
		return nil
	},
}

// BenchmarkLookup measures a look-up among few and among many: compare the two.
func BenchmarkLookup(b *testing.B) {
	server := testkit.StartPostgres(b)
	for _, database := range []backend{file(), postgres(server)} {
		for name, n := range map[string]size{"few": few, "many": many} {
			cfg := database.fresh(b)
			s := open(b, cfg)
			fill(b, cfg, n)
			for what, look := range lookups {
				b.Run(database.name+"/"+strings.ReplaceAll(what, " ", "_")+"/"+name, func(b *testing.B) {
					for b.Loop() {
						if err := s.View(context.Background(), look); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
