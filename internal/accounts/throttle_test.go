package accounts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/redis"
	"onnxgate/internal/testkit"
)

// guess tries a password and returns how long the answer says to wait, zero
// when it does not.
func (f *fixture) guess(t *testing.T, name, password string) (accepted bool, wait time.Duration) {
	t.Helper()
	_, _, err := f.VerifyPassword(t.Context(), name, password)
	if err == nil {
		return true, 0
	}
	answer := fault.As(err)
	if limited := answer.Kind == fault.RateLimited; !limited && answer.Kind != fault.Unauthenticated || limited != (answer.RetryAfter > 0) {
		t.Fatalf("a guess for %q: %+v", name, answer)
	}
	return false, answer.RetryAfter
}

func TestTheTenthWrongPasswordInARowMustWait(t *testing.T) {
	for name, who := range map[string]string{"a user": "ada", "nobody": "bob"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.add(t, "ada", "user")
			for n := 1; n <= 9; n++ {
				if _, wait := f.guess(t, who, another); wait != 0 {
					t.Fatalf("guess %d has to wait %s", n, wait)
				}
			}
			for n, seconds := range []int{5, 10, 20, 40, 80, 160, 320, 640, 900, 900} {
				want := time.Duration(seconds) * time.Second
				if _, wait := f.guess(t, who, another); wait != want {
					t.Fatalf("guess %d has to wait %s, want %s", 10+n, wait, want)
				}
				f.now = f.now.Add(want - time.Second)
				if accepted, wait := f.guess(t, who, password); accepted || wait != time.Second {
					t.Fatalf("too early: accepted %t, wait %s", accepted, wait)
				}
				f.now = f.now.Add(time.Second)
			}
			if accepted, _ := f.guess(t, who, password); accepted != (who == "ada") {
				t.Errorf("after waiting the right password is accepted: %t", accepted)
			}
		})
	}
}

func TestEverySpellingOfANameSharesTheCount(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for _, name := range []string{"ada", "Ada", "ADA", "ａｄａ", "aDa", "ada", "Ada", "ADA", "ａｄａ"} {
		f.guess(t, name, another)
	}
	if _, wait := f.guess(t, "aDA", another); wait == 0 {
		t.Error("ten wrong passwords under several spellings do not have to wait")
	}
	f.add(t, "grace", "user")
	if accepted, _ := f.guess(t, "grace", password); !accepted {
		t.Error("another user has to wait")
	}
}

func TestTheRightPasswordBeginsTheCountAnew(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for range 3 {
		for range 9 {
			if _, wait := f.guess(t, "ada", another); wait != 0 {
				t.Fatalf("has to wait %s", wait)
			}
		}
		if accepted, _ := f.guess(t, "ada", password); !accepted {
			t.Fatal("the right password is refused")
		}
	}
}

func TestTokensGoOnWhilePasswordsWait(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	token, _ := f.signIn(t)
	for range 12 {
		f.guess(t, "ada", another)
	}
	if stands, err := f.TokenStands(t.Context(), "ada", f.stamp(t, "ada"), "id"); !stands || err != nil {
		t.Errorf("an access token: %t, %v", stands, err)
	}
	if _, err := f.refresh(t, token); err != nil {
		t.Errorf("a refresh token: %v", err)
	}
}

func TestNamesThatNobodyCanHaveAreNotCounted(t *testing.T) {
	f := newFixture(t)
	for n := range 30 {
		if _, wait := f.guess(t, fmt.Sprintf("no name %d", n%2), another); wait != 0 {
			t.Fatalf("has to wait %s", wait)
		}
	}
}

// servers returns so many services on the same users and one Redis.
func (f *fixture) servers(t *testing.T, n int) (all []*accounts.Service) {
	t.Helper()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	for range n {
		c, err := redis.New(redis.Config{URL: store.URL(0), Patience: 30 * time.Second, Now: time.Now})
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		must(t, c.Connected(t.Context()))
		all = append(all, f.service(t, func(cfg *accounts.Config) { cfg.Guesses = redis.NewBackoff(c) }))
	}
	return all
}

func TestWrongPasswordsAreCountedOverAllServersThatShareRedis(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	f.add(t, "grace", "user")
	token, _ := f.signIn(t)
	servers := f.servers(t, 3)
	said := map[string][]string{}
	for who, spellings := range map[string][]string{"a user": {"ada", "ADA", "ａｄａ"}, "nobody": {"bob", "BOB", "ｂｏｂ"}} {
		for n := range 10 {
			_, _, err := servers[n%3].VerifyPassword(t.Context(), spellings[n%3], another)
			if limited := fault.KindOf(err) == fault.RateLimited; limited != (n == 9) {
				t.Errorf("guess %d for %s: %v", n+1, who, err)
			}
			said[who] = append(said[who], fault.As(err).Msg)
		}
	}
	if diff := cmp.Diff(said["a user"], said["nobody"]); diff != "" {
		t.Errorf("a user and nobody are told apart (-+):\n%s", diff)
	}
	if stands, err := servers[0].TokenStands(t.Context(), "ada", f.stamp(t, "ada"), "id"); !stands || err != nil {
		t.Errorf("an access token: %t, %v", stands, err)
	}
	if _, err := f.refresh(t, token); err != nil {
		t.Errorf("a refresh token: %v", err)
	}
	for round, right := range servers {
		for n := range 9 {
			_, _, err := servers[n%3].VerifyPassword(t.Context(), "grace", another)
			wantKind(t, fmt.Sprintf("round %d, guess %d", round, n), err, fault.Unauthenticated)
		}
		if _, _, err := right.VerifyPassword(t.Context(), "grace", password); err != nil {
			t.Errorf("round %d: the right password: %v", round, err)
		}
	}
}

func TestThePasswordOfWhoRunsTheServerIsNotCounted(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for range 30 {
		if f.HasPassword(t.Context(), "ada", another) {
			t.Fatal("a wrong password is hers")
		}
	}
	if accepted, _ := f.guess(t, "ada", password); !accepted || !f.HasPassword(t.Context(), "ada", password) {
		t.Error("the right password is refused")
	}
}

func TestWrongPasswordsAreForgottenInTheEnd(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for range 9 {
		f.guess(t, "ada", another)
	}
	f.now = f.now.Add(9*time.Hour - time.Second)
	if _, wait := f.guess(t, "ada", another); wait == 0 {
		t.Error("nine are forgotten before nine hours")
	}
	f.now = f.now.Add(10 * time.Hour)
	if _, wait := f.guess(t, "ada", another); wait != 0 {
		t.Errorf("after ten hours another has to wait %v", wait)
	}
}
