package admission_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

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
	return askAt(ctx, "/predict", c, m, p, 1)
}

// askAt is ask for a path, with a batch; without a model it is one that predicts nothing.
func askAt(ctx context.Context, path string, c *admission.Control, m *admission.Model, p *identity.Principal, rows int) error {
	kind := admission.Predict
	if m == nil {
		kind = admission.None
	}
	ctx, info := request(ctx)
	asked := &admission.Asked{Credential: p.Subject, Target: path}
	if p.Method == identity.Certificate {
		asked.Credential, asked.Certificate = "", []byte(p.Subject)
	}
	if strings.Contains(path, "iris") {
		asked.Model = "iris"
	}
	err := c.Address(ctx, kind, client)
	proven := err == nil
	if err == nil {
		err = c.Principal(ctx, kind, p)
	}
	if err == nil && m != nil {
		err = m.Open(ctx, p)
	}
	if err == nil && m != nil {
		err = spend(ctx, m, p, rows)
	}
	wait := time.Duration(0)
	if f := fault.As(err); err != nil && f.Kind == fault.RateLimited {
		f.RetryAfter = c.RetryAfter(ctx, asked, f.RetryAfter)
		wait = max(wait, f.RetryAfter)
	}
	if proven {
		c.Remember(asked, info.Limits, wait)
	}
	return err
}

// spend takes a batch of so many rows through what counts them.
func spend(ctx context.Context, m *admission.Model, p *identity.Principal, rows int) error {
	passage, err := m.Enter(ctx, p, 0)
	if err != nil {
		return err
	}
	err = passage.Spend(ctx, rows)
	passage.Leave(err == nil, 0)
	return err
}

// recorder is a count that servers share, which knows what it was asked for and is away.
type recorder struct{ names map[string]bool }

var errAway = errors.New("away")

func (r recorder) Up() bool { return true }

func (r recorder) Take(_ time.Duration, windows []limit.Window) (time.Duration, bool, error) {
	for _, w := range windows {
		r.names[w.Key[:strings.LastIndex(w.Key, ":")]] = true
	}
	return 0, false, errAway
}

func (r recorder) Look(time.Duration, []limit.Window) (time.Duration, bool, error) {
	return 0, false, errAway
}

func (r recorder) Cancel([]limit.Window) error { return errAway }

