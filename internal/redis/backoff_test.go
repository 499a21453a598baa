package redis_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
	"onnxgate/internal/testkit"
)

// patient is a policy whose first wait is longer than any test.
var patient = limit.BackoffPolicy{
	Free: 9, First: time.Hour, Last: 24 * time.Hour, Each: 24 * time.Hour, Longest: 7 * 24 * time.Hour, Turn: 30 * time.Second,
}

func newBackoff(policy limit.BackoffPolicy, shared limit.SharedBackoff, now func() time.Time) *limit.Backoff {
	return limit.NewBackoff(limit.BackoffConfig{Policy: policy, Name: "password", Shared: shared, Now: now})
}

// guards are several servers that count failures together.
type guards struct {
	servers []*limit.Backoff
	clients []*redis.Client
}

func newGuards(t *testing.T, store *testkit.Redis, n int, patience time.Duration) *guards {
	t.Helper()
	g := &guards{}
	for range n {
		c := newHastyClient(t, store.URL(0), patience)
		g.clients, g.servers = append(g.clients, c), append(g.servers, newBackoff(patient, redis.NewBackoff(c), time.Now))
	}
	return g
}

// back waits until all see Redis again: it has answered each of them, so that nobody
// waits any more for an answer from before.
func (g *guards) back(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "Redis is back", func() bool {
		for _, c := range g.clients {
			if c.Publish("back", nil) != nil {
				return false
			}
		}
		return true
	})
}

// guess fails at a server, and reports how long the next has to wait, or this one.
func guess(b *limit.Backoff, key string) time.Duration {
	a, wait := b.Begin(key)
	if wait > 0 {
		return wait
	}
	return a.Failed()
}

// free is how many guesses at the servers in turn nobody keeps waiting, of 100.
func (g *guards) free(key string) (n int) {
	for n < 100 && guess(g.servers[n%len(g.servers)], key) == 0 {
		n++
	}
	return n
}

// waits is how long each server keeps the next one waiting, in hours.
func (g *guards) waits(key string) (hours []int) {
	for _, b := range g.servers {
		a, wait := b.Begin(key)
		a.Abandoned()
		hours = append(hours, int((wait+time.Hour-1)/time.Hour))
	}
	return hours
}

func TestServersThatShareRedisCountFailuresInARowTogether(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	g := newGuards(t, store, 3, 30*time.Second)
	if n := g.free("ada"); n != 9 {
		t.Errorf("%d guesses were free, want 9 over all servers", n)
	}
	if diff := cmp.Diff([]int{1, 1, 1}, g.waits("ada")); diff != "" {
		t.Errorf("hours to wait at each (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 0, 0}, g.waits("grace")); diff != "" {
		t.Errorf("hours to wait for another key (-want +got):\n%s", diff)
	}
	for round := range 3 { // a success at any server ends the row at all
		for n := range 9 {
			if wait := guess(g.servers[n%3], "bob"); wait != 0 {
				t.Fatalf("round %d, guess %d has to wait %v", round, n, wait)
			}
		}
		a, _ := g.servers[round].Begin("bob")
		a.Succeeded()
	}
	for _, b := range g.servers {
		if b.Alone() != 0 {
			t.Errorf("%d were decided by one server", b.Alone())
		}
	}
	_ = guess(g.servers[0], strings.Repeat("long name ", 999))
	for _, key := range keysOf(t, store) {
		ttl, err := redigo.Int(store.Do(t, "PTTL", key), nil)
		value, err2 := redigo.String(store.Do(t, "GET", key), nil)
		if err != nil || err2 != nil || ttl <= 0 || ttl > 7*24*3600*1000 || len(key) > 80 || len(value) > 100 {
			t.Errorf("%q is %q for %d ms: %v, %v", key, value, ttl, err, err2)
		}
		if strings.Contains(key+value, "ada") || strings.Contains(key+value, "bob") {
			t.Errorf("%q, %q tells a name", key, value)
		}
	}
}

func TestOfThoseWhoWaitedOneTriesAtATimeOverAllServers(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
	clock.pass(t, 0)
	g := &guards{}
	for range 3 {
		g.servers = append(g.servers, newBackoff(patient, redis.NewBackoffAt(newClient(t, store.URL(0)), clockKey), time.Now))
	}
	for n := range 12 {
		clock.pass(t, guess(g.servers[n%3], "ada"))
	}
	var entered atomic.Int32
	var last atomic.Pointer[limit.Attempt]
	var all sync.WaitGroup
	for n := range 60 {
		all.Go(func() {
			switch a, wait := g.servers[n%3].Begin("ada"); {
			case wait == 0:
				entered.Add(1)
				last.Store(&a)
			case wait != time.Second:
				t.Errorf("has to wait %v", wait)
			}
		})
	}
	all.Wait()
	if n := entered.Load(); n != 1 {
		t.Errorf("%d of 60 attempts were let in at once", n)
	}
	last.Load().Abandoned() // not judged: another may try
	if diff := cmp.Diff([]int{0, 0, 0}, g.waits("ada")); diff != "" {
		t.Errorf("after one that was not judged (-want +got):\n%s", diff)
	}
	var begun [2]limit.Attempt
	for n := range begun { // neither ends in time
		clock.pass(t, patient.Turn)
		var wait time.Duration
		if begun[n], wait = g.servers[n].Begin("ada"); wait != 0 {
			t.Fatalf("after one whose turn is over the next has to wait %v", wait)
		}
	}
	begun[0].Abandoned() // late, which ends no other turn
	if _, wait := g.servers[2].Begin("ada"); wait != time.Second {
		t.Errorf("beside one who tries the next has to wait %v, want a second", wait)
	}
}

// outages of Redis: one that forgets everything, and one that does not.
var outages = map[string]struct {
	begin, end func(*testkit.Redis, testing.TB)
}{
	"stopped": {(*testkit.Redis).Stop, (*testkit.Redis).Start},
	"hung":    {(*testkit.Redis).Hang, (*testkit.Redis).Resume},
}

// While Redis is away each server counts on from what it knows; what was counted then
// counts for all when it is back, and so does what it has lost.
func TestOutagesOfRedisGiveNobodyAFreshRow(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testkit.StartRedis(t, testkit.RedisConfig{})
			g := newGuards(t, store, 2, 2*time.Second)
			one, two := g.servers[0], g.servers[1]
			g.free("throttled")
			g.waits("throttled") // which tells both
			for n := range 6 {
				guess(g.servers[n%2], "six")
			}
			outage.begin(store, t)
			if diff := cmp.Diff([]int{1, 1}, g.waits("throttled")); diff != "" {
				t.Errorf("who had to wait before (-want +got):\n%s", diff)
			}
			if n := g.free("six"); n != 7 { // of which one server has seen five
				t.Errorf("%d guesses were free at both after six before, want 7", n)
			}
			for range 5 { // at each server by itself
				guess(one, "new")
				guess(two, "new")
			}
			if diff := cmp.Diff([]int{0, 0}, g.waits("new")); diff != "" {
				t.Errorf("five at each (-want +got):\n%s", diff)
			}
			if one.Alone() == 0 || two.Alone() == 0 {
				t.Error("nothing was decided by the servers themselves")
			}
			outage.end(store, t)
			g.back(t)
			guess(one, "other")
			for _, key := range []string{"throttled", "six", "new"} {
				g.waits(key) // each has told then
				if got := g.waits(key); got[0] < 1 || got[1] != got[0] {
					t.Errorf("%s: %v hours to wait at the servers", key, got)
				}
			}
		})
	}
}

