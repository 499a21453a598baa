package app

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/redis"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// replica is what of a server follows the changes of others, and asks the database by
// itself once an hour alone.
type replica struct {
	*accounts.Service

	changes *changes
	looks   looks
}

// looks are how often something else was to be looked at.
type looks struct{ atomic.Int64 }

func (l *looks) Look(context.Context) { l.Add(1) }

func startReplica(t *testing.T, database, url string) *replica {
	t.Helper()
	client, err := redis.New(redis.Config{URL: url, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &replica{changes: newChanges(client)}
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: database, Moved: r.changes.moved})
	if err != nil {
		t.Fatal(err)
	}
	if r.Service, err = accounts.New(accounts.Config{
		Store: store, PollInterval: time.Hour, MaxStale: time.Hour, Params: accounts.Params{Memory: 64, Time: 1, Threads: 1},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Watch(ctx) })
	running.Go(func() { r.changes.run(ctx, r, &r.looks) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// knows waits until a server knows the present revision of the database, or returns.
func (r *replica) knows(t *testing.T, want int64, within time.Duration) bool {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		got, err := r.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got == want || time.Now().After(deadline) {
			return got == want
		}
	}
}

// TestAChangeIsKnownToOtherServersWithoutTheirAsking: they ask once an hour here. What
// was said while the connection was lost is found out when it is there again.
func TestAChangeIsKnownToOtherServersWithoutTheirAsking(t *testing.T) {
	const long = 30 * time.Second
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	database, url := filepath.Join(t.TempDir(), "onnxgate.db"), server.URL(0)
	one, other := startReplica(t, database, url), startReplica(t, database, url)
	change := func(name string) int64 {
		t.Helper()
		_, err := one.AddTenant(t.Context(), accounts.Actor{Name: "root", Tenant: identity.DefaultTenant}, accounts.NewTenant{Name: name})
		if err != nil && fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		revision, err := one.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	for _, name := range []string{"acme", "globex", "initech"} {
		before := other.looks.Load()
		if !other.knows(t, change(name), long) {
			t.Fatalf("%s is not known", name)
		}
		testkit.Eventually(t, "what seals text is looked at, too", func() bool { return other.looks.Load() > before })
	}
	testkit.Eventually(t, "those who follow keys and tenants are told", func() bool {
		return len(other.changes.keys) > 0 && len(other.changes.tenants) > 0
	})
	server.Stop(t)
	missed := change("hooli")
	if other.knows(t, missed, 50*time.Millisecond) {
		t.Error("it was known without Redis, and without asking")
	}
	server.Start(t)
	if !other.knows(t, missed, long) {
		t.Error("what was missed is not known when Redis is back")
	}
	testkit.Eventually(t, "Redis is back", one.changes.redis.Up)
	if !other.knows(t, change("umbrella"), long) {
		t.Error("nothing is told after Redis was back")
	}
}
