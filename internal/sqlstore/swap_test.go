package sqlstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"onnxgate/internal/accounts"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// occupy has the store make every connection that it may have, so that none is made while
// nobody knows the password.
func occupy(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	var inside, done sync.WaitGroup
	inside.Add(8)
	for range 8 {
		done.Go(func() {
			var once sync.Once
			err := s.View(t.Context(), func(*accounts.Tx) error {
				once.Do(inside.Done)
				inside.Wait()
				return nil
			})
			if err != nil {
				once.Do(inside.Done)
				t.Error(err)
			}
		})
	}
	done.Wait()
}

// connected are the roles that have connections to a database.
func connected(t *testing.T, server *testkit.Postgres, database string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres", "postgres"))
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // only read from
	var roles string
	must(t, conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(DISTINCT usename::text, ' '), '') FROM pg_stat_activity WHERE datname = $1", database).Scan(&roles))
	return roles
}

// TestAnotherPasswordAndAnotherRoleAreUsedWithoutLosingACall: what is under way ends on
// its connection, and no call is refused before, while or after.
func TestAnotherPasswordAndAnotherRoleAreUsedWithoutLosingACall(t *testing.T) {
	server := testkit.StartPostgres(t)
	database := server.Database(t)
	server.AskPasswords(t, "one")
	url := func(role, password string) sqlstore.Config {
		return sqlstore.Config{URL: testkit.WithPassword(t, database, role, password)}
	}
	s := open(t, url(testkit.Role, "one"))
	makeTenants(t, s)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	occupy(t, s)
	calls := context.WithoutCancel(ctx)
	for i := range 6 {
		running.Go(func() {
			for ctx.Err() == nil {
				var err error
				if i%2 == 0 {
					err = s.View(calls, func(tx *accounts.Tx) error { _, err := tx.Tenants.Get(accounts.AnyTenant, "acme"); return err })
				} else {
					err = s.Update(calls, func(tx *accounts.Tx) error { return tx.Tenants.Replace(tenant("acme")) })
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	use := func(cfg sqlstore.Config) {
		t.Helper()
		other, err := sqlstore.Try(t.Context(), cfg)
		must(t, err)
		must(t, s.View(t.Context(), func(tx *accounts.Tx) error {
			s.Use(other)
			_, err := tx.Tenants.Get(accounts.AnyTenant, "acme") // on the connection of before
			return err
		}))
	}
	server.Exec(t, "ALTER ROLE onnxgate PASSWORD 'two'")
	if _, err := sqlstore.Try(t.Context(), url(testkit.Role, "one")); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("the former password: %v", err)
	}
	use(url(testkit.Role, "two"))
	server.Exec(t, "CREATE ROLE three LOGIN PASSWORD 'three' IN ROLE onnxgate")
	use(url("three", "three"))
	testkit.Eventually(t, "the former role is not connected any more", func() bool { return connected(t, server, "test1") == "three" })
	server.Exec(t, "ALTER ROLE onnxgate NOLOGIN")
	occupy(t, s)
	stop()
	running.Wait()
	if got, want := s.Location(), (&sqlstore.Config{URL: database}).Location(); got != want {
		t.Errorf("it is at %s, want %s", got, want)
	}
}

func TestWhatAServerCannotWorkWithIsNotTakenOver(t *testing.T) {
	server := testkit.StartPostgres(t)
	database, empty := server.Database(t), server.Database(t)
	open(t, sqlstore.Config{URL: database})
	server.Exec(t, "CREATE ROLE reader LOGIN")
	server.Exec(t, "CREATE ROLE stranger LOGIN")
	server.Shell(t, `psql "$URL" -c 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader'`, "URL="+database)
	for name, c := range map[string]struct{ url, want string }{
		"an empty database":        {empty, "it is empty; to begin with another database, restart"},
		"no database":              {server.URL(testkit.Role, "none"), "does not exist"},
		"a role that reads alone":  {server.URL("reader", "test1"), "the role lacks SELECT, INSERT, UPDATE or DELETE on api_keys, "},
		"a role without any right": {server.URL("stranger", "test1"), "permission denied"},
		"no URL":                   {"hunter2", "it is no PostgreSQL URL"},
	} {
		other, err := sqlstore.Try(t.Context(), sqlstore.Config{URL: c.url})
		if err == nil {
			must(t, other.Close())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
