package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/redis"
	"onnxgate/internal/testkit"
)

// newClient returns a client of the server, connected, which waits for Redis as long
// as a loaded machine takes.
func newClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	return newHastyClient(t, url, 30*time.Second)
}

// newHastyClient returns a client that gives Redis so long, or 0 for what it usually has.
func newHastyClient(t *testing.T, url string, patience time.Duration) *redis.Client {
	t.Helper()
	c, err := redis.New(redis.Config{URL: url, Patience: patience, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until something holds.
var add = redis.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)

func TestScriptsRunAlsoWhenRedisForgotThem(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newClient(t, server.URL(0))
	for want := int64(2); want <= 8; want += 2 {
		got, err := redigo.Int64(c.Run(add, 1, "sum", 2))
		if err != nil || got != want {
			t.Fatalf("%d, %v; want %d", got, err, want)
		}
		server.Do(t, "SCRIPT", "FLUSH")
	}
}

func TestParallelCallsShareAConnectionAndGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newClient(t, server.URL(0))
	echo := redis.NewScript(`return ARGV[1]`)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				got, err := redigo.Int(c.Run(echo, 0, i*50+j))
				if err != nil || got != i*50+j {
					t.Errorf("%d, %v; want %d", got, err, i*50+j)
				}
			}
		})
	}
	wg.Wait()
	list, err := redigo.String(server.Do(t, "CLIENT", "LIST", "TYPE", "normal"), nil)
	if n := strings.Count(list, "name=onnxgate"); err != nil || n != 1 {
		t.Errorf("%d connections, %v; want 1", n, err)
	}
}

func TestPasswordsAndTLSAreUsed(t *testing.T) {
	t.Parallel()
	const password = "p@ss:w/rd?#%"
	server := testkit.StartRedis(t, testkit.RedisConfig{Password: password, CA: testkit.NewCA(t, "Redis's")})
	c := newClient(t, server.URL(3))
	if _, err := c.Run(add, 1, "sum", 5); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{
		"an authority that did not sign":  strings.Split(server.URL(0), "?")[0],
		"a wrong password":                strings.Replace(server.URL(0), "p%40ss", "pass", 1),
		"a connection without encryption": strings.Split(strings.Replace(server.URL(0), "rediss", "redis", 1), "?")[0],
	} {
		err := redis.Reach(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), "w/rd") || strings.Contains(err.Error(), "w%2Frd") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := redis.Reach(t.Context(), server.URL(0)); err != nil {
		t.Error(err)
	}
}

// changes remembers what a client told.
type changes struct {
	mu  sync.Mutex
	all []error
}

func (c *changes) note(_ string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, err)
}

func (c *changes) told() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]error{}, c.all...)
}

func TestRedisThatGoesAwayIsToldOnceAndUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	var told changes
	c, err := redis.New(redis.Config{URL: server.URL(0), Changed: told.note, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	testkit.Eventually(t, "Redis is away", func() bool { return !c.Up() })
	for range 1000 {
		if _, err := c.Run(add, 1, "sum", 1); !errors.Is(err, redis.ErrAway) {
			t.Fatal(err)
		}
	}
	server.Start(t)
	testkit.Eventually(t, "Redis is back", c.Up)
	if _, err := c.Run(add, 1, "sum", 1); err != nil {
		t.Error(err)
	}
	if all := told.told(); len(all) < 3 || len(all)%2 == 0 || all[0] != nil || all[1] == nil || all[len(all)-1] != nil {
		t.Errorf("told %v", all)
	}
}

func TestRedisThatHangsHoldsUpThoseThatWaitAndNobodyElse(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newHastyClient(t, server.URL(0), 0)
	server.Hang(t)
	var wg sync.WaitGroup
	for range 50 { // all of them at once
		wg.Go(func() {
			if _, err := c.Run(add, 1, "sum", 1); err == nil {
				t.Error("a server that hangs has answered")
			}
		})
	}
	wg.Wait()
	testkit.Eventually(t, "Redis is away", func() bool { return !c.Up() })
	// It takes connections and says nothing on them.
	before := time.Now()
	for range 10_000 {
		if _, err := c.Run(add, 1, "sum", 1); !errors.Is(err, redis.ErrAway) {
			t.Fatal(err)
		}
	}
	if took := time.Since(before); took > 2*time.Second {
		t.Errorf("10,000 calls took %v", took)
	}
	server.Resume(t)
	testkit.Eventually(t, "Redis is back", c.Up)
}

func TestAnAnswerThatRefusesToCountIsAwayUntilItCounts(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	c := newClient(t, server.URL(0))
	server.Do(t, "CONFIG", "SET", "maxmemory", "1")
	if _, err := c.Run(add, 1, "sum", 1); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("%v; want that there is no memory", err)
	}
	testkit.Eventually(t, "Redis is away", func() bool { return !c.Up() && strings.Contains(c.Err().Error(), "OOM") })
	server.Do(t, "CONFIG", "SET", "maxmemory", "0")
	testkit.Eventually(t, "Redis is back", c.Up)
}

