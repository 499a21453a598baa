package oidc_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
)

// The connections of an issuer go where its entry allows, whatever names an
// address: the entry itself, or the discovery document.
func TestForbiddenAddressesAreNotConnectedTo(t *testing.T) {
	c := testkit.NewCanary(t)
	key := newEC(t, "k1")
	check := func(t *testing.T, p *provider, entry string) {
		t.Helper()
		g := newGate(t, entry)
		who, err := g.try(t, key.sign(t, g.claims(p.server.URL), nil))
		if k := fault.KindOf(err); who != nil || k != fault.Unauthenticated && k != fault.Unavailable {
			t.Errorf("%+v, %v, want a refusal", who, err)
		}
	}
	others := []string{
		"127.1.2.3", "[::1]", "0.0.0.0", "[::]", "169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1%25lo]", "[64:ff9b::7f00:1]",
	}
	for _, host := range append(others, "127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f000001", "017700000001", "127.1") {
		t.Run(host+" in the entry", func(t *testing.T) {
			p := newProvider(t, key.jwk())
			check(t, p, strings.Replace(p.entry(t, "    jwks_uri: https://"+host+":"+c.Port), "    networks: [127.0.0.0/8]\n", "", 1))
		})
	}
	for _, host := range others {
		t.Run(host+" by discovery", func(t *testing.T) {
			p := newProvider(t, key.jwk())
			p.answer(func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, object{"issuer": p.server.URL, "jwks_uri": "https://" + host + ":" + c.Port})
			})
			check(t, p, strings.Replace(p.entry(t), "127.0.0.0/8", "127.0.0.1/32", 1))
			if p.count(discoveryPath) == 0 {
				t.Error("discovery was not asked, so that nothing is shown")
			}
		})
	}
	if n := c.Connections(); n > 0 {
		t.Errorf("%d connections were opened, want none", n)
	}
	g := newGate(t, "  - {issuer: https://idp.example, audience: [ml], networks: [127.0.0.0/8], jwks_uri: 'https://127.1.2.3:"+c.Port+"'}\n")
	g.unavailable(t, "a listed network", key.sign(t, g.claims("https://idp.example"), nil))
	if c.Connections() == 0 {
		t.Error("the canary counts nothing, so that nothing is shown")
	}
}

func TestAForbiddenAddressRefusesItsTokensAndIsReported(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	g := newGate(t, strings.Replace(p.entry(t), "    networks: [127.0.0.0/8]\n", "", 1))
	p0, err := g.try(t, key.sign(t, g.claims(p.server.URL), nil))
	refused(t, p0, err)
	if e := g.news.last(); e.Err == nil || !strings.Contains(e.Err.Error(), "127.0.0.1 is not connected to: it is private") {
		t.Errorf("the operator is told %v", e.Err)
	}
	if n := p.count(discoveryPath); n != 0 {
		t.Errorf("%d requests arrived, want none", n)
	}
}

// Headers that bring or point at a key are refused, and nothing is fetched.
func TestNothingThatATokenSaysIsFetched(t *testing.T) {
	c := testkit.NewCanary(t)
	key, stranger := newEC(t, "k1"), newEC(t, "k2")
	p := newProvider(t, key.jwk())
	g := newGate(t, p.entry(t))
	g.accepts(t, "the genuine token", key.sign(t, g.claims(p.server.URL), nil))
	at := "https://127.0.0.1:" + c.Port
	for i, header := range []object{
		{"jku": at + "/keys"},
		{"x5u": at + "/cert"},
		{"jwk": stranger.jwk()},
		{"x5c": []string{"MIIB"}},
		{"kid": at + "/keys"},
		{"kid": "../../../etc/passwd"},
	} {
		g.refuses(t, fmt.Sprint(header), stranger.sign(t, g.claims(p.server.URL), header))
		g.refuses(t, fmt.Sprint(header, " and iss"), stranger.sign(t, g.claims(at), header))
		if i == 0 {
			g.clock.advance(time.Minute)
		}
	}
	c.Untouched(t)
}

