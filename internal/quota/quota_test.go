package quota_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

// memory is a store in memory, which can be away. Transactions are whole.
type memory struct {
	mu      sync.Mutex
	used    map[quota.Place]quota.Use
	asked   int
	away    error
	lost    error // of transactions that are made all the same
	tenants map[string]bool
	made    time.Time // all of them
	pruned  time.Time
}

func newMemory(tenants ...string) *memory {
	m := &memory{used: map[quota.Place]quota.Use{}, tenants: map[string]bool{}}
	for _, t := range tenants {
		m.tenants[t] = true
	}
	return m
}

func (m *memory) Charge(ctx context.Context, charge func(quota.Ledger) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if err := errors.Join(m.away, ctx.Err()); err != nil {
		return err
	}
	before := maps.Clone(m.used)
	if err := charge(inMemory{m}); err != nil {
		m.used = before
		return err
	}
	return m.lost
}

func (m *memory) Usage(_ context.Context, places []quota.Place) (all []quota.Use, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range places {
		all = append(all, m.used[at])
	}
	return all, m.away
}

func (m *memory) Prune(_ context.Context, before time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pruned = before
	return m.away
}

// at returns what is stored of the tenant.
func (m *memory) at(tenant, key string, per limit.Per, start time.Time) quota.Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used[quota.Place{Tenant: tenant, Key: key, Per: per, Start: start}]
}

func (m *memory) askings() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *memory) set(change func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

type inMemory struct{ *memory }

func (m inMemory) Used(at quota.Place) (quota.Use, error) { return m.used[at], nil }

func (m inMemory) Made(tenant string) (time.Time, error) {
	if !m.tenants[tenant] {
		return time.Time{}, fault.New(fault.NotFound, "no tenant")
	}
	return m.made, nil
}

func (m inMemory) Add(at quota.Place, more quota.Use) error {
	if !m.tenants[at.Tenant] {
		return fault.New(fault.NotFound, "no tenant")
	}
	sum := m.used[at]
	for i := range sum {
		sum[i] += more[i]
	}
	m.used[at] = sum
	return nil
}

// book holds the quotas by "tenant" and "tenant/key".
type book struct {
	mu       sync.Mutex
	revision int64
	texts    map[string]string
	made     time.Time
	err      error
}

func (b *book) Revision(context.Context) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision, nil
}

func (b *book) Quotas(_ context.Context, tenant, key string) (quotas []limit.Quota, made time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	made = b.made
	if key != "" {
		tenant += "/" + key
	}
	if b.err != nil || b.texts[tenant] == "" {
		return nil, made, b.err
	}
	quotas, err = limit.ParseQuotas(b.texts[tenant])
	return quotas, made, err
}

func (b *book) set(who, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts[who] = text
	b.revision++
}

func quotas(texts map[string]string) *book { return &book{texts: texts, revision: 1} }

var (
	acme = &identity.Principal{Subject: "ada", Tenant: "acme"}
	job  = &identity.Principal{Subject: identity.KeySubject + "job", Tenant: "acme", Method: identity.APIKey}
	one  = quota.Use{1, 1, 100}
)

func newService(tb testing.TB, m *memory, b *book, warn func(quota.Warning)) *quota.Service {
	tb.Helper()
	s, err := quota.New(quota.Config{Store: m, Limits: b, Warn: warn, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// call is an answered prediction, or why there was none.
func call(ctx context.Context, s *quota.Service, p *identity.Principal, use quota.Use) error {
	r, err := s.Reserve(ctx, p, use)
	if err == nil {
		r.Settle(use)
	}
	return err
}

// calls makes predictions until one is refused, and returns how many were answered.
func calls(t *testing.T, s *quota.Service, p *identity.Principal, most int) int {
	t.Helper()
	for n := range most {
		if err := call(t.Context(), s, p, one); err != nil {
			if fault.KindOf(err) != fault.QuotaExceeded {
				t.Fatal(err)
			}
			return n
		}
	}
	return most
}

// R06: no number of callers at once gets more than there is, and all of it.
func TestThousandsAtOnceGetWhatThereIsAndNoMore(t *testing.T) {
	m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=500/day"})
	const processes = 3
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	services := make([]*quota.Service, processes)
	for i := range services {
		services[i] = newService(t, m, b, nil)
	}
	for i := range 1000 {
		wg.Go(func() {
			for range 3 {
				err := call(t.Context(), services[i%processes], acme, one)
				switch {
				case err == nil:
					answered.Add(1)
				case fault.KindOf(err) == fault.QuotaExceeded:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// What processes set aside and do not use comes back; here none was idle for long.
	if n := answered.Load(); n > 500 || n < 500-processes*25 {
		t.Errorf("%d were answered and %d refused", n, refused.Load())
	}
}

func TestOneProcessGivesOutExactlyWhatThereIs(t *testing.T) {
	for _, text := range []string{"calls=1/day", "calls=7/month", "calls=500/day", "rows=333/month", "calls=1000/month,calls=450/day"} {
		m := newMemory("acme")
		s := newService(t, m, quotas(map[string]string{"acme": text}), nil)
		want := map[string]int{"calls=1/day": 1, "calls=7/month": 7, "calls=500/day": 500, "rows=333/month": 333, "calls=1000/month,calls=450/day": 450}[text]
		if got := calls(t, s, acme, 2000); got != want {
			t.Errorf("%s: %d were answered", text, got)
		}
	}
}

func TestWhatIsNotUsedGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory("acme"), quotas(map[string]string{"acme": "calls=1000/day"})
		idle, busy := newService(t, m, b, nil), newService(t, m, b, nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { idle.Run(ctx) })
		wg.Go(func() { busy.Run(ctx) })
		if got := calls(t, idle, acme, 10); got != 10 {
			t.Fatal(got)
		}
		time.Sleep(5 * time.Second)
		if got := calls(t, busy, acme, 2000); got != 990 {
			t.Errorf("the other process answered %d, want 990", got)
		}
		stop()
		wg.Wait()
	})
}
