package oidc_test

import (
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
	"onnxgate/internal/testkit/forged"
)

// weakKeys are some that no issuer's tokens are accepted by, although it publishes them.
func weakKeys(t *testing.T) []*forged.Key {
	t.Helper()
	short, err := forged.NewKey("short", newRSA(t, "short", 1024).private)
	if err != nil {
		t.Fatal(err)
	}
	return []*forged.Key{short, forged.SmallOrder("small")}
}

// Of 2,000 forged tokens none is accepted, and none makes a connection be opened
// but the fetches of the issuer's own keys.
func TestTwoThousandForgedTokensAreRefused(t *testing.T) {
	c := testkit.NewCanary(t)
	signer, rival := newEC(t, "k1"), newEC(t, "r1")
	key, err := forged.NewKey("k1", signer.private)
	if err != nil {
		t.Fatal(err)
	}
	rivals, err := forged.NewKey("r1", rival.private)
	if err != nil {
		t.Fatal(err)
	}
	published := []object{signer.jwk(), newEC(t, "k2").jwk()}
	weak := weakKeys(t)
	for _, w := range weak {
		published = append(published, object(w.JWK))
	}
	p, other := newProvider(t, published...), newProvider(t, rival.jwk())
	g := newGate(t, p.entry(t), other.entry(t))
	f := forged.New(t, 1, forged.Genuine{
		Key: key, Header: forged.Object{"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, Claims: forged.Object(g.claims(p.server.URL)),
		Now: g.clock.Now(), Slack: time.Minute, Rivals: []forged.Issuer{{Name: other.server.URL, Key: rivals}}, Weak: weak,
		At: "https://" + c.Addr(),
	})
	g.accepts(t, "the genuine token", f.Accepted())
	for _, token := range f.Make(2000) {
		if who, err := g.try(t, token.Text); who != nil || fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s (%q) is accepted as %+v (%v)", token.Text, token.Ways, who, err)
		}
	}
	c.Untouched(t)
	for _, p := range []*provider{p, other} {
		if n := p.count(keysPath); n != 2 {
			t.Errorf("the keys were fetched %d times, want twice", n)
		}
	}
	g.accepts(t, "the genuine token, afterwards", f.Accepted())
}
