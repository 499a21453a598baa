package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"onnxgate/internal/testkit"
)

// signed is what a library made: the keys that it publishes, as it writes them, and
// a token by each algorithm.
type signed struct {
	Keys   json.RawMessage   `json:"keys"`
	Tokens map[string]string `json:"tokens"`
}

// signers are libraries that issuers sign with, by the host of their issuer.
var signers = map[string]func(t *testing.T, claims []byte) signed{
	"jose": signsInJavaScript, "pyjwt": signsInPython, "go-jose": signsInGo,
}

func signsInJavaScript(t *testing.T, claims []byte) signed {
	t.Helper()
	modules := filepath.Join(repository, ".cache", "clients")
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "jose")); err != nil {
		testkit.Missing(t, "jose is not installed; make test installs it")
	}
	script, err := os.ReadFile(source(t, "scripts", "clients", "sign.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "node", "nodejs"), "--input-type=module", "-", string(claims))
	cmd.Dir = modules
	return signs(t, cmd, script)
}

func signsInPython(t *testing.T, claims []byte) signed {
	t.Helper()
	return signs(t, exec.CommandContext(t.Context(), debianPython(t), source(t, "scripts", "clients", "sign.py")), claims)
}

// signs runs a program that prints what it signed.
func signs(t *testing.T, cmd *exec.Cmd, stdin []byte) (s signed) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

func signsInGo(t *testing.T, claims []byte) signed {
	t.Helper()
	_, okp, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(claims, &members); err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	tokens := map[string]string{}
	for alg, key := range map[string]crypto.Signer{"EdDSA": okp, "ES256": ec, "RS256": pair} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: alg, Algorithm: alg, Use: "sig"})
		private := jose.JSONWebKey{Key: key, KeyID: alg, Algorithm: alg}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: private}, (&jose.SignerOptions{}).WithType("at+jwt"))
		if err != nil {
			t.Fatal(err)
		}
		if tokens[alg], err = jwt.Signed(signer).Claims(members).Serialize(); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return signed{keys, tokens}
}

// Tokens that other libraries sign are accepted by the keys that these publish, and
// by no other's.
func TestTokensThatOtherLibrariesSignPredict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var entries strings.Builder
	made := map[string]signed{}
	for name, sign := range signers {
		issuer := "https://" + name + ".example"
		claims, err := json.Marshal(ordinaryClaims(issuer))
		if err != nil {
			t.Fatal(err)
		}
		made[name] = sign(t, claims)
		file := filepath.Join(dir, name+".json")
		if err := os.WriteFile(file, made[name].Keys, 0o600); err != nil {
			t.Fatal(err)
		}
		entries.WriteString(withKeys(issuer, file))
	}
	s, _ := beginWith(t, entries.String())
	for name, signed := range made {
		if len(signed.Tokens) != 3 {
			t.Errorf("%s signed by %d algorithms, want 3", name, len(signed.Tokens))
		}
		for alg, token := range signed.Tokens {
			predicts(t, s, name+" by "+alg, token, http.StatusOK)
			body := token[:strings.LastIndexByte(token, '.')]
			predicts(t, s, name+" by "+alg+" with another's signature", body+another(made, name, alg), http.StatusUnauthorized)
		}
	}
}

// ordinaryClaims are those of an access token by an issuer of withKeys.
func ordinaryClaims(issuer string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "sub": "ada", "aud": apiAudience, "groups": []string{"ml-users"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": issuer, "client_id": "app",
	}
}

// withKeys is the entry of an issuer whose keys are in a file.
func withKeys(issuer, file string) string {
	return fmt.Sprintf("  - {issuer: %s, audience: [%s], jwks_file: %s, claims: {roles: [groups]}, roles: {ml-users: admin}}\n", issuer, apiAudience, file)
}

// another is the signature of a token by the same algorithm of another library's key.
func another(made map[string]signed, name, alg string) string {
	for other, signed := range made {
		if other != name {
			token := signed.Tokens[alg]
			return token[strings.LastIndexByte(token, '.'):]
		}
	}
	return ""
}
