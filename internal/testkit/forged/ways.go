package forged

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"
)

func pick[T any](f *Forger, from ...T) T { return from[f.rand.IntN(len(from))] }

// number is one as it is written.
func number(text string) json.RawMessage { return json.RawMessage(text) }

// inTheHeader are the ways of a header (RFC 7515 section 4).
func (f *Forger) inTheHeader() []way {
	set := func(name string, values ...any) func(*draft) {
		return func(d *draft) { d.header[name] = pick(f, values...) }
	}
	kid := f.Key.ID
	kids := []any{
		absent{},
		"", "../../dev/null", kid + ".pem", kid + "\x00", " " + kid, strings.ToUpper(kid) + "x", "' OR 1=1 --", "ключ",
		f.At + "/key", strings.Repeat("k", 3000), 1, nil, true,
		[]string{kid},
		Object{"kid": kid},
	}
	ways := []way{
		{"another algorithm", f.anotherAlgorithm},
		{"another key's name", set("kid", kids...)},
		{"a key of its own", f.bringsAKey},
		{"a header that changes the meaning", func(d *draft) {
			name := pick(f, "crit", "b64", "zip", "enc")
			d.header[name] = pick[any](f, []string{}, []string{"exp"}, []string{"b64"}, false, nil, "DEF", "A256GCM")
		}},
		{"another type", set("typ", absent{}, "", "JWT", "at+jwt ", "AT+JWT", "at+jwt;x=1", "text/at+jwt", "logout+jwt", "rt+jwt", "application/", 7, nil)},
		{"an ambiguous header", func(d *draft) {
			d.inHeader = f.ambiguous(`"alg":"none"`, `"kid":"x"`, `"x":1,"x":1`, `"\u0061lg":"none"`, `"ALG":1,"\u0041LG":2`)
		}},
		{"encryption by a password", func(d *draft) {
			d.header["alg"], d.header["p2c"] = pick(f, "PBES2-HS256+A128KW", "RSA-OAEP", "dir"), 1<<31
		}},
	}
	for _, r := range f.Rivals {
		ways = append(ways, way{"another issuer's key", func(d *draft) {
			d.by, d.header["alg"] = r.Key, r.Key.Alg
			d.header["kid"] = pick(f, r.Key.ID, kid)
		}}, way{"the name of another issuer's key", set("kid", r.Key.ID)})
	}
	for _, weak := range f.Weak {
		ways = append(ways, way{"the weak key " + weak.ID, func(d *draft) {
			d.by, d.header["alg"], d.header["kid"] = weak, weak.Alg, weak.ID
		}})
	}
	return ways
}

// anotherAlgorithm keeps the signature or leaves it out: it may say that there is none.
func (f *Forger) anotherAlgorithm(d *draft) {
	all := []any{
		"none", "None", "NONE", "nOnE", " none", "none ", "none\x00", "", "eddsa", "es256", "Ed25519",
		"HS256", "HS384", "HS512", "EdDSA", "ES256", "ES384", "RS256", "PS256",
		absent{},
		1, nil, true,
		[]string{f.Key.Alg},
	}
	for d.header["alg"] = pick(f, all...); d.header["alg"] == any(f.Key.Alg); d.header["alg"] = pick(f, all...) {
	}
	if pick(f, true, false) {
		d.written = unsigned
	}
}

func unsigned(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }

// bringsAKey points at a key, or brings one, that did or did not sign.
func (f *Forger) bringsAKey(d *draft) {
	name := pick(f, "jku", "x5u", "jwk", "x5c")
	d.header[name] = map[string]any{
		"jku": f.At + "/keys", "x5u": f.At + "/cert", "jwk": f.stranger.JWK, "x5c": []string{"MIIB"},
	}[name]
	if pick(f, true, false) {
		d.by, d.header["alg"] = f.stranger, f.stranger.Alg
	}
}

