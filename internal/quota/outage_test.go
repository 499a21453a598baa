package quota_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

var errAway = fault.New(fault.Unavailable, "the database is away")

// running starts a service in the bubble of a test, and returns what stops it and
// waits for its last words.
func running(t *testing.T, s *quota.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// today returns what is stored of today.
func (m *memory) today(tenant, key string) quota.Use {
	start, _ := limit.PerDay.Around(time.Now())
	return m.at(tenant, key, limit.PerDay, start)
}

func wantUse(t *testing.T, what string, got, want quota.Use) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// The outage table, database: what was set aside goes on, then whoever has a hard
// quota is refused; whoever has none goes on; and all is counted in the end.
func TestWithoutTheDatabaseWhatWasSetAsideGoesOnAndThenOnlyThoseWithoutAQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme", "free")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=1e6/day", "free": "soft:calls=1/day"}), nil)
		stop := running(t, s)
		free := &identity.Principal{Tenant: "free"}
		if err := call(t.Context(), s, acme, one); err != nil {
			t.Fatal(err)
		}
		m.set(func(m *memory) { m.away = errAway })
		answered := 1
		var err error
		for err = call(t.Context(), s, acme, one); err == nil; err = call(t.Context(), s, acme, one) {
			answered++
			if err := call(t.Context(), s, free, one); err != nil {
				t.Fatal(err)
			}
		}
		f := fault.As(err)
		if f.Kind != fault.Unavailable || f.RetryAfter <= 0 || answered < 50 || answered > 101 {
			t.Errorf("after %d: %v", answered, err)
		}
		before := m.askings()
		for range 1000 {
			if err := call(t.Context(), s, acme, one); fault.KindOf(err) != fault.Unavailable {
				t.Fatal(err)
			}
		}
		if n := m.askings() - before; n > 2 {
			t.Errorf("the store was asked %d times in a moment in which it did not answer", n)
		}
		time.Sleep(time.Minute)
		if err := call(t.Context(), s, free, one); err != nil {
			t.Error(err)
		}
		m.set(func(m *memory) { m.away = nil })
		time.Sleep(2 * time.Second)
		if err := call(t.Context(), s, acme, one); err != nil {
			t.Errorf("the database is back: %v", err)
		}
		stop()
		wantUse(t, "with a quota", m.today("acme", ""), quota.Use{int64(answered) + 1, int64(answered) + 1, 100 * (int64(answered) + 1)})
		wantUse(t, "without one", m.today("free", ""), quota.Use{int64(answered), int64(answered), 100 * int64(answered)})
	})
}

// A transaction whose end nobody knows costs what it would have set aside, and never
// lets more be used than there is.
func TestAnUnknownEndOfATransactionOverrunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=500/day"}), nil)
		running(t, s)
		answered := 0
		for i := range 2000 {
			m.set(func(m *memory) {
				m.lost = nil
				if i%40 == 0 {
					m.lost = errors.New("the connection ended")
				}
			})
			if call(t.Context(), s, acme, one) == nil {
				answered++
			}
			time.Sleep(50 * time.Millisecond)
		}
		if stored := m.today("acme", "")[limit.UnitCalls]; answered > 500 || int64(answered) > stored || stored > 500 {
			t.Errorf("%d were answered, and %d are stored", answered, stored)
		}
	})
}

func TestACleanStopKeepsAllAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=1e6/day", "acme/job": "rows=1e6/month"}), nil)
		stop := running(t, s)
		for range 7 {
			if err := call(t.Context(), s, job, quota.Use{1, 3, 10, 5e6}); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		wantUse(t, "the tenant", m.today("acme", ""), quota.Use{7, 21, 70, 35e6})
		wantUse(t, "the key", m.today("acme", "job"), quota.Use{7, 21, 70, 35e6})
	})
}