// However often Redis comes and goes, also without what it knew, the guesses that
// nobody keeps waiting are those of one row.
func TestAFlappingRedisGivesNobodyAFreshRow(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testkit.StartRedis(t, testkit.RedisConfig{})
			g := newGuards(t, store, 2, 2*time.Second)
			free := g.free("ada")
			for range 3 {
				outage.begin(store, t)
				free += g.free("ada")
				outage.end(store, t)
				g.back(t)
				free += g.free("ada")
			}
			if free != 9 {
				t.Errorf("%d guesses were free, want 9", free)
			}
		})
	}
}

func TestASuccessWhileRedisIsAwayEndsTheRowWhenItIsBack(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testkit.StartRedis(t, testkit.RedisConfig{})
			g := newGuards(t, store, 2, 2*time.Second)
			for n := range 9 {
				guess(g.servers[n%2], "ada")
			}
			outage.begin(store, t)
			for range 2 {
				a, wait := g.servers[0].Begin("ada")
				if wait != 0 {
					t.Fatalf("has to wait %v", wait)
				}
				a.Succeeded()
			}
			if wait := guess(g.servers[0], "ada"); wait != 0 {
				t.Errorf("the first wrong one after that has to wait %v", wait)
			}
			outage.end(store, t)
			g.back(t)
			guess(g.servers[0], "ada")
			if n := g.free("ada"); n != 7 {
				t.Errorf("%d more guesses were free, want 7 after two", n)
			}
		})
	}
}

// A row that a success has ended stays ended, whoever remembers it.
func TestARowThatRedisLostComesBackUnlessASuccessEndedIt(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	g := newGuards(t, store, 2, 30*time.Second)
	for n := range 9 {
		guess(g.servers[n%2], "lost")
	}
	store.Do(t, "FLUSHDB")
	if wait := guess(g.servers[0], "lost"); wait == 0 {
		t.Error("a lost row begins anew")
	}
	for n := range 9 {
		guess(g.servers[n%2], "again")
	}
	a, _ := g.servers[0].Begin("again")
	a.Succeeded()
	if n := g.free("again"); n != 9 {
		t.Errorf("%d guesses were free after a success at another server, want 9", n)
	}
}