func bomb(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestAHostileIssuerIsRefused(t *testing.T) {
	key, rogue := newEC(t, "k1"), newEC(t, "k1")
	evil := newProvider(t, rogue.jwk())
	packed := bomb(t)
	set := `{"keys":[` + string(mustJSON(key.jwk())) + `]}`
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, s) }
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
		reason string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, evil.server.URL+keysPath, http.StatusFound)
		}, fault.Unavailable, "redirects are not followed"},
		"a body without end": {func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, fault.Unauthenticated, "more than 524288 bytes"},
		"a compressed bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed)
		}, fault.Unauthenticated, `in the encoding "gzip"`},
		"a header without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 128<<10))
		}, fault.Unavailable, "headers exceeded"},
		"an error":                {down, fault.Unavailable, "answers 503"},
		"no content":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, fault.Unavailable, "answers 204"},
		"a page":                  {text("<!doctype html><title>Log in</title>"), fault.Unauthenticated, "not a JWK Set"},
		"nothing":                 {text(""), fault.Unauthenticated, "not a JWK Set"},
		"an object without keys":  {text("{}"), fault.Unauthenticated, "not a JWK Set"},
		"keys that are no list":   {text(`{"keys":{}}`), fault.Unauthenticated, "not a JWK Set"},
		"keys that are null":      {text(`{"keys":null}`), fault.Unauthenticated, "not a JWK Set"},
		"keys twice":              {text(set[:len(set)-1] + `,"keys":[]}`), fault.Unauthenticated, "not a JWK Set"},
		"something behind":        {text(set + "{}"), fault.Unauthenticated, "not a JWK Set"},
		"more keys than are read": {text(`{"keys":[{}` + strings.Repeat(",{}", 100) + `]}`), fault.Unauthenticated, "more than 100 keys"},
		"nested without end":      {text(`{"keys":[` + strings.Repeat("[", 100_000)), fault.Unauthenticated, "not a JWK Set"},
		"no keys":                 {text(`{"keys":[]}`), fault.Unauthenticated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, key.jwk())
			p.answer(tc.answer)
			g := newGate(t, p.entry(t, "    jwks_uri: "+p.server.URL+keysPath))
			for _, s := range []*signer{key, rogue} {
				if who, err := g.try(t, s.sign(t, g.claims(p.server.URL), nil)); who != nil || fault.KindOf(err) != tc.kind {
					t.Errorf("%+v, %v, want %v", who, err, tc.kind)
				}
			}
			if e := g.news.last(); tc.reason != "" && (e.Err == nil || !strings.Contains(e.Err.Error(), tc.reason)) {
				t.Errorf("the operator is told %v, want %q", e.Err, tc.reason)
			}
		})
	}
	if n := evil.count(keysPath); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestABadDiscoveryDocumentIsRefused(t *testing.T) {
	key := newEC(t, "k1")
	for name, tc := range map[string]struct {
		doc    func(issuer string) object
		reason string
	}{
		"another issuer":        {func(i string) object { return object{"issuer": "https://idp.example", "jwks_uri": i + keysPath} }, "to the letter"},
		"a slash more":          {func(i string) object { return object{"issuer": i + "/", "jwks_uri": i + keysPath} }, "to the letter"},
		"the issuer in capital": {func(i string) object { return object{"issuer": strings.ToUpper(i), "jwks_uri": i + keysPath} }, "to the letter"},
		"no issuer":             {func(i string) object { return object{"jwks_uri": i + keysPath} }, "to the letter"},
		"keys in the clear":     {func(i string) object { return object{"issuer": i, "jwks_uri": "http" + i[5:] + keysPath} }, "https://"},
		"keys in a file":        {func(i string) object { return object{"issuer": i, "jwks_uri": "file:///etc/passwd"} }, "not a URL"},
		"no keys":               {func(i string) object { return object{"issuer": i} }, "not a URL"},
		"an issuer twice":       {func(string) object { return object{"issuer": []string{"a"}} }, "not a discovery document"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, key.jwk())
			p.answer(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == discoveryPath {
					writeJSON(w, tc.doc(p.server.URL))
					return
				}
				writeJSON(w, object{"keys": []object{key.jwk()}})
			})
			g := newGate(t, p.entry(t))
			who, err := g.try(t, key.sign(t, g.claims(p.server.URL), nil))
			refused(t, who, err)
			if e := g.news.last(); e.Err == nil || !strings.Contains(e.Err.Error(), tc.reason) {
				t.Errorf("the operator is told %v, want %q", e.Err, tc.reason)
			}
			if n := p.count(keysPath); n != 0 {
				t.Errorf("the keys were fetched %d times", n)
			}
		})
	}
}

func TestTheIssuersCertificateIsChecked(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	entry := p.entry(t)
	g := newGate(t, entry)
	g.accepts(t, "with its private authority", key.sign(t, g.claims(p.server.URL), nil))
	lines := strings.Split(entry, "\n")
	for i, line := range lines {
		if strings.Contains(line, "ca_file") {
			lines[i] = "    max_stale: 24h"
		}
	}
	g = newGate(t, strings.Join(lines, "\n"))
	g.unavailable(t, "without it", key.sign(t, g.claims(p.server.URL), nil))
	if e := g.news.last(); e.Err == nil || !strings.Contains(e.Err.Error(), "certificate") {
		t.Errorf("the operator is told %v", e.Err)
	}
}

func TestTheTokenOfTheEntryIsSentAndReadAgain(t *testing.T) {
	key := newEC(t, "k1")
	p := newProvider(t, key.jwk())
	file := place(t, "token", "first\n")
	g := newGate(t, p.entry(t, "    bearer_token_file: "+file))
	g.accepts(t, "the first", key.sign(t, g.claims(p.server.URL), nil))
	overwrite(t, file, "second\n")
	g.clock.advance(time.Minute)
	g.refuses(t, "an unknown key", key.sign(t, g.claims(p.server.URL), object{"kid": "x"}))
	if got, want := fmt.Sprint(p.seen), "[Bearer first Bearer first Bearer second]"; got != want {
		t.Errorf("the issuer saw %s, want %s", got, want)
	}
}
