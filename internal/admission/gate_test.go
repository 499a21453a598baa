package admission_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/testkit"
)

// predict has a prediction take so long, and returns how long it waited.
func predict(ctx context.Context, m *admission.Model, tenant string, bytes int64, rows int, took time.Duration) (time.Duration, error) {
	began := time.Now()
	p, err := m.Enter(ctx, caller(tenant), bytes)
	if err != nil {
		return 0, err
	}
	err = p.Spend(ctx, rows)
	waited := time.Since(began)
	if err == nil {
		time.Sleep(took)
	}
	p.Leave(err == nil, took)
	return waited, err
}

// R09: one tenant at a hundred times its load. Another's prediction waits for one
// place to become free at most, and none of them is refused.
func TestAFloodOfOneTenantKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 100 * time.Millisecond
		c := newControl(t, admission.Config{Processors: 2, QueueTimeout: 2 * time.Second})
		m := c.Model("iris", none)
		ctx, end := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		var served, overloaded atomic.Int64
		for range 2000 {
			flood.Go(func() {
				for ctx.Err() == nil {
					switch _, err := predict(ctx, m, "flood", 0, 1, took); fault.KindOf(err) { //nolint:exhaustive // the others end the flood
					case fault.Overloaded:
						overloaded.Add(1)
						time.Sleep(time.Second) // as Retry-After says
					default:
						served.Add(1)
					}
				}
			})
		}
		time.Sleep(time.Second)
		for i := range 100 {
			waited, err := predict(t.Context(), m, "modest", 0, 1, took)
			if err != nil || waited > took {
				t.Errorf("prediction %d of the other tenant: waited %v, %v; want at most %v, its own time", i, waited, err, took)
			}
			time.Sleep(37 * time.Millisecond)
		}
		end()
		flood.Wait()
		if served.Load() < 100 || overloaded.Load() == 0 {
			t.Errorf("of the flood %d were served, and %d refused", served.Load(), overloaded.Load())
		}
	})
}

func TestLargeBatchesKeepNoSinglePredictionWaiting(t *testing.T) {
	for name, large := range map[string]struct {
		bytes int64
		rows  int
	}{"by their bodies": {1 << 20, 1}, "by their rows": {0, 10_000}} {
		for _, processors := range []int{1, 2, 8} {
			t.Run(fmt.Sprint(name, " on ", processors), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newControl(t, admission.Config{Processors: processors, QueueTimeout: 30 * time.Second})
					m := c.Model("iris", none)
					var batches sync.WaitGroup
					for range 40 {
						batches.Go(func() { _, _ = predict(t.Context(), m, "acme", large.bytes, large.rows, 10*time.Second) })
					}
					synctest.Wait()
					if n, want := c.InFlight(), max(1, processors-1); n != want {
						t.Errorf("%d large batches are computed at once, want %d", n, want)
					}
					for range 10 {
						if waited, err := predict(t.Context(), m, "acme", 0, 1, time.Millisecond); waited != 0 || err != nil {
							t.Errorf("a single prediction waited %v: %v", waited, err)
						}
					}
					batches.Wait()
				})
			})
		}
	}
}

func TestQueueIsFirstComeFirstServedWithinATenantAndHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{MaxInFlight: 1, QueueTimeout: 2500 * time.Millisecond})
		m := c.Model("iris", none)
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				waited, err := predict(t.Context(), m, "acme", 0, 1, time.Second)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					order = append(order, i)
				} else if f := fault.As(err); f.Kind != fault.Overloaded || f.RetryAfter < time.Second {
					t.Errorf("prediction %d waited %v: %v", i, waited, err)
				}
			})
			synctest.Wait()
		}
		if n := c.Queued(); n != 4 {
			t.Errorf("%d wait, want 4", n)
		}
		all.Wait()
		if fmt.Sprint(order) != "[0 1 2]" { // the others would have waited 3 s and 4 s
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestFullQueueMakesRoomForTheTenantOfWhichFewerWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{MaxInFlight: 1, QueueTimeout: time.Hour})
		m := c.Model("iris", none)
		ctx, end := context.WithCancel(t.Context())
		var refused atomic.Int64
		var all sync.WaitGroup
		enter := func(tenant string) {
			all.Go(func() {
				if _, err := predict(ctx, m, tenant, 0, 1, time.Second); fault.KindOf(err) == fault.Overloaded {
					refused.Add(1)
				}
			})
			synctest.Wait()
		}
		for range 1200 {
			enter("flood")
		}
		if n := refused.Load(); c.Queued() != 1024 || n != 1200-1025 {
			t.Errorf("%d wait and %d were refused", c.Queued(), n)
		}
		before := refused.Load()
		enter("modest")
		if c.Queued() != 1024 || refused.Load() != before+1 {
			t.Errorf("%d wait and %d were refused: no room was made", c.Queued(), refused.Load()-before)
		}
		end()
		all.Wait()
		if c.Queued() != 0 || c.InFlight() != 0 {
			t.Errorf("%d wait and %d are in flight at the end", c.Queued(), c.InFlight())
		}
	})
}

