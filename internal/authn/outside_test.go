package authn_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
)

const (
	idp   = "https://idp.example/realms/ml"
	rival = "https://rival.example"
)

// outside are issuers whose keys are those of mints.
type outside map[string]*authn.Issuer

func (o outside) Issuer(name string) (*authn.Issuer, bool) {
	i, ok := o[name]
	return i, ok
}

// published are the keys of an issuer, by name.
type published map[string]*keys.Verifier

func (p published) Verifier(_ context.Context, kid string, alg keys.Algorithm) (*keys.Verifier, error) {
	if kid == "" && len(p) == 1 {
		kid = slices.Collect(maps.Keys(p))[0]
	}
	if v, ok := p[kid]; ok && v.Algorithm == alg {
		return v, nil
	}
	return nil, errors.New("no such key")
}

func (p published) Holds(key *keys.Verifier, _ time.Time) bool {
	return slices.Contains(slices.Collect(maps.Values(p)), key)
}

// federation is this server with two outside issuers.
type federation struct {
	*mint // the first issuer's: its tokens are those that tests change

	own, rival *mint
	issuers    outside
}

func newFederation(tb testing.TB, change ...func(*authn.Issuer)) *federation {
	tb.Helper()
	f := &federation{mint: newMint(tb), own: newMint(tb), rival: newMint(tb), issuers: outside{}}
	for name, m := range map[string]*mint{idp: f.mint, rival: f.rival} {
		v, err := keys.NewVerifier(keys.EdDSA, m.public())
		if err != nil {
			tb.Fatal(err)
		}
		f.issuers[name] = &authn.Issuer{
			Name: name, Audience: []string{"ml"}, Types: []string{"at+jwt"}, Tenant: "default",
			Algorithms: []keys.Algorithm{keys.EdDSA, keys.RS256}, Leeway: 10 * time.Second,
			Claims: authn.ClaimPaths{Subject: "sub", Roles: []string{"roles"}},
			Roles:  map[string]string{"ml-users": "user", "ml-admins": "admin"},
			Keys:   published{m.set.Signer().KID: v},
		}
	}
	for _, c := range change {
		c(f.issuers[idp])
	}
	return f
}

func (f *federation) claims() object {
	return object{
		"iss": idp, "aud": "ml", "sub": "ada", "roles": []string{"ml-users"},
		"exp": f.now.Add(15 * time.Minute).Unix(), "iat": f.now.Unix(),
	}
}

func (f *federation) withClaims(overrides object) string {
	return f.sign(f.header(), f.claims().with(overrides))
}

func (f *federation) withHeader(overrides object) string {
	return f.sign(f.header().with(overrides), f.claims())
}

// threeTenants are where the principals of tests are.
type threeTenants struct{ everybody }

func (t threeTenants) Tenant(ctx context.Context, name string) (*identity.Tenant, error) {
	if name == "acme" || name == "spare" {
		return &identity.Tenant{Name: name}, nil
	}
	return t.everybody.Tenant(ctx, name)
}

func (f *federation) authenticator(tb testing.TB) authn.Authenticator {
	tb.Helper()
	return f.own.bearer(tb, threeTenants{}, func(c *authn.BearerConfig) {
		c.Issuers, c.Now = f.issuers, func() time.Time { return f.now }
	})
}

func (f *federation) refuseAll(t *testing.T, forgeries map[string]forgery) {
	t.Helper()
	a := f.authenticator(t)
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: f.withClaims(nil)}); err != nil {
		t.Fatalf("the genuine token is refused, so that nothing is shown: %v", err)
	}
	for name, forged := range forgeries {
		t.Run(name, func(t *testing.T) { refuse(t, a, forged) })
	}
}

