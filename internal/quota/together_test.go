package quota_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

// gate is a store that lets a transaction in for each that is sent.
type gate struct {
	*memory
	in chan struct{}
}

func (g gate) Charge(ctx context.Context, charge func(quota.Ledger) error) error {
	<-g.in
	return g.memory.Charge(ctx, charge)
}

// server is one process with callers at once, behind a gate.
type server struct {
	*quota.Service
	gate
	t        *testing.T
	callers  sync.WaitGroup
	answered *atomic.Int64
}

func newServer(t *testing.T, m *memory, b *book, answered *atomic.Int64) *server {
	t.Helper()
	s := &server{gate: gate{m, make(chan struct{}, 1000)}, t: t, answered: answered}
	service, err := quota.New(quota.Config{Store: s.gate, Limits: b, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.Service = service
	return s
}

// come has callers come at once, and returns when they are answered, or wait.
func (s *server) come(n int, use quota.Use) {
	for range n {
		s.callers.Go(func() {
			switch err := call(s.t.Context(), s.Service, acme, use); {
			case err == nil:
				s.answered.Add(1)
			case fault.KindOf(err) != fault.QuotaExceeded:
				s.t.Error(err)
			}
		})
	}
	synctest.Wait()
}

// open lets transactions in, and returns when nothing more happens.
func (s *server) open(transactions int) {
	for range transactions {
		s.in <- struct{}{}
	}
	synctest.Wait()
}

// Two units that end together are used up to their end, whoever of two processes comes
// first to either: here many wait for rows with one, and then the other needs some for
// the calls that it has set aside.
func TestTwoUnitsThatEndTogetherAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100
		m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=100/day,rows=240/month"})
		var answered atomic.Int64
		one, other := newServer(t, m, b, &answered), newServer(t, m, b, &answered)
		use := quota.Use{1, 2}
		for _, s := range []*server{one, other} {
			s.open(1)
			s.come(1, quota.Use{1, 1})
		}
		for _, s := range []*server{one, other} {
			s.come(20, use) // more than there are calls set aside, but not rows: they wait
			s.come(20, use)
			s.open(2)
			if s == one {
				s.come(80, use)
			}
		}
		for _, s := range []*server{one, other} {
			s.open(cap(s.in) - len(s.in))
			s.callers.Wait()
		}
		if n := answered.Load(); n > most || n < most-most/20 {
			t.Errorf("%d were answered of %d", n, most)
		}
	})
}

// A call that there is not enough for leaves all that there is to others, in this
// process and in another.
func TestWhoIsRefusedLeavesWhatThereIs(t *testing.T) {
	for name, large := range map[string]quota.Use{
		"of both units":     {70, 70},
		"of one of the two": {1, 70},
		"of the other one":  {70, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=100/day,rows=100/month"})
			refuses, serves := newService(t, m, b, nil), newService(t, m, b, nil)
			if got := calls(t, refuses, acme, 60); got != 60 {
				t.Fatal(got)
			}
			if err := call(t.Context(), refuses, acme, large); fault.KindOf(err) != fault.QuotaExceeded {
				t.Fatalf("70 of 40: %v", err)
			}
			got, rest := calls(t, serves, acme, 100), calls(t, refuses, acme, 100)
			if got+rest != 40 || rest > 40/20 {
				t.Errorf("of the 40 that were left %d were answered, and %d where the large one was refused", got, rest)
			}
		})
	}
}

// While something goes back, nobody takes of it: another process may have it already.
func TestNobodyTakesWhatGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answered atomic.Int64
		s := newServer(t, newMemory("acme"), quotas(map[string]string{"acme": "calls=100/day"}), &answered)
		running(t, s.Service)
		s.open(2) // for the call, and to tell of its rows
		s.come(1, one)
		time.Sleep(3500 * time.Millisecond) // now what it did not use goes back
		s.come(1, one)
		if n := answered.Load(); n != 1 {
			t.Errorf("%d were answered, the second of what goes back", n)
		}
		s.open(100)
		if n := answered.Load(); n != 2 {
			t.Errorf("%d were answered of 2", n)
		}
	})
}

// What is set aside is in each unit for as many calls as in the others, and what they
// use: a process asks no more often for small numbers of rows, and keeps no calls that
// there are no rows for.
func TestALeaseIsForAsManyCallsInEachUnit(t *testing.T) {
	m := newMemory("acme")
	s := newService(t, m, quotas(map[string]string{"acme": "calls=1e6/day,rows=5000/month"}), nil)
	use := quota.Use{1, 5}
	for range 900 {
		if err := call(t.Context(), s, acme, use); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.askings(); n > 900/20 {
		t.Errorf("the store was asked %d times for 900 calls", n)
	}
	month, _ := limit.PerMonth.Around(time.Now())
	calls, rows := m.today("acme", "")[limit.UnitCalls]-900, m.at("acme", "", limit.PerMonth, month)[limit.UnitRows]-4500
	if calls > 10 || rows > 50 {
		t.Errorf("%d calls and %d rows are set aside, of 100 calls that there are rows for", calls, rows)
	}
}
