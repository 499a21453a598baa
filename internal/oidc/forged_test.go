package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"

	"onnxgate/internal/fault"
)

// forger makes false tokens from a genuine issuer's, each false in one way or
// several.
type forger struct {
	rand           *rand.Rand
	gate           *gate
	issuer, canary string
	key, stranger  *signer
}

// draft is a token before it is signed.
type draft struct {
	header, claims object
	by             *signer
	finish         func(token string) string
}

func pick[T any](f *forger, from ...T) T { return from[f.rand.IntN(len(from))] }

// ways are those in which a token can be false, by their line in the list of
// attacks.
func (f *forger) ways() []func(*draft) {
	now := f.gate.clock.Now().Unix()
	header := func(name string, values ...any) func(*draft) {
		return func(d *draft) { d.header[name] = pick(f, values...) }
	}
	claim := func(name string, values ...any) func(*draft) {
		return func(d *draft) { d.claims[name] = pick(f, values...) }
	}
	finish := func(change func(string) string) func(*draft) {
		return func(d *draft) { d.finish = change }
	}
	at := "https://127.0.0.1:" + f.canary
	return []func(*draft){
		header("alg", "none", "None", "nOnE", "", "RS256", "EdDSA", "es256", "HS256", 1, []string{"ES256"}),
		finish(func(s string) string { return s[:strings.LastIndex(s, ".")+1] }),
		finish(f.macWithPublicKey),
		header("kid", "", "../../dev/null", "k1\x00", "K1", "' OR 1=1 --", at, 1, []string{"k1"}, strings.Repeat("k", 5000)),
		header(pick(f, "jku", "x5u"), at+"/keys"),
		header("jwk", f.stranger.jwk()),
		header("x5c", []string{"MIIB"}),
		header(pick(f, "crit", "b64", "zip", "enc"), []string{"x"}, false, "DEF"),
		header("typ", "JWT", "", "at+jwt ", "AT+JWT", "logout+jwt", "application/", 7),
		claim("exp", now-60, 0, -1, 1e300, "9999999999", []int{1}, nil, true),
		claim("nbf", now+60, "0"),
		claim("iat", now+60, -5, "x"),
		claim("aud", "ML", "ml/", "", []string{"ml", "other"}, []string{}, object{"ml": 1}, 7, []any{"ml", 1}),
		claim("iss", f.issuer+"/", strings.ToUpper(f.issuer), "https://own.example", at, "", 7, []string{f.issuer}),
		claim("sub", "", 7, nil, []string{"ada"}, "ada\n"),
		claim("nonce", "n", 1), claim("events", object{}), claim("at_hash", "x"), claim("typ", "ID", "Refresh"),
		func(d *draft) { d.by = f.stranger },
		finish(func(s string) string { return s + pick(f, "=", "A", ".", " ", "\n", ".x.y") }),
		finish(func(s string) string { return strings.Replace(s, ".", pick(f, "..", "", "=.", "\n."), 1) }),
		finish(f.flip),
	}
}

// macWithPublicKey signs with what everybody knows of the key.
func (f *forger) macWithPublicKey(token string) string {
	input := b64(mustJSON(object{"alg": "HS256", "typ": "at+jwt", "kid": f.key.kid})) + "." + strings.Split(token, ".")[1]
	mac := hmac.New(sha256.New, mustJSON(f.key.jwk()))
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// flip changes one character of the claims or the signature, never the last,
// whose unused bits might be all that changes.
func (f *forger) flip(token string) string {
	body := strings.Index(token, ".") + 1
	i := body + f.rand.IntN(len(token)-body-1)
	if token[i] == '.' {
		i++
	}
	c := byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}

func (f *forger) forge(t *testing.T) string {
	t.Helper()
	d := &draft{header: object{}, claims: f.gate.claims(f.issuer), by: f.key, finish: func(s string) string { return s }}
	ways := f.ways()
	for range 1 + f.rand.IntN(3) {
		ways[f.rand.IntN(len(ways))](d)
	}
	return d.finish(d.by.sign(t, d.claims, d.header))
}

// Of 2,000 forged tokens none is accepted, and none makes a connection be opened
// but the fetches of the issuer's own keys.
func TestTwoThousandForgedTokensAreRefused(t *testing.T) {
	const seed = 1
	c := newCanary(t)
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk(), newEC(t, "k2").jwk())
	g := newGate(t, p.entry(t))
	f := &forger{
		rand: rand.New(rand.NewPCG(seed, seed)), gate: g, issuer: p.server.URL, canary: c.port, key: key, stranger: newEC(t, "k1"),
	}
	g.accepts(t, "the genuine token", key.sign(t, g.claims(p.server.URL), nil))
	for range 2000 {
		token := f.forge(t)
		if who, err := g.try(t, token); who != nil || fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s is accepted as %+v (%v)", token, who, err)
		}
	}
	if n := c.count.Load(); n != 0 {
		t.Errorf("%d connections were opened to where tokens point", n)
	}
	if n := p.count(keysPath); n != 2 {
		t.Errorf("the keys were fetched %d times, want twice", n)
	}
	g.accepts(t, "the genuine token, afterwards", key.sign(t, g.claims(p.server.URL), nil))
}
