package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/testkit"
)

const apiAudience = "https://ml.example/api"

// jwkSet is the public half of a key as a set, or its private JWK.
func jwkSet(t *testing.T, kid string, key *ecdsa.PrivateKey, private bool) map[string]any {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{
		"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:]),
	}
	if !private {
		return map[string]any{"keys": []any{jwk}}
	}
	d, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk["d"] = b64(d)
	return jwk
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// provider is npm's oidc-provider.
type provider struct {
	issuer, ca string
	options    map[string]any
	cmd        *exec.Cmd
}

// newProvider prepares one with a private certificate for this machine.
func newProvider(t *testing.T) *provider {
	t.Helper()
	dir := t.TempDir()
	writePair(t, dir)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	return &provider{ca: filepath.Join(dir, "cert.pem"), options: map[string]any{
		"cert": read("cert.pem"), "key": read("key.pem"), "port": 0,
	}}
}

// start serves with these private keys, the first of which signs, on the port
// of the time before.
func (p *provider) start(t *testing.T, keys ...map[string]any) {
	t.Helper()
	node := testkit.Tool(t, "node", "nodejs")
	modules := filepath.Join(repository, ".cache", "oidc-provider", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "oidc-provider")); err != nil {
		testkit.Missing(t, "oidc-provider is not installed; make test installs it")
	}
	p.options["keys"] = keys
	arg, err := json.Marshal(p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), node, source(t, "scripts", "oidc-provider", "serve.mjs"), string(arg))
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_PATH=" + modules, "HOME=" + t.TempDir()}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var began struct{ Issuer string }
	if err = errors.Join(err, json.Unmarshal(line, &began)); err != nil {
		t.Fatalf("the provider did not start: %v", err)
	}
	u, err := url.Parse(began.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	p.issuer, p.options["port"] = began.Issuer, json.Number(u.Port())
}

func (p *provider) stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// token asks for an access token by the client's own credentials (RFC 6749
// section 4.4).
func (p *provider) token(t *testing.T, client, scope string) string {
	t.Helper()
	ca, err := os.ReadFile(p.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}, Timeout: startTimeout}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {apiAudience}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, "secret+of+"+client)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the provider answered %s (%v)", resp.Status, err)
	}
	return answer.AccessToken
}

// predicts fails unless a prediction with the token has the status.
func predicts(t *testing.T, s *server, what, token string, want int) {
	t.Helper()
	s.keep(token)
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	if status, body := presents(t, s, client, token); status != want {
		t.Errorf("%s: %d %s, want %d", what, status, body, want)
	}
}

// presents asks for a prediction with an access token.
func presents(t *testing.T, s *server, client *http.Client, token string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/predict", strings.NewReader(iris))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// beginWith starts a server that trusts the issuers of the entries.
func beginWith(t *testing.T, entries string) (s *server, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "issuers.yaml")
	if err := os.WriteFile(file, []byte("issuers:\n"+entries), 0o600); err != nil {
		t.Fatal(err)
	}
	return begin(t, "ONNXGATE_ISSUERS_FILE="+file), file
}

