package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// vectors are those of one key.
type vectors struct {
	Comment         string
	Public, Private json.RawMessage
	Tests           []struct {
		TCID   int `json:"tcId"`
		JWS    json.RawMessage
		Result string
	}
}

// Wycheproof's JSON Web Signatures open nothing, by keys that are each trusted: a token
// that such a key signs in the ordinary way does. All say what no access token says, so
// the valid ones are refused, too; what they are is told apart in internal/authn.
func TestWycheproofSignaturesOpenNothing(t *testing.T) {
	t.Parallel()
	data, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []vectors }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var entries strings.Builder
	ordinary := map[string]string{}
	for i, g := range file.TestGroups {
		issuer := fmt.Sprintf("https://w%d.example", i)
		token := g.signs(t, issuer)
		if token == "" {
			continue // a secret, or a key that must not sign
		}
		name := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		if err := os.WriteFile(name, []byte(`{"keys":[`+string(g.Public)+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		entries.WriteString(withKeys(issuer, name))
		ordinary[g.Comment+" by "+issuer] = token
	}
	s, _ := beginWith(t, entries.String())
	for name, token := range ordinary {
		predicts(t, s, name, token, http.StatusOK)
	}
	if len(ordinary) < 10 {
		t.Errorf("%d keys of the vectors are trusted", len(ordinary))
	}
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	sent := 0
	for _, g := range file.TestGroups {
		for _, tc := range g.Tests {
			if status, body := presents(t, s, client, written(tc.JWS)); status != http.StatusUnauthorized && status != http.StatusBadRequest {
				t.Errorf("%d (%s, %s): %d %s", tc.TCID, g.Comment, tc.Result, status, body)
			}
			sent++
		}
	}
	if sent < 400 {
		t.Errorf("%d vectors were sent", sent)
	}
}

// signs returns an ordinary access token by the group's key; empty where that is no key
// that an issuer signs with.
func (g *vectors) signs(t *testing.T, issuer string) string {
	t.Helper()
	var key jose.JSONWebKey
	if len(g.Public) == 0 || json.Unmarshal(g.Private, &key) != nil || key.Algorithm == "" {
		return ""
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return ""
	}
	token, err := jwt.Signed(signer).Claims(ordinaryClaims(issuer)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// written is a signature, or its JSON serialization, as a header can hold it.
func written(raw json.RawMessage) string {
	token := string(raw)
	_ = json.Unmarshal(raw, &token) // else it is an object, and stays one
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(token)
}
