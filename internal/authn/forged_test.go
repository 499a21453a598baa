package authn_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
)

// forgery is a token that must be refused, and a part of the reason, so that
// it is not refused for another one.
type forgery struct{ token, reason string }

func refuseAll(t *testing.T, m *mint, forgeries map[string]forgery) {
	t.Helper()
	a := m.bearer(t, everybody{})
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()}); err != nil {
		t.Fatalf("the genuine token is refused, so that nothing is shown: %v", err)
	}
	for name, f := range forgeries {
		t.Run(name, func(t *testing.T) { refuse(t, a, f) })
	}
}

func refuse(t *testing.T, a authn.Authenticator, f forgery) {
	t.Helper()
	p, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: f.token})
	e := fault.As(err)
	if p != nil || e == nil || e.Kind != fault.Unauthenticated || e.Code != "invalid_token" {
		t.Fatalf("Authenticate = %+v, %v, want invalid_token", p, err)
	}
	if e.Err == nil || !strings.Contains(e.Err.Error(), f.reason) {
		t.Errorf("refused because %v, want a reason with %q", e.Err, f.reason)
	}
	want := "The access token is not valid"
	if f.reason == "expired" {
		want = "The access token has expired; get a new one"
	}
	if e.Msg != want {
		t.Errorf("the client is told %q, want %q", e.Msg, want)
	}
}

func TestAlgorithmNoneIsRefused(t *testing.T) {
	m := newMint(t)
	forgeries := map[string]forgery{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", " none", "none ", "none\u0000", "", "eddsa", "Ed25519"} {
		header, claims := encode(m.header().with(object{"alg": alg})), encode(m.claims())
		input := b64(header) + "." + b64(claims)
		forgeries[fmt.Sprintf("%q without a signature", alg)] = forgery{input + ".", "alg is not EdDSA"}
		forgeries[fmt.Sprintf("%q with the genuine signature", alg)] = forgery{m.signed(input), "alg is not EdDSA"}
	}
	forgeries["no alg"] = forgery{m.withHeader(object{"alg": nil}), "alg is not EdDSA"}
	forgeries["the genuine header without a signature"] = forgery{
		m.genuine()[:strings.LastIndex(m.genuine(), ".")+1], "verification error",
	}
	refuseAll(t, m, forgeries)
}

func TestAPublicKeyIsNoSharedSecret(t *testing.T) {
	m := newMint(t)
	public := m.public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pemBlock := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	x := b64(public)
	forgeries := map[string]forgery{}
	for name, secret := range map[string]string{
		"PEM":                    pemBlock,
		"PEM without newline":    strings.TrimSpace(pemBlock),
		"PEM with CRLF":          strings.ReplaceAll(pemBlock, "\n", "\r\n"),
		"PEM in one line":        strings.ReplaceAll(pemBlock, "\n", ""),
		"PEM with escaped lines": strings.ReplaceAll(pemBlock, "\n", `\n`),
		"DER":                    string(der),
		"DER in base64":          base64.StdEncoding.EncodeToString(der),
		"DER in base64url":       b64(der),
		"raw":                    string(public),
		"raw in base64":          base64.StdEncoding.EncodeToString(public),
		"raw in base64url":       x,
		"raw in hex":             hex.EncodeToString(public),
		"raw in capital hex":     strings.ToUpper(hex.EncodeToString(public)),
		"JWK":                    `{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}`,
		"JWK in lexical order":   `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`,
		"JWK with blanks":        `{"kty": "OKP", "crv": "Ed25519", "x": "` + x + `"}`,
		"the kid":                m.set.Signer().KID,
		"nothing":                "",
	} {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			input := b64(encode(m.header().with(object{"alg": alg}))) + "." + b64(encode(m.claims()))
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(input))
			forgeries[alg+" with "+name] = forgery{input + "." + b64(mac.Sum(nil)), "alg is not EdDSA"}
		}
	}
	refuseAll(t, m, forgeries)
}

func TestAnUnknownOrHostileKidIsRefused(t *testing.T) {
	m := newMint(t)
	forgeries := map[string]forgery{"missing": {m.withHeader(object{"kid": nil}), "no key has"}}
	for _, kid := range []string{
		"", "../../dev/null", "../keys/" + m.set.Signer().KID, m.set.Signer().KID + ".pem", m.set.Signer().KID + "\x00",
		" " + m.set.Signer().KID, strings.ToLower(m.set.Signer().KID) + "x", "' OR 1=1 --", "ключ",
		"http://127.0.0.1/key", strings.Repeat("a", 4000),
	} {
		forgeries[fmt.Sprintf("%.40q", kid)] = forgery{m.withHeader(object{"kid": kid}), "no key has"}
	}
	for name, kid := range map[string]any{"a number": 1, "an array": []string{m.set.Signer().KID}, "an object": object{}, "true": true} {
		forgeries[name] = forgery{m.withHeader(object{"kid": kid}), "not a string"}
	}
	forgeries["of another server"] = forgery{newMint(t).genuine(), "no key has"}
	other := newMint(t)
	forgeries["ours, signed with another key"] = forgery{other.withHeader(object{"kid": m.set.Signer().KID}), "verification error"}
	refuseAll(t, m, forgeries)
}

