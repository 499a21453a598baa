package quota_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

// slow is a store with transactions of some milliseconds.
type slow struct{ *memory }

func (s slow) Charge(ctx context.Context, charge func(quota.Ledger) error) error {
	time.Sleep(rand.N(3 * time.Millisecond))
	defer time.Sleep(rand.N(3 * time.Millisecond))
	return s.memory.Charge(ctx, charge)
}

// Whatever the quotas of a tenant and its key are, and whoever calls: all that is
// answered is counted and nothing else, it is no more than the quotas, everybody is
// told yes or no, and the last of a quota can be had when nobody else comes.
func TestAnyQuotasAreUsedUpExactly(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) { testAnyQuotas(t, rand.New(rand.NewPCG(seed, 0))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func testAnyQuotas(t *testing.T, r *rand.Rand) {
	t.Helper()
	m, b := newMemory("acme"), quotas(map[string]string{"acme": anyQuotas(r), "acme/job": anyQuotas(r)})
	services := make([]*quota.Service, 1+r.IntN(3))
	var stops []func()
	for i := range services {
		s, err := quota.New(quota.Config{Store: slow{m}, Limits: b, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		services[i], stops = s, append(stops, running(t, s))
	}
	var mu sync.Mutex
	answered := map[*identity.Principal]quota.Use{}
	var wg sync.WaitGroup
	for i := range 300 {
		who := []*identity.Principal{acme, job}[r.IntN(2)]
		use := quota.Use{1 + r.Int64N(2), r.Int64N(12), r.Int64N(300)}
		after, lasts, failed := rand.N(20*time.Millisecond), rand.N(20*time.Millisecond), r.IntN(10) == 0
		wg.Go(func() {
			time.Sleep(after)
			reserved, err := services[i%len(services)].Reserve(t.Context(), who, use)
			if k := fault.KindOf(err); err != nil && k != fault.QuotaExceeded && k != fault.Content {
				t.Error(err)
			}
			if err != nil {
				return
			}
			time.Sleep(lasts)
			if failed {
				reserved.Settle(quota.Use{})
				return
			}
			reserved.Settle(use)
			mu.Lock()
			defer mu.Unlock()
			answered[who] = plus(answered[who], use)
		})
	}
	wg.Wait()
	time.Sleep(5 * time.Second) // what nobody uses goes back
	n := int64(calls(t, services[0], job, 1000))
	answered[job] = plus(answered[job], quota.Use{n, n, 100 * n})
	for _, stop := range stops {
		stop()
	}
	of := map[string]quota.Use{"": plus(answered[acme], answered[job]), "job": answered[job]}
	usedUp := n == 1000
	for key, use := range of {
		wantUse(t, "of key "+key, m.today("acme", key), use)
		all, _, err := b.Quotas(t.Context(), "acme", key)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			if use[q.Unit] > q.Limit {
				t.Errorf("%d were answered of %v", use[q.Unit], q)
			}
			usedUp = usedUp || use[q.Unit]+one[q.Unit] > q.Limit
		}
	}
	if !usedUp {
		t.Errorf("refused when %v were used of %v", of, b.texts)
	}
}

// anyQuotas is a quota of each unit and period, or none.
func anyQuotas(r *rand.Rand) string {
	var all []string
	for unit, most := range []int{limit.UnitCalls: 300, limit.UnitRows: 1000, limit.UnitBytes: 20_000} {
		for per := range limit.Periods {
			if r.IntN(3) == 0 {
				all = append(all, fmt.Sprintf("%v=%d/%v", limit.Unit(unit), 100+r.IntN(most), per))
			}
		}
	}
	return strings.Join(all, ",")
}

func plus(a, b quota.Use) quota.Use {
	for unit := range a {
		a[unit] += b[unit]
	}
	return a
}
