package quota_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/quota"
)

// other is another API key of the tenant of job.
var other = &identity.Principal{Subject: identity.KeySubject + "other", Tenant: "acme", Method: identity.APIKey}

// Of the quotas of a tenant and of its keys that end together under a thousand callers of
// two processes, all is used: no process keeps what is left of the one while another
// keeps what is left of the other.
func TestQuotasOfATenantAndItsKeysThatEndTogetherAreUsedUp(t *testing.T) {
	for name, tc := range map[string]struct {
		tenant, key string
		callers     []*identity.Principal
		want        int64
	}{
		"the same for both":       {"calls=100/day", "calls=100/day", []*identity.Principal{job}, 100},
		"other units and periods": {"calls=100/month", "rows=100/day", []*identity.Principal{job}, 100},
		"of two keys":             {"calls=150/month", "calls=80/day", []*identity.Principal{job, other}, 150},
		"and callers without":     {"calls=150/month,rows=160/day", "rows=100/day,calls=110/month", []*identity.Principal{job, other, acme}, 150},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				synctest.Test(t, func(t *testing.T) {
					m := newMemory("acme")
					b := quotas(map[string]string{"acme": tc.tenant, "acme/job": tc.key, "acme/other": tc.key})
					if got := thousand(t, m, b, tc.callers); got != tc.want {
						t.Errorf("%d were answered of %d", got, tc.want)
					}
				})
			}
		})
	}
}

// thousand has callers at once call two processes, and returns how many were answered.
func thousand(t *testing.T, m *memory, b *book, callers []*identity.Principal) int64 {
	t.Helper()
	var services [2]*quota.Service
	for i := range services {
		s, err := quota.New(quota.Config{Store: slow{m}, Limits: b, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		running(t, s)
		services[i] = s
	}
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		after, lasts := rand.N(20*time.Millisecond), rand.N(20*time.Millisecond)
		wg.Go(func() {
			time.Sleep(after)
			r, err := services[i%2].Reserve(t.Context(), callers[i/2%len(callers)], one)
			switch {
			case err == nil:
				time.Sleep(lasts)
				r.Settle(one)
				answered.Add(1)
			case fault.KindOf(err) != fault.QuotaExceeded:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return answered.Load()
}

// A key or a tenant without anything left has the store asked once in a second, however
// many are refused, and does not have the other's calls ask one by one.
func TestWhoIsRefusedHasTheStoreAskedSeldom(t *testing.T) {
	for _, texts := range []map[string]string{
		{"acme": "calls=1e6/day", "acme/job": "calls=5/day"},
		{"acme": "calls=1000/day", "acme/job": "calls=5/day"},
		{"acme": "calls=5/day", "acme/job": "calls=1000/day"},
		{"acme": "calls=5/day", "acme/job": "calls=1e6/day"},
		{"acme": "calls=5/day", "acme/job": "calls=5/month"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory("acme")
			s := newService(t, m, quotas(texts), nil)
			stop := running(t, s)
			for i := range 5000 {
				_ = call(t.Context(), s, job, one)
				if i%50 == 0 {
					_ = call(t.Context(), s, acme, one)
				}
				time.Sleep(time.Millisecond)
			}
			if n := m.askings(); n > 40 {
				t.Errorf("%v: the store was asked %d times in 5 s", texts, n)
			}
			stop()
		})
	}
}