func TestNoHeaderBringsOrFetchesAKey(t *testing.T) {
	var config net.ListenConfig
	canary, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := canary.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	url := "http://" + canary.Addr().String() + "/jwks.json"

	m, attacker := newMint(t), newMint(t)
	jwk := object{"kty": "OKP", "crv": "Ed25519", "x": b64(attacker.public())}
	forgeries := map[string]forgery{}
	for name, value := range map[string]any{"jku": url, "x5u": url, "jwk": jwk, "x5c": []string{b64([]byte("certificate"))}} {
		own := object{name: value}
		forgeries[name+" with the attacker's key"] = forgery{attacker.withHeader(own), name + " is refused"}
		forgeries[name+" with the attacker's key and our kid"] = forgery{
			attacker.withHeader(own.with(object{"kid": m.set.Signer().KID})), name + " is refused",
		}
		forgeries[name+" with our own signature"] = forgery{m.withHeader(own), name + " is refused"}
	}
	refuseAll(t, m, forgeries)
	if err := canary.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if n := calls.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestHeadersThatChangeTheMeaningAreRefused(t *testing.T) {
	m := newMint(t)
	refuseAll(t, m, map[string]forgery{
		"crit unknown":      {m.withHeader(object{"crit": []string{"exp"}, "exp": 1}), "crit is refused"},
		"crit empty":        {m.withHeader(object{"crit": []string{}}), "crit is refused"},
		"crit null":         {m.sign(object{"alg": "EdDSA", "kid": m.set.Signer().KID, "typ": "at+jwt", "crit": json.RawMessage("null")}, m.claims()), "crit is refused"},
		"b64 false":         {m.withHeader(object{"b64": false}), "b64 is refused"},
		"b64 false in crit": {m.withHeader(object{"b64": false, "crit": []string{"b64"}}), " is refused"},
		"zip":               {m.withHeader(object{"zip": "DEF"}), "zip is refused"},
	})
}

func TestTimesThatDoNotHoldAreRefused(t *testing.T) {
	m := newMint(t)
	number := func(s string) json.RawMessage { return json.RawMessage(s) }
	refuseAll(t, m, map[string]forgery{
		"expired":                 {m.withClaims(object{"exp": m.now.Unix()}), "expired"},
		"expired long ago":        {m.withClaims(object{"exp": 0}), "expired"},
		"exp missing":             {m.withClaims(object{"exp": nil}), "exp or iat is missing"},
		"exp null":                {m.withClaims(object{"exp": number("null")}), "not a number"},
		"exp a string":            {m.withClaims(object{"exp": fmt.Sprint(m.now.Unix() + 900)}), "not a number"},
		"exp 1e400":               {m.withClaims(object{"exp": number("1e400")}), "not a date"},
		"exp 1e30":                {m.withClaims(object{"exp": number("1e30")}), "not a date"},
		"exp negative":            {m.withClaims(object{"exp": -1}), "not a date"},
		"exp 2^63":                {m.withClaims(object{"exp": number("9223372036854775808")}), "not a date"},
		"exp 2^64 and a bit":      {m.withClaims(object{"exp": number("18446744075482467600")}), "not a date"},
		"exp an array":            {m.withClaims(object{"exp": []int64{m.now.Unix() + 900}}), "not a number"},
		"exp true":                {m.withClaims(object{"exp": true}), "not a number"},
		"exp NaN":                 {m.raw(encode(m.header()), []byte(`{"exp":NaN}`)), "exp"},
		"nbf in the future":       {m.withClaims(object{"nbf": m.now.Unix() + 1}), "not valid yet"},
		"nbf a string":            {m.withClaims(object{"nbf": "now"}), "not a number"},
		"iat in the future":       {m.withClaims(object{"iat": m.now.Unix() + 61}), "used before issued"},
		"iat far in the future":   {m.withClaims(object{"iat": m.now.AddDate(100, 0, 0).Unix()}), "used before issued"},
		"iat missing":             {m.withClaims(object{"iat": nil}), "exp or iat is missing"},
		"exp in another spelling": {m.withClaims(object{"exp": nil, "EXP": m.now.Unix() + 900}), "exp or iat is missing"},
	})
}

// Of servers that share their keys, the one that issued a token may be ahead: who sends
// its first request to another must not be refused.
func TestATokenOfAServerWhoseClockIsAheadIsGood(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, everybody{})
	for _, ahead := range []int64{1, 60} {
		token := m.withClaims(object{"iat": m.now.Unix() + ahead})
		if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); err != nil {
			t.Errorf("%d s ahead: %v", ahead, err)
		}
	}
}