// Usage is counted without quotas too: a second late, and by the hundred.
func TestUsageIsToldSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{}), nil)
		running(t, s)
		for range 99 {
			_ = call(t.Context(), s, acme, one)
		}
		synctest.Wait()
		wantUse(t, "at first", m.today("acme", ""), quota.Use{})
		_ = call(t.Context(), s, acme, one)
		time.Sleep(260 * time.Millisecond)
		synctest.Wait()
		wantUse(t, "of a hundred", m.today("acme", ""), quota.Use{100, 100, 10_000})
		_ = call(t.Context(), s, acme, one)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		wantUse(t, "a second later", m.today("acme", ""), quota.Use{101, 101, 10_100})
		asked := m.askings()
		time.Sleep(time.Hour)
		if n := m.askings() - asked; n > 0 {
			t.Errorf("the store was asked %d times when there was nothing to say", n)
		}
	})
}

func TestWhatATenantThatIsGoneUsedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme", "other")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=5/day"}), nil)
		running(t, s)
		other := &identity.Principal{Tenant: "other"}
		_, _ = call(t.Context(), s, acme, one), call(t.Context(), s, other, one)
		m.set(func(m *memory) { delete(m.tenants, "acme"); clear(m.used) })
		time.Sleep(10 * time.Second)
		_ = call(t.Context(), s, other, one)
		time.Sleep(2 * time.Second)
		wantUse(t, "gone", m.today("acme", ""), quota.Use{})
		if got := m.today("other", "")[limit.UnitCalls]; got < 1 {
			t.Errorf("of another tenant: %d", got)
		}
		asked := m.askings()
		time.Sleep(time.Minute)
		if n := m.askings() - asked; n > 0 {
			t.Errorf("the store was asked %d times about a tenant that is gone", n)
		}
	})
}

func TestAnAccountThatNobodyUsesIsForgottenAndComesBackAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=5/day"}), nil)
		running(t, s)
		if got := calls(t, s, acme, 3); got != 3 {
			t.Fatal(got)
		}
		time.Sleep(time.Hour)
		if got := s.Accounts(); got != 0 {
			t.Errorf("%d accounts are in memory", got)
		}
		if got := calls(t, s, acme, 10); got != 2 {
			t.Errorf("%d more were answered, want 2", got)
		}
		if m.pruned.IsZero() {
			t.Error("nothing was pruned")
		}
	})
}

// What was set aside, or is in flight, for a tenant that is deleted is not the next
// one's of that name, and takes nothing from it.
func TestATenantMadeAgainHasItsQuotaToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=1000/day"})
		s, other := newService(t, m, b, nil), newService(t, m, b, nil)
		running(t, s)
		running(t, other)
		for _, one := range []*quota.Service{s, other} {
			calls(t, one, acme, 30)
		}
		flying, err := s.Reserve(t.Context(), acme, one)
		if err != nil {
			t.Fatal(err)
		}
		made := time.Now()
		m.set(func(m *memory) { clear(m.used); m.made = made })
		b.mu.Lock()
		b.texts["acme"], b.made = "calls=100/day", made
		b.revision++
		b.mu.Unlock()
		answered := calls(t, s, acme, 10) // before it tells, and the other tells before it is asked
		flying.Settle(quota.Use{})
		time.Sleep(10 * time.Second)
		answered += calls(t, s, acme, 1000)
		time.Sleep(10 * time.Second)
		answered += calls(t, other, acme, 1000)
		time.Sleep(10 * time.Second)
		answered += calls(t, s, acme, 1000)
		wantUse(t, "of the new one", m.today("acme", ""), quota.Use{100, 100, 10_000})
		if answered != 100 {
			t.Errorf("%d of 100 calls were answered", answered)
		}
	})
}

func TestATenantMadeAgainIsNotToldWhatTheOneBeforeItUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory("acme"), quotas(nil)
		s := newService(t, m, b, nil)
		calls(t, s, acme, 30)
		made := time.Now()
		m.set(func(m *memory) { m.made = made })
		b.mu.Lock()
		b.made = made
		b.revision++
		b.mu.Unlock()
		report, err := s.Tenant(t.Context(), "acme", time.Time{})
		if err != nil || report.Day.Calls != 0 || report.Month.Calls != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
