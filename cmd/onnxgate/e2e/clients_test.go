package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"onnxgate/internal/testkit"
)

// serviceClient is what `client create` prints.
type serviceClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// command runs the binary beside the server and returns what it prints.
func (s *server) run(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.environ(), strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("onnxgate %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func (s *server) createClient(t *testing.T, args ...string) serviceClient {
	t.Helper()
	var c serviceClient
	out := s.run(t, "", append([]string{"client", "create", "app", "--json"}, args...)...)
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatal(err)
	}
	s.keep(c.Secret)
	return c
}

const userPassword = "violet-river-lantern-42"

// issuer is the default of ONNXGATE_ISSUER.
func (s *server) issuer() string {
	return "https://localhost" + s.addr[strings.LastIndexByte(s.addr, ':'):]
}

func TestOfficialClientsInJavaScriptWork(t *testing.T) {
	node := testkit.Tool(t, "node", "nodejs")
	modules := filepath.Join(repository, ".cache", "clients")
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "openid-client")); err != nil {
		testkit.Missing(t, "openid-client is not installed; make test installs it")
	}
	s := begin(t)
	s.run(t, userPassword, "user", "add", "ada", "--role", "user", "--password-stdin")
	c := s.createClient(t, "--role", "user", "--grant", "client_credentials,password,refresh_token")
	options, err := json.Marshal(map[string]string{
		"issuer": s.issuer(), "id": c.ID, "secret": c.Secret, "username": "ada", "password": userPassword, "token": adminToken(t, s),
	})
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.Open(source(t, "scripts", "clients", "drive.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = script.Close() }()
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "-", string(options))
	cmd.Dir, cmd.Stdin = modules, script
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NODE_EXTRA_CA_CERTS=" + s.cacert()}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, stderr.Bytes(), out)
	}
	var seen struct {
		OpenID, OAuth4WebAPI struct {
			Scope         string
			Before, After map[string]any
			Refreshed     map[string]any
			Ended, Wrong  string
		}
		Jose map[string]string
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, got := range map[string]map[string]any{"openid-client": seen.OpenID.Before, "oauth4webapi": seen.OAuth4WebAPI.Before} {
		want := map[string]any{
			"active": true, "client_id": c.ID, "sub": c.ID, "scope": "models:predict", "token_type": "bearer",
			"iss": s.issuer(), "aud": s.issuer(), "tenant": "default", "roles": []any{"user"},
		}
		for _, drawn := range []string{"jti", "iat", "exp"} {
			if got[drawn] == nil {
				t.Errorf("%s: introspection has no %s", name, drawn)
			}
			delete(got, drawn)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	inactive := map[string]any{"active": false}
	if diff := cmp.Diff(inactive, seen.OpenID.After) + cmp.Diff(inactive, seen.OAuth4WebAPI.After); diff != "" {
		t.Errorf("after the revocation (-want +got):\n%s", diff)
	}
	for scope, got := range map[string]map[string]any{
		"models:read offline_access": seen.OpenID.Refreshed, "models:read models:predict offline_access": seen.OAuth4WebAPI.Refreshed,
	} {
		if diff := cmp.Diff(map[string]any{"scope": scope, "rotated": true}, got); diff != "" {
			t.Errorf("refreshed (-want +got):\n%s", diff)
		}
	}
	if seen.OpenID.Ended != "invalid_grant" || seen.OAuth4WebAPI.Wrong != "401 basic" {
		t.Errorf("a revoked refresh token: %q; a wrong secret: %q", seen.OpenID.Ended, seen.OAuth4WebAPI.Wrong)
	}
	if diff := cmp.Diff(map[string]string{"subject": "admin", "alg": "EdDSA"}, seen.Jose); diff != "" {
		t.Errorf("jose (-want +got):\n%s", diff)
	}
}

// trusting returns a context in which Go's clients trust the server.
func (s *server) trusting(t *testing.T) context.Context {
	t.Helper()
	client := s.clientFor(t)
	t.Cleanup(client.CloseIdleConnections)
	return context.WithValue(t.Context(), oauth2.HTTPClient, client)
}

func TestOfficialClientsInGoWork(t *testing.T) {
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			s := begin(t, "ONNXGATE_JWT_ALG="+alg)
			ctx := s.trusting(t)
			c := s.createClient(t, "--role", "admin") // whom the embedded model lets in
			config := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret, TokenURL: s.issuer() + "/token"}
			for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect} {
				config.AuthStyle = style
				token, err := config.Token(ctx)
				if err != nil {
					t.Fatalf("style %d: %v", style, err)
				}
				s.keep(token.AccessToken)
				predictOnce(t, s, token.AccessToken)
				verifyWithGoOIDC(ctx, t, s, alg, token.AccessToken, c.ID)
				verifyWithGoJose(ctx, t, s, alg, token.AccessToken, c.ID)
			}
			config.ClientSecret = "wrong"
			config.AuthStyle = oauth2.AuthStyleInHeader
			_, err := config.Token(ctx)
			if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "invalid_client" ||
				!strings.HasPrefix(refused.Response.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("a wrong secret: %v", err)
			}
		})
	}
}

