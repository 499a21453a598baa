package admission_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

func rates(text string) identity.Rates {
	all, err := identity.ParseRates(text)
	if err != nil {
		panic(err)
	}
	return all
}

func newControl(tb testing.TB, cfg admission.Config) *admission.Control {
	tb.Helper()
	cfg.Now = time.Now
	c, err := admission.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var (
	client = netip.MustParseAddr("192.0.2.1")
	none   = admission.Limits{}
)

func caller(tenant string) *identity.Principal {
	return &identity.Principal{Subject: "user of " + tenant, Tenant: tenant}
}

// request returns the context of a request that comes now.
func request(ctx context.Context) (context.Context, *reqctx.Info) {
	info := &reqctx.Info{Received: time.Now(), ClientAddr: client}
	return reqctx.With(ctx, info), info
}

// ask takes a request through everything that counts it, and remembers how it went
// as the adapters do.
func ask(ctx context.Context, c *admission.Control, m *admission.Model, p *identity.Principal) error {
	return askAt(ctx, "/predict", c, m, p)
}

// askAt is ask for a path; without a model it is one that predicts nothing.
func askAt(ctx context.Context, path string, c *admission.Control, m *admission.Model, p *identity.Principal) error {
	kind := admission.Predict
	if m == nil {
		kind = admission.None
	}
	ctx, info := request(ctx)
	asked := admission.Asked{Credential: p.Subject, Target: path}
	err := c.Address(ctx, kind, client)
	proven := err == nil
	if err == nil {
		err = c.Principal(ctx, kind, p)
	}
	if err == nil && m != nil {
		err = m.Open(ctx, p)
	}
	wait := time.Duration(0)
	if f := fault.As(err); err != nil && f.Kind == fault.RateLimited {
		f.RetryAfter = c.RetryAfter(asked, f.RetryAfter)
		wait = max(wait, f.RetryAfter)
	}
	if proven {
		c.Remember(asked, info.Limits, wait)
	}
	return err
}

// Over 100 random sets of limits, whoever waits as long as RetryAfter says is
// admitted, whichever limit it was that refused.
func TestWaitingAsToldAlwaysWorksOverAllPolicies(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	choices := []identity.Rates{nil, rates("1/second"), rates("2/second, 3/minute"), rates("3/second, 4/minute, 5/hour"), rates("2/minute"), rates("7/minute, 8/hour")}
	choose := func() identity.Rates { return choices[random.IntN(len(choices))] }
	refusals := 0
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			c := newControl(t, admission.Config{Rates: admission.Rates{Predict: choose(), PerPrincipal: random.IntN(3) == 0}})
			m := c.Model("iris", admission.Limits{Rates: choose()})
			p := &identity.Principal{Subject: "apikey:1", Tenant: "acme", Rates: choose(), TenantRates: choose()}
			asks := []func() error{
				func() error { return ask(t.Context(), c, m, p) },
				func() error { return askAt(t.Context(), "/models", c, nil, p) },
			}
			for range 30 {
				time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
				again := asks[random.IntN(len(asks))]
				err := again()
				if err == nil {
					continue
				}
				refusals++
				wait := fault.As(err).RetryAfter
				if wait < time.Second || wait > 2*time.Hour {
					t.Fatalf("told to wait %v: %v", wait, err)
				}
				time.Sleep(wait)
				if err := again(); err != nil {
					t.Fatalf("refused after waiting %v as told: %v; key %v, tenant %v", wait, err, p.Rates, p.TenantRates)
				}
			}
		})
	}
	if refusals < 500 {
		t.Errorf("only %d refusals: the property was hardly put to the test", refusals)
	}
}

func TestColleaguesBehindOneAddressHaveRatesOfTheirOwn(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("2/minute"), PerPrincipal: true}})
	m := c.Model("iris", none)
	for i := range 500 {
		p := &identity.Principal{Subject: fmt.Sprint("user", i), Tenant: "acme"}
		for n, want := range []bool{true, true, false} {
			if got := ask(t.Context(), c, m, p) == nil; got != want {
				t.Fatalf("colleague %d, request %d: admitted %v, want %v", i, n, got, want)
			}
		}
	}
}

// What proves nobody is bounded before it is looked at.
func TestFailuresOfAnAddressAreBoundedWherePrincipalsAreCounted(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("2/minute"), PerPrincipal: true}})
	looked := 0
	for range 1000 {
		ctx, _ := request(t.Context())
		if c.Address(ctx, admission.Predict, client) == nil {
			looked++
			c.Failed(ctx, admission.Predict, client)
		}
	}
	if want := 2 * admission.FailureFactor; looked != want {
		t.Errorf("%d were looked at, want %d", looked, want)
	}
}