func TestAModelsConcurrencyHoldsNobodyElseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Processors: 8, QueueTimeout: time.Hour})
		slow, other := c.Model("slow", admission.Limits{Concurrency: 3}), c.Model("other", none)
		var now, most atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				p, err := slow.Enter(t.Context(), caller("acme"), 0)
				if err != nil {
					t.Error(err)
					return
				}
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				now.Add(-1)
				p.Leave(true, time.Second)
			})
		}
		synctest.Wait()
		if waited, err := predict(t.Context(), other, "acme", 0, 1, 0); waited != 0 || err != nil {
			t.Errorf("another model waited %v: %v", waited, err)
		}
		all.Wait()
		if most.Load() != 3 {
			t.Errorf("%d at once, want 3", most.Load())
		}
	})
}

func TestDeadlinePassedInTheQueueIsToldAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{MaxInFlight: 1, QueueTimeout: time.Hour})
		m := c.Model("iris", none)
		first, err := m.Enter(t.Context(), caller("acme"), 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 2 { // the second comes when it is too late
			if _, err := m.Enter(ctx, caller("acme"), 0); fault.KindOf(err) != fault.Timeout {
				t.Errorf("%v, want a timeout", err)
			}
		}
		first.Leave(true, 0)
		if c.InFlight() != 0 || c.Queued() != 0 {
			t.Errorf("%d in flight, %d queued", c.InFlight(), c.Queued())
		}
	})
}

// One tenant's predictions, however many and however long, leave a place to each of
// so many others, of both sizes.
func TestOneTenantNeverHoldsEveryPlace(t *testing.T) {
	const slow = time.Hour
	for name, tc := range map[string]struct {
		cfg         admission.Config
		concurrency int  // of the model
		known       bool // the others have asked before
		alone       [2]int
		// held is how many of each size the tenant has at most while there are others,
		// and others how many of those find a place beside it.
		held, others [2]int
	}{
		"one processor":             {cfg: admission.Config{Processors: 1}, alone: [2]int{1, 1}, held: [2]int{1, 1}, others: [2]int{1, 1}},
		"two processors":            {cfg: admission.Config{Processors: 2}, alone: [2]int{2, 1}, held: [2]int{2, 1}, others: [2]int{1, 1}},
		"sixteen processors":        {cfg: admission.Config{Processors: 16}, alone: [2]int{16, 15}, held: [2]int{16, 15}, others: [2]int{4, 3}},
		"a number that is set":      {cfg: admission.Config{Processors: 8, MaxInFlight: 8}, known: true, alone: [2]int{4, 4}, held: [2]int{3, 3}, others: [2]int{1, 1}},
		"as large a number":         {cfg: admission.Config{Processors: 2, MaxInFlight: 9}, known: true, alone: [2]int{8, 1}, held: [2]int{6, 1}, others: [2]int{2, 0}},
		"where others are known of": {cfg: admission.Config{Processors: 8, MaxInFlight: 8, OneTenant: func() bool { return false }}, alone: [2]int{3, 3}, held: [2]int{3, 3}, others: [2]int{1, 1}},
		"the only place":            {cfg: admission.Config{Processors: 2, MaxInFlight: 1}, known: true, alone: [2]int{1, 0}, held: [2]int{1, 0}, others: [2]int{0, 0}},
		"places of a shared model":  {cfg: admission.Config{Processors: 16}, concurrency: 8, known: true, alone: [2]int{8, 0}, held: [2]int{6, 0}, others: [2]int{2, 0}},
		"one place of such a model": {cfg: admission.Config{Processors: 16}, concurrency: 1, known: true, alone: [2]int{1, 0}, held: [2]int{1, 0}, others: [2]int{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.cfg.QueueTimeout = time.Second
				c := newControl(t, tc.cfg)
				m := c.Model("shared", admission.Limits{Concurrency: tc.concurrency})
				sizes := [2]int64{0, 1 << 20}
				// fill has a tenant ask again and again, and returns how many got a place.
				fill := func(tenant string, size, times int) (got []*admission.Passage) {
					for range times {
						if p, err := m.Enter(t.Context(), caller(tenant), sizes[size]); err == nil {
							got = append(got, p)
						} else if fault.KindOf(err) != fault.Overloaded {
							t.Error(err)
						}
					}
					return got
				}
				flood := func(want [2]int, who string) (got []*admission.Passage) {
					for size, n := range want {
						all := fill("flood", size, 20)
						if len(all) != n {
							t.Errorf("%s: the tenant holds %d places of size %d, want %d", who, len(all), size, n)
						}
						got = append(got, all...)
					}
					return got
				}
				all := flood(tc.alone, "alone")
				leave := func() {
					for _, p := range all {
						p.Leave(true, slow)
					}
					all = nil
				}
				leave()
				if tc.known {
					for _, p := range fill("other 0", 0, 1) {
						p.Leave(true, 0)
					}
				}
				all = flood(tc.held, "beside others")
				for size, n := range tc.others {
					for i := range n + 1 {
						got := fill(fmt.Sprint("other ", i), size, 1)
						if (len(got) == 1) != (i < n) {
							t.Errorf("tenant %d beside it got %d places of size %d, want that %d tenants get one", i, len(got), size, n)
						}
						all = append(all, got...)
					}
				}
				leave()
				if c.InFlight() != 0 || c.Queued() != 0 {
					t.Errorf("%d in flight, %d queued", c.InFlight(), c.Queued())
				}
			})
		})
	}
}

