package sqlstore_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/keys"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the fixture of the newest schema, and no other")

// Databases of each version of the schema, as the program of that time made
// them: files of SQLite, and the rows of PostgreSQL, which the migrations up to
// that version come before.
const (
	files = "testdata/schema-*.db"
	rows  = "testdata/postgres-*.sql"
)

// fixturePin is in every fixture since models can be rolled back.
var fixturePin = inference.Pin{Folder: "@acme/iris", Tenant: "acme", Version: "1", Newest: "2"}

// fixtureUse is in every fixture since there are quotas.
var fixtureUse = quota.Use{12, 34, 56, 78}

// fixtureKey is in every fixture since servers share the keys that sign tokens.
func fixtureKey() keys.Record {
	return keys.Record{KID: "kid", Public: []byte("public"), Private: []byte("wrapped"), Since: time.Unix(1772366400, 123456789).UTC()}
}

// fixtureKEK is in every fixture since it is known which key-encryption keys were in use.
func fixtureKEK() sealing.KEKUse {
	return sealing.KEKUse{Fingerprint: "5b0f2c9e", Number: 1, Since: time.Unix(1772366400, 0).UTC()}
}

func fixturePlace() quota.Place {
	return quota.Place{Tenant: "acme", Key: "key", Per: limit.PerMonth, Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

// holds is what a fixture holds beside users.
type holds struct{ keys, pins, quotas, signing, keks bool }

// fixtureUsers are in every fixture.
func fixtureUsers() []*accounts.Record {
	disabled := record("dora", "analyst")
	disabled.Disabled, disabled.Tenant = true, "acme"
	admin := record("admin", "admin")
	admin.InitialPassword = true
	return []*accounts.Record{admin, record("ada", "admin", "user"), disabled}
}

// fillFixture makes what the newest fixture holds.
func fillFixture(tx *accounts.Tx) error {
	errs := []error{tx.Tenants.Insert(tenant("acme"))}
	for _, r := range fixtureUsers() {
		errs = append(errs, tx.Users.Insert(r))
	}
	of := family("acme", "family")
	of.User = "dora"
	return errors.Join(append(errs, tx.Clients.Insert(client("acme", "ogc_1")), tx.Keys.Insert(apiKey("acme", "key")),
		tx.Families.Insert(of), tx.Revocations.Insert(revocation("acme", "token")))...)
}

func TestEverySchemaOfSQLiteIsStillRead(t *testing.T) {
	if *update {
		status := writeFixture(t)
		t.Logf("wrote the fixture of schema %d", status.Newest)
	}
	fixtures, err := filepath.Glob(files)
	must(t, err)
	for i, fixture := range fixtures {
		t.Run(filepath.Base(fixture), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "onnxgate.db")
			data, err := os.ReadFile(fixture)
			must(t, err)
			must(t, os.WriteFile(path, data, 0o600))
			status, err := sqlstore.Inspect(t.Context(), sqlstore.Config{Path: path})
			if err != nil || status.Version != i+1 || status.Newest != len(fixtures) {
				t.Errorf("%d fixtures, this one of schema %+v, %v: run go test -run SQLiteIsStillRead -update", len(fixtures), status, err)
			}
			wantFixture(t, openFile(t, path), holds{keys: i >= 1, pins: i >= 2, quotas: i >= 3, signing: i >= 4, keks: i >= 5})
		})
	}
}

// writeFixture writes the fixture of the newest schema.
func writeFixture(t *testing.T) *sqlstore.Status {
	t.Helper()
	cfg := sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")}
	s, err := sqlstore.Open(t.Context(), cfg)
	must(t, err)
	must(t, s.Update(t.Context(), fillFixture))
	must(t, s.ModelPins().Put(t.Context(), fixturePin))
	must(t, s.Usage().Charge(t.Context(), func(l quota.Ledger) error { return l.Add(fixturePlace(), fixtureUse) }))
	key, kek := fixtureKey(), fixtureKEK()
	must(t, s.Signing().Update(t.Context(), func(all sealing.SigningKeys) error {
		return errors.Join(all.Put(&key), all.Wrapped().AddKEK(&kek))
	}))
	must(t, s.Close())
	status, err := sqlstore.Inspect(t.Context(), cfg)
	must(t, err)
	fixture := strings.Replace(files, "*", strconv.Itoa(status.Newest), 1)
	_ = os.Remove(fixture)
	must(t, sqlstore.Backup(t.Context(), cfg, fixture))
	return status
}

func TestEverySchemaOfPostgreSQLIsStillRead(t *testing.T) {
	server := testkit.StartPostgres(t)
	fixtures, err := filepath.Glob(rows)
	must(t, err)
	steps, err := filepath.Glob("migrations/postgres/*.sql")
	must(t, err)
	if len(fixtures) != len(steps) {
		t.Errorf("%d fixtures for %d versions of the schema", len(fixtures), len(steps))
	}
	for i, fixture := range fixtures {
		t.Run(filepath.Base(fixture), func(t *testing.T) {
			url := server.Database(t)
			db := connect(t, url)
			for _, file := range append(append([]string{}, steps[:i+1]...), fixture) {
				text, err := os.ReadFile(file)
				must(t, err)
				_, err = db.ExecContext(t.Context(), string(text))
				must(t, err)
			}
			wantFixture(t, open(t, sqlstore.Config{URL: url}), holds{keys: true, pins: i >= 1, quotas: i >= 2, signing: i >= 3, keks: i >= 4})
		})
	}
}

