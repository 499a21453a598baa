package authn_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// everybody is unchanged.
type everybody struct{ oneTenant }

func (everybody) TokenStands(context.Context, string, string, string) (bool, error) { return true, nil }

// oneTenant is where everybody is.
type oneTenant struct{}

func (oneTenant) Revision(context.Context) (int64, error) { return 1, nil }

func (oneTenant) Tenant(_ context.Context, name string) (*identity.Tenant, error) {
	if name != identity.DefaultTenant {
		return nil, fault.New(fault.NotFound, "no such tenant")
	}
	return &identity.Tenant{Name: name}, nil
}

// state is the state of users, revoked tokens and tenants. Whoever changes it
// says so.
type state struct {
	stamps   map[string]string
	revoked  map[string]bool
	tenants  map[string]*identity.Tenant
	revision int64
	asked    int
	err      error
}

func newState() *state {
	return &state{
		stamps: map[string]string{"ada": "stamp-of-ada"}, revoked: map[string]bool{}, revision: 1,
		tenants: map[string]*identity.Tenant{"default": {Name: "default"}},
	}
}

func (s *state) changed() { s.revision++ }

func (s *state) Revision(context.Context) (int64, error) { return s.revision, nil }

func (s *state) TokenStands(_ context.Context, subject, stamp, id string) (bool, error) {
	s.asked++
	got, ok := s.stamps[subject]
	return ok && got == stamp && !s.revoked[id], s.err
}

func (s *state) Tenant(_ context.Context, name string) (*identity.Tenant, error) {
	s.asked++
	if t := s.tenants[name]; t != nil {
		return t, s.err
	}
	return nil, fault.New(fault.NotFound, "no such tenant")
}

func TestAGenuineTokenGivesItsPrincipal(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, newState())
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
	for name, a := range map[string]authn.Authenticator{"bearer": m.bearer(t, everybody{}), "nothing": authn.Chain(everybody{})} {
		_, err := a.Authenticate(t.Context(), authn.Credentials{})
		if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "" {
			t.Errorf("%s: %v, want unauthenticated without a code", name, err)
		}
	}
}

func TestATokenThatNobodyJudgesIsInvalid(t *testing.T) {
	_, err := authn.Chain(everybody{}).Authenticate(t.Context(), authn.Credentials{Bearer: "x"})
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
	ada, bad := &identity.Principal{Subject: "ada", Tenant: "default"}, errors.New("bad")
	notMine := answer{err: fmt.Errorf("an api key: %w", authn.ErrNotMine)}
	for name, tc := range map[string]struct {
		chain authn.Authenticator
		want  *identity.Principal
		err   error
	}{
		"the second accepts":          {authn.Chain(everybody{}, notMine, answer{principal: ada}), ada, nil},
		"the first accepts":           {authn.Chain(everybody{}, answer{principal: ada}, answer{err: bad}), ada, nil},
		"a refusal is not overridden": {authn.Chain(everybody{}, answer{err: bad}, answer{principal: ada}), nil, bad},
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
			"just before its end": {nil, ttl + leeway - time.Second, true},
			"at its end":          {nil, ttl + leeway, false},
			"just after its end":  {nil, ttl + leeway + time.Second, false},
			"issued by a server whose clock is a minute ahead": {nil, -time.Minute, true},
			"issued by a server whose clock is further ahead":  {nil, -time.Minute - time.Second, false},
			"at nbf":          {object{"nbf": start.Add(time.Minute).Unix()}, time.Minute - leeway, true},
			"just before nbf": {object{"nbf": start.Add(time.Minute).Unix()}, time.Minute - leeway - time.Second, false},
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

func TestARememberedTokenEndsWithWhatItStandsOn(t *testing.T) {
	for name, change := range map[string]func(*state){
		"another stamp":    func(s *state) { s.stamps["ada"] = "another" },
		"a deleted user":   func(s *state) { delete(s.stamps, "ada") },
		"a revoked token":  func(s *state) { s.revoked["AAAAAAAAAAAAAAAAAAAAAA"] = true },
		"a deleted tenant": func(s *state) { delete(s.tenants, "default") },
		"a disabled tenant": func(s *state) {
			s.tenants["default"] = &identity.Tenant{Name: "default", Disabled: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := newMint(t), newState()
			a := m.bearer(t, s)
			c := authn.Credentials{Bearer: m.genuine()}
			if _, err := a.Authenticate(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			change(s)
			s.changed()
			_, err := a.Authenticate(t.Context(), c)
			if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Code != "invalid_token" {
				t.Errorf("after the change: %v, want invalid_token", err)
			}
		})
	}
}

func TestNothingIsAskedAgainWithoutAChange(t *testing.T) {
	m, s := newMint(t), newState()
	a := m.bearer(t, s)
	for range 100 {
		if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()}); err != nil {
			t.Fatal(err)
		}
	}
	if s.asked != 2 {
		t.Errorf("asked %d times, want once for the token and once for its tenant", s.asked)
	}
	s.changed()
	for range 100 {
		if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()}); err != nil {
			t.Fatal(err)
		}
	}
	if s.asked != 4 {
		t.Errorf("asked %d times after one change, want twice more", s.asked)
	}
}