// A tenant that waits for its own places keeps nobody from those that are kept, and
// gets its next when one of its own is free.
func TestWaitingTenantHasNoTurnAtAKeptPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Processors: 2, QueueTimeout: time.Hour})
		m := c.Model("iris", none)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if _, err := predict(t.Context(), m, "flood", 0, 1, time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for range 100 {
			if waited, err := predict(t.Context(), m, "modest", 0, 1, time.Second); waited != 0 || err != nil {
				t.Errorf("the other tenant waited %v: %v", waited, err)
			}
			synctest.Wait()
			if n := c.InFlight(); n > 2 {
				t.Errorf("%d of one tenant are computed at once", n)
			}
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took != 80*time.Second {
			t.Errorf("the other six were done %v later, want 80s: two at once", took)
		}
	})
}

// Whatever comes, waits, goes away and fails: never more than there may be at once,
// and nothing is held at the end.
func TestNoPlaceIsLostOrGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{MaxInFlight: 5, Processors: 4, QueueTimeout: 20 * time.Millisecond})
		m := c.Model("iris", admission.Limits{Concurrency: 4})
		var all sync.WaitGroup
		var now atomic.Int64
		for i := range 3000 {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			all.Go(func() {
				time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+random.IntN(30))*time.Millisecond)
				defer cancel()
				p, err := m.Enter(ctx, caller(fmt.Sprint(random.IntN(7))), int64(random.IntN(2)<<20))
				if err != nil {
					return
				}
				if err = p.Spend(ctx, random.IntN(2)*5000); err == nil {
					if n := now.Add(1); n > 4 {
						t.Errorf("%d at once", n)
					}
					time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
					now.Add(-1)
				}
				p.Leave(err == nil, 0)
			})
		}
		all.Wait()
		if c.InFlight() != 0 || c.Queued() != 0 {
			t.Errorf("%d in flight, %d queued", c.InFlight(), c.Queued())
		}
	})
}

// quotas counts what is reserved and settled.
type quotas struct {
	reserved, used []admission.Use
	refuse         error
}

func (q *quotas) Reserve(_ context.Context, _ *identity.Principal, use admission.Use) (admission.Reservation, error) {
	q.reserved = append(q.reserved, use)
	if q.refuse != nil {
		return nil, q.refuse
	}
	return q, nil
}

func (q *quotas) Settle(used admission.Use) { q.used = append(q.used, used) }

