package limit_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

var alice = netip.MustParseAddr("192.0.2.1")

// clock is moved by hand.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_700_000_000, 300_000_000).Add(time.Duration(c.nanos.Load()))
}
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func perMinute(n int64) identity.Rates { return identity.Rates{{Requests: n, Window: time.Minute}} }

// result is what became of a request.
type result struct {
	Allowed          bool
	Limit, Remaining int64
	Window, Reset    time.Duration
}

// counted is a request of its own.
func counted(ctx context.Context, take func(context.Context) error) result {
	info := new(reqctx.Info)
	err := take(reqctx.With(ctx, info))
	r := result{Allowed: err == nil}
	if n := len(info.Limits); n > 0 {
		last := info.Limits[n-1]
		r.Limit, r.Remaining, r.Window, r.Reset = last.Quota, last.Remaining, last.Window, last.Reset
	}
	if err != nil {
		r.Reset = fault.As(err).RetryAfter
	}
	return r
}

func take(ctx context.Context, l *limit.Limiter, client netip.Addr) result {
	return counted(ctx, func(ctx context.Context) error { return l.Take(ctx, client) })
}

func TestRateIsExactForParallelClients(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(100), Now: c.now})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if take(t.Context(), l, alice).Allowed {
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
	l := limit.New(limit.Config{Rates: perMinute(2), Now: c.now})
	c.advance(45 * time.Second)
	steps := []struct {
		wait time.Duration
		want result
	}{
		{0, result{Allowed: true, Remaining: 1, Reset: 60 * time.Second}},
		{time.Millisecond, result{Allowed: true, Remaining: 0, Reset: 60 * time.Second}},
		{58 * time.Second, result{Reset: 2 * time.Second}},
		{1998 * time.Millisecond, result{Reset: time.Second}},
		{time.Millisecond, result{Allowed: true, Remaining: 1, Reset: 60 * time.Second}},
	}
	for i, s := range steps {
		c.advance(s.wait)
		s.want.Limit, s.want.Window = 2, time.Minute
		if got := take(t.Context(), l, alice); got != s.want {
			t.Errorf("step %d: %+v, want %+v", i, got, s.want)
		}
	}
}

func TestWaitingAsToldAlwaysWorks(t *testing.T) {
	for i := range 100 {
		var c clock
		c.advance(time.Duration(i) * 13_777_777)
		l := limit.New(limit.Config{Rates: identity.Rates{{Requests: 1, Window: time.Second}}, Now: c.now})
		take(t.Context(), l, alice)
		c.advance(time.Duration(i) * 9_999_999)
		refused := take(t.Context(), l, alice)
		if refused.Allowed || refused.Reset < time.Second {
			t.Fatalf("%d: %+v, want a refusal with at least a second to wait", i, refused)
		}
		c.advance(refused.Reset)
		if !take(t.Context(), l, alice).Allowed {
			t.Fatalf("%d: refused after waiting %v as told", i, refused.Reset)
		}
	}
}

func TestClockThatStepsBackGrantsNothing(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(1), Now: c.now})
	c.advance(time.Hour)
	take(t.Context(), l, alice)
	c.advance(-30 * time.Minute)
	if r := take(t.Context(), l, alice); r.Allowed || r.Reset > time.Minute {
		t.Errorf("after a step back: %+v, want a refusal for at most a minute", r)
	}
	c.advance(30*time.Minute + time.Minute)
	if !take(t.Context(), l, alice).Allowed {
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
		if r := take(t.Context(), l, alice); r != (result{Allowed: true}) {
			t.Fatalf("%+v, want everything admitted and no numbers", r)
		}
	}
}

func TestChangedRateKeepsTheCounts(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(3), Now: c.now})
	for range 3 {
		take(t.Context(), l, alice)
	}
	if r := take(t.Context(), l.WithRates(perMinute(5)), alice); !r.Allowed || r.Remaining != 1 {
		t.Errorf("raised to 5 after 3: %+v, want 1 left", r)
	}
	if r := take(t.Context(), l.WithRates(perMinute(2)), alice); r.Allowed || r.Remaining != 0 {
		t.Errorf("lowered to 2 after 4: %+v, want a refusal", r)
	}
}

