package limit_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"onnxgate/internal/limit"
)

func TestCallersHaveRatesOfTheirOwn(t *testing.T) {
	c := new(clock)
	own := limit.NewOwn(0, c.now)
	rates := map[string]limit.Rate{
		"fast": {Requests: 3, Window: time.Second}, "slow": {Requests: 2, Window: time.Hour}, "free": {},
	}
	admitted := func() map[string]int {
		n := map[string]int{}
		for name, rate := range rates {
			for range 5 {
				if own.Take(t.Context(), name, rate).Allowed {
					n[name]++
				}
			}
		}
		return n
	}
	for after, want := range []string{"map[fast:3 free:5 slow:2]", "map[fast:3 free:5]", "map[fast:3 free:5]"} {
		if got := fmt.Sprint(admitted()); got != want {
			t.Errorf("after %d seconds: %s, want %s", after, got, want)
		}
		c.advance(time.Second)
	}
	c.advance(time.Hour)
	r := own.Take(t.Context(), "slow", rates["slow"])
	if want := (limit.Result{Allowed: true, Limit: 2, Remaining: 1, Window: time.Hour, Reset: time.Hour}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
}

// A caller of short windows must not end the long window of another when their
// memory is full.
func TestFullMemoryKeepsLongWindows(t *testing.T) {
	c := new(clock)
	own := limit.NewOwn(64, c.now) // one in each of 64 shards
	day := limit.Rate{Requests: 1, Window: 24 * time.Hour}
	for range 2 {
		own.Take(t.Context(), "over its limit", day)
	}
	c.advance(time.Minute)
	for i := range 10_000 {
		own.Take(t.Context(), fmt.Sprint("caller ", i), limit.Rate{Requests: 1, Window: time.Second})
	}
	if own.Take(t.Context(), "over its limit", day).Allowed {
		t.Error("others gave the caller a fresh start")
	}
}

func TestMemoryOfCallersIsBounded(t *testing.T) {
	c := new(clock)
	own := limit.NewOwn(1024, c.now)
	rate := limit.Rate{Requests: 5, Window: time.Minute}
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			own.Take(t.Context(), fmt.Sprint("caller ", i), rate)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill(0, 10_000)
	before := heap()
	fill(10_000, 200_000)
	if after := heap(); after > before+256<<10 {
		t.Errorf("memory grew by %d bytes", after-before)
	}
	runtime.KeepAlive(own)
}