// wantFixture looks for what fixtures hold.
func wantFixture(t *testing.T, s *sqlstore.Store, has holds) {
	t.Helper()
	var want []inference.Pin
	if has.pins {
		want = []inference.Pin{fixturePin}
	}
	pins, err := s.ModelPins().All(t.Context())
	must(t, err)
	var wantSigning []keys.Record
	if has.signing {
		wantSigning = []keys.Record{fixtureKey()}
	}
	if diff := cmp.Diff(wantSigning, listSigning(t, s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, pins); diff != "" {
		t.Error(diff)
	}
	var wantKEKs []sealing.KEKUse
	if has.keks {
		wantKEKs = []sealing.KEKUse{fixtureKEK()}
	}
	must(t, s.Sealing().View(t.Context(), func(all sealing.Keys) error {
		got, err := all.Wrapped().KEKs()
		if diff := cmp.Diff(wantKEKs, got); diff != "" {
			t.Error(diff)
		}
		return err
	}))
	for _, w := range fixtureUsers() {
		got, err := get(t.Context(), s, w.Name)
		must(t, err)
		if diff := cmp.Diff(w, got); diff != "" {
			t.Error(diff)
		}
	}
	if !has.keys {
		return
	}
	wantKey, wantTenant, wantUse := apiKey("acme", "key"), tenant("acme"), fixtureUse
	if !has.quotas {
		wantKey.Quota, wantTenant.Rate, wantTenant.Quota, wantUse = "", "", "", quota.Use{}
	}
	used, err := s.Usage().Usage(t.Context(), []quota.Place{fixturePlace()})
	must(t, err)
	if diff := cmp.Diff([]quota.Use{wantUse}, used); diff != "" {
		t.Error(diff)
	}
	must(t, s.View(t.Context(), func(tx *accounts.Tx) error {
		key, err := tx.Keys.Get("acme", "key")
		if diff := cmp.Diff(wantKey, key, networks); diff != "" {
			t.Error(diff)
		}
		acme, errTenant := tx.Tenants.Get("acme", "acme")
		if diff := cmp.Diff(wantTenant, acme, networks); diff != "" {
			t.Error(diff)
		}
		_, errClient := tx.Clients.Get("acme", "ogc_1")
		_, errFamily := tx.Families.Get("acme", "family")
		_, errToken := tx.Revocations.Get("acme", "token")
		return errors.Join(err, errTenant, errClient, errFamily, errToken)
	}))
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		s, err := sqlstore.Open(t.Context(), cfg)
		must(t, err)
		must(t, s.Close())
		if cfg.URL != "" {
			_, err := connect(t, cfg.URL).ExecContext(t.Context(), "UPDATE onnxgate_schema SET version = 1000")
			must(t, err)
		} else {
			execute(t, cfg.Path, "PRAGMA user_version = 1000")
		}
		if _, err := sqlstore.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "schema version 1000") {
			t.Errorf("Open = %v", err)
		}
		if status, err := sqlstore.Inspect(t.Context(), cfg); err != nil || status.Version != 1000 {
			t.Errorf("Inspect = %+v, %v", status, err)
		}
	})
}

func TestADatabaseOfAnotherProgramIsRefused(t *testing.T) {
	url := testkit.StartPostgres(t).Database(t)
	_, err := connect(t, url).ExecContext(t.Context(), "CREATE TABLE orders (id INTEGER)")
	must(t, err)
	if _, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Open = %v", err)
	}
}

func TestConstraintsStandInTheDatabase(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		s := open(t, b.fresh(t))
		fillTenants(t, s)
		same := client("acme", "another")
		same.Certificate = client("acme", "client-of-acme").Certificate
		orphan := family("acme", "orphan")
		orphan.User = "nobody"
		for name, change := range map[string]func(*accounts.Tx) error{
			"a tenant with a bad name":       func(tx *accounts.Tx) error { return tx.Tenants.Insert(tenant("Acme Corp")) },
			"a tenant without a name":        func(tx *accounts.Tx) error { return tx.Tenants.Insert(tenant("")) },
			"any tenant as a name":           func(tx *accounts.Tx) error { return tx.Tenants.Insert(tenant("*")) },
			"a client of no tenant":          func(tx *accounts.Tx) error { return tx.Clients.Insert(client("gone", "c")) },
			"a key of no tenant":             func(tx *accounts.Tx) error { return tx.Keys.Insert(apiKey("gone", "k")) },
			"a certificate of two clients":   func(tx *accounts.Tx) error { return tx.Clients.Insert(same) },
			"a family without a user":        func(tx *accounts.Tx) error { return tx.Families.Insert(orphan) },
			"a key with another's id":        func(tx *accounts.Tx) error { return tx.Keys.Insert(apiKey("other", "key-of-acme")) },
			"a revocation twice":             func(tx *accounts.Tx) error { return tx.Revocations.Insert(revocation("acme", "token-of-acme")) },
			"a revocation of any tenant (*)": func(tx *accounts.Tx) error { return tx.Revocations.Insert(revocation("*", "t")) },
		} {
			if err := s.Update(t.Context(), change); err == nil || fault.KindOf(err) == fault.Unavailable {
				t.Errorf("%s: %v, want an error that is not the database's", name, err)
			}
		}
	})
}