func (f *federation) principal(t *testing.T, token string) *identity.Principal {
	t.Helper()
	p, err := f.authenticator(t).Authenticate(t.Context(), authn.Credentials{Bearer: token})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestForgedOutsideSignaturesAreRefused(t *testing.T) {
	f := newFederation(t)
	der, err := x509.MarshalPKIXPublicKey(f.public())
	if err != nil {
		t.Fatal(err)
	}
	genuine := f.withClaims(nil)
	forgeries := map[string]forgery{
		"no signature":               {genuine[:strings.LastIndex(genuine, ".")+1], "verification error"},
		"one character changed":      {flip(genuine), "verification error"},
		"padding":                    {genuine + "=", "signature: "},
		"no alg":                     {f.withHeader(object{"alg": nil}), "alg is none that"},
		"an alg that is not listed":  {f.withHeader(object{"alg": "ES256"}), "alg is none that"},
		"a listed alg, no such key":  {f.withHeader(object{"alg": "RS256"}), "no such key"},
		"an unknown kid":             {f.withHeader(object{"kid": "../../dev/null"}), "no such key"},
		"an empty kid":               {f.withHeader(object{"kid": ""}), "kid is empty"},
		"a kid that is a number":     {f.withHeader(object{"kid": 1}), "not a string"},
		"a kid that is a list":       {f.withHeader(object{"kid": []string{"a"}}), "not a string"},
		"crit":                       {f.withHeader(object{"crit": []string{"x"}, "x": 1}), "crit is refused"},
		"b64":                        {f.withHeader(object{"b64": false}), "b64 is refused"},
		"jku":                        {f.withHeader(object{"jku": rival + "/keys"}), "jku is refused"},
		"x5u":                        {f.withHeader(object{"x5u": rival + "/cert"}), "x5u is refused"},
		"jwk":                        {f.withHeader(object{"jwk": object{"kty": "OKP"}}), "jwk is refused"},
		"x5c":                        {f.withHeader(object{"x5c": []string{""}}), "x5c is refused"},
		"zip":                        {f.withHeader(object{"zip": "DEF"}), "zip is refused"},
		"claims twice":               {f.raw(encode(f.header()), []byte(`{"iss":"`+idp+`","iss":"`+idp+`"}`)), "claims: "},
		"claims that are no object":  {f.raw(encode(f.header()), []byte(`["`+idp+`"]`)), "claims: "},
		"behind the claims":          {f.raw(encode(f.header()), append(encode(f.claims()), "{}"...)), "claims: "},
		"claims with half a UTF-16":  {f.raw(encode(f.header()), append(encode(f.claims())[:1:1], append([]byte(`"x":"\ud800",`), encode(f.claims())[1:]...)...)), "claims: "},
		"more claims than are kept":  {f.withClaims(object{"x": make([]int, 2000)}), "more than 1024 values"},
		"an object nested very deep": {f.raw(encode(f.header()), []byte(`{"iss":"`+idp+`","x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+`}`)), "claims: "},
	}
	for _, alg := range []string{"none", "None", "nOnE", "HS256", "HS512", "eddsa", ""} {
		forgeries[fmt.Sprintf("alg %q", alg)] = forgery{f.withHeader(object{"alg": alg}), "alg is none that"}
	}
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "raw": f.public(),
	} {
		input := b64(encode(f.header().with(object{"alg": "HS256"}))) + "." + b64(encode(f.claims()))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		forgeries["HS256 with the public key as "+name] = forgery{input + "." + b64(mac.Sum(nil)), "alg is none that"}
	}
	f.refuseAll(t, forgeries)
}

func TestAnIssuersTokensNeedItsOwnKeys(t *testing.T) {
	f := newFederation(t)
	mine, theirs := f.header(), f.rival.header()
	ours := f.own.claims()
	f.refuseAll(t, map[string]forgery{
		"another outside issuer's key":             {f.rival.sign(theirs, f.claims()), "no such key"},
		"another's key under this one's name":      {f.rival.sign(mine, f.claims()), "verification error"},
		"this server's key":                        {f.own.sign(f.own.header(), f.claims()), "no such key"},
		"our issuer by an outside key":             {f.sign(mine, ours), "no key has the token's kid"},
		"our issuer by an outside key of our name": {f.sign(f.own.header(), ours), "verification error"},
		"the other's issuer with this one's key":   {f.sign(mine, f.claims().with(object{"iss": rival})), "no such key"},
		"an issuer that nobody listed":             {f.withClaims(object{"iss": "https://stranger.example"}), "no key has the token's kid"},
		"no issuer":                                {f.withClaims(object{"iss": nil}), "no key has the token's kid"},
		"issuers in a list":                        {f.withClaims(object{"iss": []string{idp}}), "not a string"},
		"a slash behind the issuer":                {f.withClaims(object{"iss": idp + "/"}), "no key has the token's kid"},
		"the issuer in capitals":                   {f.withClaims(object{"iss": strings.ToUpper(idp)}), "no key has the token's kid"},
	})
}

func TestOutsideClaimsThatDoNotHoldAreRefused(t *testing.T) {
	f := newFederation(t)
	f.refuseAll(t, map[string]forgery{
		"no aud":                    {f.withClaims(object{"aud": nil}), "aud is missing"},
		"another aud":               {f.withClaims(object{"aud": "ML"}), "audience"},
		"aud with a slash":          {f.withClaims(object{"aud": "ml/"}), "audience"},
		"ours among others":         {f.withClaims(object{"aud": []string{"ml", "account"}}), "audience"},
		"no aud in a list":          {f.withClaims(object{"aud": []string{}}), "audience"},
		"an aud that is an object":  {f.withClaims(object{"aud": object{"ml": true}}), "aud is missing, or not"},
		"an aud with a number":      {f.withClaims(object{"aud": []any{"ml", 1}}), "aud is missing, or not"},
		"expired":                   {f.withClaims(object{"exp": f.now.Add(-11 * time.Second).Unix()}), "expired"},
		"no exp":                    {f.withClaims(object{"exp": nil}), "exp"},
		"exp a string":              {f.withClaims(object{"exp": "99999999999"}), "exp is not a date"},
		"exp negative":              {f.withClaims(object{"exp": -1}), "exp is not a date"},
		"exp 2^63":                  {f.withClaims(object{"exp": 9223372036854775808.0}), "exp is not a date"},
		"exp beyond all numbers":    {f.raw(encode(f.header()), []byte(`{"iss":"`+idp+`","aud":"ml","sub":"a","exp":1e400}`)), "claims: "},
		"exp null":                  {f.raw(encode(f.header()), []byte(`{"iss":"`+idp+`","aud":"ml","sub":"a","exp":null}`)), "exp is not a date"},
		"not yet valid":             {f.withClaims(object{"nbf": f.now.Add(11 * time.Second).Unix()}), "not valid yet"},
		"issued in the future":      {f.withClaims(object{"iat": f.now.Add(11 * time.Second).Unix()}), "used before issued"},
		"no sub":                    {f.withClaims(object{"sub": nil}), "sub is missing"},
		"an empty sub":              {f.withClaims(object{"sub": ""}), "sub is missing"},
		"a sub that is a number":    {f.withClaims(object{"sub": 7}), "sub is missing"},
		"a sub with a line end":     {f.withClaims(object{"sub": "ada\nroot"}), "is no name"},
		"a sub that is a book":      {f.withClaims(object{"sub": strings.Repeat("a", 600)}), "is no name"},
		"another typ":               {f.withHeader(object{"typ": "JWT"}), "typ is none"},
		"no typ":                    {f.withHeader(object{"typ": nil}), "typ is none"},
		"a logout token by its typ": {f.withHeader(object{"typ": "logout+jwt"}), "typ is none"},
		"nonce, an ID token's":      {f.withClaims(object{"nonce": "n"}), "nonce marks"},
		"at_hash, an ID token's":    {f.withClaims(object{"at_hash": "h"}), "at_hash marks"},
		"events, a logout token's":  {f.withClaims(object{"events": object{}}), "events marks"},
		"Keycloak's ID token":       {f.withClaims(object{"typ": "ID"}), "typ says"},
		"Keycloak's refresh token":  {f.withClaims(object{"typ": "Refresh"}), "typ says"},
		"Cognito's ID token":        {f.withClaims(object{"token_use": "id"}), "token_use says"},
	})
}

func TestAnIDTokenIsAcceptedWhereTheEntrySaysSo(t *testing.T) {
	f := newFederation(t, func(i *authn.Issuer) {
		i.IDToken, i.Types, i.Audience = true, []string{"JWT", ""}, []string{"ml", "web"}
	})
	marked := object{"nonce": "n", "at_hash": "h", "aud": []string{"web"}}
	for _, typ := range []any{"JWT", nil} {
		token := f.sign(f.header().with(object{"typ": typ}), f.claims().with(marked))
		if p := f.principal(t, token); p.Subject != "ada" {
			t.Errorf("typ %v: %+v", typ, p)
		}
	}
	a := f.authenticator(t)
	jwt := f.header().with(object{"typ": "JWT"})
	refuse(t, a, forgery{f.sign(jwt, f.claims().with(object{"aud": []string{"ml", "web"}})), "audience"})
	refuse(t, a, forgery{f.sign(jwt, f.claims().with(object{"aud": "account"})), "audience"})
	refuse(t, a, forgery{f.withClaims(nil), "typ is none"})
	refuse(t, a, forgery{f.withHeader(object{"typ": "application/"}), "typ is none"})
}

func TestWhatIsWrittenInTheEntryIsAccepted(t *testing.T) {
	many := func(i *authn.Issuer) { i.Audience = []string{"ml", "account"} }
	untyped := func(i *authn.Issuer) { i.Types = []string{""} }
	for name, tc := range map[string]struct {
		change         func(*authn.Issuer)
		header, claims object
	}{
		"the long form of the typ":          {func(*authn.Issuer) {}, object{"typ": "application/at+jwt"}, nil},
		"every audience is listed":          {many, nil, object{"aud": []string{"account", "ml"}}},
		"no typ, as Dex has it":             {untyped, object{"typ": nil}, object{"at_hash": "h"}},
		"no kid and one key":                {func(*authn.Issuer) {}, object{"kid": nil}, nil},
		"no iat":                            {func(*authn.Issuer) {}, nil, object{"iat": nil}},
		"fractions of a second":             {func(*authn.Issuer) {}, nil, object{"exp": float64(start.Unix()) + 60.5}},
		"an end within the leeway":          {func(*authn.Issuer) {}, nil, object{"exp": start.Add(-9 * time.Second).Unix()}},
		"an issue in the leeway's future":   {func(*authn.Issuer) {}, nil, object{"iat": start.Add(10 * time.Second).Unix()}},
		"a claim typ of an access token":    {func(*authn.Issuer) {}, nil, object{"typ": "Bearer"}},
		"a claim of another type than ours": {func(*authn.Issuer) {}, nil, object{"jti": 7, "scope": []string{"a"}, "onnxgate_stamp": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, tc.change)
			f.principal(t, f.sign(f.header().with(tc.header), f.claims().with(tc.claims)))
		})
	}
}

func TestARememberedOutsideTokenEndsWithItsKey(t *testing.T) {
	f := newFederation(t)
	a := f.authenticator(t)
	token := f.withClaims(nil)
	accepted := func() bool {
		_, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token})
		return err == nil
	}
	known := f.issuers[idp].Keys
	for _, step := range []struct {
		what string
		do   func()
		want bool
	}{
		{"at first", func() {}, true},
		{"its key is gone", func() { f.issuers[idp].Keys = published{} }, false},
		{"its key is back", func() { f.issuers[idp].Keys = known }, true},
		{"the entry is another", func() { i := *f.issuers[idp]; i.Audience = []string{"other"}; f.issuers[idp] = &i }, false},
		{"the entry is as before", func() { i := *f.issuers[idp]; i.Audience = []string{"ml"}; f.issuers[idp] = &i }, true},
		{"the issuer is not trusted any more", func() { delete(f.issuers, idp) }, false},
	} {
		step.do()
		if got := accepted(); got != step.want {
			t.Errorf("%s: accepted %t, want %t", step.what, got, step.want)
		}
	}
}

func TestARememberedOutsideTokenEndsInTime(t *testing.T) {
	f := newFederation(t)
	a := f.authenticator(t)
	token := f.withClaims(nil)
	for _, step := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {15*time.Minute + 9*time.Second, true}, {15*time.Minute + 10*time.Second, false}} {
		f.now = start.Add(step.at)
		if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); (err == nil) != step.ok {
			t.Errorf("after %s: %v, want ok %t", step.at, err, step.ok)
		}
	}
}

// away are keys that cannot be had.
type away struct{}

func (away) Verifier(context.Context, string, keys.Algorithm) (*keys.Verifier, error) {
	return nil, fault.New(fault.Unavailable, "later")
}
func (away) Holds(*keys.Verifier, time.Time) bool { return false }

func TestAnIssuerThatCannotBeAskedIsUnavailable(t *testing.T) {
	f := newFederation(t, func(i *authn.Issuer) { i.Keys = away{} })
	_, err := f.authenticator(t).Authenticate(t.Context(), authn.Credentials{Bearer: f.withClaims(nil)})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want unavailable", err)
	}
}

func TestARememberedOutsideTokenAllocatesNothing(t *testing.T) {
	f := newFederation(t)
	a := f.authenticator(t)
	c := authn.Credentials{Bearer: strings.Clone(f.withClaims(nil))}
	f.issuers[idp].Keys = forever{f.issuers[idp].Keys}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := a.Authenticate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// forever are keys that are never taken away.
type forever struct{ authn.IssuerKeys }

func (forever) Holds(*keys.Verifier, time.Time) bool { return true }

func BenchmarkOutsideRemembered(b *testing.B) {
	f := newFederation(b)
	a := f.authenticator(b)
	f.issuers[idp].Keys = forever{f.issuers[idp].Keys}
	c := authn.Credentials{Bearer: f.withClaims(nil)}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
}
