package authn_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/keys"
)

const (
	issuer   = "https://ml.example"
	audience = "https://ml.example/api"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// object is a JSON object; a nil value of an override leaves the member out.
type object map[string]any

func (o object) with(overrides object) object {
	out := maps.Clone(o)
	maps.Copy(out, overrides)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// mint makes genuine tokens, and false ones with genuine signatures.
type mint struct {
	dir string // of the keys
	set *keys.Set
	key ed25519.PrivateKey
	now time.Time
}

func newMint(tb testing.TB) *mint {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "keys")
	set, err := keys.Open(tb.Context(), keys.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	key, ok := set.Signer().Private().(ed25519.PrivateKey)
	if !ok {
		tb.Fatalf("the key is a %T", set.Signer().Private())
	}
	return &mint{dir: dir, set: set, key: key, now: start}
}

func (m *mint) header() object {
	return object{"alg": "EdDSA", "typ": "at+jwt", "kid": m.set.Signer().KID}
}

func (m *mint) claims() object {
	return object{
		"iss": issuer, "aud": audience, "sub": "ada", "jti": "AAAAAAAAAAAAAAAAAAAAAA",
		"exp": m.now.Add(15 * time.Minute).Unix(), "iat": m.now.Unix(),
		"client_id": "onnxgate", "scope": "models:read models:predict",
		"roles": []string{"user"}, "tenant": "default", "onnxgate_stamp": "stamp-of-ada",
	}
}

func (m *mint) genuine() string { return m.sign(m.header(), m.claims()) }

func (m *mint) withHeader(overrides object) string {
	return m.sign(m.header().with(overrides), m.claims())
}

func (m *mint) withClaims(overrides object) string {
	return m.sign(m.header(), m.claims().with(overrides))
}

func (m *mint) sign(header, claims object) string { return m.raw(encode(header), encode(claims)) }

// public is the key that everybody may know.
func (m *mint) public() ed25519.PublicKey { return ed25519.PublicKey(m.key[32:]) }

// raw signs bytes as they are.
func (m *mint) raw(header, claims []byte) string {
	return m.signed(b64(header) + "." + b64(claims))
}

// signed puts a genuine signature behind a signing input, whatever it is.
func (m *mint) signed(input string) string {
	return input + "." + b64(ed25519.Sign(m.key, []byte(input)))
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// accountsOf are the accounts behind a token.
type accountsOf interface {
	authn.Issued
	authn.Tenants
}

// bearer returns an authenticator of the mint's tokens with the mint's clock.
func (m *mint) bearer(tb testing.TB, of accountsOf, overrides ...func(*authn.BearerConfig)) authn.Authenticator {
	tb.Helper()
	cfg := authn.BearerConfig{
		Issuer: issuer, Audience: audience, Keys: m.set, Issued: of,
		Now: func() time.Time { return m.now },
	}
	for _, o := range overrides {
		o(&cfg)
	}
	b, err := authn.NewBearer(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return authn.Chain(of, b)
}
