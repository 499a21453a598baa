package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/testkit"
)

// TestTwoReplicasAreOne: what one of two replicas gives out, takes
// back or counts, the other knows.
func TestTwoReplicasAreOne(t *testing.T) {
	t.Parallel()
	f := beginFleet(t, testkit.StartPostgres(t).Database(t))
	t.Run("which started at once on an empty database", f.startedOnce)
	t.Run("a token of each is good at both, and revoked at both", f.revokesTokens)
	t.Run("an API key revoked by a command is refused by both", f.revokesKeys)
	t.Run("a quota holds over both", f.countsQuota)
	t.Run("a rate holds over both", f.countsRate)
	t.Run("wrong passwords count over both", f.countsWrongPasswords)
}

// startedOnce: one schema, one administrator, whose password both know.
func (f *fleet) startedOnce(t *testing.T) {
	t.Parallel()
	if out := f.command(t, f.replicas[0], "db", "status"); !strings.Contains(out, "up to date") {
		t.Errorf("db status: %s", out)
	}
	for _, s := range f.replicas {
		if strings.Count(f.command(t, s, "user", "list"), "admin") == 0 {
			t.Error("there is no administrator")
		}
		passwordToken(t, s, "admin", adminPassword)
	}
}

func (f *fleet) revokesTokens(t *testing.T) {
	t.Parallel()
	for i, s := range f.replicas {
		token, other := passwordToken(t, s, "admin", adminPassword), f.replicas[1-i]
		if status, _ := predict(t, other, token); status != http.StatusOK {
			t.Fatalf("a token of the other replica: %d", status)
		}
		form := url.Values{"token": {token}}
		if status, _ := ask(t, other, "/oauth/revoke", "", "application/x-www-form-urlencoded", form.Encode()); status != http.StatusOK {
			t.Fatalf("revocation: %d", status)
		}
		within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, s, token) })
	}
}

// newKey makes an API key and returns its id and the key.
func (f *fleet) newKey(tb testing.TB, args ...string) (id, key string) {
	tb.Helper()
	var made struct{ ID, Key string }
	out := f.command(tb, f.replicas[0], append([]string{"apikey", "create", "test", "--role", "admin", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	for _, s := range f.replicas {
		s.keep(made.Key)
	}
	return made.ID, made.Key
}

func (f *fleet) revokesKeys(t *testing.T) {
	t.Parallel()
	id, key := f.newKey(t)
	for _, s := range f.replicas {
		within(t, time.Second, http.StatusOK, func() (int, string) { return predict(t, s, key) })
	}
	f.command(t, f.replicas[1], "apikey", "revoke", id)
	for _, s := range slices.Backward(f.replicas) {
		within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, s, key) })
	}
}

// countsQuota: not one call more than the quota, from many callers at both, and in
// the end not one less.
func (f *fleet) countsQuota(t *testing.T) {
	t.Parallel()
	const quota = 300
	_, key := f.newKey(t, "--quota", "calls=300/month")
	var served atomic.Int64
	var callers sync.WaitGroup
	deadline := time.Now().Add(startTimeout)
	for i := range 8 {
		callers.Go(func() {
			for served.Load() < quota && time.Now().Before(deadline) {
				switch status, _ := predict(t, f.replicas[i%2], key); status {
				case http.StatusOK:
					served.Add(1)
				case http.StatusTooManyRequests: // the other one may hold a lease yet
					time.Sleep(100 * time.Millisecond)
				default:
					t.Errorf("status %d", status)
					return
				}
			}
		})
	}
	callers.Wait()
	for range 5 {
		for _, s := range f.replicas {
			if status, _ := predict(t, s, key); status == http.StatusOK {
				served.Add(1)
			}
		}
	}
	if served.Load() != quota {
		t.Errorf("%d calls were served, want %d", served.Load(), quota)
	}
}