// What one server refuses must not be good at the next: no rate is left out.
func TestEveryRateIsCountedForAllServersTogether(t *testing.T) {
	shared := recorder{map[string]bool{}}
	c := newControl(t, admission.Config{Shared: shared, Rates: admission.Rates{Token: testkit.Rates("9/minute"), Predict: testkit.Rates("9/minute")}})
	m := c.Model("iris", admission.Limits{Rates: testkit.Rates("9/minute"), Rows: testkit.Rates("9/minute")})
	nine := testkit.Limit("9/minute, 9 rows/minute")
	p := &identity.Principal{Subject: "key", Tenant: "acme", Limit: nine, TenantLimit: nine}
	ctx, _ := request(t.Context())
	for what, err := range map[string]error{
		"token": c.Address(ctx, admission.Token, client), "predict": c.Address(ctx, admission.Predict, client),
		"key": c.Principal(ctx, admission.Predict, p), "read": c.Principal(ctx, admission.Read, p), "model": m.Open(ctx, p),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.Reload(admission.Rates{Predict: nine.Requests, Rows: nine.Rows, PerPrincipal: true})
	if err := errors.Join(c.Principal(ctx, admission.Predict, p), spend(ctx, m, p, 1)); err != nil {
		t.Error(err)
	}
	want := map[string]bool{}
	for _, name := range []string{
		"token:1", "predict:1", "key:1", "tenant:1", "principal:1", "read:1", "model:1",
		"key:rows1", "tenant:rows1", "principal:rows1", "model:rows1",
	} {
		want[name] = true
	}
	if diff := cmp.Diff(want, shared.names); diff != "" {
		t.Errorf("counted together (-want +got):\n%s", diff)
	}
}

// Over 100 random sets of limits, whoever waits as long as RetryAfter says is
// admitted, whichever limit it was that refused. What refuses a batch before it is read
// cannot know its rows.
func TestWaitingAsToldAlwaysWorksOverAllPolicies(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	choices := []identity.Rates{nil, testkit.Rates("1/second"), testkit.Rates("2/second, 3/minute"), testkit.Rates("3/second, 4/minute, 5/hour"), testkit.Rates("2/minute"), testkit.Rates("7/minute, 8/hour")}
	choose := func() identity.Rates { return choices[random.IntN(len(choices))] }
	ofRows := []identity.Rates{nil, nil, nil, testkit.Rates("3/second"), testkit.Rates("2/second, 7/minute"), testkit.Rates("9/minute, 12/hour")}
	rows := func() identity.Rates { return ofRows[random.IntN(len(ofRows))] }
	limits := func() identity.Limit { return identity.Limit{Requests: choose(), Rows: rows()} }
	refusals, tooManyRows := 0, 0
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			c := newControl(t, admission.Config{Rates: admission.Rates{Predict: choose(), Rows: rows(), PerPrincipal: random.IntN(3) == 0}})
			m := c.Model("iris", admission.Limits{Rates: choose(), Rows: rows()})
			p := &identity.Principal{Subject: "apikey:1", Tenant: "acme", Limit: limits(), TenantLimit: limits()}
			if random.IntN(4) == 0 {
				p.Method = identity.Certificate
			}
			colleague := &identity.Principal{Subject: "apikey:2", Tenant: "acme", TenantLimit: p.TenantLimit}
			asks := []func() error{
				func() error { return ask(t.Context(), c, m, p) },
				func() error { return askAt(t.Context(), "/models", c, nil, p, 0) },
				func() error { return askAt(t.Context(), "/models/iris/predict", c, m, p, 1) },
				func() error { return askAt(t.Context(), "/v2/models/iris/infer", c, m, p, 1) },
				func() error { return askAt(t.Context(), "/v1/models/iris:predict", c, m, p, 2) },
			}
			for range 30 {
				time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
				if random.IntN(3) == 0 {
					_ = ask(t.Context(), c, m, colleague)
				}
				which := random.IntN(len(asks))
				again := asks[which]
				err := again()
				if err == nil {
					continue
				}
				refusals++
				ofRows := strings.HasPrefix(err.Error(), "Too many rows")
				if ofRows {
					tooManyRows++
				}
				wait := fault.As(err).RetryAfter
				if wait < time.Second || wait > 2*time.Hour {
					t.Fatalf("told to wait %v: %v", wait, err)
				}
				time.Sleep(wait)
				if err := again(); err != nil && (ofRows || which < 4) {
					t.Fatalf("refused after waiting %v as told: %v; key %v, tenant %v", wait, err, p.Limit, p.TenantLimit)
				}
			}
		})
	}
	if refusals < 500 || tooManyRows < 100 {
		t.Errorf("only %d refusals, %d of them for rows: the property was hardly put to the test", refusals, tooManyRows)
	}
}

func TestColleaguesBehindOneAddressHaveRatesOfTheirOwn(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("2/minute"), PerPrincipal: true}})
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
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("2/minute"), PerPrincipal: true}})
	looked := 0
	for range 1000 {
		ctx, _ := request(t.Context())
		if c.Address(ctx, admission.Predict, client) == nil {
			looked++
			c.Failed(ctx, admission.Predict, client, fault.New(fault.Unauthenticated, ""))
		}
	}
	if want := 2 * admission.FailureFactor; looked != want {
		t.Errorf("%d were looked at, want %d", looked, want)
	}
}

