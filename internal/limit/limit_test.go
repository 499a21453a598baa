package limit_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/limit"
)

var alice = netip.MustParseAddr("192.0.2.1")

// clock is moved by hand.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_700_000_000, 300_000_000).Add(time.Duration(c.nanos.Load()))
}
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func perMinute(n int64) limit.Rate { return limit.Rate{Requests: n, Window: time.Minute} }

func TestParseRate(t *testing.T) {
	for in, want := range map[string]limit.Rate{
		"5/minute":                   perMinute(5),
		"1/second":                   {Requests: 1, Window: time.Second},
		"1000/hour":                  {Requests: 1000, Window: time.Hour},
		"1000000000/day":             {Requests: 1e9, Window: 24 * time.Hour},
		"off":                        {},
		"  10/minute ":               perMinute(10),
		"":                           {Requests: -1},
		"0/minute":                   {Requests: -1},
		"-1/minute":                  {Requests: -1},
		"+1/minute":                  {Requests: -1},
		"05/minute":                  {Requests: -1},
		"5":                          {Requests: -1},
		"5/":                         {Requests: -1},
		"5/minutes":                  {Requests: -1},
		"5/Minute":                   {Requests: -1},
		"5-M":                        {Requests: -1},
		"5/minute/2":                 {Requests: -1},
		"1e3/minute":                 {Requests: -1},
		"1000000001/day":             {Requests: -1},
		"9999999999999999999999/day": {Requests: -1},
		"Off":                        {Requests: -1},
	} {
		got, err := limit.ParseRate(in)
		if want.Requests < 0 {
			if err == nil {
				t.Errorf("ParseRate(%q) = %v, want an error", in, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", in, got, err, want)
		}
		if again, err := limit.ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q does not survive String and ParseRate: %v, %v", in, again, err)
		}
	}
}

func TestRateIsExactForParallelClients(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(100), Now: c.now})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if l.Take(t.Context(), alice).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 100 {
		t.Errorf("%d of 1600 requests were admitted, want exactly 100", got)
	}
}

func TestWindowBeginsWithTheFirstRequest(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(2), Now: c.now})
	c.advance(45 * time.Second)
	steps := []struct {
		wait time.Duration
		want limit.Result
	}{
		{0, limit.Result{Allowed: true, Remaining: 1, Reset: 60 * time.Second}},
		{time.Millisecond, limit.Result{Allowed: true, Remaining: 0, Reset: 60 * time.Second}},
		{58 * time.Second, limit.Result{Reset: 2 * time.Second}},
		{1998 * time.Millisecond, limit.Result{Reset: time.Second}},
		{time.Millisecond, limit.Result{Allowed: true, Remaining: 1, Reset: 60 * time.Second}},
	}
	for i, s := range steps {
		c.advance(s.wait)
		s.want.Limit, s.want.Window = 2, time.Minute
		if got := l.Take(t.Context(), alice); got != s.want {
			t.Errorf("step %d: %+v, want %+v", i, got, s.want)
		}
	}
}

func TestWaitingAsToldAlwaysWorks(t *testing.T) {
	for i := range 100 {
		var c clock
		c.advance(time.Duration(i) * 13_777_777)
		l := limit.New(limit.Config{Rate: limit.Rate{Requests: 1, Window: time.Second}, Now: c.now})
		l.Take(t.Context(), alice)
		c.advance(time.Duration(i) * 9_999_999)
		refused := l.Take(t.Context(), alice)
		if refused.Allowed || refused.Reset < time.Second {
			t.Fatalf("%d: %+v, want a refusal with at least a second to wait", i, refused)
		}
		c.advance(refused.Reset)
		if !l.Take(t.Context(), alice).Allowed {
			t.Fatalf("%d: refused after waiting %v as told", i, refused.Reset)
		}
	}
}