// countsRate: from many callers at both, what is served in one window is what the
// rate allows, whoever served it.
func (f *fleet) countsRate(t *testing.T) {
	t.Parallel()
	const rate = 40
	_, key := f.newKey(t, "--rate", "40/day")
	var served [2]atomic.Int64
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for range rate {
				switch status, _ := predict(t, f.replicas[i%2], key); status {
				case http.StatusOK:
					served[i%2].Add(1)
				case http.StatusTooManyRequests:
				default:
					t.Errorf("status %d", status)
					return
				}
			}
		})
	}
	callers.Wait()
	if one, two := served[0].Load(), served[1].Load(); one+two != rate || one == 0 || two == 0 {
		t.Errorf("%d and %d calls were served, want %d in all", one, two, rate)
	}
}

// guess asks for a token with a password.
func guess(t *testing.T, s *server, c *http.Client, name, password string) (status int, body string, wait time.Duration) {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}}
	status, body, header := s.ask(t, c, "", asked{http.MethodPost, s.url() + "/token", "application/x-www-form-urlencoded", form.Encode()})
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if (err == nil) != (status == http.StatusTooManyRequests) {
		t.Errorf("%d %s, Retry-After: %v", status, body, err)
	}
	return status, body, time.Duration(seconds) * time.Second
}

// countsWrongPasswords: ten in a row, whichever replica looks at them and whether there
// is such a user or not; a token goes on, and who has waited as told gets in at either.
func (f *fleet) countsWrongPasswords(t *testing.T) {
	t.Parallel()
	const right = "lamp-violet-orbit-42"
	one := f.replicas[0]
	c, err := one.client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	status, body, _ := one.ask(t, c, passwordToken(t, one, "admin", adminPassword), asked{
		http.MethodPost, one.scheme + "://" + one.admin + "/admin/v1/users", "application/json", `{"name":"guessed","roles":["admin"],"password":"` + right + `"}`,
	})
	if status != http.StatusCreated {
		t.Fatal(status, body)
	}
	token := passwordToken(t, f.replicas[1], "guessed", right)
	var told [2]string
	for i, name := range []string{"guessed", "nobody"} {
		free := 0
		for ; ; free++ {
			status, body, _ := guess(t, f.replicas[free%2], c, name, "wrong-Canyon-17-ferry")
			if told[i] += fmt.Sprintln(status, body); status != http.StatusUnauthorized || free > 2*9 {
				break
			}
		}
		if alone := f.alone(t, c); free != 9 && !alone || free < 9 || free > 2*9 {
			t.Errorf("%s: %d guesses were free at both, want 9; some were counted without Redis: %t", name, free, alone)
		}
	}
	if diff := cmp.Diff(told[0], told[1]); diff != "" && !f.alone(t, c) {
		t.Errorf("a name that there is, and one that there is not (-+):\n%s", diff)
	}
	for _, s := range f.replicas {
		if status, _ := predict(t, s, token); status != http.StatusOK {
			t.Errorf("a token of who has to wait: %d", status)
		}
	}
	status, body, wait := guess(t, one, c, "guessed", right) // where a slow machine has waited already it is right
	if wait > 0 && wait <= 10*time.Second {
		time.Sleep(wait)
		status, body, _ = guess(t, one, c, "guessed", right)
	}
	if status != http.StatusOK && !f.alone(t, c) {
		t.Errorf("the right password after waiting as told: %d %s, %v", status, body, wait)
	}
}

// alone reports whether a replica has counted anything by itself, as when Redis did not
// answer in time.
func (f *fleet) alone(t *testing.T, c *http.Client) bool {
	t.Helper()
	return slices.ContainsFunc(f.replicas, func(s *server) bool {
		_, text, _ := s.ask(t, c, "", asked{method: http.MethodGet, url: s.scheme + "://" + s.admin + "/metrics"})
		return !strings.Contains(text, "\nonnxgate_local_rate_decisions_total 0\n")
	})
}
