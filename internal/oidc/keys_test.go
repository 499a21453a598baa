package oidc_test

import (
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// A key that cannot be used is left out and named; the others verify.
func TestBadKeysOfASetAreLeftOut(t *testing.T) {
	good, rsaKey, ed := newEC(t, "good"), newRSA(t, "bad", 2048), newEd(t, "bad")
	private, ok := rsaKey.private.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	ec := newEC(t, "bad")
	with := func(s *signer, overrides object) object { return s.jwk().with(overrides) }
	for name, tc := range map[string]struct {
		jwk    object
		reason string
	}{
		"RSA of 1024 bits":               {newModulus("bad", 1024, 65537), "1024 bits"},
		"RSA of 2047 bits":               {newModulus("bad", 2047, 65537), "2047 bits"},
		"RSA of 16384 bits":              {newModulus("bad", 16384, 65537), "16384 bits"},
		"RSA with the exponent 1":        {with(rsaKey, object{"e": "AQ"}), "exponent 1"},
		"RSA with the exponent 3":        {with(rsaKey, object{"e": "Aw"}), "exponent 3"},
		"RSA with an even one":           {with(rsaKey, object{"e": "AQAC"}), "exponent 65538"},
		"RSA with a huge one":            {with(rsaKey, object{"e": b64(make([]byte, 300)[:299]) + "AQ"}), "Web Key"},
		"RSA with one of 64 bits":        {with(rsaKey, object{"e": "AQAAAAAAAAAB"}), "exponent is out of range"},
		"RSA without a modulus":          {with(rsaKey, object{"n": nil}), "0 bits"},
		"a private RSA key":              {with(rsaKey, object{"d": b64(private.D.Bytes())}), "private"},
		"a private RSA prime":            {with(rsaKey, object{"p": b64(private.Primes[0].Bytes())}), "private"},
		"a private EC key":               {with(ec, object{"d": "AQ"}), "private"},
		"a private Ed25519 key":          {with(ed, object{"d": ""}), "private"},
		"a symmetric key":                {object{"kty": "oct", "kid": "bad", "k": b64(make([]byte, 32))}, "symmetric"},
		"a symmetric key as EC":          {with(ec, object{"k": "AQ"}), "symmetric"},
		"for encryption":                 {with(ec, object{"use": "enc"}), `use is "enc"`},
		"for nothing":                    {with(ec, object{"use": ""}), `use is ""`},
		"not to verify":                  {with(ec, object{"key_ops": []string{"sign"}}), "key_ops"},
		"another algorithm":              {with(ec, object{"alg": "RS256"}), "RS256"},
		"an unknown algorithm":           {with(ec, object{"alg": "RSA-OAEP"}), "RSA-OAEP"},
		"the algorithm none":             {with(ec, object{"alg": "none"}), "none"},
		"a symmetric algorithm":          {with(ec, object{"alg": "HS256"}), "HS256"},
		"off the curve":                  {with(ec, object{"y": with(newEC(t, ""), nil)["y"]}), "not a point"},
		"the point at infinity":          {with(ec, object{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}), "not a point"},
		"coordinates cut":                {with(ec, object{"x": b64(make([]byte, 31)), "y": b64(make([]byte, 33))}), "not a point"},
		"another curve":                  {with(ec, object{"crv": "secp256k1"}), "secp256k1"},
		"a curve that it is not on":      {with(ec, object{"crv": "P-384"}), "not a point"},
		"the algorithm of another curve": {with(ec, object{"alg": "ES384"}), "ES384"},
		"a key for agreement":            {with(ed, object{"crv": "X25519"}), "X25519"},
		"Ed25519 of small order":         {with(ed, object{"x": b64(append([]byte{1}, make([]byte, 31)...))}), "small order"},
		"Ed25519 cut short":              {with(ed, object{"x": "AQ"}), "not an Ed25519 key"},
		"an unknown type":                {with(ec, object{"kty": "AKP"}), "AKP"},
		"a type in small letters":        {with(rsaKey, object{"kty": "rsa"}), "rsa"},
		"no type":                        {with(ec, object{"kty": nil}), `type ""`},
		"padding":                        {with(ec, object{"x": b64(make([]byte, 32)) + "="}), "Web Key"},
		"a kid that is a number":         {with(ec, object{"kid": 1}), "Web Key"},
		"a name twice, the first":        {with(ec, object{"kid": "good"}), "another one has its kid"},
		"members of another shape":       {object{"kty": []string{"EC"}}, "Web Key"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, good.jwk().with(object{"kid": "best"}), tc.jwk, good.jwk())
			g := newGate(t, p.entry(t))
			best := good.sign(t, g.claims(p.server.URL), object{"kid": "best"})
			g.accepts(t, "the good key", best)
			for _, s := range []*signer{rsaKey, ed, ec} {
				g.refuses(t, "the bad key", s.sign(t, g.claims(p.server.URL), object{"kid": "bad"}))
			}
			if left := strings.Join(g.news.last().LeftOut, "\n"); !strings.Contains(left, tc.reason) || !strings.Contains(left, "key ") {
				t.Errorf("the operator is told %q, want %q", left, tc.reason)
			}
		})
	}
}