// TestTokensOfARealProviderPredict follows a provider through the rotation of
// its key and an outage.
func TestTokensOfARealProviderPredict(t *testing.T) {
	t.Parallel()
	first, second := newKey(t), newKey(t)
	p := newProvider(t)
	p.start(t, jwkSet(t, "k1", first, true))
	const rest = "    audience: [" + apiAudience + "]\n    networks: [127.0.0.0/8]\n" +
		"    claims: {roles: [groups], scopes: scope}\n    roles: {ml-users: admin}\n"
	entry := "  - issuer: " + p.issuer + "\n    ca_file: " + p.ca + "\n" + rest
	// The same provider under a name that is not its own, and without its authority.
	other := strings.Replace(p.issuer, "127.0.0.1", "localhost", 1)
	stranger := strings.Replace(p.issuer, "127.0.0.1", "127.0.0.2", 1)
	s, file := beginWith(t, entry+
		"  - issuer: "+other+"\n    ca_file: "+p.ca+"\n"+rest+
		"  - issuer: "+stranger+"\n    jwks_uri: "+p.issuer+"/jwks\n"+rest)
	s.awaitLog(t, 0, "to the letter")
	s.awaitLog(t, 0, "certificate")

	all := p.token(t, "scoring", "models:read models:predict")
	predicts(t, s, "a token of the provider", all, http.StatusOK)
	predicts(t, s, "one with too little scope", p.token(t, "scoring", "models:read"), http.StatusForbidden)
	predicts(t, s, "a client without the group", p.token(t, "reading", "models:read"), http.StatusForbidden)
	predicts(t, s, "a token that was changed", all[:len(all)-10]+"AAAAAAAAAA", http.StatusUnauthorized)
	kept := p.token(t, "scoring", "models:predict")

	p.stop()
	predicts(t, s, "the provider is down, a remembered token", all, http.StatusOK)
	predicts(t, s, "the provider is down, another token", kept, http.StatusOK)

	p.start(t, jwkSet(t, "k2", second, true), jwkSet(t, "k1", first, true))
	predicts(t, s, "the new key", p.token(t, "scoring", "models:predict"), http.StatusOK)
	predicts(t, s, "the old key while it overlaps", kept, http.StatusOK)

	p.stop()
	p.start(t, jwkSet(t, "k2", second, true))
	behind := len(s.log.String())
	s.hangup(t) // a reload asks every issuer again
	s.awaitLog(t, behind, `"took over the keys of an outside issuer"`)
	predicts(t, s, "the old key when it is gone", kept, http.StatusUnauthorized)
	predicts(t, s, "the old key, remembered", all, http.StatusUnauthorized)

	// A file that cannot be right changes nothing; one without the issuer ends it.
	token := p.token(t, "scoring", "models:predict")
	for _, step := range []struct {
		file, log string
		want      int
	}{
		{"issuers: [", "the outside issuers stay as they were", http.StatusOK},
		{"issuers:\n  - {issuer: " + other + ", audience: [x]}\n", `"reloaded"`, http.StatusUnauthorized},
	} {
		if err := os.WriteFile(file, []byte(step.file), 0o600); err != nil {
			t.Fatal(err)
		}
		behind = len(s.log.String())
		s.hangup(t)
		s.awaitLog(t, behind, step.log)
		predicts(t, s, step.log, token, step.want)
	}
}

// TestTokensWithoutTypAreAcceptedWhereTheEntrySaysSo stands for Dex, which puts
// no typ on its tokens.
func TestTokensWithoutTypAreAcceptedWhereTheEntrySaysSo(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set, err := json.Marshal(jwkSet(t, "k1", key, false))
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, set, 0o600); err != nil {
		t.Fatal(err)
	}
	const issuer = "https://dex.example/dex"
	const rest = "audience: [ml-cli], claims: {roles: [groups]}, roles: {ml-users: admin}}\n"
	s, _ := beginWith(t, fmt.Sprintf("  - {issuer: %s, jwks_file: %s, token: id, typ: [''], %s  - {issuer: %s/typed, jwks_file: %s, %s",
		issuer, keys, rest, issuer, keys, rest))
	now := time.Now()
	sign := func(iss string, aud any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": iss, "sub": "CgNhZGESBWxvY2Fs", "aud": aud, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
			"at_hash": "x", "email": "ada@example.com", "email_verified": true, "groups": []string{"ml-users"},
		})
		token.Header = map[string]any{"alg": "ES256", "kid": "k1"}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	predicts(t, s, "a token for this server", sign(issuer, "ml-cli"), http.StatusOK)
	predicts(t, s, "a token for another client", sign(issuer, "kubernetes"), http.StatusUnauthorized)
	predicts(t, s, "a token for two", sign(issuer, []string{"ml-cli", "kubernetes"}), http.StatusUnauthorized)
	predicts(t, s, "where no typ is not written", sign(issuer+"/typed", "ml-cli"), http.StatusUnauthorized)
}