// Reading is bounded, too, far above what anybody needs, and not told of below that.
func TestReadsOfAPrincipalAreBounded(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("2/minute")}})
	read := func(p *identity.Principal) error {
		ctx, info := request(t.Context())
		if err := c.Address(ctx, admission.Read, client); err != nil {
			return err
		}
		err := c.Principal(ctx, admission.Read, p)
		if told := len(info.Limits) > 0; told != (err != nil) {
			t.Fatalf("told of %v, and refused: %v", info.Limits, err)
		}
		return err
	}
	for i := range 2 * admission.ReadFactor {
		if err := read(caller("acme")); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := read(caller("acme")); fault.KindOf(err) != fault.RateLimited || fault.As(err).RetryAfter < time.Second {
		t.Errorf("%v, want a refusal", err)
	}
	if err := read(caller("other")); err != nil {
		t.Errorf("another principal: %v", err)
	}
	c.Reload(admission.Rates{})
	if err := read(caller("acme")); err != nil {
		t.Errorf("where rates are off: %v", err)
	}
}

func TestAnswerNamesEveryWindow(t *testing.T) {
	c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("9/second, 20/minute"), Rows: testkit.Rates("30/minute"), PerPrincipal: true}})
	m := c.Model("iris", admission.Limits{Rates: testkit.Rates("8/minute, 40/hour"), Rows: testkit.Rates("100/minute, 1000/hour")})
	ctx, info := request(t.Context())
	p := &identity.Principal{Subject: "apikey:1", Tenant: "acme", Limit: testkit.Limit("7/minute, 20 rows/minute"), TenantLimit: testkit.Limit("6/hour, 25 rows/second, 50 rows/day")}
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
	want := map[string]int64{
		"principal": 8, "principal-2": 19, "principal-3rows": 20, "key": 6, "key-2rows": 10, "tenant": 5, "tenant-2rows": 15, "tenant-3rows": 40,
		"model": 7, "model-2": 39, "model-3rows": 90, "model-4rows": 990,
	}
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
		"rows alone":         {admission.Limits{Rows: testkit.Rates("100/minute, 1000/hour")}, []string{"model rows", "model-2 rows"}},
		"one window of each": {admission.Limits{Rates: testkit.Rates("9/second"), Rows: testkit.Rates("100/minute")}, []string{"model ", "model-2 rows"}},
		"as many as there may be": {
			admission.Limits{Rates: testkit.Rates("9/second, 90/minute, 900/hour, 9000/day"), Rows: testkit.Rates("99/second, 990/minute, 9900/hour, 99000/day")},
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

// limited is who has a limit in rows, and so have a control and a model beside.
type limited struct {
	of    string // whose limit it is, to who is refused
	rates admission.Rates
	model admission.Limits
	p     identity.Principal
}

// inRows are a hundred rows a minute, of each who can have a limit.
func inRows() map[string]limited {
	limit := testkit.Limit("100 rows/minute")
	return map[string]limited{
		"model":     {"for this model", admission.Rates{}, admission.Limits{Rows: limit.Rows}, *caller("acme")},
		"tenant":    {"of this tenant", admission.Rates{}, none, identity.Principal{Subject: "alice", Tenant: "acme", TenantLimit: limit}},
		"key":       {"with this API key", admission.Rates{}, none, identity.Principal{Subject: "apikey:1", Tenant: "acme", Limit: limit}},
		"principal": {"of this caller", admission.Rates{PerPrincipal: true, Rows: limit.Rows}, none, *caller("acme")},
		"second key": {"with this API key", admission.Rates{}, none, identity.Principal{
			Subject: "alice", Tenant: "acme", With: &identity.Principal{Subject: "apikey:1", Tenant: "acme", Limit: limit},
		}},
	}
}

func TestBatchBeyondARowLimitCanNeverBeAdmitted(t *testing.T) {
	for name, tc := range inRows() {
		t.Run(name, func(t *testing.T) {
			c := newControl(t, admission.Config{Rates: tc.rates, Throttle: 5 * time.Second})
			m := c.Model("iris", tc.model)
			for i, step := range []struct {
				rows int
				want fault.Kind
			}{{101, fault.Content}, {60, admitted}, {41, fault.RateLimited}, {40, admitted}, {1, fault.RateLimited}, {101, fault.Content}} {
				err := spend(t.Context(), m, &tc.p, step.rows)
				if (err == nil) != (step.want == admitted) || err != nil && fault.KindOf(err) != step.want {
					t.Errorf("batch %d of %d rows: %v, want %v", i, step.rows, err, step.want)
				}
				if err != nil && !strings.Contains(err.Error(), "rows "+tc.of) {
					t.Errorf("batch %d of %d rows does not say whose limit it is: %v", i, step.rows, err)
				}
			}
		})
	}
}

// However many ask at once, as many rows are admitted as the rate says, and when the
// time is over that who is refused is told, as many again.
func TestRowsAreCountedExactlyUnderConcurrency(t *testing.T) {
	for name, tc := range inRows() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newControl(t, admission.Config{Rates: tc.rates, MaxInFlight: 1000, QueueTimeout: time.Second})
				m := c.Model("iris", tc.model)
				for window := range 100 {
					var rows atomic.Int64
					var all sync.WaitGroup
					for i := range 64 {
						all.Go(func() {
							ctx, _ := request(t.Context())
							n := i%5 + 1
							if spend(ctx, m, &tc.p, n) == nil {
								rows.Add(int64(n))
							}
						})
					}
					all.Wait()
					for spend(t.Context(), m, &tc.p, 1) == nil {
						rows.Add(1)
					}
					if rows.Load() != 100 {
						t.Fatalf("window %d: %d rows were admitted", window, rows.Load())
					}
					time.Sleep(fault.As(spend(t.Context(), m, &tc.p, 1)).RetryAfter)
				}
			})
		})
	}
}