func TestFailuresFromAServerThatMakesThemUpAreNotFollowed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"garbage":                            "+OK\r\n",
		"an array of 300 million":            "*300000000\r\n",
		"fewer numbers":                      "*2\r\n:1\r\n:0\r\n",
		"text":                               "*5\r\n$3\r\nten\r\n:0\r\n:1\r\n:0\r\n:0\r\n",
		"more failures than can be":          "*5\r\n:9223372036854775807\r\n:0\r\n:1\r\n:60000\r\n:0\r\n",
		"fewer than none":                    "*5\r\n:-1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
		"a wait of years":                    "*5\r\n:10\r\n:0\r\n:1\r\n:90000000000\r\n:0\r\n",
		"a wait after none":                  "*5\r\n:0\r\n:0\r\n:0\r\n:60000\r\n:0\r\n",
		"neither a wait nor a turn after 20": "*5\r\n:20\r\n:0\r\n:1\r\n:0\r\n:0\r\n",
		"a moment that overflows":            "*5\r\n:1\r\n:0\r\n:9223372036854775807\r\n:0\r\n:0\r\n",
		"one of long ago":                    "*5\r\n:1\r\n:9000000000000\r\n:1\r\n:0\r\n:0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, rogue{command: "EVALSHA", answer: answer}.start(t))
			g := &guards{servers: []*limit.Backoff{newBackoff(patient, redis.NewBackoff(c), time.Now)}}
			if n := g.free("ada"); n != 9 {
				t.Errorf("%d guesses were free, want 9", n)
			}
			if diff := cmp.Diff([]int{1}, g.waits("ada")); diff != "" {
				t.Errorf("hours to wait (-want +got):\n%s", diff)
			}
		})
	}
}

// attempts are what a player has begun.
type attempts struct {
	*limit.Backoff

	open []limit.Attempt
}

// play takes a step and returns how long somebody has to wait.
func (p *attempts) play(kind, pick int, key string) time.Duration {
	if kind < 4 || len(p.open) == 0 {
		a, wait := p.Begin(key)
		if wait == 0 {
			p.open = append(p.open, a)
		}
		return wait
	}
	i := pick % len(p.open)
	a := p.open[i]
	p.open = append(p.open[:i], p.open[i+1:]...)
	switch {
	case kind < 8:
		return a.Failed()
	case kind < 9:
		a.Abandoned()
	case pick%4 == 0:
		a.Succeeded()
	}
	return 0 // or it never ends
}

func TestRedisAndMemoryJudgeFailuresAlike(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newClient(t, store.URL(0))
	sequences := testkit.Number(t, "ONNXGATE_TEST_REDIS_SEQUENCES", 20)
	policy := limit.BackoffPolicy{Free: 2, First: time.Second, Last: 20 * time.Second, Each: 20 * time.Second, Longest: 3 * time.Minute, Turn: 5 * time.Second}
	waited, free := 0, 0
	for n := range sequences {
		random := rand.New(rand.NewPCG(7, uint64(n)))
		store.Do(t, "FLUSHDB")
		clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
		clock.pass(t, 0)
		now := func() time.Time { return clock.now }
		shared := redis.NewBackoffAt(c, clockKey)
		memory, one := &attempts{Backoff: newBackoff(policy, nil, now)}, &attempts{Backoff: newBackoff(policy, shared, now)}
		for i := range 150 {
			kind, pick, key := random.IntN(10), random.IntN(100), fmt.Sprint("k", random.IntN(3))
			want, got := memory.play(kind, pick, key), one.play(kind, pick, key)
			if want != got {
				t.Fatalf("sequence %d, step %d: memory says %v, Redis %v", n, i, want, got)
			}
			if got > 0 {
				waited++
			} else {
				free++
			}
			if random.IntN(3) == 0 {
				clock.pass(t, time.Duration(random.IntN(15_000))*time.Millisecond)
			} else if random.IntN(20) == 0 {
				clock.pass(t, time.Duration(random.IntN(200_000))*time.Millisecond)
			}
		}
		if one.Alone() != 0 {
			t.Fatalf("%d were decided without Redis", one.Alone())
		}
	}
	if least := 20 * sequences; waited < least || free < least {
		t.Errorf("%d waited and %d did not: the property was hardly put to the test", waited, free)
	}
}

func TestAClockOfRedisThatIsSetBackKeepsNobodyWaitingForLonger(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	clock := &sameClock{store: store, now: time.UnixMilli(1_700_000_000_000)}
	clock.pass(t, 0)
	g := &guards{servers: []*limit.Backoff{newBackoff(patient, redis.NewBackoffAt(newClient(t, store.URL(0)), clockKey), time.Now)}}
	g.free("ada")
	clock.pass(t, -30*24*time.Hour)
	if diff := cmp.Diff([]int{1}, g.waits("ada")); diff != "" {
		t.Errorf("hours to wait (-want +got):\n%s", diff)
	}
	clock.pass(t, time.Hour)
	a, wait := g.servers[0].Begin("ada")
	if wait != 0 {
		t.Fatalf("after waiting as told it is %v", wait)
	}
	a.Succeeded()
	if n := g.free("ada"); n != 9 {
		t.Errorf("%d guesses were free after a success, want 9", n)
	}
}
