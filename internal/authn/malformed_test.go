package authn_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
)

func TestOversizedTokensAreRefusedUnread(t *testing.T) {
	m := newMint(t)
	claims := m.claims()
	for i := range 100_000 {
		claims[fmt.Sprint("c", i)] = i
	}
	refuseAll(t, m, map[string]forgery{
		"a megabyte":            {strings.Repeat("a", 1<<20), "at most 8192"},
		"a million dots":        {strings.Repeat(".", 1_000_000), "at most 8192"},
		"100,000 claims":        {m.sign(m.header(), claims), "at most 8192"},
		"nested 100,000 deep":   {m.raw(encode(m.header()), []byte(strings.Repeat("[", 100_000))), "at most 8192"},
		"one byte too long":     {strings.Repeat("a", authn.MaxTokenBytes+1), "at most 8192"},
		"dots as many as fit":   {strings.Repeat(".", authn.MaxTokenBytes), "three segments"},
		"nested as deep as fit": {m.raw(encode(m.header()), []byte(strings.Repeat("[", 5000))), "not a JSON object"},
		"a claim nested deep": {
			m.raw(encode(m.header()), []byte(`{"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+`}`)), "missing",
		},
	})
	a := m.bearer(t, everybody{})
	hostile := authn.Credentials{Bearer: strings.Repeat("a.", 1<<20)}
	if n := testing.AllocsPerRun(100, func() { _, _ = a.Authenticate(t.Context(), hostile) }); n > 10 {
		t.Errorf("an oversized token costs %v allocations", n)
	}
}

func TestALongTokenWithinTheLimitIsAccepted(t *testing.T) {
	m := newMint(t)
	c := authn.Credentials{Bearer: m.withClaims(object{"padding": strings.Repeat("x", 5000)})}
	if _, err := m.bearer(t, everybody{}).Authenticate(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestAmbiguousJSONIsRefused(t *testing.T) {
	m := newMint(t)
	header, claims := string(encode(m.header())), string(encode(m.claims()))
	in := func(object, member string) []byte { return []byte("{" + member + "," + object[1:]) }
	forgeries := map[string]forgery{}
	for name, h := range map[string][]byte{
		"alg twice, none first":    in(header, `"alg":"none"`),
		"alg twice, none last":     []byte(header[:len(header)-1] + `,"alg":"none"}`),
		"alg twice, one escaped":   in(header, `"\u0061lg":"none"`),
		"kid twice":                in(header, `"kid":"x"`),
		"an unknown name twice":    in(header, `"x":1,"x":1`),
		"a byte order mark":        []byte("\xef\xbb\xbf" + header),
		"invalid UTF-8":            in(header, "\"x\":\"\xff\""),
		"a lone surrogate":         in(header, `"x":"\ud800"`),
		"a comment":                []byte("/**/" + header),
		"data behind":              []byte(header + "{}"),
		"a NUL behind":             []byte(header + "\x00"),
		"a trailing comma":         []byte(header[:len(header)-1] + ",}"),
		"an array":                 []byte("[" + header + "]"),
		"a string":                 []byte(`"alg"`),
		"nothing":                  nil,
		"null":                     []byte("null"),
		"cut off":                  []byte(header[:len(header)-1]),
		"names without quotes":     []byte(`{alg:"EdDSA"}`),
		"names in single quotes":   []byte(`{'alg':'EdDSA'}`),
		"an invalid escape":        in(header, `"x":"\x"`),
		"a control character":      in(header, "\"x\":\"\n\""),
		"a name that is no string": in(header, `1:1`),
	} {
		forgeries["header: "+name] = forgery{m.raw(h, []byte(claims)), "header: "}
	}
	for name, c := range map[string][]byte{
		"sub twice":                in(claims, `"sub":"root"`),
		"exp twice":                in(claims, `"exp":99999999999`),
		"roles twice, one escaped": in(claims, `"role\u0073":["admin"]`),
		"a nested name twice":      in(claims, `"x":{"a":1,"a":2}`),
		"a byte order mark":        []byte("\xef\xbb\xbf" + claims),
		"invalid UTF-8":            in(claims, "\"x\":\"\xc3\x28\""),
		"a lone surrogate":         in(claims, `"x":"\udc00"`),
		"data behind":              []byte(claims + "1"),
		"nothing":                  nil,
		"a nested token":           []byte(m.genuine()),
	} {
		forgeries["claims: "+name] = forgery{m.raw([]byte(header), c), "claims: "}
	}
	forgeries["header: alg in capitals"] = forgery{m.withHeader(object{"alg": nil, "ALG": "EdDSA"}), "alg is not"}
	forgeries["claims: sub in capitals"] = forgery{m.withClaims(object{"sub": nil, "Sub": "ada"}), "sub is missing"}
	refuseAll(t, m, forgeries)
}

func TestTamperedSignaturesAreRefused(t *testing.T) {
	m := newMint(t)
	genuine := m.genuine()
	dot := strings.LastIndex(genuine, ".")
	input, sig := genuine[:dot], genuine[dot+1:]
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	malleable := append([]byte{}, raw...)
	for i, carry := 0, 0; i < 32; i++ { // S + L, which equations alone would accept
		sum := int(malleable[32+i]) + int(order[i]) + carry
		malleable[32+i], carry = byte(sum), sum>>8
	}
	flipped := append([]byte{}, raw...)
	flipped[7] ^= 1
	random := make([]byte, 64)
	_, _ = rand.Read(random)
	const reason = "verification error"
	forgeries := map[string]forgery{
		"one bit flipped":    {input + "." + b64(flipped), reason},
		"random":             {input + "." + b64(random), reason},
		"zero":               {input + "." + b64(make([]byte, 64)), reason},
		"truncated":          {input + "." + b64(raw[:63]), reason},
		"extended":           {input + "." + b64(append(raw[:64:64], 0)), reason},
		"empty":              {input + ".", reason},
		"with S plus L":      {input + "." + b64(malleable), reason},
		"of another message": {m.withClaims(object{"sub": "root"})[:strings.LastIndex(m.withClaims(object{"sub": "root"}), ".")] + "." + sig, reason},
	}
	refuseAll(t, m, forgeries)
}

func TestOtherSpellingsOfAGenuineTokenAreRefused(t *testing.T) {
	m := newMint(t)
	genuine := m.genuine()
	parts := strings.Split(genuine, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, genuine[len(genuine)-1])
	forgeries := map[string]forgery{
		"one padding character":      {genuine + "=", "base64"},
		"two padding characters":     {genuine + "==", "base64"},
		"unused bits in signature":   {genuine[:len(genuine)-1] + string(alphabet[last|1]), "base64"},
		"a newline behind":           {genuine + "\n", "line ends"},
		"CRLF behind":                {genuine + "\r\n", "line ends"},
		"a newline within":           {parts[0] + "." + parts[1][:10] + "\n" + parts[1][10:] + "." + parts[2], "line ends"},
		"a blank behind":             {genuine + " ", "base64"},
		"a blank before":             {" " + genuine, "base64"},
		"a tab within":               {parts[0] + "." + parts[1] + "." + parts[2][:5] + "\t" + parts[2][5:], "base64"},
		"a NUL behind":               {genuine + "\x00", "base64"},
		"the standard alphabet":      {m.signed(strings.NewReplacer("-", "+", "_", "/").Replace(m.signedInputWith62())), "base64"},
		"padded header":              {m.signed(parts[0] + "=." + parts[1]), "base64"},
		"a percent sign":             {parts[0] + "%3D." + parts[1] + "." + parts[2], "base64"},
		"a fourth segment":           {genuine + ".", "three segments"},
		"a fourth segment with data": {genuine + ".e30", "three segments"},
		"two segments":               {parts[0] + "." + parts[1], "three segments"},
		"one segment":                {parts[0], "three segments"},
		"a dot before":               {"." + genuine, "three segments"},
	}
	refuseAll(t, m, forgeries)
}

// signedInputWith62 returns a signing input in which "-" and "_" occur.
func (m *mint) signedInputWith62() string {
	return b64(encode(m.header())) + "." + b64(encode(m.claims().with(object{"x": "???>>>~~~"})))
}

func TestEncryptedNestedAndJSONTokensAreRefused(t *testing.T) {
	m := newMint(t)
	parts := strings.Split(m.genuine(), ".")
	jwe := b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`))
	jsonSerialized := string(encode(object{"payload": parts[1], "protected": parts[0], "signature": parts[2]}))
	refuseAll(t, m, map[string]forgery{
		"JWE":                   {jwe + ".AAAA.AAAA.AAAA.AAAA", "three segments"},
		"JWE in three segments": {jwe + ".AAAA.AAAA", "enc is refused"},
		"PBES2 as a signature":  {m.withHeader(object{"alg": "PBES2-HS256+A128KW", "p2c": 1 << 31}), "alg is not"},
		"compressed":            {m.withHeader(object{"zip": "DEF"}), "zip is refused"},
		"nested":                {m.raw(encode(m.header().with(object{"cty": "JWT"})), []byte(m.genuine())), "claims: "},
		"JSON serialization":    {jsonSerialized, "three segments"},
		"general JSON":          {`{"payload":"` + parts[1] + `","signatures":[]}`, "three segments"},
	})
}

func FuzzOnlyGenuineTokensAreAccepted(f *testing.F) {
	m := newMint(f)
	genuine := m.genuine()
	for _, seed := range []string{
		genuine, "", ".", "..", "...", genuine + "=", genuine + "\n", strings.Repeat("A", 100), "e30.e30.e30",
		m.withHeader(object{"alg": "none"}), m.withHeader(object{"crit": []string{"exp"}}), m.withClaims(object{"exp": 0}),
	} {
		f.Add(seed)
	}
	a := m.bearer(f, everybody{})
	f.Fuzz(func(t *testing.T, token string) {
		p, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token})
		if err == nil && token != genuine {
			t.Errorf("accepted as %+v", p)
		}
		if err != nil && fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("Authenticate = %v, want unauthenticated", err)
		}
	})
}
