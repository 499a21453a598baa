package sqlstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// byTenant are the quotas of tenants.
type byTenant map[string]string

func (byTenant) Revision(context.Context) (int64, error) { return 1, nil }

func (q byTenant) of(tenant string) string { return q[tenant] }

// The outage table, database, on a real one: what was set aside goes on, then who has
// a hard quota is refused and nobody else is; when it is back, all goes on without a
// restart, and everything that was answered is counted once.
func TestQuotasHoldWhileTheDatabaseIsAway(t *testing.T) {
	server := testkit.StartPostgres(t)
	s := open(t, sqlstore.Config{URL: server.Database(t)})
	makeTenants(t, s)
	limits, err := give(t.Context(), s, byTenant{"acme": "calls=5000/month", "other": "off"})
	must(t, err)
	service, err := quota.New(quota.Config{Store: s.Usage(), Limits: limits, Now: time.Now})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	answered := map[string]int64{}
	call := func(tenant string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := service.Reserve(ctx, &identity.Principal{Subject: "ada", Tenant: tenant}, quota.Use{1, 1, 1})
		if err == nil {
			r.Settle(quota.Use{1, 1, 1, 1})
			answered[tenant]++
		}
		return err
	}
	must(t, call("acme"))
	server.Stop(t)
	refused := callUntilRefused(call)
	if f := fault.As(refused); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
		t.Errorf("%v, want that the use cannot be counted, and when to come again", refused)
	}
	if n := answered["acme"]; n > 1+2*leasedCalls {
		t.Errorf("%d calls were answered without the database, want a lease at most", n)
	}
	for range 500 {
		must(t, call("other"))
	}
	server.Start(t)
	testkit.Eventually(t, "calls are answered again", func() bool { return call("acme") == nil })
	stop()
	running.Wait()
	start, _ := limit.PerMonth.Around(time.Now())
	for _, tenant := range []string{"acme", "other"} {
		used, err := s.Usage().Usage(t.Context(), []quota.Place{{Tenant: tenant, Per: limit.PerMonth, Start: start}})
		must(t, err)
		if got := used[0][limit.UnitCalls]; got != answered[tenant] {
			t.Errorf("%s: %d calls are stored, and %d were answered", tenant, got, answered[tenant])
		}
	}
}

// leasedCalls is how many calls a process sets aside at most.
const leasedCalls = 100

// callUntilRefused returns why a tenant with a hard quota is refused in the end.
func callUntilRefused(call func(tenant string) error) (err error) {
	for range 5000 {
		if err = call("acme"); err != nil {
			return err
		}
	}
	return nil
}
