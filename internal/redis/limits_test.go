package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

// request returns a context with a request of its own.
func request(ctx context.Context) (context.Context, *reqctx.Info) {
	info := &reqctx.Info{}
	return reqctx.With(ctx, info), info
}

// server is one of several that count together.
type server struct{ keys, tenants, rows *limit.Table }

func newServer(shared limit.Shared, now func() time.Time) *server {
	table := func(order int, policy, unit string) *limit.Table {
		return limit.NewTable(limit.TableConfig{Policy: policy, Unit: unit, Order: order, Clients: 4096, Shared: shared, Now: now})
	}
	return &server{keys: table(0, "key", ""), tenants: table(1, "tenant", ""), rows: table(2, "model", "rows")}
}

// twoServers share a Redis, and give up on it soon. back reports whether both reach it.
func twoServers(t *testing.T, store *testkit.Redis) (servers []*server, back func() bool) {
	t.Helper()
	one, two := newHastyClient(t, store.URL(0), 2*time.Second), newHastyClient(t, store.URL(0), 2*time.Second)
	servers = []*server{newServer(redis.NewLimits(one), time.Now), newServer(redis.NewLimits(two), time.Now)}
	return servers, func() bool { return one.Up() && two.Up() }
}

// taking asks for one request of a key.
func taking(key, rates string) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		return limit.Take(ctx, limit.Demand{Table: s.keys, Key: key, Rates: testkit.Rates(rates), N: 1})
	}
}