func TestMessagesReachSubscribersAlsoAfterAnOutage(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{})
	here, there := newClient(t, server.URL(1)), newClient(t, server.URL(1))
	other := newClient(t, server.URL(2))
	ctx, cancel := context.WithCancel(t.Context())
	joined, messages := make(chan struct{}, 9), make(chan string, 9)
	done := make(chan struct{})
	go func() {
		defer close(done)
		here.Subscribe(ctx, "revoked", redis.Subscriber{
			Joined:  func() { joined <- struct{}{} },
			Message: func(m []byte) { messages <- string(m) },
		})
	}()
	publish := func(want string) {
		t.Helper()
		if err := other.Publish("revoked", []byte("of another database")); err != nil {
			t.Error(err)
		}
		if err := there.Publish("revoked", []byte(want)); err != nil {
			t.Error(err)
		}
		if got := <-messages; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	<-joined
	publish("one")
	server.Stop(t)
	server.Start(t)
	<-joined
	testkit.Eventually(t, "both publish again", func() bool { // a connection of before may not be known to be broken
		return there.Publish("elsewhere", nil) == nil && other.Publish("elsewhere", nil) == nil
	})
	publish("two")
	cancel()
	<-done
}

// connections are the numbers of those that the server has of clients.
func connections(t *testing.T, server *testkit.Redis) map[string]bool {
	t.Helper()
	list, _ := server.Do(t, "CLIENT", "LIST").([]byte)
	all := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if strings.Contains(line, " name=onnxgate ") {
			id, _, _ := strings.Cut(line, " ")
			all[id] = true
		}
	}
	return all
}

// TestAnotherPasswordIsUsedWithoutLosingACall: the connections of the former one are
// given up when there are new ones, the subscription's among them, and what was counted
// is still there.
func TestAnotherPasswordIsUsedWithoutLosingACall(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, testkit.RedisConfig{Password: "one"})
	c, there := newClient(t, server.URL(0)), newClient(t, server.URL(0))
	ctx, cancel := context.WithCancel(t.Context())
	joined, messages := make(chan struct{}, 9), make(chan string, 9)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		c.Subscribe(ctx, "revoked", redis.Subscriber{Joined: func() { joined <- struct{}{} }, Message: func(m []byte) { messages <- string(m) }})
	})
	var calls atomic.Int64
	for range 4 {
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Run(add, 1, "sum", 1); err != nil {
					t.Error(err)
					return
				}
				calls.Add(1)
			}
		})
	}
	<-joined
	before := connections(t, server)
	server.SetPassword(t, "two")
	for _, client := range []*redis.Client{c, there} {
		if err := client.Use(server.URL(0)); err != nil {
			t.Fatal(err)
		}
	}
	<-joined
	testkit.Eventually(t, "nobody uses a connection of before", func() bool {
		now := connections(t, server)
		for id := range before {
			if now[id] {
				return false
			}
		}
		return len(now) == len(before)
	})
	if err := there.Publish("revoked", []byte("here")); err != nil {
		t.Error(err)
	}
	if got := <-messages; got != "here" {
		t.Errorf("got %q", got)
	}
	cancel()
	running.Wait()
	if sum, err := c.Run(add, 1, "sum", 0); err != nil || sum != calls.Load() {
		t.Errorf("%v was counted, %v; want %d", sum, err, calls.Load())
	}
	if err := c.Use("http://h"); err == nil || !c.Up() {
		t.Errorf("no URL of a Redis server: %v", err)
	}
}

// TestATargetThatCannotBeReachedIsGoneOverToWhenItCan: until then the former one serves.
func TestATargetThatCannotBeReachedIsGoneOverToWhenItCan(t *testing.T) {
	t.Parallel()
	one, two := testkit.StartRedis(t, testkit.RedisConfig{}), testkit.StartRedis(t, testkit.RedisConfig{})
	two.Stop(t)
	c := newClient(t, one.URL(0))
	if err := c.Use(two.URL(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(add, 1, "sum", 1); err != nil || len(connections(t, one)) != 1 {
		t.Errorf("while the other is away: %v", err)
	}
	two.Start(t)
	testkit.Eventually(t, "the first is left", func() bool { return len(connections(t, one)) == 0 })
	if sum, err := c.Run(add, 1, "sum", 1); err != nil || sum != int64(1) || c.Where() != two.Addr+"/3" {
		t.Errorf("at %s: %v, %v", c.Where(), sum, err)
	}
}

func TestURLsThatCannotBeRightAreRefusedWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"hunter2", "http://h/", "redis:hunter2@h", "redis://user:hunter2@", "redis://hunter2@h", "redis://u:hunter2@h/x",
		"redis://u:hunter2@h/-1", "redis://u:hunter2@h:port", "redis://u:hunter2@h/0?ca_file=x", "rediss://u:hunter2@h/0?skip_verify=hunter2",
		"rediss://u:hunter2@h/0?ca_file=a&ca_file=b", "rediss://u:hunter2@h?ca_file=/none", "rediss://u:hunter2@h?cert_file=/none",
		"redis://u:hunter2@h/0#hunter2", "redis://u:%zzhunter2@h", "redis://:@h",
	} {
		_, err := redis.New(redis.Config{URL: text, Now: time.Now})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
		if where := redis.Where(text); strings.Contains(where, "hunter2") {
			t.Errorf("%s: it is %s", text, where)
		}
	}
	for text, want := range map[string]string{
		"redis://h": "h:6379/0", "redis://:p@h:1/7": "h:1/7", "rediss://u:p@[::1]/": "[::1]:6379/0",
	} {
		if got := redis.Where(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A server that speaks TLS, asked without, hangs up; one that does not, asked for it,
// says nothing.
func TestReachNamesTLSWhereNothingIsAnswered(t *testing.T) {
	t.Parallel()
	for scheme, answer := range map[string]func(net.Conn){
		"redis":  func(c net.Conn) { _ = c.Close() },
		"rediss": func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) },
	} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
				answer(c)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err = redis.Reach(ctx, scheme+"://:secret@"+listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "rediss:// is for a server that speaks TLS") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}