func TestAnswerNamesEveryWindow(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("9/second, 20/minute")}})
	m := c.Model("iris", admission.Limits{Rates: rates("8/minute, 40/hour"), Rows: rates("100/minute, 1000/hour")})
	ctx, info := request(t.Context())
	p := &identity.Principal{Subject: "apikey:1", Tenant: "acme", Rates: rates("7/minute"), TenantRates: rates("6/hour")}
	for _, err := range []error{c.Address(ctx, admission.Predict, client), c.Principal(ctx, admission.Predict, p), m.Open(ctx, p), m.Open(ctx, p)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	passage, err := m.Enter(ctx, p, 0)
	if err == nil {
		err = passage.Spend(ctx, 10)
		passage.Leave(true, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, l := range info.Limits {
		got[l.Policy+l.Unit] = l.Remaining
	}
	want := map[string]int64{"predict": 8, "predict-2": 19, "key": 6, "tenant": 5, "model": 7, "model-2": 39, "model-3rows": 90, "model-4rows": 990}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A model without rates has the first names for its rows, and its requests are not
// taken for counted ones.
func TestNoNameStandsTwiceInAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		limits admission.Limits
		want   []string
	}{
		"rows alone":         {admission.Limits{Rows: rates("100/minute, 1000/hour")}, []string{"model rows", "model-2 rows"}},
		"one window of each": {admission.Limits{Rates: rates("9/second"), Rows: rates("100/minute")}, []string{"model ", "model-2 rows"}},
		"as many as there may be": {
			admission.Limits{Rates: rates("9/second, 90/minute, 900/hour, 9000/day"), Rows: rates("99/second, 990/minute, 9900/hour, 99000/day")},
			[]string{"model ", "model-2 ", "model-3 ", "model-4 ", "model-5 rows", "model-6 rows", "model-7 rows", "model-8 rows"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newControl(t, admission.Config{}).Model("iris", tc.limits)
			ctx, info := request(t.Context())
			if err := m.Open(ctx, caller("acme")); err != nil {
				t.Fatal(err)
			}
			passage, err := m.Enter(ctx, caller("acme"), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer passage.Leave(true, 0)
			if err := passage.Spend(ctx, 10); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range info.Limits {
				got = append(got, l.Policy+" "+l.Unit)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBatchBeyondARowLimitCanNeverBeAdmitted(t *testing.T) {
	c := newControl(t, admission.Config{})
	m := c.Model("iris", admission.Limits{Rows: rates("100/minute")})
	for i, tc := range []struct {
		rows int
		want fault.Kind
	}{{101, fault.Content}, {100, 255}, {1, fault.RateLimited}, {101, fault.Content}} {
		passage, err := m.Enter(t.Context(), caller("acme"), 0)
		if err != nil {
			t.Fatal(err)
		}
		err = passage.Spend(t.Context(), tc.rows)
		passage.Leave(err == nil, 0)
		if (err == nil) != (tc.want == 255) || err != nil && fault.KindOf(err) != tc.want {
			t.Errorf("batch %d of %d rows: %v, want %v", i, tc.rows, err, tc.want)
		}
	}
}

func TestThrottledRequestWaitsForTheNextWindowAndIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("2/second")}, Throttle: 2 * time.Second})
		m := c.Model("iris", none)
		began := time.Now()
		var took []time.Duration
		for range 6 {
			if err := ask(t.Context(), c, m, caller("acme")); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		if diff := cmp.Diff([]time.Duration{0, 0, time.Second, time.Second, 2 * time.Second, 2 * time.Second}, took); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestThrottleRefusesAtOnceWhatWouldWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("1/minute")}, Throttle: 2 * time.Second})
		m := c.Model("iris", none)
		_ = ask(t.Context(), c, m, caller("acme"))
		began := time.Now()
		err := ask(t.Context(), c, m, caller("acme"))
		if fault.KindOf(err) != fault.RateLimited || time.Since(began) != 0 {
			t.Errorf("%v after %v, want a refusal at once", err, time.Since(began))
		}
	})
}

func TestThrottledRequestsAreBoundedAndGoWithTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: rates("1/second")}, Throttle: 2 * time.Second})
		ctx, gone := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var refused, canceled atomic.Int64
		for range 500 {
			all.Go(func() {
				ctx, _ := request(ctx)
				switch fault.KindOf(c.Address(ctx, admission.Predict, client)) { //nolint:exhaustive // no other is expected
				case fault.RateLimited:
					refused.Add(1)
				case fault.Canceled:
					canceled.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := c.Throttled(); n != 64 || refused.Load() != 500-64-1 {
			t.Errorf("%d wait and %d were refused", n, refused.Load())
		}
		gone()
		all.Wait()
		if n := c.Throttled(); n != 0 || canceled.Load() != 64 {
			t.Errorf("%d wait and %d went", n, canceled.Load())
		}
	})
}
