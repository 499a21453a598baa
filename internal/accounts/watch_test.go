package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// changing is a store with a revision, which can be out of reach.
type changing struct {
	mu       sync.Mutex
	revision int64
	down     bool
	looks    int
}

func (c *changing) set(change func(c *changing)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *changing) Revision(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	if c.down {
		return 0, errors.New("out of reach")
	}
	return c.revision, nil
}

func (*changing) View(context.Context, func(*accounts.Tx) error) error {
	return errors.New("not asked here")
}

func (*changing) Update(context.Context, func(*accounts.Tx) error) error {
	return errors.New("not asked here")
}

func (*changing) Note(context.Context, func(*accounts.Tx) error) error {
	return errors.New("not asked here")
}

func newChanging(t *testing.T, now *time.Time) (*changing, *accounts.Service) {
	t.Helper()
	store := &changing{revision: 7}
	s, err := accounts.New(accounts.Config{Store: store, Params: cheap, Now: func() time.Time { return *now }})
	must(t, err)
	return store, s
}

// TestAnotherStoreIsTheSameWhenItHoldsWhatThisProcessTold: a copy of it, which is behind,
// and one of other processes are not.
func TestAnotherStoreIsTheSameWhenItHoldsWhatThisProcessTold(t *testing.T) {
	f := newFixture(t)
	s := f.service(t, func(c *accounts.Config) { c.PollInterval = time.Millisecond })
	if err := s.Shares(t.Context(), f.store); err == nil || !strings.Contains(err.Error(), "has just started") {
		t.Errorf("before it told anything: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Watch(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	testkit.Eventually(t, "it is the same", func() bool { return s.Shares(t.Context(), openStore(t, f.dir)) == nil })
	elsewhere := t.TempDir()
	if err := s.Shares(t.Context(), openStore(t, elsewhere)); err == nil || !strings.Contains(err.Error(), "not the database that this server works with") {
		t.Errorf("another one: %v", err)
	}
	folder := t.TempDir()
	must(t, sqlstore.Backup(t.Context(), sqlstore.Config{Path: filepath.Join(f.dir, "onnxgate.db")}, filepath.Join(folder, "onnxgate.db")))
	copied := openStore(t, folder)
	must(t, s.Shares(t.Context(), copied)) // nothing was told since
	f.add(t, "ada", "user")
	testkit.Eventually(t, "a copy is behind", func() bool { return s.Shares(t.Context(), copied) != nil })
	must(t, s.Shares(t.Context(), f.store))
}

func TestTheRevisionIsAnsweredFromMemory(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	for range 100 {
		if got, err := s.Revision(t.Context()); err != nil || got != 7 {
			t.Fatalf("Revision = %d, %v", got, err)
		}
	}
	if store.looks != 1 {
		t.Errorf("the store was asked %d times", store.looks)
	}
}

func TestAStoreOutOfReachIsBorneForAMinute(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	_, err := s.Revision(t.Context())
	must(t, err)
	store.down = true
	now = start.Add(time.Minute)
	if got, err := s.Revision(t.Context()); err != nil || got != 7 {
		t.Errorf("after a minute: %d, %v, want what is known", got, err)
	}
	now = start.Add(time.Minute + time.Second)
	_, err = s.Revision(t.Context())
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter < time.Second {
		t.Errorf("after more than a minute: %v, want unavailable", err)
	}
	store.down = false
	watchUntil(t, s, func() bool {
		_, err := s.Revision(t.Context())
		return err == nil
	})
}

// Whoever would wait for a store that hangs is told at once; one look that failed is
// no reason.
func TestAStoreThatIsLostIsWaitedForByNobody(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	_, err := s.Revision(t.Context())
	must(t, err)
	store.set(func(c *changing) { c.down = true })
	for _, tc := range []struct {
		after time.Duration
		want  fault.Kind // Internal is what this store answers
	}{{time.Second, fault.Internal}, {2 * time.Second, fault.Unavailable}, {time.Hour, fault.Unavailable}} {
		looks := store.looks
		now = start.Add(tc.after)
		watchUntil(t, s, func() bool {
			store.mu.Lock()
			defer store.mu.Unlock()
			return store.looks > looks
		})
		_, err := s.TokenStands(t.Context(), "ada", "stamp", "id")
		if f := fault.As(err); fault.KindOf(err) != tc.want || tc.want == fault.Unavailable && f.RetryAfter < time.Second {
			t.Errorf("after %v: %v, want %v", tc.after, err, tc.want)
		}
	}
	store.set(func(c *changing) { c.down = false })
	watchUntil(t, s, func() bool {
		_, err := s.TokenStands(t.Context(), "ada", "stamp", "id")
		return fault.KindOf(err) == fault.Internal
	})
}

func TestItIsToldWhenTheStoreWasLastReached(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	if last, err := s.Reached(); !last.IsZero() || err != nil {
		t.Errorf("before the first look: %v, %v", last, err)
	}
	_, err := s.Revision(t.Context())
	must(t, err)
	if last, err := s.Reached(); !last.Equal(start) || err != nil {
		t.Errorf("after it: %v, %v", last, err)
	}
	watchUntil(t, s, func() bool { // notes find the store read-only
		_, err := s.Reached()
		return err != nil && strings.Contains(err.Error(), "not asked here")
	})
	store.set(func(c *changing) { c.down = true })
	now = start.Add(time.Second)
	watchUntil(t, s, func() bool {
		last, err := s.Reached()
		return last.Equal(start) && err != nil && err.Error() == "out of reach"
	})
}

// writable takes every note.
type writable struct{ *changing }

func (writable) Note(context.Context, func(*accounts.Tx) error) error { return nil }

func TestWatchTellsOnceThatTheStoreIsAwayAndOnceThatItIsBack(t *testing.T) {
	var mu sync.Mutex
	var told []error
	store := writable{&changing{}}
	s, err := accounts.New(accounts.Config{Store: store, Params: cheap, PollInterval: time.Millisecond, Reached: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}})
	must(t, err)
	looked := func(n int) func() bool {
		from := -1
		return func() bool {
			store.mu.Lock()
			defer store.mu.Unlock()
			if from < 0 {
				from = store.looks
			}
			return store.looks > from+n
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	for _, down := range []bool{false, true, false} {
		store.set(func(c *changing) { c.down = down })
		testkit.Eventually(t, "it looks again", looked(5))
	}
	cancel()
	must(t, <-ended)
	if len(told) != 2 || told[0] == nil || told[1] != nil {
		t.Errorf("told %v, want an error and then none", told)
	}
}

func TestAStoreThatWasNeverReachedIsAnError(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	store.down = true
	if got, err := s.Revision(t.Context()); err == nil {
		t.Errorf("Revision = %d", got)
	}
}

func TestWatchSeesAChange(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	_, err := s.Revision(t.Context())
	must(t, err)
	store.set(func(c *changing) { c.revision = 8 })
	watchUntil(t, s, func() bool {
		got, err := s.Revision(t.Context())
		return err == nil && got == 8
	})
}

// watchUntil watches until the condition holds, and then ends the watch.
func watchUntil(t *testing.T, s *accounts.Service, holds func() bool) {
	t.Helper()
	stop := watch(t, s)
	defer stop()
	testkit.Eventually(t, "the condition holds", holds)
}

// watch has the service follow changes until stop, or until the test ends.
func watch(t *testing.T, s *accounts.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
	})
}

func stands(t *testing.T, s *accounts.Service, subject, stamp string) bool {
	t.Helper()
	ok, err := s.TokenStands(t.Context(), subject, stamp, "id")
	must(t, err)
	return ok
}

func TestOnlyThePresentStampStands(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	stamp := f.stamp(t, "ada")
	for name, tc := range map[string]struct {
		subject, stamp string
		want           bool
	}{
		"the present one":    {"ada", stamp, true},
		"another":            {"ada", stamp + "x", false},
		"none":               {"ada", "", false},
		"somebody else's":    {"bob", stamp, false},
		"nobody's":           {"", "", false},
		"another spelling":   {"Ada", stamp, false},
		"an unknown client":  {"ogc_aaaaaaaaaaaa", stamp, false},
		"an unknown, no one": {"ogc_aaaaaaaaaaaa", "", false},
	} {
		if got := stands(t, f.Service, tc.subject, tc.stamp); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestOwnChangesAreKnownAtOnce(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	before, err := f.Revision(t.Context())
	must(t, err)
	stamp := f.stamp(t, "ada")
	must(t, f.Disable(t.Context(), administrator, "ada"))
	if after, err := f.Revision(t.Context()); err != nil || after == before {
		t.Errorf("the revision stays %d, %v", after, err)
	}
	if stands(t, f.Service, "ada", stamp) {
		t.Error("a disabled user's token stands")
	}
}

func TestATenantIsDeletedWhenNoServerServesItAnyMore(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	other := f.service(t)
	must(t, errors.Join(revisionKnown(t, other)))
	stop := watch(t, other)
	defer stop()
	waitForServers(t, f, 1)
	must(t, f.DeleteTenant(t.Context(), administrator, "acme"))
	want, err := f.store.Revision(t.Context())
	must(t, err)
	if got, err := other.Revision(t.Context()); err != nil || got != want {
		t.Errorf("the other server knows revision %d, %v, want %d", got, err, want)
	}
	stop()
	waitForServers(t, f, 0)
}

func TestAServerThatStartsServesNoTenantThatIsDeletedMeanwhile(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	other := f.service(t)
	must(t, revisionKnown(t, other)) // of the time before
	joined := f.service(t)
	must(t, joined.Join(t.Context()))
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantKind(t, "before it has seen that", f.DeleteTenant(short, administrator, "acme"), fault.Timeout)
	defer watch(t, joined)()
	_, err = f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	must(t, f.DeleteTenant(t.Context(), administrator, "acme"))

	want, err := f.store.Revision(t.Context())
	must(t, err)
	must(t, other.Join(t.Context()))
	if got, err := other.Revision(t.Context()); err != nil || got != want {
		t.Errorf("a server that starts knows revision %d, %v, want %d", got, err, want)
	}
}

func revisionKnown(t *testing.T, s *accounts.Service) error {
	t.Helper()
	_, err := s.Revision(t.Context())
	return err
}

func waitForServers(t *testing.T, f *fixture, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("there are %d servers", n), func() bool {
		var all []accounts.Server
		must(t, f.store.View(t.Context(), func(tx *accounts.Tx) (err error) {
			all, err = tx.Servers.List(accounts.AnyTenant, accounts.Page{})
			return err
		}))
		return len(all) == n
	})
}

func TestAServerTidiesUpWhileItRuns(t *testing.T) {
	f := newFixture(t)
	must(t, f.store.Note(t.Context(), func(tx *accounts.Tx) error {
		return errors.Join(
			tx.Revocations.Insert(&accounts.Revocation{ID: "ended", Tenant: "default", ExpiresAt: start.Add(-time.Second)}),
			tx.Revocations.Insert(&accounts.Revocation{ID: "later", Tenant: "default", ExpiresAt: start.Add(30 * time.Second)}),
			tx.Servers.Insert(&accounts.Server{ID: "killed", At: start.Add(-25 * time.Hour)}),
		)
	}))
	left := func() (ids []string) {
		must(t, f.store.View(t.Context(), func(tx *accounts.Tx) error {
			all, err := tx.Revocations.List(accounts.AnyTenant, accounts.Page{})
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			return err
		}))
		return ids
	}
	wait := func(want ...string) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%q alone are left", want), func() bool { return slices.Equal(left(), want) })
	}
	stop := watch(t, f.Service)
	wait("later")
	waitForServers(t, f, 1) // this one, and no longer the killed one
	stop()
	f.now = start.Add(2 * time.Minute)
	stop = watch(t, f.Service)
	wait()
	stop()
}

func TestAServerThatWasKilledIsWaitedForAsLongAsItMayServe(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	must(t, f.store.Note(t.Context(), func(tx *accounts.Tx) error {
		return tx.Servers.Insert(&accounts.Server{ID: "killed", Seen: 1, At: start})
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantKind(t, "while it may serve", f.DeleteTenant(ctx, administrator, "acme"), fault.Timeout)
	_, err = f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	f.now = start.Add(time.Minute + 2*time.Second)
	must(t, f.DeleteTenant(t.Context(), administrator, "acme"))
}

func TestTheDefaultTenantStays(t *testing.T) {
	f := newFixture(t)
	wantKind(t, "delete", f.DeleteTenant(t.Context(), administrator, identity.DefaultTenant), fault.Conflict)
	wantKind(t, "disable", f.DisableTenant(t.Context(), administrator, identity.DefaultTenant), fault.Conflict)
	wantKind(t, "delete nobody", f.DeleteTenant(t.Context(), administrator, "acme"), fault.NotFound)
	wantKind(t, "disable nobody", f.DisableTenant(t.Context(), administrator, "acme"), fault.NotFound)
}

func TestAUserBelongsToATenantThatThereIs(t *testing.T) {
	f := newFixture(t)
	add := accounts.NewUser{Name: "ada", Password: password, Roles: []string{"user"}, Tenant: "acme"}
	_, _, err := f.Add(t.Context(), administrator, add)
	wantKind(t, "without the tenant", err, fault.Content)
	_, err = f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	_, _, err = f.Add(t.Context(), administrator, add)
	must(t, err)
	for _, tenant := range []string{"default", "other", ""} {
		_, err := f.User(t.Context(), tenant, "ada")
		wantKind(t, "read from "+tenant, err, fault.NotFound)
		wantKind(t, "disabled from "+tenant, f.Disable(t.Context(), accounts.Actor{Name: "other", Tenant: tenant}, "ada"), fault.NotFound)
		wantKind(t, "deleted from "+tenant, f.Delete(t.Context(), accounts.Actor{Name: "other", Tenant: tenant}, "ada"), fault.NotFound)
	}
	must(t, f.DeleteTenant(t.Context(), administrator, "acme"))
	_, err = f.User(t.Context(), accounts.AnyTenant, "ada")
	wantKind(t, "after the tenant", err, fault.NotFound)
}

func BenchmarkRevision(b *testing.B) {
	s, err := accounts.New(accounts.Config{Store: &changing{revision: 7}, Params: cheap})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Revision(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