// inParallel has the servers ask so many times each, at once, and returns how many
// requests were admitted.
func inParallel(t *testing.T, each int, servers []*server, take func(context.Context, *server) error) int64 {
	t.Helper()
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range each {
		for _, s := range servers {
			wg.Go(func() {
				ctx, _ := request(t.Context())
				switch err := take(ctx, s); {
				case err == nil:
					admitted.Add(1)
				case fault.KindOf(err) != fault.RateLimited:
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
	}
	wg.Wait()
	return admitted.Load()
}

func TestServersThatShareRedisAdmitExactlyTheLimitTogether(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	var servers []*server
	for range 3 {
		servers = append(servers, newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now))
	}
	one := func(s *server) limit.Demand {
		return limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("100/hour, 1000/day"), N: 1}
	}
	for _, tc := range []struct {
		name string
		want int64
		take func(context.Context, *server) error
	}{
		{"one window of three servers", 100, func(ctx context.Context, s *server) error {
			return limit.Take(ctx, one(s))
		}},
		{"a tenant whose key has nothing left uses up nothing of its own", 0, func(ctx context.Context, s *server) error {
			return limit.Take(ctx, one(s), limit.Demand{Table: s.tenants, Key: "t", Rates: testkit.Rates("70/hour"), N: 1})
		}},
		{"so that all of it is there for others", 70, func(ctx context.Context, s *server) error {
			return limit.Take(ctx, limit.Demand{Table: s.tenants, Key: "t", Rates: testkit.Rates("70/hour"), N: 1})
		}},
		{"rows are counted all at once", 14, func(ctx context.Context, s *server) error {
			return limit.Take(ctx, limit.Demand{Table: s.rows, Key: "iris", Rates: testkit.Rates("100/hour"), N: 7})
		}},
		{"long keys are kept apart by their digests", 5, func(ctx context.Context, s *server) error {
			return limit.Take(ctx, limit.Demand{Table: s.keys, Key: strings.Repeat("k", 9999), Rates: testkit.Rates("5/hour"), N: 1})
		}},
	} {
		if got := inParallel(t, 60, servers, tc.take); got != tc.want {
			t.Errorf("%s: %d were admitted, want %d", tc.name, got, tc.want)
		}
	}
	for _, key := range keysOf(t, store) {
		if ttl, err := redigo.Int(store.Do(t, "PTTL", key), nil); err != nil || ttl <= 0 || ttl > 24*3600*1000 || len(key) > 80 {
			t.Errorf("%q lives for %d ms, %v", key, ttl, err)
		}
	}
}

func keysOf(t *testing.T, store *testkit.Redis) []string {
	t.Helper()
	keys, err := redigo.Strings(store.Do(t, "KEYS", "*"), nil)
	if err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	return keys
}

func TestAddressesAreCountedTogetherBySubscriberAndSite(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	var limiters []*limit.Limiter
	for range 2 {
		limiters = append(limiters, limit.New(limit.Config{Policy: "predict", Rates: testkit.Rates("2/hour"), Shared: redis.NewLimits(newClient(t, store.URL(0))), Now: time.Now}))
	}
	for _, tc := range []struct {
		name string
		want int
		addr func(i int) string
	}{
		{"one address", 2, func(int) string { return "192.0.2.1" }},
		{"one subscriber of IPv6", 2, func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }},
		{"one site of IPv6, which has used two", 30, func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", 1+i) }},
	} {
		admitted := 0
		for i := range 100 {
			ctx, info := request(t.Context())
			addr := netip.MustParseAddr(tc.addr(i))
			ahead := limiters[(i+1)%2].Check(ctx, addr)
			info.Limits = nil
			err := limiters[i%2].Take(ctx, addr)
			if (ahead == nil) != (err == nil) {
				t.Errorf("%s: Check said %v, and Take %v", tc.name, ahead, err)
			}
			if err == nil {
				admitted++
			}
			if len(info.Limits) != 1 || info.Limits[0].Policy != "predict" {
				t.Errorf("%s: told %+v", tc.name, info.Limits)
			}
		}
		if admitted != tc.want {
			t.Errorf("%s: %d were admitted, want %d", tc.name, admitted, tc.want)
		}
	}
}

// While Redis is away each server counts by itself, from zero; and what it counted
// then is counted against the common limit when Redis is back, also where that has
// lost everything.
func TestOutagesOfRedisAdmitOneBurstOfEachServerAndNoneAfterwards(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct {
		begin, end func(*testkit.Redis, testing.TB)
	}{
		"stopped": {(*testkit.Redis).Stop, (*testkit.Redis).Start},
		"hung":    {(*testkit.Redis).Hang, (*testkit.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testkit.StartRedis(t, testkit.RedisConfig{})
			servers, back := twoServers(t, store)
			take := func(key string) func(context.Context, *server) error { return taking(key, "20/hour") }
			want := func(what string, n int64, key string) {
				t.Helper()
				if got := inParallel(t, 30, servers, take(key)); got != n {
					t.Errorf("%s: %d were admitted, want %d", what, got, n)
				}
			}
			want("before", 20, "a")
			outage.begin(store, t)
			want("each server by itself, whoever has used up the common limit", 40, "a")
			want("each server by itself", 40, "b")
			if got := inParallel(t, 5, servers[:1], take("c")); got != 5 {
				t.Errorf("a part of a burst: %d were admitted", got)
			}
			twice := func(ctx context.Context, s *server) error { // one credential, shown twice
				d := limit.Demand{Table: s.keys, Key: "e", Rates: testkit.Rates("20/hour"), N: 1}
				return limit.Take(ctx, d, d)
			}
			if got := inParallel(t, 4, servers[:1], twice); got != 4 {
				t.Errorf("a key that is shown twice: %d were admitted", got)
			}
			outage.end(store, t)
			testkit.Eventually(t, "Redis is back", back)
			want("who has used up a burst of each server", 0, "b")
			want("who has used up all of it before, too", 0, "a")
			if got := inParallel(t, 1, servers[:1], take("c")); got != 1 { // its server has told now
				t.Errorf("who has used up a part: %d were admitted", got)
			}
			want("who has used up a part", 14, "c")
			if got := inParallel(t, 20, servers[:1], twice); got != 6 {
				t.Errorf("a key that is shown twice, and has used up 8: %d were admitted, want 6", got)
			}
			want("who was not there", 20, "d")
		})
	}
}

// However often Redis comes and goes within a window, also without what it knew, a
// server that counted by itself never begins from zero again.
func TestAFlappingRedisCostsOneBurstOfEachServerInAWindow(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct {
		begin, end func(*testkit.Redis, testing.TB)
		left       int64 // of 10, for who has used 6 at one server and 3 in common
	}{
		"stopped": {(*testkit.Redis).Stop, (*testkit.Redis).Start, 3}, // 2 of the 3 are lost
		"hung":    {(*testkit.Redis).Hang, (*testkit.Redis).Resume, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testkit.StartRedis(t, testkit.RedisConfig{})
			servers, back := twoServers(t, store)
			take := func(key string) func(context.Context, *server) error { return taking(key, "10/hour") }
			var away, after, part []int64
			for range 3 {
				outage.begin(store, t)
				away = append(away, inParallel(t, 15, servers, take("a")))
				part = append(part, inParallel(t, 2, servers[:1], take("b")))
				outage.end(store, t)
				testkit.Eventually(t, "Redis is back", back)
				after = append(after, inParallel(t, 15, servers, take("a")))
				part = append(part, inParallel(t, 1, servers[:1], take("b")))
			}
			if diff := cmp.Diff([][]int64{{20, 0, 0}, {0, 0, 0}, {2, 1, 2, 1, 2, 1}}, [][]int64{away, after, part}); diff != "" {
				t.Errorf("admitted while Redis was away, when it was back, and of who asks little, -want +got:\n%s", diff)
			}
			if got := inParallel(t, 10, servers, take("b")); got != outage.left {
				t.Errorf("who asks little: %d were admitted at the end, want %d", got, outage.left)
			}
		})
	}
}

func TestServersWithoutTheRightToCountAreNotUnlimited(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{Password: "right"})
	c, err := redis.New(redis.Config{URL: strings.Replace(store.URL(0), "right", "wrong", 1), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("%v, want that the password is wrong", err)
	}
	s := newServer(redis.NewLimits(c), time.Now)
	got := inParallel(t, 30, []*server{s}, taking("a", "20/hour"))
	if alone := s.keys.Alone(); got != 20 || alone != 30 {
		t.Errorf("%d were admitted, want 20; %d were counted here, want 30", got, s.keys.Alone())
	}
}

// sameClock is the clock of a memory and of a Redis.
type sameClock struct {
	store *testkit.Redis
	now   time.Time
}

const clockKey = "test:now"

func (c *sameClock) pass(t *testing.T, d time.Duration) {
	t.Helper()
	c.now = c.now.Add(d)
	c.store.Do(t, "SET", clockKey, c.now.UnixMilli())
}

// played is what one step of a sequence came to.
type played struct {
	Err        string
	RetryAfter time.Duration
	Booked     time.Duration
	Limits     []reqctx.Limit
}

func outcome(info *reqctx.Info, err error) played {
	p := played{Limits: info.Limits}
	if err != nil {
		p.Err, p.RetryAfter = err.Error(), fault.As(err).RetryAfter
	}
	return p
}

// step is one thing that both do.
type step struct {
	kind     int
	demands  func(*server) []limit.Demand
	patience time.Duration
	pick     int
}

// player does the steps, and holds what it has booked.
type player struct {
	*server

	booked []*limit.Booking
}

func (p *player) play(ctx context.Context, s step) played {
	ctx, info := request(ctx)
	demands := s.demands(p.server)
	switch {
	case s.kind < 6:
		return outcome(info, limit.Take(ctx, demands...))
	case s.kind < 8:
		b, err := limit.Book(ctx, s.patience, demands...)
		result := outcome(info, err)
		if err == nil {
			p.booked, result.Booked = append(p.booked, b), b.Wait
		}
		return result
	case s.kind < 9 && len(p.booked) > 0:
		i := s.pick % len(p.booked)
		p.booked[i].Cancel()
		p.booked = append(p.booked[:i], p.booked[i+1:]...)
	case len(p.booked) > 0:
		p.booked[s.pick%len(p.booked)].Tell(ctx)
	}
	return outcome(info, nil)
}

// randomStep draws a step over a few keys whose rates are always the same.
func randomStep(random *rand.Rand) step {
	choices := []identity.Rates{testkit.Rates("2/second"), testkit.Rates("1/second, 3/minute"), testkit.Rates("3/second, 7/minute, 20/hour"), testkit.Rates("5/minute")}
	key, tenant, rows := random.IntN(4), random.IntN(3), int64(1+random.IntN(4))
	with := random.IntN(3)
	return step{
		kind: random.IntN(10), patience: time.Duration(random.IntN(90_000)) * time.Millisecond, pick: random.IntN(100),
		demands: func(s *server) []limit.Demand {
			all := []limit.Demand{{Table: s.keys, Key: fmt.Sprint("k", key), Rates: choices[key], N: 1}}
			if with == 0 && key == 0 { // shown twice
				all = append(all, all[0])
			}
			if with > 0 {
				all = append(all, limit.Demand{Table: s.tenants, Key: fmt.Sprint("t", tenant), Rates: choices[tenant], N: 1})
			}
			if with > 1 {
				all = append(all, limit.Demand{Table: s.rows, Key: "m", Rates: testkit.Rates("4/second, 30/minute"), N: rows})
			}
			return all
		},
	}
}

func TestRedisAndMemoryDecideAlike(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newClient(t, store.URL(0))
	sequences := testkit.Number(t, "ONNXGATE_TEST_REDIS_SEQUENCES", 20)
	seed := uint64(testkit.Number(t, "ONNXGATE_TEST_REDIS_SEED", 1))
	refused, granted, waited := 0, 0, 0
	for n := range sequences {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		store.Do(t, "FLUSHDB")
		clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
		clock.pass(t, 0)
		now := func() time.Time { return clock.now }
		memory, shared := &player{server: newServer(nil, now)}, &player{server: newServer(redis.NewLimitsAt(c, clockKey, now), now)}
		for i := range 150 {
			s := randomStep(random)
			want, got := memory.play(t.Context(), s), shared.play(t.Context(), s)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("sequence %d, step %d (-memory +Redis):\n%s", n, i, diff)
			}
			switch {
			case got.Err != "":
				refused++
			case got.Booked > 0:
				waited++
			default:
				granted++
			}
			if random.IntN(3) > 0 {
				clock.pass(t, time.Duration(random.IntN(1500))*time.Millisecond)
			} else if random.IntN(10) == 0 {
				clock.pass(t, time.Duration(random.IntN(100_000))*time.Millisecond)
			}
		}
	}
	if least := 5 * sequences; refused < least || granted < least || waited < least {
		t.Errorf("%d refused, %d granted and %d waited: the property was hardly put to the test", refused, granted, waited)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestAClockOfRedisThatIsSetBackGrantsNothingAndHoldsNobodyForLong(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
	clock.pass(t, 0)
	s := newServer(redis.NewLimitsAt(newClient(t, store.URL(0)), clockKey, time.Now), time.Now)
	take := func() error {
		ctx, _ := request(t.Context())
		return limit.Take(ctx, limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("2/minute"), N: 1})
	}
	for range 2 {
		if err := take(); err != nil {
			t.Fatal(err)
		}
	}
	clock.pass(t, -24*time.Hour)
	err := take()
	if fault.KindOf(err) != fault.RateLimited || fault.As(err).RetryAfter != time.Minute {
		t.Fatalf("%v, want a refusal for a minute", err)
	}
	clock.pass(t, time.Minute)
	if err := take(); err != nil {
		t.Errorf("after waiting as told: %v", err)
	}
}

// The page says which rights of Redis are enough, and they are.
func TestTheRightsOfThePageAreEnoughAndNoMore(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("`ACL (SETUSER [^`]+)`").FindSubmatch(page)
	if line == nil {
		t.Fatal("docs/limits.md does not say which rights")
	}
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	var args []any
	for word := range strings.FieldsSeq(strings.Replace(string(line[1]), "PASSWORD", "secret", 1)) {
		args = append(args, word)
	}
	store.Do(t, "ACL", args...)
	c := newClient(t, strings.Replace(store.URL(3), "redis://", "redis://onnxgate:secret@", 1))
	s := newServer(redis.NewLimits(c), time.Now)
	joined, heard := make(chan struct{}), make(chan string)
	go c.Subscribe(t.Context(), "told", redis.Subscriber{Joined: func() { close(joined) }, Message: func(m []byte) { heard <- string(m) }})
	<-joined
	ctx, _ := request(t.Context())
	if err := limit.Take(ctx, limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("5/hour"), N: 1}); err != nil || s.keys.Alone() != 0 {
		t.Errorf("%v; %d were counted here", err, s.keys.Alone())
	}
	b := newBackoff(patient, redis.NewBackoff(c), time.Now)
	failed, _ := b.Begin("a")
	failed.Failed()
	right, _ := b.Begin("a")
	if right.Succeeded(); b.Alone() != 0 {
		t.Errorf("%d steps of failures in a row were counted here", b.Alone())
	}
	if err := c.Publish("told", []byte("hello")); err != nil || <-heard != "hello" {
		t.Error(err)
	}
	if _, err := c.Run(redis.NewScript(`return redis.call('GET', KEYS[1])`), 1, "of somebody else"); err == nil {
		t.Error("it may read what is not ours")
	}
}
