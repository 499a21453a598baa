package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// everybody is unchanged.
type everybody struct{}

func (everybody) Current(context.Context, string, string) (bool, error) { return true, nil }

// stamps are the present stamps of users.
type stamps map[string]string

func (s stamps) Current(_ context.Context, name, stamp string) (bool, error) {
	got, ok := s[name]
	return ok && got == stamp, nil
}

func TestAGenuineTokenGivesItsPrincipal(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, stamps{"ada": "stamp-of-ada"})
	want := &identity.Principal{
		Subject: "ada", Tenant: "default", Roles: []string{"user"},
		Scopes: []string{"models:read", "models:predict"}, Method: identity.Bearer,
		Claims: map[string]any{"iss": issuer, "client_id": "onnxgate", "jti": "AAAAAAAAAAAAAAAAAAAAAA"},
	}
	for range 2 {
		got, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNoCredentialHasNoErrorCode(t *testing.T) {
	m := newMint(t)
	for name, a := range map[string]authn.Authenticator{"bearer": m.bearer(t, everybody{}), "nothing": authn.Chain()} {
		_, err := a.Authenticate(t.Context(), authn.Credentials{})
		if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "" {
			t.Errorf("%s: %v, want unauthenticated without a code", name, err)
		}
	}
}

func TestATokenThatNobodyJudgesIsInvalid(t *testing.T) {
	_, err := authn.Chain().Authenticate(t.Context(), authn.Credentials{Bearer: "x"})
	if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "invalid_token" {
		t.Errorf("%v, want invalid_token", err)
	}
}

// answer is an authenticator with one answer.
type answer struct {
	principal *identity.Principal
	err       error
}

func (a answer) Authenticate(context.Context, authn.Credentials) (*identity.Principal, error) {
	return a.principal, a.err
}

func TestTheFirstThatClaimsACredentialDecides(t *testing.T) {
	ada, bad := &identity.Principal{Subject: "ada"}, errors.New("bad")
	notMine := answer{err: fmt.Errorf("an api key: %w", authn.ErrNotMine)}
	for name, tc := range map[string]struct {
		chain authn.Authenticator
		want  *identity.Principal
		err   error
	}{
		"the second accepts":          {authn.Chain(notMine, answer{principal: ada}), ada, nil},
		"the first accepts":           {authn.Chain(answer{principal: ada}, answer{err: bad}), ada, nil},
		"a refusal is not overridden": {authn.Chain(answer{err: bad}, answer{principal: ada}), nil, bad},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.chain.Authenticate(t.Context(), authn.Credentials{Bearer: "x"})
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Authenticate = %v, %v", got, err)
			}
		})
	}
}

func TestTimesAreJudgedToTheSecond(t *testing.T) {
	const ttl = 15 * time.Minute
	for _, leeway := range []time.Duration{0, 5 * time.Second, time.Minute} {
		for name, tc := range map[string]struct {
			claims object
			at     time.Duration // after issue
			ok     bool
		}{
			"just before its end":   {nil, ttl + leeway - time.Second, true},
			"at its end":            {nil, ttl + leeway, false},
			"just after its end":    {nil, ttl + leeway + time.Second, false},
			"just after its issue":  {nil, -leeway, true},
			"just before its issue": {nil, -leeway - time.Second, false},
			"at nbf":                {object{"nbf": start.Add(time.Minute).Unix()}, time.Minute - leeway, true},
			"just before nbf":       {object{"nbf": start.Add(time.Minute).Unix()}, time.Minute - leeway - time.Second, false},
		} {
			t.Run(fmt.Sprint(name, " with ", leeway), func(t *testing.T) {
				m := newMint(t)
				token := m.withClaims(tc.claims)
				a := m.bearer(t, everybody{}, func(c *authn.BearerConfig) { c.Leeway = leeway })
				m.now = start.Add(tc.at)
				_, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token})
				if (err == nil) != tc.ok {
					t.Errorf("Authenticate = %v, want ok %v", err, tc.ok)
				}
			})
		}
	}
}

