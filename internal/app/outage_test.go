package app_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/clock"
	"onnxgate/internal/config"
	"onnxgate/internal/testkit"
)

// settable is the clock of a machine that somebody sets, and in which time passes.
type settable struct {
	began       time.Time
	set, passed atomic.Int64
}

func (c *settable) config() clock.Config {
	c.began = time.Now()
	elapsed := func() time.Duration { return time.Since(c.began) + time.Duration(c.passed.Load()) }
	return clock.Config{
		Wall:    func() time.Time { return c.began.Round(0).Add(elapsed() + time.Duration(c.set.Load())) },
		Elapsed: elapsed, Slept: func() time.Duration { return 0 },
	}
}

// What is asked of a server whose clock is set.
const (
	signIn      = "login"
	oldToken    = "predict with a token"
	anyKey      = "predict with an API key"
	endingKey   = "predict with an API key that ends in half an hour"
	spentRate   = "predict with an API key whose rate is used up"
	spentQuota  = "predict with an API key whose quota is used up"
	adminChange = "administration write"
	readiness   = "readiness"
)

// clocked are those who ask such a server.
type clocked struct {
	*server

	clock   *settable
	token   string
	keys    map[string]string
	tenants int
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	c := &clocked{clock: &settable{}}
	c.server = startBy(t, c.clock.config(), t.TempDir(), nil)
	c.token = c.server.token(t)
	roles := []string{"admin"}
	c.keys = map[string]string{
		anyKey:     c.keyOf(t, accounts.NewKey{Name: "any", Roles: roles}),
		endingKey:  c.keyOf(t, accounts.NewKey{Name: "ending", Roles: roles, ExpiresAt: time.Now().Add(30 * time.Minute)}),
		spentRate:  c.keyOf(t, accounts.NewKey{Name: "rate", Roles: roles, Rate: "1/hour"}),
		spentQuota: c.keyOf(t, accounts.NewKey{Name: "quota", Roles: roles, Quota: "calls=1/month"}),
	}
	for _, column := range []string{spentRate, spentQuota} {
		if status := c.settled(t, column, http.StatusOK); status != http.StatusOK {
			t.Fatalf("%s: %d", column, status)
		}
	}
	return c
}

// ask returns the status of the answer to what a column names.
func (c *clocked) ask(t *testing.T, column string) int {
	t.Helper()
	switch column {
	case signIn:
		status, _ := c.call(t, http.MethodPost, "https://"+c.Addr()+"/token", "", "application/x-www-form-urlencoded", "username=admin&password="+c.password(t))
		return status
	case oldToken:
		status, _ := c.predict(t, c.token)
		return status
	case adminChange:
		c.tenants++
		status, _ := c.call(t, http.MethodPost, "https://"+c.AdminAddr()+"/admin/v1/tenants", c.token, "application/json", `{"name":"tenant-`+strconv.Itoa(c.tenants)+`"}`)
		return status
	case readiness:
		status, _ := c.call(t, http.MethodGet, "https://"+c.Addr()+"/readyz", "", "", "")
		return status
	}
	status, _ := c.predict(t, c.keys[column])
	return status
}

// settled repeats a question until it has the wanted answer, or the last one: for
// moments after time has passed the server may not have looked at its database yet.
func (c *clocked) settled(t *testing.T, column string, want int) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status := c.ask(t, column)
		if status == want || time.Now().After(deadline) || status != http.StatusServiceUnavailable && status != http.StatusUnauthorized {
			return status
		}
	}
}

// offsetIs waits until the metric and the log tell of an offset.
func (c *clocked) offsetIs(t *testing.T, seconds float64, line string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("the offset is %v, and %q in the log", seconds, line), func() bool {
		shown, _ := gauge(families(t, c.metrics(t)), "onnxgate_clock_offset_seconds", "")
		return shown > seconds-1 && shown < seconds+1 && strings.Contains(c.log.String(), line)
	})
}

const (
	clockSet      = "the clock of the machine was set"
	clockFollowed = "the clock of the machine is followed again"
)

// TestOutage is the row of docs/outages.md about the clock: one that is set while the
// server runs ends nothing, revives nothing and grants nothing, and tells of it. Set
// right, it is followed again. The other rows are in cmd/onnxgate/e2e.
func TestOutage(t *testing.T) {
	served := map[string]int{
		signIn: http.StatusOK, oldToken: http.StatusOK, anyKey: http.StatusOK, endingKey: http.StatusOK,
		spentRate: http.StatusTooManyRequests, spentQuota: http.StatusTooManyRequests, adminChange: http.StatusCreated, readiness: http.StatusOK,
	}
	const hour = time.Hour
	for name, by := range map[string]time.Duration{
		"clock set forward by an hour": hour, "clock set forward by a year": 365 * 24 * hour,
		"clock set back by an hour": -hour, "clock set back to 1970": -56 * 365 * 24 * hour,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocked(t)
			c.clock.set.Store(int64(by))
			during := map[string]int{}
			for column, want := range served {
				during[column] = c.settled(t, column, want)
			}
			fresh := c.server.token(t)
			c.offsetIs(t, by.Seconds(), clockSet)
			// A token lives for 15 minutes, and the key for 30.
			c.clock.passed.Add(int64(31 * time.Minute))
			over := map[string]int{oldToken: c.settled(t, anyKey, http.StatusOK)} // until the database was looked at
			over[oldToken], over[endingKey] = c.ask(t, oldToken), c.ask(t, endingKey)
			c.token = fresh
			if status := c.ask(t, oldToken); status != http.StatusUnauthorized {
				t.Errorf("a token of that time, when its own is over: %d", status)
			}
			c.clock.set.Store(0)
			c.offsetIs(t, 0, clockFollowed)
			c.token = c.server.token(t)
			for column, want := range served {
				t.Run(column, func(t *testing.T) {
					if during[column] != want {
						t.Errorf("while it is set: %d, want %d", during[column], want)
					}
					if status, asked := over[column]; asked && status != http.StatusUnauthorized {
						t.Errorf("when its time is over: %d, want 401", status)
					}
					if column == endingKey {
						want = http.StatusUnauthorized
					}
					if status := c.ask(t, column); status != want {
						t.Errorf("when it is set right: %d, want %d", status, want)
					}
				})
			}
		})
	}
}

// TestAReloadTakesTheClockOver: whoever asks for one has looked.
func TestAReloadTakesTheClockOver(t *testing.T) {
	c := newClocked(t)
	c.clock.set.Store(int64(time.Hour))
	c.offsetIs(t, 3600, clockSet)
	c.Reload(t.Context(), func() (*config.Config, error) { return load(t, c.dir, nil), nil })
	c.offsetIs(t, 0, clockFollowed)
	if status := c.settled(t, oldToken, http.StatusUnauthorized); status != http.StatusUnauthorized {
		t.Errorf("a token of an hour ago: %d", status)
	}
}