// inTheClaims are the ways of claims (RFC 7519 section 4.1, RFC 9068 section 2.2).
func (f *Forger) inTheClaims() []way {
	set := func(name string, values ...any) func(*draft) {
		return func(d *draft) { d.claims[name] = pick(f, values...) }
	}
	now, slack := f.Now.Unix(), int64(f.Slack/time.Second)
	aud, _ := f.Claims["aud"].(string)
	iss, _ := f.Claims["iss"].(string)
	names := []any{absent{}, "", 7, nil, []string{iss}, f.At}
	for _, r := range f.Rivals {
		names = append(names, r.Name)
	}
	ways := []way{
		{"an end that is past", set("exp", now-slack, 0, 1)},
		{"no end", set("exp", absent{}, nil, -1, number("1e400"), number("1e30"), number("9223372036854775808"), "9999999999", []int{1}, true)},
		{"a beginning to come", set("nbf", now+slack, now+1e9, "0")},
		{"an issue to come", set("iat", now+slack, now+1e9, -5, "x")},
		{"another audience", set("aud", append(others(aud), absent{}, nil, []string{aud, "other"}, []string{}, [][]string{{aud}}, Object{aud: 1}, 7, []any{aud, 1})...)},
		{"another issuer", set("iss", append(names, others(iss)...)...)},
		{"no subject", set("sub", absent{}, "", 7, nil, []string{"ada"}, "ada\n")},
		{"too large", func(d *draft) {
			d.claims["padding"] = strings.Repeat("x", 7000)
		}},
		{"nested without end", func(d *draft) {
			d.inClaims = func([]byte) []byte { return bytes.Repeat([]byte(pick(f, "[", `{"a":`)), 1500) }
		}},
		{"ambiguous claims", func(d *draft) {
			d.inClaims = f.ambiguous(`"sub":"root","sub":"root"`, `"exp":1,"exp":99999999999`, `"x":{"a":1,"a":2}`, `"s":1,"\u0073":2`)
		}},
		{"a token within", func(d *draft) {
			d.header["cty"] = "JWT"
			d.inClaims = func([]byte) []byte { return []byte(f.draft().text()) }
		}},
	}
	if f.Own {
		return append(ways, f.inOwnClaims()...)
	}
	return append(ways, way{"another kind of token", func(d *draft) {
		name := pick(f, "nonce", "events", "at_hash", "typ")
		d.claims[name] = map[string]any{"nonce": pick[any](f, "n", 1), "events": Object{}, "at_hash": "x", "typ": pick(f, "ID", "Refresh")}[name]
	}})
}

// inOwnClaims are the ways of claims that the server demands of its own tokens.
func (f *Forger) inOwnClaims() []way {
	return []way{
		{"another subject", func(d *draft) { d.claims["sub"] = pick(f, "root", "nobody") }},
		{"another state of the subject", func(d *draft) { d.claims["onnxgate_stamp"] = pick[any](f, "", "x", 1, absent{}) }},
		{"a claim less", func(d *draft) {
			d.claims[pick(f, "iat", "jti", "client_id", "tenant", "onnxgate_stamp")] = pick[any](f, absent{}, nil, true, []string{"x"})
		}},
		{"claims of other types", func(d *draft) {
			name := pick(f, "roles", "scope")
			d.claims[name] = map[string]any{"roles": pick[any](f, "admin", []int{1}, Object{"admin": true}), "scope": pick[any](f, []string{"models:read"}, 1)}[name]
		}},
	}
}

// others are names that only look like one.
func others(name string) []any {
	return []any{
		"", name + "/", name + " ", " " + name, name + "\x00", name + "#", strings.ToUpper(name) + "X", name[:len(name)-1], name + "x",
		strings.Replace(name, "e", "е", 1) + "е", // Cyrillic letters
	}
}

// ambiguous returns what makes JSON mean several things, or nothing: one of the
// members in front, or what stands around.
func (f *Forger) ambiguous(members ...string) func([]byte) []byte {
	in := func(member string) func([]byte) []byte {
		return func(data []byte) []byte { return slices.Concat([]byte("{"+member+","), data[1:]) }
	}
	around := func(before, after string) func([]byte) []byte {
		return func(data []byte) []byte { return slices.Concat([]byte(before), data, []byte(after)) }
	}
	all := []func([]byte) []byte{
		in("\"y\":\"\xff\""), in(`"y":"\ud800"`), in(`"y":"\x"`), in("\"y\":\"\n\""), in(`1:1`), in(`z:1`),
		around("\xef\xbb\xbf", ""), around("/**/", ""), around("", "{}"), around("", "\x00"), around("[", "]"),
		func(data []byte) []byte { return append(data[:len(data)-1], ",}"...) },
		func(data []byte) []byte { return data[:len(data)-1] },
		func([]byte) []byte { return nil },
		func([]byte) []byte { return []byte("null") },
	}
	for _, member := range members {
		all = append(all, in(member))
	}
	return pick(f, all...)
}

