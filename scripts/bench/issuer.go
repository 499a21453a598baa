package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an outside issuer of access tokens whose keys stand in a file.
type issuer struct {
	file  string // for ONNXGATE_ISSUERS_FILE
	token string // of an administrator
}

// newIssuer writes the issuer's files into a folder and signs a token, with the
// algorithm of the server's own ones.
func newIssuer(dir string) (*issuer, error) {
	const name, kid = "https://issuer.example", "bench"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: kid, Algorithm: "EdDSA", Use: "sig"}}})
	if err != nil {
		return nil, err
	}
	jwks, file := filepath.Join(dir, "jwks.json"), filepath.Join(dir, "issuers.yaml")
	entry := fmt.Sprintf("issuers:\n  - issuer: %s\n    audience: [onnxgate]\n    jwks_file: %q\n    claims: {subject: sub, roles: [roles]}\n    roles: {admin: admin}\n", name, jwks)
	for path, content := range map[string][]byte{jwks: keys, file: []byte(entry)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": name, "aud": "onnxgate", "sub": "bench", "client_id": "bench", "jti": "bench", "roles": []string{"admin"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, new(jose.SignerOptions).WithType("at+jwt").WithHeader("kid", kid))
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	token, err := signed.CompactSerialize()
	return &issuer{file: file, token: token}, err
}
