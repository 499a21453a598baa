package sqlstore_test

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// TestABackupIsOneStateWhileAnotherProcessWrites: a user that was acknowledged
// before is in it, and nothing that came in between is missing.
func TestABackupIsOneStateWhileAnotherProcessWrites(t *testing.T) {
	cfg := sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")}
	writer := startChild(t, cfg, childWrites+"=w")
	out, err := writer.StdoutPipe()
	must(t, err)
	must(t, writer.Start())
	lines := bufio.NewScanner(out)
	for n := 0; n < 20 && lines.Scan(); n++ { // until it is at work
	}
	last := lines.Text()
	backup := filepath.Join(t.TempDir(), "backup.db")
	errBackup := sqlstore.Backup(t.Context(), cfg, backup)
	_ = writer.Process.Kill()
	for lines.Scan() { // what it said until then
	}
	_ = writer.Wait() // it was killed
	must(t, errBackup)
	users, err := list(t.Context(), openFile(t, backup))
	must(t, err)
	numbers := map[string]bool{}
	for i := range users {
		numbers[users[i].Name] = true
	}
	for i := range users {
		if name := "w-" + strconv.Itoa(i); !numbers[name] {
			t.Errorf("%d users, and %s is missing", len(users), name)
		}
	}
	if !numbers[last] {
		t.Errorf("%s was acknowledged before the backup and is not in it", last)
	}
}

func TestARestoreEndsTheSignInsOfTheBackup(t *testing.T) {
	dir := t.TempDir()
	cfg, copied := sqlstore.Config{Path: filepath.Join(dir, "a", "onnxgate.db")}, sqlstore.Config{Path: filepath.Join(dir, "b", "onnxgate.db")}
	s, err := sqlstore.Open(t.Context(), cfg)
	must(t, err)
	fillTenants(t, s)
	must(t, s.Close())
	backup := filepath.Join(dir, "backup.db")
	must(t, sqlstore.Backup(t.Context(), cfg, backup))
	must(t, sqlstore.Restore(t.Context(), copied, backup, false))
	counts := map[string]int{}
	must(t, open(t, copied).View(t.Context(), func(tx *accounts.Tx) error {
		must(t, count(counts, "users", tx.Users))
		must(t, count(counts, "keys", tx.Keys))
		return count(counts, "families", tx.Families)
	}))
	if diff := cmp.Diff(map[string]int{"users": 2, "keys": 2, "families": 0}, counts); diff != "" {
		t.Error(diff)
	}
}

// TestTheCommandsForPostgreSQLWork runs what the errors and the documentation
// tell the operator to run.
func TestTheCommandsForPostgreSQLWork(t *testing.T) {
	server := testkit.StartPostgres(t)
	cfg := sqlstore.Config{URL: server.Database(t)}
	s := open(t, cfg)
	fillTenants(t, s)
	file := filepath.Join(t.TempDir(), "it's a dump")
	told := func(err error) string {
		_, line, found := strings.Cut(err.Error(), "tools of its own for that: ")
		if !found {
			t.Fatalf("no command in %v", err)
		}
		return line
	}
	env := "ONNXGATE_DATABASE_URL=" + cfg.URL
	server.Shell(t, told(sqlstore.Backup(t.Context(), cfg, file)), env)
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Tenants.Delete("acme", "acme") }))
	server.Shell(t, told(sqlstore.Restore(t.Context(), cfg, file, false)), env)
	db := connect(t, cfg.URL)
	if got := names(t, db, "*", "SELECT id FROM api_keys"); !cmp.Equal(got, []string{"key-of-acme", "key-of-other"}) {
		t.Errorf("after the restore there are the keys %q", got)
	}
	if got := names(t, db, "-", "SELECT id FROM api_keys"); got != nil {
		t.Errorf("after the restore a statement of no tenant finds %q", got)
	}
}

func TestALockThatAnotherProcessHoldsMakesWritersWaitAndReadersNot(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		s, other := open(t, cfg), open(t, cfg)
		insert(t, s, record("ada", "user"))
		locked, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- other.Update(context.WithoutCancel(t.Context()), func(*accounts.Tx) error {
				close(locked)
				<-release
				return nil
			})
		}()
		<-locked
		if _, err := get(t.Context(), s, "ada"); err != nil {
			t.Errorf("a reader: %v", err)
		}
		began := time.Now()
		err := s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Users.Insert(record("bob", "user")) })
		if fault.KindOf(err) != fault.Unavailable || time.Since(began) > 20*time.Second {
			t.Errorf("a writer after %v: %v, want unavailable", time.Since(began), err)
		}
		close(release)
		must(t, <-done)
		insert(t, s, record("bob", "user"))
	})
}

// TestATenantIsGoneFromEveryServerWhenItsDeletionReturns has two servers' worth
// of accounts on one database.
func TestATenantIsGoneFromEveryServerWhenItsDeletionReturns(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		s := open(t, cfg)
		makeTenants(t, s)
		deleting, serving := watched(t, s), watched(t, open(t, cfg))
		before, err := serving.Revision(t.Context())
		must(t, err)
		waitForServers(t, s, 2)
		must(t, deleting.DeleteTenant(t.Context(), accounts.Actor{Name: "root", Tenant: accounts.AnyTenant}, "acme"))
		if now, err := serving.Revision(t.Context()); err != nil || now == before {
			t.Errorf("the other server still knows revision %d, %v", now, err)
		}
	})
}

// waitForServers waits until that many servers have told of themselves.
func waitForServers(t *testing.T, s accounts.Store, want int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("there are %d servers", want), func() bool {
		counts := map[string]int{}
		must(t, s.View(t.Context(), func(tx *accounts.Tx) error { return count(counts, "servers", tx.Servers) }))
		return counts["servers"] == want
	})
}
