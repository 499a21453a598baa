package redis_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
	"onnxgate/internal/testkit"
)

// asked returns how many scripts Redis has run.
func asked(t *testing.T, store *testkit.Redis) int {
	t.Helper()
	text, err := redigo.String(store.Do(t, "INFO", "commandstats"), nil)
	found := regexp.MustCompile(`cmdstat_evalsha:calls=(\d+)`).FindStringSubmatch(text)
	if err != nil || found == nil {
		t.Fatal(text, err)
	}
	n, _ := strconv.Atoi(found[1]) // digits
	return n
}

func TestOfALargeLimitAPartIsCountedAheadAndNoneTwice(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	servers := []*server{
		newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now),
		newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now),
	}
	const whole, part, first = 10_000, 20, 6000
	take := taking("a", "10000/hour, 50000/day")
	for i := range first {
		ctx, info := request(t.Context())
		if err := take(ctx, servers[i%2]); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		told, left := info.Limits[0].Remaining, int64(whole-1-i)
		if told < left-2*part || told > left+2*part {
			t.Fatalf("request %d is told that %d remain, want %d but for two parts", i, told, left)
		}
	}
	if n := asked(t, store); n < first/(part+1) || n > first/10 {
		t.Errorf("Redis was asked %d times for %d requests, want once for some %d", n, first, part+1)
	}
	admitted := first + inParallel(t, (whole-first)/2+500, servers, take)
	if admitted > whole || admitted < whole-2*part {
		t.Errorf("%d were admitted of %d, of which each server may lose a part of %d", admitted, whole, part)
	}
	before := asked(t, store)
	inParallel(t, 100, servers, take)
	if n := asked(t, store) - before; n > 200+len(servers) { // which may have heard last of how much there was left
		t.Errorf("Redis was asked %d times about 200 requests that were refused", n)
	}
}

// What a server counts ahead is still there for its clients: what remains goes down by
// what a request takes, whether Redis was asked or not.
func TestWhatIsCountedAheadRemains(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	for name, n := range map[string]int64{"requests": 1, "batches larger than a part": 30} {
		s := newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now)
		left := int64(10_000)
		for i := range 50 {
			ctx, info := request(t.Context())
			took := n
			if i%10 == 9 { // which a part has room for
				took = 1
			}
			if err := limit.Take(ctx, limit.Demand{Table: s.keys, Key: name, Rates: testkit.Rates("10000/day"), N: took}); err != nil {
				t.Fatal(err)
			}
			if left -= took; info.Limits[0].Remaining != left {
				t.Errorf("%s: request %d is told that %d remain, want %d", name, i, info.Limits[0].Remaining, left)
			}
		}
	}
}

// counts returns what Redis has counted in each window of a key, in the order of their
// names.
func counts(t *testing.T, store *testkit.Redis, names string) (all []string) {
	t.Helper()
	for _, key := range keysOf(t, store) {
		if strings.Contains(key, names) {
			value, err := redigo.String(store.Do(t, "GET", key), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, count, _ := strings.Cut(value, " ")
			all = append(all, count)
		}
	}
	return all
}

func TestALeaseEndsWithItsWindowAndIsGivenBackAsCounted(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
	clock.pass(t, 0)
	now := func() time.Time { return clock.now }
	s := newServer(redis.NewLimitsAt(newClient(t, store.URL(0)), clockKey, now), now)
	take := taking("a", "300/minute")
	want := func(count string) {
		t.Helper()
		if got := counts(t, store, "key"); len(got) != 1 || got[0] != count {
			t.Errorf("Redis has counted %v, want %s", got, count)
		}
	}
	admit := func(n int) {
		t.Helper()
		for range n {
			ctx, _ := request(t.Context())
			if err := take(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	admit(1)
	want("1")
	admit(1)
	want("5") // three ahead
	admit(2)
	want("5")
	ctx, _ := request(t.Context())
	b, err := limit.Book(ctx, 0, limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("300/minute"), N: 1})
	if err != nil {
		t.Fatal(err)
	}
	want("5")
	b.Cancel()
	want("4")
	admit(2)
	want("8")
	clock.pass(t, time.Minute)
	admit(1)
	want("1")
	admit(4)
	want("5")
}

func TestARequestOfASmallLimitCountsNothingAhead(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	s := newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now)
	take := func(ctx context.Context) error {
		return limit.Take(ctx,
			limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("90000/hour"), N: 1},
			limit.Demand{Table: s.tenants, Key: "t", Rates: testkit.Rates("199/hour"), N: 1})
	}
	for range 50 {
		ctx, _ := request(t.Context())
		if err := take(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := append(counts(t, store, "key"), counts(t, store, "tenant")...); len(got) != 2 || got[0] != "50" || got[1] != "50" {
		t.Errorf("Redis has counted %v, want 50 of each", got)
	}
}

func TestOfTheLargerOfTwoLimitsNoMoreIsCountedAheadThanIsAskedFor(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	s := newServer(redis.NewLimits(newClient(t, store.URL(0))), time.Now)
	const requests, part = 500, 1000
	for i := range requests {
		ctx, info := request(t.Context())
		err := limit.Take(ctx,
			limit.Demand{Table: s.keys, Key: "a", Rates: testkit.Rates("3000/hour"), N: 1},
			limit.Demand{Table: s.tenants, Key: "t", Rates: testkit.Rates("1000000/hour"), N: 1})
		if err != nil {
			t.Fatalf("request %d: %v, %+v", i, err, info.Limits)
		}
	}
	got := counts(t, store, "tenant")
	if n, err := strconv.Atoi(strings.Join(got, "")); err != nil || n > requests+part {
		t.Errorf("Redis has counted %v for %d requests, of which a part of %d may be ahead", got, requests, part)
	}
	if n := asked(t, store); n > requests/3 {
		t.Errorf("Redis was asked %d times for %d requests", n, requests)
	}
}