func TestClockThatStepsBackGrantsNothing(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(1), Now: c.now})
	c.advance(time.Hour)
	l.Take(t.Context(), alice)
	c.advance(-30 * time.Minute)
	if r := l.Take(t.Context(), alice); r.Allowed || r.Reset > time.Minute {
		t.Errorf("after a step back: %+v, want a refusal for at most a minute", r)
	}
	c.advance(30*time.Minute + time.Minute)
	if !l.Take(t.Context(), alice).Allowed {
		t.Error("refused when the window was over")
	}
}

func TestClientsAreToldApart(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		same bool
	}{
		"two IPv4 addresses":          {"192.0.2.1", "192.0.2.2", false},
		"one /64":                     {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		"two /64":                     {"2001:db8::1", "2001:db8:0:1::1", false},
		"IPv4 and its mapped form":    {"192.0.2.1", "::ffff:192.0.2.1", true},
		"two mapped addresses":        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"one address with two zones":  {"fe80::1%eth0", "fe80::1%eth1", true},
		"IPv4 and IPv6 of same bytes": {"32.1.13.184", "2001:db8::", false},
	} {
		a, b := limit.Key(netip.MustParseAddr(tc.a)), limit.Key(netip.MustParseAddr(tc.b))
		if (a == b) != tc.same {
			t.Errorf("%s: same client = %v, want %v", name, a == b, tc.same)
		}
	}
}

func TestNoLimit(t *testing.T) {
	l := limit.New(limit.Config{Now: (&clock{}).now})
	for range 100 {
		if r := l.Take(t.Context(), alice); r != (limit.Result{Allowed: true}) {
			t.Fatalf("%+v, want everything admitted and no numbers", r)
		}
	}
}

func TestChangedRateKeepsTheCounts(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(3), Now: c.now})
	for range 3 {
		l.Take(t.Context(), alice)
	}
	if r := l.WithRate(perMinute(5)).Take(t.Context(), alice); !r.Allowed || r.Remaining != 1 {
		t.Errorf("raised to 5 after 3: %+v, want 1 left", r)
	}
	if r := l.WithRate(perMinute(2)).Take(t.Context(), alice); r.Allowed || r.Remaining != 0 {
		t.Errorf("lowered to 2 after 4: %+v, want a refusal", r)
	}
}

func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestFloodOfClientsNeitherGrowsMemoryNorForgetsAnOffender(t *testing.T) {
	const clients = 4096
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(3), Clients: clients, Now: c.now})
	for range 4 {
		l.Take(t.Context(), alice)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 500_000 {
		if !l.Take(t.Context(), addr(i)).Allowed {
			t.Fatalf("newcomer %d was refused while others were idle", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*200 {
		t.Errorf("memory grew by %d bytes for %d entries", grown, clients)
	}
	if l.Take(t.Context(), alice).Allowed {
		t.Error("the offender was forgotten")
	}
}

func TestClientThatAskedMostIsForgottenLast(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(3), Clients: 1024, Now: c.now})
	for range 3 {
		l.Take(t.Context(), alice) // all used, never refused
	}
	for i := range 100_000 {
		l.Take(t.Context(), addr(i))
	}
	if l.Take(t.Context(), alice).Allowed {
		t.Error("a flood of single requests made the limiter forget a client at its limit")
	}
}

func TestNewcomerIsRefusedOnlyWhenAllPlacesHoldOffenders(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(1), Clients: 64, Now: c.now}) // one place a shard
	for i := range 10_000 {
		l.Take(t.Context(), addr(i))
		l.Take(t.Context(), addr(i))
	}
	r := l.Take(t.Context(), alice)
	if r.Allowed || r.Reset <= 0 || r.Reset > time.Minute {
		t.Fatalf("%+v, want a refusal for at most a minute", r)
	}
	c.advance(r.Reset)
	if !l.Take(t.Context(), alice).Allowed {
		t.Error("refused after waiting as told")
	}
}

// subscriber is the i-th /64 of the n-th /48.
func subscriber(n, i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 8), byte(n), byte(i >> 8), byte(i), 15: 1})
}

