package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/authn"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/oidc"
)

// object is a JSON object; a nil value of an override leaves the member out.
type object map[string]any

func (o object) with(overrides object) object {
	out := maps.Clone(o)
	maps.Copy(out, overrides)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// provider is an OpenID provider on a port of its own, over TLS with a
// certificate of its own.
type provider struct {
	server *httptest.Server

	mu      sync.Mutex
	keys    []object // the JWK Set
	hits    map[string]int
	respond http.HandlerFunc // instead of the documents
	seen    []string         // Authorization headers
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

func newProvider(t *testing.T, set ...object) *provider {
	t.Helper()
	p := &provider{keys: set, hits: map[string]int{}}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = quiet(t)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.hits[r.URL.Path]++
	p.seen = append(p.seen, r.Header.Get("Authorization"))
	set, respond := p.keys, p.respond
	p.mu.Unlock()
	switch {
	case respond != nil:
		respond(w, r)
	case r.URL.Path == discoveryPath:
		writeJSON(w, object{"issuer": p.server.URL, "jwks_uri": p.server.URL + keysPath})
	case r.URL.Path == keysPath:
		writeJSON(w, object{"keys": set})
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(mustJSON(v))
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// publish replaces the keys; respond the answers, nil being the documents again.
func (p *provider) publish(set ...object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = set
}

func (p *provider) answer(respond http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.respond = respond
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[path]
}

// caFile is the certificate that the provider's connections are checked with.
func (p *provider) caFile(t *testing.T) string {
	t.Helper()
	return place(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})))
}

// entry is the provider's in the issuers' file, with more lines, each indented
// by four.
func (p *provider) entry(t *testing.T, more ...string) string {
	t.Helper()
	lines := append([]string{
		"  - issuer: " + p.server.URL, "    audience: [ml]", "    ca_file: " + p.caFile(t), "    networks: [127.0.0.0/8]",
		"    claims: {roles: [realm_access.roles]}", "    roles: {ml-users: user}",
	}, more...)
	return strings.Join(lines, "\n") + "\n"
}

func place(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	overwrite(t, path, content)
	return path
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// gate is an authenticator that trusts the issuers of a file.
type gate struct {
	authn.Authenticator

	issuers *oidc.Issuers
	clock   *clock
	file    string
	news    *news
}

type news struct {
	mu  sync.Mutex
	all []oidc.Event
}

func (n *news) report(e oidc.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

// last returns the newest event; the zero one when there was none.
func (n *news) last() oidc.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) == 0 {
		return oidc.Event{}
	}
	return n.all[len(n.all)-1]
}

// nobody has no accounts of our own.
type nobody struct{}

func (nobody) Revision(context.Context) (int64, error)                           { return 1, nil }
func (nobody) TokenStands(context.Context, string, string, string) (bool, error) { return false, nil }

// newGate reads entries and asks nobody before a token comes.
func newGate(t *testing.T, entries ...string) *gate {
	t.Helper()
	g := &gate{clock: newClock(), news: new(news), file: place(t, "issuers.yaml", "issuers:\n"+strings.Join(entries, ""))}
	var err error
	g.issuers, err = oidc.New(oidc.Config{File: g.file, Own: "https://own.example", Now: g.clock.Now, Report: g.news.report})
	if err != nil {
		t.Fatal(err)
	}
	own, err := keys.Open(t.Context(), keys.Config{Dir: filepath.Join(t.TempDir(), "keys")})
	if err != nil {
		t.Fatal(err)
	}
	g.Authenticator, err = authn.NewBearer(authn.BearerConfig{
		Issuer: "https://own.example", Audience: "ml", Keys: own, Issued: nobody{}, Issuers: g.issuers, Now: g.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) try(t *testing.T, token string) (*identity.Principal, error) {
	t.Helper()
	return g.Authenticate(t.Context(), authn.Credentials{Bearer: token})
}

// signer is a key of a provider.
type signer struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

func newEC(t *testing.T, kid string) *signer {
	t.Helper()
	return newOn(t, kid, elliptic.P256(), jwt.SigningMethodES256)
}

func newOn(t *testing.T, kid string, curve elliptic.Curve, method jwt.SigningMethod) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid, method, key}
}

func newEd(t *testing.T, kid string) *signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid, jwt.SigningMethodEdDSA, key}
}

func newRSA(t *testing.T, kid string, bits int) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid, jwt.SigningMethodRS256, key}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk is what the provider publishes of the key.
func (s *signer) jwk() object {
	switch public := s.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		half := 1 + (len(point)-1)/2
		return object{"kty": "EC", "crv": public.Curve.Params().Name, "kid": s.kid, "x": b64(point[1:half]), "y": b64(point[half:])}
	case ed25519.PublicKey:
		return object{"kty": "OKP", "crv": "Ed25519", "kid": s.kid, "x": b64(public)}
	case *rsa.PublicKey:
		return object{"kty": "RSA", "kid": s.kid, "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	}
	panic("unknown key")
}

// claims are those of a genuine access token.
func (g *gate) claims(issuer string) object {
	now := g.clock.Now()
	return object{
		"iss": issuer, "aud": "ml", "sub": "ada", "exp": float64(now.Add(time.Hour).Unix()), "iat": float64(now.Unix()),
		"realm_access": object{"roles": []string{"ml-users", "offline_access"}},
	}
}

// sign makes a token whose header has the typ of an access token and the key's
// name, unless overrides say otherwise.
func (s *signer) sign(t *testing.T, claims, header object) string {
	t.Helper()
	token := jwt.NewWithClaims(s.method, jwt.MapClaims(claims))
	token.Header = object{"alg": s.method.Alg(), "typ": "at+jwt", "kid": s.kid}.with(header)
	text, err := token.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
