package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

func newTable(c *clock, order, clients int) *limit.Table {
	return limit.NewTable(limit.TableConfig{Policy: "key", Order: order, Clients: clients, Now: c.now})
}

func TestCallersHaveRatesOfTheirOwn(t *testing.T) {
	c := new(clock)
	table := newTable(c, 0, 0)
	own := map[string]identity.Rates{"fast": testkit.Rates("3/second"), "slow": testkit.Rates("2/hour"), "both": testkit.Rates("2/second, 3/hour"), "free": nil}
	admitted := func() map[string]int {
		n := map[string]int{}
		for name, r := range own {
			for range 5 {
				if limit.Take(t.Context(), limit.Demand{Table: table, Key: name, Rates: r, N: 1}) == nil {
					n[name]++
				}
			}
		}
		return n
	}
	for after, want := range []string{"map[both:2 fast:3 free:5 slow:2]", "map[both:1 fast:3 free:5]", "map[fast:3 free:5]"} {
		if got := fmt.Sprint(admitted()); got != want {
			t.Errorf("after %d seconds: %s, want %s", after, got, want)
		}
		c.advance(time.Second)
	}
}

// What is refused by one window is counted in none.
func TestARequestIsCountedInAllWindowsOrInNone(t *testing.T) {
	c := new(clock)
	keys, tenants := newTable(c, 0, 0), newTable(c, 1, 0)
	ask := func(key string) error {
		return limit.Take(t.Context(),
			limit.Demand{Table: keys, Key: key, Rates: testkit.Rates("2/second, 100/minute"), N: 1},
			limit.Demand{Table: tenants, Key: "acme", Rates: testkit.Rates("5/minute"), N: 1})
	}
	for range 50 {
		_ = ask("greedy") // two are counted, and the tenant's rate has three left
	}
	for i := range 3 {
		if err := ask(fmt.Sprint("modest ", i)); err != nil {
			t.Errorf("colleague %d: %v", i, err)
		}
	}
	if ask("late") == nil {
		t.Error("the tenant's rate holds nobody")
	}
}

func TestSeveralWindowsAreExactForParallelRequests(t *testing.T) {
	c := new(clock)
	keys, tenants := newTable(c, 0, 0), newTable(c, 1, 0)
	for second, want := range []int64{10, 10, 5, 0} {
		var admitted atomic.Int64
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 100 {
					if limit.Take(t.Context(),
						limit.Demand{Table: tenants, Key: "acme", Rates: testkit.Rates("10/second, 25/minute"), N: 1},
						limit.Demand{Table: keys, Key: fmt.Sprint(worker*100 + i), Rates: testkit.Rates("1/second, 30/hour"), N: 1},
					) == nil {
						admitted.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := admitted.Load(); n != want {
			t.Errorf("second %d: %d were admitted, want exactly %d", second, n, want)
		}
		c.advance(time.Second)
	}
}

func TestRowsAreCountedByTheBatch(t *testing.T) {
	c := new(clock)
	table := newTable(c, 0, 0)
	for i, step := range []struct {
		rows int64
		want bool
	}{{60, true}, {50, false}, {40, true}, {1, false}} {
		if got := limit.Take(t.Context(), limit.Demand{Table: table, Key: "iris", Rates: testkit.Rates("100/minute"), N: step.rows}) == nil; got != step.want {
			t.Errorf("step %d, %d rows: admitted %v, want %v", i, step.rows, got, step.want)
		}
	}
}

// Whoever waits as long as RetryAfter says is admitted, however many windows of
// however many limits there are, and in whatever state they are.
func TestWaitingAsToldAlwaysWorksForSeveralPolicies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	choices := []identity.Rates{nil, testkit.Rates("1/second"), testkit.Rates("2/second, 3/minute"), testkit.Rates("3/second, 4/minute, 5/hour"), testkit.Rates("2/minute"), testkit.Rates("7/minute, 8/hour")}
	refusals := 0
	for range 300 {
		c := new(clock)
		c.advance(time.Duration(random.IntN(1e9)))
		keys, tenants, models := newTable(c, 0, 0), newTable(c, 1, 0), newTable(c, 2, 0)
		own := [3]identity.Rates{choices[random.IntN(6)], choices[random.IntN(6)], choices[random.IntN(6)]}
		ask := func() error {
			ctx := reqctx.With(t.Context(), new(reqctx.Info))
			return limit.Take(ctx,
				limit.Demand{Table: keys, Key: "key", Rates: own[0], N: 1}, limit.Demand{Table: tenants, Key: "acme", Rates: own[1], N: 1},
				limit.Demand{Table: models, Key: "iris", Rates: own[2], N: 1})
		}
		for range 40 {
			c.advance(time.Duration(random.IntN(400)) * time.Millisecond)
			err := ask()
			if err == nil {
				continue
			}
			refusals++
			wait := fault.As(err).RetryAfter
			if wait < time.Second || wait > 2*time.Hour {
				t.Fatalf("told to wait %v", wait)
			}
			c.advance(wait)
			if err := ask(); err != nil {
				t.Fatalf("refused after waiting %v as told: %v; key %v, tenant %v, model %v", wait, err, own[0], own[1], own[2])
			}
		}
	}
	if refusals < 1000 {
		t.Errorf("only %d refusals: the property was hardly put to the test", refusals)
	}
}

// A caller of short windows must not end the long window of another when their
// memory is full.
func TestFullMemoryKeepsLongWindows(t *testing.T) {
	c := new(clock)
	table := newTable(c, 0, 64) // one in each of 64 shards
	day := testkit.Rates("1/day")
	over := limit.Demand{Table: table, Key: "over its limit", Rates: day, N: 1}
	for range 2 {
		_ = limit.Take(t.Context(), over)
	}
	c.advance(time.Minute)
	for i := range 10_000 {
		_ = limit.Take(t.Context(), limit.Demand{Table: table, Key: fmt.Sprint("caller ", i), Rates: testkit.Rates("1/second"), N: 1})
	}
	if limit.Take(t.Context(), over) == nil {
		t.Error("others gave the caller a fresh start")
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryOfCallersIsBounded(t *testing.T) {
	c := new(clock)
	table := newTable(c, 0, 1024)
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			_ = limit.Take(t.Context(), limit.Demand{Table: table, Key: fmt.Sprint("caller ", i), Rates: testkit.Rates("5/minute"), N: 1})
		}
	}
	fill(0, 10_000)
	before := heap()
	fill(10_000, 200_000)
	if after := heap(); after > before+256<<10 {
		t.Errorf("memory grew by %d bytes", after-before)
	}
	if n := table.Size(); n == 0 || n > 1024 {
		t.Errorf("%d callers are remembered, want 1024 at most", n)
	}
	runtime.KeepAlive(table)
}

func BenchmarkTakeSeveral(b *testing.B) {
	table := limit.NewTable(limit.TableConfig{Policy: "key", Now: time.Now})
	tenants := limit.NewTable(limit.TableConfig{Policy: "tenant", Order: 1, Now: time.Now})
	two := testkit.Rates("1000000/second, 1000000000/day")
	info := new(reqctx.Info)
	ctx := reqctx.With(context.Background(), info)
	b.ReportAllocs()
	for b.Loop() {
		info.Limits = info.Limits[:0]
		_ = limit.Take(ctx, limit.Demand{Table: table, Key: "key", Rates: two, N: 1}, limit.Demand{Table: tenants, Key: "acme", Rates: two, N: 1})
	}
}