// newModulus is an RSA key of that size, which nobody can sign with.
func newModulus(kid string, bits int, e int64) object {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return object{"kty": "RSA", "kid": kid, "n": b64(n.SetBit(n, 0, 1).Bytes()), "e": b64(big.NewInt(e).Bytes())}
}

func TestKeysOfOneNameAreNeitherUsed(t *testing.T) {
	a, b := newEC(t, "k1"), newEC(t, "k1")
	p := newProvider(t, a.jwk(), b.jwk())
	g := newGate(t, p.entry(t))
	for _, s := range []*signer{a, b} {
		g.refuses(t, "one of two keys", s.sign(t, g.claims(p.server.URL), nil))
	}
}

func TestAKeyWithoutAlgorithmServesThoseThatItFits(t *testing.T) {
	key := newRSA(t, "k1", 2048)
	for name, tc := range map[string]struct {
		jwk, line string
		want      map[jwt.SigningMethod]bool
	}{
		"none named":         {"", "[RS256, PS256, ES256]", map[jwt.SigningMethod]bool{jwt.SigningMethodRS256: true, jwt.SigningMethodPS256: true, jwt.SigningMethodRS512: false}},
		"one named":          {"RS256", "[RS256, PS256]", map[jwt.SigningMethod]bool{jwt.SigningMethodRS256: true, jwt.SigningMethodPS256: false}},
		"one that is not on": {"PS256", "[RS256]", map[jwt.SigningMethod]bool{jwt.SigningMethodRS256: false, jwt.SigningMethodPS256: false}},
	} {
		t.Run(name, func(t *testing.T) {
			jwk := key.jwk()
			if tc.jwk != "" {
				jwk["alg"] = tc.jwk
			}
			p := newProvider(t, jwk)
			g := newGate(t, p.entry(t, "    algorithms: "+tc.line))
			for method, want := range tc.want {
				token := (&signer{"k1", method, key.private}).sign(t, g.claims(p.server.URL), nil)
				if _, err := g.try(t, token); (err == nil) != want {
					t.Errorf("%s: %v, want accepted %t", method.Alg(), err, want)
				}
			}
		})
	}
}

func TestATokenWithoutKIDNeedsASetOfOneKey(t *testing.T) {
	a, b := newEC(t, "k1"), newEC(t, "k2")
	for name, tc := range map[string]struct {
		set  []object
		want bool
	}{
		"one key":                       {[]object{a.jwk()}, true},
		"one key without a name":        {[]object{a.jwk().with(object{"kid": nil})}, true},
		"one key and one to encrypt":    {[]object{a.jwk(), b.jwk().with(object{"use": "enc"})}, true},
		"two keys":                      {[]object{a.jwk(), b.jwk()}, false},
		"two keys, one without a name":  {[]object{a.jwk().with(object{"kid": nil}), b.jwk()}, false},
		"two keys, both without a name": {[]object{a.jwk().with(object{"kid": nil}), b.jwk().with(object{"kid": nil})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, tc.set...)
			g := newGate(t, p.entry(t))
			if _, err := g.try(t, a.sign(t, g.claims(p.server.URL), object{"kid": nil})); (err == nil) != tc.want {
				t.Errorf("%v, want accepted %t", err, tc.want)
			}
		})
	}
}