func TestFloodFromTwoSitesLocksNobodyElseOut(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(5), Now: c.now})
	bob := subscriber(7, 7)
	for range 6 {
		l.Take(t.Context(), bob)
	}
	admitted := 0
	for i := range 80_000 {
		for range 6 {
			if l.Take(t.Context(), subscriber(i%2, i/2)).Allowed {
				admitted++
			}
		}
	}
	if want := 2 * 5 * limit.SiteFactor; admitted != want {
		t.Errorf("%d requests of two sites were admitted, want %d", admitted, want)
	}
	for i := range 200 {
		if !l.Take(t.Context(), addr(i)).Allowed {
			t.Fatalf("new IPv4 client %d is refused", i)
		}
		if !l.Take(t.Context(), subscriber(100+i, 0)).Allowed {
			t.Fatalf("new IPv6 client %d is refused", i)
		}
	}
	if l.Take(t.Context(), bob).Allowed {
		t.Error("an offender was forgotten")
	}
}

func TestFloodFromAllSitesLocksNoIPv4ClientOutAndIsBounded(t *testing.T) {
	const clients = 4096
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(1), Clients: clients, Now: c.now})
	for range 2 {
		l.Take(t.Context(), alice)
		l.Take(t.Context(), subscriber(0, 0))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 200_000 {
		for range 2 {
			l.Take(t.Context(), subscriber(1+i/4, i))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*200 {
		t.Errorf("memory grew by %d bytes for %d entries", grown, clients)
	}
	for i := range 200 {
		if !l.Take(t.Context(), addr(i)).Allowed {
			t.Fatalf("new IPv4 client %d is refused", i)
		}
	}
	if l.Take(t.Context(), alice).Allowed || l.Take(t.Context(), subscriber(0, 0)).Allowed {
		t.Error("an offender was forgotten")
	}
}

func TestSubscribersOfOneSiteShareARate(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(2), Now: c.now})
	take := func(n, i int, want limit.Result) {
		t.Helper()
		want.Window = time.Minute
		if got := l.Take(t.Context(), subscriber(n, i)); got != want {
			t.Errorf("subscriber %d of site %d: %+v, want %+v", i, n, got, want)
		}
	}
	for range 1000 { // what its own rate refuses costs the neighbors nothing
		l.Take(t.Context(), subscriber(0, 0))
	}
	take(0, 0, limit.Result{Limit: 2, Reset: time.Minute})
	c.advance(10 * time.Second)
	for i := 1; i < limit.SiteFactor; i++ {
		take(0, i, limit.Result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
		take(0, i, limit.Result{Allowed: true, Limit: 2, Remaining: 0, Reset: time.Minute})
	}
	// The site's window ends in 50 s, that of subscriber 1 ten seconds later.
	take(0, 99, limit.Result{Limit: 2 * limit.SiteFactor, Reset: 50 * time.Second})
	take(0, 1, limit.Result{Limit: 2 * limit.SiteFactor, Reset: time.Minute})
	take(1, 99, limit.Result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
	c.advance(50 * time.Second)
	take(0, 99, limit.Result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
	take(0, 1, limit.Result{Limit: 2, Reset: 10 * time.Second})
	c.advance(10 * time.Second)
	take(0, 1, limit.Result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
}

func TestRateOfASiteIsExactForParallelClients(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rate: perMinute(10), Now: c.now})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 1000 {
				if l.Take(t.Context(), subscriber(0, worker*1000+i)).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 10*limit.SiteFactor {
		t.Errorf("%d requests of one site were admitted, want exactly %d", got, 10*limit.SiteFactor)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			l := limit.New(limit.Config{Rate: perMinute(limit.MaxRequests), Now: time.Now})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				l.Take(b.Context(), addr(i%n))
			}
		})
	}
	b.Run("IPv6", func(b *testing.B) {
		l := limit.New(limit.Config{Rate: perMinute(limit.MaxRequests), Now: time.Now})
		b.ReportAllocs()
		for b.Loop() {
			l.Take(b.Context(), subscriber(1, 1))
		}
	})
}
