package quota_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

func TestOnlyAnsweredPredictionsCount(t *testing.T) {
	m := newMemory("acme")
	s := newService(t, m, quotas(map[string]string{"acme": "calls=3/day,rows=10/day"}), nil)
	for range 50 {
		r, err := s.Reserve(t.Context(), acme, quota.Use{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		r.Settle(quota.Use{})
	}
	if got := calls(t, s, acme, 10); got != 3 {
		t.Errorf("%d were answered, want 3", got)
	}
}

func TestAKeysQuotaAndItsTenantsHoldBesideEachOther(t *testing.T) {
	for name, tc := range map[string]struct {
		tenant, key string
		want        int
	}{
		"the tenant's is less": {"calls=5/month", "calls=10/month", 5},
		"the key's is less":    {"calls=10/month", "calls=5/month", 5},
		"the key's alone":      {"", "calls=5/month", 5},
		"the tenant's alone":   {"calls=5/month", "", 5},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory("acme")
			s := newService(t, m, quotas(map[string]string{"acme": tc.tenant, "acme/job": tc.key}), nil)
			if got := calls(t, s, job, 20); got != tc.want {
				t.Errorf("%d were answered", got)
			}
			report, err := s.Of(t.Context(), job)
			if err != nil || report.Day.Calls != int64(tc.want) {
				t.Errorf("%+v, %v", report, err)
			}
			for _, line := range report.Quotas {
				if line.Used != int64(tc.want) {
					t.Errorf("%+v", line)
				}
			}
		})
	}
}