// inTheSignature are the ways of a signature, and of who made it.
func (f *Forger) inTheSignature() []way {
	breaks := []func([]byte) []byte{
		func(s []byte) []byte { return s[:len(s)-1] },
		func(s []byte) []byte { return append(s, 0) },
		func(s []byte) []byte { return append([]byte{0}, s...) },
		func([]byte) []byte { return nil },
		func(s []byte) []byte { return make([]byte, len(s)) },
		func(s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) },
		func(s []byte) []byte { return slices.Concat(s[len(s)/2:], s[:len(s)/2]) },
		func(s []byte) []byte { s[f.rand.IntN(len(s))] ^= 1 << f.rand.IntN(8); return s },
		func(s []byte) []byte { clear(s[:len(s)/2]); return s },
		func(s []byte) []byte { clear(s[len(s)/2:]); return s },
	}
	switch f.Key.Alg {
	case "EdDSA":
		breaks = append(breaks, plusOrder)
	case "ES256":
		breaks = append(breaks, inDER, orders)
	}
	known := slices.Concat(f.Key.known, []string{"", "secret", "your-secret-key", "your-256-bit-secret", "changeme", strings.Repeat("0", 32), strings.Repeat("\x00", 32)})
	return []way{
		{"a stranger's key", func(d *draft) { d.by, d.header["alg"] = f.stranger, f.stranger.Alg }},
		{"a broken signature", func(d *draft) { d.inSignature = pick(f, breaks...) }},
		{"no signature", func(d *draft) { d.written = unsigned }},
		{"what everybody knows as a secret", func(d *draft) {
			secret := pick(f, known...)
			d.header["alg"] = pick(f, "HS256", "HS384", "HS512")
			d.by = &Key{Sign: func(input string) []byte { return mac([]byte(secret), input) }}
		}},
	}
}

// plusOrder adds the order of the group to S of an Ed25519 signature, which
// equations alone would accept (RFC 8032 section 5.1.7).
func plusOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	s = new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(s)
	return append(signature[:32], s...)
}

// inDER writes an ECDSA signature as certificates have it.
func inDER(signature []byte) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]),
	})
	if err != nil {
		panic(err) // never of two numbers
	}
	return der
}

// orders is r and s of the order of the group, which is 0 modulo it.
func orders([]byte) []byte {
	n := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	return slices.Concat(n, n)
}

// inTheText are the ways of what is written (RFC 7515 section 7.1).
func (f *Forger) inTheText() []way {
	after := func(texts ...string) func(string) string {
		return func(token string) string { return token + pick(f, texts...) }
	}
	ways := []way{
		{"another spelling", func(d *draft) {
			d.written = pick(f, after("=", "==", "A", ".", "\n", "\r\n", "\x00", " ", ".x.y"), unusedBits, f.blankWithin, f.paddingWithin)
		}},
		{"the standard alphabet", func(d *draft) {
			d.claims["x"] = "???>>>~~~" // in which both characters occur that differ
			d.spelled = strings.NewReplacer("-", "+", "_", "/").Replace
		}},
		{"padding that is signed", func(d *draft) {
			d.spelled = func(input string) string { return strings.Replace(input, ".", pick(f, "=.", "==.", "%3D."), 1) }
		}},
		{"other segments", func(d *draft) {
			d.written = func(token string) string {
				return strings.Replace(token, ".", pick(f, "..", "", ".x."), pick(f, 1, -1))
			}
		}},
		{"a character changed", func(d *draft) { d.written = f.flip }},
		{"JSON", func(d *draft) { d.written = f.inJSON }},
		instead("encrypted", func() string {
			head := encode(Object{"alg": pick(f, "RSA-OAEP", "dir", "PBES2-HS256+A128KW"), "enc": "A256GCM", "p2c": 1 << 31, "p2s": "AA"})
			return b64(head) + strings.Repeat(".AAAA", pick(f, 2, 4))
		}),
		instead("nothing but dots", func() string { return strings.Repeat(pick(f, ".", "a.", "e30."), pick(f, 1, 2, 3, 3000)) }),
		instead("text without dots", func() string { return strings.Repeat("a", pick(f, 1, 100, 10_000)) }),
	}
	if len(f.Others) > 0 {
		ways = append(ways, instead("no access token any more", func() string { return pick(f, f.Others...) }))
	}
	return ways
}

// instead is a way that leaves nothing of a token.
func instead(name string, text func() string) way {
	return way{name, func(d *draft) {
		d.replaced = true
		d.written = func(string) string { return text() }
	}}
}

// unusedBits changes what a decoder may drop of the last character.
func unusedBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	if last < 0 || (len(token)-strings.LastIndexByte(token, '.')-1)%4 == 0 {
		return token
	}
	return token[:len(token)-1] + string(alphabet[last|1])
}

func (f *Forger) blankWithin(token string) string {
	at := 1 + f.rand.IntN(len(token)-1)
	return token[:at] + pick(f, "\n", "\r\n", " ", "\t", "\x00") + token[at:]
}

func (f *Forger) paddingWithin(token string) string {
	return strings.Replace(token, ".", pick(f, "=.", "%3D."), pick(f, 1, -1))
}

// flip changes one character of the claims or the signature, never the last,
// whose unused bits might be all that changes.
func (f *Forger) flip(token string) string {
	body := strings.IndexByte(token, '.') + 1
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

// inJSON is the JSON serialization (RFC 7515 section 7.2).
func (f *Forger) inJSON(token string) string {
	parts := strings.Split(token, ".")
	return pick(f,
		`{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`,
		`{"payload":"`+parts[1]+`","signatures":[{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"}]}`)
}