func TestRowsOfOneAreNotAnothers(t *testing.T) {
	limit := testkit.Limit("10 rows/minute")
	c := newControl(t, admission.Config{Rates: admission.Rates{PerPrincipal: true, Rows: limit.Rows}})
	m := c.Model("iris", none)
	for _, subject := range []string{"apikey:1", "apikey:2"} {
		for _, tenant := range []string{"acme", "other"} {
			p := &identity.Principal{Subject: subject + tenant, Tenant: tenant, Limit: limit, TenantLimit: testkit.Limit("20 rows/minute")}
			for i, want := range []bool{true, true, false} {
				if err := spend(t.Context(), m, p, 5); (err == nil) != want {
					t.Errorf("%s of %s, batch %d: %v", subject, tenant, i, err)
				}
			}
		}
	}
}

func TestThrottledRequestWaitsForTheNextWindowAndIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("2/second")}, Throttle: 2 * time.Second})
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

// Of those who come at once, as many wait as the windows within the time have room
// for, and the others are told at once when there is room for them.
func TestThrottleKeepsOnlyThoseWaitingForWhomThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("3/second, 8/minute")}, Throttle: 2 * time.Second})
		m := c.Model("iris", none)
		began := time.Now()
		var mu sync.Mutex
		served, refused := map[string]int{}, map[string]int{}
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				err := ask(t.Context(), c, m, caller("acme"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					served[time.Since(began).String()]++
				} else {
					refused[fmt.Sprint("after ", time.Since(began), " for ", fault.As(err).RetryAfter)]++
				}
			})
		}
		all.Wait()
		want := map[string]int{"0s": 3, "1s": 3, "2s": 2}
		if diff := cmp.Diff(want, served); diff != "" {
			t.Errorf("served (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{"after 0s for 1m0s": 22}, refused); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
	})
}

// crowd is some callers who share limits, come when they like and go away while they
// wait. It returns how many were served.
func crowd(t *testing.T, random *rand.Rand, c *admission.Control, m *admission.Model, tenant identity.Rates) (served int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 40 {
		p := &identity.Principal{Subject: fmt.Sprint("apikey:", i%5), Tenant: "acme", TenantLimit: identity.Limit{Requests: tenant}}
		at, patience := time.Duration(random.IntN(6000))*time.Millisecond, time.Duration(1+random.IntN(2500))*time.Millisecond
		all.Go(func() {
			time.Sleep(at)
			ctx, gone := context.WithCancel(t.Context())
			defer time.AfterFunc(patience, gone).Stop()
			if ask(ctx, c, m, p) == nil {
				mu.Lock()
				served++
				mu.Unlock()
			}
			gone()
		})
	}
	all.Wait()
	return served
}

