package sqlstore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
	"onnxgate/internal/sqlstore"
)

func TestUsage(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		t.Run("is kept by tenant, key and period", func(t *testing.T) {
			cfg := b.fresh(t)
			testUsage(t, open(t, cfg), open(t, cfg))
		})
	})
}

// R06: a quota is overrun neither by a thousand at once nor by processes that are
// killed, which lose a lease at most; as often as KILLS says, or until it is used up
// once.
func TestNothingOverrunsAQuota(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		want := 1
		if os.Getenv("KILLS") != "" {
			want = kills(t)
		}
		done, thousands := 0, 0
		for ; done < want && !t.Failed(); thousands++ {
			t.Run("round", func(t *testing.T) { // whose connections end with it
				testThousand(t, b.fresh(t))
				done += testKills(t, b.fresh(t))
			})
		}
		t.Logf("in all: %d kills, and %d times a thousand callers at once", done, thousands)
	})
}

func testUsage(t *testing.T, s, other *sqlstore.Store) {
	t.Helper()
	makeTenants(t, s)
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	whole := quota.Place{Tenant: "acme", Per: limit.PerDay, Start: start}
	key, month, next, foreign := whole, whole, whole, whole
	key.Key, month.Per, next.Start, foreign.Tenant = "key", limit.PerMonth, start.AddDate(0, 0, 1), "other"
	all := []quota.Place{whole, key, month, next, foreign}
	seen := revision(t, other)
	add := func(by *sqlstore.Store, at quota.Place, more quota.Use) error {
		return by.Usage().Charge(t.Context(), func(l quota.Ledger) error { return l.Add(at, more) })
	}
	for i, at := range all {
		must(t, add(s, at, quota.Use{int64(i) + 1, 2, 3, 1 << 50}))
	}
	must(t, add(other, key, quota.Use{10, -2, 0, 1 << 50}))
	failed := fault.New(fault.Conflict, "changed its mind")
	err := s.Usage().Charge(t.Context(), func(l quota.Ledger) error {
		used, err := l.Used(key)
		must(t, err)
		if used != (quota.Use{12, 0, 3, 1 << 51}) {
			t.Errorf("inside a transaction: %v", used)
		}
		must(t, l.Add(key, quota.Use{1000}))
		return failed
	})
	if fault.KindOf(err) != fault.Conflict {
		t.Error(err)
	}
	for _, tenant := range []string{"nobody", "*", "", "a\x00"} {
		gone := whole
		gone.Tenant = tenant
		if err := add(s, gone, quota.Use{1}); err == nil {
			t.Errorf("%q has used something", tenant)
		}
	}
	want := []quota.Use{{1, 2, 3, 1 << 50}, {12, 0, 3, 1 << 51}, {3, 2, 3, 1 << 50}, {4, 2, 3, 1 << 50}, {5, 2, 3, 1 << 50}}
	wantUsage(t, other, all, want)
	gap := next
	gap.Start = start.AddDate(0, 0, 2)
	wantUsage(t, other, []quota.Place{whole, next, gap, key}, []quota.Use{want[0], want[3], {}, want[1]})
	if now := revision(t, other); now != seen {
		t.Errorf("the revision moved from %d to %d", seen, now)
	}
	must(t, s.Usage().Prune(t.Context(), next.Start))
	want[0], want[1], want[4] = quota.Use{}, quota.Use{}, quota.Use{}
	wantUsage(t, other, all, want)
	must(t, s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Tenants.Delete("acme", "acme") }))
	wantUsage(t, other, all, make([]quota.Use, len(all)))
}

