package oidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/fault"
)

// down is an issuer that answers nothing.
func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

func (g *gate) accepts(t *testing.T, what, token string) {
	t.Helper()
	if _, err := g.try(t, token); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func (g *gate) refuses(t *testing.T, what, token string) {
	t.Helper()
	if p, err := g.try(t, token); p != nil || fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("%s: %+v, %v, want unauthenticated", what, p, err)
	}
}

func (g *gate) unavailable(t *testing.T, what, token string) {
	t.Helper()
	if p, err := g.try(t, token); p != nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%s: %+v, %v, want unavailable", what, p, err)
	}
}

func TestUnknownKeysMakeTheIssuerBeAskedOnceIn30Seconds(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	g := newGate(t, p.entry(t))
	g.accepts(t, "the first token", key.sign(t, g.claims(p.server.URL), nil))
	flood := func() {
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for n := range 50 {
					header := object{"kid": fmt.Sprint("unknown-", worker, "-", n)}
					g.refuses(t, "an unknown key", key.sign(t, g.claims(p.server.URL), header))
				}
			})
		}
		wg.Wait()
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {29 * time.Second, 2}, {time.Second, 3}, {29 * time.Second, 3}, {time.Second, 4}} { // the first is the load
		g.clock.advance(step.after)
		flood()
		if n := p.count(keysPath); n != step.want {
			t.Errorf("%s later the keys were fetched %d times, want %d", step.after, n, step.want)
		}
	}
	if n := p.count(discoveryPath); n != 1 {
		t.Errorf("discovery was fetched %d times, want once", n)
	}
}

func TestARotatedKeyIsFollowed(t *testing.T) {
	before, after := newEC(t, "k1"), newEC(t, "k2")
	p := newProvider(t, before.jwk())
	g := newGate(t, p.entry(t))
	old := before.sign(t, g.claims(p.server.URL), nil)
	g.accepts(t, "before", old)
	p.publish(before.jwk(), after.jwk())
	g.clock.advance(time.Minute)
	g.accepts(t, "the new key, at once", after.sign(t, g.claims(p.server.URL), nil))
	g.accepts(t, "the old key during the overlap", old)
	p.publish(after.jwk())
	g.clock.advance(time.Minute)
	g.refuses(t, "a third key", newEC(t, "k3").sign(t, g.claims(p.server.URL), nil)) // and the set is fetched
	g.refuses(t, "the old key, remembered, when it is gone", old)
}

func TestANewKeyOfAnOldNameReplacesIt(t *testing.T) {
	before, after := newEC(t, "k1"), newEC(t, "k1")
	p := newProvider(t, before.jwk())
	g := newGate(t, p.entry(t))
	old := before.sign(t, g.claims(p.server.URL), nil)
	g.accepts(t, "before", old)
	p.publish(after.jwk())
	g.clock.advance(time.Minute)
	g.refuses(t, "another key", newEC(t, "k3").sign(t, g.claims(p.server.URL), nil))
	g.refuses(t, "the old material", old)
	g.accepts(t, "the new material", after.sign(t, g.claims(p.server.URL), nil))
}

func TestKnownKeysServeWhileTheIssuerIsDown(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	g := newGate(t, p.entry(t, "    max_stale: 2h"))
	token := key.sign(t, g.claims(p.server.URL).with(object{"exp": g.clock.Now().Add(24 * time.Hour).Unix()}), nil)
	g.accepts(t, "while it is up", token)
	p.answer(down)
	g.clock.advance(2 * time.Hour)
	g.accepts(t, "down, remembered", token)
	g.accepts(t, "down, another token", key.sign(t, g.claims(p.server.URL), nil))
	g.refuses(t, "down, an unknown key", key.sign(t, g.claims(p.server.URL), object{"kid": "k2"}))
	if e := g.news.last(); e.Err == nil || !e.Cached || !strings.Contains(e.Err.Error(), "503") {
		t.Errorf("the operator is told %+v", e)
	}
	if s := g.issuers.Status(); len(s) != 1 || s[0].Keys != 1 || s[0].Err == nil || !s[0].Fetched.Equal(newClock().Now()) {
		t.Errorf("the status is %+v", s)
	}
	g.clock.advance(time.Second)
	if s := g.issuers.Status(); s[0].Keys != 0 {
		t.Errorf("the status is %+v, want no keys", s)
	}
	g.unavailable(t, "down, max_stale over, remembered", token)
	g.clock.advance(30 * time.Second)
	g.unavailable(t, "down, max_stale over", key.sign(t, g.claims(p.server.URL), nil))
	if e := g.news.last(); e.Err == nil || e.Cached {
		t.Errorf("the operator is told %+v", e)
	}
	p.answer(nil)
	g.clock.advance(30 * time.Second)
	g.accepts(t, "up again", token)
	if e := g.news.last(); e.Err != nil || e.Keys != 1 {
		t.Errorf("the operator is told %+v", e)
	}
}

func TestAnIssuerThatIsDownAtStartConcernsNoOther(t *testing.T) {
	a, b := newEC(t, "k1"), newEC(t, "k1")
	dead, alive := newProvider(t, a.jwk()), newProvider(t, b.jwk())
	g := newGate(t, dead.entry(t), alive.entry(t))
	dead.answer(down)
	g.unavailable(t, "the one that is down", a.sign(t, g.claims(dead.server.URL), nil))
	g.accepts(t, "the other", b.sign(t, g.claims(alive.server.URL), nil))
	dead.answer(nil)
	g.clock.advance(30 * time.Second)
	g.accepts(t, "the one that came up", a.sign(t, g.claims(dead.server.URL), nil))
}

func TestWaitingCallersShareOneFetch(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	g := newGate(t, p.entry(t))
	var wg sync.WaitGroup
	for i := range 20 {
		token := key.sign(t, g.claims(p.server.URL).with(object{"jti": fmt.Sprint(i)}), nil)
		wg.Go(func() { g.accepts(t, "a waiting one", token) })
	}
	wg.Wait()
	if n := p.count(keysPath); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}