func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestFloodOfClientsNeitherGrowsMemoryNorForgetsAnOffender(t *testing.T) {
	const clients = 4096
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(3), Clients: clients, Now: c.now})
	for range 4 {
		take(t.Context(), l, alice)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 500_000 {
		if !take(t.Context(), l, addr(i)).Allowed {
			t.Fatalf("newcomer %d was refused while others were idle", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*200 {
		t.Errorf("memory grew by %d bytes for %d entries", grown, clients)
	}
	if take(t.Context(), l, alice).Allowed {
		t.Error("the offender was forgotten")
	}
}

func TestClientThatAskedMostIsForgottenLast(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(3), Clients: 1024, Now: c.now})
	for range 3 {
		take(t.Context(), l, alice) // all used, never refused
	}
	for i := range 100_000 {
		take(t.Context(), l, addr(i))
	}
	if take(t.Context(), l, alice).Allowed {
		t.Error("a flood of single requests made the limiter forget a client at its limit")
	}
}

// Where every place is held by an offender, the newcomers of one network share a
// bucket, and only they.
func TestNewcomersShareABucketWhenAllPlacesHoldOffenders(t *testing.T) {
	for name, tc := range map[string]struct{ flood, a, sameAsA, b func(int) netip.Addr }{
		"IPv4": {
			flood: addr,
			a:     func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i), 1}) }, sameAsA: func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i), 2}) },
			b: func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 1, byte(i), 1}) },
		},
		"IPv6": {
			flood: func(i int) netip.Addr { return subscriber(i, 0) },
			a:     func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 2, 1, 1, byte(i), 15: 1}) }, sameAsA: func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 2, 1, 1, byte(i), 1, 15: 1}) },
			b: func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 2, 1, 2, byte(i), 15: 1}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			l := limit.New(limit.Config{Rates: perMinute(2), Clients: 2048, Now: c.now})
			for i := range 10_000 {
				for range 3 {
					take(t.Context(), l, tc.flood(i))
				}
			}
			for i, want := range []bool{true, true, false} {
				if got := take(t.Context(), l, tc.a(i)); got.Allowed != want {
					t.Errorf("newcomer %d of a network: %+v, want allowed %v", i, got, want)
				}
			}
			if got := take(t.Context(), l, tc.sameAsA(7)); got.Allowed || got.Reset <= 0 || got.Reset > time.Minute {
				t.Errorf("another of it: %+v, want a refusal for at most a minute", got)
			}
			if got := take(t.Context(), l, tc.b(0)); !got.Allowed {
				t.Errorf("one of another network: %+v", got)
			}
			c.advance(time.Minute)
			if got := take(t.Context(), l, tc.a(9)); !got.Allowed {
				t.Errorf("refused after waiting as told: %+v", got)
			}
		})
	}
}

// A million addresses, each of which asked more often than it may, in two windows.
func TestAMillionAddressesTakeABoundedMemory(t *testing.T) {
	var c clock
	before := heap()
	l := limit.New(limit.Config{Policy: "predict", Rates: testkit.Rates("1/second, 2/minute"), Now: c.now})
	for i := range 1 << 20 {
		client := addr(i)
		if i%4 == 0 {
			client = subscriber(i>>18, i>>2)
		}
		_ = l.Take(t.Context(), client)
		if i%8 == 0 {
			_ = l.Take(t.Context(), client)
		}
	}
	grown := heap() - before
	t.Logf("%.1f MiB, %d entries", float64(grown)/(1<<20), l.Size())
	if grown > 32<<20 {
		t.Errorf("%d bytes for a million addresses, want 32 MiB at most", grown)
	}
	runtime.KeepAlive(l)
}

// subscriber is the i-th /64 of the n-th /48.
func subscriber(n, i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 8), byte(n), byte(i >> 8), byte(i), 15: 1})
}