func wantUsage(t *testing.T, s *sqlstore.Store, places []quota.Place, want []quota.Use) {
	t.Helper()
	got, err := s.Usage().Usage(t.Context(), places)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// allowed is one quota for everybody.
type allowed string

func (allowed) Revision(context.Context) (int64, error) { return 1, nil }
func (a allowed) of(string) string                      { return string(a) }

// texts are quotas as they are written.
type texts interface {
	Revision(ctx context.Context) (int64, error)
	of(tenant string) string
}

// given are quotas of tenants that were made at these times.
type given struct {
	texts

	made map[string]time.Time
}

func (g given) Quotas(_ context.Context, tenant, _ string) (quotas []limit.Quota, made time.Time, err error) {
	quotas, err = limit.ParseQuotas(g.of(tenant))
	return quotas, g.made[tenant], err
}

// give gives quotas to the tenants that a store has.
func give(ctx context.Context, s *sqlstore.Store, quotas texts) (given, error) {
	g := given{quotas, map[string]time.Time{}}
	return g, s.View(ctx, func(tx *accounts.Tx) error {
		all, err := tx.Tenants.List(accounts.AnyTenant, accounts.Page{})
		for _, tenant := range all {
			g.made[tenant.Name] = tenant.CreatedAt
		}
		return err
	})
}

var (
	spender = &identity.Principal{Subject: "ada", Tenant: identity.DefaultTenant}
	job     = &identity.Principal{Subject: identity.KeySubject + "job", Tenant: identity.DefaultTenant, Method: identity.APIKey}
)

func counting(t *testing.T, s *sqlstore.Store, quotas allowed) *quota.Service {
	t.Helper()
	limits, err := give(t.Context(), s, quotas)
	must(t, err)
	service, err := quota.New(quota.Config{Store: s.Usage(), Limits: limits, Now: time.Now})
	must(t, err)
	return service
}

// testThousand has a thousand callers of two processes, with an API key that has the
// quotas of its tenant: they get no more than there is, and all but what the other process
// has set aside.
func testThousand(t *testing.T, cfg sqlstore.Config) {
	t.Helper()
	const quotas = "calls=300/day,rows=600/month" // which end together
	services := []*quota.Service{counting(t, open(t, cfg), quotas), counting(t, open(t, cfg), quotas)}
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			r, err := services[i%2].Reserve(t.Context(), job, quota.Use{1, 2})
			switch {
			case err == nil:
				answered.Add(1)
				r.Settle(quota.Use{1, 2})
			case fault.KindOf(err) != fault.QuotaExceeded:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := answered.Load(); n > 300 || n < 300-2*limitShare {
		t.Errorf("%d were answered", n)
	}
}

// limitShare is what a process sets aside of 300 calls at once, beside as much that it
// has not used yet.
const limitShare = 300 / 20

// spend is the work of a child that uses its quota up, and says each call that was
// answered.
func spend(ctx context.Context, s *sqlstore.Store) error {
	limits, err := give(ctx, s, allowed(killedQuota))
	if err != nil {
		return err
	}
	service, err := quota.New(quota.Config{Store: s.Usage(), Limits: limits, Now: time.Now})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	running, stop := context.WithCancel(ctx)
	go func() {
		defer close(done)
		service.Run(running)
	}()
	for {
		r, err := service.Reserve(ctx, spender, quota.Use{1, 1, 10})
		if fault.KindOf(err) == fault.QuotaExceeded {
			break
		}
		if err != nil {
			stop()
			return err
		}
		r.Settle(quota.Use{1, 1, 10, 1000})
		fmt.Println("answered")
	}
	stop()
	<-done
	fmt.Println("used up")
	return nil
}

const (
	killedQuota = "calls=3000/month"
	killedCalls = 3000
	// lost is how many calls a process loses that is killed: a lease, and the call that
	// it was about to say.
	lost = 100 + 1
)

// testKills kills a process again and again, until the quota is used up: what was
// answered stays used, and no more than a lease is lost with it. It returns how often.
func testKills(t *testing.T, cfg sqlstore.Config) (kills int) {
	t.Helper()
	s := open(t, cfg)
	answered := 0
	for round := 0; ; round++ {
		n, end := spendAndKill(t, cfg, 150+round*61)
		answered += n
		if end {
			break
		}
		kills++
		start, _ := limit.PerMonth.Around(time.Now())
		used, err := s.Usage().Usage(t.Context(), []quota.Place{{Tenant: spender.Tenant, Per: limit.PerMonth, Start: start}})
		must(t, err)
		if stored := int(used[0][limit.UnitCalls]); stored < answered || stored > answered+kills*lost {
			t.Fatalf("after %d kills %d calls were answered, and %d are stored", kills, answered, stored)
		}
	}
	if kills < 2 || answered > killedCalls || answered < killedCalls-kills*lost {
		t.Errorf("%d kills, %d answered of %d", kills, answered, killedCalls)
	}
	return kills
}

// spendAndKill lets a child use the quota, kills it when it said so many calls, and
// returns how many it said, and whether it came to the end.
func spendAndKill(t *testing.T, cfg sqlstore.Config, after int) (answered int, end bool) {
	t.Helper()
	cmd := startChild(t, cfg, childSpends+"=1")
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch lines.Text() {
		case "answered":
			answered++
		case "used up":
			end = true
		}
		if answered == after {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // it was killed
	if failure.Len() > 0 {
		t.Fatalf("the child failed: %s", &failure)
	}
	return answered, end
}