func TestAFractionOfASecondIsLegal(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, everybody{})
	token := m.withClaims(object{"exp": float64(m.now.Unix()) + 0.75, "iat": float64(m.now.Unix()) - 0.5})
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); err != nil {
		t.Error(err)
	}
	m.now = m.now.Add(750 * time.Millisecond)
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("at its end: %v, want expired", err)
	}
}

func TestAnotherAudienceIsRefused(t *testing.T) {
	m := newMint(t)
	forgeries := map[string]forgery{
		"missing":              {m.withClaims(object{"aud": nil}), "audience"},
		"null":                 {m.withClaims(object{"aud": json.RawMessage("null")}), "not a string"},
		"an object":            {m.withClaims(object{"aud": object{"0": audience}}), "not a string"},
		"an empty array":       {m.withClaims(object{"aud": []string{}}), "audience"},
		"ours among others":    {m.withClaims(object{"aud": []string{audience, "https://other.example"}}), "audience"},
		"ours twice":           {m.withClaims(object{"aud": []string{audience, audience}}), "audience"},
		"an array with a null": {m.withClaims(object{"aud": []any{audience, json.RawMessage("null")}}), "not a string"},
		"nested arrays":        {m.withClaims(object{"aud": [][]string{{audience}}}), "not a string"},
	}
	for _, aud := range nearMisses(audience) {
		forgeries[fmt.Sprintf("%q", aud)] = forgery{m.withClaims(object{"aud": aud}), "audience"}
	}
	refuseAll(t, m, forgeries)
}

func TestAnArrayOfOurAudienceAloneIsAccepted(t *testing.T) {
	m := newMint(t)
	token := m.withClaims(object{"aud": []string{audience}})
	if _, err := m.bearer(t, everybody{}).Authenticate(t.Context(), authn.Credentials{Bearer: token}); err != nil {
		t.Error(err)
	}
}

func nearMisses(s string) []string {
	return []string{
		"", s + "/", s + " ", " " + s, s + "\x00", s + "#", s + "?", strings.ToUpper(s), strings.Replace(s, "ml", "ML", 1),
		strings.Replace(s, "https", "http", 1), s[:len(s)-1], s + "x", strings.Replace(s, "ml.example", "ml.example:443", 1),
		strings.Replace(s, "example", "examp1e", 1), strings.Replace(s, "e", "е", 1), // a Cyrillic letter
	}
}

func TestAnotherIssuerIsRefused(t *testing.T) {
	m := newMint(t)
	forgeries := map[string]forgery{
		"missing":  {m.withClaims(object{"iss": nil}), "iss is missing"},
		"an array": {m.withClaims(object{"iss": []string{issuer}}), "not a string"},
	}
	for _, iss := range nearMisses(issuer)[1:] {
		forgeries[fmt.Sprintf("%q", iss)] = forgery{m.withClaims(object{"iss": iss}), "invalid issuer"}
	}
	forgeries["with our key"] = forgery{m.withClaims(object{"iss": "https://idp.example"}), "invalid issuer"}
	refuseAll(t, m, forgeries)
}

func TestOtherKindsOfTokensAreRefused(t *testing.T) {
	m := newMint(t)
	forgeries := map[string]forgery{"no typ": {m.withHeader(object{"typ": nil}), "typ is not"}}
	for _, typ := range []string{
		"JWT", "jwt", "logout+jwt", "rt+jwt", "secevent+jwt", "at+jwt ", "AT+JWT", "at+JWT", "text/at+jwt", "application/at+jwt;x=1", "",
	} {
		forgeries[fmt.Sprintf("typ %q", typ)] = forgery{m.withHeader(object{"typ": typ}), "typ is not"}
	}
	for _, claim := range []string{"sub", "jti", "client_id", "tenant", "onnxgate_stamp"} {
		forgeries["no "+claim] = forgery{m.withClaims(object{claim: nil}), claim + " is missing"}
		forgeries[claim+" a number"] = forgery{m.withClaims(object{claim: 1}), "not a string"}
	}
	forgeries["roles a string"] = forgery{m.withClaims(object{"roles": "admin"}), "not an array"}
	forgeries["roles of numbers"] = forgery{m.withClaims(object{"roles": []int{1}}), "not a string"}
	forgeries["scope an array"] = forgery{m.withClaims(object{"scope": []string{"models:read"}}), "not a string"}
	refuseAll(t, m, forgeries)
}

func TestBothSpellingsOfTheMediaTypeAreAccepted(t *testing.T) {
	m := newMint(t)
	a := m.bearer(t, everybody{})
	for _, typ := range []string{"at+jwt", "application/at+jwt"} {
		c := authn.Credentials{Bearer: m.withHeader(object{"typ": typ})}
		if _, err := a.Authenticate(t.Context(), c); err != nil {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
}