func TestARememberedTokenEndsInTime(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, everybody{}, func(c *authn.BearerConfig) { c.Leeway = 5 * time.Second })
	c := authn.Credentials{Bearer: m.genuine()}
	for _, step := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {15*time.Minute + 4*time.Second, true}, {15*time.Minute + 5*time.Second, false}, {15*time.Minute + 6*time.Second, false}} {
		m.now = start.Add(step.at)
		if _, err := a.Authenticate(t.Context(), c); (err == nil) != step.ok {
			t.Errorf("after %s: %v, want ok %v", step.at, err, step.ok)
		}
	}
}

func TestARememberedTokenEndsWithItsUsersState(t *testing.T) {
	m := newMint(t)
	users := stamps{"ada": "stamp-of-ada"}
	a := m.bearer(t, users)
	c := authn.Credentials{Bearer: m.genuine()}
	if _, err := a.Authenticate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	users["ada"] = "another"
	_, err := a.Authenticate(t.Context(), c)
	if f := fault.As(err); f == nil || f.Code != "invalid_token" {
		t.Errorf("after a change: %v, want invalid_token", err)
	}
	delete(users, "ada")
	if _, err := a.Authenticate(t.Context(), c); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("after deletion: %v, want unauthenticated", err)
	}
}

type unreachable struct{}

func (unreachable) Current(context.Context, string, string) (bool, error) {
	return false, fault.New(fault.Unavailable, "later")
}

func TestUsersThatCannotBeAskedAreUnavailable(t *testing.T) {
	m := newMint(t)
	_, err := m.bearer(t, unreachable{}).Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want unavailable", err)
	}
}

func TestCredentialsNeverShareAResult(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, everybody{}, func(c *authn.BearerConfig) { c.CacheSize = 64 })
	const users, rounds = 50, 40
	tokens := make([]string, users)
	for i := range tokens {
		tokens[i] = m.withClaims(object{"sub": fmt.Sprint("user-", i)})
	}
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for worker := range 4 {
		wg.Go(func() {
			for n := range rounds * users {
				i := (n*7 + worker) % users
				p, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: tokens[i]})
				if err != nil || p.Subject != fmt.Sprint("user-", i) {
					wrong.Add(1)
				}
				// A token that differs in one character alone is not the same.
				if p, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: flip(tokens[i])}); err == nil || p != nil {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d wrong answers", n)
	}
}

// flip changes one character in the middle of the signature.
func flip(token string) string {
	i := len(token) - 40
	c := "A"
	if token[i] == 'A' {
		c = "B"
	}
	return token[:i] + c + token[i+1:]
}

func TestBadConfigurationIsRefused(t *testing.T) {
	m := newMint(t)
	for name, change := range map[string]func(*authn.BearerConfig){
		"no issuer":       func(c *authn.BearerConfig) { c.Issuer = "" },
		"no audience":     func(c *authn.BearerConfig) { c.Audience = "" },
		"no keys":         func(c *authn.BearerConfig) { c.Keys = nil },
		"no users":        func(c *authn.BearerConfig) { c.Users = nil },
		"leeway too long": func(c *authn.BearerConfig) { c.Leeway = time.Minute + 1 },
		"leeway negative": func(c *authn.BearerConfig) { c.Leeway = -1 },
	} {
		cfg := authn.BearerConfig{Issuer: issuer, Audience: audience, Keys: m.set, Users: everybody{}}
		change(&cfg)
		if _, err := authn.NewBearer(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheCacheHitAllocatesNothing(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, stamps{"ada": "stamp-of-ada"})
	c := authn.Credentials{Bearer: strings.Clone(m.genuine())}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := a.Authenticate(ctx, c); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkBearerRemembered(b *testing.B) {
	m := newMint(b)
	a := m.bearer(b, stamps{"ada": "stamp-of-ada"}, func(c *authn.BearerConfig) { c.Now = nil })
	m.now = time.Now()
	c := authn.Credentials{Bearer: m.genuine()}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBearerVerify(b *testing.B) {
	m := newMint(b)
	a := m.bearer(b, stamps{"ada": "another"}) // never remembered
	c := authn.Credentials{Bearer: m.genuine()}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, c); err == nil {
			b.Fatal("accepted")
		}
	}
}