// However many wait and go away, no window admits more than its limit, and who waits
// as long as told is admitted while others wait.
func TestWaitingAsToldAlwaysWorksBesideThoseWhoWait(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	choices := []identity.Rates{testkit.Rates("1/second"), testkit.Rates("2/second, 9/minute"), testkit.Rates("3/second"), testkit.Rates("4/minute"), testkit.Rates("3/second, 12/minute, 30/hour")}
	choose := func() identity.Rates { return choices[random.IntN(len(choices))] }
	refusals := 0
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			var shared [3]identity.Rates // who waits for one must not use up another
			shared[random.IntN(3)] = choose()
			ofAddress, ofModel, ofTenant := shared[0], shared[1], shared[2]
			c := newControl(t, admission.Config{Rates: admission.Rates{Predict: ofAddress}, Throttle: 3 * time.Second})
			m := c.Model("iris", admission.Limits{Rates: ofModel})
			began := time.Now()
			served := crowd(t, random, c, m, ofTenant)
			for _, r := range shared {
				for _, rate := range r {
					if most := rate.Requests * int64(1+time.Since(began)/rate.Window); int64(served) > most {
						t.Errorf("%d were served in %v at %v", served, time.Since(began), rate)
					}
				}
			}
			waiting, gone := context.WithCancel(t.Context())
			for range 20 { // they book what they can, and hold it
				beside := &identity.Principal{Subject: "beside", Tenant: "acme", TenantLimit: identity.Limit{Requests: ofTenant}}
				go func() { _ = ask(waiting, c, m, beside) }()
			}
			synctest.Wait()
			p := &identity.Principal{Subject: "apikey:late", Tenant: "acme", Limit: identity.Limit{Requests: choose()}, TenantLimit: identity.Limit{Requests: ofTenant}}
			if err := ask(t.Context(), c, m, p); err != nil {
				refusals++
				wait := fault.As(err).RetryAfter
				time.Sleep(wait)
				if err := ask(t.Context(), c, m, p); err != nil {
					t.Errorf("refused after waiting %v as told: %v; address, model and tenant: %v", wait, err, shared)
				}
			}
			gone()
		})
	}
	if refusals < 50 {
		t.Errorf("only %d refusals: the property was hardly put to the test", refusals)
	}
}

func TestWhoGivesUpWaitingLeavesItsPlaceToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("1/second")}, Throttle: time.Second})
		m := c.Model("iris", none)
		if err := ask(t.Context(), c, m, caller("acme")); err != nil {
			t.Fatal(err)
		}
		ctx, gone := context.WithCancel(t.Context())
		go func() { _ = ask(ctx, c, m, caller("acme")) }()
		synctest.Wait()
		if err := ask(t.Context(), c, m, caller("acme")); fault.KindOf(err) != fault.RateLimited || fault.As(err).RetryAfter != 2*time.Second {
			t.Errorf("%v, want a refusal until the window behind the one that is booked", err)
		}
		gone()
		synctest.Wait()
		if err := ask(t.Context(), c, m, caller("acme")); err != nil {
			t.Errorf("the place that was given back: %v", err)
		}
	})
}

func TestThrottleRefusesAtOnceWhatWouldWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("1/minute")}, Throttle: 2 * time.Second})
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
		c := newControl(t, admission.Config{Rates: admission.Rates{Predict: testkit.Rates("50/second")}, Throttle: 2 * time.Second})
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
		if n := c.Throttled(); n != 64 || refused.Load() != 500-64-50 {
			t.Errorf("%d wait and %d were refused", n, refused.Load())
		}
		gone()
		all.Wait()
		if n := c.Throttled(); n != 0 || canceled.Load() != 64 {
			t.Errorf("%d wait and %d went", n, canceled.Load())
		}
	})
}