func TestATenantLetsItsOwnNetworksIn(t *testing.T) {
	m, s := newMint(t), newState()
	s.tenants["default"] = &identity.Tenant{Name: "default", Addresses: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"),
	}}
	a := m.bearer(t, s)
	for addr, want := range map[string]fault.Kind{
		"10.1.2.3": 0, "::ffff:10.1.2.3": 0, "2001:db8::1": 0,
		"11.0.0.1": fault.Forbidden, "::ffff:11.0.0.1": fault.Forbidden, "2001:db9::1": fault.Forbidden, "": fault.Forbidden,
	} {
		info := &reqctx.Info{}
		if addr != "" {
			info.ClientAddr = netip.MustParseAddr(addr)
		}
		_, err := a.Authenticate(reqctx.With(t.Context(), info), authn.Credentials{Bearer: m.genuine()})
		if err == nil != (want == 0) || err != nil && fault.KindOf(err) != want {
			t.Errorf("from %q: %v, want %v", addr, err, want)
		}
	}
}

func TestAccountsThatCannotBeAskedAreUnavailable(t *testing.T) {
	m, s := newMint(t), newState()
	a := m.bearer(t, s)
	c := authn.Credentials{Bearer: m.genuine()}
	s.err = fault.New(fault.Unavailable, "later")
	if _, err := a.Authenticate(t.Context(), c); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("at the first use: %v, want unavailable", err)
	}
	s.err = nil
	if _, err := a.Authenticate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s.err = fault.New(fault.Unavailable, "later")
	if _, err := a.Authenticate(t.Context(), c); err != nil {
		t.Errorf("without a change: %v, want what was known", err)
	}
	s.changed()
	if _, err := a.Authenticate(t.Context(), c); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after a change: %v, want unavailable", err)
	}
}

// While the keys cannot be read, another server may sign with one that is not known
// here: its tokens may be good, and whoever has one is told to come again.
func TestATokenOfAnUnknownKeyIsUnavailableWhileKeysCannotBeRead(t *testing.T) {
	m, s := newMint(t), newState()
	a := m.bearer(t, s)
	unknown, forged := m.withHeader(object{"kid": "of another server"}), m.genuine()+"A"
	wants := func(name, token string, want fault.Kind) {
		t.Helper()
		_, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token})
		if f := fault.As(err); f == nil || f.Kind != want || (f.RetryAfter > 0) != (want == fault.Unavailable) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	wants("while they can", unknown, fault.Unauthenticated)
	bad := filepath.Join(m.dir, "bad.pem")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if m.set.Look(t.Context()) == nil {
		t.Fatal("a bad file can be read")
	}
	wants("while they cannot", unknown, fault.Unavailable)
	wants("a forged one of a known key", forged, fault.Unauthenticated)
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()}); err != nil {
		t.Errorf("a good one of a known key: %v", err)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if err := m.set.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants("when they can again", unknown, fault.Unauthenticated)
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
		"no accounts":     func(c *authn.BearerConfig) { c.Issued = nil },
		"leeway too long": func(c *authn.BearerConfig) { c.Leeway = time.Minute + 1 },
		"leeway negative": func(c *authn.BearerConfig) { c.Leeway = -1 },
	} {
		cfg := authn.BearerConfig{Issuer: issuer, Audience: audience, Keys: m.set, Issued: everybody{}}
		change(&cfg)
		if _, err := authn.NewBearer(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheCacheHitAllocatesNothing(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, newState())
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
	a := m.bearer(b, newState(), func(c *authn.BearerConfig) { c.Now = nil })
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
	a := m.bearer(b, newState()) // never remembered
	c := authn.Credentials{Bearer: m.genuine()}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, c); err == nil {
			b.Fatal("accepted")
		}
	}
}
