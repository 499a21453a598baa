package accounts_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// changing is a store that is told what it knows, and can be out of reach.
type changing struct {
	accounts.Store

	mu       sync.Mutex
	stamps   map[string]string
	revision int64
	down     bool
	loads    atomic.Int32
}

func (c *changing) set(name, stamp string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]string{name: stamp}
	c.stamps, c.revision = next, c.revision+1
}

func (c *changing) Revision(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return 0, errors.New("out of reach")
	}
	return c.revision, nil
}

func (c *changing) Stamps(context.Context) (map[string]string, error) {
	c.loads.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stamps, nil
}

func newChanging(t *testing.T, now *time.Time) (*changing, *accounts.Service) {
	t.Helper()
	store := new(changing)
	store.set("ada", "one")
	s, err := accounts.New(accounts.Config{Store: store, Params: cheap, Now: func() time.Time { return *now }})
	must(t, err)
	return store, s
}

func current(t *testing.T, s *accounts.Service, name, stamp string) bool {
	t.Helper()
	ok, err := s.Current(t.Context(), name, stamp)
	must(t, err)
	return ok
}

func TestOnlyThePresentStampIsCurrent(t *testing.T) {
	now := start
	_, s := newChanging(t, &now)
	for stamp, want := range map[[2]string]bool{
		{"ada", "one"}: true, {"ada", "two"}: false, {"ada", ""}: false, {"bob", "one"}: false, {"", ""}: false, {"Ada", "one"}: false,
	} {
		if got := current(t, s, stamp[0], stamp[1]); got != want {
			t.Errorf("Current(%q) = %v", stamp, got)
		}
	}
}

func TestAStampNewerThanWhatIsKnownIsLookedUp(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	current(t, s, "ada", "one")
	store.set("bob", "two") // and nobody watches
	if !current(t, s, "bob", "two") {
		t.Error("a user who was just added is refused")
	}
	if current(t, s, "ada", "one") {
		t.Error("a user who is gone is accepted")
	}
}

func TestNothingIsReadAgainWithoutAChange(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	for range 100 {
		current(t, s, "ada", "one")
		current(t, s, "ada", "former")
	}
	if n := store.loads.Load(); n != 1 {
		t.Errorf("the stamps were read %d times", n)
	}
}

func TestAStoreOutOfReachIsBorneForAMinute(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	current(t, s, "ada", "one")
	store.down = true
	now = start.Add(time.Minute)
	if !current(t, s, "ada", "one") || current(t, s, "ada", "former") {
		t.Error("what is known does not decide")
	}
	now = start.Add(time.Minute + time.Second)
	_, err := s.Current(t.Context(), "ada", "one")
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter < time.Second {
		t.Errorf("after more than a minute: %v, want unavailable", err)
	}
	store.down = false
	watchUntil(t, s, func() bool {
		ok, err := s.Current(t.Context(), "ada", "one")
		return err == nil && ok
	})
}

func TestAStoreThatWasNeverReachedIsAnError(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	store.down = true
	if ok, err := s.Current(t.Context(), "ada", "one"); err == nil || ok {
		t.Errorf("Current = %v, %v", ok, err)
	}
}

func TestWatchSeesAChange(t *testing.T) {
	now := start
	store, s := newChanging(t, &now)
	current(t, s, "ada", "one")
	store.set("ada", "two")
	watchUntil(t, s, func() bool { return store.loads.Load() == 2 })
}

// watchUntil watches until the condition holds, and then ends the watch.
func watchUntil(t *testing.T, s *accounts.Service, holds func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it does not happen")
			break
		}
	}
	stop()
	must(t, <-ended)
}

func TestOwnChangesAreKnownAtOnce(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	stamp := f.stamp(t, "ada")
	if !current(t, f.Service, "ada", stamp) {
		t.Fatal("the present stamp is refused")
	}
	must(t, f.Disable(t.Context(), "ada"))
	if current(t, f.Service, "ada", stamp) {
		t.Error("a disabled user is accepted")
	}
}

func BenchmarkCurrent(b *testing.B) {
	store := new(changing)
	store.set("ada", "one")
	s, err := accounts.New(accounts.Config{Store: store, Params: cheap})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := s.Current(b.Context(), "ada", "one"); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
