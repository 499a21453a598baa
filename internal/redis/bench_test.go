package redis_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
	"onnxgate/internal/testkit"
)

// BenchmarkTake is what one request's rates cost, in memory and in Redis: of its
// address, and of its key and tenant in two windows each. The time of this process's
// processors is told beside the time that passes, which is Redis's too.
func BenchmarkTake(b *testing.B) {
	store := testkit.StartRedis(b, testkit.RedisConfig{})
	c, err := redis.New(redis.Config{URL: store.URL(0), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(b.Context()); err != nil {
		b.Fatal(err)
	}
	addr := netip.MustParseAddr("192.0.2.1")
	wide := testkit.Rates("900000000/hour, 1000000000/day")
	for name, shared := range map[string]limit.Shared{"memory": nil, "Redis": redis.NewLimits(c)} {
		addresses := limit.New(limit.Config{Policy: "predict", Rates: identity.Rates{wide[1]}, Shared: shared, Now: time.Now})
		s := newServer(shared, time.Now)
		for what, take := range map[string]func(context.Context) error{
			"address": func(ctx context.Context) error { return addresses.Take(ctx, addr) },
			"key and tenant": func(ctx context.Context) error {
				return limit.Take(ctx, limit.Demand{Table: s.keys, Key: "apikey:abcdefghijkl", Rates: wide, N: 1}, limit.Demand{Table: s.tenants, Key: "acme", Rates: wide, N: 1})
			},
		} {
			b.Run(what+"/"+name+"/alone", func(b *testing.B) { measure(b, 0, take) })
			b.Run(what+"/"+name+"/16 at once", func(b *testing.B) { measure(b, 16, take) })
		}
	}
}

func measure(b *testing.B, parallel int, take func(context.Context) error) {
	b.Helper()
	b.ReportAllocs()
	user, system := testkit.ProcessorTime(b)
	if parallel == 0 {
		for b.Loop() {
			ctx, _ := request(b.Context())
			if err := take(ctx); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.SetParallelism(parallel)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				ctx, _ := request(b.Context())
				if err := take(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	}
	userThen, systemThen := testkit.ProcessorTime(b)
	b.ReportMetric(float64(userThen-user+systemThen-system)/float64(b.N), "cpu-ns/op")
}
