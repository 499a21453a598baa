package oidc_test

import (
	"testing"
	"time"

	"onnxgate/internal/fault"
)

// Whether an issuer answers is known for 30 seconds, is asked once a second while
// it does not, and is found out without anybody's help.
func TestWhetherAnIssuerAnswersIsAsked(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	g := newGate(t, p.entry(t))
	name := p.server.URL
	for i, step := range []struct {
		after time.Duration
		down  bool
		asks  int
		want  fault.Kind
	}{
		{0, false, 1, 0},
		{30*time.Second - 1, true, 0, 0}, // too soon to be asked
		{1, true, 1, fault.Unavailable},
		{time.Second - 1, false, 0, fault.Unavailable},
		{1, false, 1, 0},
		{0, true, 0, 0},
	} {
		g.clock.advance(step.after)
		p.answer(nil)
		if step.down {
			p.answer(down)
		}
		before := p.count(discoveryPath)
		err := g.issuers.Answers(t.Context(), name)
		asked := p.count(discoveryPath) - before
		if got := fault.KindOf(err); err != nil && got != step.want || (err == nil) != (step.want == 0) || asked != step.asks {
			t.Errorf("step %d: %v after %d questions, want %v after %d", i, err, asked, step.want, step.asks)
		}
	}
	g.accepts(t, "a token, meanwhile", key.sign(t, g.claims(name), nil))
	if err := g.issuers.Answers(t.Context(), "https://other.example"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an issuer that nobody trusts: %v", err)
	}
}