func TestQuotasAreSettledWithWhatWasUsed(t *testing.T) {
	q := &quotas{}
	c := newControl(t, admission.Config{Quotas: q})
	m := c.Model("iris", none)
	for _, answered := range []bool{true, false} {
		p, err := m.Enter(t.Context(), caller("acme"), 300)
		if err == nil {
			err = p.Spend(t.Context(), 7)
			p.Leave(answered, time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	q.refuse = fault.New(fault.RateLimited, "used up")
	p, err := m.Enter(t.Context(), caller("acme"), 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Spend(t.Context(), 7); err == nil {
		t.Error("a quota that is used up refuses nothing")
	}
	p.Leave(false, 0)
	asked, full := admission.Use{Calls: 1, Rows: 7, Bytes: 300}, admission.Use{Calls: 1, Rows: 7, Bytes: 300, Compute: time.Second}
	if fmt.Sprint(q.reserved, q.used) != fmt.Sprint([]admission.Use{asked, asked, asked}, []admission.Use{full, {}}) {
		t.Errorf("reserved %v, used %v", q.reserved, q.used)
	}
}

// A model's rate is shared: who has nothing left of a quota must not use it up, and
// what a rate refuses is given back to the quota.
func TestQuotaThatIsUsedUpUsesUpNoRateOfAModel(t *testing.T) {
	q := &quotas{refuse: fault.New(fault.QuotaExceeded, "used up")}
	c := newControl(t, admission.Config{Quotas: q})
	m := c.Model("iris", admission.Limits{Rates: testkit.Rates("3/minute"), Rows: testkit.Rates("10/minute")})
	spend := func(rows int) error {
		ctx, _ := request(t.Context())
		if err := m.Open(ctx, caller("acme")); err != nil {
			return err
		}
		p, err := m.Enter(ctx, caller("acme"), 0)
		if err != nil {
			return err
		}
		err = p.Spend(ctx, rows)
		p.Leave(err == nil, 0)
		return err
	}
	for range 20 {
		if err := spend(1); fault.KindOf(err) != fault.QuotaExceeded {
			t.Fatalf("%v, want that the quota is used up", err)
		}
	}
	q.refuse, q.used, q.reserved = nil, nil, nil
	for i, step := range []struct {
		rows int
		want fault.Kind
	}{{10, admitted}, {11, fault.Content}, {1, fault.RateLimited}, {1, fault.RateLimited}} {
		if err := spend(step.rows); (err == nil) != (step.want == admitted) || err != nil && fault.KindOf(err) != step.want {
			t.Errorf("request %d of %d rows: %v", i, step.rows, err)
		}
	}
	if len(q.used) != len(q.reserved) {
		t.Errorf("%d were reserved and %d settled", len(q.reserved), len(q.used))
	}
	if calls := total(q.used); calls != 1 {
		t.Errorf("%d calls were used, want the one that was answered", calls)
	}
}

// admitted is no fault.
const admitted = fault.Kind(255)

func total(used []admission.Use) (calls int64) {
	for _, u := range used {
		calls += u.Calls
	}
	return calls
}

// BenchmarkPrediction is what all limits together cost one prediction that none of
// them refuses.
func BenchmarkPrediction(b *testing.B) {
	for name, cfg := range map[string]struct {
		rates  admission.Rates
		limits admission.Limits
		p      identity.Principal
	}{
		"no limits":   {},
		"the default": {rates: admission.Rates{Predict: testkit.Rates("1000000000/minute")}},
		"every limit in two windows": {
			rates:  admission.Rates{Predict: testkit.Rates("1000000000/second, 1000000000/minute")},
			limits: admission.Limits{Rates: testkit.Rates("1000000000/second, 1000000000/minute"), Rows: testkit.Rates("1000000000/second, 1000000000/minute"), Concurrency: 100},
			p:      identity.Principal{Limit: testkit.Limit("1000000000/second, 1000000000/minute"), TenantLimit: testkit.Limit("1000000000/second, 1000000000/minute")},
		},
		"rows of a key and a tenant": {
			p: identity.Principal{Limit: testkit.Limit("1000000000 rows/minute"), TenantLimit: testkit.Limit("1000000000 rows/minute")},
		},
	} {
		b.Run(name, func(b *testing.B) {
			c := newControl(b, admission.Config{Rates: cfg.rates, Processors: runtime.GOMAXPROCS(0), QueueTimeout: time.Second})
			m := c.Model("iris", cfg.limits)
			p := cfg.p
			p.Subject, p.Tenant = "apikey:1", "acme"
			ctx, info := request(b.Context())
			b.ReportAllocs()
			for b.Loop() {
				info.Limits = info.Limits[:0]
				err := c.Address(ctx, admission.Predict, client)
				if err == nil {
					err = c.Principal(ctx, admission.Predict, &p)
				}
				if err == nil {
					err = m.Open(ctx, &p)
				}
				if err != nil {
					b.Fatal(err)
				}
				passage, err := m.Enter(ctx, &p, 100)
				if err == nil {
					err = passage.Spend(ctx, 1)
				}
				if err != nil {
					b.Fatal(err)
				}
				passage.Leave(true, 0)
			}
		})
	}
}