func TestFloodFromTwoSitesLocksNobodyElseOut(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(5), Now: c.now})
	bob := subscriber(7, 7)
	for range 6 {
		take(t.Context(), l, bob)
	}
	admitted := 0
	for i := range 80_000 {
		for range 6 {
			if take(t.Context(), l, subscriber(i%2, i/2)).Allowed {
				admitted++
			}
		}
	}
	if want := 2 * 5 * limit.SiteFactor; admitted != want {
		t.Errorf("%d requests of two sites were admitted, want %d", admitted, want)
	}
	for i := range 200 {
		if !take(t.Context(), l, addr(i)).Allowed {
			t.Fatalf("new IPv4 client %d is refused", i)
		}
		if !take(t.Context(), l, subscriber(100+i, 0)).Allowed {
			t.Fatalf("new IPv6 client %d is refused", i)
		}
	}
	if take(t.Context(), l, bob).Allowed {
		t.Error("an offender was forgotten")
	}
}

func TestFloodFromAllSitesLocksNoIPv4ClientOutAndIsBounded(t *testing.T) {
	const clients = 4096
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(1), Clients: clients, Now: c.now})
	for range 2 {
		take(t.Context(), l, alice)
		take(t.Context(), l, subscriber(0, 0))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 200_000 {
		for range 2 {
			take(t.Context(), l, subscriber(1+i/4, i))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*200 {
		t.Errorf("memory grew by %d bytes for %d entries", grown, clients)
	}
	for i := range 200 {
		if !take(t.Context(), l, addr(i)).Allowed {
			t.Fatalf("new IPv4 client %d is refused", i)
		}
	}
	if take(t.Context(), l, alice).Allowed || take(t.Context(), l, subscriber(0, 0)).Allowed {
		t.Error("an offender was forgotten")
	}
}

func TestSubscribersOfOneSiteShareARate(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(2), Now: c.now})
	expect := func(n, i int, want result) {
		t.Helper()
		want.Window = time.Minute
		if got := take(t.Context(), l, subscriber(n, i)); got != want {
			t.Errorf("subscriber %d of site %d: %+v, want %+v", i, n, got, want)
		}
	}
	for range 1000 { // what its own rate refuses costs the neighbors nothing
		take(t.Context(), l, subscriber(0, 0))
	}
	expect(0, 0, result{Limit: 2, Reset: time.Minute})
	c.advance(10 * time.Second)
	for i := 1; i < limit.SiteFactor; i++ {
		expect(0, i, result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
		expect(0, i, result{Allowed: true, Limit: 2, Remaining: 0, Reset: time.Minute})
	}
	// The site's window ends in 50 s, that of subscriber 1 ten seconds later.
	expect(0, 99, result{Limit: 2 * limit.SiteFactor, Reset: 50 * time.Second})
	expect(0, 1, result{Limit: 2 * limit.SiteFactor, Reset: time.Minute})
	expect(1, 99, result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
	c.advance(50 * time.Second)
	expect(0, 99, result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
	expect(0, 1, result{Limit: 2, Reset: 10 * time.Second})
	c.advance(10 * time.Second)
	expect(0, 1, result{Allowed: true, Limit: 2, Remaining: 1, Reset: time.Minute})
}

func TestRateOfASiteIsExactForParallelClients(t *testing.T) {
	var c clock
	l := limit.New(limit.Config{Rates: perMinute(10), Now: c.now})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 1000 {
				if take(t.Context(), l, subscriber(0, worker*1000+i)).Allowed {
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
			l := limit.New(limit.Config{Rates: perMinute(identity.MaxRequests), Now: time.Now})
			info := new(reqctx.Info)
			ctx := reqctx.With(b.Context(), info)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				info.Limits = info.Limits[:0]
				_ = l.Take(ctx, addr(i%n))
			}
		})
	}
	b.Run("IPv6", func(b *testing.B) {
		l := limit.New(limit.Config{Rates: perMinute(identity.MaxRequests), Now: time.Now})
		b.ReportAllocs()
		for b.Loop() {
			_ = l.Take(b.Context(), subscriber(1, 1))
		}
	})
}