// Whoever waits as long as he was told is served, whichever quotas there are.
func TestWaitingAsLongAsToldWorks(t *testing.T) {
	for _, texts := range []map[string]string{
		{"acme": "calls=4/day"},
		{"acme": "calls=4/month"},
		{"acme": "calls=4/day,calls=4/month"},
		{"acme": "calls=4/day", "acme/job": "calls=4/month"},
		{"acme": "calls=4/month", "acme/job": "calls=4/day"},
		{"acme": "rows=4/day,bytes=400/month"},
		{"acme": "compute_ms=4/day"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory("acme")
			s := newService(t, m, quotas(texts), nil)
			use := quota.Use{1, 1, 100, 1e6}
			for round := range 3 {
				answered := 0
				var err error
				for {
					r, refused := s.Reserve(t.Context(), job, quota.Use{1, 1, 100})
					if err = refused; err != nil {
						break
					}
					answered++
					r.Settle(use)
				}
				f := fault.As(err)
				if answered != 4 || f.Kind != fault.QuotaExceeded || f.RetryAfter <= 0 {
					t.Fatalf("%v, round %d: %d were answered, then %v", texts, round, answered, err)
				}
				time.Sleep(f.RetryAfter - time.Millisecond)
				if err := call(t.Context(), s, job, use); fault.KindOf(err) != fault.QuotaExceeded {
					t.Fatalf("%v: a millisecond too early: %v", texts, err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestWhatNoPeriodHasRoomForIsRefusedForGood(t *testing.T) {
	m := newMemory("acme")
	s := newService(t, m, quotas(map[string]string{"acme": "rows=100/day"}), nil)
	err := call(t.Context(), s, acme, quota.Use{1, 101})
	if f := fault.As(err); f.Kind != fault.Content || f.RetryAfter != 0 {
		t.Errorf("%v", err)
	}
	if err := call(t.Context(), s, acme, quota.Use{1, 100}); err != nil {
		t.Error(err)
	}
}

// Compute is known afterwards: what is under way when it runs out is beyond the
// quota, and counted.
func TestComputeOverrunsByWhatIsUnderWay(t *testing.T) {
	m := newMemory("acme")
	s := newService(t, m, quotas(map[string]string{"acme": "compute_ms=10/day"}), nil)
	var flying []*quota.Reservation
	for range 3 {
		r, err := s.Reserve(t.Context(), acme, one)
		if err != nil {
			t.Fatal(err)
		}
		flying = append(flying, r)
	}
	for _, r := range flying {
		r.Settle(quota.Use{1, 1, 100, int64(9 * time.Millisecond)})
	}
	if err := call(t.Context(), s, acme, one); fault.KindOf(err) != fault.QuotaExceeded {
		t.Errorf("27 of 10 ms are used: %v", err)
	}
	report, err := s.Of(t.Context(), acme)
	if err != nil || report.Day.ComputeMS != 27 || report.Quotas[0].Used != 27 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestASoftQuotaWarnsOnceInAPeriodAndRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		texts := map[string]string{"acme": "soft:calls=10/day", "acme/job": "soft:rows=5/day"}
		var mu sync.Mutex
		var all []quota.Warning
		warn := func(w quota.Warning) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, w)
		}
		warned := func() []quota.Warning {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		s := newService(t, m, quotas(texts), warn)
		stop := running(t, s)
		for range 2 {
			if got := calls(t, s, job, 4); got != 4 {
				t.Fatal(got)
			}
			time.Sleep(5 * time.Second)
		}
		if got := calls(t, s, job, 30); got != 30 {
			t.Fatal(got)
		}
		time.Sleep(5 * time.Second)
		soft := func(unit limit.Unit, n int64) limit.Quota {
			return limit.Quota{Unit: unit, Per: limit.PerDay, Limit: n, Soft: true}
		}
		want := []quota.Warning{
			{Tenant: "acme", Key: "job", Quota: soft(limit.UnitRows, 5), Used: 5},
			{Tenant: "acme", Quota: soft(limit.UnitCalls, 10), Used: 10},
		}
		if diff := cmp.Diff(want, warned()); diff != "" {
			t.Error(diff)
		}
		stop()
		// Another process on the same day does not say it again; the next day does.
		again := newService(t, m, quotas(texts), warn)
		running(t, again)
		_ = calls(t, again, job, 30)
		time.Sleep(5 * time.Second)
		if got := warned(); len(got) != 2 {
			t.Errorf("it was said again: %v", got[2:])
		}
		time.Sleep(24 * time.Hour)
		_ = calls(t, again, job, 30)
		time.Sleep(5 * time.Second)
		if got := warned(); len(got) != 4 {
			t.Errorf("%d warnings, want 4", len(got))
		}
	})
}

func TestAChangedQuotaHoldsFromTheNextCallOn(t *testing.T) {
	m, b := newMemory("acme"), quotas(map[string]string{})
	s := newService(t, m, b, nil)
	if got := calls(t, s, acme, 40); got != 40 {
		t.Fatal(got)
	}
	b.set("acme", "calls=50/day")
	if got := calls(t, s, acme, 100); got != 10 {
		t.Errorf("%d of the 10 that were left were answered", got)
	}
	b.set("acme", "calls=45/day")
	if got := calls(t, s, acme, 100); got != 0 {
		t.Errorf("%d were answered beyond a lowered quota", got)
	}
	b.set("acme", "")
	if got := calls(t, s, acme, 100); got != 100 {
		t.Errorf("%d were answered without one", got)
	}
	report, err := s.Tenant(t.Context(), "acme", time.Time{})
	if err != nil || report.Day.Calls != 150 || len(report.Quotas) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// clock is a wall that is set by hand, over hands that go on evenly.
type clock struct{ at time.Time }

// R05: a clock that jumps grants nothing. Steps of the wall move no reading of
// time.Now against another; here there is none, and what a period used stays used
// whenever it is the present one.
func TestAClockThatJumpsGrantsNothing(t *testing.T) {
	m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=5/day"})
	c := clock{time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}
	start := func() *quota.Service {
		s, err := quota.New(quota.Config{Store: m, Limits: b, Now: func() time.Time { return c.at }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	want := func(what string, n int) {
		t.Helper()
		if got := calls(t, s, acme, 20); got != n {
			t.Errorf("%s: %d were answered, want %d", what, got, n)
		}
	}
	want("at first", 5)
	c.at = c.at.Add(-36 * time.Hour)
	want("a day back", 0)
	c.at = c.at.Add(36 * time.Hour)
	want("and here again", 0)
	c.at = c.at.Add(24 * time.Hour)
	want("the next day", 5)
	c.at = c.at.Add(-24 * time.Hour)
	want("back from it", 0)
	s = start() // a start at the wrong time
	want("back from it, in another process", 0)
	c.at = c.at.Add(24 * time.Hour)
	want("the next day once more", 0)
}

// What was used is told for each day, what the store has not heard of included.
func TestUseIsToldDayByDay(t *testing.T) {
	c := clock{time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}
	s, err := quota.New(quota.Config{Store: newMemory("acme"), Limits: quotas(map[string]string{}), Now: func() time.Time { return c.at }})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{5, 2} {
		if got := calls(t, s, acme, n); got != n {
			t.Fatalf("%d of %d were answered", got, n)
		}
		c.at = c.at.Add(24 * time.Hour)
	}
	days, err := s.Days(t.Context(), "acme", "", time.Date(2026, 3, 13, 23, 59, 0, 0, time.UTC), time.Date(2026, 3, 15, 1, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, d := range days.Days {
		got[d.Start.Format(time.DateOnly)] = d.Calls
	}
	if diff := cmp.Diff(map[string]int64{"2026-03-13": 0, "2026-03-14": 5, "2026-03-15": 2}, got); diff != "" {
		t.Errorf("calls by day (-want +got):\n%s", diff)
	}
	own, err := s.DaysOf(t.Context(), acme, time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), time.Time{})
	if err != nil || len(own.Days) != 2 || own.Days[0].Calls != 2 {
		t.Errorf("up to now, the 16th: %+v, %v", own, err)
	}
	for _, last := range []time.Time{c.at.Add(-48 * time.Hour), c.at.Add(400 * 24 * time.Hour)} {
		if days, err := s.Days(t.Context(), "acme", "", c.at, last); fault.KindOf(err) != fault.BadRequest || days != nil {
			t.Errorf("to %v: %v, %v", last, days, err)
		}
	}
}

// What nobody has used yet of one period must not go back while somebody waits for
// another: it would be missing for the very call.
func TestNothingGoesBackWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{"acme": "calls=300/day,rows=900/month"}), nil)
		month, _ := limit.PerMonth.Around(time.Now())
		m.set(func(m *memory) {
			m.used[quota.Place{Tenant: "acme", Per: limit.PerMonth, Start: month}] = quota.Use{0, 800}
		})
		if err := call(t.Context(), s, acme, quota.Use{1, 890}); fault.KindOf(err) != fault.QuotaExceeded {
			t.Fatalf("890 rows of 100: %v", err)
		}
		// More calls than are set aside, and fewer rows.
		if err := call(t.Context(), s, acme, quota.Use{40, 2}); err != nil {
			t.Errorf("2 rows of 100: %v", err)
		}
	})
}

// What was set aside goes on to its end, also where other units have to be asked for.
func TestALeaseGoesOnWhereTheQuotaIsLowered(t *testing.T) {
	m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=2000/day,rows=2000/month"})
	s := newService(t, m, b, nil)
	many := quota.Use{20, 1}
	if err := call(t.Context(), s, acme, many); err != nil {
		t.Fatal(err)
	}
	b.set("acme", "calls=2000/day,rows=10/month")
	n := 1
	for ; n < 200 && call(t.Context(), s, acme, many) == nil; n++ {
	}
	month, _ := limit.PerMonth.Around(time.Now())
	if rows := m.at("acme", "", limit.PerMonth, month)[limit.UnitRows]; n < 10 || int64(n) > rows {
		t.Errorf("%d calls were answered, and %d rows are stored", n, rows)
	}
}
