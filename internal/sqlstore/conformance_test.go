package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// backend is a kind of database that everything is tested on.
type backend struct {
	name string
	// fresh returns where a new, empty database is.
	fresh func(tb testing.TB) sqlstore.Config
}

// eachBackend runs a test on both kinds of database.
func eachBackend(t *testing.T, test func(t *testing.T, b backend)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, file()) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(testkit.StartPostgres(t))) })
}

func file() backend {
	return backend{"sqlite", func(tb testing.TB) sqlstore.Config {
		tb.Helper()
		return sqlstore.Config{Path: filepath.Join(tb.TempDir(), "onnxgate.db")}
	}}
}

func postgres(server *testkit.Postgres) backend {
	return backend{"postgres", func(tb testing.TB) sqlstore.Config {
		tb.Helper()
		return sqlstore.Config{URL: server.Database(tb)}
	}}
}

func openFile(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	return open(t, sqlstore.Config{Path: path})
}

func open(tb testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func record(name string, roles ...string) *accounts.Record {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &accounts.Record{
		User:         accounts.User{Name: name, Tenant: "default", Roles: roles, CreatedAt: at, UpdatedAt: at.Add(time.Hour)},
		PasswordHash: "$argon2id$of " + name, Stamp: "stamp of " + name,
	}
}

func in(tenant string, r *accounts.Record) *accounts.Record {
	r.Tenant = tenant
	return r
}

func get(ctx context.Context, s accounts.Store, name string) (r *accounts.Record, err error) {
	err = s.View(ctx, func(tx *accounts.Tx) error {
		r, err = tx.Users.Get(accounts.AnyTenant, name)
		return err
	})
	return r, err
}

func list(ctx context.Context, s accounts.Store) (all []accounts.Record, err error) {
	err = s.View(ctx, func(tx *accounts.Tx) error {
		all, err = tx.Users.List(accounts.AnyTenant, accounts.Page{})
		return err
	})
	return all, err
}

func insert(t *testing.T, s accounts.Store, records ...*accounts.Record) {
	t.Helper()
	err := s.Update(t.Context(), func(tx *accounts.Tx) error {
		for _, r := range records {
			if err := tx.Users.Insert(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// suite is what every store must do.
var suite = map[string]func(t *testing.T, s, other accounts.Store){
	"a record comes back as it was stored": func(t *testing.T, s, other accounts.Store) {
		t.Helper()
		want := record("ada", "zeta", "admin", "alpha")
		want.Disabled, want.InitialPassword = true, true
		insert(t, s, want)
		for _, from := range []accounts.Store{s, other} {
			got, err := get(t.Context(), from, "ada")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	},
	"an unknown user is not found": func(t *testing.T, s, _ accounts.Store) {
		t.Helper()
		insert(t, s, record("ada", "user"))
		for _, name := range []string{"bob", "", "Ada", "ada ", "ad", "a%", "ada\x00", "\xff", "ada' OR '1'='1"} {
			if _, err := get(t.Context(), s, name); fault.KindOf(err) != fault.NotFound {
				t.Errorf("Record(%q) = %v, want not found", name, err)
			}
		}
	},
	"users are listed by name": func(t *testing.T, s, other accounts.Store) {
		t.Helper()
		if users, err := list(t.Context(), s); err != nil || len(users) != 0 {
			t.Errorf("an empty store lists %v, %v", users, err)
		}
		insert(t, s, record("carol", "user"), record("ada", "admin", "user"), record("bob", "user"))
		want := []accounts.Record{*record("ada", "admin", "user"), *record("bob", "user"), *record("carol", "user")}
		got, err := list(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	},
	"a record is replaced whole": func(t *testing.T, s, other accounts.Store) {
		t.Helper()
		insert(t, s, record("ada", "admin", "user"), record("bob", "user"))
		want := record("ada", "analyst")
		want.PasswordHash, want.Stamp, want.Disabled, want.UpdatedAt = "hash", "stamp", true, want.UpdatedAt.Add(time.Hour)
		must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Users.Replace(want) }))
		got, err := get(t.Context(), other, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	},
	"a deleted user is gone with its roles": func(t *testing.T, s, other accounts.Store) {
		t.Helper()
		insert(t, s, record("ada", "admin"), record("bob", "user"))
		must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Users.Delete(accounts.AnyTenant, "ada") }))
		if _, err := get(t.Context(), other, "ada"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Record = %v, want not found", err)
		}
		if n := countAdmins(t, s); n != 0 {
			t.Errorf("%d administrators, want none", n)
		}
		insert(t, s, record("ada", "user"))
	},
	"what a transaction wrote it reads": func(t *testing.T, s, _ accounts.Store) {
		t.Helper()
		must(t, s.Update(t.Context(), func(tx *accounts.Tx) error {
			if err := tx.Users.Insert(record("ada", "admin")); err != nil {
				return err
			}
			r, err := tx.Users.Get(accounts.AnyTenant, "ada")
			if err != nil || r.Name != "ada" {
				return fmt.Errorf("Record = %v, %w", r, err)
			}
			_, err = tx.Users.Get(accounts.AnyTenant, "bob")
			if fault.KindOf(err) != fault.NotFound {
				return fmt.Errorf("Record = %w, want not found", err)
			}
			return nil
		}))
	},
	"a failed transaction changes nothing": func(t *testing.T, s, other accounts.Store) {
		t.Helper()
		insert(t, s, record("ada", "admin"))
		refused := errors.New("refused")
		err := s.Update(t.Context(), func(tx *accounts.Tx) error {
			if err := errors.Join(tx.Users.Delete(accounts.AnyTenant, "ada"), tx.Users.Insert(record("bob", "user"))); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Errorf("Update = %v, want the function's error", err)
		}
		users, err := list(t.Context(), other)
		if err != nil || len(users) != 1 || users[0].Name != "ada" {
			t.Errorf("Users = %v, %v, want ada alone", users, err)
		}
	},
	"writing what cannot be is an error": func(t *testing.T, s, _ accounts.Store) {
		t.Helper()
		insert(t, s, record("ada", "user"))
		for name, change := range map[string]func(*accounts.Tx) error{
			"insert twice":   func(tx *accounts.Tx) error { return tx.Users.Insert(record("ada", "user")) },
			"replace nobody": func(tx *accounts.Tx) error { return tx.Users.Replace(record("bob", "user")) },
			"delete nobody":  func(tx *accounts.Tx) error { return tx.Users.Delete(accounts.AnyTenant, "bob") },
			"in no tenant":   func(tx *accounts.Tx) error { return tx.Users.Insert(in("acme", record("bob", "user"))) },
			"with U+0000":    func(tx *accounts.Tx) error { return tx.Users.Insert(record("b\x00b", "user")) },
			"no UTF-8":       func(tx *accounts.Tx) error { return tx.Users.Insert(record("b\xffb", "user")) },
			"in another":     func(tx *accounts.Tx) error { return tx.Users.Replace(in("acme", record("ada", "user"))) },
		} {
			if err := s.Update(t.Context(), change); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		got, err := get(t.Context(), s, "ada")
		if diff := cmp.Diff(record("ada", "user"), got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	},
	"enabled administrators are counted": func(t *testing.T, s, _ accounts.Store) {
		t.Helper()
		disabled := record("dora", "admin")
		disabled.Disabled = true
		insert(t, s, record("ada", "user", "admin"), record("bob", "admins"), record("carol", "admin"), disabled)
		if n := countAdmins(t, s); n != 2 {
			t.Errorf("%d administrators, want 2", n)
		}
	},
	"the revision differs after every change, and only then": testRevision,
	"writers do not interleave":                              testWriters,
	"each kind is kept by tenant":                            testKinds,
	"a tenant goes with all that it has":                     testTenantGoes,
	"what has ended is pruned":                               testPrune,
	"a context that ended is canceled": func(t *testing.T, s, _ accounts.Store) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, errUsers := list(ctx, s)
		_, errRecord := get(ctx, s, "ada")
		errUpdate := s.Update(ctx, func(*accounts.Tx) error { return nil })
		for _, err := range []error{errUsers, errRecord, errUpdate} {
			if fault.KindOf(err) != fault.Canceled {
				t.Errorf("%v, want canceled", err)
			}
		}
	},
}

func TestConformance(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		for name, test := range suite {
			t.Run(name, func(t *testing.T) {
				cfg := b.fresh(t)
				// The second is as another process has it.
				test(t, open(t, cfg), open(t, cfg))
			})
		}
	})
}

func testRevision(t *testing.T, s, other accounts.Store) {
	t.Helper()
	last := revision(t, s)
	step := func(what string, changes bool, do func() error) {
		t.Helper()
		must(t, do())
		now := revision(t, s)
		if (now != last) != changes {
			t.Errorf("%s: the revision went from %d to %d", what, last, now)
		}
		last = now
	}
	update := func(by accounts.Store, change func(*accounts.Tx) error) func() error {
		return func() error { return by.Update(t.Context(), change) }
	}
	step("nothing", false, func() error { return nil })
	step("insert", true, update(s, func(tx *accounts.Tx) error { return tx.Users.Insert(record("ada", "user")) }))
	step("replace by another", true, update(other, func(tx *accounts.Tx) error { return tx.Users.Replace(record("ada", "admin")) }))
	step("read", false, func() error { _, err := list(t.Context(), other); return err })
	step("read in a transaction", false, update(other, func(tx *accounts.Tx) error { _, err := tx.Users.Get(accounts.AnyTenant, "ada"); return err }))
	step("delete by another", true, update(other, func(tx *accounts.Tx) error { return tx.Users.Delete(accounts.AnyTenant, "ada") }))
}

// testWriters has two processes' worth of writers read, and then write what
// depends on it.
func testWriters(t *testing.T, s, other accounts.Store) {
	t.Helper()
	const writers, rounds = 4, 10
	insert(t, s, record("counter", "r0"))
	var wg sync.WaitGroup
	errs := make(chan error, writers*rounds)
	for i := range writers {
		by := s
		if i%2 == 1 {
			by = other
		}
		wg.Go(func() {
			for range rounds {
				errs <- by.Update(context.WithoutCancel(t.Context()), func(tx *accounts.Tx) error {
					r, err := tx.Users.Get(accounts.AnyTenant, "counter")
					if err != nil {
						return err
					}
					var n int
					if _, err := fmt.Sscanf(r.Roles[0], "r%d", &n); err != nil {
						return err
					}
					r.Roles = []string{fmt.Sprint("r", n+1)}
					return tx.Users.Replace(r)
				})
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	r, err := get(t.Context(), s, "counter")
	if want := fmt.Sprint("r", writers*rounds); err != nil || r.Roles[0] != want {
		t.Errorf("Record = %+v, %v, want %s: an update was lost", r, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func revision(t *testing.T, s accounts.Store) int64 {
	t.Helper()
	n, err := s.Revision(t.Context())
	must(t, err)
	return n
}

func countAdmins(t *testing.T, s accounts.Store) (n int) {
	t.Helper()
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) (err error) {
		n, err = tx.CountAdmins()
		return err
	}))
	return n
}