func verifyWithGoOIDC(ctx context.Context, t *testing.T, s *server, alg, token, subject string) {
	t.Helper()
	keys := oidc.NewRemoteKeySet(ctx, s.issuer()+"/.well-known/jwks.json")
	got, err := oidc.NewVerifier(s.issuer(), keys, &oidc.Config{ClientID: s.issuer(), SupportedSigningAlgs: []string{alg}}).Verify(ctx, token)
	if err != nil || got.Subject != subject {
		t.Errorf("go-oidc: %+v, %v", got, err)
	}
}

func verifyWithGoJose(ctx context.Context, t *testing.T, s *server, alg, token, subject string) {
	t.Helper()
	var set jose.JSONWebKeySet
	getJSON(ctx, t, s.issuer()+"/.well-known/jwks.json", &set)
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(&set, &claims); err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	err = claims.Validate(jwt.Expected{Issuer: s.issuer(), Subject: subject, AnyAudience: jwt.Audience{s.issuer()}, Time: time.Now()})
	if err != nil {
		t.Errorf("go-jose: %v", err)
	}
}

func getJSON(ctx context.Context, t *testing.T, url string, into any) http.Header {
	t.Helper()
	client, ok := ctx.Value(oauth2.HTTPClient).(*http.Client)
	if !ok {
		t.Fatal("no client in the context")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A host that lies must not show in what is answered.
	req.Header.Set("X-Forwarded-Host", "evil.example")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return resp.Header
}

// debianPython is Debian's, which has Debian's PyJWT.
func debianPython(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import jwt, cryptography").CombinedOutput(); err != nil {
		testkit.Missing(t, "PyJWT is not installed; on Debian: apt-get install python3-jwt python3-cryptography: "+string(out))
	}
	return python
}

func TestAServiceInPythonVerifiesTokens(t *testing.T) {
	python := debianPython(t)
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		s := begin(t, "ONNXGATE_JWT_ALG="+alg)
		cmd := exec.CommandContext(t.Context(), python, source(t, "scripts", "clients", "verify.py"),
			s.issuer()+"/.well-known/jwks.json", s.issuer())
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "SSL_CERT_FILE=" + s.cacert()}
		cmd.Stdin = strings.NewReader(adminToken(t, s))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "admin" {
			t.Errorf("%s: %v\n%s", alg, err, out)
		}
	}
}

func TestMetadataComesFromTheConfigurationAlone(t *testing.T) {
	s := begin(t, "ONNXGATE_ISSUER=https://ml.example/gate")
	ctx := s.trusting(t)
	var got map[string]any
	header := getJSON(ctx, t, s.url()+"/.well-known/oauth-authorization-server", &got)
	want := map[string]any{
		"issuer": "https://ml.example/gate", "token_endpoint": "https://ml.example/gate/token",
		"revocation_endpoint":      "https://ml.example/gate/oauth/revoke",
		"introspection_endpoint":   "https://ml.example/gate/oauth/introspect",
		"jwks_uri":                 "https://ml.example/gate/.well-known/jwks.json",
		"response_types_supported": []any{},
		"grant_types_supported":    []any{"client_credentials", "password", "refresh_token"},
	}
	for name := range got {
		if want[name] == nil {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if cache := header.Get("Cache-Control"); !strings.HasPrefix(cache, "public, max-age=") {
		t.Errorf("Cache-Control: %q", cache)
	}
}

func TestASharedSecretIsNeverPublished(t *testing.T) {
	s := begin(t, "ONNXGATE_JWT_SECRET=9f2c7e51b8d04a36c1e97f5a20d8b64e73a5c0d1")
	ctx := s.trusting(t)
	var metadata, keys map[string]any
	getJSON(ctx, t, s.url()+"/.well-known/oauth-authorization-server", &metadata)
	if uri, there := metadata["jwks_uri"]; there {
		t.Errorf("jwks_uri is %v", uri)
	}
	getJSON(ctx, t, s.url()+"/.well-known/jwks.json", &keys)
	if diff := cmp.Diff(map[string]any{"keys": []any{}}, keys); diff != "" {
		t.Error(diff)
	}
}
